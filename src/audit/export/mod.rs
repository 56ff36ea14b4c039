//! Exports the stream to a file and to syslog, in the order of the store. The store remembers how far each export is.
//!
//! A position moves after its lines are written. So every record is exported at least once, also if the process is killed at any moment.

mod file;
mod own_file;
mod syslog;
mod syslog_tls;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use self::syslog::SyslogSink;
use self::writer::FileWriter;
use super::Audit;
use super::line::AuditLine;
use super::measures::SinkLabels;
use crate::background::{Task, TaskError};
use crate::config::{AuditConfig, SyslogAddress};
use crate::store::{AuditBatch, claim_run};

/// How often the export looks for new records.
const EXPORT_INTERVAL: Duration = Duration::from_secs(1);

/// The most events, and the most records, of one batch.
const BATCH: u32 = 500;

/// The first batch for syslog, and how long a batch should take. A receiver that reads slowly then gets smaller ones, so that the position moves.
const FIRST_BATCH: u32 = 32;
const BATCH_TIME: Duration = Duration::from_secs(1);

/// How long one run exports before others may take over, and the run at the stop. The next run waits for both sinks.
const RUN_TIME: Duration = Duration::from_secs(3);
const LAST_RUN_TIME: Duration = Duration::from_secs(2);

/// How long a write to the file may take before the export counts as failing, and once the server stops or has new settings.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
const LAST_WRITE_TIME: Duration = Duration::from_secs(1);

/// The most bytes of a line of a file. Longer ones have no details.
const MAX_LINE_BYTES: usize = 256 << 10;

const FILE: &str = "file";
const SYSLOG: &str = "syslog";

/// Exports audit records.
pub struct AuditExport {
    audit: Arc<Audit>,
    file: Mutex<FileWriter>,
    syslog: Mutex<SyslogSink>,
    /// The size of the next batch to syslog, in events and in records.
    syslog_batch: AtomicU32,
}

/// A run of the export.
struct Run<'a> {
    settings: &'a AuditConfig,
    stop: &'a CancellationToken,
    /// How long it exports before it ends.
    time: Duration,
}

impl AuditExport {
    /// Creates the export of the records of `audit`. Its settings say where to.
    #[must_use]
    pub fn new(audit: &Arc<Audit>) -> Self {
        let syslog_batch = AtomicU32::new(FIRST_BATCH);
        Self { audit: Arc::clone(audit), file: Mutex::default(), syslog: Mutex::default(), syslog_batch }
    }

    /// Exports all new records to the configured sinks. Returns their number.
    ///
    /// # Errors
    /// Fails if the store or a sink does. The other sink gets its records.
    pub async fn run(&self) -> Result<u64, TaskError> {
        self.run_until(&CancellationToken::new(), RUN_TIME).await
    }

    /// Exports new records until the token is cancelled or the time is over.
    async fn run_until(&self, stop: &CancellationToken, time: Duration) -> Result<u64, TaskError> {
        let settings = self.audit.settings();
        let run = Run { settings: &settings, stop, time };
        // At the same time: a slow sink delays the other one by the time of a run only.
        let (file, syslog) = tokio::join!(self.run_sink(FILE, &run), self.run_sink(SYSLOG, &run));
        match (file, syslog) {
            (Ok(file), Ok(syslog)) => Ok(file + syslog),
            (Err(file), Err(syslog)) => Err(format!("{file}; {syslog}").into()),
            (Err(error), Ok(_)) | (Ok(_), Err(error)) => Err(error.into()),
        }
    }

    async fn run_sink(&self, sink: &'static str, run: &Run<'_>) -> Result<u64, String> {
        if !is_configured(run.settings, sink) {
            self.audit.forget_export(sink);
            return Ok(0);
        }
        let result = self.export(sink, run).await;
        self.audit.set_export_fails(sink, result.is_err());
        result.map_err(|error| format!("export of audit records to {sink}: {error}"))
    }

