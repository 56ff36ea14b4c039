//! Plans scans: the answers to requests for plans and for plan tasks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidewater_core::scan::request::PlanRequest;
use uuid::Uuid;

use super::deletes::Deletes;
use super::departure::Departure;
use super::error::PlanError;
use super::indexed::Chosen;
use super::indexes::DeleteIndexes;
use super::measures::PlanningMeasures;
use super::parts::{Parts, Sink, channel};
use super::position::{Position, split};
use super::prepared::Prepared;
use super::reader::TableReader;
use super::scan::{ENTRY_BYTES, Pause, Scan};
use super::source::{Matching, Source};
use super::token::{PlanTask, most_tokens};
use super::wanted::Wanted;
use super::within::Within;
use super::work::{Context, Stops};
use crate::access::{Permit, Table, action};
use crate::base::clock::{Clock, fresh_ordered_uuid};
use crate::base::deadline::{self, Deadline};
use crate::base::trace;
use crate::config::PlanningConfig;
use crate::heavy::Heavy;
use crate::manifests::ManifestCache;
use crate::metadata::{Document, ObjectReader};
use crate::store::Store;
use crate::warehouse::{OpenWarehouse, StorageAccess};

/// The most bytes of tasks and delete files in the answer to a plan, about.
const INLINE_BYTES: usize = 8 << 20;

/// The most bytes of the answer to a plan. Only delete files with long paths or partitions make it longer than [`INLINE_BYTES`].
const MAX_INLINE_BYTES: usize = 2 * INLINE_BYTES;

/// How long a plan collects files before it leaves the rest to plan tasks.
const INLINE_TIME: Duration = Duration::from_secs(10);

/// The size of one part of a long answer, in bytes, about.
const PART_BYTES: usize = 512 << 10;

/// What stands between the tasks and the delete files of an answer.
const DELETE_FILES: &[u8] = b"],\"delete-files\":[";

/// The files of a plan that leaves all to plan tasks.
const NO_FILES: &[u8] = b"\"file-scan-tasks\":[],\"delete-files\":[]";

/// The end of the answer to a plan task.
const END: &[u8] = b"]}";

/// The permit of a scan.
type ScanPermit = Permit<action::PlanScan, Table>;

/// Plans scans.
pub struct Planning {
    store: Arc<dyn Store>,
    access: StorageAccess,
    manifests: Arc<ManifestCache>,
    indexes: Arc<DeleteIndexes>,
    heavy: Arc<Heavy>,
    clock: Clock,
    measures: PlanningMeasures,
    settings: PlanningConfig,
}

/// A complete plan.
#[derive(Debug)]
pub struct Planned {
    /// The members of the answer with tasks and delete files.
    text: Vec<u8>,
    tokens: Vec<String>,
}

/// An answer to a plan task.
#[derive(Debug)]
pub enum Answer {
    /// The whole JSON.
    Whole(Bytes),
    /// The JSON in parts, of which the first is there.
    Parts(Parts),
}

