//! Access: principal roles, catalog roles, assignments, grants, and explanations of decisions.

use std::fmt;
use std::sync::Arc;

use tidewater_core::access::{
    self, Action, Explanation, Facts, Grants, Object, Privilege, Restrictions, Role, Securable, SecurableKind, Tabular,
    Target, check_role_name,
};
use tidewater_core::ids::{CatalogRoleId, OrganisationId, PrincipalId, PrincipalRoleId};
use tidewater_core::name::{NamespaceIdent, TableIdent};

use super::access_limits::AccessKind;
use super::{Admin, AdminError};
use crate::auth::roles_of_scope;
use crate::base::clock::fresh_ordered_uuid;
use crate::store::{
    CatalogRole, Change, Grant, Organisation, Page, PageRequest, PrincipalAccess, PrincipalRecord, PrincipalRole,
    Resource, StoreError, TableKind, WarehouseRef,
};

/// The maximum number of principals that are checked for one page.
const MAX_CHECKED: u32 = 100;

/// The object of a grant or an explanation, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedObject {
    /// The warehouse.
    Warehouse,
    /// A namespace.
    Namespace(NamespaceIdent),
    /// A table or view.
    Tabular(TableKind, TableIdent),
}

/// The principal of an explanation, with the restrictions of a token.
#[derive(Debug, Clone, Copy)]
pub struct ExplainedToken<'a> {
    /// The name or id of its key.
    pub principal: &'a str,
    /// The scope of the token, which may narrow it to some principal roles.
    pub scope: Option<&'a str>,
    /// The name or id of the engine's key that acts for the principal.
    pub engine: Option<&'a str>,
}

/// The explanation of a decision about a principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainedAccess {
    /// The principal.
    pub principal: PrincipalRecord,
    /// The reason, or the missing privilege.
    pub verdict: Verdict,
    /// The principal roles whose restrictions on the table apply to it.
    pub restricted_by: Vec<String>,
}

/// The reason why an action is allowed, or the missing privilege.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The built-in role of its key allows it.
    ByRole(Role),
    /// The principal created the object, or a namespace that it is in.
    ByOwnership,
    /// A grant allows it. The principal has the catalog role through a principal role.
    ByGrant {
        /// The grant.
        grant: Grant,
        /// The name of the catalog role.
        catalog_role: String,
        /// The name of the principal role.
        principal_role: String,
    },
    /// The object is visible because of a grant in it.
    BySight,
    /// It is denied.
    Denied {
        /// The message of the denial.
        message: String,
        /// The privilege that would allow it.
        missing: Option<Privilege>,
    },
}

impl Admin {
    /// Adds a principal role.
    ///
    /// # Errors
    /// `Invalid`; `Exists`; `TooMany`.
    pub async fn principal_role_create(
        &self,
        organisation: &Organisation,
        name: &str,
        change: &Change,
    ) -> Result<PrincipalRole, AdminError> {
        check_role_name(name).map_err(|error| AdminError::Invalid(error.to_string()))?;
        let _turn = self.access_turn(organisation.id, AccessKind::PrincipalRoles).await?;
        let id = PrincipalRoleId(fresh_ordered_uuid());
        let new = PrincipalRole { id, name: name.to_owned(), created_ms: change.at_ms };
        let created = self.store.principal_role_create(organisation.id, &new, change).await;
        created.map_err(|error| named(error, &format!("principal role '{name}'"), &organisation.name))?;
        Ok(new)
    }

    /// Lists principal roles by name.
    ///
    /// # Errors
    /// `Store`.
    pub async fn principal_role_list(
        &self,
        organisation: &Organisation,
        page: &PageRequest,
    ) -> Result<Page<PrincipalRole>, AdminError> {
        Ok(self.store.principal_role_list(organisation.id, page).await?)
    }

