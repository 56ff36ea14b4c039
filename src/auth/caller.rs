//! Authenticated callers and operators.

use std::sync::Arc;

use tidewater_core::access::{Grants, Role};
use tidewater_core::ids::{KeyId, OrganisationId, PrincipalId};
use tidewater_core::limits::Tier;

use super::error::AuthError;
use super::grants::PrincipalGrants;
use super::token::Subject;
use crate::store::Actor;

/// An authenticated caller. Only [`super::Authenticator`] creates one, so a value is proof of authentication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub(super) organisation: OrganisationId,
    pub(super) organisation_name: Arc<str>,
    pub(super) holder: Holder,
    pub(super) role: Role,
    pub(super) grants: Arc<PrincipalGrants>,
    pub(super) no_delete: bool,
    pub(super) tier: Arc<Tier>,
    pub(super) tier_name: Arc<str>,
}

/// The credential of a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Holder {
    /// An API key.
    Key {
        /// Its id.
        id: KeyId,
        /// Its name.
        name: Arc<str>,
        /// When it expires, in milliseconds since 1970.
        expires_ms: Option<i64>,
    },
    /// A sign-in with an identity provider.
    User {
        /// The user's name.
        name: Arc<str>,
    },
}

impl Caller {
    /// Returns the caller's organisation, which bounds all that the caller can see.
    #[must_use]
    pub const fn organisation(&self) -> OrganisationId {
        self.organisation
    }

    /// Returns the organisation's name.
    #[must_use]
    pub fn organisation_name(&self) -> &str {
        &self.organisation_name
    }

    /// Returns the id by which the caller's requests are counted and limited: that of the API key, or for a user that of the
    /// principal, which no key has.
    #[must_use]
    pub fn key(&self) -> KeyId {
        match &self.holder {
            Holder::Key { id, .. } => *id,
            Holder::User { .. } => KeyId(self.principal().0),
        }
    }

    /// Returns the name of the key or user.
    #[must_use]
    pub fn key_name(&self) -> &str {
        match &self.holder {
            Holder::Key { name, .. } | Holder::User { name } => name,
        }
    }

    /// Returns whether the caller is a user of an identity provider.
    #[must_use]
    pub const fn is_user(&self) -> bool {
        matches!(self.holder, Holder::User { .. })
    }

    /// Returns the subject of the caller's tokens.
    pub(super) fn subject(&self) -> Subject {
        match &self.holder {
            Holder::Key { id, .. } => Subject::Key(*id),
            Holder::User { .. } => Subject::User(self.principal()),
        }
    }

    /// Returns when the caller's key expires, in milliseconds since 1970.
    pub(super) const fn key_expires_ms(&self) -> Option<i64> {
        match self.holder {
            Holder::Key { expires_ms, .. } => expires_ms,
            Holder::User { .. } => None,
        }
    }

    /// Returns the actor in the events of their changes.
    #[must_use]
    pub fn actor(&self) -> Actor {
        match &self.holder {
            Holder::Key { id, name, .. } => Actor::Key { id: *id, name: Arc::clone(name) },
            Holder::User { name } => Actor::User { id: self.principal(), name: Arc::clone(name) },
        }
    }

    /// Returns the caller's role.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Returns the id of the principal.
    #[must_use]
    pub fn principal(&self) -> PrincipalId {
        self.grants.principal()
    }

    /// Returns the principal's grants at the time of authentication. They are empty for an admin, who needs none.
    #[must_use]
    pub fn grants(&self) -> Arc<Grants> {
        self.grants.compiled()
    }

    /// Returns whether the key's vended credentials cannot remove files.
    #[must_use]
    pub const fn no_delete(&self) -> bool {
        self.no_delete
    }

    /// Returns the tier of the caller's organisation.
    #[must_use]
    pub const fn tier(&self) -> &Arc<Tier> {
        &self.tier
    }

    /// Returns the name of that tier.
    #[must_use]
    pub fn tier_name(&self) -> &str {
        &self.tier_name
    }
}

/// An authenticated operator. Only [`super::Authenticator`] creates one. Operators manage organisations and have no access to
/// tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorCaller {
    pub(super) id: KeyId,
    pub(super) name: Arc<str>,
}

impl OperatorCaller {
    /// Returns the operator's id.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// Returns the operator's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the actor in the events of their changes.
    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor::Operator { id: self.id, name: Arc::clone(&self.name) }
    }
}

/// An authenticated identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The holder of a key of an organisation, or a user of an identity provider.
    Key(Arc<Caller>),
    /// An operator.
    Operator(Arc<OperatorCaller>),
}

impl Identity {
    /// Returns the caller, for requests that need an organisation's key.
    ///
    /// # Errors
    /// `Operator` if it is an operator.
    pub(super) fn into_caller(self) -> Result<Arc<Caller>, AuthError> {
        match self {
            Self::Key(caller) => Ok(caller),
            Self::Operator(_) => Err(AuthError::Operator),
        }
    }
}
