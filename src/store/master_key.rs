//! Which master key seals the catalog's secrets.

use async_trait::async_trait;

use super::error::Result;

/// Keeps the fingerprint of the master key.
///
/// A change whose future is dropped may happen or not. A read whose future is dropped has no effect.
#[async_trait]
pub trait MasterKeyStore: Send + Sync + 'static {
    /// The fingerprint of the master key that the catalog's secrets are sealed with, if it is known.
    async fn master_key_get(&self) -> Result<Option<[u8; 16]>>;

    /// Keeps the fingerprint of the master key; with `only_if_none`, unless there is one.
    async fn master_key_set(&self, fingerprint: [u8; 16], only_if_none: bool) -> Result<()>;
}
