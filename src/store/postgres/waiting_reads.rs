//! The reads of pointers that have no answer yet.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use parking_lot::Mutex;
use tidewater_core::ids::OrganisationId;
use tidewater_core::name::TableIdent;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::store::{Result, TableRecord};

/// How long a statement counts as one of [`AT_ONCE`](super::together::AT_ONCE). Behind a slow one, other reads wait no longer than this, and then use other
/// connections.
const SLOW: Duration = Duration::from_millis(100);

pub(super) type Answer = Result<Option<TableRecord>>;

/// The reads of all organisations.
pub(super) struct Together {
    pub(super) organisations: Mutex<HashMap<OrganisationId, Reads>>,
    pub(super) slow: Duration,
}

impl Default for Together {
    fn default() -> Self {
        Self::new(SLOW)
    }
}

impl Together {
    /// Creates it with a time after which a statement no longer counts.
    pub(super) fn new(slow: Duration) -> Self {
        Self { organisations: Mutex::default(), slow }
    }

    /// Returns how many reads of an organisation have no answer, if no more than one waits for a shared statement.
    #[cfg(test)]
    pub(super) fn begun(&self, organisation: OrganisationId) -> usize {
        self.organisations.lock().get(&organisation).map_or(0, |reads| reads.sent + reads.waiting.len())
    }

    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.organisations.lock().is_empty()
    }
}

/// The reads of an organisation.
#[derive(Default)]
pub(super) struct Reads {
    /// The statements without an answer.
    pub(super) sent: usize,
    pub(super) waiting: VecDeque<Waiting>,
}

/// A read that waits for its statement.
pub(super) struct Waiting {
    pub(super) warehouse: Uuid,
    pub(super) ident: TableIdent,
    pub(super) gives: oneshot::Sender<Answer>,
}

impl Waiting {
    pub(super) fn bytes(&self) -> usize {
        self.ident.namespace.as_key().len() + self.ident.name().len()
    }
}
