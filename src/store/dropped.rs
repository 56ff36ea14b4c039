//! Dropped tables and views that are not gone for good.

use async_trait::async_trait;
use tidewater_core::ids::{OrganisationId, PrincipalId, TableId};
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::overlap::Locations;

use super::change::Change;
use super::error::Result;
use super::pages::{Page, TimedPage};
use super::table_kind::TableKind;
use super::warehouses::Place;

/// How far the end of something dropped has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DroppedState {
    /// All of it is there.
    Kept,
    /// Its files are being removed.
    Removing,
    /// Its files are gone but for its current document.
    Finishing,
    /// Its files cannot be removed: a person has to look.
    Blocked,
    /// Another table or view has taken its place: it cannot be restored, and its files stay.
    Replaced,
}

impl DroppedState {
    /// The state's name, as stores and the API write it.
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

/// A table or view that was dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// Where it was, and is restored to.
    pub place: Place,
    /// The catalog's own id of it, which it keeps.
    pub id: TableId,
    /// The name that it had. Something else may have it by now.
    pub ident: TableIdent,
    /// Table or view.
    pub kind: TableKind,
    /// The principal that created it, if a key did.
    pub owner: Option<PrincipalId>,
    /// Where its last document is.
    pub metadata_location: String,
    /// Where its files are, canonical. No other table's can be there, unless it was replaced.
    pub location: String,
    /// When it was dropped.
    pub dropped_ms: i64,
    /// Until when it can be restored.
    pub restorable_until_ms: i64,
    /// Whether its files are removed after that. False while they are being removed: that is to stop.
    pub purge: bool,
    /// How far that has come.
    pub state: DroppedState,
    /// How often it was begun; the number of the present lease.
    pub attempts: u32,
    /// When it is seen to next; none when nobody does by himself.
    pub due_ms: Option<i64>,
    /// What went wrong last, or who has taken its place.
    pub message: Option<String>,
}

impl Dropped {
    /// Why it cannot be restored at `now_ms`; none when it can.
    #[must_use]
    pub fn not_restorable(&self, now_ms: i64) -> Option<String> {
        match self.state {
            DroppedState::Kept if now_ms < self.restorable_until_ms => None,
            DroppedState::Kept => Some("Its time is over".to_owned()),
            DroppedState::Removing | DroppedState::Finishing | DroppedState::Blocked => {
                Some("The removal of its files has begun".to_owned())
            }
            DroppedState::Replaced => {
                Some(self.message.clone().unwrap_or_else(|| "Its location was given to another".to_owned()))
            }
        }
    }

    /// Whether somebody is removing its files at `now_ms`.
    #[must_use]
    pub fn is_leased(&self, now_ms: i64) -> bool {
        let is_removed = matches!(self.state, DroppedState::Removing | DroppedState::Finishing);
        is_removed && self.attempts > 0 && self.message.is_none() && self.due_ms.is_some_and(|due_ms| now_ms < due_ms)
    }
}

/// Which dropped tables and views are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DroppedFilter {
    /// Only those that were in this namespace itself.
    pub namespace: Option<NamespaceIdent>,
    /// Only those of that name.
    pub name: Option<String>,
    /// Only of this kind.
    pub kind: Option<TableKind>,
}

/// What to note of the removal of files, by who has its lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// It goes on: the lease is good until then.
    Continue {
        /// The lease's new end.
        until_ms: i64,
        /// Whether only the current document is left.
        finishing: bool,
    },
    /// It is to be tried again.
    Retry {
        /// When.
        at_ms: i64,
        /// Why; none when nothing went wrong.
        message: Option<String>,
    },
    /// It cannot be done.
    Blocked {
        /// Why.
        message: String,
    },
    /// It has stopped, since it was told to keep the files that are left: the row goes.
    Stopped,
    /// It is done: the row goes, and with it the reports on the table.
    Gone,
}

/// What is to be restored, and how.
#[derive(Debug, Clone)]
pub struct Restore<'a> {
    /// The catalog's own id of it.
    pub id: TableId,
    /// The name that it is given.
    pub ident: &'a TableIdent,
    /// Where its files are, as its document says; none when it was not read, or they are not allowed any more: then they
    /// stay as they are known.
    pub locations: Option<&'a Locations>,
}

/// Keeps dropped tables and views that are not gone for good.
///
/// A change whose future is dropped may happen or not, but never in part. A read whose future is dropped has no effect.
/// A claim whose future is dropped may have leased tables: they are claimed again when the lease ends.
#[async_trait]
pub trait DroppedStore: Send + Sync + 'static {
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
    /// name; `LimitReached`, `LocationTaken`, `LocationHeld` as for a table that is created.
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
}
