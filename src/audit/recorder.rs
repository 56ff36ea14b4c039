//! Takes records from requests, and writes them to the store in batches.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, oneshot};

use super::measures::{AuditMeasures, RecordLabels, SinkLabels};
use super::queue::{Queue, Waiting};
use super::repeats::{NoRoom, Owner, Repeats, Room};
use crate::background::Task;
use crate::base::clock::Clock;
use crate::config::AuditConfig;
use crate::store::{AuditDecision, AuditEntry, AuditRecord, AuditType, Store, StoreError};

/// The longest time that a record waits, and the most records in one transaction.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);
const BATCH: usize = 500;

/// How many refusals, or sign-ins, of an actor or address for the same operation and reason have records of their own, in which time.
const REFUSALS: u64 = 10;
const REFUSAL_PERIOD: Duration = Duration::from_secs(60);

/// How many kinds of refusals, and of reads and credentials, are told apart at a time: of all, and of one organisation or network.
const REFUSALS_TOLD_APART: Room = Room { all: 8_192, of_owner: 512, own_of_owner: 16 };
const ACCESSES_TOLD_APART: Room = Room { all: 16_384, of_owner: 4_096, own_of_owner: 64 };

/// How long a request waits for its record, if it may not be answered without.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// Bits of [`Audit::state`].
const RECORDS_READS: u8 = 1;
const STORE_FAILS: u8 = 2;
const FILE_FAILS: u8 = 4;
const SYSLOG_FAILS: u8 = 32;
const EXPORT_FAILS: u8 = FILE_FAILS | SYSLOG_FAILS;
const FAILS_CLOSED: u8 = 8;
const QUEUE_IS_FULL: u8 = 16;

/// A record could not be written in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the audit record of the request could not be written")]
pub struct NotRecorded;

/// Takes audit records, and writes them to the store.
pub struct Audit {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Clock,
    settings: RwLock<Arc<AuditConfig>>,
    /// What requests must know about it: the bits above.
    state: AtomicU8,
    queue: Mutex<Queue>,
    refusals: Repeats,
    accesses: Repeats,
    /// Hashes what repeated requests have in common, with a random key.
    marks: RandomState,
    wake: Arc<Notify>,
    /// Tells the export that waits for a sink.
    pub(super) settings_changed: Notify,
    /// The time of the oldest record that is not exported, by sink, in milliseconds since 1970.
    oldest_unexported: Mutex<BTreeMap<&'static str, Option<i64>>>,
    pub(super) measures: AuditMeasures,
}

