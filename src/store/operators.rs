//! Operators: their records and their store.

use async_trait::async_trait;
use tidewater_core::ids::KeyId;

use super::{Change, KeyDigest, Result};

/// An operator, without the secret of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Its id.
    pub id: KeyId,
    /// Its name, unique among operators that are not revoked.
    pub name: String,
    /// The digest of its key.
    pub digest: KeyDigest,
    /// When it was created. All times here are in milliseconds since 1970.
    pub created_ms: i64,
    /// When its key was last used, to within a minute.
    pub last_used_ms: Option<i64>,
    /// When it was revoked, if it was.
    pub revoked_ms: Option<i64>,
}

/// The operators of a catalog.
#[async_trait]
pub trait OperatorStore: Send + Sync + 'static {
    /// Adds an operator.
    ///
    /// # Errors
    /// `AlreadyExists` when an operator that is not revoked has the name, or when the id or the digest is taken.
    async fn operator_create(&self, new: &Operator, change: &Change) -> Result<()>;

    /// Lists all operators, revoked ones included, oldest first.
    async fn operator_list(&self) -> Result<Vec<Operator>>;

    /// Returns the operator whose key has the digest, revoked or not.
    async fn operator_by_digest(&self, digest: &KeyDigest) -> Result<Option<Operator>>;

    /// Returns the operator of an id, revoked or not.
    async fn operator_by_id(&self, id: KeyId) -> Result<Option<Operator>>;

    /// Revokes an operator. A second revocation does not change the time of the first.
    ///
    /// # Errors
    /// `NotFound`.
    async fn operator_revoke(&self, id: KeyId, change: &Change) -> Result<()>;

    /// Records when operators' keys were last used. A time never moves back; unknown ids are ignored.
    async fn operator_touch(&self, last_used_ms: &[(KeyId, i64)]) -> Result<()>;
}
