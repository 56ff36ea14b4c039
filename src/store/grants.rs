//! Principals, principal roles, catalog roles, their assignments, and the grants of catalog roles.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use tidewater_core::access::{Granted, Privilege, Restricted, Role, Securable};
use tidewater_core::ids::{CatalogRoleId, OrganisationId, PrincipalId, PrincipalRoleId, WarehouseId};
use tidewater_core::name::NamespaceIdent;

use super::change::Change;
use super::error::Result;
use super::pages::{Page, PageRequest};
use super::warehouses::WarehouseRef;

/// A principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrincipalRecord {
    /// Its id in the catalog.
    pub id: PrincipalId,
    /// Its name, for people. It is not unique.
    pub name: String,
    /// The highest built-in role of its keys that are not revoked, or the role of a user. `None` without such a key, and for a
    /// disabled user.
    pub role: Option<Role>,
    /// Whether it is a user of an identity provider.
    pub is_user: bool,
}

/// A principal role, or a catalog role of a warehouse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleRecord<I> {
    /// Its id in the catalog.
    pub id: I,
    /// Its name. It is unique in the organisation, or for a catalog role in the warehouse.
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
    /// The object.
    pub on: Securable,
    /// The privilege.
    pub privilege: Privilege,
}

/// The roles through which a principal has grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolePath {
    /// The principal role.
    pub principal_role_id: PrincipalRoleId,
    /// The name of the principal role.
    pub principal_role: String,
    /// The warehouse of the catalog role.
    pub warehouse: WarehouseId,
    /// The catalog role.
    pub catalog_role: CatalogRoleId,
    /// The name of the catalog role.
    pub catalog_role_name: String,
}

/// The grants of a principal, with the roles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrincipalAccess {
    /// The grants of its catalog roles, and the privileges as the owner of namespaces.
    pub granted: Vec<Granted>,
    /// The namespaces with tables or views that it owns.
    pub owned_in: Vec<(WarehouseId, NamespaceIdent)>,
    /// The roles through which it has the grants.
    pub paths: Vec<RolePath>,
    /// The restrictions of all its principal roles.
    pub restricted: Vec<Restricted>,
    /// Whether it is trusted to apply the restrictions that it gets.
    pub is_trusted_engine: bool,
}

/// The numbers of an organisation's roles, assignments and grants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AccessCounts {
    /// Principal roles.
    pub principal_roles: u64,
    /// Catalog roles, of all warehouses.
    pub catalog_roles: u64,
    /// Assignments of principal roles to principals, and of catalog roles to principal roles.
    pub assignments: u64,
    /// Grants of all catalog roles.
    pub grants: u64,
}

