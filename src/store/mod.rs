//! Where the catalog remembers: organisations, keys, warehouses, namespaces, the pointer of every table, and usage.
//!
//! One method is one transaction: it happens whole or not at all, and no caller ever holds a connection. Names put the
//! resource first. Every method that concerns an organisation's things takes the organisation's id and can reach nothing
//! of another's. What a table's metadata says is not here, only where its current document is.

mod change;
mod dropped;
mod error;
mod events;
#[cfg(test)]
pub(crate) mod faulty;
mod locations;
mod old_documents;
mod records;
mod reports;
pub mod sqlite;
#[cfg(test)]
mod suite;

use std::sync::Arc;

use async_trait::async_trait;
use tidewater_core::ids::{KeyId, OrganisationId, TableId};
use tidewater_core::location::Location;
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::overlap::Locations;
use tidewater_core::request_limits::RequestLimits;
use uuid::Uuid;

pub use change::{Actor, Change};
pub use dropped::*;
pub use error::{Resource, StoreError};
pub use events::*;
pub use locations::*;
pub use old_documents::*;
pub use records::*;
pub use reports::*;
pub use tidewater_core::properties::PropertyChanges;

/// What every method gives.
pub type Result<T> = std::result::Result<T, StoreError>;

/// A place where the catalog remembers. Every implementation passes the same suite (`store/suite/`).
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
/// A change whose future is dropped may happen or not: it is handed over when the method is called first, and is never
/// half done. A read whose future is dropped has no effect.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Whether the store answers. Serves `GET /health`.
    async fn ping(&self) -> Result<()>;

    /// Adds an organisation.
    ///
    /// # Errors
    /// `AlreadyExists` when its name, or its id, is taken.
    async fn organisation_create(&self, new: &Organisation, change: &Change) -> Result<()>;

    /// All organisations, by name.
    async fn organisation_list(&self) -> Result<Vec<Organisation>>;

    /// The organisation of that name.
    async fn organisation_by_name(&self, name: &str) -> Result<Option<Organisation>>;

    /// Moves an organisation to another tier.
    ///
    /// # Errors
    /// `NotFound`.
    async fn organisation_set_tier(&self, id: OrganisationId, tier: &str, change: &Change) -> Result<()>;

    /// Adds a key.
    ///
    /// # Errors
    /// `NotFound` when the organisation does not exist; `AlreadyExists` when its id or its digest is taken.
    async fn key_create(&self, new: &ApiKey, change: &Change) -> Result<()>;

    /// All keys of an organisation, oldest first, the revoked included.
    async fn key_list(&self, organisation: OrganisationId) -> Result<Vec<ApiKey>>;

    /// The key with that digest, revoked or not, with its organisation: one read serves a sign-in.
    async fn key_by_digest(&self, digest: &KeyDigest) -> Result<Option<(ApiKey, Organisation)>>;

    /// The key with that id, revoked or not, with its organisation: one read serves a token.
    async fn key_by_id(&self, id: KeyId) -> Result<Option<(ApiKey, Organisation)>>;

    /// Revokes a key; a key that is revoked already keeps its first time.
    ///
    /// # Errors
    /// `NotFound` when the organisation has no such key.
    async fn key_revoke(&self, organisation: OrganisationId, id: KeyId, change: &Change) -> Result<()>;

    /// Notes when keys were last used; a time never goes back, unknown keys are passed over.
    async fn key_touch(&self, last_used_ms: &[(KeyId, i64)]) -> Result<()>;

    /// All keys that sign tokens, newest first.
    async fn signing_key_list(&self) -> Result<Vec<SigningKey>>;

    /// Adds a signing key unless there is one already and `only_if_none` is set, so that two processes that start
    /// together agree on one. Gives all, newest first.
    ///
    /// # Errors
    /// `AlreadyExists` (of a key) when its id is taken.
    async fn signing_key_add(&self, new: &SigningKey, only_if_none: bool, change: &Change) -> Result<Vec<SigningKey>>;

    /// Removes the signing keys made before `created_before_ms`, but never the newest. Gives how many went.
    async fn signing_key_remove_before(&self, created_before_ms: i64, change: &Change) -> Result<u64>;

    /// The fingerprint of the master key that the catalog's secrets are sealed with, if it is known.
    async fn master_key_get(&self) -> Result<Option<[u8; 16]>>;

    /// Keeps the fingerprint of the master key; with `only_if_none`, unless there is one.
    async fn master_key_set(&self, fingerprint: [u8; 16], only_if_none: bool) -> Result<()>;

    /// Adds a warehouse. It becomes its organisation's default if it is the first, or if it asks to, in place of the one
    /// that was.
    ///
    /// # Errors
    /// `AlreadyExists` when the organisation has one of that name or id, `NotFound` when there is no such organisation,
    /// `LocationTaken` when its root overlaps that of another, of whichever organisation.
    async fn warehouse_create(&self, new: &Warehouse, change: &Change) -> Result<()>;

    /// All warehouses of an organisation, by name.
    async fn warehouse_list(&self, organisation: OrganisationId) -> Result<Vec<Warehouse>>;

    /// Gives the warehouse of that name another way to its storage.
    ///
    /// # Errors
    /// `NotFound`; `LocationTaken` as for [`Self::warehouse_create`].
    async fn warehouse_set_storage(
        &self,
        organisation: OrganisationId,
        name: &str,
        storage: &WarehouseStorage,
        change: &Change,
    ) -> Result<()>;

    /// Gives the warehouse of that name other options.
    ///
    /// # Errors
    /// `NotFound`.
    async fn warehouse_set_options(
        &self,
        organisation: OrganisationId,
        name: &str,
        options: &WarehouseOptions,
        change: &Change,
    ) -> Result<()>;

    /// Makes the warehouse of that name its organisation's default.
    ///
    /// # Errors
    /// `NotFound`.
    async fn warehouse_set_default(&self, organisation: OrganisationId, name: &str, change: &Change) -> Result<()>;

    /// Removes a warehouse that holds no namespace, and nothing dropped that is not gone for good. Removing the default
    /// leaves the organisation without one.
    ///
    /// # Errors
    /// `NotFound`; `NotEmpty`.
    async fn warehouse_drop(&self, organisation: OrganisationId, name: &str, change: &Change) -> Result<()>;

    /// Adds a namespace.
    ///
    /// # Errors
    /// `AlreadyExists`; `NotFound` (of a namespace) when its parent does not exist, or (of a warehouse) when that is gone.
    async fn namespace_create(
        &self,
        place: Place,
        namespace: &NamespaceIdent,
        properties: &Properties,
        change: &Change,
    ) -> Result<()>;

    /// A namespace's properties, if there is such a namespace.
    async fn namespace_get(&self, place: Place, namespace: &NamespaceIdent) -> Result<Option<Properties>>;

    /// The namespaces directly below `parent`, or at the top, by name.
    ///
    /// # Errors
    /// `NotFound` when `parent` does not exist.
    async fn namespace_list(
        &self,
        place: Place,
        parent: Option<&NamespaceIdent>,
        page: &PageRequest,
    ) -> Result<Arc<Page<NamespaceIdent>>>;

    /// Sets and removes properties; what is in neither stays. (What is in both is removed, then set.)
    ///
    /// # Errors
    /// `NotFound`; `LimitExceeded` when the namespace would have more properties than it may.
    async fn namespace_update_properties(
        &self,
        place: Place,
        namespace: &NamespaceIdent,
        updates: &Properties,
        removals: &[String],
        limits: &RequestLimits,
        change: &Change,
    ) -> Result<PropertyChanges>;

    /// Removes a namespace that holds no namespace, table or view. What was dropped in it does not count.
    ///
    /// # Errors
    /// `NotFound`; `NotEmpty`.
    async fn namespace_drop(&self, place: Place, namespace: &NamespaceIdent, change: &Change) -> Result<()>;

    /// Adds a table or view that points at its first document.
    ///
    /// # Errors
    /// `NotFound` when the namespace does not exist; `AlreadyExists` with the kind of what has the name (tables and views
    /// share one name space), or of what has the id; and, when nothing else is wrong, `LimitReached` when the organisation
    /// has `max_tables` already (what is dropped does not count); `LocationTaken`, `LocationHeld` when a location of it is at,
    /// inside or around one of another table, live or dropped, or view; `LocationsUnread`. What was dropped at exactly its own
    /// location gives way (it is [`DroppedState::Replaced`] from then on), unless its files are being removed or are due to be.
    /// `BeingRemoved` when the document of a registered table is being removed as an old one of another.
    async fn table_create(
        &self,
        place: Place,
        new: &NewTable<'_>,
        max_tables: Option<u64>,
        change: &Change,
    ) -> Result<()>;

    /// The table or view of that name, with its pointer: one indexed read.
    async fn table_get(&self, place: Place, ident: &TableIdent) -> Result<Option<TableRecord>>;

    /// The table or view of that id, whatever its name is by now.
    async fn table_by_id(&self, place: Place, id: TableId) -> Result<Option<TableRecord>>;

    /// The tables or views of these names, in their order: an indexed read each, and no thread of the runtime waits for many.
    async fn table_get_all(&self, place: Place, idents: &[TableIdent]) -> Result<Vec<Option<TableRecord>>>;

    /// The tables, or the views, of a namespace, by name.
    ///
    /// # Errors
    /// `NotFound` when the namespace does not exist.
    async fn table_list(
        &self,
        place: Place,
        namespace: &NamespaceIdent,
        kind: TableKind,
        page: &PageRequest,
    ) -> Result<Arc<Page<String>>>;

    /// Moves a table's pointer from the document at `swap.expected` to the one at `swap.new`: in one atomic statement, where
    /// its locations stay as they are. Otherwise those have to be free that it did not reach before.
    ///
    /// # Errors
    /// `PointerMoved` when it points elsewhere by now; `NotFound` (of a table, whichever it was) when it is gone;
    /// `LocationTaken`, `LocationHeld`, `LocationsUnread`, `BeingRemoved` as for [`Self::table_create`].
    async fn table_swap(&self, place: Place, swap: &Swap<'_>, change: &Change) -> Result<()>;

    /// Takes back what [`Self::table_create`] or [`Self::table_swap`] did a moment ago, unless somebody has moved the pointer
    /// since: a table that was added is forgotten, another points where it pointed before. The answer that was kept with the
    /// change, under the key of the receipt, is forgotten in the same transaction.
    ///
    /// # Errors
    /// `PointerMoved`, `NotFound` (of a table) when others have changed or dropped it since; `LocationTaken`, `LocationHeld`,
    /// `LocationsUnread` when it cannot have its former locations again.
    async fn table_undo(&self, place: Place, undo: &Undo<'_>, change: &Change) -> Result<()>;

    /// Makes all of these changes at once, or none: whoever reads sees the catalog before them, or after. A location
    /// may pass from one table of the transaction to another.
    ///
    /// # Errors
    /// `InTransaction` with what [`Self::table_create`] or [`Self::table_swap`] would give for that one change;
    /// `LimitReached` when the organisation would have more than `max_tables` after all of them; `LocationsUnread`.
    async fn table_transact(
        &self,
        place: Place,
        changes: Vec<TableChange>,
        max_tables: Option<u64>,
        change: &Change,
    ) -> Result<()>;

    /// Takes a table or view out of its namespace: its name is free. With terms, it is kept as dropped, and a table's
    /// locations stay taken; without, it is forgotten, and the reports on it too. Gives what it was.
    ///
    /// # Errors
    /// `NotFound` when nothing of that kind has the name.
    async fn table_drop(
        &self,
        place: Place,
        ident: &TableIdent,
        kind: TableKind,
        terms: Option<&DropTerms>,
        change: &Change,
    ) -> Result<TableRecord>;

    /// Gives a table or view another name, in the same namespace or another of the warehouse.
    ///
    /// # Errors
    /// `NotFound` (of a table or view: the source; of a namespace: the target's); `AlreadyExists` with the kind of what
    /// has the target's name, be it the source itself.
    async fn table_rename(
        &self,
        place: Place,
        from: &TableIdent,
        to: &TableIdent,
        kind: TableKind,
        change: &Change,
    ) -> Result<()>;

    /// What was dropped in a warehouse and is not gone for good, the newest drop first.
    async fn dropped_list(&self, place: Place, filter: &DroppedFilter, page: &TimedPage) -> Result<Page<Dropped>>;

    /// What was dropped under that id, unless it is gone for good.
    async fn dropped_get(&self, place: Place, id: TableId) -> Result<Option<Dropped>>;

    /// Gives what was dropped its name back, or another. It is as it was, with its id and its reports, and a table's
    /// locations are its own still; what of them was not known before, and a view's, has to be free.
    ///
    /// # Errors
    /// `NotFound` of a table when nothing was dropped under the id, of a namespace when that does not exist;
    /// `NotRestorable` when its time is over, its files are being removed, or its place is taken; `AlreadyExists` with the kind of what has the
    /// name; `LimitReached`, `LocationTaken`, `LocationHeld`, `LocationsUnread` as for a table that is created.
    async fn dropped_restore(
        &self,
        place: Place,
        restore: &Restore<'_>,
        max_tables: Option<u64>,
        change: &Change,
    ) -> Result<()>;

    /// Ends what was dropped now. `purge` says whether a table's files are to be removed, in place of what its drop said.
    /// If so, that is due from now on, unless it was replaced; otherwise it is forgotten at once, or, where somebody is
    /// removing its files, once that has stopped. Gives whether it is forgotten.
    ///
    /// # Errors
    /// `NotFound` when nothing was dropped under the id.
    async fn dropped_remove(&self, place: Place, id: TableId, purge: Option<bool>, change: &Change) -> Result<bool>;

    /// Forgets what can no longer be restored at the time of the change and whose files stay, of all organisations, with the reports on
    /// it. Gives how many went.
    async fn dropped_forget_due(&self, at_most: u32, change: &Change) -> Result<u64>;

    /// Leases to the caller, until `until_ms`, tables whose files are to be removed, of all organisations: those whose time
    /// has come at `now_ms` and that nobody else has a lease of. From then on they cannot be restored.
    async fn dropped_claim(&self, now_ms: i64, until_ms: i64, at_most: u32) -> Result<Vec<Dropped>>;

    /// Notes how far the holder of a lease has come; `attempt` is the lease's number. Gives false, and does nothing, when
    /// another has the lease by now, or the table is gone.
    async fn dropped_progress(
        &self,
        organisation: OrganisationId,
        id: TableId,
        attempt: u32,
        progress: &Progress,
        change: &Change,
    ) -> Result<bool>;

    /// Whether a table that is to be could have these locations, as far as that can be said now. Takes none of them.
    ///
    /// # Errors
    /// `LocationTaken`, `LocationHeld`, `LocationsUnread` as for [`Self::table_create`].
    async fn location_check(&self, place: Place, id: TableId, locations: &Locations) -> Result<()>;

    /// Those of a table's locations that are surely at, inside and around none of another table or view, live or dropped.
    /// There are none while not all locations of all others are known.
    async fn location_alone(&self, place: Place, id: TableId, locations: &[Location]) -> Result<Vec<Location>>;

    /// Returns the last document of a table that the catalog did not write for it, where its files are now; none when it wrote
    /// all of them, or there is no such table.
    async fn table_origin(&self, place: Place, id: TableId) -> Result<Option<String>>;

    /// Leases to the caller, until `until_ms`, old documents of live tables that are due at `now_ms`: of as many organisations
    /// as it says, those that wait longest first, up to `of_each` of each. What belongs to no live table is forgotten.
    async fn old_document_claim(
        &self,
        now_ms: i64,
        until_ms: i64,
        organisations: u32,
        of_each: u32,
    ) -> Result<Vec<OldDocument>>;

    /// Ends leases of old documents. Passes over those that another has the lease of by now.
    async fn old_document_end(&self, ended: &[EndedDocument]) -> Result<()>;

    /// The warehouses, of all organisations, with tables or views from before their locations were kept, whose documents
    /// are to be read, or could not be.
    async fn location_unread_places(&self) -> Result<Vec<Place>>;

    /// Where the documents of those are, in the order of their ids; or, if `unreadable`, of those that could not be read.
    async fn location_unread(
        &self,
        place: Place,
        unreadable: bool,
        after: Option<TableId>,
        at_most: u32,
    ) -> Result<Vec<Pointer>>;

    /// Writes down what their documents say, of those whose pointers still lead to these documents. What is, is: nothing is
    /// refused. Gives those that overlap another.
    async fn location_learn(&self, place: Place, learned: Vec<Learned>) -> Result<Vec<TableId>>;

    /// Adds reports, but for those on tables that are gone for good. Where there are more than the limits allow after
    /// that, the oldest go.
    async fn report_add(&self, reports: &[Report], limits: ReportLimits) -> Result<()>;

    /// A warehouse's reports, the newest first.
    async fn report_list(&self, place: Place, filter: &ReportFilter, page: &TimedPage) -> Result<Page<KeptReport>>;

    /// Removes reports that came before `before_ms`, of all organisations. Gives how many went.
    async fn report_remove_before(&self, before_ms: i64, at_most: u32) -> Result<u64>;

    /// The answer that is kept under an organisation's key, with the request that it was given to, unless it has expired
    /// at `now_ms`.
    async fn receipt_get(&self, organisation: OrganisationId, key: Uuid, now_ms: i64) -> Result<Option<KeptAnswer>>;

    /// Keeps an answer that belongs to no change. `now_ms` tells whether an earlier one has expired.
    ///
    /// # Errors
    /// `Repeated` when one is kept already; `NotFound` when there is no such organisation.
    async fn receipt_add(
        &self,
        organisation: OrganisationId,
        receipt: &Receipt,
        answer: &Answer,
        now_ms: i64,
    ) -> Result<()>;

    /// Removes up to `at_most` receipts, of any organisation, that have expired at `now_ms`. Gives how many went.
    async fn receipt_remove_expired(&self, now_ms: i64, at_most: u32) -> Result<u64>;

    /// The events of an organisation, or of all and of the server itself, that fit a filter: the newest first, those before
    /// the event `before` if that is given.
    async fn event_list(
        &self,
        organisation: Option<OrganisationId>,
        filter: &EventFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<EventPage>;

    /// Removes up to `at_most` events, the oldest first, that are from before `before_ms`. Gives how many went.
    async fn event_remove_before(&self, before_ms: i64, at_most: u32) -> Result<u64>;

    /// The organisations that have more than `most` events, with the number of the newest event that is one too many.
    async fn event_surplus(&self, most: u32) -> Result<Vec<(OrganisationId, i64)>>;

    /// Removes up to `at_most` events of an organisation, the oldest first, up to the event `last`. Gives how many went.
    async fn event_remove_up_to(&self, organisation: OrganisationId, last: i64, at_most: u32) -> Result<u64>;

    /// How many tables and views an organisation has.
    async fn table_count(&self, organisation: OrganisationId) -> Result<u64>;

    /// Takes up to `wanted` requests from what `limit` leaves of an organisation's day, in one atomic statement.
    /// `day` counts from 1970-01-01 (UTC). Without a limit, all that is wanted is given, and counted. Gives how many were
    /// taken, which is less than `wanted`, down to none, when the day's budget ends, and the day's total after it.
    ///
    /// # Errors
    /// `NotFound` when there is no such organisation.
    async fn usage_take(
        &self,
        organisation: OrganisationId,
        day: i64,
        wanted: u64,
        limit: Option<u64>,
    ) -> Result<UsageTaken>;

    /// Gives back requests that were taken and not spent; the total never goes below none.
    async fn usage_give_back(&self, organisation: OrganisationId, day: i64, unspent: u64) -> Result<()>;

    /// How many requests were taken on a day.
    async fn usage_get(&self, organisation: OrganisationId, day: i64) -> Result<u64>;
}
