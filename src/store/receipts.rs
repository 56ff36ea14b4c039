//! Receipts: answers stored under the idempotency keys of their requests.

use async_trait::async_trait;
use tidewater_core::ids::{OrganisationId, PrincipalId, TableId};
use tidewater_core::properties::PropertyChanges;
use uuid::Uuid;

use super::error::Result;

/// SHA-256 of a request. A repeated request must have the same digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestDigest(pub [u8; 32]);

/// The record that the store keeps with a change, so that a repeated request changes nothing again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The principal that sends the request. Keys of different principals are apart.
    pub principal: PrincipalId,
    /// The client's key.
    pub key: Uuid,
    /// The digest of the request.
    pub request: RequestDigest,
    /// When it expires, in milliseconds since 1970. Until then a repeated request gets the same answer.
    pub expires_ms: i64,
}

/// The stored answer to a request, for its repetitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Success, without further content.
    Done,
    /// Success, with the document of the table or view.
    Document(KeptDocument),
    /// The result of a change of properties.
    Properties(PropertyChanges),
    /// A refusal, with the status and body that were sent.
    Refusal {
        /// The status.
        status: u16,
        /// The complete body.
        body: String,
    },
}

/// The document of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptDocument {
    /// The document's location.
    pub location: String,
    /// The id of the table or view.
    pub id: TableId,
    /// The principal that created the table or view. `None` if it no longer exists, or no key created it.
    pub owner: Option<PrincipalId>,
}

impl Answer {
    /// Creates the answer of a success with a document of the table or view `id`.
    #[must_use]
    pub fn document(location: impl Into<String>, id: TableId) -> Self {
        Self::Document(KeptDocument { location: location.into(), id, owner: None })
    }
}

/// A stored answer with the digest of its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// The digest of the request.
    pub request: RequestDigest,
    /// The answer.
    pub answer: Answer,
}

/// Stores answers for repeated requests.
///
/// A change whose future is dropped may happen or not, but never in part. A read whose future is dropped has no effect.
/// [`Self::receipt_get`] tells whether an answer was stored.
#[async_trait]
pub trait ReceiptStore: Send + Sync + 'static {
    /// Returns the answer that is stored under a principal's idempotency key, unless it has expired at `now_ms`.
    async fn receipt_get(
        &self,
        organisation: OrganisationId,
        principal: PrincipalId,
        key: Uuid,
        now_ms: i64,
    ) -> Result<Option<KeptAnswer>>;

    /// Stores an answer that belongs to no change. Replaces an earlier answer that has expired at `now_ms`.
    ///
    /// # Errors
    /// `Repeated` when the key has an answer already; `NotFound` when the organisation does not exist.
    async fn receipt_add(
        &self,
        organisation: OrganisationId,
        receipt: &Receipt,
        answer: &Answer,
        now_ms: i64,
    ) -> Result<()>;

    /// Removes up to `at_most` receipts of any organisation that have expired at `now_ms`. Returns the number removed.
    async fn receipt_remove_expired(&self, now_ms: i64, at_most: u32) -> Result<u64>;
}
