//! Who may do what: principals, their principal roles, the catalog roles that those have, and the grants of catalog roles.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use async_trait::async_trait;
use tidewater_core::access::{Granted, Privilege, Role, Securable};
use tidewater_core::ids::{CatalogRoleId, OrganisationId, PrincipalId, PrincipalRoleId, WarehouseId};
use tidewater_core::name::NamespaceIdent;

use super::change::Change;
use super::error::Result;
use super::pages::{Page, PageRequest};
use super::warehouses::Place;

/// A principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrincipalRecord {
    /// The catalog's own id of it.
    pub id: PrincipalId,
    /// Its name, for people. Several may have it.
    pub name: String,
    /// The highest built-in role of its keys that are not revoked; none when it has no such key.
    pub role: Option<Role>,
}

/// A principal role, or a catalog role of a warehouse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleRecord<I> {
    /// The catalog's own id of it.
    pub id: I,
    /// Its name, which no other has in the organisation or, of catalog roles, in the warehouse.
    pub name: String,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: i64,
}

/// A principal role.
pub type PrincipalRole = RoleRecord<PrincipalRoleId>;

/// A catalog role of a warehouse.
pub type CatalogRole = RoleRecord<CatalogRoleId>;

/// A grant of a catalog role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// On what.
    pub on: Securable,
    /// Which privilege.
    pub privilege: Privilege,
}

/// Through which roles a principal has grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolePath {
    /// The name of the principal role.
    pub principal_role: String,
    /// The warehouse of the catalog role.
    pub warehouse: WarehouseId,
    /// The catalog role.
    pub catalog_role: CatalogRoleId,
    /// Its name.
    pub catalog_role_name: String,
}

/// All that decisions about a principal depend on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrincipalAccess {
    /// What was granted to the catalog roles that it has, and what comes of the namespaces that it owns.
    pub granted: Vec<Granted>,
    /// The namespaces with tables or views that it owns.
    pub owned_in: Vec<(WarehouseId, NamespaceIdent)>,
    /// Through which roles it has them.
    pub paths: Vec<RolePath>,
}

/// Keeps roles, assignments and grants.
///
/// A change whose future is dropped may happen or not, but never in part. A read whose future is dropped has no effect.
/// Repeating a change is harmless: an assignment or grant that is there is not added again, and one that is not there is not
/// removed.
#[async_trait]
pub trait GrantStore: Send + Sync + 'static {
    /// Lists principals by id.
    async fn principal_list(&self, organisation: OrganisationId, page: &PageRequest) -> Result<Page<PrincipalRecord>>;

    /// Returns what decisions about a principal depend on; nothing for one that does not exist.
    async fn principal_access(&self, organisation: OrganisationId, principal: PrincipalId) -> Result<PrincipalAccess>;

    /// Adds a principal role.
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken; `NotFound` of an organisation.
    async fn principal_role_create(
        &self,
        organisation: OrganisationId,
        new: &PrincipalRole,
        change: &Change,
    ) -> Result<()>;

    /// Returns the principal role of that name.
    async fn principal_role_get(&self, organisation: OrganisationId, name: &str) -> Result<Option<PrincipalRole>>;

    /// Lists principal roles by name.
    async fn principal_role_list(
        &self,
        organisation: OrganisationId,
        page: &PageRequest,
    ) -> Result<Page<PrincipalRole>>;

    /// Removes a principal role, with its assignments.
    ///
    /// # Errors
    /// `NotFound`.
    async fn principal_role_delete(
        &self,
        organisation: OrganisationId,
        id: PrincipalRoleId,
        change: &Change,
    ) -> Result<()>;

    /// Adds a catalog role to a warehouse.
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken; `NotFound` of a warehouse.
    async fn catalog_role_create(&self, place: Place, new: &CatalogRole, change: &Change) -> Result<()>;

    /// Returns the catalog role of that name.
    async fn catalog_role_get(&self, place: Place, name: &str) -> Result<Option<CatalogRole>>;

    /// Lists a warehouse's catalog roles by name.
    async fn catalog_role_list(&self, place: Place, page: &PageRequest) -> Result<Page<CatalogRole>>;

    /// Removes a catalog role, with its assignments and grants.
    ///
    /// # Errors
    /// `NotFound`.
    async fn catalog_role_delete(&self, place: Place, id: CatalogRoleId, change: &Change) -> Result<()>;

    /// Gives a principal a principal role, or takes it back.
    ///
    /// # Errors
    /// `NotFound` of the role or the principal.
    async fn principal_role_assign(
        &self,
        organisation: OrganisationId,
        role: PrincipalRoleId,
        principal: PrincipalId,
        assigned: bool,
        change: &Change,
    ) -> Result<()>;

    /// Lists the principals that have a principal role, by id.
    async fn principal_role_members(
        &self,
        organisation: OrganisationId,
        role: PrincipalRoleId,
        page: &PageRequest,
    ) -> Result<Page<PrincipalRecord>>;

    /// Gives a principal role a catalog role, or takes it back.
    ///
    /// # Errors
    /// `NotFound` of either role.
    async fn catalog_role_assign(
        &self,
        place: Place,
        role: CatalogRoleId,
        principal_role: PrincipalRoleId,
        assigned: bool,
        change: &Change,
    ) -> Result<()>;

    /// Lists the principal roles that have a catalog role, by name.
    async fn catalog_role_members(
        &self,
        place: Place,
        role: CatalogRoleId,
        page: &PageRequest,
    ) -> Result<Page<PrincipalRole>>;

    /// Grants a privilege to a catalog role. The object exists; where it is a table or view, the caller has looked it up.
    ///
    /// # Errors
    /// `NotFound` of the role, or of a namespace; `LimitReached` when the role has `limit` grants already.
    async fn grant_add(
        &self,
        place: Place,
        role: CatalogRoleId,
        grant: &Grant,
        limit: u64,
        change: &Change,
    ) -> Result<()>;

    /// Takes a privilege back.
    ///
    /// # Errors
    /// `NotFound` of the role.
    async fn grant_revoke(&self, place: Place, role: CatalogRoleId, grant: &Grant, change: &Change) -> Result<()>;

    /// Lists the grants of a catalog role.
    async fn grant_list(&self, place: Place, role: CatalogRoleId) -> Result<Vec<Grant>>;

    /// Lists tables or views of a namespace that a principal owns, by name.
    async fn table_list_owned(
        &self,
        place: Place,
        namespace: &NamespaceIdent,
        kind: super::TableKind,
        owner: PrincipalId,
        page: &PageRequest,
    ) -> Result<Page<String>>;
}

/// Tells when what was read of an organisation's access is out of date.
pub trait AccessGenerations: Send + Sync + 'static {
    /// Returns a counter that goes up with each change of an organisation's roles, assignments, grants and owners, of where a
    /// table or namespace with any of those is, and of keys' roles. In the process that makes the change it has gone up before
    /// the change is answered. Whoever reads it before reading access knows that what was read holds while it stays.
    fn access_generation(&self, organisation: OrganisationId) -> Arc<AtomicU64>;
}
