//! Principals: callers and administrators.

use std::sync::Arc;

use tidewater_core::access::{self, Facts, Grants, Role};
use tidewater_core::ids::{OrganisationId, PrincipalId, WarehouseId};

use crate::auth::Caller;
use crate::store::Actor;

/// The caller or administrator in a decision.
#[derive(Debug, Clone)]
pub struct Principal {
    kind: Kind,
    /// Its grants at the time of the request.
    grants: Arc<Grants>,
}

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
        let kind = Kind::Administrator(Arc::new(Administrator { organisation, actor, max_tables }));
        Self { kind, grants: Arc::default() }
    }

    /// Returns the organisation in which it acts.
    #[must_use]
    pub fn organisation(&self) -> OrganisationId {
        match &self.kind {
            Kind::Caller(caller) => caller.organisation(),
            Kind::Administrator(administrator) => administrator.organisation,
        }
    }

    /// Returns the maximum number of tables and views of its organisation's tier, if there is a limit.
    #[must_use]
    pub fn max_tables(&self) -> Option<u64> {
        match &self.kind {
            Kind::Caller(caller) => caller.tier().max_tables,
            Kind::Administrator(administrator) => administrator.max_tables,
        }
    }

    /// Returns the actor in the events of its changes.
    #[must_use]
    pub fn actor(&self) -> Actor {
        match &self.kind {
            Kind::Caller(caller) => caller.actor(),
            Kind::Administrator(administrator) => administrator.actor.clone(),
        }
    }

    /// Returns whether it may change anything at all.
    #[must_use]
    pub fn may_change(&self) -> bool {
        access::may_change(&self.facts())
    }

    /// Returns whether a warehouse of its organisation is visible to it.
    #[must_use]
    pub fn sees_warehouse(&self, warehouse: WarehouseId) -> bool {
        access::sees_warehouse(&self.facts(), warehouse)
    }

    /// Returns the id with which it owns objects. An administrator from outside the organisation owns none.
    #[must_use]
    pub fn id(&self) -> Option<PrincipalId> {
        match &self.kind {
            Kind::Caller(caller) => Some(caller.principal()),
            Kind::Administrator(_) => None,
        }
    }

    /// Returns its grants.
    pub(super) fn grants(&self) -> &Grants {
        &self.grants
    }

    /// Returns whether its vended credentials cannot remove files.
    pub(super) fn no_delete(&self) -> bool {
        match &self.kind {
            Kind::Caller(caller) => caller.no_delete(),
            Kind::Administrator(_) => false,
        }
    }

    /// Returns the facts on which decisions depend.
    pub(super) fn facts(&self) -> Facts<'_> {
        let role = match &self.kind {
            Kind::Caller(caller) => caller.role(),
            Kind::Administrator(_) => Role::Admin,
        };
        Facts { organisation: self.organisation(), principal: self.id(), role, grants: &self.grants }
    }
}

impl From<Arc<Caller>> for Principal {
    fn from(caller: Arc<Caller>) -> Self {
        let grants = caller.grants();
        Self { kind: Kind::Caller(caller), grants }
    }
}
