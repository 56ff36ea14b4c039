//! Writes to the file in threads of their own, so that a file system that does not answer delays neither other work nor the stop.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use tokio::sync::oneshot::{self, error::TryRecvError};

use super::file::FileSink;
use crate::config::AuditFileConfig;

/// The most writes that have not ended. Each has a thread.
const MAX_UNENDED: usize = 4;

/// The file, and the writes that have not ended.
#[derive(Default)]
pub(super) struct FileWriter {
    sink: Option<FileSink>,
    unended: Vec<Unended>,
}

/// A write that has not ended, or whose end nobody has seen.
struct Unended {
    path: PathBuf,
    ended: oneshot::Receiver<Written>,
}

/// The outcome of a write, and the file.
type Written = (FileSink, io::Result<()>);

impl FileWriter {
    /// Writes whole lines. Fails if `too_long` ends first. The next write to the same file then fails at once until the thread has ended.
    ///
    /// # Errors
    /// The system's error, with the file's name. The lines may be in the file.
    pub(super) async fn write(
        &mut self,
        settings: &AuditFileConfig,
        lines: Vec<u8>,
        now_ms: i64,
        too_long: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let path = &settings.path;
        self.unended.retain_mut(|write| matches!(write.ended.try_recv(), Err(TryRecvError::Empty)));
        if self.unended.len() >= MAX_UNENDED || self.unended.iter().any(|write| write.path == *path) {
            return Err(hangs(path, "an earlier write has not ended"));
        }
        let mut sink = self.sink.take().unwrap_or_default();
        let (tell, ended) = oneshot::channel();
        let own = settings.clone();
        thread::Builder::new().name("audit-file".to_owned()).spawn(move || {
            let written = sink.write(&own, &lines, now_ms);
            // Nobody may wait any more.
            let _ = tell.send((sink, written));
        })?;
        // It is listed before the wait, which may be cancelled.
        self.unended.push(Unended { path: path.clone(), ended });
        let Some(Unended { ended, .. }) = self.unended.last_mut() else { return Ok(()) };
        let outcome = tokio::select! {
            biased;
            () = too_long => return Err(hangs(path, "a write takes too long")),
            outcome = ended => outcome,
        };
        self.unended.pop();
        let (sink, written) =
            outcome.map_err(|_| io::Error::other(format!("{}: the write panicked", path.display())))?;
        self.sink = Some(sink);
        written
    }
}

fn hangs(path: &Path, what: &str) -> io::Error {
    let text = format!("{}: {what}: the file system does not answer. Check it, or set another file", path.display());
    io::Error::new(io::ErrorKind::TimedOut, text)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::future::{pending, ready};

    use super::*;

    fn file(folder: &tempfile::TempDir, name: &str) -> AuditFileConfig {
        AuditFileConfig { path: folder.path().join(name), ..AuditFileConfig::default() }
    }

    /// Lists a write to a file that does not end before the answer is sent.
    fn hang(writer: &mut FileWriter, settings: &AuditFileConfig) -> oneshot::Sender<Written> {
        let (tell, ended) = oneshot::channel();
        writer.unended.push(Unended { path: settings.path.clone(), ended });
        tell
    }

    #[tokio::test]
    async fn write_that_takes_too_long_fails() {
        let folder = tempfile::tempdir().unwrap();
        let (mut writer, settings) = (FileWriter::default(), file(&folder, "a.jsonl"));
        let error = writer.write(&settings, b"1\n".to_vec(), 0, ready(())).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
        assert_eq!(writer.unended.len(), 1);
    }

    #[tokio::test]
    async fn hanging_write_stops_its_own_file_until_it_ends_and_no_other_file() {
        let folder = tempfile::tempdir().unwrap();
        let (mut writer, hanging, other) = (FileWriter::default(), file(&folder, "a"), file(&folder, "b"));
        let tell = hang(&mut writer, &hanging);
        let error = writer.write(&hanging, b"1\n".to_vec(), 0, pending()).await.unwrap_err();
        assert!(error.to_string().contains("has not ended"), "{error}");
        writer.write(&other, b"2\n".to_vec(), 0, pending()).await.unwrap();
        assert_eq!(fs::read(&other.path).unwrap(), b"2\n");
        tell.send((FileSink::default(), Ok(()))).ok().unwrap();
        writer.write(&hanging, b"3\n".to_vec(), 0, pending()).await.unwrap();
        assert_eq!(fs::read(&hanging.path).unwrap(), b"3\n");
    }

    #[tokio::test]
    async fn many_hanging_files_start_no_more_threads() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = FileWriter::default();
        let _hanging: Vec<_> =
            (0..MAX_UNENDED).map(|number| hang(&mut writer, &file(&folder, &number.to_string()))).collect();
        let next = file(&folder, "next");
        assert!(writer.write(&next, b"1\n".to_vec(), 0, pending()).await.is_err());
        assert!(!next.path.exists());
    }
}
