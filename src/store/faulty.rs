//! A store whose answers can be lost: what a network or a full disk does to any store, at a chosen moment.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use tidewater_core::ids::{KeyId, OrganisationId};
use tidewater_core::name::{NamespaceIdent, TableIdent};
use uuid::Uuid;

use super::*;

/// What happens to the next change of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It does not happen, and the answer is lost.
    NotDone,
    /// It happens, and the answer is lost.
    DoneUnheard,
    /// It does not happen, the answer is lost, and so is the next read.
    NotDoneAndDeaf,
    /// Another process moves the pointer first.
    Overtaken,
}

/// A store that works as another does until a fault is set.
pub(crate) struct FaultyStore {
    inner: Arc<dyn Store>,
    next: Mutex<Option<Fault>>,
    deaf: Mutex<bool>,
}

impl FaultyStore {
    pub(crate) fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, next: Mutex::new(None), deaf: Mutex::new(false) }
    }

    pub(crate) fn fail_next(&self, fault: Fault) {
        *self.next.lock() = Some(fault);
    }

    /// Makes the change, unless a fault is set that says otherwise.
    async fn perhaps(
        &self,
        change: impl Future<Output = Result<()>> + Send,
        overtaken: impl Fn() -> StoreError + Send,
    ) -> Result<()> {
        let fault = self.next.lock().take();
        *self.deaf.lock() = fault == Some(Fault::NotDoneAndDeaf);
        match fault {
            None => change.await,
            Some(Fault::DoneUnheard) => {
                change.await?;
                Err(lost())
            }
            Some(Fault::NotDone | Fault::NotDoneAndDeaf) => Err(lost()),
            Some(Fault::Overtaken) => Err(overtaken()),
        }
    }
}

fn lost() -> StoreError {
    StoreError::Unavailable("the answer was lost".into())
}

macro_rules! store_with_faults {
    ($(fn $name:ident($($argument:ident: $kind:ty),*) -> $given:ty;)*) => {
        #[async_trait]
        impl Store for FaultyStore {
            $(async fn $name(&self, $($argument: $kind),*) -> Result<$given> {
                self.inner.$name($($argument),*).await
            })*

            async fn table_get(&self, place: Place, ident: &TableIdent) -> Result<Option<TableRecord>> {
                if std::mem::take(&mut *self.deaf.lock()) {
                    return Err(lost());
                }
                self.inner.table_get(place, ident).await
            }

            async fn table_create(
                &self,
                place: Place,
                new: &NewTable<'_>,
                max_tables: Option<u64>,
                receipt: Option<&Receipt>,
            ) -> Result<()> {
                self.perhaps(self.inner.table_create(place, new, max_tables, receipt), || {
                    StoreError::AlreadyExists(Resource::Table)
                })
                .await
            }

            async fn table_swap(&self, place: Place, swap: &Swap<'_>, receipt: Option<&Receipt>) -> Result<()> {
                self.perhaps(self.inner.table_swap(place, swap, receipt), || StoreError::PointerMoved).await
            }

            async fn table_transact(
                &self,
                place: Place,
                changes: Vec<TableChange>,
                max_tables: Option<u64>,
                receipt: Option<&Receipt>,
            ) -> Result<()> {
                let overtaken = || StoreError::InTransaction { at: 0, error: Box::new(StoreError::PointerMoved) };
                self.perhaps(self.inner.table_transact(place, changes, max_tables, receipt), overtaken).await
            }
        }
    };
}

store_with_faults! {
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
    fn namespace_update_properties(place: Place, namespace: &NamespaceIdent, updates: &Properties, removals: &[String], receipt: Option<&Receipt>) -> PropertyChanges;
    fn namespace_drop(place: Place, namespace: &NamespaceIdent, receipt: Option<&Receipt>) -> ();
    fn table_list(place: Place, namespace: &NamespaceIdent, kind: TableKind, page: &PageRequest) -> Page<String>;
    fn table_drop(place: Place, ident: &TableIdent, kind: TableKind, receipt: Option<&Receipt>) -> TableRecord;
    fn table_rename(place: Place, from: &TableIdent, to: &TableIdent, kind: TableKind, receipt: Option<&Receipt>) -> ();
    fn receipt_get(organisation: OrganisationId, key: Uuid, now_ms: i64) -> Option<KeptAnswer>;
    fn receipt_add(organisation: OrganisationId, receipt: &Receipt, answer: &Answer) -> ();
    fn receipt_remove_expired(now_ms: i64, at_most: u32) -> u64;
    fn table_count(organisation: OrganisationId) -> u64;
    fn usage_take(organisation: OrganisationId, day: i64, wanted: u64, limit: Option<u64>) -> UsageTaken;
    fn usage_give_back(organisation: OrganisationId, day: i64, unspent: u64) -> ();
    fn usage_get(organisation: OrganisationId, day: i64) -> u64;
}
