//! Keys that sign tokens.

use async_trait::async_trait;

use super::change::Change;
use super::error::Result;
use crate::base::secret::Secret;

/// A key that signs tokens.
#[derive(Debug, Clone)]
pub struct SigningKey {
    /// The `kid` in the header of a token.
    pub id: String,
    /// 32 random bytes.
    pub secret: Secret<[u8; 32]>,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: i64,
}

/// Stores the keys that sign tokens.
///
/// A change whose future is dropped may happen or not, but never in part. A read whose future is dropped has no effect.
/// Call [`Self::signing_key_list`] to see whether a key was added.
#[async_trait]
pub trait SigningKeyStore: Send + Sync + 'static {
    /// Lists all keys that sign tokens, newest first.
    async fn signing_key_list(&self) -> Result<Vec<SigningKey>>;

    /// Adds a signing key. With `only_if_none`, adds it only if there is no key yet, so that two processes that start together
    /// agree on one. Returns all keys, newest first.
    ///
    /// # Errors
    /// `AlreadyExists` (of a key) when its id is taken.
    async fn signing_key_add(&self, new: &SigningKey, only_if_none: bool, change: &Change) -> Result<Vec<SigningKey>>;

    /// Removes the signing keys created before `created_before_ms`, but never the newest. Returns the number removed.
    async fn signing_key_remove_before(&self, created_before_ms: i64, change: &Change) -> Result<u64>;
}
