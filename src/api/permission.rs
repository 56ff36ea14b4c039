//! Permission: decides whether a caller may do a route's action, and to which objects.
//!
//! A handler takes [`Scope`] (or [`Allowed`], if its path has no warehouse) for its action. Before the body is read, both
//! refuse a caller who may not do the action to any object. The handler then asks the scope for a permit for each object,
//! and passes the permit to the catalog.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderValue};
use tidewater_core::access::Role;
use tidewater_core::ids::TableId;
use tidewater_core::name::{NamespaceIdent, TableIdent};

use super::Api;
use super::error::ApiError;
use super::idempotency::IdempotencyState;
use super::logged_text::agent_text;
use super::path::PathParameters;
use super::request_log::{self, RequestFacts};
use crate::access::action::{Action, On};
use crate::access::{
    Answered, Authorizer, DroppedObject, Namespace, Organisation, Permit, Principal, Table, View, Warehouse,
};
use crate::auth::{Caller, CredentialSource, LastCredential, Renewal};
use crate::catalog::CatalogError;
use crate::store::{Actor, Change, KeptDocument, TableKind};
use crate::warehouse::OpenWarehouse;

/// Returns the caller of an admitted request.
///
/// # Errors
/// 500 if the route is not behind authentication.
pub(super) fn caller_of(parts: &Parts) -> Result<&Arc<Caller>, ApiError> {
    parts.extensions.get::<Arc<Caller>>().ok_or_else(|| ApiError::internal(&"a route is not behind authentication"))
}

/// Proof that the caller may do `A` to some object of its organisation.
pub(super) struct Allowed<A> {
    pub(super) authorizer: Authorizer<A>,
}

impl<A: Action> Allowed<A> {
    /// Checks that the caller may do `A` to some object.
    ///
    /// # Errors
    /// 403 if it may not.
    pub(super) fn check(caller: Arc<Caller>) -> Result<Self, ApiError> {
        Ok(Self { authorizer: Authorizer::new(caller.into())? })
    }
}

impl<A: On<Organisation>> Allowed<A> {
    /// Decides about the caller's organisation.
    ///
    /// # Errors
    /// 403 if the caller may not do `A` to it.
    pub(super) fn organisation(self) -> Result<Permit<A, Organisation>, ApiError> {
        let organisation = Organisation(self.authorizer.principal().organisation());
        Ok(self.authorizer.permit(organisation)?)
    }
}

impl<A: Action> FromRequestParts<Arc<Api>> for Allowed<A> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Api>) -> Result<Self, ApiError> {
        let caller = Principal::from(Arc::clone(caller_of(parts)?));
        let renewal = parts.extensions.get::<Arc<Renewal>>().cloned();
        Ok(Self { authorizer: Authorizer::new(caller.renewed_by(renewal))? })
    }
}

/// Opens the warehouse with the name, or the organisation's default.
///
/// # Errors
/// 404 if it does not exist or is hidden from the principal; 503 if it cannot be used.
pub(super) async fn visible_warehouse(
    api: &Api,
    principal: &Principal,
    name: Option<&str>,
) -> Result<Arc<OpenWarehouse>, ApiError> {
    let warehouse = api.catalog.warehouse(principal.organisation(), name).await?;
    if principal.sees_warehouse(warehouse.warehouse_ref.warehouse) {
        return Ok(warehouse);
    }
    let missing = name.map_or(CatalogError::NoDefaultWarehouse, |name| CatalogError::NoSuchWarehouse(name.to_owned()));
    Err(ApiError::from(missing).hidden())
}

/// Proof that the caller may do `A` to some object, with the warehouse of the path or the organisation's default.
pub(super) struct Scope<A> {
    pub(super) authorizer: Authorizer<A>,
    pub(super) warehouse: Arc<OpenWarehouse>,
    /// The name of the warehouse in the request. `None` for the organisation's default.
    prefix: Option<Box<str>>,
    /// Whether the request was done before, with the same idempotency key.
    pub(super) once: IdempotencyState,
    facts: Option<Arc<RequestFacts>>,
    origin: Option<RequestOrigin>,
}

/// How a request arrived. Its changes record this.
#[derive(Debug, Clone)]
pub(super) struct RequestOrigin {
    pub(super) request_id: HeaderValue,
    pub(super) from: Option<IpAddr>,
    /// The credential of the connection's previous request.
    pub(super) last: Option<Arc<LastCredential>>,
    /// The client's `User-Agent`.
    pub(super) agent: Option<HeaderValue>,
}

