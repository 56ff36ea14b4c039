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
    /// The key's organisation is suspended; answer 403.
    #[error("organisation '{0}' is suspended: its keys and tokens are refused until an operator resumes it")]
    Suspended(Arc<str>),
    /// The key's organisation is to be deleted; answer 403.
    #[error("organisation '{0}' is deleted: an operator can restore it while its grace time lasts")]
    Deleted(Arc<str>),
    /// The key is an operator's, where one of an organisation is needed; answer 403.
    #[error(
        "the key belongs to an operator, who manages organisations and reaches no namespace or table: use a key of an organisation"
    )]
    Operator,
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