    /// Removes a principal role, with its assignments.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn principal_role_delete(
        &self,
        organisation: &Organisation,
        name: &str,
        change: &Change,
    ) -> Result<(), AdminError> {
        let role = self.principal_role(organisation, name).await?;
        let deleted = self.store.principal_role_delete(organisation.id, role.id, change).await;
        deleted.map_err(|error| named(error, &format!("principal role '{name}'"), &organisation.name))
    }

    /// Returns the principal role of that name.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn principal_role(&self, organisation: &Organisation, name: &str) -> Result<PrincipalRole, AdminError> {
        let found = self.store.principal_role_get(organisation.id, name).await?;
        found.ok_or_else(|| missing(&format!("principal role '{}'", shortened(name)), &organisation.name))
    }

    /// Lists principals by id.
    ///
    /// # Errors
    /// `Store`.
    pub async fn principal_list(
        &self,
        organisation: &Organisation,
        page: &PageRequest,
    ) -> Result<Page<PrincipalRecord>, AdminError> {
        Ok(self.store.principal_list(organisation.id, page).await?)
    }

    /// Lists the principals that have a principal role, by id.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn principal_role_members(
        &self,
        organisation: &Organisation,
        role: &str,
        page: &PageRequest,
    ) -> Result<Page<PrincipalRecord>, AdminError> {
        let role = self.principal_role(organisation, role).await?;
        Ok(self.store.principal_role_members(organisation.id, role.id, page).await?)
    }

    /// Assigns a principal role to the principal of a key or to a user, or revokes it. See [`Self::principal_find`].
    ///
    /// # Errors
    /// `NotFound` for the role or the principal; `Conflict` if several have the name; `TooMany`.
    pub async fn principal_role_assign(
        &self,
        organisation: &Organisation,
        (role, principal): (&str, &str),
        assigned: bool,
        change: &Change,
    ) -> Result<(), AdminError> {
        let role = self.principal_role(organisation, role).await?;
        let principal = self.principal_find(organisation, principal).await?;
        let _turn = self.turn_if(assigned, organisation.id, AccessKind::Assignments).await?;
        let assign = self.store.principal_role_assign(organisation.id, role.id, principal.id, assigned, change).await;
        assign.map_err(|error| named(error, &format!("principal role '{}'", role.name), &organisation.name))
    }

    /// Adds a catalog role to a warehouse.
    ///
    /// # Errors
    /// `Invalid`; `Exists`; `TooMany`.
    pub async fn catalog_role_create(
        &self,
        warehouse_ref: WarehouseRef,
        name: &str,
        change: &Change,
    ) -> Result<CatalogRole, AdminError> {
        check_role_name(name).map_err(|error| AdminError::Invalid(error.to_string()))?;
        let _turn = self.access_turn(warehouse_ref.organisation, AccessKind::CatalogRoles).await?;
        let new =
            CatalogRole { id: CatalogRoleId(fresh_ordered_uuid()), name: name.to_owned(), created_ms: change.at_ms };
        let created = self.store.catalog_role_create(warehouse_ref, &new, change).await;
        created.map_err(|error| in_warehouse(error, &format!("catalog role '{name}'")))?;
        Ok(new)
    }

    /// Lists a warehouse's catalog roles by name.
    ///
    /// # Errors
    /// `Store`.
    pub async fn catalog_role_list(
        &self,
        warehouse_ref: WarehouseRef,
        page: &PageRequest,
    ) -> Result<Page<CatalogRole>, AdminError> {
        Ok(self.store.catalog_role_list(warehouse_ref, page).await?)
    }

    /// Removes a catalog role, with its assignments and grants.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn catalog_role_delete(
        &self,
        warehouse_ref: WarehouseRef,
        name: &str,
        change: &Change,
    ) -> Result<(), AdminError> {
        let role = self.catalog_role(warehouse_ref, name).await?;
        let deleted = self.store.catalog_role_delete(warehouse_ref, role.id, change).await;
        deleted.map_err(|error| in_warehouse(error, &format!("catalog role '{name}'")))
    }

    /// Returns the catalog role of that name.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn catalog_role(&self, warehouse_ref: WarehouseRef, name: &str) -> Result<CatalogRole, AdminError> {
        let found = self.store.catalog_role_get(warehouse_ref, name).await?;
        found.ok_or_else(|| AdminError::NotFound(format!("The warehouse has no catalog role '{}'", shortened(name))))
    }

    /// Lists the principal roles that have a catalog role, by name.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn catalog_role_members(
        &self,
        warehouse_ref: WarehouseRef,
        role: &str,
        page: &PageRequest,
    ) -> Result<Page<PrincipalRole>, AdminError> {
        let role = self.catalog_role(warehouse_ref, role).await?;
        Ok(self.store.catalog_role_members(warehouse_ref, role.id, page).await?)
    }

    /// Lists the catalog roles of a warehouse that a principal role has, by name.
    ///
    /// # Errors
    /// `NotFound` for the principal role.
    pub async fn catalog_role_list_of(
        &self,
        (organisation, warehouse_ref): (&Organisation, WarehouseRef),
        principal_role: &str,
        page: &PageRequest,
    ) -> Result<Page<CatalogRole>, AdminError> {
        let role = self.principal_role(organisation, principal_role).await?;
        Ok(self.store.catalog_role_list_of(warehouse_ref, role.id, page).await?)
    }

    /// Assigns a catalog role to a principal role, or revokes it.
    ///
    /// # Errors
    /// `NotFound` for either role; `TooMany`.
    pub async fn catalog_role_assign(
        &self,
        (organisation, warehouse_ref): (&Organisation, WarehouseRef),
        (role, principal_role): (&str, &str),
        assigned: bool,
        change: &Change,
    ) -> Result<(), AdminError> {
        let role = self.catalog_role(warehouse_ref, role).await?;
        let principal_role = self.principal_role(organisation, principal_role).await?;
        let _turn = self.turn_if(assigned, warehouse_ref.organisation, AccessKind::Assignments).await?;
        let assign = self.store.catalog_role_assign(warehouse_ref, role.id, principal_role.id, assigned, change).await;
        assign.map_err(|error| in_warehouse(error, &format!("catalog role '{}'", role.name)))
    }

    /// Lists the grants of a catalog role.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn grant_list(&self, warehouse_ref: WarehouseRef, role: &str) -> Result<Vec<Grant>, AdminError> {
        let role = self.catalog_role(warehouse_ref, role).await?;
        Ok(self.store.grant_list(warehouse_ref, role.id).await?)
    }

    /// Grants a privilege to a catalog role, or revokes it.
    ///
    /// # Errors
    /// `Invalid` if the privilege cannot be granted on such an object; `NotFound` for the role or object; `TooMany`.
    pub async fn grant_change(
        &self,
        warehouse_ref: WarehouseRef,
        role: &str,
        (privilege, on): (Privilege, Securable),
        granted: bool,
        change: &Change,
    ) -> Result<(), AdminError> {
        check_grantable(privilege, on.kind())?;
        let role = self.catalog_role(warehouse_ref, role).await?;
        let grant = Grant { on, privilege };
        let _turn = self.turn_if(granted, warehouse_ref.organisation, AccessKind::Grants).await?;
        let of_role = self.config.access.grants_per_role;
        let done = match granted {
            true => self.store.grant_add(warehouse_ref, role.id, &grant, of_role, change).await,
            false => self.store.grant_revoke(warehouse_ref, role.id, &grant, change).await,
        };
        done.map_err(|error| match error {
            StoreError::LimitReached { limit } => AdminError::TooMany(format!(
                "Catalog role '{}' already has {limit} grants, the maximum (setting access.grants_per_role): grant on \
                 namespaces or the warehouse, or use another role",
                role.name
            )),
            StoreError::NotFound(Resource::Namespace) => AdminError::NotFound("Namespace does not exist".to_owned()),
            error => in_warehouse(error, &format!("catalog role '{}'", role.name)),
        })
    }

    /// Explains whether the principal of a key or a user may do an action to an object, with a token of that scope and engine. See
    /// [`Self::principal_find`].
    ///
    /// # Errors
    /// `NotFound` for the principal, the engine, the table or the view; `Invalid` for a scope that the principal cannot have.
    pub async fn access_explain(
        &self,
        (organisation, warehouse_ref): (&Organisation, WarehouseRef),
        token: ExplainedToken<'_>,
        action: Action,
        object: &NamedObject,
    ) -> Result<ExplainedAccess, AdminError> {
        let mut principal = self.principal_find(organisation, token.principal).await?;
        if principal.is_user && principal.role.is_none() {
            let message = format!("User '{}' is disabled", principal.name);
            let verdict = Verdict::Denied { message, missing: None };
            return Ok(ExplainedAccess { principal, verdict, restricted_by: Vec::new() });
        }
        let selected = self.selected_roles(organisation, principal.id, token.scope).await?;
        if selected.is_some() {
            principal.role = Some(Role::None);
        }
        let engine = match token.engine {
            Some(engine) => Some(self.key_find(organisation, engine).await?),
            None => None,
        };
        // The engine reads the answer, so it must be trusted, and not the principal.
        let is_trusted = match &engine {
            Some(key) if key.role == Role::Admin => Some(false),
            Some(key) => Some(self.principal_access(organisation.id, key.principal, None).await?.is_trusted_engine),
            None => None,
        };
        let explained =
            self.explain_principal(warehouse_ref, principal, (selected, is_trusted), action, object).await?;
        let (Some(engine), false) = (engine, matches!(explained.verdict, Verdict::Denied { .. })) else {
            return Ok(explained);
        };
        if !engine.acts_for_users {
            let message = format!("Key '{}' may not act for users", engine.name);
            return Ok(ExplainedAccess { verdict: Verdict::Denied { message, missing: None }, ..explained });
        }
        let engine =
            PrincipalRecord { id: engine.principal, name: engine.name, role: Some(engine.role), is_user: false };
        let of_engine = self.explain_principal(warehouse_ref, engine, (None, None), action, object).await?;
        match of_engine.verdict {
            Verdict::Denied { message, missing } => {
                let message = format!("Engine '{}': {message}", of_engine.principal.name);
                Ok(ExplainedAccess { verdict: Verdict::Denied { message, missing }, ..explained })
            }
            _ => {
                let restricted_by = [explained.restricted_by, of_engine.restricted_by].concat();
                Ok(ExplainedAccess { restricted_by, ..explained })
            }
        }
    }

    /// Returns the principal roles to which a scope narrows the tokens of a principal.
    async fn selected_roles(
        &self,
        organisation: &Organisation,
        principal: PrincipalId,
        scope: Option<&str>,
    ) -> Result<Option<Arc<[PrincipalRoleId]>>, AdminError> {
        let names = roles_of_scope(scope.unwrap_or_default());
        let names = names.map_err(|error| AdminError::Invalid(error.description))?;
        if names.is_empty() {
            return Ok(None);
        }
        let own = self.store.principal_roles(organisation.id, principal).await?;
        let id_of = |name: &String| {
            let found = own.iter().find(|role| role.name == *name).map(|role| role.id);
            found.ok_or_else(|| {
                AdminError::Invalid(format!("The principal does not have the principal role '{}'", shortened(name)))
            })
        };
        Ok(Some(names.iter().map(id_of).collect::<Result<_, _>>()?))
    }

    /// Returns the names of those of a principal's roles that are among `selected`.
    ///
    /// # Errors
    /// `Store`.
    pub async fn role_names(
        &self,
        organisation: OrganisationId,
        principal: PrincipalId,
        selected: &[PrincipalRoleId],
    ) -> Result<Vec<String>, AdminError> {
        let own = self.store.principal_roles(organisation, principal).await?;
        Ok(own.into_iter().filter(|role| selected.contains(&role.id)).map(|role| role.name).collect())
    }

    /// Lists the principals that may do an action to an object, with the reasons. A page may be short although more pages
    /// follow.
    ///
    /// # Errors
    /// `NotFound` for the table or the view.
    pub async fn access_list(
        &self,
        warehouse_ref: WarehouseRef,
        action: Action,
        object: &NamedObject,
        page: &PageRequest,
    ) -> Result<(Vec<ExplainedAccess>, Option<String>), AdminError> {
        let limit = Some(page.limit.unwrap_or(MAX_CHECKED).min(MAX_CHECKED));
        let page = PageRequest { after: page.after.clone(), limit };
        let checked = self.store.principal_list(warehouse_ref.organisation, &page).await?;
        let next = checked.items.last().filter(|_| checked.more).map(|last| last.id.to_string());
        let mut found = Vec::new();
        for principal in checked.items.into_iter().filter(|principal| principal.role.is_some()) {
            let explained = self.explain_principal(warehouse_ref, principal, (None, None), action, object).await?;
            if !matches!(explained.verdict, Verdict::Denied { .. }) {
                found.push(explained);
            }
        }
        Ok((found, next))
    }

    async fn explain_principal(
        &self,
        warehouse_ref: WarehouseRef,
        principal: PrincipalRecord,
        (selected, is_trusted): (Option<Arc<[PrincipalRoleId]>>, Option<bool>),
        action: Action,
        object: &NamedObject,
    ) -> Result<ExplainedAccess, AdminError> {
        // The rights of an owner do not count for a narrowed token.
        let owner = selected.is_none().then_some(principal.id);
        let access = self.store.principal_access(warehouse_ref.organisation, principal.id, selected).await?;
        let is_trusted = is_trusted.unwrap_or(access.is_trusted_engine);
        let restrictions = Restrictions::new(access.restricted.iter().cloned(), is_trusted);
        let grants = Grants::compile(&access.granted, &access.owned_in).restricted(restrictions);
        let role = principal.role.unwrap_or(Role::None);
        let mut restricted_by = Vec::new();
        let facts =
            Facts { organisation: warehouse_ref.organisation, principal: owner, role, grants: &grants, engine: None };
        let explain = |target| {
            let object = Object { organisation: warehouse_ref.organisation, target };
            verdict(access::explain(&facts, &access.granted, action, &object), &access)
        };
        let verdict = match object {
            NamedObject::Warehouse => explain(Target::Warehouse(warehouse_ref.warehouse)),
            NamedObject::Namespace(ident) => explain(Target::Namespace(warehouse_ref.warehouse, ident)),
            NamedObject::Tabular(kind, ident) => {
                let (warehouse, record) = (warehouse_ref.warehouse, self.tabular(warehouse_ref, *kind, ident).await?);
                let tabular = Tabular { warehouse, id: record.id, ident, owner: record.owner };
                if role != Role::Admin {
                    for one in access.restricted.iter().filter(|one| one.table == record.id) {
                        let found = self.store.restriction_get(warehouse_ref, (record.id, one.role)).await?;
                        restricted_by.extend(found.map(|found| found.role_name));
                    }
                    restricted_by.sort_unstable();
                }
                match kind {
                    TableKind::Table => explain(Target::Table(tabular)),
                    TableKind::View => explain(Target::View(tabular)),
                }
            }
        };
        Ok(ExplainedAccess { principal, verdict, restricted_by })
    }

    async fn tabular(
        &self,
        warehouse_ref: WarehouseRef,
        kind: TableKind,
        ident: &TableIdent,
    ) -> Result<crate::store::TableRecord, AdminError> {
        let found = self.store.table_get(warehouse_ref, ident).await?.filter(|found| found.kind == kind);
        found.ok_or_else(|| AdminError::NotFound(format!("{} does not exist: {ident}", Titled(kind))))
    }

    /// Returns the grants and roles of a principal. With `selected`, those of these roles alone.
    ///
    /// # Errors
    /// `Store`.
    pub async fn principal_access(
        &self,
        organisation: OrganisationId,
        principal: PrincipalId,
        selected: Option<&[PrincipalRoleId]>,
    ) -> Result<PrincipalAccess, AdminError> {
        Ok(self.store.principal_access(organisation, principal, selected.map(Into::into)).await?)
    }
}

