//! Reading files that settings name: certificates, keys, passwords, settings of storage.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// The most bytes of such a file.
const MOST_BYTES: u64 = 1 << 20;

/// How long a read may take. A network file system can hang for ever.
const LONGEST: Duration = Duration::from_secs(5);

/// The most reads that may hang at the same time. Their threads end when their file system answers.
const MOST_WAITING: usize = 64;

/// The reads that have a thread now. For the process, because its threads are.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// Reads a file. Blocks for up to five seconds.
///
/// # Errors
/// The system's errors; `InvalidInput` if it is not a regular file, `FileTooLarge` if it has more than a mebibyte, and `TimedOut`.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let owned = path.to_owned();
    within(LONGEST, move || read_now(&owned))
}

/// Reads a file that is text. See [`read`].
///
/// # Errors
/// As for [`read`]; `InvalidData` if it is not UTF-8. The message has nothing of the content.
pub fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is not text in UTF-8"))
}

fn read_now(path: &Path) -> io::Result<Vec<u8>> {
    // Opening a pipe would wait for somebody who writes to it.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file: File = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut content = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MOST_BYTES {
        return Err(io::Error::new(ErrorKind::FileTooLarge, format!("it has more than {MOST_BYTES} bytes")));
    }
    Ok(content)
}

/// Runs a read on a thread of its own, and waits for it at most `longest`.
fn within<T: Send + 'static>(
    longest: Duration,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let running = RunningRead::take()?;
    let (sender, receiver) = mpsc::sync_channel(1);
    std::thread::Builder::new().name("named-file".to_owned()).spawn(move || {
        let _running = running;
        // Nobody waits any more if the time is over.
        let _ = sender.send(work());
    })?;
    receiver.recv_timeout(longest).unwrap_or_else(|_| {
        Err(io::Error::new(ErrorKind::TimedOut, format!("its file system did not answer within {longest:?}")))
    })
}

/// One of the reads that may run.
struct RunningRead;

impl RunningRead {
    fn take() -> io::Result<Self> {
        let taken =
            WAITING.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| (now < MOST_WAITING).then_some(now + 1));
        taken.map(|_| Self).map_err(|_| io::Error::new(ErrorKind::TimedOut, "other reads of files hang already"))
    }
}

impl Drop for RunningRead {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn regular_file_is_read_also_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("key"), folder.path().join("link"));
        fs::write(&file, "text").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(read_text(&link).unwrap(), "text");
        assert_eq!(read(&folder.path().join("none")).unwrap_err().kind(), ErrorKind::NotFound);
        fs::write(&file, [0xFF]).unwrap();
        assert_eq!(read_text(&file).unwrap_err().kind(), ErrorKind::InvalidData);
    }

    #[test]
    fn pipe_folder_and_device_are_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        for path in [pipe.as_path(), folder.path(), Path::new("/dev/zero")] {
            assert_eq!(read(path).unwrap_err().to_string(), "it is not a regular file", "{}", path.display());
        }
    }

    #[test]
    fn file_above_the_limit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        File::create(&path).unwrap().set_len(MOST_BYTES).unwrap();
        assert_eq!(read(&path).unwrap().len() as u64, MOST_BYTES);
        File::create(&path).unwrap().set_len(MOST_BYTES + 1).unwrap();
        assert_eq!(read(&path).unwrap_err().kind(), ErrorKind::FileTooLarge);
    }

    #[test]
    fn read_that_hangs_is_given_up() {
        let (end, hangs) = mpsc::channel::<()>();
        let waited = within(Duration::from_millis(1), move || {
            let _ = hangs.recv();
            Ok(())
        });
        assert_eq!(waited.unwrap_err().kind(), ErrorKind::TimedOut);
        drop(end);
    }
}
