//! What an answer carries in its extensions for its audit record: why it refuses, how its client signed in, and which access it gives.

use std::sync::Arc;

use axum::http::StatusCode;
use uuid::Uuid;

use crate::access::Denial;
use crate::auth::{OAuthError, RefusedHolder};

/// The reason of refusals because of a read restriction.
pub(super) const RESTRICTED: &str = "restricted";

/// Why a caller was refused.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    /// The reason as a word for programs.
    pub(super) reason: &'static str,
    /// The reason for people.
    pub(super) message: String,
    /// The holder of the credential, if it is known and no longer valid.
    pub(super) holder: Option<Arc<RefusedHolder>>,
}

impl Refusal {
    /// Returns the refusal of a sign-in.
    pub(super) fn of_sign_in(error: &OAuthError) -> Self {
        Self { reason: error.reason, message: error.description.clone(), holder: error.holder.clone() }
    }

    /// Returns the refusal that a status says, for answers without another reason.
    pub(super) fn of_status(status: StatusCode) -> Option<Self> {
        let reason = match status {
            StatusCode::UNAUTHORIZED => "unauthenticated",
            StatusCode::FORBIDDEN => "forbidden",
            StatusCode::TOO_MANY_REQUESTS => "too-many-requests",
            _ => return None,
        };
        Some(Self { reason, message: String::new(), holder: None })
    }
}

/// Marks the answer to a successful sign-in at the token endpoint.
#[derive(Debug, Clone)]
pub(super) struct SignedIn {
    /// How the client signed in: `key` or `token-exchange`.
    pub(super) method: &'static str,
    /// The scope of the token.
    pub(super) scope: String,
}

/// Marks an answer that gives access to a table's files.
#[derive(Debug, Clone)]
pub(super) struct GaveAccess {
    /// What was given: `credentials` or `signature`.
    pub(super) given: &'static str,
    /// The rights: `read`, `read-write-no-delete` or `read-write`.
    pub(super) access: &'static str,
    /// The table's id, if it exists.
    pub(super) table: Option<Uuid>,
}

/// Returns the reason of a denial as a word for programs.
pub(super) const fn reason_of(denial: &Denial) -> &'static str {
    match denial {
        Denial::OtherOrganisation => "other-organisation",
        Denial::Role { .. } => "role",
        Denial::Privilege { .. } => "privilege",
        Denial::Hidden(_) => "hidden",
        Denial::Engine(_) => "engine",
        Denial::Restricted(..) => RESTRICTED,
    }
}
