//! For tests: a deployment with an organisation, a time that is moved by hand, and a store that is watched.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;
use tempfile::TempDir;
use tidewater_core::access::Role;
use tidewater_core::ids::{KeyId, OrganisationId};
use tidewater_core::limits::{Tier, default_tiers};
use tidewater_core::name::{NamespaceIdent, TableIdent};
use uuid::Uuid;

use crate::clock::{Clock, fresh_uuid};
use crate::store::sqlite::SqliteStore;
use crate::store::*;

use super::{AuthSettings, Authenticator, Caller, entropy, issue_key};

/// 2026-08-01T12:00:00Z.
pub(crate) const NOON_MS: i64 = 1_785_585_600_000;

/// How a watched store behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// As it should.
    Up,
    /// It does nothing and fails.
    Down,
    /// It does what it is asked, and its answer is lost.
    Unheard,
}

/// A store that counts what it is asked, and fails on demand. It lets others run before it answers, as a network would.
pub(crate) struct Watched {
    inner: SqliteStore,
    mode: Mutex<Mode>,
    asked: Mutex<BTreeMap<&'static str, usize>>,
}

impl Watched {
    pub(crate) fn set(&self, mode: Mode) {
        *self.mode.lock() = mode;
    }

    /// How often a method was called.
    pub(crate) fn asked(&self, method: &str) -> usize {
        self.asked.lock().get(method).copied().unwrap_or(0)
    }

    /// How often any was.
    pub(crate) fn asked_at_all(&self) -> usize {
        self.asked.lock().values().sum()
    }

    async fn enter(&self, method: &'static str) -> Mode {
        *self.asked.lock().entry(method).or_default() += 1;
        tokio::task::yield_now().await;
        *self.mode.lock()
    }
}

macro_rules! watched {
    ($(fn $name:ident($($argument:ident: $kind:ty),*) -> $given:ty;)*) => {
        #[async_trait]
        impl Store for Watched {
            $(async fn $name(&self, $($argument: $kind),*) -> Result<$given> {
                let lost = || StoreError::Unavailable("the answer was lost".into());
                match self.enter(stringify!($name)).await {
                    Mode::Up => self.inner.$name($($argument),*).await,
                    Mode::Down => Err(lost()),
                    Mode::Unheard => {
                        self.inner.$name($($argument),*).await?;
                        Err(lost())
                    }
                }
            })*
        }
    };
}

