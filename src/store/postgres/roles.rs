//! Principal roles, catalog roles and their assignments.

use tidewater_core::ids::{CatalogRoleId, OrganisationId, PrincipalId, PrincipalRoleId};
use uuid::Uuid;

use super::connection::Transaction;
use super::convert::{Failure, get};
use super::events::{details, event_add};
use super::generations::raise;
use super::params::params;
use super::state_rows::{self, Added, Affected};
use crate::store::{
    CatalogRole, Change, EventDetails, EventObject, ObjectKind, Operation, PrincipalRole, Resource, StoreError,
    WarehouseRef,
};

type Result<T> = std::result::Result<T, Failure>;

/// Returns a role as the object of an event.
pub(super) fn role_object(kind: ObjectKind, id: Uuid, name: &str) -> EventObject {
    EventObject::new(kind, Some(id), name)
}

/// Returns the change of a count by a number of rows that were added.
pub(super) fn added(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

pub(super) async fn principal_role_create(
    transaction: &Transaction,
    organisation: OrganisationId,
    new: &PrincipalRole,
    change: &Change,
) -> Result<()> {
    state_rows::lock(transaction, organisation, Added { principal_roles: 1, ..Added::default() }).await?;
    let inserted = transaction
        .count(
            "INSERT INTO principal_role (organisation, id, name, created_ms) VALUES ($1, $2, $3, $4)
             ON CONFLICT DO NOTHING RETURNING 1",
            params![organisation.0, new.id.0, new.name, new.created_ms],
        )
        .await?;
    if inserted == 0 {
        return Err(StoreError::AlreadyExists(Resource::PrincipalRole).into());
    }
    let object = role_object(ObjectKind::PrincipalRole, new.id.0, &new.name);
    event_add(transaction, change, organisation, Operation::CreatePrincipalRole, &object, &EventDetails::new()).await
}

pub(super) async fn catalog_role_create(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    new: &CatalogRole,
    change: &Change,
) -> Result<()> {
    let WarehouseRef { organisation, warehouse } = warehouse_ref;
    state_rows::lock_for(transaction, organisation, Resource::Warehouse).await?;
    // Warehouses are dropped under the same lock.
    let inserted = transaction
        .count(
            "INSERT INTO catalog_role (organisation, warehouse, id, name, created_ms)
             SELECT $1, id, $3, $4, $5 FROM warehouse WHERE organisation = $1 AND id = $2
             ON CONFLICT DO NOTHING RETURNING 1",
            params![organisation.0, warehouse.0, new.id.0, new.name, new.created_ms],
        )
        .await?;
    if inserted == 0 {
        let has_warehouse = transaction
            .query_first(
                "SELECT 1 FROM warehouse WHERE organisation = $1 AND id = $2",
                params![organisation.0, warehouse.0],
            )
            .await?;
        return Err(match has_warehouse {
            Some(_) => StoreError::AlreadyExists(Resource::CatalogRole).into(),
            None => StoreError::NotFound(Resource::Warehouse).into(),
        });
    }
    state_rows::add(transaction, organisation, Added { catalog_roles: 1, ..Added::default() }).await?;
    let object = role_object(ObjectKind::CatalogRole, new.id.0, &new.name);
    event_add(transaction, change, warehouse_ref, Operation::CreateCatalogRole, &object, &EventDetails::new()).await
}

/// Returns the name of a principal role. The transaction has the organisation's lock, so the role stays until its end.
pub(super) async fn principal_role_name(
    transaction: &Transaction,
    organisation: OrganisationId,
    id: PrincipalRoleId,
) -> Result<String> {
    let row = transaction
        .query_first(
            "SELECT name FROM principal_role WHERE organisation = $1 AND id = $2",
            params![organisation.0, id.0],
        )
        .await?;
    Ok(get(&row.ok_or(StoreError::NotFound(Resource::PrincipalRole))?, 0)?)
}

/// Selects the name of a catalog role of a warehouse.
pub(super) const CATALOG_ROLE_NAME: &str =
    "SELECT name FROM catalog_role WHERE organisation = $1 AND warehouse = $2 AND id = $3";

/// Locks the organisation, and returns the name of a catalog role of the warehouse.
pub(super) async fn lock_catalog_role(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    id: CatalogRoleId,
) -> Result<String> {
    let WarehouseRef { organisation, warehouse } = warehouse_ref;
    state_rows::lock_for(transaction, organisation, Resource::CatalogRole).await?;
    let row = transaction.query_first(CATALOG_ROLE_NAME, params![organisation.0, warehouse.0, id.0]).await?;
    Ok(get(&row.ok_or(StoreError::NotFound(Resource::CatalogRole))?, 0)?)
}

pub(super) async fn principal_role_delete(
    transaction: &Transaction,
    organisation: OrganisationId,
    id: PrincipalRoleId,
    change: &Change,
) -> Result<()> {
    state_rows::lock_for(transaction, organisation, Resource::PrincipalRole).await?;
    let name = principal_role_name(transaction, organisation, id).await?;
    raise(transaction, organisation, &[Affected::PrincipalRole(id)]).await?;
    let assignments = transaction
        .count(
            "WITH removed AS (DELETE FROM principal_role WHERE organisation = $1 AND id = $2),
                  details AS (DELETE FROM entity WHERE organisation = $1 AND id = $2),
                  members AS (DELETE FROM principal_role_member WHERE organisation = $1 AND role = $2 RETURNING 1),
                  held AS (DELETE FROM catalog_role_member WHERE organisation = $1 AND principal_role = $2 RETURNING 1)
             SELECT 1 FROM members UNION ALL SELECT 1 FROM held",
            params![organisation.0, id.0],
        )
        .await?;
    let removed = Added { principal_roles: -1, assignments: -added(assignments), ..Added::default() };
    state_rows::add(transaction, organisation, removed).await?;
    let object = role_object(ObjectKind::PrincipalRole, id.0, &name);
    event_add(transaction, change, organisation, Operation::DeletePrincipalRole, &object, &EventDetails::new()).await
}

/// Removes a catalog role, with its assignments, its grants and its properties.
pub(super) async fn remove_catalog_role(
    transaction: &Transaction,
    organisation: OrganisationId,
    id: CatalogRoleId,
) -> Result<()> {
    raise(transaction, organisation, &[Affected::CatalogRole(id)]).await?;
    let counts = transaction
        .query_first(
            "WITH removed AS (DELETE FROM catalog_role WHERE organisation = $1 AND id = $2),
                  details AS (DELETE FROM entity WHERE organisation = $1 AND id = $2),
                  held AS (DELETE FROM catalog_role_member WHERE organisation = $1 AND role = $2 RETURNING 1),
                  grants AS (DELETE FROM access_grant WHERE organisation = $1 AND role = $2 RETURNING 1)
             SELECT (SELECT count(*) FROM held), (SELECT count(*) FROM grants)",
            params![organisation.0, id.0],
        )
        .await?;
    let Some(counts) = counts else { return Ok(()) };
    let (assignments, grants): (i64, i64) = (get(&counts, 0)?, get(&counts, 1)?);
    let removed = Added { catalog_roles: -1, assignments: -assignments, grants: -grants, ..Added::default() };
    state_rows::add(transaction, organisation, removed).await
}

pub(super) async fn catalog_role_delete(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    id: CatalogRoleId,
    change: &Change,
) -> Result<()> {
    let name = lock_catalog_role(transaction, warehouse_ref, id).await?;
    remove_catalog_role(transaction, warehouse_ref.organisation, id).await?;
    let object = role_object(ObjectKind::CatalogRole, id.0, &name);
    event_add(transaction, change, warehouse_ref, Operation::DeleteCatalogRole, &object, &EventDetails::new()).await
}

/// The source of an assignment of a principal role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// An administrator.
    Assigned,
    /// The groups of a user's token.
    Group,
}

