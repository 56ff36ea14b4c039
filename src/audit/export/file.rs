//! The export to a file: JSON lines, with rotation.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::config::AuditFileConfig;

/// The mode of a new file: collectors read it as members of its group.
const MODE: u32 = 0o640;

/// How many bytes are read at a time to find the end of the last whole line.
const BLOCK_BYTES: u64 = 64 << 10;

/// A file of JSON lines.
#[derive(Default)]
pub(super) struct FileSink {
    open: Option<Open>,
}

struct Open {
    path: PathBuf,
    file: File,
    bytes: u64,
    /// When the file was created, in milliseconds since 1970.
    begun_ms: i64,
}

impl FileSink {
    /// Appends whole lines, and makes sure that they are on disk if the settings say so. Without lines, only opens the file. Begins a new file if
    /// the present one is full, old, or was moved or removed.
    ///
    /// # Errors
    /// The system's error, with the file's name. Then none of the lines is in the file, or the next call removes them.
    pub(super) fn write(&mut self, settings: &AuditFileConfig, lines: &[u8], now_ms: i64) -> io::Result<()> {
        let path = &settings.path;
        let written = self.try_write(settings, lines, now_ms);
        if written.is_err() {
            // It is opened again, which cuts off a part of a line.
            self.open = None;
        }
        written.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
    }

    fn try_write(&mut self, settings: &AuditFileConfig, lines: &[u8], now_ms: i64) -> io::Result<()> {
        let open = self.current(settings, now_ms)?;
        if lines.is_empty() {
            return Ok(());
        }
        let added =
            open.file.write_all(lines).and_then(|()| if settings.sync { open.file.sync_data() } else { Ok(()) });
        if let Err(error) = added {
            // The lines will come again: what was written of them is removed, if the disk allows that.
            let _ = open.file.set_len(open.bytes);
            return Err(error);
        }
        open.bytes += lines.len() as u64;
        Ok(())
    }

    /// Returns the open file, after a rotation if one is due.
    fn current(&mut self, settings: &AuditFileConfig, now_ms: i64) -> io::Result<&mut Open> {
        let path = &settings.path;
        let open = match self.open.take().filter(|open| open.path == *path && is_same(&open.file, path)) {
            Some(open) => open,
            None => Open::new(path, now_ms)?,
        };
        let max_age_ms = i64::try_from(settings.max_age_s.saturating_mul(1_000)).unwrap_or(i64::MAX);
        let is_full = settings.max_bytes > 0 && open.bytes >= settings.max_bytes;
        let is_old = settings.max_age_s > 0 && now_ms.saturating_sub(open.begun_ms) >= max_age_ms;
        let open = if open.bytes > 0 && (is_full || is_old) {
            drop(open);
            rotate(path, settings.max_files)?;
            Open::new(path, now_ms)?
        } else {
            open
        };
        Ok(self.open.insert(open))
    }
}

impl Open {
    fn new(path: &Path, now_ms: i64) -> io::Result<Self> {
        let is_new = !path.exists();
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(MODE).open(path)?;
        if is_new {
            sync_folder(path)?;
        }
        let metadata = file.metadata()?;
        let created = metadata.created().or_else(|_| metadata.modified()).ok();
        let created = created.and_then(|created| created.duration_since(UNIX_EPOCH).ok());
        let begun_ms = created.and_then(|since| i64::try_from(since.as_millis()).ok()).filter(|_| !is_new);
        let bytes = cut_off_part_of_line(&mut file, metadata.len())?;
        Ok(Self { path: path.to_owned(), file, bytes, begun_ms: begun_ms.unwrap_or(now_ms) })
    }
}

/// Returns whether the path still names the open file.
fn is_same(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// Removes the end of a file that is not a whole line: a killed process may have written a part. Its records are exported again. Returns the
/// file's size.
fn cut_off_part_of_line(file: &mut File, bytes: u64) -> io::Result<u64> {
    let mut end = bytes;
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(BLOCK_BYTES);
        block.clear();
        file.seek(SeekFrom::Start(start))?;
        Read::by_ref(file).take(end - start).read_to_end(&mut block)?;
        if let Some(position) = block.iter().rposition(|byte| *byte == b'\n') {
            end = start + position as u64 + 1;
            break;
        }
        end = start;
    }
    if end < bytes {
        file.set_len(end)?;
    }
    Ok(end)
}

