//! The fingerprint of the master key that seals the catalog's secrets.

use async_trait::async_trait;

use super::error::Result;

/// Stores the fingerprint of the master key.
///
/// A change whose future is dropped may happen or not. A read whose future is dropped has no effect.
#[async_trait]
pub trait MasterKeyStore: Send + Sync + 'static {
    /// Returns the fingerprint of the master key that seals the catalog's secrets, if one is stored.
    async fn master_key_get(&self) -> Result<Option<[u8; 16]>>;

    /// Stores the fingerprint of the master key. With `only_if_none`, an existing fingerprint stays.
    async fn master_key_set(&self, fingerprint: [u8; 16], only_if_none: bool) -> Result<()>;
}
