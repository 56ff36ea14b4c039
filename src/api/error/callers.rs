//! The errors about a caller: who it is, what it may do, and how often it asks.

use axum::http::StatusCode;

use super::{ApiError, Refused};
use crate::access::Denial;
use crate::auth::AuthError;
use crate::catalog::CatalogError;
use crate::tenancy::TooManySignatures;
use crate::tenancy::quota::QuotaError;

impl From<Denial> for ApiError {
    fn from(denial: Denial) -> Self {
        CatalogError::from(denial).into()
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        let refusal = Refused { reason: error.reason(), holder: error.holder().cloned() };
        Self { refusal: Some(Box::new(refusal)), ..Self::of_auth(error) }
    }
}

impl ApiError {
    fn of_auth(error: AuthError) -> Self {
        match error {
            AuthError::Unavailable(error) => Self::unavailable_before(&error),
            AuthError::NoEntropy(error) => Self::internal(&error),
            AuthError::TooManyGuesses { retry_after_s } => Self::too_many_requests(error.to_string(), retry_after_s),
            error @ AuthError::ProviderUnavailable(..) => {
                let message =
                    "The catalog cannot read the keys of the token's identity provider at the moment: try again";
                Self::not_made(message, &error)
            }
            error @ (AuthError::Suspended(_) | AuthError::Deleted(_) | AuthError::Operator(_)) => {
                Self::forbidden(error.to_string())
            }
            error => Self::new(StatusCode::UNAUTHORIZED, "NotAuthorizedException", error.to_string()),
        }
    }
}

impl From<QuotaError> for ApiError {
    fn from(error: QuotaError) -> Self {
        let message = error.to_string();
        match error {
            QuotaError::TierExcludes { .. } => Self::forbidden(message).refused("tier"),
            QuotaError::LimitExceeded(limit) => {
                Self::too_many_requests(message, limit.retry_after_s).refused("requests-per-day")
            }
            QuotaError::TooFast(fast) => {
                Self::too_many_requests(message, fast.retry_after_s).refused("requests-per-second")
            }
            QuotaError::Unavailable(error) => Self::unavailable_before(&error),
        }
    }
}

impl From<TooManySignatures> for ApiError {
    fn from(error: TooManySignatures) -> Self {
        Self::too_many_requests(error.to_string(), TooManySignatures::RETRY_AFTER_S).refused("signatures-per-second")
    }
}