impl Audit {
    /// Creates an empty queue over a store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Clock, settings: &AuditConfig) -> Self {
        let audit = Self {
            store,
            clock,
            settings: RwLock::new(Arc::new(settings.clone())),
            state: AtomicU8::new(0),
            queue: Mutex::default(),
            refusals: Repeats::new(REFUSALS, REFUSALS_TOLD_APART, NoRoom::Share),
            accesses: Repeats::new(1, ACCESSES_TOLD_APART, NoRoom::Record),
            marks: RandomState::new(),
            wake: Arc::default(),
            settings_changed: Notify::new(),
            oldest_unexported: Mutex::default(),
            measures: AuditMeasures::default(),
        };
        audit.set_settings(settings);
        audit
    }

    /// Replaces the settings.
    pub fn set_settings(&self, settings: &AuditConfig) {
        *self.settings.write() = Arc::new(settings.clone());
        self.set(RECORDS_READS, settings.reads);
        self.set(FAILS_CLOSED, settings.fail_closed);
        self.settings_changed.notify_waiters();
    }

    /// Returns the settings.
    #[must_use]
    pub fn settings(&self) -> Arc<AuditConfig> {
        Arc::clone(&self.settings.read())
    }

    /// Returns the metrics.
    #[must_use]
    pub const fn measures(&self) -> &AuditMeasures {
        &self.measures
    }

    /// Returns whether reads that succeed are recorded.
    #[must_use]
    #[inline]
    pub fn records_reads(&self) -> bool {
        self.state.load(Ordering::Relaxed) & RECORDS_READS != 0
    }

    /// Returns whether requests that must be recorded are refused now, because records cannot be written.
    #[must_use]
    #[inline]
    pub fn is_closed(&self) -> bool {
        let state = self.state.load(Ordering::Relaxed);
        state & FAILS_CLOSED != 0 && state & (STORE_FAILS | EXPORT_FAILS | QUEUE_IS_FULL) != 0
    }

    /// Returns whether records cannot be written or exported now.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.state.load(Ordering::Relaxed) & (STORE_FAILS | EXPORT_FAILS | QUEUE_IS_FULL) != 0
    }

    /// Returns which part does not take records, for messages.
    #[must_use]
    pub fn failing_part(&self) -> &'static str {
        let state = self.state.load(Ordering::Relaxed);
        match () {
            () if state & STORE_FAILS != 0 => "the database",
            () if state & EXPORT_FAILS != 0 => "the export to the file or to syslog",
            () => "the queue of records, which is full",
        }
    }

    fn fails_closed(&self) -> bool {
        self.state.load(Ordering::Relaxed) & FAILS_CLOSED != 0
    }

    /// Records whether the export to a sink fails.
    pub(super) fn set_export_fails(&self, sink: &'static str, fails: bool) {
        self.set(bit_of_sink(sink), fails);
        self.measures.export_failing.get_or_create(&SinkLabels { sink }).set(i64::from(fails));
    }

    /// Forgets the state of a sink that is not configured.
    pub(super) fn forget_export(&self, sink: &'static str) {
        self.set(bit_of_sink(sink), false);
        self.measures.export_failing.remove(&SinkLabels { sink });
        self.oldest_unexported.lock().remove(sink);
    }

    /// Records the time of the oldest record that is not exported to a sink.
    pub(super) fn set_oldest_unexported(&self, sink: &'static str, oldest_ms: Option<i64>) {
        self.oldest_unexported.lock().insert(sink, oldest_ms);
    }

    /// Returns the age of the oldest record that is not exported, in seconds, by sink. It grows also while the export waits for the sink.
    #[must_use]
    pub fn export_lag_s(&self) -> Vec<(&'static str, f64)> {
        let now_ms = self.clock.now_ms();
        let lag = |(sink, oldest_ms): (&&'static str, &Option<i64>)| {
            let lag_ms = oldest_ms.map_or(0, |oldest_ms| now_ms.saturating_sub(oldest_ms).max(0));
            (*sink, lag_ms as f64 / 1_000.0)
        };
        self.oldest_unexported.lock().iter().map(lag).collect()
    }

    fn set(&self, bit: u8, is_set: bool) {
        if is_set {
            self.state.fetch_or(bit, Ordering::Relaxed);
        } else {
            self.state.fetch_and(!bit, Ordering::Relaxed);
        }
    }

    /// Takes the record of a request that got nothing. Never waits: the time of an answer must not tell whether a hidden object exists.
    pub fn note(&self, record: AuditRecord) {
        let settings = self.settings();
        if let Some(record) = self.unless_repeated(record, &settings) {
            self.enqueue(record, None, settings.queue);
        }
    }

    /// Returns the record if it is not counted in another one.
    fn unless_repeated(&self, record: AuditRecord, settings: &AuditConfig) -> Option<AuditRecord> {
        let is_access = matches!(record.entry.kind, AuditType::Read | AuditType::Credentials);
        let (owner, key) = (owner(&record), self.mark(&record, is_access));
        let own = match is_access {
            true => self.accesses.note((owner, key), record, settings.repeat()),
            false => self.refusals.note((owner, key), record, REFUSAL_PERIOD),
        };
        if own.is_none() {
            self.measures.repeated.inc();
        }
        own
    }

    /// Takes a record. Repeated requests share records. If records must not be lost (`audit.fail_closed`), each has its own, and this waits
    /// until it is written: a killed process loses what it has only counted.
    ///
    /// # Errors
    /// `NotRecorded`, only if records must not be lost: it was not written in time, or nothing can be recorded now.
    pub async fn record(&self, record: AuditRecord) -> Result<(), NotRecorded> {
        if !self.fails_closed() {
            self.note(record);
            return Ok(());
        }
        if self.is_closed() {
            return Err(NotRecorded);
        }
        let settings = self.settings();
        let (written, is_written) = oneshot::channel();
        if !self.enqueue(record, Some(written), settings.queue) {
            return Err(NotRecorded);
        }
        self.wake.notify_one();
        match tokio::time::timeout(WRITE_TIMEOUT, is_written).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(NotRecorded),
        }
    }

    /// Returns a hash of what repeated requests have in common.
    fn mark(&self, record: &AuditRecord, is_access: bool) -> u64 {
        let AuditRecord { organisation, entry, .. } = record;
        let address = entry.address.map(network).filter(|_| entry.actor_id.is_none());
        let of_object = is_access.then_some((&entry.warehouse, &entry.object, &entry.object_type));
        let access = is_access.then(|| entry.details.get("access").map(ToString::to_string));
        let of_actor = (organisation, &entry.actor_type, entry.actor_id, entry.engine_id, address);
        // 0 is the key of those for which there is no room.
        self.hash((of_actor, &entry.operation, &entry.reason, entry.status, of_object, access)).max(1)
    }

    fn hash(&self, value: impl Hash) -> u64 {
        self.marks.hash_one(value)
    }

    fn enqueue(&self, record: AuditRecord, written: Option<oneshot::Sender<()>>, most: usize) -> bool {
        let mut queue = self.queue.lock();
        let is_taken = queue.add(Waiting { record, written }, most);
        let waiting = queue.len();
        drop(queue);
        self.measures.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        if !is_taken {
            self.measures.lost.inc();
        }
        self.set(QUEUE_IS_FULL, waiting >= most);
        if waiting >= BATCH {
            self.wake.notify_one();
        }
        is_taken
    }

    /// Writes all waiting records. Returns their number.
    ///
    /// # Errors
    /// Fails if the store does not answer. Unwritten records keep waiting.
    pub async fn write(&self) -> Result<u64, StoreError> {
        let settings = self.settings();
        let mut ended = self.refusals.ended(REFUSAL_PERIOD);
        ended.extend(self.accesses.ended(settings.repeat()));
        for record in ended {
            self.enqueue(record, None, settings.queue);
        }
        let mut written = 0;
        loop {
            let (mut batch, lost) = {
                let mut queue = self.queue.lock();
                (queue.take(BATCH), queue.take_lost())
            };
            batch.extend(lost.into_iter().map(|(organisation, count)| {
                let organisation_id = organisation.map(|organisation| organisation.to_string());
                tracing::error!(
                    organisation_id,
                    count,
                    "audit records arrived faster than they could be written, and are lost"
                );
                Waiting { record: self.lost(organisation, count), written: None }
            }));
            if batch.is_empty() {
                self.set(QUEUE_IS_FULL, false);
                self.heal().await?;
                return Ok(written);
            }
            written += self.write_batch(batch).await?;
        }
    }

    async fn write_batch(&self, batch: Vec<Waiting>) -> Result<u64, StoreError> {
        let records: Vec<_> = batch.iter().map(|waiting| waiting.record.clone()).collect();
        let added = self.store.audit_add(&records).await;
        self.set_store_fails(added.is_err());
        if let Err(error) = added {
            self.queue.lock().put_back(batch);
            return Err(error);
        }
        for Waiting { record, written } in batch {
            let labels = RecordLabels { kind: record.entry.kind.as_str(), decision: record.entry.decision.as_str() };
            self.measures.written.get_or_create(&labels).inc();
            // The request may have given up.
            written.map(|written| written.send(()));
        }
        let waiting = self.queue.lock().len();
        self.measures.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        self.set(QUEUE_IS_FULL, waiting >= self.settings().queue);
        Ok(records.len() as u64)
    }

    /// Finds out whether a store that failed takes records again, when none waits.
    async fn heal(&self) -> Result<(), StoreError> {
        if self.state.load(Ordering::Relaxed) & STORE_FAILS != 0 {
            self.store.ping().await?;
            self.set_store_fails(false);
        }
        Ok(())
    }

    fn set_store_fails(&self, fails: bool) {
        self.set(STORE_FAILS, fails);
        self.measures.store_failing.set(i64::from(fails));
    }

    /// Returns the record of lost records.
    fn lost(&self, organisation: Option<tidewater_core::ids::OrganisationId>, count: u64) -> AuditRecord {
        let mut entry = AuditEntry::new(AuditType::Lost, "lose-audit-records", AuditDecision::Allowed);
        entry.count = count;
        entry.message = Some(format!("{count} records were lost: they arrived faster than they could be written"));
        AuditRecord { id: 0, organisation, at_ms: self.clock.now_ms(), entry }
    }

    /// Writes everything, at the stop.
    async fn write_rest(&self) -> Result<u64, StoreError> {
        let most = self.settings().queue;
        for record in self.refusals.all().into_iter().chain(self.accesses.all()) {
            self.enqueue(record, None, most);
        }
        self.write().await
    }

    /// Returns the task that writes records. At the stop, it writes those that are left.
    pub fn write_task(self: &Arc<Self>) -> Task {
        let write = |audit: Arc<Self>, _| async move { Ok(audit.write().await?) };
        let last = |audit: Arc<Self>, _| async move { Ok(audit.write_rest().await?) };
        Task::every("audit-records", WRITE_INTERVAL, self, write).wake_on(Arc::clone(&self.wake)).last(self, last).while_failing(
            "New audit records wait in memory, up to audit.queue. With audit.fail_closed, requests that must be recorded are \
             refused: check the database and its disk",
        )
    }
}

