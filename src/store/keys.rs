//! API keys.

use async_trait::async_trait;
use tidewater_core::access::Role;
use tidewater_core::ids::{KeyId, OrganisationId, PrincipalId};

use super::change::Change;
use super::error::Result;
use super::organisations::Organisation;

/// SHA-256 of an API key's text. The store does not keep the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyDigest(pub [u8; 32]);

/// An API key without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its public id.
    pub id: KeyId,
    /// The organisation that it belongs to.
    pub organisation: OrganisationId,
    /// The principal that uses it. A new key has a new principal; a rotated key keeps its principal.
    pub principal: PrincipalId,
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Whether credentials vended for it cannot delete files, whatever its role.
    pub no_delete: bool,
    /// Whether its holder is an engine that may act for users.
    pub acts_for_users: bool,
    /// The digest of its text.
    pub digest: KeyDigest,
    /// When it was created. All times here are in milliseconds since 1970.
    pub created_ms: i64,
    /// When it expires, if it does.
    pub expires_ms: Option<i64>,
    /// When it was last used, to within a minute.
    pub last_used_ms: Option<i64>,
    /// When it was revoked, if it was.
    pub revoked_ms: Option<i64>,
}

impl ApiKey {
    /// Returns whether the key has a name after a change at `now_ms` that another usable key may have: a new name, or its own after it was
    /// expired.
    pub(super) fn takes_name(&self, before: &Self, now_ms: i64) -> bool {
        let is_expired = |key: &Self| key.expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms);
        self.name != before.name || (is_expired(before) && !is_expired(self))
    }
}

/// Stores API keys.
///
/// A change whose future is dropped may happen or not, but never in part. A read whose future is dropped has no effect.
/// [`Self::key_touch`] may record the use of some keys and not of others: the next call records the rest.
#[async_trait]
pub trait KeyStore: Send + Sync + 'static {
    /// Adds a key.
    ///
    /// # Errors
    /// `NotFound` when the organisation does not exist; `AlreadyExists` when the key's id or digest is taken, or a key of the
    /// organisation that is usable at the time of the change has the name.
    async fn key_create(&self, new: &ApiKey, change: &Change) -> Result<()>;

    /// Lists all keys of an organisation, revoked ones included, oldest first.
    async fn key_list(&self, organisation: OrganisationId) -> Result<Vec<ApiKey>>;

    /// Returns the key with the digest, revoked or not, and its organisation: one read serves a sign-in.
    async fn key_by_digest(&self, digest: &KeyDigest) -> Result<Option<(ApiKey, Organisation)>>;

    /// Returns the key with the id, revoked or not, and its organisation: one read serves a token.
    async fn key_by_id(&self, id: KeyId) -> Result<Option<(ApiKey, Organisation)>>;

    /// Revokes a key. A second revocation does not change the time of the first.
    ///
    /// # Errors
    /// `NotFound` when the organisation has no key with the id.
    async fn key_revoke(&self, organisation: OrganisationId, id: KeyId, change: &Change) -> Result<()>;

    /// Records when keys were last used. A time never moves back; unknown keys are ignored.
    async fn key_touch(&self, last_used_ms: &[(KeyId, i64)]) -> Result<()>;
}
