//! Writes new files on the local disk, with durable content and name and without an intermediate file.
//!
//! `object_store` writes an intermediate file, links it to the final name and removes the first name. These are two more
//! changes of a folder, and each waits for the file system's journal. A document does not need them: its name contains a new
//! id, and no pointer refers to it before it is complete. So it is written under its final name (docs/decisions/0009).

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

/// Writes a new file at `path`, and creates missing folders above it. The file survives a power cut when this returns.
/// Removes an incomplete file.
///
/// # Errors
/// `ErrorKind::AlreadyExists` if the path exists, which stays unchanged; otherwise the system's error.
pub(super) fn create(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = open_below_new_folders(path)?;
    let written = file.write_all(content).and_then(|()| file.sync_all()).and_then(|()| sync_folder_of(path));
    if written.is_err() {
        // A remaining file does no harm: no pointer refers to it.
        let _ = fs::remove_file(path);
    } else if content.len() >= NOT_KEPT_BYTES {
        give_up_memory(&file);
    }
    written
}

/// The size in bytes from which the system need not cache a new file's content. The catalog has a copy in memory already.
/// For each new document of a large table, the system would have to free memory, which takes longer than the write
/// (docs/decisions/0015).
const NOT_KEPT_BYTES: usize = 64 * 1024;

/// Tells the system that it need not cache the file's content. Ignores an error.
#[cfg(target_os = "linux")]
fn give_up_memory(file: &File) {
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
}

#[cfg(not(target_os = "linux"))]
fn give_up_memory(_file: &File) {}

/// A new file that is written piece by piece.
#[derive(Debug)]
pub(super) struct NewFile {
    file: Arc<File>,
    path: PathBuf,
}

impl NewFile {
    /// Creates a file at `path`, and missing folders above it.
    ///
    /// # Errors
    /// `ErrorKind::AlreadyExists` if the path exists; otherwise the system's error.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: Arc::new(open_below_new_folders(path)?), path: path.to_owned() })
    }

    /// Appends a piece.
    ///
    /// # Errors
    /// The system's error.
    pub(super) async fn write(&self, piece: Bytes) -> io::Result<()> {
        let file = Arc::clone(&self.file);
        blocking(move || (&*file).write_all(&piece)).await
    }

    /// Ends the file. It survives a power cut when this returns.
    ///
    /// # Errors
    /// The system's error.
    pub(super) async fn finish(self) -> io::Result<()> {
        blocking(move || {
            self.file.sync_all()?;
            sync_folder_of(&self.path)?;
            give_up_memory(&self.file);
            Ok(())
        })
        .await
    }
}

/// Runs a system call on a thread for blocking calls.
async fn blocking(call: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
    tokio::task::spawn_blocking(call).await.unwrap_or_else(|stopped| Err(io::Error::other(stopped)))
}

fn open_below_new_folders(path: &Path) -> io::Result<File> {
    match open_new(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            create_folders(path)?;
            open_new(path)
        }
        opened => opened,
    }
}

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
    fn create_makes_missing_folders() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b/c.json");
        create(&path, b"{}").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"{}");
        create(&root.path().join("a/b/d.json"), b"").unwrap();
    }

    #[test]
    fn large_file_is_written_completely() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("c.json");
        let content: Vec<u8> = (0..3 * NOT_KEPT_BYTES).map(|n| (n % 251) as u8).collect();
        create(&path, &content).unwrap();
        assert_eq!(fs::read(&path).unwrap(), content);
    }

    #[test]
    fn create_over_an_existing_file_fails_and_keeps_it() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("c.json");
        create(&path, b"first").unwrap();
        assert_eq!(create(&path, b"second").unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"first");
    }
}
