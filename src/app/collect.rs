//! Registers the metrics of all parts. Figures that a part has anyway are read at each scrape.

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::api::Api;
use crate::audit::{Audit, AuditMeasures, SinkLabels};
use crate::background::{Runner, Stage, TaskState};
use crate::base::measure::CallLabels;
use crate::catalog::Catalog;
use crate::delivery::Webhooks;
use crate::delivery::kafka::{KafkaDelivery, KafkaMeasures};
use crate::heavy::{Heavy, HeavyUsage};
use crate::history::reports::Reports;
use crate::planning::Planning;
use crate::server::{ServerCounts, ServerUsage};
use crate::store::Store;
use crate::upkeep::{DueFigures, Upkeep, UpkeepMeasures};

/// Registers the metrics of the parts. `storage` are the calls to storage.
pub(super) fn register(api: &Api, storage: Family<CallLabels, Histogram>) {
    let (measures, vending) = (api.catalog.measures(), api.catalog.vending_measures());
    api.telemetry.register(|registry| {
        let help = "Duration of calls to warehouses' storage, by type of storage, operation and outcome";
        registry.register("tidewater_storage_call_duration_seconds", help, storage);
        let help = "Duration of calls to the catalog's database, by operation and outcome";
        registry.register("tidewater_store_call_duration_seconds", help, api.store.calls().family());
        let help = "Duration of commits, by target and outcome";
        registry.register("tidewater_commit_duration_seconds", help, measures.commits.family());
        let help = "Commits that were applied again, because another one was faster";
        registry.register("tidewater_commit_repeats", help, measures.repeated_commits.clone());
        let help = "Duration of requests for credentials to clouds, by type of storage and outcome";
        registry.register("tidewater_credentials_call_duration_seconds", help, vending.calls.family());
        let help = "Metadata documents that were not in the cache";
        registry.register("tidewater_document_cache_misses", help, api.catalog.document_misses().clone());
        let help = "Vended credentials that were in the cache, by type of storage";
        registry.register("tidewater_credentials_cached", help, vending.cached.clone());
        let deliveries = api.webhooks.measures();
        let help = "Events that receivers of webhooks accepted";
        registry.register("tidewater_delivery_sent", help, deliveries.sent.clone());
        let help = "Requests with events that receivers of webhooks did not accept";
        registry.register("tidewater_delivery_failed", help, deliveries.failed.clone());
        let help = "Batches that are sent again, because a receiver did not accept an event";
        registry.register("tidewater_delivery_retried", help, deliveries.retried.clone());
        let help = "Events that became dead letters";
        registry.register("tidewater_delivery_dead", help, deliveries.dead.clone());
        register_audit(registry, api.audit.measures());
        register_planning(registry, &api.planning);
        register_upkeep(registry, api.upkeep.measures());
        registry.register_collector(Box::new(Figures {
            background: Arc::clone(api.admin.background()),
            catalog: Arc::clone(&api.catalog),
            planning: Arc::clone(&api.planning),
            work: Arc::clone(&api.heavy),
            bodies: Arc::clone(&api.bodies),
            webhooks: Arc::clone(&api.webhooks),
            store: Arc::clone(&api.store),
            reports: Arc::clone(&api.reports),
            audit: Arc::clone(&api.audit),
            upkeep: Arc::clone(&api.upkeep),
        }));
    });
}

