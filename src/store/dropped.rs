//! Dropped tables and views that the store still keeps.

use async_trait::async_trait;
use tidewater_core::ids::{OrganisationId, PrincipalId, TableId};
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::reserved_locations::Locations;

use super::change::Change;
use super::error::Result;
use super::pages::{Page, TimedPage};
use super::table_kind::TableKind;
use super::warehouses::WarehouseRef;

/// The state of a dropped table or view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DroppedState {
    /// Its files are complete.
    Kept,
    /// A purge is removing its files.
    Removing,
    /// A purge has removed all files except the current document.
    Finishing,
    /// Its files cannot be removed; a person has to look.
    Blocked,
    /// Another table or view has its location: it cannot be restored, and its files stay.
    Replaced,
}

impl DroppedState {
    /// Returns the state's name, as stores and the API write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Removing => "removing",
            Self::Finishing => "finishing",
            Self::Blocked => "blocked",
            Self::Replaced => "replaced",
        }
    }
}

/// A dropped table or view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// The warehouse that it was in. A restore puts it back there.
    pub warehouse_ref: WarehouseRef,
    /// Its id, which a restore keeps.
    pub id: TableId,
    /// Its former name. Another table or view may have this name now.
    pub ident: TableIdent,
    /// Table or view.
    pub kind: TableKind,
    /// The principal that created it. `None` if no key did.
    pub owner: Option<PrincipalId>,
    /// The location of its last document.
    pub metadata_location: String,
    /// The canonical location of its files. No other table has files there, unless it was replaced.
    pub location: String,
    /// When it was dropped.
    pub dropped_ms: i64,
    /// When its restore time ends.
    pub restorable_until_ms: i64,
    /// Whether its files are removed after that. False during a removal means that the removal has to stop.
    pub purge: bool,
    /// Its state.
    pub state: DroppedState,
    /// The number of begun removals, which is also the number of the present lease.
    pub attempts: u32,
    /// When background work handles it next; none when it waits for a person.
    pub due_ms: Option<i64>,
    /// The last error, or the table or view that has its location.
    pub message: Option<String>,
}

impl Dropped {
    /// Returns why it cannot be restored at `now_ms`; none when it can be.
    #[must_use]
    pub fn not_restorable(&self, now_ms: i64) -> Option<String> {
        match self.state {
            DroppedState::Kept if now_ms < self.restorable_until_ms => None,
            DroppedState::Kept => Some("Its restore time is over".to_owned()),
            DroppedState::Removing | DroppedState::Finishing | DroppedState::Blocked => {
                Some("The removal of its files has begun".to_owned())
            }
            DroppedState::Replaced => {
                Some(self.message.clone().unwrap_or_else(|| "Its location was given to another".to_owned()))
            }
        }
    }

    /// Returns whether a server holds the lease to remove its files at `now_ms`.
    #[must_use]
    pub fn is_leased(&self, now_ms: i64) -> bool {
        let is_removed = matches!(self.state, DroppedState::Removing | DroppedState::Finishing);
        is_removed && self.attempts > 0 && self.message.is_none() && self.due_ms.is_some_and(|due_ms| now_ms < due_ms)
    }
}

/// Selects dropped tables and views. Unset fields select all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DroppedFilter {
    /// Only those directly in this namespace.
    pub namespace: Option<NamespaceIdent>,
    /// Only those with this name.
    pub name: Option<String>,
    /// Only of this kind.
    pub kind: Option<TableKind>,
}

/// A server's report about its removal of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The removal continues; this renews the lease.
    Continue {
        /// The lease's new end.
        until_ms: i64,
        /// Whether only the current document remains.
        finishing: bool,
    },
    /// The attempt failed, and another one is due later.
    Retry {
        /// When, in milliseconds since 1970.
        at_ms: i64,
        /// Why; none when nothing went wrong.
        message: Option<String>,
    },
    /// The removal is impossible.
    Blocked {
        /// Why.
        message: String,
    },
    /// The removal has stopped, since an administrator asked to keep the remaining files. The row goes.
    Stopped,
    /// All files are removed. The row goes, with the reports on the table.
    Gone,
}