/// Stores roles, assignments and grants.
///
/// A change whose future is dropped may happen or not, but never in part. A read whose future is dropped has no effect.
/// Repeating a change is harmless: an existing assignment or grant is not added again, and a missing one is not removed.
#[async_trait]
pub trait GrantStore: Send + Sync + 'static {
    /// Lists principals by id.
    async fn principal_list(&self, organisation: OrganisationId, page: &PageRequest) -> Result<Page<PrincipalRecord>>;

    /// Returns the grants of a principal. They are empty for a principal that does not exist. With `selected`, they are the grants
    /// through those of its principal roles alone, without the rights of an owner. The restrictions are always those of all its principal
    /// roles.
    async fn principal_access(
        &self,
        organisation: OrganisationId,
        principal: PrincipalId,
        selected: Option<Arc<[PrincipalRoleId]>>,
    ) -> Result<PrincipalAccess>;

    /// Returns the numbers of an organisation's roles, assignments and grants.
    async fn access_counts(&self, organisation: OrganisationId) -> Result<AccessCounts>;

    /// Lists the principal roles of a principal, by name.
    async fn principal_roles(&self, organisation: OrganisationId, principal: PrincipalId)
    -> Result<Vec<PrincipalRole>>;

    /// Adds a principal role.
    ///
    /// # Errors
    /// `AlreadyExists` if the name is taken; `NotFound` for the organisation.
    async fn principal_role_create(
        &self,
        organisation: OrganisationId,
        new: &PrincipalRole,
        change: &Change,
    ) -> Result<()>;

    /// Returns the principal role with the name.
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
    /// `AlreadyExists` if the name is taken; `NotFound` for the warehouse.
    async fn catalog_role_create(&self, warehouse_ref: WarehouseRef, new: &CatalogRole, change: &Change) -> Result<()>;

    /// Returns the catalog role with the name.
    async fn catalog_role_get(&self, warehouse_ref: WarehouseRef, name: &str) -> Result<Option<CatalogRole>>;

    /// Lists a warehouse's catalog roles by name.
    async fn catalog_role_list(&self, warehouse_ref: WarehouseRef, page: &PageRequest) -> Result<Page<CatalogRole>>;

    /// Removes a catalog role, with its assignments and grants.
    ///
    /// # Errors
    /// `NotFound`.
    async fn catalog_role_delete(&self, warehouse_ref: WarehouseRef, id: CatalogRoleId, change: &Change) -> Result<()>;

    /// Assigns a principal role to a principal, or revokes it.
    ///
    /// # Errors
    /// `NotFound` for the role or the principal.
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

    /// Lists the principal roles of a principal, by name.
    async fn principal_role_list_of(
        &self,
        organisation: OrganisationId,
        principal: PrincipalId,
        page: &PageRequest,
    ) -> Result<Page<PrincipalRole>>;

    /// Assigns a catalog role to a principal role, or revokes it.
    ///
    /// # Errors
    /// `NotFound` for either role.
    async fn catalog_role_assign(
        &self,
        warehouse_ref: WarehouseRef,
        role: CatalogRoleId,
        principal_role: PrincipalRoleId,
        assigned: bool,
        change: &Change,
    ) -> Result<()>;

    /// Lists the principal roles that have a catalog role, by name.
    async fn catalog_role_members(
        &self,
        warehouse_ref: WarehouseRef,
        role: CatalogRoleId,
        page: &PageRequest,
    ) -> Result<Page<PrincipalRole>>;

    /// Lists the catalog roles of a warehouse that a principal role has, by name.
    async fn catalog_role_list_of(
        &self,
        warehouse_ref: WarehouseRef,
        principal_role: PrincipalRoleId,
        page: &PageRequest,
    ) -> Result<Page<CatalogRole>>;

    /// Grants a privilege to a catalog role. The caller must look up a table or view first.
    ///
    /// # Errors
    /// `NotFound` for the role or the namespace; `LimitReached` if the role already has `limit` grants.
    async fn grant_add(
        &self,
        warehouse_ref: WarehouseRef,
        role: CatalogRoleId,
        grant: &Grant,
        limit: u64,
        change: &Change,
    ) -> Result<()>;

    /// Revokes a privilege from a catalog role.
    ///
    /// # Errors
    /// `NotFound` for the role.
    async fn grant_revoke(
        &self,
        warehouse_ref: WarehouseRef,
        role: CatalogRoleId,
        grant: &Grant,
        change: &Change,
    ) -> Result<()>;

    /// Lists the grants of a catalog role.
    async fn grant_list(&self, warehouse_ref: WarehouseRef, role: CatalogRoleId) -> Result<Vec<Grant>>;

    /// Lists tables or views of a namespace that a principal owns, by name.
    async fn table_list_owned(
        &self,
        warehouse_ref: WarehouseRef,
        namespace: &NamespaceIdent,
        kind: super::TableKind,
        owner: PrincipalId,
        page: &PageRequest,
    ) -> Result<Page<String>>;
}

/// Counts the changes of access, so that caches can check whether they are current.
///
/// A value that was loaded before a read stays current until the counter changes. In the process that makes a change, the counters
/// increase before the change is answered. Other processes may write to the same database: their changes are counted here by
/// [`Self::access_refresh`], and by each read of a table or view before it is answered.
pub trait AccessGenerations: Send + Sync + 'static {
    /// Returns a counter that increases with each change of a principal's access: its roles and their grants, its namespaces, the
    /// roles of its keys, and the names of tables, views and namespaces that it has grants on or owns.
    fn access_generation(&self, organisation: OrganisationId, principal: PrincipalId) -> Arc<AtomicU64>;

    /// Returns a counter that increases with each change of the organisation itself, its keys, its users, or its warehouses.
    fn organisation_generation(&self, organisation: OrganisationId) -> Arc<AtomicU64>;

    /// Returns a counter that increases with each change of operators or signing keys.
    fn server_generation(&self) -> Arc<AtomicU64>;

    /// Returns how often counters have increased. While it stays the same, no counter changes.
    fn change_count(&self) -> u64;

    /// Counts the changes that other processes have made before this call: of the server, and of the organisation and its principals
    /// if one is given. Returns `None` if no other process can write to the database, so that the counters are always current.
    fn access_refresh(&self, organisation: Option<OrganisationId>) -> Option<BoxFuture<'_, Result<()>>>;
}