/// Returns the source of a request's credential.
pub(super) fn source_of(extensions: &Extensions) -> CredentialSource<'_> {
    let signed_in = request_log::facts(extensions).map(|facts| facts.signed_in());
    let origin = extensions.get::<RequestOrigin>();
    CredentialSource {
        address: origin.and_then(|origin| origin.from),
        last: origin.and_then(|origin| origin.last.as_deref()),
        signed_in,
    }
}

/// Returns how the caller of a request is authenticated again.
pub(super) fn renewal_of(api: &Api, authorization: Option<&[u8]>, extensions: &Extensions) -> Arc<Renewal> {
    let origin = extensions.get::<RequestOrigin>();
    let (address, last) = origin.map(|origin| (origin.from, origin.last.as_ref())).unwrap_or_default();
    Arc::new(Renewal::new(&api.authenticator, authorization, address, last))
}

impl RequestOrigin {
    /// Returns the record of a change that the request makes, by an actor with a built-in role.
    pub(super) fn change(&self, actor: Actor, role: Option<Role>, at_ms: i64) -> Change {
        Change {
            agent: self.agent.as_ref().map(|agent| agent_text(agent).into()),
            role,
            request_id: self.request_id.to_str().ok().map(Into::into),
            client: self.from.map(|from| from.to_canonical()),
            ..Change::by(actor, at_ms)
        }
    }
}

impl<A: Action> Scope<A> {
    /// Returns the record of a change that this request makes, with its receipt.
    pub(super) fn change(&self, api: &Api) -> Change {
        let (principal, now_ms) = (self.authorizer.principal(), api.clock.now_ms());
        let (actor, role) = (principal.actor(), principal.role());
        let change = match &self.origin {
            Some(origin) => origin.change(actor, role, now_ms),
            None => Change { role, ..Change::by(actor, now_ms) },
        };
        Change { receipt: self.once.receipt(), ..change }
    }

    /// Returns the scope of a caller that was checked already, in an open warehouse.
    pub(super) fn in_warehouse(authorizer: Authorizer<A>, warehouse: Arc<OpenWarehouse>, parts: &Parts) -> Self {
        let facts = request_log::facts(&parts.extensions).cloned();
        Self {
            authorizer,
            prefix: Some(warehouse.name.as_str().into()),
            warehouse,
            once: IdempotencyState::default(),
            facts,
            origin: parts.extensions.get().cloned(),
        }
    }

    /// Opens the warehouse of that name or the organisation's default.
    ///
    /// # Errors
    /// Fails if there is no such warehouse, or it cannot be used.
    pub(super) async fn open(
        api: &Api,
        Allowed { authorizer }: Allowed<A>,
        warehouse: Option<&str>,
        once: IdempotencyState,
    ) -> Result<Self, ApiError> {
        let opened = visible_warehouse(api, authorizer.principal(), warehouse).await?;
        // Only a principal that can be renewed needs the name again.
        let prefix = warehouse.filter(|_| authorizer.principal().is_renewable()).map(Into::into);
        Ok(Self { authorizer, warehouse: opened, prefix, once, facts: None, origin: None })
    }

    /// Returns the scope of the caller as it is now, if its standing, its grants or the warehouses changed since its authentication: while
    /// the request's body arrived, or found by a read of the store, if another server made the change.
    ///
    /// # Errors
    /// Why the caller is refused now.
    pub(super) async fn present(self, api: &Api) -> Result<Self, ApiError> {
        if !self.authorizer.principal().is_outdated() {
            return Ok(self);
        }
        let (authorizer, warehouse) = Box::pin(self.renewed(api)).await?;
        Ok(Self { authorizer, warehouse, ..self })
    }

    async fn renewed(&self, api: &Api) -> Result<(Authorizer<A>, Arc<OpenWarehouse>), ApiError> {
        let principal = self.authorizer.principal().renew().await?;
        let warehouse = visible_warehouse(api, &principal, self.prefix.as_deref()).await?;
        Ok((Authorizer::new(principal)?, warehouse))
    }

    /// Finds an object and decides about it. If the read of the store shows that the caller's standing, its grants or the warehouses
    /// changed, finds it again as the caller is now.
    ///
    /// # Errors
    /// Those of `find`, and why the caller is refused now.
    pub(super) async fn decided<T, F: Future<Output = Result<T, CatalogError>>>(
        &self,
        api: &Api,
        find: impl Fn(Authorizer<A>, Arc<OpenWarehouse>) -> F,
    ) -> Result<T, ApiError> {
        let found = find(self.authorizer.clone(), Arc::clone(&self.warehouse)).await;
        if !self.authorizer.principal().is_outdated() {
            return Ok(found?);
        }
        let (authorizer, warehouse) = Box::pin(self.renewed(api)).await?;
        Ok(find(authorizer, warehouse).await?)
    }

