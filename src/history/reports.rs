//! Metrics reports of clients about their scans and commits. The catalog accepts a report at once and writes reports in batches.
//!
//! A report must not delay its request, so it waits in memory until it is written with others. The queue is bounded by number and
//! by bytes. A killed process loses the reports of the last second.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidewater_core::ids::TableId;
use tidewater_core::metrics::{ReportError, check_report};
use tokio::sync::Notify;

use crate::background::Task;
use crate::base::clock::{Clock, fresh_ordered_uuid};
use crate::store::{Report, ReportLimits, Store, StoreError, WarehouseRef, claim_run};

/// The largest accepted report, in bytes. A filter of some ten thousand values fits.
pub const MAX_REPORT_BYTES: usize = 128 << 10;

/// The most waiting reports, and the most bytes of them. Beyond that, the oldest are discarded.
const WAITING: usize = 10_000;
const WAITING_BYTES: usize = 16 << 20;

/// The most reports in one transaction.
const BATCH: usize = 500;

/// The longest time that a report waits.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);

/// How often old reports are removed, and how many in one transaction.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
const SWEEP_BATCH: u32 = 500;

/// Why a report is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// The body is not a valid report.
    #[error(transparent)]
    Malformed(#[from] ReportError),
    /// The report is too large.
    #[error("A metrics report can have at most {MAX_REPORT_BYTES} bytes")]
    TooLarge,
}

/// Accepts reports, and writes them to the store.
pub struct Reports {
    store: Arc<dyn Store>,
    clock: Clock,
    kept: Mutex<Kept>,
    waiting: Mutex<Waiting>,
    full: Arc<Notify>,
}

/// The limits and the retention of reports.
#[derive(Debug, Clone, Copy)]
struct Kept {
    limits: ReportLimits,
    retention: Duration,
}

#[derive(Default)]
struct Waiting {
    reports: VecDeque<Report>,
    bytes: usize,
    discarded: u64,
}

impl Waiting {
    fn add(&mut self, report: Report) {
        self.bytes += report.body.len();
        self.reports.push_back(report);
        while self.reports.len() > WAITING || self.bytes > WAITING_BYTES {
            let Some(oldest) = self.reports.pop_front() else { break };
            self.bytes -= oldest.body.len();
            self.discarded += 1;
        }
    }

    fn take_batch(&mut self) -> Vec<Report> {
        let count = self.reports.len().min(BATCH);
        let batch: Vec<Report> = self.reports.drain(..count).collect();
        self.bytes -= batch.iter().map(|report| report.body.len()).sum::<usize>();
        batch
    }

    /// Puts reports that could not be written back to the front of the queue.
    fn put_back(&mut self, batch: Vec<Report>) {
        let newer = std::mem::take(&mut self.reports);
        self.bytes = 0;
        batch.into_iter().chain(newer).for_each(|report| self.add(report));
    }
}

