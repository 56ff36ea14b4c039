//! Answers that are kept with the idempotency keys of their requests.

use async_trait::async_trait;
use tidewater_core::ids::{OrganisationId, PrincipalId, TableId};
use tidewater_core::properties::PropertyChanges;
use uuid::Uuid;

use super::error::Result;

/// SHA-256 of a request: what a repeated one must be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestDigest(pub [u8; 32]);

/// What is to be kept with a change, so that the request for it can be repeated without changing anything again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The client's key.
    pub key: Uuid,
    /// What it asked for.
    pub request: RequestDigest,
    /// Until when, in milliseconds since 1970, a repeated request is told the same.
    pub expires_ms: i64,
}

/// What was answered, as it is kept for a repeated request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It was done; there is no more to say.
    Done,
    /// It was done, and this is the table's or view's document.
    Document(KeptDocument),
    /// What a change of properties did.
    Properties(PropertyChanges),
    /// It was not done.
    Said {
        /// The status.
        status: u16,
        /// All of the body.
        body: String,
    },
}

/// The document of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptDocument {
    /// Where it is.
    pub location: String,
    /// Which table's or view's it is.
    pub id: TableId,
    /// The principal that created the table or view, where it is there still.
    pub owner: Option<PrincipalId>,
}

impl Answer {
    /// That it was done, with the document of the table or view of that id.
    #[must_use]
    pub fn document(location: impl Into<String>, id: TableId) -> Self {
        Self::Document(KeptDocument { location: location.into(), id, owner: None })
    }
}

/// An answer with the request that it was given to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// What was asked for.
    pub request: RequestDigest,
    /// What was answered.
    pub answer: Answer,
}

/// Keeps answers that are kept for repeated requests.
///
/// A change whose future is dropped may happen or not, but never in part. A read whose future is dropped has no effect.
/// [`Self::receipt_get`] tells whether an answer was kept.
#[async_trait]
pub trait ReceiptStore: Send + Sync + 'static {
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
}
