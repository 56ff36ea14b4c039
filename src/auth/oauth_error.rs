//! Refusals of the token endpoint (RFC 6749, section 5.2).

use std::sync::Arc;

use super::error::{AuthError, RefusedHolder};

/// The kind of a refusal: the `error` of RFC 6749, section 5.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OAuthErrorKind {
    /// The request is not well formed.
    InvalidRequest,
    /// The key is missing or invalid. The only kind with status 401.
    InvalidClient,
    /// The token to exchange is invalid.
    InvalidGrant,
    /// The grant type is not supported.
    UnsupportedGrantType,
    /// The scope is invalid.
    InvalidScope,
    /// Too many wrong credentials came from the client's address; answer 429.
    TooManyGuesses {
        /// The time to wait, in seconds.
        retry_after_s: u64,
    },
    /// The server is temporarily unavailable; answer 503.
    TemporarilyUnavailable,
    /// The server has failed; answer 500.
    ServerError,
}

impl OAuthErrorKind {
    /// Returns the kind's name in an answer.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::TooManyGuesses { .. } | Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::ServerError => "server_error",
        }
    }

    /// Returns the kind as a reason for audit records.
    const fn reason(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid-request",
            Self::InvalidClient => "invalid-client",
            Self::InvalidGrant => "invalid-grant",
            Self::UnsupportedGrantType => "unsupported-grant-type",
            Self::InvalidScope => "invalid-scope",
            Self::TooManyGuesses { .. } => "too-many-guesses",
            Self::TemporarilyUnavailable | Self::ServerError => "unavailable",
        }
    }
}

/// Why no token is issued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{description}")]
pub struct OAuthError {
    /// The `error`.
    pub kind: OAuthErrorKind,
    /// The `error_description`: what to do. It never repeats a credential.
    pub description: String,
    /// The reason as a word for programs. Audit records have it.
    pub reason: &'static str,
    /// The holder of the credential, if it is known and no longer valid.
    pub holder: Option<Arc<RefusedHolder>>,
}

impl OAuthError {
    /// Creates a refusal.
    pub fn new(kind: OAuthErrorKind, description: impl Into<String>) -> Self {
        // RFC 6749, section 5.2 allows few characters. A name in the text may have others.
        let allowed = |character: char| matches!(character, ' '..='~') && !matches!(character, '"' | '\\');
        let shown = |character: char| if allowed(character) { character } else { '?' };
        let description = description.into().chars().map(shown).collect();
        Self { kind, description, reason: kind.reason(), holder: None }
    }

    /// Converts an error of authentication. `kind` is for invalid credentials: `InvalidClient` for the client's own,
    /// `InvalidGrant` for a token that it exchanges.
    pub(super) fn refused(kind: OAuthErrorKind, error: &AuthError) -> Self {
        let kind = match error {
            AuthError::TooManyGuesses { retry_after_s } => {
                OAuthErrorKind::TooManyGuesses { retry_after_s: *retry_after_s }
            }
            AuthError::Unavailable(_) | AuthError::ProviderUnavailable(..) => OAuthErrorKind::TemporarilyUnavailable,
            AuthError::NoEntropy(_) => OAuthErrorKind::ServerError,
            _ => kind,
        };
        let holder = error.holder().cloned();
        Self { reason: error.reason(), holder, ..Self::new(kind, error.to_string()) }
    }
}