/// Registers the metrics of audit records.
fn register_audit(registry: &mut Registry, measures: &AuditMeasures) {
    let help = "Audit records that were written, by type and decision";
    registry.register("tidewater_audit_records", help, measures.written.clone());
    let help = "Requests that were counted in an audit record of another request";
    registry.register("tidewater_audit_repeated_requests", help, measures.repeated.clone());
    let help = "Audit records that were lost because too many waited";
    registry.register("tidewater_audit_lost_records", help, measures.lost.clone());
    let help = "Audit records that wait to be written";
    registry.register("tidewater_audit_waiting_records", help, measures.waiting.clone());
    let help = "Whether the database did not take the last audit records";
    registry.register("tidewater_audit_store_failing", help, measures.store_failing.clone());
    let help = "Changes and audit records that were exported, by sink";
    registry.register("tidewater_audit_exported_records", help, measures.exported.clone());
    let help = "Whether the last export of audit records failed, by sink";
    registry.register("tidewater_audit_export_failing", help, measures.export_failing.clone());
    let help = "Requests that were refused because audit records cannot be written";
    registry.register("tidewater_audit_refused_requests", help, measures.refused.clone());
}

/// Registers the metrics of the maintenance of tables.
fn register_upkeep(registry: &mut Registry, measures: &UpkeepMeasures) {
    let help = "Runs of maintenance of tables that ended, by operation and outcome";
    registry.register("tidewater_maintenance_runs", help, measures.runs.clone());
    let help = "Duration of runs of maintenance of tables, by operation";
    registry.register("tidewater_maintenance_run_duration_seconds", help, measures.durations.clone());
    let help = "Files that maintenance of tables removed, by operation";
    registry.register("tidewater_maintenance_removed_files", help, measures.removed_files.clone());
    let help = "Bytes of files that maintenance of tables removed, as far as their size was known, by operation";
    registry.register("tidewater_maintenance_removed_bytes", help, measures.removed_bytes.clone());
    let help = "Files that maintenance of tables replaced by new ones, by operation";
    registry.register("tidewater_maintenance_replaced_files", help, measures.replaced_files.clone());
    let help = "Bytes of files that maintenance of tables replaced by new ones, by operation";
    registry.register("tidewater_maintenance_replaced_bytes", help, measures.replaced_bytes.clone());
    let help = "Files that maintenance of tables wrote, by operation";
    registry.register("tidewater_maintenance_written_files", help, measures.written_files.clone());
    let help = "Bytes of files that maintenance of tables wrote, by operation";
    registry.register("tidewater_maintenance_written_bytes", help, measures.written_bytes.clone());
}

/// Registers the metrics of scan planning.
fn register_planning(registry: &mut Registry, planning: &Planning) {
    let (measures, manifests) = (planning.measures(), planning.manifests());
    let help = "Duration of planning scans until the answer begins, by operation and outcome";
    registry.register("tidewater_scan_planning_duration_seconds", help, measures.answers.family());
    let help = "Data files that were compared with the filters of scans";
    registry.register("tidewater_scan_planning_considered_files", help, measures.considered.clone());
    let help = "Delete files that were indexed for scans";
    registry.register("tidewater_scan_planning_considered_delete_files", help, measures.considered_deletes.clone());
    let help = "Data files in the answers to planned scans";
    registry.register("tidewater_scan_planning_returned_files", help, measures.returned.clone());
    let help = "Manifests and manifest lists that were in the cache";
    registry.register("tidewater_manifest_cache_hits", help, manifests.hits().clone());
    let help = "Manifests and manifest lists that were not in the cache";
    registry.register("tidewater_manifest_cache_misses", help, manifests.misses().clone());
    let help = "Bytes of manifests and manifest lists that were read from storage";
    registry.register("tidewater_manifest_read_bytes", help, manifests.read_bytes().clone());
    let help = "Answers of scan planning that ended early, by a failure or a departed client";
    registry.register("tidewater_scan_planning_broken_answers", help, measures.broken.clone());
}

/// A metric of each of several objects: its name, its help text, and how it is read.
type Figure<O, V> = (&'static str, &'static str, fn(&O) -> V);

/// The parts whose figures are read at a scrape.
struct Figures {
    background: Arc<Runner>,
    catalog: Arc<Catalog>,
    planning: Arc<Planning>,
    work: Arc<Heavy>,
    bodies: Arc<Heavy>,
    webhooks: Arc<Webhooks>,
    store: Arc<dyn Store>,
    reports: Arc<Reports>,
    audit: Arc<Audit>,
    upkeep: Arc<Upkeep>,
}

