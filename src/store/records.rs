//! The records that a store takes and gives.

use std::collections::BTreeMap;

use tidewater_core::ids::{KeyId, OrganisationId, TableId, WarehouseId};
use tidewater_core::name::TableIdent;
use tidewater_core::overlap::Locations;
use tidewater_core::properties::PropertyChanges;
use tidewater_core::purge::PurgeTime;
use tidewater_core::storage::StorageProfile;
use uuid::Uuid;

use super::{EventDetails, Past};
use crate::secret::Secret;
use tidewater_core::access::Role;

/// Properties of a namespace.
pub type Properties = BTreeMap<String, String>;

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organisation {
    /// Its id.
    pub id: OrganisationId,
    /// Its name, which is unique.
    pub name: String,
    /// The name of its tier, as the configuration defines it.
    pub tier: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: i64,
    /// Whether it is served.
    pub standing: Standing,
}

impl Organisation {
    /// An organisation that is served.
    #[must_use]
    pub fn new(id: OrganisationId, name: impl Into<String>, tier: impl Into<String>, created_ms: i64) -> Self {
        Self { id, name: name.into(), tier: tier.into(), created_ms, standing: Standing::default() }
    }
}

/// Whether an organisation is served. It is while neither is set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Since when it is suspended, in milliseconds since 1970.
    pub suspended_ms: Option<i64>,
    /// When it is deleted, if that was asked for.
    pub deletion: Option<Deletion>,
}

/// How an organisation is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deletion {
    /// From when its rows are removed, in milliseconds since 1970. Until then it can be restored.
    pub after_ms: i64,
    /// Whether the files of its tables are removed too.
    pub purge: bool,
}

/// SHA-256 of an API key's text: all that is kept of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyDigest(pub [u8; 32]);

/// An API key without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its public id.
    pub id: KeyId,
    /// Whose it is.
    pub organisation: OrganisationId,
    /// What its owner calls it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Whether what is vended for it removes no files, whatever its role.
    pub no_delete: bool,
    /// How a presented key is recognised.
    pub digest: KeyDigest,
    /// When it was made, in milliseconds since 1970; as all times here.
    pub created_ms: i64,
    /// From when it is refused, if it ends.
    pub expires_ms: Option<i64>,
    /// When it was last used, to within a minute.
    pub last_used_ms: Option<i64>,
    /// Since when it is revoked, if it is.
    pub revoked_ms: Option<i64>,
}

/// A key that signs tokens.
#[derive(Debug, Clone)]
pub struct SigningKey {
    /// The `kid` in the header of a token.
    pub id: String,
    /// 32 random bytes.
    pub secret: Secret<[u8; 32]>,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: i64,
}

/// A storage root with its namespaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warehouse {
    /// Its id.
    pub id: WarehouseId,
    /// Whose it is.
    pub organisation: OrganisationId,
    /// Its name, unique in the organisation: the `warehouse` and the `prefix` of the API.
    pub name: String,
    /// Where its tables are put, as a canonical location.
    pub root: String,
    /// How its storage is reached.
    pub storage: WarehouseStorage,
    /// What can be chosen of it besides.
    pub options: WarehouseOptions,
    /// Whether requests without a prefix go to it.
    pub is_default: bool,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: i64,
}

/// What can be chosen of a warehouse.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WarehouseOptions {
    /// When the files of a table go that is dropped with a purge.
    pub purge: PurgeTime,
    /// Whether what is vended for its tables removes no files.
    pub no_delete: bool,
}

/// How a warehouse's storage is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarehouseStorage {
    /// Its settings.
    pub profile: StorageProfile,
    /// What the catalog signs in with, sealed; none where it takes what the machine has.
    pub sealed_credentials: Option<Vec<u8>>,
}

impl WarehouseStorage {
    /// The local disk.
    #[must_use]
    pub const fn local() -> Self {
        Self { profile: StorageProfile::File, sealed_credentials: None }
    }
}

/// A warehouse of an organisation: what every row of a catalog is under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// The organisation, from the verified key or token.
    pub organisation: OrganisationId,
    /// One of its warehouses.
    pub warehouse: WarehouseId,
}

/// Tables and views share one name space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TableKind {
    /// A table.
    Table,
    /// A view.
    View,
}