fn verdict(explanation: Explanation<'_>, access: &PrincipalAccess) -> Verdict {
    match explanation {
        Explanation::Denied { denial, missing } => Verdict::Denied { message: denial.to_string(), missing },
        Explanation::Allowed(reason) => match reason {
            access::Reason::Role(role) => Verdict::ByRole(role),
            access::Reason::Owner => Verdict::ByOwnership,
            access::Reason::Sight => Verdict::BySight,
            access::Reason::Grant(granted) => {
                let path = access.paths.iter().find(|path| Some(path.catalog_role) == granted.role);
                let (catalog_role, principal_role) =
                    path.map(|path| (path.catalog_role_name.clone(), path.principal_role.clone())).unwrap_or_default();
                let grant = Grant { on: granted.on.clone(), privilege: granted.privilege };
                Verdict::ByGrant { grant, catalog_role, principal_role }
            }
        },
    }
}

fn check_grantable(privilege: Privilege, kind: SecurableKind) -> Result<(), AdminError> {
    if privilege.securables().contains(&kind) {
        return Ok(());
    }
    let possible: Vec<_> = privilege.securables().iter().map(|kind| kind.as_str()).collect();
    Err(AdminError::Invalid(format!(
        "{privilege} cannot be granted on a {}: grant it on a {}",
        kind.as_str(),
        possible.join(" or ")
    )))
}

