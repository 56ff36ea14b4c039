//! The renewal of a caller whose standing or grants changed while its request runs.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::authenticator::{Authenticator, CredentialSource, LastCredential};
use super::caller::Caller;
use super::error::AuthError;

/// The credential of a running request, to authenticate it again.
pub struct Renewal {
    authenticator: Arc<Authenticator>,
    authorization: Option<Box<[u8]>>,
    address: Option<IpAddr>,
    last: Option<Arc<LastCredential>>,
}

impl Renewal {
    /// Keeps the `Authorization` header of a request and its source.
    #[must_use]
    pub fn new(
        authenticator: &Arc<Authenticator>,
        authorization: Option<&[u8]>,
        address: Option<IpAddr>,
        last: Option<&Arc<LastCredential>>,
    ) -> Self {
        Self {
            authenticator: Arc::clone(authenticator),
            authorization: authorization.map(Into::into),
            address,
            last: last.cloned(),
        }
    }

    /// Authenticates the request again.
    ///
    /// # Errors
    /// Those of [`Authenticator::authenticate`].
    pub async fn caller(&self) -> Result<Arc<Caller>, AuthError> {
        let (authorization, now_ms) = (self.authorization.as_deref(), self.authenticator.now_ms());
        self.authenticator.authenticate_again(authorization, self.source(), now_ms).await
    }

    /// Authenticates the request again, after changes of other servers are counted.
    ///
    /// # Errors
    /// Those of [`Authenticator::authenticate`].
    pub async fn confirmed_caller(&self) -> Result<Arc<Caller>, AuthError> {
        let (authorization, now_ms) = (self.authorization.as_deref(), self.authenticator.now_ms());
        self.authenticator.authenticate_confirmed(authorization, self.source(), now_ms).await
    }

    fn source(&self) -> CredentialSource<'_> {
        CredentialSource { address: self.address, last: self.last.as_deref(), signed_in: None }
    }
}

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Renewal(***)")
    }
}
