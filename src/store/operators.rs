//! Operators: their records, and what a store does with them.

use async_trait::async_trait;
use tidewater_core::ids::KeyId;

use super::{Change, KeyDigest, Result};

/// An operator, without the secret of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Its id.
    pub id: KeyId,
    /// Its name, unique among those that are not revoked.
    pub name: String,
    /// How its key is recognised.
    pub digest: KeyDigest,
    /// When it was made, in milliseconds since 1970; as all times here.
    pub created_ms: i64,
    /// When its key was last used, to within a minute.
    pub last_used_ms: Option<i64>,
    /// Since when it is revoked, if it is.
    pub revoked_ms: Option<i64>,
}

/// The operators of a catalog.
#[async_trait]
pub trait OperatorStore: Send + Sync + 'static {
    /// Adds an operator.
    ///
    /// # Errors
    /// `AlreadyExists` when another that is not revoked has the name, or when its id or its digest is taken.
    async fn operator_create(&self, new: &Operator, change: &Change) -> Result<()>;

    /// Lists all operators, oldest first, the revoked included.
    async fn operator_list(&self) -> Result<Vec<Operator>>;

    /// Returns the operator whose key has that digest, revoked or not.
    async fn operator_by_digest(&self, digest: &KeyDigest) -> Result<Option<Operator>>;

    /// Revokes an operator; one that is revoked already keeps its first time.
    ///
    /// # Errors
    /// `NotFound`.
    async fn operator_revoke(&self, id: KeyId, change: &Change) -> Result<()>;

    /// Notes when operators' keys were last used; a time never goes back, unknown ids are passed over.
    async fn operator_touch(&self, last_used_ms: &[(KeyId, i64)]) -> Result<()>;
}
