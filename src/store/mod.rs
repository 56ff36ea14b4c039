//! The catalog's database: organisations, keys, warehouses, namespaces, the pointer of every table, and usage.
//!
//! Each method is one transaction: it happens completely or not at all, and no caller ever holds a connection. Names put
//! the resource first. Every method about an organisation's objects takes the organisation's id and reaches no object of
//! another organisation. The store holds the location of a table's current metadata document, not its content.

mod administration;
mod audit;
mod change;
mod copying;
mod dropped;
mod entities;
mod error;
mod events;
#[cfg(test)]
pub(crate) mod faulty;
mod feed;
mod grants;
mod inspected;
mod keys;
mod labels;
mod locations;
mod maintenance;
mod master_key;
mod namespaces;
mod object_name;
mod old_documents;
mod open;
mod operators;
mod organisations;
mod pages;
mod postgres;
mod receipts;
mod reports;
mod restrictions;
mod search;
mod shared_page;
mod signing_keys;
mod sqlite;
mod subscriptions;
#[cfg(test)]
pub(crate) mod suite;
mod table_kind;
mod tables;
mod usage;
mod users;
mod warehouses;

use async_trait::async_trait;

use crate::base::measure::Calls;

pub use administration::*;
pub use audit::*;
pub use change::*;
pub use copying::*;
pub use dropped::*;
pub use entities::*;
pub use error::*;
pub use events::*;
pub use feed::*;
pub use grants::*;
pub use inspected::*;
pub use keys::*;
pub use labels::*;
pub use locations::*;
pub use maintenance::*;
pub use master_key::*;
pub use namespaces::*;
pub use object_name::*;
pub use old_documents::*;
pub use open::*;
pub use operators::*;
pub use organisations::*;
pub use pages::*;
#[cfg(test)]
pub(crate) use postgres::TestSchema;
pub use receipts::*;
pub use reports::*;
pub use restrictions::*;
pub use search::*;
pub use shared_page::*;
pub use signing_keys::*;
pub use subscriptions::*;
pub use table_kind::*;
pub use tables::*;
pub use tidewater_core::properties::PropertyChanges;
pub use usage::*;
pub use users::*;
pub use warehouses::*;

/// All that the catalog stores: the sum of the traits of the resources. Every implementation passes the same suite
/// (`store/suite/`).
///
/// Any method may return [`StoreError::Unavailable`] when the database cannot be reached (a write may have happened if its
/// answer was lost), and [`StoreError::Corrupt`] when a value in the database cannot be read. Each method names its other
/// errors.
///
/// A change may also return [`StoreError::Full`] or [`StoreError::NotMade`] when the database surely did not make it. A change
/// of an organisation's objects may return [`StoreError::Busy`] when too many changes wait. In all three cases nothing was
/// changed.
///
/// A method that takes a [`Change`] writes an [`Event`] in its own transaction, unless nothing was changed. If the change has
/// a receipt, the same transaction stores it with the answer. If the receipt's key was used before and has not expired, the
/// method returns [`StoreError::Repeated`], whatever else is wrong, and changes nothing.
///
/// Each trait documents what happens when a future is dropped.
#[async_trait]
pub trait Store:
    OrganisationStore
    + KeyStore
    + UserStore
    + OperatorStore
    + AdministrationStore
    + SigningKeyStore
    + MasterKeyStore
    + WarehouseStore
    + NamespaceStore
    + TableStore
    + DroppedStore
    + LocationStore
    + OldDocumentStore
    + ReportStore
    + ReceiptStore
    + EventStore
    + FeedStore
    + SubscriptionStore
    + AuditStore
    + UsageStore
    + GrantStore
    + RestrictionStore
    + LabelStore
    + SearchStore
    + EntityStore
    + MaintenanceStore
    + AccessGenerations
    + MeasuredStore
{
    /// Returns `Ok` if the store answers. Serves `GET /ready`.
    async fn ping(&self) -> Result<()>;

    /// Claims the runs of a background task until `until_ms` for this server. Returns false if another server has claimed it, and
    /// always true in a store that only one process uses.
    ///
    /// A claim whose future is dropped may have been made: then no server runs the task until its end.
    async fn task_claim(&self, task: &str, now_ms: i64, until_ms: i64) -> Result<bool>;
}

/// Claims the run of a background task that every server begins once in `interval`, so that one of them does its work. If that server
/// is killed, another takes over after the interval.
///
/// # Errors
/// Fails if the store does not answer.
pub async fn claim_run(store: &dyn Store, task: &str, now_ms: i64, interval: std::time::Duration) -> Result<bool> {
    // A little less, because a server begins its runs a little early.
    let claimed_ms = i64::try_from((interval * 4 / 5).as_millis()).unwrap_or(i64::MAX);
    store.task_claim(task, now_ms, now_ms.saturating_add(claimed_ms)).await
}

/// Measures the calls to the database.
pub trait MeasuredStore {
    /// Returns the measurements: the operations are `read`, `list` and `change`.
    fn calls(&self) -> Calls;

    /// Returns how many changes of organisations wait for the database.
    fn waiting_changes(&self) -> usize;
}
