//! The errors of reads of a table for people: its health, and the preview of its rows.

use axum::http::StatusCode;

use super::ApiError;
use crate::api::audit_marks::RESTRICTED;
use crate::heavy::HeavyError;
use crate::upkeep::{HealthError, PreviewError};

impl From<HealthError> for ApiError {
    fn from(error: HealthError) -> Self {
        match error {
            HealthError::Metadata(error) => error.into(),
            HealthError::Unavailable(message) => Self::out_of_service(message),
            HealthError::Unreadable(message) => Self::new(StatusCode::NOT_FOUND, "NotFoundException", message),
            HealthError::Store(error) => error.into(),
        }
    }
}

impl From<PreviewError> for ApiError {
    fn from(error: PreviewError) -> Self {
        let message = error.to_string();
        match error {
            PreviewError::Restricted => Self::forbidden(message).refused(RESTRICTED),
            PreviewError::Unsupported(_) | PreviewError::TooLong => {
                Self::new(StatusCode::NOT_ACCEPTABLE, "UnsupportedOperationException", message)
            }
            PreviewError::Unavailable(_) => Self::out_of_service(message),
            PreviewError::Metadata(error) => error.into(),
            PreviewError::Heavy(error) => error.into(),
            PreviewError::TimeIsOver(error) => HeavyError::from(error).into(),
            PreviewError::Store(error) => error.into(),
        }
    }
}
