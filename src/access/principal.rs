//! Principals: callers and administrators.

use std::sync::Arc;

use tidewater_core::access::{self, Engine, Facts, Grants, Role, Securable, Tabular, Target};
use tidewater_core::ids::{OrganisationId, PrincipalId, WarehouseId};

use crate::auth::{AuthError, Caller, Renewal};
use crate::store::{Actor, WarehouseRef};

/// The caller or administrator in a decision.
#[derive(Debug, Clone)]
pub struct Principal {
    kind: Kind,
    /// Its grants at the time of the request.
    grants: Arc<Grants>,
    /// How it is authenticated again. `None` for an administrator, and where the request is decided anew as a whole.
    renewal: Option<Arc<Renewal>>,
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
        Self { kind, grants: Arc::default(), renewal: None }
    }

    /// Returns the same principal, which can be renewed.
    #[must_use]
    pub fn renewed_by(self, renewal: Option<Arc<Renewal>>) -> Self {
        Self { renewal, ..self }
    }

    /// Returns whether its standing or its grants have changed since its authentication, so that it must be renewed before the next
    /// decision.
    #[must_use]
    #[inline]
    pub fn is_outdated(&self) -> bool {
        match &self.kind {
            Kind::Caller(caller) => self.renewal.is_some() && !caller.is_current(),
            Kind::Administrator(_) => false,
        }
    }

    /// Returns whether it can be authenticated again.
    #[must_use]
    pub const fn is_renewable(&self) -> bool {
        self.renewal.is_some()
    }

    /// Authenticates it again.
    ///
    /// # Errors
    /// Why it is refused now.
    pub async fn renew(&self) -> Result<Self, AuthError> {
        let Some(renewal) = &self.renewal else { return Ok(self.clone()) };
        let renewed = Self::from(renewal.caller().await?);
        Ok(Self { renewal: Some(Arc::clone(renewal)), ..renewed })
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

    /// Returns its built-in role. An administrator of all organisations has none.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        match &self.kind {
            Kind::Caller(caller) => Some(caller.role()),
            Kind::Administrator(_) => None,
        }
    }

    /// Returns whether it may change anything at all.
    #[must_use]
    pub fn may_change(&self) -> bool {
        access::may_change(&self.facts())
    }

    /// Returns whether it may manage access to some object of a warehouse of its organisation.
    #[must_use]
    pub fn may_manage_within(&self, warehouse: WarehouseId) -> bool {
        access::may_within(&self.facts(), access::Action::ManageAccess, warehouse)
    }

    /// Returns whether it may manage access to the object of a grant. The object of a grant on a dropped table or view has no name:
    /// only a manager of its warehouse manages access to it.
    #[must_use]
    pub fn may_manage(&self, warehouse_ref: WarehouseRef, on: &Securable) -> bool {
        let warehouse = warehouse_ref.warehouse;
        let tabular = |id, ident| Tabular { warehouse, id, ident, owner: None };
        let target = match on {
            Securable::Namespace(ident) => Target::Namespace(warehouse, ident),
            Securable::Table(id, Some(ident)) => Target::Table(tabular(*id, ident)),
            Securable::View(id, Some(ident)) => Target::View(tabular(*id, ident)),
            Securable::Warehouse | Securable::Table(_, None) | Securable::View(_, None) => Target::Warehouse(warehouse),
        };
        let object = access::Object { organisation: warehouse_ref.organisation, target };
        access::decide(&self.facts(), access::Action::ManageAccess, &object).is_ok()
    }

    /// Returns whether a warehouse of its organisation is visible to it.
    #[must_use]
    pub fn sees_warehouse(&self, warehouse: WarehouseId) -> bool {
        access::sees_warehouse(&self.facts(), warehouse)
    }

    /// Returns the id with which it owns objects. An administrator from outside the organisation owns none, and the rights of an
    /// owner do not count for a narrowed token.
    #[must_use]
    pub fn id(&self) -> Option<PrincipalId> {
        match &self.kind {
            Kind::Caller(caller) => caller.owner(),
            Kind::Administrator(_) => None,
        }
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
        let engine = match &self.kind {
            Kind::Caller(caller) => caller.engine().map(|engine| Engine {
                principal: engine.owner(),
                role: engine.role(),
                grants: engine.grants(),
            }),
            Kind::Administrator(_) => None,
        };
        Facts { organisation: self.organisation(), principal: self.id(), role, grants: &self.grants, engine }
    }
}

impl From<Arc<Caller>> for Principal {
    fn from(caller: Arc<Caller>) -> Self {
        let grants = Arc::clone(caller.grants());
        Self { kind: Kind::Caller(caller), grants, renewal: None }
    }
}
