//! Principals: callers and administrators.

use std::sync::Arc;

use tidewater_core::access::{Facts, Role, may_change};
use tidewater_core::ids::OrganisationId;

use crate::auth::Caller;
use crate::store::Actor;

/// The caller or administrator in a decision.
#[derive(Debug, Clone)]
pub struct Principal(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Caller(Arc<Caller>),
    Administrator(Arc<Administrator>),
}

/// An administrator of an organisation who does not belong to it.
#[derive(Debug)]
struct Administrator {
    organisation: OrganisationId,
    actor: Actor,
    max_tables: Option<u64>,
}

impl Principal {
    /// Returns the principal of a machine's user or an operator, with an admin's rights in an organisation. `max_tables` is the
    /// maximum number of the organisation's tables and views. Only the command line and the management API may call this,
    /// after authentication; a test checks the callers.
    #[must_use]
    pub fn administrator(organisation: OrganisationId, actor: Actor, max_tables: Option<u64>) -> Self {
        Self(Kind::Administrator(Arc::new(Administrator { organisation, actor, max_tables })))
    }

    /// Returns the organisation in which it acts.
    #[must_use]
    pub fn organisation(&self) -> OrganisationId {
        match &self.0 {
            Kind::Caller(caller) => caller.organisation(),
            Kind::Administrator(administrator) => administrator.organisation,
        }
    }

    /// Returns the maximum number of tables and views of its organisation's tier, if there is a limit.
    #[must_use]
    pub fn max_tables(&self) -> Option<u64> {
        match &self.0 {
            Kind::Caller(caller) => caller.tier().max_tables,
            Kind::Administrator(administrator) => administrator.max_tables,
        }
    }

    /// Returns the actor in the events of its changes.
    #[must_use]
    pub fn actor(&self) -> Actor {
        match &self.0 {
            Kind::Caller(caller) => caller.actor(),
            Kind::Administrator(administrator) => administrator.actor.clone(),
        }
    }

    /// Returns whether it may change anything at all.
    #[must_use]
    pub fn may_change(&self) -> bool {
        may_change(&self.facts())
    }

    /// Returns whether its vended credentials cannot remove files.
    pub(super) fn no_delete(&self) -> bool {
        match &self.0 {
            Kind::Caller(caller) => caller.no_delete(),
            Kind::Administrator(_) => false,
        }
    }

    /// Returns the facts on which decisions depend.
    pub(super) fn facts(&self) -> Facts {
        match &self.0 {
            Kind::Caller(caller) => Facts { organisation: caller.organisation(), role: caller.role() },
            Kind::Administrator(administrator) => Facts { organisation: administrator.organisation, role: Role::Admin },
        }
    }
}

impl From<Arc<Caller>> for Principal {
    fn from(caller: Arc<Caller>) -> Self {
        Self(Kind::Caller(caller))
    }
}
