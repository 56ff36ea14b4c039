//! Who administers: the machine itself, an operator, or an admin of an organisation.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::access::Principal;
use crate::access::action::Administer;
use crate::admin::{AdminError, OwnStorage};
use crate::api::Api;
use crate::api::admission::{authorization, charge, note_route};
use crate::api::error::ApiError;
use crate::api::path::PathParameters;
use crate::api::permission::{Allowed, Arrived};
use crate::auth::{AuthError, Caller, Identity, OperatorCaller};
use crate::store::{Actor, Change, Organisation};
use crate::warehouse::OpenWarehouse;

/// The machine itself, as a user of it: a request that came over the Unix socket in the data folder, or was made in this
/// process. Whoever accepts such requests puts this value into the extensions of each; nothing that comes over TCP has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The user's name.
    pub user: Arc<str>,
}

/// Who sent a request to the management API, before it is known what they may do.
#[derive(Debug, Clone)]
enum Sender {
    Machine(Machine),
    Identity(Identity),
}

/// Lets a request through whose sender is known. It is not counted: an admin can revoke a key that has spent the day.
pub(in crate::api) async fn authenticate(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let learned = note_route(&request).cloned();
    let sender = match request.extensions().get::<Machine>() {
        Some(machine) => Sender::Machine(machine.clone()),
        None => {
            let authorization = match authorization(request.headers()) {
                Ok(authorization) => authorization,
                Err(error) => return error.into_response(),
            };
            match api.authenticator.identify(authorization).await {
                Ok(principal) => Sender::Identity(principal),
                Err(error) => return ApiError::from(error).into_response(),
            }
        }
    };
    if let Some(learned) = &learned {
        match &sender {
            Sender::Identity(Identity::Key(caller)) => {
                learned.caller(Arc::clone(caller));
            }
            Sender::Identity(Identity::Operator(operator)) => learned.operator(Arc::clone(operator)),
            Sender::Machine(_) => {}
        }
    }
    request.extensions_mut().insert(sender);
    next.run(request).await
}

/// Counts a request that was let through against the day of its sender's organisation, if it has one.
pub(in crate::api) async fn count(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let Some(Sender::Identity(Identity::Key(caller))) = request.extensions().get::<Sender>().cloned() else {
        return next.run(request).await;
    };
    match charge(&api, &caller, api.clock.now_ms()).await {
        Ok(left) => left.tell(next.run(request).await),
        Err(refusal) => *refusal,
    }
}

/// Somebody who administers something.
#[derive(Debug, Clone)]
pub(in crate::api) enum Administrator {
    /// A user of the machine itself.
    Machine(Machine),
    /// An operator.
    Operator(Arc<OperatorCaller>),
    /// An admin of an organisation.
    OrganisationAdmin(Arc<Caller>),
}

impl Administrator {
    /// Who asks for permits in an organisation that may have so many tables.
    fn principal(&self, organisation: &Organisation, max_tables: Option<u64>) -> Principal {
        match self {
            Self::Machine(_) | Self::Operator(_) => Principal::administrator(organisation.id, self.actor(), max_tables),
            Self::OrganisationAdmin(caller) => Arc::clone(caller).into(),
        }
    }

    /// Who they are, in the events of what they change.
    fn actor(&self) -> Actor {
        match self {
            Self::Machine(machine) => {
                Actor::CommandLine(Some(Arc::clone(&machine.user)).filter(|user| !user.is_empty()))
            }
            Self::Operator(operator) => operator.actor(),
            Self::OrganisationAdmin(caller) => caller.actor(),
        }
    }
}

impl FromRequestParts<Arc<Api>> for Administrator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Api>) -> Result<Self, ApiError> {
        match parts.extensions.get::<Sender>().cloned() {
            Some(Sender::Machine(machine)) => Ok(Self::Machine(machine)),
            Some(Sender::Identity(Identity::Operator(operator))) => Ok(Self::Operator(operator)),
            Some(Sender::Identity(Identity::Key(caller))) => {
                Allowed::<Administer>::of(Arc::clone(&caller))?.organisation()?;
                Ok(Self::OrganisationAdmin(caller))
            }
            None => Err(ApiError::internal(&"a route is not behind authentication")),
        }
    }
}

/// An administrator, and how the request came in.
#[derive(Debug, Clone)]
pub(in crate::api) struct Asking {
    administrator: Administrator,
    arrived: Option<Arrived>,
}

impl Asking {
    /// What a change for this request carries.
    pub(in crate::api) fn change(&self, api: &Api) -> Change {
        let actor = self.administrator.actor();
        self.arrived.as_ref().map_or_else(
            || Change::by(actor.clone(), api.clock.now_ms()),
            |arrived| arrived.change(actor.clone(), api.clock.now_ms()),
        )
    }
}

impl Asking {
    /// Returns the holder of a key that is not an admin's, if one sent the request. What they may do is not decided yet.
    pub(super) fn of_key(parts: &Parts) -> Option<(Self, Arc<Caller>)> {
        let Some(Sender::Identity(Identity::Key(caller))) = parts.extensions.get::<Sender>() else { return None };
        if Allowed::<Administer>::of(Arc::clone(caller)).is_ok() {
            return None;
        }
        let (administrator, arrived) =
            (Administrator::OrganisationAdmin(Arc::clone(caller)), parts.extensions.get().cloned());
        Some((Self { administrator, arrived }, Arc::clone(caller)))
    }
}