    /// Records for the log the object that a request names in its body.
    pub(super) fn note_object(&self, object: impl fmt::Display) {
        if let Some(facts) = &self.facts {
            facts.object(&object);
        }
    }

    /// Decides about the warehouse.
    ///
    /// # Errors
    /// 403.
    pub(super) fn warehouse(&self) -> Result<Permit<A, Warehouse>, ApiError>
    where
        A: On<Warehouse>,
    {
        Ok(self.authorizer.clone().permit(Warehouse(Arc::clone(&self.warehouse)))?)
    }

    /// Decides about a namespace of the warehouse.
    ///
    /// # Errors
    /// 403.
    pub(super) fn namespace(&self, ident: NamespaceIdent) -> Result<Permit<A, Namespace>, ApiError>
    where
        A: On<Namespace>,
    {
        let namespace = Namespace { warehouse: Arc::clone(&self.warehouse), ident };
        Ok(self.authorizer.clone().permit(namespace)?)
    }

    /// Decides about another action on a namespace of the warehouse, which a body names.
    ///
    /// # Errors
    /// 403.
    pub(super) fn namespace_for<B: On<Namespace>>(
        &self,
        ident: NamespaceIdent,
    ) -> Result<Permit<B, Namespace>, ApiError> {
        let namespace = Namespace { warehouse: Arc::clone(&self.warehouse), ident };
        Ok(self.authorizer.for_action::<B>()?.permit(namespace)?)
    }

    /// Finds a table and decides about it.
    ///
    /// # Errors
    /// 404 if it does not exist; 403.
    pub(super) async fn table(&self, api: &Api, ident: TableIdent) -> Result<Permit<A, Table>, ApiError>
    where
        A: On<Table>,
    {
        let find = |authorizer, warehouse| api.catalog.table_find(authorizer, warehouse, ident.clone());
        self.decided(api, find).await
    }

    /// Finds a view and decides about it.
    ///
    /// # Errors
    /// 404 if it does not exist; 403.
    pub(super) async fn view(&self, api: &Api, ident: TableIdent) -> Result<Permit<A, View>, ApiError>
    where
        A: On<View>,
    {
        let find = |authorizer, warehouse| api.catalog.view_find(authorizer, warehouse, ident.clone());
        self.decided(api, find).await
    }

    /// Finds a dropped table or view and decides about it.
    ///
    /// # Errors
    /// 404 if it does not exist; 403.
    pub(super) async fn dropped(&self, api: &Api, id: TableId) -> Result<Permit<A, DroppedObject>, ApiError>
    where
        A: On<DroppedObject>,
    {
        let find = |authorizer, warehouse| api.catalog.dropped_find(authorizer, warehouse, id);
        self.decided(api, find).await
    }

    /// Decides about the table or view of an earlier answer, even if it was renamed since.
    ///
    /// # Errors
    /// 403.
    pub(super) fn answered(
        &self,
        ident: TableIdent,
        kind: TableKind,
        kept: &KeptDocument,
    ) -> Result<Permit<A, Answered>, ApiError>
    where
        A: On<Answered>,
    {
        let answered = Answered { warehouse: Arc::clone(&self.warehouse), ident, kind, kept: kept.clone() };
        Ok(self.authorizer.clone().permit(answered)?)
    }
}

impl<A: Action> FromRequestParts<Arc<Api>> for Scope<A> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        match Self::of_parts(parts, api).await {
            Err(refused) if refused.may_be_outdated() => {
                let caller = Arc::clone(caller_of(parts)?);
                if !Box::pin(is_outdated(api, &caller)).await? {
                    return Err(refused);
                }
                if let Some(renewal) = parts.extensions.get::<Arc<Renewal>>().cloned() {
                    parts.extensions.insert(renewal.caller().await?);
                }
                Self::of_parts(parts, api).await
            }
            opened => opened,
        }
    }
}

/// Counts the changes of other servers, and returns whether the caller is no longer what it was at admission.
pub(super) async fn is_outdated(api: &Api, caller: &Caller) -> Result<bool, ApiError> {
    let Some(refreshed) = api.store.access_refresh(Some(caller.organisation())) else { return Ok(false) };
    refreshed.await?;
    Ok(!caller.is_current())
}

impl<A: Action> Scope<A> {
    async fn of_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let allowed = Allowed::<A>::from_request_parts(parts, api).await?;
        let path = PathParameters::from_parts(parts);
        let prefix = path.get("prefix")?.or(path.get("warehouse")?);
        let once = parts.extensions.get::<IdempotencyState>().cloned().unwrap_or_default();
        let scope = Self::open(api, allowed, prefix.as_deref(), once).await?;
        let facts = request_log::facts(&parts.extensions).cloned();
        Ok(Self { facts, origin: parts.extensions.get().cloned(), ..scope })
    }
}
