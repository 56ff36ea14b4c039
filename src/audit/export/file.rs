//! The export to a file: JSON lines, with rotation.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::own_file;
use crate::config::AuditFileConfig;

/// The mode of a new file: collectors read it as members of its group.
const MODE: u32 = 0o640;

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
        own_file::check_kind(path)?;
        let is_new = !path.exists();
        let mut file = own_file::options().create(true).mode(MODE).open(path)?;
        if is_new {
            sync_folder(path)?;
        }
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let created = metadata.created().or_else(|_| metadata.modified()).ok();
        let created = created.and_then(|created| created.duration_since(UNIX_EPOCH).ok());
        let begun_ms = created.and_then(|since| i64::try_from(since.as_millis()).ok()).filter(|_| !is_new);
        let bytes = own_file::whole_lines(&mut file)?;
        if bytes < metadata.len() {
            // A killed process has written a part of a line. Its record is exported again.
            file.set_len(bytes)?;
        }
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
    File::open(own_file::folder_of(path))?.sync_all()
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
        let whole = "{\"schema-version\":1}\n";
        let long = format!("{{\"schema-version\":{}", "x".repeat(200_000));
        for (left, kept) in [
            (format!("{whole}{{\"sch"), whole),
            (whole.to_owned(), whole),
            ("{\"schema-version\":1".to_owned(), ""),
            (format!("{whole}{long}"), whole),
            (format!("{whole}\0\0\0"), whole),
            (long, ""),
            (String::new(), ""),
        ] {
            fs::write(&settings.path, left).unwrap();
            FileSink::default().write(&settings, b"3\n", 0).unwrap();
            assert_eq!(text(&settings, "").unwrap(), format!("{kept}3\n"));
        }
    }

    #[test]
    fn file_of_another_program_is_refused_and_stays_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(&folder);
        let whole = "{\"schema-version\":1}\n";
        let long = format!("{whole}{}", "x".repeat(2 << 20));
        let contents: [&str; 7] = [
            "text without newline",
            "line\nlast line",
            "line\n",
            &format!("{whole}other\n"),
            &format!("{whole}x"),
            &long,
            "SQLite format 3\0",
        ];
        for content in contents {
            fs::write(&settings.path, content).unwrap();
            assert!(own_file::check(&settings.path).is_err());
            let error = FileSink::default().write(&settings, b"3\n", 0).unwrap_err();
            assert!(error.to_string().contains("not audit records"), "{error}");
            assert_eq!(text(&settings, "").unwrap(), content);
        }
    }

    #[test]
    fn folder_device_and_links_to_them_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/dev/full", &link).unwrap();
        for path in [folder.path(), Path::new("/dev/full"), &link] {
            let settings = AuditFileConfig { path: path.to_owned(), ..settings(&folder) };
            let error = FileSink::default().write(&settings, b"1\n", 0).unwrap_err();
            assert!(error.to_string().contains("is not a regular file"), "{error}");
        }
    }

    #[test]
    fn check_of_a_missing_file_does_not_create_it() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(&folder);
        assert_eq!(own_file::check(&settings.path).unwrap(), "does not exist: the export creates it");
        assert!(own_file::check(&folder.path().join("missing/audit.jsonl")).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
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
    }
}
