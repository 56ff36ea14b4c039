//! Errors of authentication.

use std::sync::Arc;

use tidewater_core::access::Role;
use tidewater_core::ids::OrganisationId;

use crate::store::{Actor, StoreError};

use super::header::HeaderError;
use super::key::KeyFormatError;
use super::oidc::ProviderTokenError;
use super::token::TokenError;

/// The holder of a credential that is known and refused. Audit records name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedHolder {
    /// The holder's organisation and its name. Operators have none.
    pub organisation: Option<(OrganisationId, Arc<str>)>,
    /// The key, user or operator.
    pub actor: Actor,
    /// The built-in role.
    pub role: Option<Role>,
}

/// Why authentication failed. The texts say what to do and never repeat the credential.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuthError {
    /// There is no `Authorization` header.
    #[error("no credential: send 'Authorization: Bearer' with an API key, or with a token from /v1/oauth/tokens")]
    Missing,
    /// The `Authorization` header is invalid.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The text is not an API key.
    #[error(transparent)]
    KeyFormat(#[from] KeyFormatError),
    /// The API key is unknown.
    #[error("unknown API key: it was never issued here, or belongs to another deployment")]
    UnknownKey,
    /// The API key is expired.
    #[error("the API key is expired: ask your administrator for a new one")]
    ExpiredKey(Arc<RefusedHolder>),
    /// The API key was revoked.
    #[error("the API key is revoked: ask your administrator for a new one")]
    RevokedKey(Arc<RefusedHolder>),
    /// The key's organisation is suspended; answer 403.
    #[error("organisation '{0}' is suspended: its keys and tokens are refused until an operator resumes it")]
    Suspended(Arc<str>),
    /// The key's organisation is marked as deleted; answer 403.
    #[error("organisation '{0}' is deleted: an operator can restore it while its grace time lasts")]
    Deleted(Arc<str>),
    /// The key is an operator's, but the request needs an organisation's key; answer 403.
    #[error(
        "the key belongs to an operator, who manages organisations and reaches no namespace or table: use a key of an organisation"
    )]
    Operator(Arc<RefusedHolder>),
    /// The token is invalid, expired or not valid yet.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Too many wrong credentials came from the client's address, or with this key's prefix; answer 429.
    #[error("too many wrong credentials came from your address: check the API key, and try again in {retry_after_s} s")]
    TooManyGuesses {
        /// The time to wait, in seconds.
        retry_after_s: u64,
    },
    /// The token of an identity provider is invalid, expired or not valid yet.
    #[error(transparent)]
    Provider(#[from] ProviderTokenError),
    /// The keys of an identity provider cannot be read; answer 503.
    #[error("cannot check tokens of the provider '{0}' now: {1}")]
    ProviderUnavailable(Arc<str>, Arc<str>),
    /// The user was removed.
    #[error("the user of the token was removed: sign in again")]
    UnknownUser,
    /// The user is disabled.
    #[error("the user is disabled: ask your administrator to enable it")]
    DisabledUser(Arc<RefusedHolder>),
    /// The store did not answer; answer 503.
    #[error("cannot check credentials now: {0}")]
    Unavailable(#[source] Arc<StoreError>),
    /// The system returned no random bytes for a signing key; answer 500.
    #[error("cannot create a signing key: {0}")]
    NoEntropy(getrandom::Error),
}

impl AuthError {
    /// Returns the reason as a word for programs.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "no-credential",
            Self::Header(_) | Self::KeyFormat(_) => "malformed-credential",
            Self::UnknownKey => "unknown-key",
            Self::ExpiredKey(_) => "expired-key",
            Self::RevokedKey(_) => "revoked-key",
            Self::Suspended(_) => "organisation-suspended",
            Self::Deleted(_) => "organisation-deleted",
            Self::Operator(_) => "operator-key",
            Self::Token(TokenError::Expired) => "expired-token",
            Self::Token(_) => "invalid-token",
            Self::TooManyGuesses { .. } => "too-many-guesses",
            Self::Provider(_) => "invalid-provider-token",
            Self::UnknownUser => "unknown-user",
            Self::DisabledUser(_) => "disabled-user",
            Self::ProviderUnavailable(..) | Self::Unavailable(_) | Self::NoEntropy(_) => "unavailable",
        }
    }

    /// Returns the holder of the credential, if it is known although the credential is refused.
    #[must_use]
    pub const fn holder(&self) -> Option<&Arc<RefusedHolder>> {
        match self {
            Self::ExpiredKey(holder)
            | Self::RevokedKey(holder)
            | Self::DisabledUser(holder)
            | Self::Operator(holder) => Some(holder),
            _ => None,
        }
    }
}