impl Reports {
    /// Creates a queue whose reports are kept for `retention`, within `limits`. A retention of zero keeps no reports.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Clock, limits: ReportLimits, retention: Duration) -> Self {
        let kept = Mutex::new(Kept { limits, retention });
        Self { store, clock, kept, waiting: Mutex::default(), full: Arc::default() }
    }

    /// Changes the limits and the retention of reports.
    pub fn set_retention(&self, limits: ReportLimits, retention: Duration) {
        *self.kept.lock() = Kept { limits, retention };
    }

    fn kept(&self) -> Kept {
        *self.kept.lock()
    }

    /// Accepts a report on a table.
    ///
    /// # Errors
    /// `Malformed` if it is not a report (see [`check_report`]); `TooLarge`.
    pub fn accept(&self, warehouse_ref: WarehouseRef, table: TableId, json: &str) -> Result<(), TakeError> {
        let kind = check_report(json.as_bytes())?;
        if json.len() > MAX_REPORT_BYTES {
            return Err(TakeError::TooLarge);
        }
        if self.kept().retention.is_zero() {
            return Ok(());
        }
        let body = json.to_owned();
        let report = Report { warehouse_ref, table, id: fresh_ordered_uuid(), kind, at_ms: self.clock.now_ms(), body };
        let mut waiting = self.waiting.lock();
        waiting.add(report);
        if waiting.reports.len() >= BATCH {
            self.full.notify_one();
        }
        Ok(())
    }

    /// Returns how many reports wait to be written.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.lock().reports.len()
    }

    /// Writes all waiting reports. Returns their number.
    ///
    /// # Errors
    /// Fails if the store does not answer. Unwritten reports keep waiting.
    pub async fn write(&self) -> Result<u64, StoreError> {
        let mut written = 0;
        loop {
            let (batch, discarded) = {
                let mut waiting = self.waiting.lock();
                (waiting.take_batch(), std::mem::take(&mut waiting.discarded))
            };
            if discarded > 0 {
                tracing::warn!(
                    count = discarded,
                    "metrics reports arrived faster than they could be written: the oldest are lost"
                );
            }
            if batch.is_empty() {
                return Ok(written);
            }
            if let Err(error) = self.store.report_add(&batch, self.kept().limits).await {
                self.waiting.lock().put_back(batch);
                return Err(error);
            }
            written += batch.len() as u64;
        }
    }

    /// Removes expired reports in batches, so that other changes can run between them. Returns the number of removed reports.
    ///
    /// # Errors
    /// Fails if the store does not answer.
    pub async fn sweep(&self) -> Result<u64, StoreError> {
        let retention_ms = i64::try_from(self.kept().retention.as_millis()).unwrap_or(i64::MAX);
        let before_ms = self.clock.now_ms().saturating_sub(retention_ms);
        let mut removed = 0;
        loop {
            let batch = self.store.report_remove_before(before_ms, SWEEP_BATCH).await?;
            removed += batch;
            if batch < u64::from(SWEEP_BATCH) {
                return Ok(removed);
            }
        }
    }

    /// Returns the tasks that write reports and remove old ones. At the stop, the first writes the reports that are left.
    pub fn tasks(self: &Arc<Self>) -> [Task; 2] {
        let write = |reports: Arc<Self>, _| async move { Ok(reports.write().await?) };
        let sweep = |reports: Arc<Self>, _| async move {
            let (store, now_ms) = (&*reports.store, reports.clock.now_ms());
            let is_claimed = claim_run(store, "old-metrics-reports", now_ms, SWEEP_INTERVAL).await?;
            Ok(if is_claimed { reports.sweep().await? } else { 0 })
        };
        [
            Task::every("metrics-reports", WRITE_INTERVAL, self, write)
                .wake_on(Arc::clone(&self.full))
                .last(self, write)
                .while_failing("New metrics reports wait in memory, up to a limit: check the database and its disk"),
            Task::every("old-metrics-reports", SWEEP_INTERVAL, self, sweep).while_failing(
                "Reports older than metrics.retention_s stay until then: check the database and its disk",
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicI64, Ordering};

    use serde_json::json;
    use tidewater_core::ids::{OrganisationId, WarehouseId};
    use tidewater_core::location::Location;
    use tidewater_core::name::{NamespaceIdent, TableIdent};
    use tidewater_core::reserved_locations::Locations;

    use super::*;
    use crate::background::Runner;
    use crate::base::clock::fresh_uuid;
    use crate::store::faulty::{FaultyStore, Mode};
    use crate::store::{
        Change, EventDetails, NewTable, Organisation, Origin, ReportFilter, TableKind, TimedPage, Warehouse,
        WarehouseOptions,
    };

    const LIMITS: ReportLimits =
        ReportLimits { per_table: 50_000, per_organisation: 50_000, bytes_per_organisation: 1 << 30 };

    struct Fixture {
        store: Arc<FaultyStore>,
        warehouse_ref: WarehouseRef,
        table: TableId,
        now_ms: Arc<AtomicI64>,
        _folder: tempfile::TempDir,
    }

    impl Fixture {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = FaultyStore::new(crate::store::open(&folder.path().join("t.db")).unwrap());
            let warehouse_ref =
                WarehouseRef { organisation: OrganisationId(fresh_uuid()), warehouse: WarehouseId(fresh_uuid()) };
            let acme = Organisation::new(warehouse_ref.organisation, "acme", "premium", 1);
            store.organisation_create(&acme, &Change::by_catalog(0)).await.unwrap();
            let lake = Warehouse {
                id: warehouse_ref.warehouse,
                organisation: warehouse_ref.organisation,
                name: "lake".into(),
                root: "s3://b/lake".into(),
                storage: crate::store::WarehouseStorage::local(),
                options: WarehouseOptions::default(),
                is_default: true,
                created_ms: 1,
            };
            store.warehouse_create(&lake, &Change::by_catalog(0)).await.unwrap();
            let ns = NamespaceIdent::new(&["ns"]).unwrap();
            store.namespace_create(warehouse_ref, &ns, &BTreeMap::new(), &Change::by_catalog(0)).await.unwrap();
            let table = TableId(fresh_uuid());
            let new = NewTable {
                id: table,
                ident: &TableIdent::new(ns, "t").unwrap(),
                kind: TableKind::Table,
                metadata_location: "s3://b/lake/t/m",
                locations: &Locations::new(Location::parse("s3://b/lake/t").unwrap(), []),
                origin: Origin::Catalog,
                details: &EventDetails::new(),
            };
            store.table_create(warehouse_ref, &new, None, &Change::by_catalog(0)).await.unwrap();
            let now_ms = Arc::new(AtomicI64::new(1_000_000));
            Self { store: Arc::new(store), warehouse_ref, table, now_ms, _folder: folder }
        }

        fn reports(&self, retention_s: u64) -> Reports {
            let store: Arc<dyn Store> = Arc::clone(&self.store) as _;
            Reports::new(store, Clock::Manual(Arc::clone(&self.now_ms)), LIMITS, Duration::from_secs(retention_s))
        }

        fn take(&self, reports: &Reports, number: usize) {
            let body = json!({ "report-type": "commit-report", "table-name": "ns.t", "snapshot-id": number,
                "sequence-number": 1, "operation": "append", "metrics": {} });
            reports.accept(self.warehouse_ref, self.table, &body.to_string()).unwrap();
        }

        /// Returns the snapshot ids of the stored reports, the newest first.
        async fn kept(&self) -> Vec<u64> {
            let all = self
                .store
                .report_list(self.warehouse_ref, &ReportFilter::default(), &TimedPage::default())
                .await
                .unwrap();
            let snapshot =
                |body: &str| serde_json::from_str::<serde_json::Value>(body).unwrap()["snapshot-id"].as_u64();
            all.items.iter().map(|kept| snapshot(&kept.report.body).unwrap()).collect()
        }
    }

    #[tokio::test]
    async fn accepted_reports_are_written_in_batches() {
        let fixture = Fixture::new().await;
        let reports = fixture.reports(60);
        let before = fixture.store.total_call_count();
        for number in 0..BATCH + 10 {
            fixture.now_ms.fetch_add(1, Ordering::SeqCst);
            fixture.take(&reports, number);
        }
        assert_eq!(fixture.store.total_call_count(), before);
        reports.write().await.unwrap();
        assert_eq!(fixture.store.call_count("report_add"), 2);
        let expected: Vec<u64> = (0..(BATCH + 10) as u64).rev().collect();
        assert_eq!(fixture.kept().await, expected);
    }

    #[tokio::test]
    async fn full_queue_discards_the_oldest_reports_while_the_store_is_down() {
        let fixture = Fixture::new().await;
        let reports = fixture.reports(60);
        fixture.store.set(Mode::Down);
        for number in 0..WAITING {
            fixture.take(&reports, number);
            if number % 4_000 == 0 {
                reports.write().await.unwrap_err();
            }
        }
        (WAITING..WAITING + 7).for_each(|number| fixture.take(&reports, number));
        assert_eq!(reports.waiting.lock().discarded, 7);
        reports.write().await.unwrap_err();
        fixture.store.set(Mode::Up);
        reports.write().await.unwrap();
        let mut kept = fixture.kept().await;
        kept.sort_unstable();
        assert_eq!(kept, (7..(WAITING + 7) as u64).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn queue_is_limited_in_bytes_and_a_too_large_report_is_refused() {
        let fixture = Fixture::new().await;
        let reports = fixture.reports(60);
        let report = json!({ "report-type": "commit-report", "table-name": "x".repeat(120_000), "snapshot-id": 1,
            "sequence-number": 1, "operation": "append", "metrics": {} });
        for _ in 0..300 {
            reports.accept(fixture.warehouse_ref, fixture.table, &report.to_string()).unwrap();
        }
        let waiting = reports.waiting.lock();
        assert!(waiting.bytes <= WAITING_BYTES && waiting.discarded > 0);
        assert_eq!(waiting.bytes, waiting.reports.iter().map(|report| report.body.len()).sum::<usize>());
        drop(waiting);
        let none = "x".repeat(MAX_REPORT_BYTES + 1);
        let none = reports.accept(fixture.warehouse_ref, fixture.table, &none);
        assert!(matches!(none, Err(TakeError::Malformed(_))), "{none:?}");
        let large = report.to_string().replacen('{', &format!("{{{}", " ".repeat(MAX_REPORT_BYTES)), 1);
        let large = reports.accept(fixture.warehouse_ref, fixture.table, &large);
        assert!(matches!(large, Err(TakeError::TooLarge)), "{large:?}");
    }

    #[tokio::test]
    async fn reports_older_than_the_retention_are_removed_and_zero_retention_keeps_none() {
        let fixture = Fixture::new().await;
        let reports = fixture.reports(60);
        fixture.take(&reports, 1);
        fixture.now_ms.fetch_add(1_000, Ordering::SeqCst);
        fixture.take(&reports, 2);
        reports.write().await.unwrap();
        fixture.now_ms.fetch_add(59_001, Ordering::SeqCst);
        reports.sweep().await.unwrap();
        assert_eq!(fixture.kept().await, [2]);
        let none = fixture.reports(0);
        fixture.take(&none, 3);
        none.write().await.unwrap();
        none.sweep().await.unwrap();
        assert_eq!(fixture.kept().await, [] as [u64; 0]);
    }

    #[tokio::test]
    async fn queued_reports_are_written_at_a_stop() {
        let fixture = Fixture::new().await;
        let reports = Arc::new(fixture.reports(60));
        let runner = Runner::new(Clock::Manual(Arc::clone(&fixture.now_ms)), 1);
        reports.tasks().into_iter().for_each(|task| runner.start(task));
        fixture.take(&reports, 1);
        runner.stop(Duration::from_secs(10)).await.unwrap();
        assert_eq!(fixture.kept().await, [1]);
    }
}
