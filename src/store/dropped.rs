//! Records of what was dropped and is not gone for good yet.

use tidewater_core::ids::TableId;
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::overlap::Locations;

use super::{Place, TableKind};

/// What becomes of a table or view that is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DropTerms {
    /// Until when, in milliseconds since 1970, it can be restored; never, when this is not after the change.
    pub restorable_until_ms: i64,
    /// Whether its files are to be removed after that.
    pub purge: bool,
}

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
