//! Who asks.

use std::sync::Arc;

use tidewater_core::access::{self, Facts, Grants, Role};
use tidewater_core::ids::{OrganisationId, PrincipalId, WarehouseId};

use crate::auth::Caller;
use crate::store::Actor;

/// Somebody who asks for a permit.
#[derive(Debug, Clone)]
pub struct Principal {
    kind: Kind,
    /// What it was granted when it asked.
    grants: Arc<Grants>,
}

#[derive(Debug, Clone)]
enum Kind {
    Caller(Arc<Caller>),
    Administrator(Arc<Administrator>),
}

/// Somebody who administers an organisation and does not belong to it.
#[derive(Debug)]
struct Administrator {
    organisation: OrganisationId,
    actor: Actor,
    max_tables: Option<u64>,
}

impl Principal {
    /// Returns a user of the machine itself, or an operator, who may do in an organisation what an admin may. `max_tables` is
    /// how many tables and views the organisation may have. It is for the command line and for the management API, which finds
    /// out who asks: a test holds that nobody else calls it.
    #[must_use]
    pub fn administrator(organisation: OrganisationId, actor: Actor, max_tables: Option<u64>) -> Self {
        let kind = Kind::Administrator(Arc::new(Administrator { organisation, actor, max_tables }));
        Self { kind, grants: Arc::default() }
    }

    /// Returns the organisation in which it asks.
    #[must_use]
    pub fn organisation(&self) -> OrganisationId {
        match &self.kind {
            Kind::Caller(caller) => caller.organisation(),
            Kind::Administrator(administrator) => administrator.organisation,
        }
    }

    /// Returns how many tables and views the tier of its organisation includes, if there is a limit.
    #[must_use]
    pub fn max_tables(&self) -> Option<u64> {
        match &self.kind {
            Kind::Caller(caller) => caller.tier().max_tables,
            Kind::Administrator(administrator) => administrator.max_tables,
        }
    }

    /// Returns who it is, in the events of its changes.
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

    /// Returns whether it sees a warehouse of its organisation.
    #[must_use]
    pub fn sees_warehouse(&self, warehouse: WarehouseId) -> bool {
        access::sees_warehouse(&self.facts(), warehouse)
    }

    /// Returns which principal owns what it creates, and may do with its own what an owner may.
    pub(super) fn id(&self) -> Option<PrincipalId> {
        match &self.kind {
            Kind::Caller(caller) => Some(caller.principal()),
            Kind::Administrator(_) => None,
        }
    }

    /// Returns what it was granted.
    pub(super) fn grants(&self) -> &Grants {
        &self.grants
    }

    /// Returns whether its credentials remove no files.
    pub(super) fn no_delete(&self) -> bool {
        match &self.kind {
            Kind::Caller(caller) => caller.no_delete(),
            Kind::Administrator(_) => false,
        }
    }

    /// Returns what decisions about it depend on.
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
