//! A store for tests that counts calls and fails on demand, as a network or a full disk would make it fail.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tidewater_core::ids::{CatalogRoleId, KeyId, OrganisationId, PrincipalId, PrincipalRoleId, TableId, WarehouseId};
use tidewater_core::labels::{LabelFilter, LabelUpdate, Labels};
use tidewater_core::location::Location;
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::name_search::NameFilter;
use tidewater_core::request_limits::RequestLimits;
use tidewater_core::reserved_locations::Locations;
use tidewater_core::restrictions::Restriction;
use tidewater_core::upkeep::HealthSummary;
use uuid::Uuid;

use super::*;
use crate::base::measure::Calls;

/// How the store behaves from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It works.
    Up,
    /// Every call fails and changes nothing.
    Down,
    /// Every call is executed, and its answer is lost.
    Unheard,
}

/// What happens to the next change of a table's pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The change is not made, and the answer is lost.
    NotDone,
    /// The change is made, and the answer is lost.
    DoneUnheard,
    /// The change is not made, its answer is lost, and so is the answer of the next read of a pointer.
    NotDoneAndDeaf,
    /// The change is made, its answer is lost, and so is the answer of the next read of a pointer.
    DoneAndDeaf,
    /// Another process moves the pointer first.
    Overtaken,
    /// The database has no space left, and reports it.
    Full,
    /// The change is made, and the database's answer cannot be read.
    DoneUnreadable,
}

/// What happens before the next call with this name, and whether the call is made then.
type Before = (&'static str, BoxFuture<'static, Result<()>>);

/// Passes calls on to `inner`, except for the faults that a test sets, and counts them. Yields to other tasks before each call,
/// as a network would.
pub(crate) struct FaultyStore {
    inner: Arc<dyn Store>,
    mode: Mutex<Mode>,
    next: Mutex<Option<Fault>>,
    deaf: Mutex<bool>,
    calls: Mutex<BTreeMap<&'static str, usize>>,
    meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    before: Mutex<Option<Before>>,
    after_get: Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>,
    after_change: Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>,
}

impl FaultyStore {
    pub(crate) fn new(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            mode: Mutex::new(Mode::Up),
            next: Mutex::new(None),
            deaf: Mutex::new(false),
            calls: Mutex::default(),
            meanwhile: Mutex::new(None),
            before: Mutex::new(None),
            after_get: Mutex::new(None),
            after_change: Mutex::new(None),
        }
    }

    pub(crate) fn set(&self, mode: Mode) {
        *self.mode.lock() = mode;
    }

    pub(crate) fn fail_next(&self, fault: Fault) {
        *self.next.lock() = Some(fault);
    }

    /// Runs `happens` right before the next change of a table's pointer.
    pub(crate) fn meanwhile(&self, happens: impl FnOnce() + Send + 'static) {
        *self.meanwhile.lock() = Some(Box::new(happens));
    }

    /// Runs `happens` right before the next call of a method, which fails with its error.
    pub(crate) fn before_next(&self, method: &'static str, happens: impl Future<Output = Result<()>> + Send + 'static) {
        *self.before.lock() = Some((method, Box::pin(happens)));
    }

    /// Runs `happens` right after the next read of a pointer by name.
    pub(crate) fn after_next_table_get(&self, happens: impl Future<Output = ()> + Send + 'static) {
        *self.after_get.lock() = Some(Box::pin(happens));
    }

    /// Runs `happens` right after the next change of a table's pointer, before its answer arrives.
    pub(crate) fn after_next_change(&self, happens: impl Future<Output = ()> + Send + 'static) {
        *self.after_change.lock() = Some(Box::pin(happens));
    }

    /// Returns the number of calls of a method.
    pub(crate) fn call_count(&self, method: &str) -> usize {
        self.calls.lock().get(method).copied().unwrap_or(0)
    }

    /// Returns the number of calls of all methods.
    pub(crate) fn total_call_count(&self) -> usize {
        self.calls.lock().values().sum()
    }

    /// Runs a call with the faults that are set for it.
    async fn call_with_faults<T>(
        &self,
        method: &'static str,
        work: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        *self.calls.lock().entry(method).or_default() += 1;
        tokio::task::yield_now().await;
        let before = self.before.lock().take_if(|(of, _)| *of == method);
        if let Some((_, happens)) = before {
            happens.await?;
        }
        let mode = *self.mode.lock();
        match mode {
            Mode::Up => {}
            Mode::Down => return Err(lost()),
            Mode::Unheard => return work.await.and_then(|_| Err(lost())),
        }
        if matches!(method, "table_get" | "table_by_id") && std::mem::take(&mut *self.deaf.lock()) {
            return Err(lost());
        }
        let Some(overtaken) = overtaken(method) else {
            let answer = work.await;
            let is_read = matches!(method, "table_get" | "table_get_all");
            let happens = if is_read { self.after_get.lock().take() } else { None };
            if let Some(happens) = happens {
                happens.await;
            }
            return answer;
        };
        if let Some(happens) = self.meanwhile.lock().take() {
            happens();
        }
        let fault = self.next.lock().take();
        *self.deaf.lock() = matches!(fault, Some(Fault::NotDoneAndDeaf | Fault::DoneAndDeaf));
        let after = self.after_change.lock().take();
        let answer = match fault {
            None => work.await,
            Some(Fault::DoneUnheard | Fault::DoneAndDeaf) => work.await.and_then(|_| Err(lost())),
            Some(Fault::DoneUnreadable) => work.await.and_then(|_| Err(StoreError::Corrupt("the answer".into()))),
            Some(Fault::NotDone | Fault::NotDoneAndDeaf) => Err(lost()),
            Some(Fault::Overtaken) => Err(overtaken),
            Some(Fault::Full) => Err(StoreError::Full("no space left".into())),
        };
        if let Some(after) = after {
            after.await;
        }
        answer
    }
}

