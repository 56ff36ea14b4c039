//! Writes new files on the local disk, with durable content and name and no intermediate file.
//!
//! `object_store` writes beside, links the name and removes what it wrote first: two more changes of a folder, each of
//! which the file system's journal waits for. A document needs none of that. Its name holds a fresh id and nothing leads
//! to it before it is whole, so it may be written where it stays (docs/decisions/0009).

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

/// Writes a new file at `path`, with the folders above it as needed. It survives a power cut when this returns.
/// If it cannot be written whole, nothing is left.
///
/// # Errors
/// `ErrorKind::AlreadyExists` when something is there, which then is untouched; whatever else the disk says.
pub(super) fn create(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = match open_new(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            create_folders(path)?;
            open_new(path)?
        }
        opened => opened?,
    };
    let written = file.write_all(content).and_then(|()| file.sync_all()).and_then(|()| sync_folder_of(path));
    if written.is_err() {
        // Best effort: what is left is a file that nothing points to.
        let _ = fs::remove_file(path);
    } else if content.len() >= NOT_KEPT_BYTES {
        give_up_memory(&file);
    }
    written
}

/// From this size on the system is told that it need not keep a file's content in memory, in bytes. It would keep it
/// beside the copy that the catalog keeps, and take memory from elsewhere for each new document of a large table, which takes
/// longer than writing it (docs/decisions/0015).
const NOT_KEPT_BYTES: usize = 64 * 1024;

/// Best effort, on systems with a call for it.
#[cfg(target_os = "linux")]
fn give_up_memory(file: &File) {
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
}

#[cfg(not(target_os = "linux"))]
fn give_up_memory(_file: &File) {}

fn open_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// Creates the folders above `path`, each durable in its parent.
fn create_folders(path: &Path) -> io::Result<()> {
    let Some(folder) = path.parent() else { return Ok(()) };
    if folder.is_dir() {
        return Ok(());
    }
    create_folders(folder)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => sync_folder_of(folder),
    }
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_made_as_needed() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b/c.json");
        create(&path, b"{}").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"{}");
        create(&root.path().join("a/b/d.json"), b"").unwrap();
    }

    #[test]
    fn a_large_file_is_written_whole() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("c.json");
        let content: Vec<u8> = (0..3 * NOT_KEPT_BYTES).map(|n| (n % 251) as u8).collect();
        create(&path, &content).unwrap();
        assert_eq!(fs::read(&path).unwrap(), content);
    }

    #[test]
    fn what_is_there_stays_untouched() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("c.json");
        create(&path, b"first").unwrap();
        assert_eq!(create(&path, b"second").unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"first");
    }
}