/// Renames the file to `FILE.1`, and each older one to the next number. Removes those beyond `max_files`.
fn rotate(path: &Path, max_files: u32) -> io::Result<()> {
    let numbered = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    let is_missing_ok = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    };
    if max_files == 0 {
        return fs::remove_file(path);
    }
    is_missing_ok(fs::remove_file(numbered(max_files)))?;
    for number in (1..max_files).rev() {
        is_missing_ok(fs::rename(numbered(number), numbered(number + 1)))?;
    }
    fs::rename(path, numbered(1))?;
    sync_folder(path)
}

/// Makes sure that the names in the file's folder are on disk.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(folder: &tempfile::TempDir) -> AuditFileConfig {
        AuditFileConfig { path: folder.path().join("audit.jsonl"), ..AuditFileConfig::default() }
    }

    fn text(settings: &AuditFileConfig, suffix: &str) -> Option<String> {
        fs::read_to_string(format!("{}{suffix}", settings.path.display())).ok()
    }

    #[test]
    fn full_or_old_file_is_renamed_and_only_the_newest_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let settings = AuditFileConfig { max_bytes: 4, max_age_s: 60, max_files: 2, ..settings(&folder) };
        let mut sink = FileSink::default();
        for line in ["1\n", "22\n", "333\n", "4444\n"] {
            sink.write(&settings, line.as_bytes(), 0).unwrap();
        }
        let contents = ["", ".1", ".2", ".3"].map(|suffix| text(&settings, suffix));
        assert_eq!(contents, [Some("4444\n".into()), Some("333\n".into()), Some("1\n22\n".into()), None]);
        let settings = AuditFileConfig { max_bytes: 0, ..settings };
        sink.write(&settings, b"5\n", 59_999).unwrap();
        sink.write(&settings, b"6\n", 60_000).unwrap();
        let contents = ["", ".1", ".2", ".3"].map(|suffix| text(&settings, suffix));
        assert_eq!(contents, [Some("6\n".into()), Some("4444\n5\n".into()), Some("333\n".into()), None]);
    }

    #[test]
    fn moved_or_removed_file_is_created_again() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(&folder);
        let mut sink = FileSink::default();
        sink.write(&settings, b"1\n", 0).unwrap();
        fs::rename(&settings.path, folder.path().join("moved")).unwrap();
        sink.write(&settings, b"2\n", 0).unwrap();
        assert_eq!(text(&settings, "").unwrap(), "2\n");
        fs::remove_file(&settings.path).unwrap();
        sink.write(&settings, b"3\n", 0).unwrap();
        assert_eq!(text(&settings, "").unwrap(), "3\n");
    }

    #[test]
    fn part_of_a_line_that_a_killed_process_left_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(&folder);
        let long = "x".repeat(200_000);
        for (left, kept) in [("1\n2", "1\n"), ("1\n", "1\n"), ("1", ""), (&format!("1\n{long}"), "1\n"), (&long, "")] {
            fs::write(&settings.path, left).unwrap();
            FileSink::default().write(&settings, b"3\n", 0).unwrap();
            assert_eq!(text(&settings, "").unwrap(), format!("{kept}3\n"));
        }
    }

    #[test]
    fn file_that_cannot_be_written_is_named_and_used_again_later() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("missing");
        let settings = AuditFileConfig { path: inner.join("audit.jsonl"), ..AuditFileConfig::default() };
        let mut sink = FileSink::default();
        let error = sink.write(&settings, b"", 0).unwrap_err();
        assert!(error.to_string().contains("audit.jsonl"), "{error}");
        fs::create_dir(&inner).unwrap();
        sink.write(&settings, b"1\n", 0).unwrap();
        assert_eq!(text(&settings, "").unwrap(), "1\n");
        let full = AuditFileConfig { path: "/dev/full".into(), sync: false, ..settings };
        assert!(FileSink::default().write(&full, b"1\n", 0).is_err());
    }
}
