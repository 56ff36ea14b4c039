//! API keys.

use async_trait::async_trait;
use tidewater_core::access::Role;
use tidewater_core::ids::{KeyId, OrganisationId, PrincipalId};

use super::change::Change;
use super::error::Result;
use super::organisations::Organisation;

/// SHA-256 of an API key's text: all that is kept of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyDigest(pub [u8; 32]);

/// An API key without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its public id.
    pub id: KeyId,
    /// Whose it is.
    pub organisation: OrganisationId,
    /// The principal that shows it. A key that is created makes a principal; one that follows another has that one's.
    pub principal: PrincipalId,
    /// What its owner calls it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Whether what is vended for it removes no files, whatever its role.
    pub no_delete: bool,
    /// How a presented key is recognised.
    pub digest: KeyDigest,
    /// When it was made, in milliseconds since 1970; as all times here.
    pub created_ms: i64,
    /// From when it is refused, if it ends.
    pub expires_ms: Option<i64>,
    /// When it was last used, to within a minute.
    pub last_used_ms: Option<i64>,
    /// Since when it is revoked, if it is.
    pub revoked_ms: Option<i64>,
}

/// Keeps API keys.
///
/// A change whose future is dropped may happen or not, but never in part. A read whose future is dropped has no effect.
/// [`Self::key_touch`] may note the use of some keys and not of others: the next one notes the rest.
#[async_trait]
pub trait KeyStore: Send + Sync + 'static {
    /// Adds a key.
    ///
    /// # Errors
    /// `NotFound` when the organisation does not exist; `AlreadyExists` when its id or its digest is taken.
    async fn key_create(&self, new: &ApiKey, change: &Change) -> Result<()>;

    /// All keys of an organisation, oldest first, the revoked included.
    async fn key_list(&self, organisation: OrganisationId) -> Result<Vec<ApiKey>>;

    /// The key with that digest, revoked or not, with its organisation: one read serves a sign-in.
    async fn key_by_digest(&self, digest: &KeyDigest) -> Result<Option<(ApiKey, Organisation)>>;

    /// The key with that id, revoked or not, with its organisation: one read serves a token.
    async fn key_by_id(&self, id: KeyId) -> Result<Option<(ApiKey, Organisation)>>;

    /// Revokes a key; a key that is revoked already keeps its first time.
    ///
    /// # Errors
    /// `NotFound` when the organisation has no such key.
    async fn key_revoke(&self, organisation: OrganisationId, id: KeyId, change: &Change) -> Result<()>;

    /// Notes when keys were last used; a time never goes back, unknown keys are passed over.
    async fn key_touch(&self, last_used_ms: &[(KeyId, i64)]) -> Result<()>;
}
