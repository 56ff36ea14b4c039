//! Who is asking.

use std::sync::Arc;

use tidewater_core::access::{Grants, Role};
use tidewater_core::ids::{KeyId, OrganisationId, PrincipalId};
use tidewater_core::limits::Tier;

use super::error::AuthError;
use super::grants::PrincipalGrants;
use crate::store::Actor;

/// Somebody who has proved who they are. Only [`super::Authenticator`] makes one, so that whoever holds one need not check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub(super) organisation: OrganisationId,
    pub(super) organisation_name: Arc<str>,
    pub(super) key: KeyId,
    pub(super) key_name: Arc<str>,
    pub(super) key_expires_ms: Option<i64>,
    pub(super) role: Role,
    pub(super) grants: Arc<PrincipalGrants>,
    pub(super) no_delete: bool,
    pub(super) tier: Arc<Tier>,
    pub(super) tier_name: Arc<str>,
}

impl Caller {
    /// The organisation that they belong to: all that they can see is under it.
    #[must_use]
    pub const fn organisation(&self) -> OrganisationId {
        self.organisation
    }

    /// The organisation's name.
    #[must_use]
    pub fn organisation_name(&self) -> &str {
        &self.organisation_name
    }

    /// The API key that they signed in with.
    #[must_use]
    pub const fn key(&self) -> KeyId {
        self.key
    }

    /// What the owner calls that key.
    #[must_use]
    pub fn key_name(&self) -> &str {
        &self.key_name
    }

    /// Who they are, in the events of what they change.
    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor::Key { id: self.key, name: Arc::clone(&self.key_name) }
    }

    /// What they may do.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Returns the principal that they are.
    #[must_use]
    pub fn principal(&self) -> PrincipalId {
        self.grants.principal()
    }

    /// Returns what they were granted, as it was when they proved who they are. Of admins it is not kept: they may do all.
    #[must_use]
    pub fn grants(&self) -> Arc<Grants> {
        self.grants.compiled()
    }

    /// Returns whether what is vended for their key removes no files.
    #[must_use]
    pub const fn no_delete(&self) -> bool {
        self.no_delete
    }

    /// What their organisation's tier includes.
    #[must_use]
    pub const fn tier(&self) -> &Arc<Tier> {
        &self.tier
    }

    /// The name of their organisation's tier.
    #[must_use]
    pub fn tier_name(&self) -> &str {
        &self.tier_name
    }
}

/// An operator who has proved who they are. Only [`super::Authenticator`] makes one. They manage organisations, and reach no
/// table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorCaller {
    pub(super) id: KeyId,
    pub(super) name: Arc<str>,
}

impl OperatorCaller {
    /// The operator's id.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// The operator's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who they are, in the events of what they change.
    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor::Operator { id: self.id, name: Arc::clone(&self.name) }
    }
}

/// Who has proved who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The holder of a key of an organisation.
    Key(Arc<Caller>),
    /// An operator.
    Operator(Arc<OperatorCaller>),
}

impl Identity {
    /// The holder of a key of an organisation.
    ///
    /// # Errors
    /// `Operator` when it is an operator.
    pub(super) fn into_caller(self) -> Result<Arc<Caller>, AuthError> {
        match self {
            Self::Key(caller) => Ok(caller),
            Self::Operator(_) => Err(AuthError::Operator),
        }
    }
}
