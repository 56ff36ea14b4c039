//! Tables and views: names and pointers.

use std::sync::Arc;

use async_trait::async_trait;
use tidewater_core::ids::{OrganisationId, PrincipalId, TableId};
use tidewater_core::labels::Labels;
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::reserved_locations::Locations;

use super::change::Change;
use super::error::Result;
use super::events::EventDetails;
use super::old_documents::Past;
use super::pages::PageRequest;
use super::shared_page::SharedPage;
use super::table_kind::TableKind;
use super::warehouses::WarehouseRef;

/// Who wrote the document that a pointer is to lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The catalog, for this table or view.
    Catalog,
    /// Another catalog or tool: the document is registered. A commit never removes it, nor documents from before it.
    Foreign,
}

/// A table or view to be added.
#[derive(Debug, Clone)]
pub struct NewTable<'a> {
    /// Its id.
    pub id: TableId,
    /// Its name.
    pub ident: &'a TableIdent,
    /// Table or view.
    pub kind: TableKind,
    /// The location of its first document.
    pub metadata_location: &'a str,
    /// The locations of its files.
    pub locations: &'a Locations,
    /// Who wrote its document.
    pub origin: Origin,
    /// Details for the event.
    pub details: &'a EventDetails,
}

/// A table or view, without its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRecord {
    /// Its id.
    pub id: TableId,
    /// Table or view.
    pub kind: TableKind,
    /// The pointer: the location of its current document.
    pub metadata_location: String,
    /// The principal that created it. `None` if no key did.
    pub owner: Option<PrincipalId>,
    /// The labels that were set on it. `None` if there are none.
    pub labels: Option<Arc<Labels>>,
}

/// A move of a table's pointer.
#[derive(Debug, Clone)]
pub struct Swap<'a> {
    /// The table.
    pub id: TableId,
    /// The name that the table must still have. `None` if its name does not matter.
    pub ident: Option<&'a TableIdent>,
    /// The pointer that the store must have.
    pub expected: &'a str,
    /// The new pointer.
    pub new: &'a str,
    /// The locations of the table's files after the move.
    pub locations: &'a Locations,
    /// Who wrote the new document.
    pub origin: Origin,
    /// What happens to the documents before the new one.
    pub past: &'a Past,
    /// Details for the event.
    pub details: &'a EventDetails,
}

/// One change of a transaction. Each change is about a different table.
#[derive(Debug, Clone)]
pub enum TableChange {
    /// Adds a table.
    Create {
        /// Its id.
        id: TableId,
        /// Its name.
        ident: TableIdent,
        /// The location of its first document.
        metadata_location: String,
        /// The locations of its files.
        locations: Locations,
        /// Details for the event.
        details: EventDetails,
    },
    /// Moves a table's pointer.
    Swap {
        /// The table.
        id: TableId,
        /// The name that the table must still have. `None` if its name does not matter.
        ident: Option<TableIdent>,
        /// The pointer that the store must have.
        expected: String,
        /// The new pointer.
        new: String,
        /// The locations of the table's files after the move.
        locations: Locations,
        /// What happens to the documents before the new one.
        past: Past,
        /// Details for the event.
        details: EventDetails,
    },
    /// Changes nothing, but fails the transaction if the pointer has moved since the caller read it.
    Keep {
        /// The table.
        id: TableId,
        /// The name that the table must still have. `None` if its name does not matter.
        ident: Option<TableIdent>,
        /// The pointer that the store must have.
        expected: String,
    },
}

/// An undo of a change that the caller has just made to a table.
#[derive(Debug, Clone)]
pub struct Undo<'a> {
    /// The table.
    pub id: TableId,
    /// The pointer that the caller's change made, and that the store must still have.
    pub made: &'a str,
    /// The pointer and the locations before the change; none for a table that the change created.
    pub before: Option<(&'a str, &'a Locations)>,
}

/// The terms of a drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DropTerms {
    /// When the restore time ends, in milliseconds since 1970. It cannot be restored at all if this is not after the change.
    pub restorable_until_ms: i64,
    /// Whether its files are removed after that.
    pub purge: bool,
}

