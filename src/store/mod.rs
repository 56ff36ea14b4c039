//! Where the catalog remembers: organisations, keys, warehouses, namespaces, the pointer of every table, and usage.
//!
//! One method is one transaction: it happens whole or not at all, and no caller ever holds a connection. Names put the
//! resource first. Every method that concerns an organisation's things takes the organisation's id and can reach nothing
//! of another's. What a table's metadata says is not here, only where its current document is.

mod administration;
mod change;
mod dropped;
mod error;
mod events;
#[cfg(test)]
pub(crate) mod faulty;
mod grants;
mod keys;
mod locations;
mod master_key;
mod namespaces;
mod old_documents;
mod open;
mod operators;
mod organisations;
mod pages;
mod receipts;
mod reports;
mod signing_keys;
pub mod sqlite;
#[cfg(test)]
mod suite;
mod table_kind;
mod tables;
mod usage;
mod warehouses;

use async_trait::async_trait;

pub use administration::*;
pub use change::*;
pub use dropped::*;
pub use error::*;
pub use events::*;
pub use grants::*;
pub use keys::*;
pub use locations::*;
pub use master_key::*;
pub use namespaces::*;
pub use old_documents::*;
pub use open::*;
pub use operators::*;
pub use organisations::*;
pub use pages::*;
pub use receipts::*;
pub use reports::*;
pub use signing_keys::*;
pub use table_kind::*;
pub use tables::*;
pub use tidewater_core::properties::PropertyChanges;
pub use usage::*;
pub use warehouses::*;

/// Everything that the catalog keeps: the sum of what the traits of the resources keep. Every implementation passes the same
/// suite (`store/suite/`).
///
/// Errors that any method may give: [`StoreError::Unavailable`] when the database cannot be reached (for a write whose
/// answer was lost, it is unknown whether it happened), [`StoreError::Corrupt`] when what it holds cannot be read. Others are
/// named at each method.
///
/// A change may also give [`StoreError::Full`] or [`StoreError::NotMade`] when the database surely did not make it, and one of
/// an organisation's things [`StoreError::Busy`] when too many wait; nothing was changed then.
///
/// A method that takes a [`Change`] writes an [`Event`] of it in its own transaction, unless nothing was changed. When the
/// change has a receipt, that is kept in the same transaction, with what is answered. When the receipt's key was used before,
/// and has not expired, it gives [`StoreError::Repeated`] whatever else is wrong, and changes nothing.
///
/// What a dropped future means is said at each trait.
#[async_trait]
pub trait Store:
    OrganisationStore
    + KeyStore
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
    + UsageStore
    + GrantStore
    + AccessGenerations
{
    /// Whether the store answers. Serves `GET /health`.
    async fn ping(&self) -> Result<()>;
}
