//! Why somebody is not let in.

use std::sync::Arc;

use crate::store::StoreError;

use super::header::HeaderError;
use super::key::KeyFormatError;
use super::token::TokenError;

/// Why a request is not let in. The texts tell the caller what to do and never repeat the credential.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuthError {
    /// There is no `Authorization` header.
    #[error("no credential: send 'Authorization: Bearer' with an API key, or with a token from /v1/oauth/tokens")]
    Missing,
    /// The `Authorization` header cannot be read.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// What should be an API key is none.
    #[error(transparent)]
    KeyFormat(#[from] KeyFormatError),
    /// Nobody has that API key.
    #[error("unknown API key: it was never issued here, or belongs to another deployment")]
    UnknownKey,
    /// The API key's time is over.
    #[error("the API key is expired: ask your administrator for a new one")]
    ExpiredKey,
    /// The API key was revoked.
    #[error("the API key is revoked: ask your administrator for a new one")]
    RevokedKey,
    /// The token is not one of ours, or is not for now.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The store did not answer; answer 503.
    #[error("cannot check credentials now: {0}")]
    Unavailable(#[source] Arc<StoreError>),
    /// The system gave no random bytes for a signing key; answer 500.
    #[error("cannot make a signing key: {0}")]
    NoEntropy(getrandom::Error),
}
