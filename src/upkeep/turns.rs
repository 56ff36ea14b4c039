//! The turns of runs: a few places for each kind of run, for which organisations take turns.
//!
//! Rewrites and removals of files have places of their own: a rewrite that waits for its memory holds back no removal. A run waits
//! before it leases its table, so a table that waits for one kind of run is free for the other.

use std::sync::Arc;
use std::time::Duration;

use tidewater_core::ids::OrganisationId;
use tidewater_core::upkeep::MaintenanceOperation;

use crate::base::line::{Joined, Line, NoPlace, Place, Shares, Turn, Waiting};
use crate::store::MAX_QUEUED_MS;

/// The most rewrites at the same time: each may use all of their memory.
const REWRITES_AT_ONCE: usize = 1;

/// The most removals that people started at the same time. They do not wait for those of policies.
const BY_HAND_AT_ONCE: usize = 4;

/// The most runs that wait, of all organisations and of one.
const MOST_WAITING: Waiting = Waiting { of_all: 4_096, of_one: 64 };

/// How long a run waits for its turn.
const LONGEST_WAIT: Duration = Duration::from_millis(MAX_QUEUED_MS.unsigned_abs());

/// The kinds of runs, by what they use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// They write new files, with much memory.
    Rewrite,
    /// They read metadata and remove files.
    Removal,
}

impl Kind {
    /// All kinds.
    pub(super) const ALL: [Self; 2] = [Self::Rewrite, Self::Removal];

    /// Returns the kind of an operation.
    pub(super) const fn from_operation(operation: MaintenanceOperation) -> Self {
        match operation {
            MaintenanceOperation::CompactFiles
            | MaintenanceOperation::RewriteManifests
            | MaintenanceOperation::ComputeStatistics => Self::Rewrite,
            MaintenanceOperation::ExpireSnapshots | MaintenanceOperation::RemoveOrphanFiles => Self::Removal,
        }
    }

    /// Returns its operations, in the order in which they run.
    pub(super) fn operations(self) -> impl Iterator<Item = MaintenanceOperation> {
        MaintenanceOperation::ALL.iter().copied().filter(move |operation| Self::from_operation(*operation) == self)
    }

    /// Returns its name, as metrics have it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Rewrite => "rewrite",
            Self::Removal => "removal",
        }
    }
}

/// The places of runs on this server.
#[derive(Debug)]
pub(super) struct Turns {
    rewrites: Arc<Line>,
    removals: Arc<Line>,
    by_hand: Arc<Line>,
    removals_at_once: usize,
}

impl Turns {
    /// Creates the places. `removals_at_once` is for those of policies.
    pub(super) fn new(removals_at_once: usize) -> Self {
        let line = |places| Line::with_limits(places, Shares::all(places), MOST_WAITING);
        Self {
            rewrites: line(REWRITES_AT_ONCE),
            removals: line(removals_at_once),
            by_hand: line(BY_HAND_AT_ONCE),
            removals_at_once,
        }
    }

    /// Returns how many runs of a kind policies have at the same time.
    pub(super) const fn at_once(&self, kind: Kind) -> usize {
        match kind {
            Kind::Rewrite => REWRITES_AT_ONCE,
            Kind::Removal => self.removals_at_once,
        }
    }

    /// Returns how many runs of a kind wait.
    pub(super) fn waiting(&self, kind: Kind) -> usize {
        match kind {
            Kind::Rewrite => self.rewrites.waiting(),
            Kind::Removal => self.removals.waiting() + self.by_hand.waiting(),
        }
    }

    /// Waits for the turn of a run by policy.
    ///
    /// # Errors
    /// `Busy` and `TimedOut`: a later look tries again.
    pub(super) async fn enter(&self, kind: Kind, organisation: OrganisationId) -> Result<Place, NoPlace> {
        let line = match kind {
            Kind::Rewrite => &self.rewrites,
            Kind::Removal => &self.removals,
        };
        line.enter(Some(organisation), LONGEST_WAIT).await
    }

    /// Takes a place for a run that a person started, or joins those who wait.
    ///
    /// # Errors
    /// `Busy` if too many wait.
    pub(super) fn join_by_hand(&self, kind: Kind, organisation: OrganisationId) -> Result<Joined, NoPlace> {
        let line = match kind {
            Kind::Rewrite => &self.rewrites,
            Kind::Removal => &self.by_hand,
        };
        line.join(Some(organisation))
    }
}

/// Waits for a turn of a run that a person started.
///
/// # Errors
/// `TimedOut`.
pub(super) async fn wait(turn: Turn) -> Result<Place, NoPlace> {
    turn.wait(LONGEST_WAIT).await
}