/// Stores tables and views: names and pointers.
///
/// A change whose future is dropped may happen or not, but never in part. A read whose future is dropped has no effect.
/// The pointer tells whether a change happened: [`Self::table_by_id`] reads it.
#[async_trait]
pub trait TableStore: Send + Sync + 'static {
    /// Adds a table or view that points at its first document.
    ///
    /// # Errors
    /// `NotFound` when the namespace does not exist; `AlreadyExists` with the kind of the object that has the name (tables and
    /// views share one name space) or the id; `BeingRemoved` when a server is removing the registered document as an old
    /// document of another table. When nothing else is wrong: `LimitReached` when the organisation has `max_tables` already
    /// (dropped ones do not count); `LocationTaken`, `LocationHeld` when a location of the new table overlaps one of another
    /// table, live or dropped, or of a view. A dropped table at exactly the new table's location gives way: it is
    /// [`DroppedState::Replaced`](super::DroppedState::Replaced) from then on, unless a purge is removing its files or is due.
    async fn table_create(
        &self,
        warehouse_ref: WarehouseRef,
        new: &NewTable<'_>,
        max_tables: Option<u64>,
        change: &Change,
    ) -> Result<()>;

    /// Returns the table or view with the name, in one indexed read.
    async fn table_get(&self, warehouse_ref: WarehouseRef, ident: &TableIdent) -> Result<Option<TableRecord>>;

    /// Returns the table or view with the id, whatever its present name is.
    async fn table_by_id(&self, warehouse_ref: WarehouseRef, id: TableId) -> Result<Option<TableRecord>>;

    /// Returns the tables or views with these names, in the same order: one indexed read each. Long lists do not block a thread of
    /// the runtime.
    async fn table_get_all(
        &self,
        warehouse_ref: WarehouseRef,
        idents: &[TableIdent],
    ) -> Result<Vec<Option<TableRecord>>>;

    /// Lists the tables, or the views, of a namespace, by name.
    ///
    /// # Errors
    /// `NotFound` when the namespace does not exist.
    async fn table_list(
        &self,
        warehouse_ref: WarehouseRef,
        namespace: &NamespaceIdent,
        kind: TableKind,
        page: &PageRequest,
    ) -> Result<Arc<SharedPage<String>>>;

    /// Moves a table's pointer from `swap.expected` to `swap.new`, in one atomic statement if its locations stay the same.
    /// Otherwise its additional locations have to be free.
    ///
    /// # Errors
    /// `PointerMoved` when the pointer, or the table's namespace or name, is another now, so that the caller has to find the table
    /// again by its name; `NotFound` (of a table, also for a view) when there is no such id; `LocationTaken`, `LocationHeld`,
    /// `BeingRemoved` as for [`Self::table_create`].
    async fn table_swap(&self, warehouse_ref: WarehouseRef, swap: &Swap<'_>, change: &Change) -> Result<()>;

    /// Undoes a [`Self::table_create`] or [`Self::table_swap`] that the caller has just made, unless the pointer has moved since. A
    /// created table is forgotten; a moved pointer returns to its former document. The same transaction forgets the answer that
    /// was stored under the key of the change's receipt.
    ///
    /// # Errors
    /// `PointerMoved`, `NotFound` (of a table) when the table was changed or dropped since; `LocationTaken`, `LocationHeld` when
    /// its former locations are not free any more.
    async fn table_undo(&self, warehouse_ref: WarehouseRef, undo: &Undo<'_>, change: &Change) -> Result<()>;

    /// Makes all of these changes, or none: a reader sees the catalog before or after all of them. A location may pass from one
    /// table of the transaction to another.
    ///
    /// # Errors
    /// `InTransaction` with the error that [`Self::table_create`] or [`Self::table_swap`] would return for the one change;
    /// `LimitReached` when the organisation would have more than `max_tables` after all of them.
    async fn table_transact(
        &self,
        warehouse_ref: WarehouseRef,
        changes: Vec<TableChange>,
        max_tables: Option<u64>,
        change: &Change,
    ) -> Result<()>;

    /// Drops a table or view and frees its name. With terms, the store keeps it as dropped, and a table's locations stay
    /// reserved. Without terms, the store forgets it, with the reports on it. Returns its last state.
    ///
    /// # Errors
    /// `NotFound` if no object of that id and kind has the name: it was dropped or renamed since the caller read it.
    async fn table_drop(
        &self,
        warehouse_ref: WarehouseRef,
        ident: &TableIdent,
        id: TableId,
        kind: TableKind,
        terms: Option<&DropTerms>,
        change: &Change,
    ) -> Result<TableRecord>;

    /// Renames a table or view, within its namespace or to another namespace of the warehouse.
    ///
    /// # Errors
    /// `NotFound` (of a table or view: the source, also when what has its name is of another id; of a namespace: the target's);
    /// `AlreadyExists` with the kind of what has the target's name, be it the source itself.
    async fn table_rename(
        &self,
        warehouse_ref: WarehouseRef,
        from: &TableIdent,
        id: TableId,
        to: &TableIdent,
        kind: TableKind,
        change: &Change,
    ) -> Result<()>;

    /// Returns the number of an organisation's tables and views, without dropped ones.
    async fn table_count(&self, organisation: OrganisationId) -> Result<u64>;
}