impl Source {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Assigned => "assigned",
            Self::Group => "group",
        }
    }
}

/// Adds an assignment of a principal role to a principal, or removes it. Returns whether there was anything to change.
pub(super) async fn member_set(
    transaction: &Transaction,
    organisation: OrganisationId,
    (role, principal): (PrincipalRoleId, PrincipalId),
    source: Source,
    assigned: bool,
) -> Result<bool> {
    let sql = match assigned {
        true => {
            "INSERT INTO principal_role_member (organisation, principal, role, source) VALUES ($1, $2, $3, $4)
             ON CONFLICT DO NOTHING RETURNING 1"
        }
        false => {
            "DELETE FROM principal_role_member
             WHERE organisation = $1 AND principal = $2 AND role = $3 AND source = $4 RETURNING 1"
        }
    };
    let changed = transaction.count(sql, params![organisation.0, principal.0, role.0, source.as_str()]).await? > 0;
    if changed {
        state_rows::add(transaction, organisation, one_assignment(assigned)).await?;
        raise(transaction, organisation, &[Affected::Principal(principal)]).await?;
    }
    Ok(changed)
}

/// Returns the change of the counts by one assignment.
fn one_assignment(assigned: bool) -> Added {
    Added { assignments: if assigned { 1 } else { -1 }, ..Added::default() }
}