/// A restore of a dropped table or view.
#[derive(Debug, Clone)]
pub struct Restore<'a> {
    /// The id of the dropped table or view.
    pub id: TableId,
    /// The name that the restore gives it.
    pub ident: &'a TableIdent,
    /// The locations that its document names. With none, the stored locations stay: the document was not read, or names
    /// locations that are not allowed any more.
    pub locations: Option<&'a Locations>,
}

/// Stores dropped tables and views.
///
/// A change whose future is dropped may happen or not, but never in part. A read whose future is dropped has no effect.
/// A claim whose future is dropped may have leased tables: they are claimed again when the lease ends.
#[async_trait]
pub trait DroppedStore: Send + Sync + 'static {
    /// Lists a warehouse's dropped tables and views, the newest drop first.
    async fn dropped_list(
        &self,
        warehouse_ref: WarehouseRef,
        filter: &DroppedFilter,
        page: &TimedPage,
    ) -> Result<Page<Dropped>>;

    /// Returns the dropped table or view with the id, if the store still keeps it.
    async fn dropped_get(&self, warehouse_ref: WarehouseRef, id: TableId) -> Result<Option<Dropped>>;

    /// Restores a dropped table or view under its former name or another, with its id and its reports. A table still has its
    /// reserved locations. Locations that the store did not know before, and those of a view, have to be free.
    ///
    /// # Errors
    /// `NotFound` (of a table) when no dropped table or view has the id, (of a namespace) when the namespace does not exist;
    /// `NotRestorable` when its restore time is over, a purge has begun, or it was replaced; `AlreadyExists` with the kind of the
    /// object that has the name; `LimitReached`, `LocationTaken`, `LocationHeld` as for a table that is created.
    async fn dropped_restore(
        &self,
        warehouse_ref: WarehouseRef,
        restore: &Restore<'_>,
        max_tables: Option<u64>,
        change: &Change,
    ) -> Result<()>;

    /// Ends the restore time of a dropped table or view now. `purge` says whether its files are to be removed, in place of the
    /// terms of its drop. With a purge, the removal of a table's files is due from now on, unless the table was replaced.
    /// Otherwise the row is forgotten at once, or when a removal in progress has stopped. Returns whether the row is forgotten.
    ///
    /// # Errors
    /// `NotFound` when no dropped table or view has the id.
    async fn dropped_remove(
        &self,
        warehouse_ref: WarehouseRef,
        id: TableId,
        purge: Option<bool>,
        change: &Change,
    ) -> Result<bool>;

    /// Forgets up to `at_most` dropped tables and views, of all organisations, whose restore time has ended at the time of the
    /// change and whose files stay, with their reports. Returns the number forgotten.
    async fn dropped_forget_due(&self, at_most: u32, change: &Change) -> Result<u64>;

    /// Leases to the caller, until `until_ms`, up to `at_most` tables of all organisations whose files are due for removal at
    /// `now_ms` and that no other server has leased. From then on they cannot be restored.
    async fn dropped_claim(&self, now_ms: i64, until_ms: i64, at_most: u32) -> Result<Vec<Dropped>>;

    /// Makes removals of files due at `now_ms` whose lease or pause ends after `latest_ms`: the clock was set back since. Returns their
    /// number.
    async fn dropped_bring_forward(&self, now_ms: i64, latest_ms: i64) -> Result<u64>;

    /// Records the progress of the holder of a lease; `attempt` is the lease's number. Returns false, and does nothing, when
    /// another server has the lease now, or the row is gone.
    async fn dropped_progress(
        &self,
        organisation: OrganisationId,
        id: TableId,
        attempt: u32,
        progress: &Progress,
        change: &Change,
    ) -> Result<bool>;
}
