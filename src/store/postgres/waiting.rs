//! Requests that wait for a statement which they share, by organisation.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use parking_lot::Mutex;
use tidewater_core::ids::OrganisationId;
use tidewater_core::name::TableIdent;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::store::{Result, TableRecord};

/// How long a statement counts as one of those under way. Behind a slow one, other requests wait no longer than this, and then use other
/// connections.
const SLOW: Duration = Duration::from_millis(100);

/// The most waiting requests of an organisation. Further ones are sent alone, as far as there are connections.
const MOST_WAITING: usize = 2_048;

/// A request that waits for its statement.
pub(super) trait Waits {
    /// Returns whether its caller has left.
    fn is_left(&self) -> bool;

    /// Returns the size of its parameters in bytes.
    fn bytes(&self) -> usize;
}

/// The limits of statements that requests share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// The most statements of an organisation without an answer. With fewer, a request waits longer for its turn; with more, fewer requests
    /// share a statement.
    pub(super) at_once: usize,
    /// The most requests of one statement.
    pub(super) most: usize,
    /// The most bytes of parameters of one statement. A single request may have more.
    pub(super) most_bytes: usize,
}

/// The requests of all organisations.
pub(super) struct Together<W> {
    organisations: Mutex<HashMap<OrganisationId, Requests<W>>>,
    pub(super) slow: Duration,
}

/// The requests of an organisation.
struct Requests<W> {
    /// The statements without an answer.
    sent: usize,
    waiting: VecDeque<W>,
}

impl<W> Default for Together<W> {
    fn default() -> Self {
        Self::new(SLOW)
    }
}

impl<W> Together<W> {
    /// Creates it with a time after which a statement no longer counts.
    pub(super) fn new(slow: Duration) -> Self {
        Self { organisations: Mutex::new(HashMap::new()), slow }
    }

    /// Takes the right to send a statement, if fewer than `at_once` are under way or too many requests wait. Otherwise adds the request that `waits` makes to those that
    /// wait, and returns the other value that it makes.
    pub(super) fn begin<T>(
        &self,
        organisation: OrganisationId,
        at_once: usize,
        waits: impl FnOnce() -> (W, T),
    ) -> Option<T> {
        let mut organisations = self.organisations.lock();
        let empty = || Requests { sent: 0, waiting: VecDeque::new() };
        let requests = organisations.entry(organisation).or_insert_with(empty);
        if requests.sent < at_once || requests.waiting.len() >= MOST_WAITING {
            requests.sent += 1;
            return None;
        }
        let (request, other) = waits();
        requests.waiting.push_back(request);
        Some(other)
    }

    /// Returns how many requests wait.
    pub(super) fn waiting(&self) -> usize {
        self.organisations.lock().values().map(|requests| requests.waiting.len()).sum()
    }

    /// Returns how many requests of an organisation have no answer, if no more than one waits for a shared statement.
    #[cfg(test)]
    pub(super) fn begun(&self, organisation: OrganisationId) -> usize {
        self.organisations.lock().get(&organisation).map_or(0, |requests| requests.sent + requests.waiting.len())
    }

    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.organisations.lock().is_empty()
    }
}

impl<W: Waits> Together<W> {
    /// Takes the requests of the next statement, in their order. If none waits, the right to send it ends.
    pub(super) fn next(&self, organisation: OrganisationId, limits: Limits) -> Vec<W> {
        let mut organisations = self.organisations.lock();
        let Some(requests) = organisations.get_mut(&organisation) else { return Vec::new() };
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while let Some(request) = requests.waiting.pop_front() {
            if request.is_left() {
                continue;
            }
            bytes += request.bytes();
            if taken.len() == limits.most || (bytes > limits.most_bytes && !taken.is_empty()) {
                requests.waiting.push_front(request);
                break;
            }
            taken.push(request);
        }
        if taken.is_empty() {
            requests.sent -= 1;
            if requests.sent == 0 {
                organisations.remove(&organisation);
            }
        }
        taken
    }
}

pub(super) type ReadAnswer = Result<Option<TableRecord>>;

/// A read of a pointer.
pub(super) struct WaitingRead {
    pub(super) warehouse: Uuid,
    pub(super) ident: TableIdent,
    pub(super) gives: oneshot::Sender<ReadAnswer>,
}

impl Waits for WaitingRead {
    fn is_left(&self) -> bool {
        self.gives.is_closed()
    }

    fn bytes(&self) -> usize {
        self.ident.namespace.as_key().len() + self.ident.name().len()
    }
}

/// The result of a swap in a shared statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tried {
    /// The pointer was moved.
    Moved,
    /// The table has another pointer, other locations or another name. Nothing was changed.
    NotMoved,
    /// Nothing was changed, and the swap has to be sent alone: the table's row was locked or is missing, or the shared statement was refused.
    Not,
}

/// A swap of a pointer that keeps the table's locations.
pub(super) struct WaitingSwap {
    pub(super) row: SwapRow,
    pub(super) gives: oneshot::Sender<Result<Tried>>,
}

/// The values of a swap and its event.
pub(super) struct SwapRow {
    pub(super) warehouse: Uuid,
    pub(super) id: Uuid,
    pub(super) expected: String,
    pub(super) new: String,
    pub(super) own: String,
    pub(super) others: String,
    /// The name that the table must have. `None` if its name does not matter.
    pub(super) ident: Option<TableIdent>,
    pub(super) at_ms: i64,
    pub(super) actor_kind: &'static str,
    pub(super) actor_id: Option<Uuid>,
    pub(super) actor_name: Option<String>,
    pub(super) engine: Option<Uuid>,
    pub(super) engine_name: Option<String>,
    pub(super) request: Option<String>,
    pub(super) client: Option<String>,
    pub(super) details: String,
    /// Documents that leave the table's log: their keys, and when they are due.
    pub(super) removed: Vec<(Vec<u8>, String)>,
    pub(super) due_ms: i64,
}

impl Waits for WaitingSwap {
    fn is_left(&self) -> bool {
        self.gives.is_closed()
    }

    fn bytes(&self) -> usize {
        let SwapRow { expected, new, own, others, details, removed, .. } = &self.row;
        let removed: usize = removed.iter().map(|(key, document)| key.len() + document.len()).sum();
        expected.len() + new.len() + own.len() + others.len() + details.len() + removed
    }
}
