//! The feed: all events in one stable order, and the consumers that read it.
//!
//! A position is a number that an event gets once. Positions ascend, and an event becomes visible after all events with lower positions.
//! So a reader that continues after its last position misses nothing. The events of one object have their own order.
//! Positions of an organisation's feed are those of the whole feed: they have holes.

use std::time::Duration;

use async_trait::async_trait;
use tidewater_core::ids::OrganisationId;
use uuid::Uuid;

use super::error::Result;
use super::events::Event;

/// The events that a reader gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FeedScope {
    /// Those of all organisations and of the server itself. Only operators may read them.
    All,
    /// Those of one organisation.
    Organisation(OrganisationId),
}

impl FeedScope {
    /// Returns the organisation, if the scope is one.
    #[must_use]
    pub const fn organisation(self) -> Option<OrganisationId> {
        match self {
            Self::All => None,
            Self::Organisation(organisation) => Some(organisation),
        }
    }
}

impl From<Option<OrganisationId>> for FeedScope {
    fn from(organisation: Option<OrganisationId>) -> Self {
        organisation.map_or(Self::All, Self::Organisation)
    }
}

/// The positions that a feed has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedBounds {
    /// The highest position of a removed event; 0 if none was removed. A reader after a lower position may miss events.
    pub removed: i64,
    /// The highest position that any event has got; 0 if none has. A reader after it gets new events only.
    pub latest: i64,
}

/// An event with its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedEvent {
    /// Its position.
    pub position: i64,
    /// The event.
    pub event: Event,
}

/// Events of a feed after a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedPage {
    /// The events by position. There are none if the reader has reached the end.
    pub events: Vec<FeedEvent>,
    /// The bounds of the feed at the time of the read. If `removed` is higher than the position that the reader continued after, events
    /// that it did not get were removed.
    pub bounds: FeedBounds,
}

/// Where a new consumer starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedStart {
    /// With the oldest event that is stored.
    Oldest,
    /// With the next change.
    Latest,
}

/// A reader of a feed whose progress is stored. One server at a time holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer {
    /// The events that it reads.
    pub scope: FeedScope,
    /// Its name, which is unique in its scope.
    pub name: String,
    /// Its progress: it has read all events up to here.
    pub position: i64,
    /// The lowest event id that it reads. Older events may get their position after the consumer was created.
    pub since_id: i64,
    /// How often events were removed before it read them.
    pub gaps: u64,
    /// The end of its lease by the clock of the database, in milliseconds since 1970. No server holds it later.
    pub held_until_ms: i64,
    /// How often the event after its position was sent without success.
    pub attempts: u32,
    /// When that event is sent again at the earliest, in milliseconds since 1970.
    pub retry_ms: i64,
}

impl Consumer {
    /// Returns whether the consumer reads an event of its feed.
    #[must_use]
    pub const fn reads(&self, event: &Event) -> bool {
        event.id >= self.since_id
    }
}

/// The result of a claim of a consumer's lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// The holder has the lease.
    Held(Consumer),
    /// Another holder has it for this long, unless it extends it.
    Taken(Duration),
    /// The consumer does not exist.
    Missing,
}

impl Claim {
    /// Returns the consumer, if the holder has the lease.
    #[must_use]
    pub fn held(self) -> Option<Consumer> {
        match self {
            Self::Held(consumer) => Some(consumer),
            Self::Taken(_) | Self::Missing => None,
        }
    }
}

/// Reads the feed, and stores the progress of its consumers.
///
/// A call whose future is dropped may have been executed or not, but never in part. Every change here may be repeated.
#[async_trait]
pub trait FeedStore: Send + Sync + 'static {
    /// Gives up to `at_most` events that have no position the next positions, lowest event ids first. Returns their number. A store
    /// whose events have positions from the start does nothing.
    async fn feed_sequence(&self, at_most: u32) -> Result<u64>;

    /// Returns the positions of a feed.
    async fn feed_bounds(&self, scope: FeedScope) -> Result<FeedBounds>;

    /// Reads up to `at_most` events with positions above `after`.
    async fn feed_read(&self, scope: FeedScope, after: i64, at_most: u32) -> Result<FeedPage>;

    /// Lists up to `at_most` scopes that have events above a position, by the organisations of these events; `All` stands for the server.
    async fn feed_changed(&self, after: i64, at_most: u32) -> Result<Vec<FeedScope>>;

    /// Creates a consumer that nobody holds. An existing one stays unchanged. Returns it.
    async fn consumer_ensure(&self, scope: FeedScope, name: &str, start: FeedStart) -> Result<Consumer>;

    /// Lists the consumers of all scopes.
    async fn consumer_list(&self) -> Result<Vec<Consumer>>;

    /// Takes or extends the lease of a consumer for a holder. It ends after `lease` by the clock of the database, so the clocks of servers may
    /// differ. A lease that ends later than after twice `lease` has ended: the clock was set back. In a store that only one process uses, a lease of another holder has always ended: its process is gone.
    async fn consumer_claim(&self, scope: FeedScope, name: &str, holder: Uuid, lease: Duration) -> Result<Claim>;

    /// Stores the progress of a consumer, and with `gap` that events were removed before it read them. Its attempts start anew. Returns
    /// false, and changes nothing, if another holder has taken it.
    async fn consumer_advance(
        &self,
        scope: FeedScope,
        name: &str,
        holder: Uuid,
        position: i64,
        gap: bool,
    ) -> Result<bool>;

    /// Stores the number of attempts to send the next event of a consumer, and when to send it again. Returns false, and changes nothing, if
    /// another holder has taken it.
    async fn consumer_postpone(
        &self,
        scope: FeedScope,
        name: &str,
        holder: Uuid,
        attempts: u32,
        retry_ms: i64,
    ) -> Result<bool>;

    /// Ends the lease of a holder, so that another can take the consumer at once.
    async fn consumer_release(&self, scope: FeedScope, name: &str, holder: Uuid) -> Result<()>;

    /// Removes a consumer with its progress.
    async fn consumer_remove(&self, scope: FeedScope, name: &str) -> Result<()>;
}