watched! {
    fn ping() -> ();
    fn organisation_create(new: &Organisation) -> ();
    fn organisation_list() -> Vec<Organisation>;
    fn organisation_by_name(name: &str) -> Option<Organisation>;
    fn organisation_set_tier(id: OrganisationId, tier: &str) -> ();
    fn key_create(new: &ApiKey) -> ();
    fn key_list(organisation: OrganisationId) -> Vec<ApiKey>;
    fn key_by_digest(digest: &KeyDigest) -> Option<(ApiKey, Organisation)>;
    fn key_by_id(id: KeyId) -> Option<(ApiKey, Organisation)>;
    fn key_revoke(organisation: OrganisationId, id: KeyId, now_ms: i64) -> ();
    fn key_touch(last_used_ms: &[(KeyId, i64)]) -> ();
    fn signing_key_list() -> Vec<SigningKey>;
    fn signing_key_add(new: &SigningKey, only_if_none: bool) -> Vec<SigningKey>;
    fn signing_key_remove_before(created_before_ms: i64) -> u64;
    fn warehouse_create(new: &Warehouse) -> ();
    fn warehouse_list(organisation: OrganisationId) -> Vec<Warehouse>;
    fn warehouse_set_default(organisation: OrganisationId, name: &str) -> ();
    fn warehouse_drop(organisation: OrganisationId, name: &str) -> ();
    fn namespace_create(place: Place, namespace: &NamespaceIdent, properties: &Properties, receipt: Option<&Receipt>) -> ();
    fn namespace_get(place: Place, namespace: &NamespaceIdent) -> Option<Properties>;
    fn namespace_list(place: Place, parent: Option<&NamespaceIdent>, page: &PageRequest) -> Page<NamespaceIdent>;
    fn namespace_update_properties(
        place: Place, namespace: &NamespaceIdent, updates: &Properties, removals: &[String], receipt: Option<&Receipt>
    ) -> PropertyChanges;
    fn namespace_drop(place: Place, namespace: &NamespaceIdent, receipt: Option<&Receipt>) -> ();
    fn table_create(place: Place, new: &NewTable<'_>, max_tables: Option<u64>, receipt: Option<&Receipt>) -> ();
    fn table_get(place: Place, ident: &TableIdent) -> Option<TableRecord>;
    fn table_list(place: Place, namespace: &NamespaceIdent, kind: TableKind, page: &PageRequest) -> Page<String>;
    fn table_swap(place: Place, swap: &Swap<'_>, receipt: Option<&Receipt>) -> ();
    fn table_transact(
        place: Place, changes: Vec<TableChange>, max_tables: Option<u64>, receipt: Option<&Receipt>
    ) -> ();
    fn table_drop(place: Place, ident: &TableIdent, kind: TableKind, receipt: Option<&Receipt>) -> TableRecord;
    fn table_rename(
        place: Place, from: &TableIdent, to: &TableIdent, kind: TableKind, receipt: Option<&Receipt>
    ) -> ();
    fn receipt_get(organisation: OrganisationId, key: Uuid, now_ms: i64) -> Option<KeptAnswer>;
    fn receipt_add(organisation: OrganisationId, receipt: &Receipt, answer: &Answer) -> ();
    fn receipt_remove_expired(now_ms: i64, at_most: u32) -> u64;
    fn table_count(organisation: OrganisationId) -> u64;
    fn usage_take(organisation: OrganisationId, day: i64, wanted: u64, limit: Option<u64>) -> UsageTaken;
    fn usage_give_back(organisation: OrganisationId, day: i64, unspent: u64) -> ();
    fn usage_get(organisation: OrganisationId, day: i64) -> u64;
}

/// A deployment with the organisation `acme`.
pub(crate) struct World {
    pub(crate) store: Arc<Watched>,
    pub(crate) organisation: Organisation,
    pub(crate) tiers: BTreeMap<String, Tier>,
    now_ms: Arc<AtomicI64>,
    _folder: TempDir,
}

impl World {
    /// At noon, with the tiers of the product and these.
    pub(crate) async fn new(tier: &str, more_tiers: &[(&str, Tier)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let inner = SqliteStore::open(&folder.path().join("t.db")).unwrap();
        let store = Arc::new(Watched { inner, mode: Mutex::new(Mode::Up), asked: Mutex::default() });
        let organisation = organisation("acme", tier);
        store.organisation_create(&organisation).await.unwrap();
        let mut tiers = default_tiers();
        tiers.extend(more_tiers.iter().map(|(name, tier)| ((*name).to_owned(), tier.clone())));
        Self { store, organisation, tiers, now_ms: Arc::new(AtomicI64::new(NOON_MS)), _folder: folder }
    }

    pub(crate) fn clock(&self) -> Clock {
        Clock::Manual(Arc::clone(&self.now_ms))
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.now_ms.load(Ordering::SeqCst)
    }

    pub(crate) fn advance(&self, by_ms: i64) {
        self.now_ms.fetch_add(by_ms, Ordering::SeqCst);
    }

    /// One server of this deployment.
    pub(crate) fn server(&self) -> Arc<Authenticator> {
        let store: Arc<dyn Store> = self.store.clone();
        Arc::new(Authenticator::new(store, &self.tiers, self.clock(), &AuthSettings::default()))
    }

    /// A key of `acme`, and its text.
    pub(crate) async fn key(&self, role: Role, expires_ms: Option<i64>) -> (ApiKey, String) {
        self.key_of(self.organisation.id, role, expires_ms).await
    }

    pub(crate) async fn key_of(&self, owner: OrganisationId, role: Role, ends: Option<i64>) -> (ApiKey, String) {
        let random = entropy().unwrap();
        let issued = issue_key(&*self.store, owner, "a key", role, ends, self.now_ms(), &random).await;
        let (key, text) = issued.unwrap();
        (key, text.expose().clone())
    }

    /// Somebody of `acme`, signed in with a fresh key.
    pub(crate) async fn caller(&self) -> Arc<Caller> {
        let (_, text) = self.key(Role::Writer, None).await;
        self.server().authenticate(Some(bearer(&text).as_bytes())).await.unwrap()
    }

    pub(crate) async fn set_tier(&self, tier: &str) {
        self.store.organisation_set_tier(self.organisation.id, tier).await.unwrap();
    }
}

pub(crate) fn organisation(name: &str, tier: &str) -> Organisation {
    Organisation { id: OrganisationId(fresh_uuid()), name: name.to_owned(), tier: tier.to_owned(), created_ms: NOON_MS }
}

pub(crate) fn bearer(credential: &str) -> String {
    format!("Bearer {credential}")
}

/// A tier with so many requests a day.
pub(crate) fn limited(requests_per_day: u64) -> Tier {
    Tier { catalog: true, requests_per_day: Some(requests_per_day), max_tables: None }
}
