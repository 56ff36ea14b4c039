//! The administrators: a user of the machine, an operator, or an admin of an organisation.

use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::Method;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use tidewater_core::access::Role;

use crate::access::Principal;
use crate::access::action::Administer;
use crate::admin::{AdminError, OwnStorage};
use crate::api::Api;
use crate::api::admission::{authorization, charge, note_route};
use crate::api::audit;
use crate::api::error::ApiError;
use crate::api::limit_headers;
use crate::api::path::PathParameters;
use crate::api::permission::{Allowed, RequestOrigin, source_of};
use crate::api::polaris::realm;
use crate::auth::{AuthError, Caller, Identity, OperatorCaller};
use crate::store::{Actor, Change, Organisation};
use crate::tenancy::{QuotaError, take_management};
use crate::warehouse::OpenWarehouse;

/// Marks a request of a user of the server's machine: it arrived over the Unix socket in the data folder, or this process
/// made it. The socket's server adds this value to the request's extensions. Requests over TCP never have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The user's name.
    pub user: Arc<str>,
}

/// The authenticated sender of a request to the management API, before its permissions are checked.
#[derive(Debug, Clone)]
enum Sender {
    Machine(Machine),
    Identity(Identity),
}

/// Passes on an authenticated request. Does not count it against the organisation's limits, so that an admin can revoke a key
/// that has spent them. The key's requests to the management API have a limit per second of their own.
pub(in crate::api) async fn authenticate(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let facts = note_route(&request).cloned();
    let sender = match request.extensions().get::<Machine>() {
        Some(machine) => Sender::Machine(machine.clone()),
        None => {
            let authorization = match authorization(request.headers()) {
                Ok(authorization) => authorization,
                Err(error) => return error.into_response(),
            };
            match api.authenticator.identify(authorization, source_of(request.extensions())).await {
                Ok(identity) => Sender::Identity(identity),
                Err(error) => return ApiError::from(error).into_response(),
            }
        }
    };
    if let Some(facts) = &facts {
        match &sender {
            Sender::Identity(Identity::Key(caller)) => {
                facts.caller(Arc::clone(caller));
            }
            Sender::Identity(Identity::Operator(operator)) => facts.operator(Arc::clone(operator)),
            Sender::Machine(machine) => facts.machine(&machine.user),
        }
    }
    if let Sender::Identity(Identity::Operator(operator)) = &sender
        && operator.is_by_token()
        && !accepts_token(&request)
    {
        let message = "An operator's token reads, and changes organisations, but nothing else: use the operator's key";
        return ApiError::forbidden(message).refused("operator-token").into_response();
    }
    if api.audit.is_closed() && matches!(sender, Sender::Identity(Identity::Key(_))) {
        return audit::refuse_unrecorded(&api);
    }
    if let Sender::Identity(Identity::Key(caller)) = &sender
        && let Err(fast) = take_management(caller)
    {
        let refusal = ApiError::from(QuotaError::TooFast(fast)).into_response();
        return limit_headers::add_burst(refusal, &fast, api.settings.limit_headers);
    }
    request.extensions_mut().insert(sender);
    next.run(request).await
}

/// Returns whether an operator's token may make a request. A stolen token must not make keys, which would outlive it, nor stop the server.
fn accepts_token(request: &Request) -> bool {
    const ORGANISATIONS: [&str; 3] = [
        "/management/v1/organisations",
        "/management/v1/organisations/{organisation}",
        "/management/v1/organisations/{organisation}/restore",
    ];
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    matches!(*request.method(), Method::GET | Method::HEAD) || ORGANISATIONS.contains(&route)
}

/// Counts an authenticated request against the daily limit of its sender's organisation, if it has one.
pub(in crate::api) async fn count(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let Some(Sender::Identity(Identity::Key(caller))) = request.extensions().get::<Sender>().cloned() else {
        return next.run(request).await;
    };
    match charge(&api, &caller, api.clock.now_ms()).await {
        Ok(left) => left.add_to(next.run(request).await),
        Err(refusal) => *refusal,
    }
}