/// A table or view to be added.
#[derive(Debug, Clone)]
pub struct NewTable<'a> {
    /// The catalog's own id for it.
    pub id: TableId,
    /// Its name.
    pub ident: &'a TableIdent,
    /// Table or view.
    pub kind: TableKind,
    /// Where its first document is.
    pub metadata_location: &'a str,
    /// Where its files are.
    pub locations: &'a Locations,
    /// Whether its document was there before, so that the catalog did not write it for this table.
    pub registered: bool,
    /// What was asked for, for the event.
    pub details: &'a EventDetails,
}

/// What a store knows of a table or view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRecord {
    /// The catalog's own id of it.
    pub id: TableId,
    /// Table or view.
    pub kind: TableKind,
    /// Where its current document is: the pointer.
    pub metadata_location: String,
}

/// A move of a table's pointer.
#[derive(Debug, Clone)]
pub struct Swap<'a> {
    /// Which table.
    pub id: TableId,
    /// Where the pointer must be.
    pub expected: &'a str,
    /// Where it goes.
    pub new: &'a str,
    /// Where the table's files are from now on.
    pub locations: &'a Locations,
    /// What becomes of the documents before it.
    pub past: &'a Past,
    /// What was asked for, for the event.
    pub details: &'a EventDetails,
}

/// One of the changes of a transaction, each of another table.
#[derive(Debug, Clone)]
pub enum TableChange {
    /// Adds a table, as a [`NewTable`] says.
    Create {
        /// The catalog's own id for it.
        id: TableId,
        /// Its name.
        ident: TableIdent,
        /// Where its first document is.
        metadata_location: String,
        /// Where its files are.
        locations: Locations,
        /// What was asked for, for the event.
        details: EventDetails,
    },
    /// Moves a table's pointer, as a [`Swap`] says.
    Swap {
        /// Which table.
        id: TableId,
        /// Where the pointer must be.
        expected: String,
        /// Where it goes.
        new: String,
        /// Where the table's files are from now on.
        locations: Locations,
        /// What becomes of the documents before it.
        past: Past,
        /// What was asked for, for the event.
        details: EventDetails,
    },
    /// Changes nothing, and holds the transaction to what it read of the table.
    Keep {
        /// Which table.
        id: TableId,
        /// Where its pointer must be.
        expected: String,
    },
}

/// SHA-256 of a request: what a repeated one must be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestDigest(pub [u8; 32]);

/// What is to be kept with a change, so that the request for it can be repeated without changing anything again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The client's key.
    pub key: Uuid,
    /// What it asked for.
    pub request: RequestDigest,
    /// Until when, in milliseconds since 1970, a repeated request is told the same.
    pub expires_ms: i64,
}

/// What was answered, as it is kept for a repeated request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It was done; there is no more to say.
    Done,
    /// It was done, and this is the table's or view's document.
    Document(KeptDocument),
    /// What a change of properties did.
    Properties(PropertyChanges),
    /// It was not done.
    Said {
        /// The status.
        status: u16,
        /// All of the body.
        body: String,
    },
}

/// The document of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptDocument {
    /// Where it is.
    pub location: String,
    /// Which table's or view's it is; none in an answer from before this was kept.
    pub id: Option<TableId>,
}

impl Answer {
    /// That it was done, with the document of the table or view of that id.
    #[must_use]
    pub fn document(location: impl Into<String>, id: TableId) -> Self {
        Self::Document(KeptDocument { location: location.into(), id: Some(id) })
    }
}

/// What a caller did to a table a moment ago and takes back.
#[derive(Debug, Clone)]
pub struct Undo<'a> {
    /// Which table.
    pub id: TableId,
    /// Where its pointer must be still: where the caller put it.
    pub made: &'a str,
    /// Where the pointer was before, and the table's files; none for a table that the caller added.
    pub before: Option<(&'a str, &'a Locations)>,
}

/// An answer with the request that it was given to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// What was asked for.
    pub request: RequestDigest,
    /// What was answered.
    pub answer: Answer,
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// Only what comes after this name (a namespace's key, a table's name).
    pub after: Option<String>,
    /// At most so many; none means all.
    pub limit: Option<u32>,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// In the list's order: of their names, by bytes, unless it is by time.
    pub items: Vec<T>,
    /// Whether more come after these.
    pub more: bool,
}

/// What was taken of a day's budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageTaken {
    /// How many requests may be served for it.
    pub granted: u64,
    /// The day's total with these.
    pub total: u64,
}
