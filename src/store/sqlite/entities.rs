//! Properties and versions of warehouses, principals and roles.

use std::collections::BTreeMap;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use tidewater_core::ids::OrganisationId;
use uuid::Uuid;

use super::SqliteStore;
use super::convert::{bounded, count};
use super::events::{Scope, details, event_add};
use crate::store::{
    Change, Entity, EntityDetails, EntityStore, EventObject, ObjectKind, Operation, Resource, Result, StoreError,
    WarehouseRef,
};

/// Returns the details of an entity. An entity without a row has the default details.
fn entity_get(connection: &Connection, organisation: OrganisationId, id: Uuid) -> Result<EntityDetails> {
    let found: Option<(String, i64, i64)> = connection
        .prepare_cached("SELECT properties, version, updated_ms FROM entity WHERE organisation = ?1 AND id = ?2")?
        .query_row(params![organisation.0.as_bytes(), id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((properties, version, updated_ms)) = found else { return Ok(EntityDetails::default()) };
    let properties = serde_json::from_str(&properties);
    let properties = properties.map_err(|error| StoreError::Corrupt(format!("entity.properties: {error}")))?;
    Ok(EntityDetails { properties, version: count(version), updated_ms: Some(updated_ms) })
}

/// Raises the version of an entity that was changed in the same transaction.
pub(super) fn entity_touch(connection: &Connection, organisation: OrganisationId, id: Uuid, at_ms: i64) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO entity (organisation, id, properties, version, updated_ms) VALUES (?1, ?2, '{}', 2, ?3)
             ON CONFLICT (organisation, id) DO UPDATE SET version = version + 1, updated_ms = excluded.updated_ms",
        )?
        .execute(params![organisation.0.as_bytes(), id.as_bytes(), at_ms])?;
    Ok(())
}

/// Returns the entity's name, and its kind and scope for events.
fn find(connection: &Connection, organisation: OrganisationId, entity: Entity) -> Result<(String, ObjectKind, Scope)> {
    let in_warehouse = |warehouse| Scope::from(WarehouseRef { organisation, warehouse });
    let (sql, kind, scope, resource) = match entity {
        Entity::Warehouse(warehouse) => (
            "SELECT name FROM warehouse WHERE organisation = ?1 AND id = ?2",
            ObjectKind::Warehouse,
            in_warehouse(warehouse),
            Resource::Warehouse,
        ),
        // A principal has the name and the first id of its key.
        Entity::Principal(_) => (
            "SELECT name FROM principal WHERE organisation = ?1 AND id = ?2",
            ObjectKind::Key,
            organisation.into(),
            Resource::Principal,
        ),
        Entity::PrincipalRole(_) => (
            "SELECT name FROM principal_role WHERE organisation = ?1 AND id = ?2",
            ObjectKind::PrincipalRole,
            organisation.into(),
            Resource::PrincipalRole,
        ),
        Entity::CatalogRole(warehouse, _) => (
            "SELECT name FROM catalog_role WHERE organisation = ?1 AND id = ?2",
            ObjectKind::CatalogRole,
            in_warehouse(warehouse),
            Resource::CatalogRole,
        ),
    };
    let name: Option<String> = connection
        .prepare_cached(sql)?
        .query_row(params![organisation.0.as_bytes(), entity.id().as_bytes()], |row| row.get(0))
        .optional()?;
    Ok((name.ok_or(StoreError::NotFound(resource))?, kind, scope))
}

fn entity_set_properties(
    connection: &Connection,
    organisation: OrganisationId,
    (entity, expected): (Entity, Option<u64>),
    properties: &BTreeMap<String, String>,
    change: &Change,
) -> Result<Option<EntityDetails>> {
    let (name, kind, scope) = find(connection, organisation, entity)?;
    let before = entity_get(connection, organisation, entity.id())?;
    if expected.is_some_and(|expected| expected != before.version) {
        return Ok(None);
    }
    if before.properties == *properties {
        return Ok(Some(before));
    }
    let text = serde_json::to_string(properties).map_err(|error| StoreError::Unavailable(Box::new(error)))?;
    let version = before.version + 1;
    connection
        .prepare_cached(
            "INSERT INTO entity (organisation, id, properties, version, updated_ms) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (organisation, id) DO UPDATE SET properties = excluded.properties, version = excluded.version,
                 updated_ms = excluded.updated_ms",
        )?
        .execute(params![organisation.0.as_bytes(), entity.id().as_bytes(), text, bounded(version), change.at_ms])?;
    let names: Vec<String> = properties.keys().cloned().collect();
    let object = EventObject::new(kind, Some(entity.id()), name);
    event_add(connection, change, scope, Operation::SetProperties, &object, &details([("properties", names.into())]))?;
    Ok(Some(EntityDetails { properties: properties.clone(), version, updated_ms: Some(change.at_ms) }))
}

#[async_trait]
impl EntityStore for SqliteStore {
    async fn entity_get(&self, organisation: OrganisationId, entities: &[Entity]) -> Result<Vec<EntityDetails>> {
        let ids: Vec<Uuid> = entities.iter().map(|entity| entity.id()).collect();
        self.read_list(Some(organisation), move |connection| {
            ids.into_iter().map(|id| entity_get(connection, organisation, id)).collect()
        })
        .await
    }

    async fn entity_set_properties(
        &self,
        organisation: OrganisationId,
        entity: Entity,
        expected: Option<u64>,
        properties: &BTreeMap<String, String>,
        change: &Change,
    ) -> Result<Option<EntityDetails>> {
        let (properties, change) = (properties.clone(), change.clone());
        self.write(move |connection| {
            entity_set_properties(connection, organisation, (entity, expected), &properties, &change)
        })
        .await
    }
}