/// An administrator.
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
    /// Returns the principal for permits in `organisation`, which may have at most `max_tables` tables.
    fn principal(&self, organisation: &Organisation, max_tables: Option<u64>) -> Principal {
        match self {
            Self::Machine(_) | Self::Operator(_) => Principal::administrator(organisation.id, self.actor(), max_tables),
            Self::OrganisationAdmin(caller) => Arc::clone(caller).into(),
        }
    }

    /// Returns the actor in the events of its changes.
    fn actor(&self) -> Actor {
        match self {
            Self::Machine(machine) => {
                Actor::CommandLine(Some(Arc::clone(&machine.user)).filter(|user| !user.is_empty()))
            }
            Self::Operator(operator) => operator.actor(),
            Self::OrganisationAdmin(caller) => caller.actor(),
        }
    }

    /// Returns the built-in role in the events of its changes.
    fn role(&self) -> Option<Role> {
        match self {
            Self::Machine(_) | Self::Operator(_) => None,
            Self::OrganisationAdmin(caller) => Some(caller.role()),
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
                Allowed::<Administer>::check(Arc::clone(&caller))?.organisation()?;
                Ok(Self::OrganisationAdmin(caller))
            }
            None => Err(ApiError::internal(&"a route is not behind authentication")),
        }
    }
}

/// An administrator with the origin of its request.
#[derive(Debug, Clone)]
pub(in crate::api) struct Asking {
    administrator: Administrator,
    origin: Option<RequestOrigin>,
}

impl Asking {
    /// Returns the record of a change that this request makes.
    pub(in crate::api) fn change(&self, api: &Api) -> Change {
        let (actor, role, now_ms) = (self.administrator.actor(), self.administrator.role(), api.clock.now_ms());
        match &self.origin {
            Some(origin) => origin.change(actor, role, now_ms),
            None => Change { role, ..Change::by(actor, now_ms) },
        }
    }

    /// Returns the caller of a request with the key of a non-admin. Its permissions are not checked yet.
    pub(super) fn of_key(parts: &Parts) -> Option<(Self, Arc<Caller>)> {
        let Some(Sender::Identity(Identity::Key(caller))) = parts.extensions.get::<Sender>() else { return None };
        if Allowed::<Administer>::check(Arc::clone(caller)).is_ok() {
            return None;
        }
        let administrator = Administrator::OrganisationAdmin(Arc::clone(caller));
        Some((Self { administrator, origin: parts.extensions.get().cloned() }, Arc::clone(caller)))
    }
}

impl FromRequestParts<Arc<Api>> for Asking {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let administrator = Administrator::from_request_parts(parts, api).await?;
        Ok(Self { administrator, origin: parts.extensions.get().cloned() })
    }
}

/// A manager of all organisations: a user of the machine, or an operator.
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
        Administrator::OrganisationAdmin(caller) => {
            let organisation = caller.organisation_name();
            let message =
                format!("Only an operator may do this: your key belongs to the organisation '{organisation}'");
            Err(ApiError::forbidden(message).refused("not-an-operator"))
        }
    }
}

/// An administrator of the path's organisation. An admin gets 404 for other organisations.
pub(in crate::api) struct OfOrganisation {
    pub(in crate::api) asking: Asking,
    pub(in crate::api) organisation: Organisation,
}

impl OfOrganisation {
    /// Returns whether the organisation's warehouses may use the server's own disk and cloud identity.
    pub(in crate::api) const fn own_storage(&self) -> OwnStorage {
        match self.asking.administrator {
            Administrator::Machine(_) | Administrator::Operator(_) => OwnStorage::Allowed,
            Administrator::OrganisationAdmin(_) => OwnStorage::Refused,
        }
    }

    /// Returns the record of a change that this request makes.
    pub(in crate::api) fn change(&self, api: &Api) -> Change {
        self.asking.change(api)
    }

