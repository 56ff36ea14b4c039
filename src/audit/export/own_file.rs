//! Tells the export's own file from other files, which it must not change.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{Access, OFlags, access};

/// The start of each line: the first field of a record.
const START: &[u8] = br#"{"schema-version":"#;

/// The most bytes of a line. Those of the export are shorter.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// Returns options that open a file without waiting for another process, as a pipe would.
pub(super) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).append(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    options
}

/// Fails if the path names something else than a file. Opening a device or a pipe may change or block it.
pub(super) fn check_kind(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => Ok(()),
        Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "is not a regular file: name another one")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Returns where the last whole line ends. A killed process may have written a part of a line after it.
///
/// # Errors
/// Fails if the first, last or unfinished line is not of the export: the file is another program's.
pub(super) fn whole_lines(file: &mut File) -> io::Result<u64> {
    let bytes = file.metadata()?.len();
    if !begins_as_a_line(&read(file, 0, bytes.min(START.len() as u64))?) {
        return Err(foreign());
    }
    let end = end_of_line(file, bytes)?;
    let part = read(file, end, bytes)?;
    // A power failure may leave zeros.
    if !begins_as_a_line(&part) && part.iter().any(|byte| *byte != 0) {
        return Err(foreign());
    }
    if end > 0 {
        let start = end_of_line(file, end - 1)?;
        if !read(file, start, end)?.starts_with(START) {
            return Err(foreign());
        }
    }
    Ok(end)
}

/// Returns the end of the last line that ends before `before`, or 0.
fn end_of_line(file: &mut File, before: u64) -> io::Result<u64> {
    let start = before.saturating_sub(MAX_LINE_BYTES);
    match read(file, start, before)?.iter().rposition(|byte| *byte == b'\n') {
        Some(position) => Ok(start + position as u64 + 1),
        None if start == 0 => Ok(0),
        None => Err(foreign()),
    }
}

fn read(file: &mut File, start: u64, end: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    file.take(end.saturating_sub(start)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Returns whether a text is the start of a line, or all of it.
fn begins_as_a_line(text: &[u8]) -> bool {
    text.starts_with(START) || START.starts_with(text)
}

fn foreign() -> io::Error {
    let text =
        "has lines that are not audit records of Tidewater, and stays unchanged: name another file, or move it away";
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// Returns what the first write to the file finds. Changes nothing.
///
/// # Errors
/// The reason why the file cannot be written.
pub(super) fn check(path: &Path) -> io::Result<&'static str> {
    check_kind(path)?;
    if path.exists() {
        whole_lines(&mut options().open(path)?)?;
        return Ok("can be written");
    }
    let folder = folder_of(path);
    if !folder.is_dir() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("{} is not a folder: create it", folder.display()),
        ));
    }
    access(folder, Access::WRITE_OK | Access::EXEC_OK)?;
    Ok("does not exist: the export creates it")
}

/// Returns the file's folder.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