impl Planning {
    /// Creates the planning with the workers of `reader`, which limits the size of manifests.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        access: StorageAccess,
        reader: ObjectReader,
        clock: Clock,
        settings: PlanningConfig,
    ) -> Self {
        let heavy = Arc::clone(reader.heavy());
        let manifests = Arc::new(ManifestCache::new(settings.cache_bytes, reader));
        let indexes = Arc::new(DeleteIndexes::new(settings.cache_bytes, Arc::clone(&manifests), Arc::clone(&heavy)));
        Self { store, access, manifests, indexes, heavy, clock, measures: PlanningMeasures::default(), settings }
    }

    /// Returns the same planning with other settings. Both share the caches.
    #[must_use]
    pub fn with_settings(&self, settings: PlanningConfig) -> Self {
        Self {
            store: Arc::clone(&self.store),
            access: self.access.clone(),
            manifests: Arc::clone(&self.manifests),
            indexes: Arc::clone(&self.indexes),
            heavy: Arc::clone(&self.heavy),
            clock: self.clock.clone(),
            measures: self.measures.clone(),
            settings,
        }
    }

    /// Sets how much memory manifests may use. Indexes of deletes follow it.
    pub fn set_cache_bytes(&self, bytes: u64) {
        self.manifests.set_capacity(bytes);
        self.indexes.set_cache_bytes(bytes);
    }

    /// Returns how many bytes the kept indexes of deletes use.
    #[must_use]
    pub fn index_bytes(&self) -> u64 {
        self.indexes.bytes()
    }

    /// Returns the measurements.
    #[must_use]
    pub const fn measures(&self) -> &PlanningMeasures {
        &self.measures
    }

    /// Returns the cache of manifests.
    #[must_use]
    pub fn manifests(&self) -> &ManifestCache {
        &self.manifests
    }

    /// Plans a scan of a table.
    ///
    /// # Errors
    /// All of [`PlanError`] except for `NoSuchTask` and `NoSuchPlan`.
    pub async fn plan(
        &self,
        table: &ScanPermit,
        document: &Arc<Document>,
        request: PlanRequest,
    ) -> Result<Planned, PlanError> {
        self.measures.answer("plan", self.plan_scan(table, document, request)).await
    }

    /// Returns the files of a plan task.
    ///
    /// # Errors
    /// All of [`PlanError`] except for `NoSuchPlan`.
    pub async fn tasks(&self, table: &ScanPermit, document: &Arc<Document>, token: &str) -> Result<Answer, PlanError> {
        self.measures.answer("tasks", self.fetch_tasks(table, document, token)).await
    }

    async fn plan_scan(
        &self,
        table: &ScanPermit,
        document: &Arc<Document>,
        request: PlanRequest,
    ) -> Result<Planned, PlanError> {
        let stops = Stops {
            files: self.settings.inline_files,
            bytes: INLINE_BYTES,
            counts_deletes: true,
            rows: request.min_rows_requested.and_then(|rows| u64::try_from(rows).ok()).filter(|rows| *rows > 0),
        };
        let (started, owner) = (Instant::now(), table.warehouse.warehouse_ref.organisation.0);
        let bytes = weigh_filter(document, request.filter.as_ref().map_or(0, |filter| filter.len() as u64));
        let resolved = Arc::clone(document);
        let within = Within::new(table.restriction());
        let resolve = move || Wanted::from_request(&resolved.metadata, request, within);
        let (wanted, prepared) = self.heavy.run(owner, bytes, resolve).await??;
        // Held until the answer is complete.
        let departure = Departure::default();
        let end = Position::before(u32::MAX);
        let places = (Position::START, end);
        let mut scan = self.begin(table, document, (&wanted, prepared), &departure, places).await?;
        let all = scan.rest();
        let max_bytes = self.settings.max_bytes;
        // One more read fits, so that the plan makes progress and leaves the rest to plan tasks.
        let goes_on = |scan: &Scan| started.elapsed() < INLINE_TIME && scan.read_bytes() <= max_bytes / 2;
        let pause = scan.fill(&stops, goes_on).await?;
        let most = most_tokens(wanted.filter.as_deref());
        let Some(text) = inline_text(&mut scan).await? else {
            // The answers to plan tasks are sent in parts, and may be as long as they are.
            let ranges = split(&all, Position::START, self.settings.task_files, most);
            return Ok(Planned { text: NO_FILES.to_vec(), tokens: self.tokens(table, wanted, ranges).await? });
        };
        self.count(&scan);
        let tokens = match pause {
            Pause::Stop if !scan.work().has_rows(&stops) => {
                let ranges = split(&scan.rest(), scan.position(), self.settings.task_files, most);
                self.tokens(table, wanted, ranges).await?
            }
            _ => Vec::new(),
        };
        Ok(Planned { text, tokens })
    }

    async fn fetch_tasks(
        &self,
        table: &ScanPermit,
        document: &Arc<Document>,
        token: &str,
    ) -> Result<Answer, PlanError> {
        let (keys, place) = (self.access.passes.get().cloned(), table.warehouse.warehouse_ref);
        let within = Within::new(table.restriction());
        let (digest, now_ms) = (within.as_ref().map(Within::digest), self.clock.now_ms());
        let (sealed, (table_id, principal)) = (token.to_owned(), holder(table));
        let open =
            move || PlanTask::open(&sealed, keys.as_ref(), place, (table_id, principal, digest.as_deref()), now_ms);
        let owner = place.organisation.0;
        let task = self.heavy.run(owner, token.len() as u64, open).await??;
        let places = (task.from, task.to);
        let wanted = Wanted::from_task(task, within);
        let (bound, table_document) = (wanted.clone(), Arc::clone(document));
        let prepare = move || bound.prepare(&table_document.metadata);
        let prepared = self.heavy.run(owner, weigh_filter(document, wanted.filter_bytes()), prepare).await??;
        let departure = Departure::default();
        let begun = Instant::now();
        let limit = Deadline::new(begun, begun + self.settings.timeout());
        let mut scan = self.begin(table, document, (&wanted, prepared), &departure, places).await?;
        let stops = Stops { files: u64::MAX, bytes: PART_BYTES, counts_deletes: false, rows: None };
        let pause = scan.fill(&stops, |_| true).await?;
        let mut first = [b"{\"file-scan-tasks\":[".as_slice(), &scan.take_text()].concat();
        if pause == Pause::End {
            first.extend_from_slice(DELETE_FILES);
            let has_all = scan.write_deletes(PART_BYTES).await?;
            first.append(&mut scan.take_text());
            if has_all {
                first.extend_from_slice(END);
                self.count(&scan);
                return Ok(Answer::Whole(first.into()));
            }
        }
        let (sink, parts) = channel(first.into());
        let rest = Rest { scan, sink, departure, measures: self.measures.clone(), has_tasks: pause == Pause::End };
        tokio::spawn(trace::carry(deadline::scope(Some(limit), rest.send(stops))));
        Ok(Answer::Parts(parts))
    }

    /// Reads what a scan needs before its data manifests, and returns it at its first place.
    async fn begin(
        &self,
        table: &ScanPermit,
        document: &Arc<Document>,
        (wanted, filter): (&Wanted, Prepared),
        departure: &Departure,
        places: (Position, Position),
    ) -> Result<Scan, PlanError> {
        let warehouse: &OpenWarehouse = &table.warehouse;
        let (heavy, owner) = (&self.heavy, warehouse.warehouse_ref.organisation.0);
        let reader = TableReader::new(&self.manifests, warehouse, document)?;
        let lists = wanted.lists(&document.metadata)?;
        let source = Source::read(&reader, &lists, &self.settings, (heavy, owner, &departure.watch())).await?;
        // The whole filter can be compared with each manifest. It takes no memory.
        let bytes = (source.len() as u64 * (ENTRY_BYTES + wanted.filter_bytes())).min(INLINE_BYTES as u64);
        let watch = departure.watch();
        let choose = move || source.matching(&filter, &watch).map(|matching| (matching, source, filter));
        let (Matching { data: matching, deletes }, source, filter) = heavy.run(owner, bytes, choose).await??;
        let manifests = Deletes::read(&reader, deletes, &self.settings).await?;
        let (filter, deletes) = if manifests.is_empty() {
            (filter, Deletes::default())
        } else {
            let partitions: u64 = manifests.iter().map(|one| one.manifest.partition_count() as u64).sum();
            let (watch, table_document, table_id) = (departure.watch(), Arc::clone(document), table.record.id.0);
            let choose = move || {
                let table = (table_id, &*table_document.metadata);
                Chosen::new(manifests, table, &filter, &watch).map(|chosen| (Arc::new(chosen), filter))
            };
            let (chosen, filter) = heavy.run(owner, partitions * ENTRY_BYTES, choose).await??;
            let (indexed, is_new) = self.indexes.get(&chosen, document, &self.settings, owner).await?;
            if is_new {
                self.measures.considered_deletes.inc_by(indexed.places.len() as u64);
            }
            (filter, Deletes::new(Arc::clone(&chosen.manifests), indexed))
        };
        let context = Context { source, matching, filter, deletes, watch: departure.watch() };
        Ok(Scan::new(Arc::new(context), reader, (heavy, owner), places, self.settings.max_bytes))
    }

    /// Returns a token for each range of a scan's manifests.
    async fn tokens(
        &self,
        table: &ScanPermit,
        wanted: Wanted,
        ranges: Vec<(Position, Position)>,
    ) -> Result<Vec<String>, PlanError> {
        let warehouse = &table.warehouse;
        let unusable = |error: &dyn std::fmt::Display| {
            tracing::error!(%error, "a plan task cannot be sealed");
            PlanError::NoKey(warehouse.name.clone())
        };
        let Some(range) = wanted.range else { return Ok(Vec::new()) };
        let keys = self.access.pass_keys(self.store.as_ref()).await.map_err(|error| unusable(&error))?.clone();
        let (table_id, principal) = holder(table);
        let lifetime_ms = i64::try_from(self.settings.task_lifetime_s * 1_000).unwrap_or(i64::MAX);
        let task = PlanTask {
            table: table_id,
            principal,
            within: wanted.within.as_ref().map(Within::digest),
            expires_ms: self.clock.now_ms().saturating_add(lifetime_ms),
            range,
            schema_id: wanted.schema_id,
            filter: wanted.filter,
            case_sensitive: wanted.case_sensitive,
            statistics: wanted.statistics,
            from: Position::START,
            to: Position::START,
        };
        let (place, owner) = (warehouse.warehouse_ref, warehouse.warehouse_ref.organisation.0);
        let bytes = ranges.len() as u64 * (1_024 + task.filter.as_ref().map_or(0, |filter| filter.get().len() as u64));
        let seal = move || {
            let mut task = task;
            let sealed = ranges.into_iter().map(|(from, to)| {
                (task.from, task.to) = (from, to);
                task.seal(&keys, place)
            });
            sealed.collect::<Result<Vec<_>, _>>()
        };
        self.heavy.run(owner, bytes, seal).await?.map_err(|error| unusable(&error))
    }

    fn count(&self, scan: &Scan) {
        self.measures.count(scan.work().considered, scan.work().files);
    }
}

