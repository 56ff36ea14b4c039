//! Principal roles, catalog roles and their assignments.

use rusqlite::{Connection, OptionalExtension, params};
use tidewater_core::ids::{CatalogRoleId, OrganisationId, PrincipalId, PrincipalRoleId};
use uuid::Uuid;

use super::convert::{Violation, not_inserted, violation};
use super::events::event_add;
use crate::store::{
    CatalogRole, Change, EventDetails, EventObject, ObjectKind, Operation, PrincipalRole, Resource, Result, StoreError,
    WarehouseRef,
};

/// Returns a role as the object of an event.
pub(super) fn role_object(kind: ObjectKind, id: Uuid, name: &str) -> EventObject {
    EventObject::new(kind, Some(id), name)
}

pub(super) fn principal_role_create(
    connection: &Connection,
    organisation: OrganisationId,
    new: &PrincipalRole,
    change: &Change,
) -> Result<()> {
    connection
        .prepare_cached("INSERT INTO principal_role (organisation, id, name, created_ms) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![organisation.0.as_bytes(), new.id.0.as_bytes(), new.name, new.created_ms])
        .map_err(|error| not_inserted(error, Resource::PrincipalRole))?;
    let object = role_object(ObjectKind::PrincipalRole, new.id.0, &new.name);
    event_add(connection, change, organisation, Operation::CreatePrincipalRole, &object, &EventDetails::new())
}

pub(super) fn catalog_role_create(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    new: &CatalogRole,
    change: &Change,
) -> Result<()> {
    let inserted = connection
        .prepare_cached(
            "INSERT INTO catalog_role (organisation, warehouse, id, name, created_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            warehouse_ref.organisation.0.as_bytes(),
            warehouse_ref.warehouse.0.as_bytes(),
            new.id.0.as_bytes(),
            new.name,
            new.created_ms
        ]);
    inserted.map_err(|error| match violation(&error) {
        Some(Violation::Unique) => StoreError::AlreadyExists(Resource::CatalogRole),
        Some(Violation::ForeignKey) => StoreError::NotFound(Resource::Warehouse),
        None => error.into(),
    })?;
    let object = role_object(ObjectKind::CatalogRole, new.id.0, &new.name);
    event_add(connection, change, warehouse_ref, Operation::CreateCatalogRole, &object, &EventDetails::new())
}

pub(super) fn principal_role_name(
    connection: &Connection,
    organisation: OrganisationId,
    id: PrincipalRoleId,
) -> Result<String> {
    let name = connection
        .prepare_cached("SELECT name FROM principal_role WHERE organisation = ?1 AND id = ?2")?
        .query_row(params![organisation.0.as_bytes(), id.0.as_bytes()], |row| row.get(0))
        .optional()?;
    name.ok_or(StoreError::NotFound(Resource::PrincipalRole))
}

/// Returns the name of a catalog role of the warehouse.
pub(super) fn catalog_role_name(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    id: CatalogRoleId,
) -> Result<String> {
    let name = connection
        .prepare_cached("SELECT name FROM catalog_role WHERE organisation = ?1 AND warehouse = ?2 AND id = ?3")?
        .query_row(
            params![warehouse_ref.organisation.0.as_bytes(), warehouse_ref.warehouse.0.as_bytes(), id.0.as_bytes()],
            |row| row.get(0),
        )
        .optional()?;
    name.ok_or(StoreError::NotFound(Resource::CatalogRole))
}

pub(super) fn principal_role_delete(
    connection: &Connection,
    organisation: OrganisationId,
    id: PrincipalRoleId,
    change: &Change,
) -> Result<()> {
    let name = principal_role_name(connection, organisation, id)?;
    connection
        .prepare_cached("DELETE FROM principal_role WHERE organisation = ?1 AND id = ?2")?
        .execute(params![organisation.0.as_bytes(), id.0.as_bytes()])?;
    let object = role_object(ObjectKind::PrincipalRole, id.0, &name);
    event_add(connection, change, organisation, Operation::DeletePrincipalRole, &object, &EventDetails::new())
}

pub(super) fn catalog_role_delete(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    id: CatalogRoleId,
    change: &Change,
) -> Result<()> {
    let name = catalog_role_name(connection, warehouse_ref, id)?;
    connection
        .prepare_cached("DELETE FROM catalog_role WHERE organisation = ?1 AND id = ?2")?
        .execute(params![warehouse_ref.organisation.0.as_bytes(), id.0.as_bytes()])?;
    let object = role_object(ObjectKind::CatalogRole, id.0, &name);
    event_add(connection, change, warehouse_ref, Operation::DeleteCatalogRole, &object, &EventDetails::new())
}

pub(super) fn principal_role_assign(
    connection: &Connection,
    organisation: OrganisationId,
    (role, principal): (PrincipalRoleId, PrincipalId),
    assigned: bool,
    change: &Change,
) -> Result<()> {
    let name = principal_role_name(connection, organisation, role)?;
    let principal_name: Option<String> = connection
        .prepare_cached("SELECT name FROM principal WHERE organisation = ?1 AND id = ?2")?
        .query_row(params![organisation.0.as_bytes(), principal.0.as_bytes()], |row| row.get(0))
        .optional()?;
    let principal_name = principal_name.ok_or(StoreError::NotFound(Resource::Principal))?;
    let (sql, operation) = match assigned {
        true => (
            "INSERT INTO principal_role_member (organisation, principal, role) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            Operation::AssignPrincipalRole,
        ),
        false => (
            "DELETE FROM principal_role_member
             WHERE organisation = ?1 AND principal = ?2 AND role = ?3 AND source = 'assigned'",
            Operation::RevokePrincipalRole,
        ),
    };
    let changed = connection.prepare_cached(sql)?.execute(params![
        organisation.0.as_bytes(),
        principal.0.as_bytes(),
        role.0.as_bytes()
    ])?;
    if changed == 0 {
        return Ok(());
    }
    let mut details = EventDetails::new();
    details.insert("principal".to_owned(), principal_name.into());
    details.insert("principal-id".to_owned(), principal.to_string().into());
    event_add(
        connection,
        change,
        organisation,
        operation,
        &role_object(ObjectKind::PrincipalRole, role.0, &name),
        &details,
    )
}

pub(super) fn catalog_role_assign(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    (role, principal_role): (CatalogRoleId, PrincipalRoleId),
    assigned: bool,
    change: &Change,
) -> Result<()> {
    let name = catalog_role_name(connection, warehouse_ref, role)?;
    let principal_role_name = principal_role_name(connection, warehouse_ref.organisation, principal_role)?;
    let (sql, operation) = match assigned {
        true => (
            "INSERT INTO catalog_role_member (organisation, principal_role, role) VALUES (?1, ?2, ?3)
             ON CONFLICT DO NOTHING",
            Operation::AssignCatalogRole,
        ),
        false => (
            "DELETE FROM catalog_role_member WHERE organisation = ?1 AND principal_role = ?2 AND role = ?3",
            Operation::RevokeCatalogRole,
        ),
    };
    let changed = connection.prepare_cached(sql)?.execute(params![
        warehouse_ref.organisation.0.as_bytes(),
        principal_role.0.as_bytes(),
        role.0.as_bytes()
    ])?;
    if changed == 0 {
        return Ok(());
    }
    let mut details = EventDetails::new();
    details.insert("principal-role".to_owned(), principal_role_name.into());
    event_add(
        connection,
        change,
        warehouse_ref,
        operation,
        &role_object(ObjectKind::CatalogRole, role.0, &name),
        &details,
    )
}
