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
    Machine(OrganisationId),
}

impl Principal {
    /// Returns whoever runs a command on the machine itself, and so may do in an organisation what an admin may. It is for the
    /// command line alone, which a test holds.
    #[must_use]
    pub const fn on_this_machine(organisation: OrganisationId) -> Self {
        Self(Kind::Machine(organisation))
    }

    /// Returns the organisation in which it asks.
    #[must_use]
    pub fn organisation(&self) -> OrganisationId {
        match &self.0 {
            Kind::Caller(caller) => caller.organisation(),
            Kind::Machine(organisation) => *organisation,
        }
    }

    /// Returns how many tables and views the tier of its organisation includes, if there is a limit.
    #[must_use]
    pub fn max_tables(&self) -> Option<u64> {
        match &self.0 {
            Kind::Caller(caller) => caller.tier().max_tables,
            Kind::Machine(_) => None,
        }
    }

    /// Returns who it is, in the events of its changes.
    #[must_use]
    pub fn actor(&self) -> Actor {
        match &self.0 {
            Kind::Caller(caller) => caller.actor(),
            Kind::Machine(_) => Actor::CommandLine(None),
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
            Kind::Machine(_) => false,
        }
    }

    /// Returns what decisions about it depend on.
    pub(super) fn facts(&self) -> Facts {
        match &self.0 {
            Kind::Caller(caller) => Facts { organisation: caller.organisation(), role: caller.role() },
            Kind::Machine(organisation) => Facts { organisation: *organisation, role: Role::Admin },
        }
    }
}

impl From<Arc<Caller>> for Principal {
    fn from(caller: Arc<Caller>) -> Self {
        Self(Kind::Caller(caller))
    }
}