impl std::fmt::Debug for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Figures").finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TaskLabels {
    task: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolLabels {
    pool: &'static str,
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let single = |encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64| {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
        };
        let help = "Memory of cached metadata documents";
        single(&mut encoder, "tidewater_document_cache_bytes", help, self.catalog.cached_bytes())?;
        let help = "Memory of cached manifests, and of the indexes of their delete files";
        let bytes = self.planning.manifests().cached_bytes() + self.planning.index_bytes();
        single(&mut encoder, "tidewater_manifest_cache_bytes", help, bytes)?;
        let help = "Changes that have begun and not ended";
        single(&mut encoder, "tidewater_running_changes", help, self.catalog.running_changes() as u64)?;
        let (lag, failing) = self.webhooks.lag();
        let help = "Receivers of webhooks that fail, of those that this server delivers to";
        single(&mut encoder, "tidewater_delivery_failing", help, failing)?;
        let help = "Age of the oldest event that waits for a failing receiver of webhooks";
        let gauge = ConstGauge::new(lag.as_secs_f64());
        let descriptor =
            encoder.encode_descriptor("tidewater_delivery_lag_seconds", help, None, gauge.metric_type())?;
        gauge.encode(descriptor)?;
        let help = "Changes that wait for the catalog's database";
        single(&mut encoder, "tidewater_store_waiting", help, self.store.waiting_changes() as u64)?;
        let help = "Metrics reports of clients that wait to be written";
        single(&mut encoder, "tidewater_metrics_reports_waiting", help, self.reports.waiting() as u64)?;
        let help = "The age of the oldest change or audit record that is not exported, by sink";
        let mut lag = encoder.encode_descriptor("tidewater_audit_export_lag_seconds", help, None, MetricType::Gauge)?;
        for (sink, lag_s) in self.audit.export_lag_s() {
            ConstGauge::new(lag_s).encode(lag.encode_family(&SinkLabels { sink })?)?;
        }
        self.encode_upkeep(&mut encoder)?;
        self.encode_tasks(&mut encoder)?;
        self.encode_pools(&mut encoder)
    }
}

impl Figures {
    fn encode_upkeep(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        let help = "Runs of maintenance of tables that wait for their turn on this server, by kind";
        let mut waiting =
            encoder.encode_descriptor("tidewater_maintenance_waiting_runs", help, None, MetricType::Gauge)?;
        for (kind, count) in self.upkeep.waiting_runs() {
            ConstGauge::new(count).encode(waiting.encode_family(&KindLabels { kind })?)?;
        }
        let due = self.upkeep.due_tables();
        let gauges: [Figure<DueFigures, f64>; 2] = [
            (
                "tidewater_maintenance_due_tables",
                "Tables that are due and wait on this server, by kind of run",
                |due| due.tables as f64,
            ),
            (
                "tidewater_maintenance_overdue_seconds",
                "For how long a table that waits on this server has been due, by kind of run",
                |due| due.overdue_ms as f64 / 1_000.0,
            ),
        ];
        for (name, help, value) in gauges {
            let mut all = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for figures in &due {
                ConstGauge::new(value(figures)).encode(all.encode_family(&KindLabels { kind: figures.kind })?)?;
            }
        }
        Ok(())
    }

