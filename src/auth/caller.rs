//! Authenticated callers and operators.

use std::sync::Arc;

use tidewater_core::access::{Grants, Role};
use tidewater_core::ids::{KeyId, OrganisationId, PrincipalId, PrincipalRoleId};
use tidewater_core::limits::Tier;

use super::buckets::Buckets;
use super::counted::Counted;
use super::error::{AuthError, RefusedHolder};
use super::grants::PrincipalGrants;
use super::token::Subject;
use crate::store::{Actor, EngineKey};

/// An authenticated caller. Only [`super::Authenticator`] creates one, so a value is proof of authentication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub(super) organisation: OrganisationId,
    pub(super) organisation_name: Arc<str>,
    pub(super) holder: Holder,
    pub(super) role: Role,
    pub(super) grants: Arc<PrincipalGrants>,
    /// The grants at the time of the request.
    pub(super) compiled: Arc<Grants>,
    /// The generation of the grants, if there are any.
    pub(super) compiled_at: u64,
    /// The changes of its organisation, among them those of its key or user.
    pub(super) standing: Counted,
    pub(super) no_delete: bool,
    /// The engine that acts for the caller.
    pub(super) engine: Option<Arc<Self>>,
    pub(super) tier: Arc<Tier>,
    pub(super) tier_name: Arc<str>,
    pub(super) buckets: Buckets,
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
        /// Whether its holder is an engine that may act for users.
        acts_for_users: bool,
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

    /// Returns whether the caller is an engine that may act for users.
    pub(super) const fn acts_for_users(&self) -> bool {
        matches!(self.holder, Holder::Key { acts_for_users: true, .. })
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
        let actor = match &self.holder {
            Holder::Key { id, name, .. } => Actor::Key { id: *id, name: Arc::clone(name) },
            Holder::User { name } => Actor::User { id: self.principal(), name: Arc::clone(name) },
        };
        match &self.engine {
            Some(engine) => {
                let engine = EngineKey { id: engine.key(), name: engine.key_name().into() };
                Actor::Through { actor: Box::new(actor), engine }
            }
            None => actor,
        }
    }

    /// Returns the engine that acts for the caller. Decisions need the permission of both.
    #[must_use]
    pub const fn engine(&self) -> Option<&Arc<Self>> {
        self.engine.as_ref()
    }

    /// Returns the principal roles that the caller's token is narrowed to.
    #[must_use]
    pub fn selected_roles(&self) -> Option<&[PrincipalRoleId]> {
        self.grants.selected().as_deref()
    }

    /// Returns whether the caller is still what it was at its authentication: nothing of its organisation, of its key or user, and of its
    /// grants has changed, as far as this process knows.
    #[must_use]
    #[inline]
    pub fn is_current(&self) -> bool {
        self.standing.is_current()
            // An admin needs no grants.
            && (self.role == Role::Admin || self.grants.is_current(&self.compiled, self.compiled_at))
            && self.engine.as_ref().is_none_or(|engine| engine.is_current())
    }

    /// Returns the id with which the caller owns objects. A narrowed token has only the grants of its roles.
    #[must_use]
    pub fn owner(&self) -> Option<PrincipalId> {
        self.grants.selected().is_none().then(|| self.principal())
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
    pub const fn grants(&self) -> &Arc<Grants> {
        &self.compiled
    }

    /// Returns whether the key's vended credentials cannot remove files.
    #[must_use]
    pub fn no_delete(&self) -> bool {
        self.no_delete || self.engine.as_ref().is_some_and(|engine| engine.no_delete)
    }

    /// Returns a digest of the token's restrictions: the roles that it is narrowed to, and its engine. A repeated request must
    /// have the same.
    #[must_use]
    pub fn restriction_digest(&self) -> Vec<u8> {
        let roles = |caller: &Self| {
            let roles = caller.selected_roles().unwrap_or_default().iter();
            roles.flat_map(|role| *role.0.as_bytes()).collect::<Vec<_>>()
        };
        let mut digest = roles(self);
        if let Some(engine) = &self.engine {
            digest.push(u8::MAX);
            digest.extend(*engine.principal().0.as_bytes());
            digest.extend(roles(engine));
        }
        digest
    }

    /// Returns the recent requests of the principal and its organisation.
    #[must_use]
    pub const fn buckets(&self) -> &Buckets {
        &self.buckets
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
    /// Whether a token was sent, and not the operator's key.
    pub(super) by_token: bool,
    /// The changes of operators.
    pub(super) standing: Counted,
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

    /// Returns whether the request has a token, and not the operator's key.
    #[must_use]
    pub const fn is_by_token(&self) -> bool {
        self.by_token
    }

    /// Returns the actor in the events of their changes.
    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor::Operator { id: self.id, name: Arc::clone(&self.name) }
    }

    /// Returns the holder for the refusal of a request that needs an organisation's key.
    #[must_use]
    pub fn refused(&self) -> Arc<RefusedHolder> {
        Arc::new(RefusedHolder { organisation: None, actor: self.actor(), role: None })
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
    /// Returns whether the caller or operator is still what it was at its authentication, as far as this process knows.
    pub(super) fn is_current(&self) -> bool {
        match self {
            Self::Key(caller) => caller.is_current(),
            Self::Operator(operator) => operator.standing.is_current(),
        }
    }

    /// Returns the organisation. Operators have none.
    pub(super) fn organisation(&self) -> Option<OrganisationId> {
        match self {
            Self::Key(caller) => Some(caller.organisation()),
            Self::Operator(_) => None,
        }
    }

    /// Returns the caller, for requests that need an organisation's key.
    ///
    /// # Errors
    /// `Operator` if it is an operator.
    pub(super) fn into_caller(self) -> Result<Arc<Caller>, AuthError> {
        match self {
            Self::Key(caller) => Ok(caller),
            Self::Operator(operator) => Err(AuthError::Operator(operator.refused())),
        }
    }
}
