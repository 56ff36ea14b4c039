//! A deployment for tests: an organisation, a manual clock, and a store that counts calls and fails on demand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tempfile::TempDir;
use tidewater_core::access::Role;
use tidewater_core::ids::{OrganisationId, WarehouseId};
use tidewater_core::limits::{Tier, default_tiers};

use crate::base::clock::{Clock, fresh_uuid};
use crate::config::IssuerConfig;
use crate::store::faulty::FaultyStore;
pub(crate) use crate::store::faulty::Mode;
use crate::store::{ApiKey, Change, Organisation, Store, Warehouse, WarehouseOptions, WarehouseStorage};

use super::{AuthSettings, Authenticator, Caller, CredentialSource, NewKey, entropy, issue_key};

/// 2026-08-01T12:00:00Z.
pub(crate) const NOON_MS: i64 = 1_785_585_600_000;

/// A deployment with the organisation `acme`.
pub(crate) struct World {
    pub(crate) store: Arc<FaultyStore>,
    pub(crate) organisation: Organisation,
    pub(crate) tiers: BTreeMap<String, Tier>,
    now_ms: Arc<AtomicI64>,
    _folder: TempDir,
}

impl World {
    /// Creates a deployment at noon, with the default tiers and `more_tiers`. The organisation has `tier`.
    pub(crate) async fn new(tier: &str, more_tiers: &[(&str, Tier)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let inner = crate::store::open(&folder.path().join("t.db")).unwrap();
        let store = Arc::new(FaultyStore::new(inner));
        let organisation = organisation("acme", tier);
        store.organisation_create(&organisation, &Change::by_catalog(0)).await.unwrap();
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

    /// Creates a server of this deployment.
    pub(crate) fn server(&self) -> Arc<Authenticator> {
        let store: Arc<dyn Store> = self.store.clone();
        Arc::new(Authenticator::new(store, &self.tiers, self.clock(), &AuthSettings::default()))
    }

    /// Creates a server of this deployment with identity providers.
    pub(crate) fn server_with(&self, issuers: Vec<IssuerConfig>) -> Arc<Authenticator> {
        let store: Arc<dyn Store> = self.store.clone();
        let settings = AuthSettings { issuers, ..AuthSettings::default() };
        Arc::new(Authenticator::new(store, &self.tiers, self.clock(), &settings))
    }

    /// Creates a key of `acme`. Returns it with its text.
    pub(crate) async fn key(&self, role: Role, expires_ms: Option<i64>) -> (ApiKey, String) {
        self.key_of(self.organisation.id, role, expires_ms).await
    }

    pub(crate) async fn key_of(&self, owner: OrganisationId, role: Role, ends: Option<i64>) -> (ApiKey, String) {
        let random = entropy().unwrap();
        let name = format!("key {}", fresh_uuid());
        let new = NewKey { name: &name, role, no_delete: false, expires_ms: ends };
        let issued = issue_key(&*self.store, owner, &new, &Change::by_catalog(self.now_ms()), &random).await;
        let (key, text) = issued.unwrap();
        (key, text.expose().clone())
    }

    /// Returns a caller of `acme` with a new key.
    pub(crate) async fn caller(&self) -> Arc<Caller> {
        let (_, text) = self.key(Role::Writer, None).await;
        self.server().authenticate(Some(bearer(&text).as_bytes()), CredentialSource::default()).await.unwrap()
    }

    pub(crate) async fn set_tier(&self, tier: &str) {
        self.store.organisation_set_tier(self.organisation.id, tier, &Change::by_catalog(0)).await.unwrap();
    }
}

pub(crate) fn organisation(name: &str, tier: &str) -> Organisation {
    Organisation::new(OrganisationId(fresh_uuid()), name, tier, NOON_MS)
}

/// Returns a warehouse that is not stored yet.
pub(crate) fn warehouse(organisation: OrganisationId) -> Warehouse {
    Warehouse {
        id: WarehouseId(fresh_uuid()),
        organisation,
        name: "lake".to_owned(),
        root: "file:///srv/lake".to_owned(),
        storage: WarehouseStorage::local(),
        options: WarehouseOptions::default(),
        is_default: true,
        created_ms: NOON_MS,
    }
}

pub(crate) fn bearer(credential: &str) -> String {
    format!("Bearer {credential}")
}

/// Returns a tier with a daily limit of requests.
pub(crate) fn limited(requests_per_day: u64) -> Tier {
    Tier { requests_per_day: Some(requests_per_day), ..Tier::default() }
}