impl FromRequestParts<Arc<Api>> for Asking {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let administrator = Administrator::from_request_parts(parts, api).await?;
        Ok(Self { administrator, arrived: parts.extensions.get().cloned() })
    }
}

/// A user of the machine, or an operator: who manages all organisations.
pub(in crate::api) struct Manager(pub(in crate::api) Asking);

impl FromRequestParts<Arc<Api>> for Manager {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let asking = Asking::from_request_parts(parts, api).await?;
        check_manager(&asking.administrator)?;
        Ok(Self(asking))
    }
}

fn check_manager(administrator: &Administrator) -> Result<(), ApiError> {
    match administrator {
        Administrator::Machine(_) | Administrator::Operator(_) => Ok(()),
        Administrator::OrganisationAdmin(caller) => Err(ApiError::forbidden(format!(
            "Only an operator does this: your key belongs to the organisation '{}'",
            caller.organisation_name()
        ))),
    }
}

/// An administrator of the organisation that the path names. For an admin, others do not exist.
pub(in crate::api) struct OfOrganisation {
    pub(in crate::api) asking: Asking,
    pub(in crate::api) organisation: Organisation,
}

impl OfOrganisation {
    /// Whether what is the server's own may be used for the organisation's warehouses.
    pub(in crate::api) const fn own_storage(&self) -> OwnStorage {
        match self.asking.administrator {
            Administrator::Machine(_) | Administrator::Operator(_) => OwnStorage::Allowed,
            Administrator::OrganisationAdmin(_) => OwnStorage::Refused,
        }
    }

    /// What a change for this request carries.
    pub(in crate::api) fn change(&self, api: &Api) -> Change {
        self.asking.change(api)
    }

    /// Finds the organisation that the path names, if it is a key's own.
    ///
    /// # Errors
    /// 404 when it is another.
    pub(super) async fn find_own(parts: &Parts, api: &Api, caller: &Caller) -> Result<Organisation, ApiError> {
        let named = PathParameters::of(parts).get("organisation")?.unwrap_or_default();
        if !is_own(caller, &named) {
            return Err(AdminError::no_such_organisation(&named).into());
        }
        Ok(api.admin.organisation_find(&named).await?)
    }

    /// Who asks for permits in the organisation.
    pub(in crate::api) fn principal(&self, api: &Api) -> Principal {
        self.asking.administrator.principal(&self.organisation, api.admin.max_tables(&self.organisation))
    }
}

impl FromRequestParts<Arc<Api>> for OfOrganisation {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let asking = Asking::from_request_parts(parts, api).await?;
        let named = PathParameters::of(parts).get("organisation")?.unwrap_or_default();
        if let Administrator::OrganisationAdmin(caller) = &asking.administrator
            && !is_own(caller, &named)
        {
            return Err(AdminError::no_such_organisation(&named).into());
        }
        let organisation = api.admin.organisation_find(&named).await?;
        Ok(Self { asking, organisation })
    }
}

fn is_own(caller: &Caller, named: &str) -> bool {
    named == caller.organisation_name() || named.parse() == Ok(caller.organisation())
}

/// A user of the machine, or an operator, and the organisation that the path names.
pub(in crate::api) struct ManagerOfOrganisation(pub(in crate::api) OfOrganisation);

impl FromRequestParts<Arc<Api>> for ManagerOfOrganisation {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let of = OfOrganisation::from_request_parts(parts, api).await?;
        check_manager(&of.asking.administrator)?;
        Ok(Self(of))
    }
}

/// An administrator of the organisation that the path names, and one of its warehouses.
pub(in crate::api) struct OfWarehouse {
    pub(in crate::api) of: OfOrganisation,
    pub(in crate::api) warehouse: Arc<OpenWarehouse>,
}

impl FromRequestParts<Arc<Api>> for OfWarehouse {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let of = OfOrganisation::from_request_parts(parts, api).await?;
        let named = PathParameters::of(parts).get("warehouse")?.unwrap_or_default();
        let found = api.admin.warehouse_find(&of.organisation, &named).await?;
        let warehouse = api.catalog.warehouse(of.organisation.id, Some(&found.name)).await?;
        Ok(Self { of, warehouse })
    }
}

/// Somebody who may look at what is in a warehouse: a user of the machine, or an admin of the organisation. Operators reach no
/// namespace and no table.
pub(in crate::api) struct WarehouseContents(pub(in crate::api) OfWarehouse);

impl FromRequestParts<Arc<Api>> for WarehouseContents {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let of = OfWarehouse::from_request_parts(parts, api).await?;
        match of.of.asking.administrator {
            Administrator::Operator(_) => Err(AuthError::Operator.into()),
            Administrator::Machine(_) | Administrator::OrganisationAdmin(_) => Ok(Self(of)),
        }
    }
}

/// A user of the machine itself.
pub(in crate::api) struct OnMachine;

impl FromRequestParts<Arc<Api>> for OnMachine {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        match Administrator::from_request_parts(parts, api).await? {
            Administrator::Machine(_) => Ok(Self),
            Administrator::Operator(_) | Administrator::OrganisationAdmin(_) => Err(ApiError::forbidden(
                "This works only on the server's machine itself: run the command there, as the server's user",
            )),
        }
    }
}