pub(super) async fn principal_role_assign(
    transaction: &Transaction,
    organisation: OrganisationId,
    (role, principal): (PrincipalRoleId, PrincipalId),
    assigned: bool,
    change: &Change,
) -> Result<()> {
    state_rows::lock_for(transaction, organisation, Resource::PrincipalRole).await?;
    let name = principal_role_name(transaction, organisation, role).await?;
    // Users are removed under the same lock.
    let principal_name = transaction
        .query_first(
            "SELECT name FROM principal WHERE organisation = $1 AND id = $2",
            params![organisation.0, principal.0],
        )
        .await?
        .ok_or(StoreError::NotFound(Resource::Principal))?;
    if !member_set(transaction, organisation, (role, principal), Source::Assigned, assigned).await? {
        return Ok(());
    }
    let operation = if assigned { Operation::AssignPrincipalRole } else { Operation::RevokePrincipalRole };
    let details = details([
        ("principal", get::<&str>(&principal_name, 0)?.into()),
        ("principal-id", principal.to_string().into()),
    ]);
    let object = role_object(ObjectKind::PrincipalRole, role.0, &name);
    event_add(transaction, change, organisation, operation, &object, &details).await
}

pub(super) async fn catalog_role_assign(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    (role, principal_role): (CatalogRoleId, PrincipalRoleId),
    assigned: bool,
    change: &Change,
) -> Result<()> {
    let organisation = warehouse_ref.organisation;
    let name = lock_catalog_role(transaction, warehouse_ref, role).await?;
    let principal_role_name = principal_role_name(transaction, organisation, principal_role).await?;
    let (sql, operation) = match assigned {
        true => (
            "INSERT INTO catalog_role_member (organisation, principal_role, role) VALUES ($1, $2, $3)
             ON CONFLICT DO NOTHING RETURNING 1",
            Operation::AssignCatalogRole,
        ),
        false => (
            "DELETE FROM catalog_role_member WHERE organisation = $1 AND principal_role = $2 AND role = $3 RETURNING 1",
            Operation::RevokeCatalogRole,
        ),
    };
    if transaction.count(sql, params![organisation.0, principal_role.0, role.0]).await? == 0 {
        return Ok(());
    }
    state_rows::add(transaction, organisation, one_assignment(assigned)).await?;
    raise(transaction, organisation, &[Affected::PrincipalRole(principal_role)]).await?;
    let details = details([("principal-role", principal_role_name.into())]);
    let object = role_object(ObjectKind::CatalogRole, role.0, &name);
    event_add(transaction, change, warehouse_ref, operation, &object, &details).await
}