/// Returns the organisation of a record or, if it has none, the network from which the request came.
fn owner(record: &AuditRecord) -> Owner {
    match (record.organisation, record.entry.address.map(|address| address.to_canonical())) {
        (Some(organisation), _) => Owner::Organisation(organisation),
        (None, Some(IpAddr::V4(address))) => Owner::Network((address.to_bits() >> 8).into()),
        (None, Some(IpAddr::V6(address))) => Owner::Network(address.to_bits() >> 80 << 80),
        (None, None) => Owner::Others,
    }
}

/// Returns the bit of [`Audit::state`] for a sink.
fn bit_of_sink(sink: &str) -> u8 {
    if sink == "file" { FILE_FAILS } else { SYSLOG_FAILS }
}

/// Returns the network of an address whose refusals count together: of IPv6 the /64, which one client may have all of.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::fresh_uuid;
    use crate::store::AuditFilter;
    use crate::store::faulty::{FaultyStore, Mode};

    struct Fixture {
        store: Arc<FaultyStore>,
        audit: Arc<Audit>,
        _folder: tempfile::TempDir,
    }

    impl Fixture {
        fn new(settings: &AuditConfig) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = Arc::new(FaultyStore::new(crate::store::open(&folder.path().join("t.db")).unwrap()));
            let audit = Arc::new(Audit::new(Arc::clone(&store) as _, Clock::System, settings));
            Self { store, audit, _folder: folder }
        }

        /// Returns the times of the stored records, the oldest first.
        async fn times(&self) -> Vec<i64> {
            let page = self.store.audit_list(None, &AuditFilter::default(), None, 1_000).await.unwrap();
            page.records.iter().rev().map(|record| record.at_ms).collect()
        }
    }

    /// Returns the record of a refusal that no other one repeats.
    fn record(at_ms: i64) -> AuditRecord {
        let mut entry = AuditEntry::new(AuditType::Refusal, "load-table", AuditDecision::Denied);
        entry.actor_id = Some(fresh_uuid());
        AuditRecord { id: 0, organisation: None, at_ms, entry }
    }

    fn closed() -> AuditConfig {
        AuditConfig { fail_closed: true, ..AuditConfig::default() }
    }

    #[tokio::test]
    async fn records_wait_in_order_while_the_store_fails_and_close_until_it_answers() {
        let fixture = Fixture::new(&closed());
        let audit = &fixture.audit;
        audit.note(record(1));
        fixture.store.set(Mode::Down);
        audit.write().await.unwrap_err();
        assert!(audit.is_closed());
        assert_eq!(audit.failing_part(), "the database");
        audit.note(record(2));
        audit.write().await.unwrap_err();
        fixture.store.set(Mode::Up);
        assert_eq!(audit.write().await.unwrap(), 2);
        assert!(!audit.is_closed());
        assert_eq!(fixture.times().await, [1, 2]);
    }

    #[tokio::test]
    async fn full_queue_closes_only_with_fail_closed_and_opens_when_it_is_written() {
        for fail_closed in [false, true] {
            let fixture = Fixture::new(&AuditConfig { queue: 4, fail_closed, ..AuditConfig::default() });
            let of = |organisation: u128| {
                let organisation = Some(tidewater_core::ids::OrganisationId(uuid::Uuid::from_u128(organisation)));
                AuditRecord { organisation, ..record(1) }
            };
            (1..=4).for_each(|organisation| fixture.audit.note(of(organisation)));
            assert_eq!(fixture.audit.is_closed(), fail_closed);
            fixture.audit.note(of(5));
            assert_eq!(fixture.audit.measures().lost.get(), 1);
            fixture.audit.write().await.unwrap();
            assert!(!fixture.audit.is_closed());
            assert_eq!(fixture.times().await.len(), 5, "four records, and one of the lost");
        }
    }

    #[tokio::test]
    async fn with_fail_closed_a_sign_in_waits_until_its_record_is_written() {
        let fixture = Fixture::new(&closed());
        let mut record = record(1);
        record.entry.kind = AuditType::SignIn;
        let audit = Arc::clone(&fixture.audit);
        let waiting = tokio::spawn(async move { audit.record(record).await });
        while fixture.audit.queue.lock().len() == 0 {
            tokio::task::yield_now().await;
        }
        assert!(!waiting.is_finished());
        fixture.audit.write().await.unwrap();
        assert_eq!(waiting.await.unwrap(), Ok(()));
    }

    #[tokio::test]
    async fn with_fail_closed_each_repeated_read_is_written_before_its_answer_and_none_is_only_counted() {
        let fixture = Fixture::new(&closed());
        let mut repeated = record(1);
        repeated.entry.kind = AuditType::Credentials;
        for _ in 0..5 {
            let (audit, record) = (Arc::clone(&fixture.audit), repeated.clone());
            let waiting = tokio::spawn(async move { audit.record(record).await });
            while fixture.audit.queue.lock().len() == 0 {
                tokio::task::yield_now().await;
            }
            fixture.audit.write().await.unwrap();
            assert_eq!(waiting.await.unwrap(), Ok(()));
        }
        assert_eq!(fixture.times().await.len(), 5);
        assert_eq!(fixture.audit.accesses.all().len(), 0);
        fixture.store.set(Mode::Down);
        fixture.audit.note(record(2));
        fixture.audit.write().await.unwrap_err();
        assert_eq!(fixture.audit.record(repeated).await, Err(NotRecorded), "also if the request was recorded before");
    }

    #[tokio::test(start_paused = true)]
    async fn with_fail_closed_a_record_that_is_not_written_in_time_is_an_error() {
        let fixture = Fixture::new(&closed());
        assert_eq!(fixture.audit.record(record(1)).await, Err(NotRecorded));
    }

    #[test]
    fn addresses_of_one_client_count_together() {
        let same = |first: &str, second: &str| network(first.parse().unwrap()) == network(second.parse().unwrap());
        assert!(same("2001:db8::1", "2001:db8::ffff:1") && same("::ffff:192.0.2.1", "192.0.2.1"));
        assert!(!same("2001:db8::1", "2001:db8:0:1::1") && !same("192.0.2.1", "192.0.2.2"));
    }
}
