//! The client id at the token endpoint. The id of a key must be that of the client secret, as clients of Polaris expect.

use tidewater_core::ids::KeyId;

use super::authenticator::Authenticator;
use super::caller::Caller;
use super::oauth_error::{OAuthError, OAuthErrorKind};

impl Authenticator {
    /// Checks that a client id names no key of another principal. A rotated key and its successors have one principal, so each
    /// can be used with the id of another. A client id that is no key's id can be anything.
    ///
    /// # Errors
    /// `InvalidClient`; `TemporarilyUnavailable`.
    pub(super) async fn check_client_id(&self, client_id: Option<&str>, caller: &Caller) -> Result<(), OAuthError> {
        let Some(id) = client_id.and_then(|text| text.parse().ok()).map(KeyId) else { return Ok(()) };
        if id == caller.key() {
            return Ok(());
        }
        let principal = self.principal_of_key(id).await;
        match principal.map_err(|error| OAuthError::refused(OAuthErrorKind::InvalidClient, &error))? {
            Some(principal) if principal != caller.principal() => Err(OAuthError::new(
                OAuthErrorKind::InvalidClient,
                "client_id is the id of another key than client_secret: send those of one key",
            )),
            _ => Ok(()),
        }
    }
}