/// So that tests can call the store's methods without importing the trait of each resource.
impl Deref for FaultyStore {
    type Target = dyn Store;

    fn deref(&self) -> &Self::Target {
        self
    }
}

/// Returns the error of a change of a pointer that came too late; none for other methods.
fn overtaken(method: &str) -> Option<StoreError> {
    match method {
        "table_create" => Some(StoreError::AlreadyExists(Resource::Table)),
        "table_swap" => Some(StoreError::PointerMoved),
        "table_transact" => Some(StoreError::InTransaction { at: 0, error: Box::new(StoreError::PointerMoved) }),
        _ => None,
    }
}

fn lost() -> StoreError {
    StoreError::Unavailable("the answer was lost".into())
}

impl AccessGenerations for FaultyStore {
    fn access_generation(&self, organisation: OrganisationId, principal: PrincipalId) -> Arc<AtomicU64> {
        self.inner.access_generation(organisation, principal)
    }

    fn organisation_generation(&self, organisation: OrganisationId) -> Arc<AtomicU64> {
        self.inner.organisation_generation(organisation)
    }

    fn server_generation(&self) -> Arc<AtomicU64> {
        self.inner.server_generation()
    }

    fn change_count(&self) -> u64 {
        self.inner.change_count()
    }

    fn access_refresh(&self, organisation: Option<OrganisationId>) -> Option<BoxFuture<'_, Result<()>>> {
        self.inner.access_refresh(organisation)
    }
}

impl MeasuredStore for FaultyStore {
    fn calls(&self) -> Calls {
        self.inner.calls()
    }

    fn waiting_changes(&self) -> usize {
        self.inner.waiting_changes()
    }
}

macro_rules! stores_with_faults {
    ($($resource:ident { $(fn $name:ident($($argument:ident: $kind:ty),*) -> $given:ty;)* })*) => {$(
        #[async_trait]
        impl $resource for FaultyStore {
            $(async fn $name(&self, $($argument: $kind),*) -> Result<$given> {
                self.call_with_faults(stringify!($name), self.inner.$name($($argument),*)).await
            })*
        }
    )*};
}