/// Returns the text of a plan's files and their delete files. `None` if it is too long for one answer.
async fn inline_text(scan: &mut Scan) -> Result<Option<Vec<u8>>, PlanError> {
    let mut text = [b"\"file-scan-tasks\":[".as_slice(), &scan.take_text(), DELETE_FILES].concat();
    loop {
        let has_all = scan.write_deletes(PART_BYTES).await?;
        text.append(&mut scan.take_text());
        if text.len() > MAX_INLINE_BYTES {
            return Ok(None);
        }
        if has_all {
            text.push(b']');
            return Ok(Some(text));
        }
    }
}

/// Returns how many bytes the work on a filter takes, which is projected onto each partition spec. All columns of the schema are indexed.
fn weigh_filter(document: &Document, filter_bytes: u64) -> u64 {
    let projections = 1 + document.metadata.partition_specs().len() as u64;
    document.json.len() as u64 + filter_bytes * projections
}

/// Returns the table's id and the id of the principal, which a plan task is for.
fn holder(table: &ScanPermit) -> (Uuid, Option<Uuid>) {
    (table.record.id.0, table.principal().id().map(|id| id.0))
}

impl Planned {
    /// Returns the `CompletedPlanningWithIDResult`. `credentials` is the JSON of storage credentials.
    #[must_use]
    pub fn into_text(self, credentials: Option<&str>) -> Bytes {
        let mut text = format!("{{\"status\":\"completed\",\"plan-id\":\"{}\",", fresh_ordered_uuid()).into_bytes();
        text.extend_from_slice(&self.text);
        if !self.tokens.is_empty() {
            text.extend_from_slice(b",\"plan-tasks\":");
            text.extend_from_slice(serde_json::Value::from(self.tokens).to_string().as_bytes());
        }
        if let Some(credentials) = credentials {
            text.extend_from_slice(b",\"storage-credentials\":");
            text.extend_from_slice(credentials.as_bytes());
        }
        text.push(b'}');
        text.into()
    }
}

