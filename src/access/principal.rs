//! Who asks.

use std::sync::Arc;

use tidewater_core::access::{Facts, Role, may_change};
use tidewater_core::ids::OrganisationId;

use crate::auth::Caller;
use crate::store::Actor;

/// Somebody who asks for a permit.
#[derive(Debug, Clone)]
pub struct Principal(Kind);

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
        Self(Kind::Administrator(Arc::new(Administrator { organisation, actor, max_tables })))
    }

    /// Returns the organisation in which it asks.
    #[must_use]
    pub fn organisation(&self) -> OrganisationId {
        match &self.0 {
            Kind::Caller(caller) => caller.organisation(),
            Kind::Administrator(administrator) => administrator.organisation,
        }
    }

    /// Returns how many tables and views the tier of its organisation includes, if there is a limit.
    #[must_use]
    pub fn max_tables(&self) -> Option<u64> {
        match &self.0 {
            Kind::Caller(caller) => caller.tier().max_tables,
            Kind::Administrator(administrator) => administrator.max_tables,
        }
    }

    /// Returns who it is, in the events of its changes.
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

    /// Returns whether its credentials remove no files.
    pub(super) fn no_delete(&self) -> bool {
        match &self.0 {
            Kind::Caller(caller) => caller.no_delete(),
            Kind::Administrator(_) => false,
        }
    }

    /// Returns what decisions about it depend on.
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
