//! Tables and views: names and pointers.

use std::sync::Arc;

use async_trait::async_trait;
use tidewater_core::ids::{OrganisationId, PrincipalId, TableId};
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::overlap::Locations;

use super::change::Change;
use super::error::Result;
use super::events::EventDetails;
use super::old_documents::Past;
use super::pages::{Page, PageRequest};
use super::table_kind::TableKind;
use super::warehouses::Place;

/// Who wrote a document that a table's or view's pointer is to lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The catalog, for this table or view.
    Catalog,
    /// Somebody else: the document is registered. Neither it nor what came before it is ever removed by a commit.
    Foreign,
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
    /// Who wrote its document.
    pub origin: Origin,
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
    /// The principal that created it, if a key did.
    pub owner: Option<PrincipalId>,
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
    /// Who wrote the document there.
    pub origin: Origin,
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

/// What becomes of a table or view that is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DropTerms {
    /// Until when, in milliseconds since 1970, it can be restored; never, when this is not after the change.
    pub restorable_until_ms: i64,
    /// Whether its files are to be removed after that.
    pub purge: bool,
}

/// Keeps tables and views: names and pointers.
///
/// A change whose future is dropped may happen or not, but never in part. A read whose future is dropped has no effect.
/// The pointer tells whether a change happened: [`Self::table_by_id`] reads it.
#[async_trait]
pub trait TableStore: Send + Sync + 'static {
    /// Adds a table or view that points at its first document.
    ///
    /// # Errors
    /// `NotFound` when the namespace does not exist; `AlreadyExists` with the kind of what has the name (tables and views
    /// share one name space), or of what has the id; and, when nothing else is wrong, `LimitReached` when the organisation
    /// has `max_tables` already (what is dropped does not count); `LocationTaken`, `LocationHeld` when a location of it is at,
    /// inside or around one of another table, live or dropped, or view. What was dropped at exactly its own
    /// location gives way (it is [`DroppedState::Replaced`](super::DroppedState::Replaced) from then on), unless its files are being removed or are due to be.
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
    /// `LocationTaken`, `LocationHeld`, `BeingRemoved` as for [`Self::table_create`].
    async fn table_swap(&self, place: Place, swap: &Swap<'_>, change: &Change) -> Result<()>;

    /// Takes back what [`Self::table_create`] or [`Self::table_swap`] did a moment ago, unless somebody has moved the pointer
    /// since: a table that was added is forgotten, another points where it pointed before. The answer that was kept with the
    /// change, under the key of the receipt, is forgotten in the same transaction.
    ///
    /// # Errors
    /// `PointerMoved`, `NotFound` (of a table) when others have changed or dropped it since; `LocationTaken`, `LocationHeld`
    /// when it cannot have its former locations again.
    async fn table_undo(&self, place: Place, undo: &Undo<'_>, change: &Change) -> Result<()>;

    /// Makes all of these changes at once, or none: whoever reads sees the catalog before them, or after. A location
    /// may pass from one table of the transaction to another.
    ///
    /// # Errors
    /// `InTransaction` with what [`Self::table_create`] or [`Self::table_swap`] would give for that one change;
    /// `LimitReached` when the organisation would have more than `max_tables` after all of them.
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

    /// How many tables and views an organisation has.
    async fn table_count(&self, organisation: OrganisationId) -> Result<u64>;
}