/// A begun answer: sends its other parts.
struct Rest {
    scan: Scan,
    sink: Sink,
    departure: Departure,
    measures: PlanningMeasures,
    /// Whether all tasks were sent, and the beginning of the delete files.
    has_tasks: bool,
}

/// Why an answer ended early.
enum Ended {
    Failed(PlanError),
    Departed,
}

impl Rest {
    /// Sends the parts within the deadline.
    async fn send(mut self, stops: Stops) {
        let sent = deadline::within(self.parts(&stops)).await;
        self.measures.count(self.scan.work().considered, self.scan.work().files);
        let Self { sink, departure, measures, .. } = self;
        drop(departure);
        let failure = match sent {
            Ok(Ok(())) => {
                if sink.end().await.is_err() {
                    measures.broken.inc();
                }
                return;
            }
            Ok(Err(Ended::Departed)) => None,
            Ok(Err(Ended::Failed(error))) => Some(error),
            Err(late) => Some(PlanError::Heavy(late.into())),
        };
        measures.broken.inc();
        if let Some(error) = failure {
            tracing::warn!(%error, "an answer with the files of a scan ended early");
            sink.fail(&error);
        }
    }

    async fn parts(&mut self, stops: &Stops) -> Result<(), Ended> {
        while !self.has_tasks {
            self.has_tasks = self.unless_departed(stops).await? == Pause::End;
            self.part(if self.has_tasks { DELETE_FILES } else { &[] }).await?;
        }
        while !self.scan.write_deletes(PART_BYTES).await.map_err(Ended::Failed)? {
            self.part(&[]).await?;
        }
        self.part(END).await
    }

    /// Makes the next part, unless the client departs meanwhile.
    async fn unless_departed(&mut self, stops: &Stops) -> Result<Pause, Ended> {
        tokio::select! {
            () = self.sink.departed() => Err(Ended::Departed),
            filled = self.scan.fill(stops, |_| true) => filled.map_err(Ended::Failed),
        }
    }

    /// Sends the text of the scan with `after` behind it.
    async fn part(&mut self, after: &[u8]) -> Result<(), Ended> {
        let mut text = self.scan.take_text();
        text.extend_from_slice(after);
        if text.is_empty() {
            return Ok(());
        }
        self.sink.send(text.into()).await.map_err(|_| Ended::Departed)
    }
}