stores_with_faults! {
    Store {
        fn ping() -> ();
        fn task_claim(task: &str, now_ms: i64, until_ms: i64) -> bool;
    }
    OrganisationStore {
        fn organisation_create(new: &Organisation, change: &Change) -> ();
        fn organisation_list() -> Vec<Organisation>;
        fn organisation_by_name(name: &str) -> Option<Organisation>;
        fn organisation_set_tier(id: OrganisationId, tier: &str, change: &Change) -> ();
    }
    KeyStore {
        fn key_create(new: &ApiKey, change: &Change) -> ();
        fn key_list(organisation: OrganisationId) -> Vec<ApiKey>;
        fn key_by_digest(digest: &KeyDigest) -> Option<(ApiKey, Organisation)>;
        fn key_by_id(id: KeyId) -> Option<(ApiKey, Organisation)>;
        fn key_revoke(organisation: OrganisationId, id: KeyId, change: &Change) -> ();
        fn key_touch(last_used_ms: &[(KeyId, i64)]) -> ();
    }
    UserStore {
        fn user_sign_in(sign_in: &UserSignIn, change: &Change) -> SignedInUser;
        fn user_get(organisation: OrganisationId, id: PrincipalId) -> Option<(User, Organisation)>;
        fn user_list(organisation: OrganisationId, page: &PageRequest) -> Page<User>;
        fn user_find(organisation: OrganisationId, named: &str) -> Vec<User>;
        fn user_update(organisation: OrganisationId, id: PrincipalId, update: UserUpdate, change: &Change) -> User;
        fn user_delete(organisation: OrganisationId, id: PrincipalId, change: &Change) -> ();
        fn user_touch(last_seen_ms: &[(OrganisationId, PrincipalId, i64)]) -> ();
    }
    OperatorStore {
        fn operator_create(new: &Operator, change: &Change) -> ();
        fn operator_list() -> Vec<Operator>;
        fn operator_by_digest(digest: &KeyDigest) -> Option<Operator>;
        fn operator_by_id(id: KeyId) -> Option<Operator>;
        fn operator_revoke(id: KeyId, change: &Change) -> ();
        fn operator_touch(last_used_ms: &[(KeyId, i64)]) -> ();
    }
    AdministrationStore {
        fn organisation_get(id: OrganisationId) -> Option<Organisation>;
        fn organisation_page(page: &PageRequest) -> Page<Organisation>;
        fn organisation_update(id: OrganisationId, update: &OrganisationUpdate, change: &Change) -> Organisation;
        fn organisation_delete(id: OrganisationId, deletion: Deletion, change: &Change) -> ();
        fn organisation_restore(id: OrganisationId, change: &Change) -> Organisation;
        fn organisation_due(now_ms: i64, at_most: u32) -> Vec<Organisation>;
        fn organisation_forget(id: OrganisationId, at_most: u32, change: &Change) -> Forgotten;
        fn key_update(organisation: OrganisationId, id: KeyId, update: &KeyUpdate, change: &Change) -> ApiKey;
        fn key_rotate(old: KeyId, ends_ms: i64, new: &ApiKey, change: &Change) -> ();
        fn key_usage_add(usage: &[KeyUsage]) -> ();
        fn key_usage_list(organisation: OrganisationId, from: i64, to: i64) -> Vec<KeyUsage>;
        fn usage_list(organisation: OrganisationId, from: i64, to: i64) -> Vec<(i64, u64)>;
    }
    SigningKeyStore {
        fn signing_key_list() -> Vec<SigningKey>;
        fn signing_key_add(new: &SigningKey, only_if_none: bool, change: &Change) -> Vec<SigningKey>;
        fn signing_key_remove_before(created_before_ms: i64, change: &Change) -> u64;
    }
    MasterKeyStore {
        fn master_key_get() -> Option<[u8; 16]>;
        fn master_key_set(fingerprint: [u8; 16], only_if_none: bool) -> ();
    }
    WarehouseStore {
        fn warehouse_create(new: &Warehouse, change: &Change) -> ();
        fn warehouse_list(organisation: OrganisationId) -> Vec<Warehouse>;
        fn warehouse_set_storage(organisation: OrganisationId, name: &str, storage: &WarehouseStorage, change: &Change) -> ();
        fn warehouse_reseal(warehouse_ref: WarehouseRef, from: &[u8], to: &[u8], change: &Change) -> bool;
        fn warehouse_set_options(organisation: OrganisationId, name: &str, options: &WarehouseOptionsUpdate, change: &Change) -> ();
        fn warehouse_set_default(organisation: OrganisationId, name: &str, change: &Change) -> ();
        fn warehouse_drop(organisation: OrganisationId, name: &str, change: &Change) -> ();
    }
    NamespaceStore {
        fn namespace_create(warehouse_ref: WarehouseRef, namespace: &NamespaceIdent, properties: &Properties, change: &Change) -> ();
        fn namespace_get(warehouse_ref: WarehouseRef, namespace: &NamespaceIdent) -> Option<Properties>;
        fn namespace_list(warehouse_ref: WarehouseRef, parent: Option<&NamespaceIdent>, page: &PageRequest) -> Arc<SharedPage<NamespaceIdent>>;
        fn namespace_update_properties(warehouse_ref: WarehouseRef, namespace: &NamespaceIdent, updates: &Properties, removals: &[String], limits: &RequestLimits, change: &Change) -> PropertyChanges;
        fn namespace_drop(warehouse_ref: WarehouseRef, namespace: &NamespaceIdent, change: &Change) -> ();
    }
    TableStore {
        fn table_create(warehouse_ref: WarehouseRef, new: &NewTable<'_>, max_tables: Option<u64>, change: &Change) -> ();
        fn table_get(warehouse_ref: WarehouseRef, ident: &TableIdent) -> Option<TableRecord>;
        fn table_by_id(warehouse_ref: WarehouseRef, id: TableId) -> Option<TableRecord>;
        fn table_get_all(warehouse_ref: WarehouseRef, idents: &[TableIdent]) -> Vec<Option<TableRecord>>;
        fn table_swap(warehouse_ref: WarehouseRef, swap: &Swap<'_>, change: &Change) -> ();
        fn table_undo(warehouse_ref: WarehouseRef, undo: &Undo<'_>, change: &Change) -> ();
        fn table_transact(warehouse_ref: WarehouseRef, changes: Vec<TableChange>, max_tables: Option<u64>, change: &Change) -> ();
        fn table_list(warehouse_ref: WarehouseRef, namespace: &NamespaceIdent, kind: TableKind, page: &PageRequest) -> Arc<SharedPage<String>>;
        fn table_drop(warehouse_ref: WarehouseRef, ident: &TableIdent, id: TableId, kind: TableKind, terms: Option<&DropTerms>, change: &Change) -> TableRecord;
        fn table_rename(warehouse_ref: WarehouseRef, from: &TableIdent, id: TableId, to: &TableIdent, kind: TableKind, change: &Change) -> ();
        fn table_count(organisation: OrganisationId) -> u64;
    }
    DroppedStore {
        fn dropped_list(warehouse_ref: WarehouseRef, filter: &DroppedFilter, page: &TimedPage) -> Page<Dropped>;
        fn dropped_get(warehouse_ref: WarehouseRef, id: TableId) -> Option<Dropped>;
        fn dropped_restore(warehouse_ref: WarehouseRef, restore: &Restore<'_>, max_tables: Option<u64>, change: &Change) -> ();
        fn dropped_remove(warehouse_ref: WarehouseRef, id: TableId, purge: Option<bool>, change: &Change) -> bool;
        fn dropped_forget_due(at_most: u32, change: &Change) -> u64;
        fn dropped_bring_forward(now_ms: i64, latest_ms: i64) -> u64;
        fn dropped_claim(now_ms: i64, until_ms: i64, at_most: u32) -> Vec<Dropped>;
        fn dropped_progress(organisation: OrganisationId, id: TableId, attempt: u32, progress: &Progress, change: &Change) -> bool;
    }
    LocationStore {
        fn location_check(warehouse_ref: WarehouseRef, id: TableId, locations: &Locations) -> ();
        fn location_alone(warehouse_ref: WarehouseRef, id: TableId, locations: &[Location]) -> Vec<Location>;
    }
    OldDocumentStore {
        fn table_origin(warehouse_ref: WarehouseRef, id: TableId) -> Option<String>;
        fn old_document_bring_forward(now_ms: i64, latest_ms: i64) -> u64;
        fn old_document_claim(now_ms: i64, until_ms: i64, organisations: u32, of_each: u32) -> Vec<OldDocument>;
        fn old_document_end(ended: &[EndedDocument]) -> ();
    }
    ReportStore {
        fn report_add(reports: &[Report], limits: ReportLimits) -> ();
        fn report_list(warehouse_ref: WarehouseRef, filter: &ReportFilter, page: &TimedPage) -> Page<KeptReport>;
        fn report_remove_before(before_ms: i64, at_most: u32) -> u64;
    }
    MaintenanceStore {
        fn policy_set(warehouse_ref: WarehouseRef, wanted: &PolicyChange<'_>, change: &Change) -> ();
        fn policy_list(organisation: OrganisationId) -> Vec<StoredPolicy>;
        fn policy_organisations() -> Vec<OrganisationId>;
        fn maintenance_states(organisation: OrganisationId, tables: &[TableId]) -> Vec<Option<MaintenanceState>>;
        fn health_summary(organisation: OrganisationId) -> HealthSummary;
        fn maintenance_claim(warehouse_ref: WarehouseRef, table: TableId, now_ms: i64, until_ms: i64) -> Option<MaintenanceLease>;
        fn maintenance_hold(lease: &MaintenanceLease, until_ms: i64) -> bool;
        fn run_add(run: &MaintenanceRun, most: u32) -> ();
        fn run_update(run: &MaintenanceRun) -> ();
        fn run_hold(runs: &[Uuid], until_ms: i64) -> ();
        fn run_abandon(now_ms: i64, at_most: u32) -> Vec<MaintenanceRun>;
        fn run_list(warehouse_ref: WarehouseRef, filter: &RunFilter, page: &TimedPage) -> Page<MaintenanceRun>;
        fn run_remove_before(before_ms: i64, at_most: u32) -> u64;
    }
    ReceiptStore {
        fn receipt_get(organisation: OrganisationId, principal: PrincipalId, key: Uuid, now_ms: i64) -> Option<KeptAnswer>;
        fn receipt_add(organisation: OrganisationId, receipt: &Receipt, answer: &Answer, now_ms: i64) -> ();
        fn receipt_remove_expired(now_ms: i64, at_most: u32) -> u64;
    }
    EventStore {
        fn event_list(organisation: Option<OrganisationId>, filter: &EventFilter, before: Option<i64>, limit: u32) -> EventPage;
        fn event_remove_before(before_ms: i64, at_most: u32) -> u64;
        fn event_surplus(most: u32) -> Vec<(OrganisationId, i64)>;
        fn event_remove_up_to(organisation: OrganisationId, last: i64, at_most: u32) -> u64;
    }
    AuditStore {
        fn audit_add(records: &[AuditRecord]) -> ();
        fn audit_list(organisation: Option<OrganisationId>, filter: &AuditFilter, before: Option<i64>, limit: u32) -> AuditPage;
        fn audit_sequence(at_most: u32) -> u64;
        fn audit_after(position: AuditPosition, limit: u32) -> AuditBatch;
        fn audit_waiting(position: AuditPosition) -> Option<i64>;
        fn audit_position(sink: &str) -> Option<AuditPosition>;
        fn audit_position_set(sink: &str, expected: Option<AuditPosition>, position: AuditPosition) -> bool;
        fn audit_remove_before(before_ms: i64, at_most: u32) -> u64;
        fn audit_surplus(most: u32) -> Vec<(Option<OrganisationId>, i64)>;
        fn audit_remove_up_to(organisation: Option<OrganisationId>, last: i64, at_most: u32) -> u64;
    }
    FeedStore {
        fn feed_sequence(at_most: u32) -> u64;
        fn feed_bounds(scope: FeedScope) -> FeedBounds;
        fn feed_read(scope: FeedScope, after: i64, at_most: u32) -> FeedPage;
        fn feed_changed(after: i64, at_most: u32) -> Vec<FeedScope>;
        fn consumer_ensure(scope: FeedScope, name: &str, start: FeedStart) -> Consumer;
        fn consumer_list() -> Vec<Consumer>;
        fn consumer_claim(scope: FeedScope, name: &str, holder: Uuid, lease: Duration) -> Claim;
        fn consumer_advance(scope: FeedScope, name: &str, holder: Uuid, position: i64, gap: bool) -> bool;
        fn consumer_postpone(scope: FeedScope, name: &str, holder: Uuid, attempts: u32, retry_ms: i64) -> bool;
        fn consumer_release(scope: FeedScope, name: &str, holder: Uuid) -> ();
        fn consumer_remove(scope: FeedScope, name: &str) -> ();
    }
    SubscriptionStore {
        fn subscription_create(new: &Subscription, most: u32, change: &Change) -> ();
        fn subscription_list(scope: FeedScope) -> Vec<Subscription>;
        fn subscription_find(scope: FeedScope, named: &str) -> Option<Subscription>;
        fn subscription_list_all() -> Vec<Subscription>;
        fn subscription_update(scope: FeedScope, id: Uuid, update: &SubscriptionUpdate, operation: Operation, change: &Change) -> Subscription;
        fn subscription_delete(scope: FeedScope, id: Uuid, change: &Change) -> ();
        fn subscription_note(scope: FeedScope, id: Uuid, health: &SubscriptionHealth) -> ();
        fn dead_letter_add(new: &DeadLetter, most: u32) -> u64;
        fn dead_letter_list(scope: FeedScope, subscription: Uuid, replay: bool, after: Option<&str>, at_most: u32) -> Vec<DeadLetter>;
        fn dead_letter_replay(scope: FeedScope, subscription: Uuid, events: Option<&[String]>) -> u64;
        fn dead_letter_remove(scope: FeedScope, subscription: Uuid, events: Option<&[String]>) -> u64;
        fn dead_letter_remove_before(before_ms: i64, at_most: u32) -> u64;
        fn dead_letter_replays(at_most: u32) -> Vec<Uuid>;
        fn dead_letter_count() -> u64;
    }
    GrantStore {
        fn principal_list(organisation: OrganisationId, page: &PageRequest) -> Page<PrincipalRecord>;
        fn principal_access(
            organisation: OrganisationId, principal: PrincipalId, selected: Option<Arc<[PrincipalRoleId]>>
        ) -> PrincipalAccess;
        fn access_counts(organisation: OrganisationId) -> AccessCounts;
        fn principal_roles(organisation: OrganisationId, principal: PrincipalId) -> Vec<PrincipalRole>;
        fn principal_role_create(organisation: OrganisationId, new: &PrincipalRole, change: &Change) -> ();
        fn principal_role_get(organisation: OrganisationId, name: &str) -> Option<PrincipalRole>;
        fn principal_role_list(organisation: OrganisationId, page: &PageRequest) -> Page<PrincipalRole>;
        fn principal_role_delete(organisation: OrganisationId, id: PrincipalRoleId, change: &Change) -> ();
        fn catalog_role_create(warehouse_ref: WarehouseRef, new: &CatalogRole, change: &Change) -> ();
        fn catalog_role_get(warehouse_ref: WarehouseRef, name: &str) -> Option<CatalogRole>;
        fn catalog_role_list(warehouse_ref: WarehouseRef, page: &PageRequest) -> Page<CatalogRole>;
        fn catalog_role_delete(warehouse_ref: WarehouseRef, id: CatalogRoleId, change: &Change) -> ();
        fn principal_role_assign(organisation: OrganisationId, role: PrincipalRoleId, principal: PrincipalId, assigned: bool, change: &Change) -> ();
        fn principal_role_members(organisation: OrganisationId, role: PrincipalRoleId, page: &PageRequest) -> Page<PrincipalRecord>;
        fn principal_role_list_of(organisation: OrganisationId, principal: PrincipalId, page: &PageRequest) -> Page<PrincipalRole>;
        fn catalog_role_assign(warehouse_ref: WarehouseRef, role: CatalogRoleId, principal_role: PrincipalRoleId, assigned: bool, change: &Change) -> ();
        fn catalog_role_members(warehouse_ref: WarehouseRef, role: CatalogRoleId, page: &PageRequest) -> Page<PrincipalRole>;
        fn catalog_role_list_of(warehouse_ref: WarehouseRef, principal_role: PrincipalRoleId, page: &PageRequest) -> Page<CatalogRole>;
        fn grant_add(warehouse_ref: WarehouseRef, role: CatalogRoleId, grant: &Grant, limit: u64, change: &Change) -> ();
        fn grant_revoke(warehouse_ref: WarehouseRef, role: CatalogRoleId, grant: &Grant, change: &Change) -> ();
        fn grant_list(warehouse_ref: WarehouseRef, role: CatalogRoleId) -> Vec<Grant>;
        fn table_list_owned(warehouse_ref: WarehouseRef, namespace: &NamespaceIdent, kind: TableKind, owner: PrincipalId, page: &PageRequest) -> Page<String>;
    }
    RestrictionStore {
        fn restriction_set(warehouse_ref: WarehouseRef, on: (TableId, PrincipalRoleId), restriction: &Restriction, limit: u64, change: &Change) -> ();
        fn restriction_remove(warehouse_ref: WarehouseRef, on: (TableId, PrincipalRoleId), change: &Change) -> ();
        fn restriction_get(warehouse_ref: WarehouseRef, on: (TableId, PrincipalRoleId)) -> Option<RestrictionRecord>;
        fn restriction_list(warehouse_ref: WarehouseRef, table: TableId, page: &PageRequest) -> Page<RestrictionRecord>;
        fn trusted_engine_set(organisation: OrganisationId, principal: PrincipalId, trusted: bool, change: &Change) -> ();
        fn trusted_engine_list(organisation: OrganisationId, page: &PageRequest) -> Page<PrincipalRecord>;
    }
    LabelStore {
        fn labels_update(warehouse_ref: WarehouseRef, on: &LabelledObject, update: &LabelUpdate, most_bytes: u64, change: &Change) -> Labels;
        fn labelled_list(warehouse_ref: WarehouseRef, filter: &LabelFilter, after: Option<TableId>, limit: u32) -> LabelledPage;
        fn tabular_list(warehouse_ref: WarehouseRef, namespace: &NamespaceIdent, after: &str, limit: u32) -> Page<LabelledTabular>;
        fn labels_of_namespaces(organisation: OrganisationId) -> Vec<(WarehouseId, NamespaceIdent, Labels)>;
    }
    SearchStore {
        fn namespaces_named(warehouse_ref: WarehouseRef, filter: &NameFilter) -> Vec<NamespaceIdent>;
        fn tabulars_named(warehouse_ref: WarehouseRef, filter: &NameFilter, after: Option<TableId>, limit: u32) -> NamedPage;
    }
    EntityStore {
        fn entity_get(organisation: OrganisationId, entities: &[Entity]) -> Vec<EntityDetails>;
        fn entity_set_properties(organisation: OrganisationId, entity: Entity, expected: Option<u64>, properties: &BTreeMap<String, String>, change: &Change) -> Option<EntityDetails>;
    }
    UsageStore {
        fn usage_take(organisation: OrganisationId, day: i64, wanted: u64, limit: Option<u64>) -> UsageTaken;
        fn usage_give_back(organisation: OrganisationId, day: i64, unspent: u64) -> ();
        fn usage_get(organisation: OrganisationId, day: i64) -> u64;
    }
}
