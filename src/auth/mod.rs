//! Authentication: API keys, tokens of this catalog and of identity providers, and the token endpoint.
//!
//! A request's organisation comes only from its verified key or token. Checking a cached credential costs a hash and two
//! look-ups in memory; see [`Authenticator::authenticate`].

mod authenticator;
mod buckets;
mod caller;
mod client_id;
mod counted;
mod engine;
mod error;
mod form;
mod grants;
mod guesses;
pub mod header;
pub mod key;
mod oauth_error;
mod oidc;
mod operator_sign_in;
pub mod pkce;
mod renewal;
mod restriction;
mod scope;
mod sign_in;
mod signing;
mod standing;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub mod token;

pub use authenticator::{AuthSettings, Authenticator, CredentialSource, LastCredential};
pub use buckets::{Bucket, Buckets, PrincipalBuckets};
pub use caller::{Caller, Identity, OperatorCaller};
pub use error::{AuthError, RefusedHolder};
pub use grants::PrincipalGrants;
pub use key::{IssueError, NewKey, entropy, issue_key, new_key};
pub use oauth_error::{OAuthError, OAuthErrorKind};
pub use oidc::{CodeError, CodeGrant, CodeRequest, ProviderTokenError, check_provider};
pub use renewal::Renewal;
pub use scope::roles_of_scope;
pub use sign_in::{SignIn, TokenResponse};
pub use signing::{ACTIVE_AFTER_MS, MAX_TOKEN_LIFETIME_MS, OlderKeys, active_signing_key};