/// Returns the beginning of a name.
fn shortened(name: &str) -> String {
    name.chars().take(100).collect()
}

fn missing(what: &str, organisation: &str) -> AdminError {
    AdminError::NotFound(format!("Organisation '{organisation}' has no {what}"))
}

fn named(error: StoreError, what: &str, organisation: &str) -> AdminError {
    match error {
        StoreError::AlreadyExists(_) => {
            AdminError::Exists(format!("Organisation '{organisation}' already has a {what}: choose another name"))
        }
        StoreError::NotFound(_) => missing(what, organisation),
        error => AdminError::Store(error),
    }
}

fn in_warehouse(error: StoreError, what: &str) -> AdminError {
    match error {
        StoreError::AlreadyExists(_) => {
            AdminError::Exists(format!("The warehouse already has a {what}: choose another name"))
        }
        StoreError::NotFound(Resource::Warehouse) => {
            AdminError::NoSuchWarehouse("The warehouse was dropped".to_owned())
        }
        StoreError::NotFound(_) => AdminError::NotFound(format!("The warehouse has no {what}")),
        error => AdminError::Store(error),
    }
}

/// Formats a kind with a capital letter.
struct Titled(TableKind);

impl fmt::Display for Titled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            TableKind::Table => "Table",
            TableKind::View => "View",
        })
    }
}