    async fn export(&self, sink: &'static str, run: &Run<'_>) -> Result<u64, TaskError> {
        let (store, begun, mut exported) = (&self.audit.store, Instant::now(), 0);
        let task = if sink == FILE { "audit-file" } else { "audit-syslog" };
        let is_stopped = run.stop.is_cancelled();
        let position = store.audit_position(sink).await?.unwrap_or_default();
        let oldest_ms = store.audit_waiting(position).await?;
        self.audit.set_oldest_unexported(sink, oldest_ms);
        // A sink that cannot be written is found also by the servers that export nothing.
        self.write(sink, run, &[]).await?;
        // A claim is a write to a shared database, so it is made only if there is something to export.
        if oldest_ms.is_none() || !claim_run(&**store, task, self.audit.clock.now_ms(), EXPORT_INTERVAL).await? {
            return Ok(0);
        }
        loop {
            store.feed_sequence(BATCH).await?;
            store.audit_sequence(BATCH).await?;
            let expected = store.audit_position(sink).await?;
            let batch = if sink == SYSLOG { self.syslog_batch.load(Ordering::Relaxed) } else { BATCH };
            let AuditBatch { events, records, position } =
                store.audit_after(expected.unwrap_or_default(), batch).await?;
            let mut lines: Vec<AuditLine> = events.into_iter().map(AuditLine::from).collect();
            lines.extend(records.into_iter().map(AuditLine::from));
            lines.sort_by_key(AuditLine::at_ms);
            self.audit.set_oldest_unexported(sink, lines.first().map(AuditLine::at_ms));
            if lines.is_empty() {
                return Ok(exported);
            }
            let sent = Instant::now();
            let written = self.write(sink, run, &lines).await;
            if sink == SYSLOG {
                let next = if written.is_ok() { next_batch(batch, sent.elapsed()) } else { (batch / 2).max(1) };
                self.syslog_batch.store(next, Ordering::Relaxed);
            }
            written?;
            if !store.audit_position_set(sink, expected, position).await? {
                // Another server has exported the same records.
                return Ok(exported);
            }
            exported += lines.len() as u64;
            self.audit.measures.exported.get_or_create(&SinkLabels { sink }).inc_by(lines.len() as u64);
            if begun.elapsed() > run.time || run.stop.is_cancelled() != is_stopped {
                return Ok(exported);
            }
        }
    }

    /// Writes lines to a sink, or only opens it if there are none.
    async fn write(&self, sink: &str, run: &Run<'_>, lines: &[AuditLine]) -> Result<(), TaskError> {
        if sink == SYSLOG {
            let mut syslog = self.syslog.lock().await;
            return tokio::select! {
                sent = syslog.send(&run.settings.syslog, lines) => Ok(sent?),
                () = self.is_outdated(run) => Err("the receiver is slow, and the server stops or has new settings".into()),
            };
        }
        let mut text = String::new();
        for line in lines {
            text.push_str(&line.json(MAX_LINE_BYTES));
            text.push('\n');
        }
        let too_long = async {
            tokio::select! {
                () = tokio::time::sleep(WRITE_TIMEOUT) => {}
                () = self.is_outdated(run) => {}
            }
        };
        let now_ms = self.audit.clock.now_ms();
        Ok(self.file.lock().await.write(&run.settings.file, text.into_bytes(), now_ms, too_long).await?)
    }

    /// Waits until the server stops or has other settings, and some time more, in which a write that does not hang ends.
    async fn is_outdated(&self, run: &Run<'_>) {
        tokio::select! {
            () = run.stop.cancelled() => {}
            () = self.audit.settings_changed.notified() => {}
        }
        tokio::time::sleep(LAST_WRITE_TIME).await;
    }

    /// Returns the task that exports records.
    pub fn task(self: &Arc<Self>) -> Task {
        let run = |export: Arc<Self>, stop: CancellationToken| async move { export.run_until(&stop, RUN_TIME).await };
        let last =
            |export: Arc<Self>, stop: CancellationToken| async move { export.run_until(&stop, LAST_RUN_TIME).await };
        Task::every("audit-export", EXPORT_INTERVAL, self, run).last(self, last).while_failing(
            "Audit records stay in the database until then. With audit.fail_closed, requests that must be recorded are refused: check \
             audit.file and audit.syslog, and the disk",
        )
    }
}

/// Returns the size of the batch after one that took this long: as many records as the receiver takes in about a second.
fn next_batch(size: u32, took: Duration) -> u32 {
    match took {
        took if took > BATCH_TIME * 2 => (size / 2).max(1),
        took if took < BATCH_TIME / 2 => (size * 2).min(BATCH),
        _ => size,
    }
}

/// Tries the configured sinks, and changes nothing. Returns each sink's name and address, and what was found.
pub async fn try_sinks(settings: &AuditConfig) -> Vec<(String, Result<&'static str, String>)> {
    let mut found = Vec::new();
    if is_configured(settings, FILE) {
        let path = settings.file.path.clone();
        let object = format!("audit.file.path {}", path.display());
        let checked = tokio::task::spawn_blocking(move || own_file::check(&path).map_err(|error| error.to_string()));
        found.push((object, checked.await.unwrap_or_else(|error| Err(error.to_string()))));
    }
    if is_configured(settings, SYSLOG) {
        let object = format!("audit.syslog.address {}", settings.syslog.address);
        let sent = SyslogSink::default().send(&settings.syslog, &[]).await;
        let found_ok = match settings.syslog.address {
            SyslogAddress::Udp(_) => "its host is known; UDP does not tell whether it receives",
            _ => "can be reached",
        };
        found.push((object, sent.map(|()| found_ok).map_err(|error| error.to_string())));
    }
    found
}

fn is_configured(settings: &AuditConfig, sink: &str) -> bool {
    match sink {
        FILE => !settings.file.path.as_os_str().is_empty(),
        _ => settings.syslog.address != SyslogAddress::None,
    }
}

#[cfg(test)]
mod tests;
