//! Exports the stream to a file and to syslog, in the order of the store. The store remembers how far each export is.
//!
//! A position moves after its lines are written. So every record is exported at least once, also if the process is killed at any moment.

mod file;
mod syslog;
mod syslog_tls;

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use self::file::FileSink;
use self::syslog::SyslogSink;
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

/// How long one run exports before others may take over.
const RUN_TIME: Duration = Duration::from_secs(10);

/// The most bytes of a line of a file. Longer ones have no details.
const MAX_LINE_BYTES: usize = 256 << 10;

const FILE: &str = "file";
const SYSLOG: &str = "syslog";

/// Exports audit records.
pub struct AuditExport {
    audit: Arc<Audit>,
    file: Arc<Mutex<FileSink>>,
    syslog: tokio::sync::Mutex<SyslogSink>,
}

impl AuditExport {
    /// Creates the export of the records of `audit`. Its settings say where to.
    #[must_use]
    pub fn new(audit: &Arc<Audit>) -> Self {
        Self { audit: Arc::clone(audit), file: Arc::default(), syslog: tokio::sync::Mutex::default() }
    }

    /// Exports all new records to the configured sinks. Returns their number.
    ///
    /// # Errors
    /// Fails if the store or a sink does. The other sink gets its records.
    pub async fn run(&self) -> Result<u64, TaskError> {
        let settings = self.audit.settings();
        let (mut exported, mut failed) = (0, None);
        for sink in [FILE, SYSLOG].into_iter().filter(|sink| is_configured(&settings, sink)) {
            let result = self.export(sink, &settings).await;
            let measure = self.audit.measures.export_failing.get_or_create(&SinkLabels { sink });
            measure.set(i64::from(result.is_err()));
            match result {
                Ok(count) => exported += count,
                Err(error) => failed = Some(format!("export of audit records to {sink}: {error}")),
            }
        }
        self.audit.set_export_fails(failed.is_some());
        failed.map_or(Ok(exported), |error| Err(error.into()))
    }

    async fn export(&self, sink: &'static str, settings: &AuditConfig) -> Result<u64, TaskError> {
        let (store, begun, mut exported) = (&self.audit.store, Instant::now(), 0);
        let task = if sink == FILE { "audit-file" } else { "audit-syslog" };
        // A sink that cannot be written is found also by the servers that export nothing.
        self.write(sink, settings, &[]).await?;
        let position = store.audit_position(sink).await?.unwrap_or_default();
        let oldest_ms = store.audit_waiting(position).await?;
        self.measure_lag(sink, oldest_ms);
        // A claim is a write to a shared database, so it is made only if there is something to export.
        if oldest_ms.is_none() || !claim_run(&**store, task, self.audit.clock.now_ms(), EXPORT_INTERVAL).await? {
            return Ok(0);
        }
        loop {
            store.feed_sequence(BATCH).await?;
            store.audit_sequence(BATCH).await?;
            let expected = store.audit_position(sink).await?;
            let AuditBatch { events, records, position } =
                store.audit_after(expected.unwrap_or_default(), BATCH).await?;
            let mut lines: Vec<AuditLine> = events.into_iter().map(AuditLine::from).collect();
            lines.extend(records.into_iter().map(AuditLine::from));
            lines.sort_by_key(AuditLine::at_ms);
            self.measure_lag(sink, lines.first().map(AuditLine::at_ms));
            if lines.is_empty() {
                return Ok(exported);
            }
            self.write(sink, settings, &lines).await?;
            if !store.audit_position_set(sink, expected, position).await? {
                // Another server has exported the same records.
                return Ok(exported);
            }
            exported += lines.len() as u64;
            self.audit.measures.exported.get_or_create(&SinkLabels { sink }).inc_by(lines.len() as u64);
            if begun.elapsed() > RUN_TIME {
                return Ok(exported);
            }
        }
    }

    fn measure_lag(&self, sink: &'static str, oldest_ms: Option<i64>) {
        let lag_ms = oldest_ms.map_or(0, |oldest_ms| self.audit.clock.now_ms().saturating_sub(oldest_ms).max(0));
        self.audit.measures.export_lag.get_or_create(&SinkLabels { sink }).set(lag_ms as f64 / 1_000.0);
    }

    /// Writes lines to a sink, or only opens it if there are none.
    async fn write(&self, sink: &str, settings: &AuditConfig, lines: &[AuditLine]) -> Result<(), TaskError> {
        if sink == SYSLOG {
            return Ok(self.syslog.lock().await.send(&settings.syslog, lines).await?);
        }
        let mut text = String::new();
        for line in lines {
            text.push_str(&line.json(MAX_LINE_BYTES));
            text.push('\n');
        }
        let (file, settings, now_ms) = (Arc::clone(&self.file), settings.file.clone(), self.audit.clock.now_ms());
        tokio::task::spawn_blocking(move || file.lock().write(&settings, text.as_bytes(), now_ms)).await??;
        Ok(())
    }

    /// Returns the task that exports records.
    pub fn task(self: &Arc<Self>) -> Task {
        let run = |export: Arc<Self>, _| async move { export.run().await };
        Task::every("audit-export", EXPORT_INTERVAL, self, run).last(self, run).while_failing(
            "Audit records stay in the database until then. With audit.fail_closed, requests that must be recorded are refused: check \
             audit.file and audit.syslog, and the disk",
        )
    }
}

fn is_configured(settings: &AuditConfig, sink: &str) -> bool {
    match sink {
        FILE => !settings.file.path.as_os_str().is_empty(),
        _ => settings.syslog.address != SyslogAddress::None,
    }
}
