//! Refusals of the token endpoint (RFC 6749, section 5.2).

use super::error::AuthError;

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
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::ServerError => "server_error",
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
}

impl OAuthError {
    pub(super) fn new(kind: OAuthErrorKind, description: impl Into<String>) -> Self {
        Self { kind, description: description.into() }
    }

    /// Converts an error of authentication. `kind` is for invalid credentials: `InvalidClient` for the client's own,
    /// `InvalidGrant` for a token that it exchanges.
    pub(super) fn refused(kind: OAuthErrorKind, error: &AuthError) -> Self {
        let kind = match error {
            AuthError::Unavailable(_) | AuthError::ProviderUnavailable(..) => OAuthErrorKind::TemporarilyUnavailable,
            AuthError::NoEntropy(_) => OAuthErrorKind::ServerError,
            _ => kind,
        };
        Self::new(kind, error.to_string())
    }
}