    /// Fails for an operator, who can list dropped tables and views but not change a warehouse's contents.
    pub(super) fn check_may_change_contents(&self) -> Result<(), ApiError> {
        match self.asking.administrator {
            Administrator::Machine(_) | Administrator::OrganisationAdmin(_) => Ok(()),
            Administrator::Operator(_) => Err(ApiError::forbidden(
                "An operator manages organisations, not their data, and can only list dropped tables and views: use a key of \
                 the organisation, or the command line on the server's machine",
            )),
        }
    }

    /// Finds the path's organisation, if the key belongs to it.
    ///
    /// # Errors
    /// 404 for another organisation.
    pub(super) async fn find_own(parts: &Parts, api: &Api, caller: &Caller) -> Result<Organisation, ApiError> {
        let named = organisation_named(parts, api, Some(caller)).await?;
        if !is_own(caller, &named) {
            return Err(ApiError::from(AdminError::no_such_organisation(&named)).hidden());
        }
        Ok(api.admin.organisation_find(&named).await?)
    }

    /// Returns the principal for permits in the organisation.
    pub(in crate::api) fn principal(&self, api: &Api) -> Principal {
        self.asking.administrator.principal(&self.organisation, api.admin.max_tables(&self.organisation))
    }
}

impl FromRequestParts<Arc<Api>> for OfOrganisation {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let asking = Asking::from_request_parts(parts, api).await?;
        let own = match &asking.administrator {
            Administrator::OrganisationAdmin(caller) => Some(&**caller),
            Administrator::Machine(_) | Administrator::Operator(_) => None,
        };
        let named = organisation_named(parts, api, own).await?;
        if own.is_some_and(|caller| !is_own(caller, &named)) {
            return Err(ApiError::from(AdminError::no_such_organisation(&named)).hidden());
        }
        let organisation = api.admin.organisation_find(&named).await?;
        Ok(Self { asking, organisation })
    }
}

/// Returns the name or id of a request's organisation: that of the path, or, in Polaris' API, the realm.
async fn organisation_named(parts: &Parts, api: &Api, own: Option<&Caller>) -> Result<String, ApiError> {
    match PathParameters::from_parts(parts).get("organisation")? {
        Some(named) => Ok(named),
        None => realm::organisation_named(parts, api, own).await,
    }
}

fn is_own(caller: &Caller, named: &str) -> bool {
    named == caller.organisation_name() || named.parse() == Ok(caller.organisation())
}

/// A user of the machine, or an operator, with the path's organisation.
pub(in crate::api) struct ManagerOfOrganisation(pub(in crate::api) OfOrganisation);

impl FromRequestParts<Arc<Api>> for ManagerOfOrganisation {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let of = OfOrganisation::from_request_parts(parts, api).await?;
        check_manager(&of.asking.administrator)?;
        Ok(Self(of))
    }
}

/// An administrator of the path's organisation, with the path's warehouse.
pub(in crate::api) struct OfWarehouse {
    pub(in crate::api) of: OfOrganisation,
    pub(in crate::api) warehouse: Arc<OpenWarehouse>,
}

impl FromRequestParts<Arc<Api>> for OfWarehouse {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let of = OfOrganisation::from_request_parts(parts, api).await?;
        let named = PathParameters::from_parts(parts).get("warehouse")?.unwrap_or_default();
        let found = api.admin.warehouse_find(&of.organisation, &named).await?;
        let warehouse = api.catalog.warehouse(of.organisation.id, Some(&found.name)).await?;
        Ok(Self { of, warehouse })
    }
}

/// An administrator who may see a warehouse's contents: a user of the machine, or an admin of the organisation. Operators
/// have no access to namespaces and tables.
pub(in crate::api) struct WarehouseContents(pub(in crate::api) OfWarehouse);

impl FromRequestParts<Arc<Api>> for WarehouseContents {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let of = OfWarehouse::from_request_parts(parts, api).await?;
        match of.of.asking.administrator {
            Administrator::Operator(operator) => Err(AuthError::Operator(operator.refused()).into()),
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
                "This works only on the server's machine: run the command there, as the server's user",
            )),
        }
    }
}