    fn encode_tasks(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        let tasks = self.background.states();
        let counters: [Figure<TaskState, u64>; 3] = [
            ("tidewater_background_runs", "Ended runs of background tasks", |task| task.runs),
            ("tidewater_background_failed_runs", "Failed runs of background tasks", |task| task.failed_runs),
            ("tidewater_background_handled", "Objects that background tasks handled", |task| task.handled),
        ];
        for (name, help, value) in counters {
            let mut all = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for task in &tasks {
                ConstCounter::new(value(task)).encode(all.encode_family(&TaskLabels { task: task.name })?)?;
            }
        }
        let gauges: [Figure<TaskState, Option<f64>>; 4] = [
            ("tidewater_background_running", "Whether a background task runs now", |task| {
                Some(f64::from(u8::from(task.stage == Stage::Running)))
            }),
            ("tidewater_background_failures", "Failed runs of a background task since its last success", |task| {
                Some(f64::from(task.failures))
            }),
            (
                "tidewater_background_last_run_timestamp_seconds",
                "When a background task's last ended run began, in seconds since 1970",
                |task| task.last_run_ms.map(|ms| ms as f64 / 1_000.0),
            ),
            (
                "tidewater_background_next_run_timestamp_seconds",
                "When a background task that waits is due, in seconds since 1970",
                |task| task.next_run_ms.map(|ms| ms as f64 / 1_000.0),
            ),
        ];
        for (name, help, value) in gauges {
            let mut all = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for task in &tasks {
                if let Some(value) = value(task) {
                    ConstGauge::new(value).encode(all.encode_family(&TaskLabels { task: task.name })?)?;
                }
            }
        }
        Ok(())
    }

    fn encode_pools(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        let pools = [("work", self.work.usage()), ("bodies", self.bodies.usage())];
        let gauges: [Figure<HeavyUsage, u64>; 3] = [
            ("tidewater_heavy_waiting", "Large requests and documents that wait for memory or a worker", |pool| {
                pool.waiting
            }),
            ("tidewater_heavy_workers", "Workers that are busy with large requests and documents", |pool| pool.workers),
            ("tidewater_heavy_bytes", "Memory reserved for large requests and documents", |pool| pool.bytes),
        ];
        for (name, help, value) in gauges {
            let mut all = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (pool, usage) in &pools {
                ConstGauge::new(value(usage)).encode(all.encode_family(&PoolLabels { pool })?)?;
            }
        }
        Ok(())
    }
}

/// Registers the figures of a server's connections.
pub(super) fn register_server(api: &Api, server: ServerCounts) {
    api.telemetry.register(|registry| registry.register_collector(Box::new(Connections(server))));
}

/// Registers the metrics of the delivery to Kafka.
pub(super) fn register_kafka(api: &Api, kafka: &KafkaDelivery) {
    let measures = kafka.measures().clone();
    api.telemetry.register(|registry| {
        let help = "Events that Kafka has, or that its settings leave out";
        registry.register("tidewater_kafka_events", help, measures.passed.clone());
        let help = "Events that Kafka refuses, for example because they are too large";
        registry.register("tidewater_kafka_refused_events", help, measures.refused.clone());
        let help = "Failed attempts to send events to Kafka";
        registry.register("tidewater_kafka_failures", help, measures.failures.clone());
        registry.register_collector(Box::new(KafkaFigures(measures)));
    });
}

/// The state of the delivery to Kafka, read at a scrape.
#[derive(Debug)]
struct KafkaFigures(KafkaMeasures);

impl Collector for KafkaFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let gauge = ConstGauge::new(self.0.failing());
        let help = "Consumers of events whose last attempt to send to Kafka failed";
        gauge.encode(encoder.encode_descriptor("tidewater_kafka_failing", help, None, gauge.metric_type())?)
    }
}

/// The connections of a server, counted at a scrape.
struct Connections(ServerCounts);

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connections").finish_non_exhaustive()
    }
}

impl Collector for Connections {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let ServerUsage { connections, max_connections, requests } = self.0.usage();
        for (name, help, value) in [
            ("tidewater_connections", "Open connections", connections),
            ("tidewater_max_connections", "The most connections that are served at the same time", max_connections),
            ("http_server_active_requests", "Requests that are being answered", requests),
        ] {
            let gauge = ConstGauge::new(value as u64);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}
