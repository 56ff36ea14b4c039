//! Properties and versions of warehouses, principals and roles.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use tidewater_core::ids::OrganisationId;
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::attempts::transact;
use super::connection::Transaction;
use super::convert::{Failure, column, count, get};
use super::events::{Scope, details, event_add};
use super::params::params;
use super::state_rows;
use crate::store::{
    Change, Entity, EntityDetails, EntityStore, EventObject, ObjectKind, Operation, Resource, Result, StoreError,
    WarehouseRef,
};

/// Reads the details of an entity from the columns `properties`, `version` and `updated_ms`.
fn details_at(row: &Row) -> Result<EntityDetails> {
    let properties = serde_json::from_str(get(row, 0)?);
    let properties = properties.map_err(|error| StoreError::Corrupt(format!("entity.properties: {error}")))?;
    Ok(EntityDetails { properties, version: count(get(row, 1)?), updated_ms: Some(get(row, 2)?) })
}

/// Raises the version of an entity that was changed in the same transaction.
pub(super) async fn entity_touch(
    transaction: &Transaction,
    organisation: OrganisationId,
    id: Uuid,
    at_ms: i64,
) -> std::result::Result<(), Failure> {
    transaction
        .query(
            "INSERT INTO entity (organisation, id, properties, version, updated_ms) VALUES ($1, $2, '{}', 2, $3)
             ON CONFLICT (organisation, id)
             DO UPDATE SET version = entity.version + 1, updated_ms = excluded.updated_ms",
            params![organisation.0, id, at_ms],
        )
        .await?;
    Ok(())
}

/// Returns the statement that reads an entity's name.
const fn name_statement(entity: Entity) -> &'static str {
    match entity {
        Entity::Warehouse(_) => "SELECT name FROM warehouse WHERE organisation = $1 AND id = $2",
        Entity::Principal(_) => "SELECT name FROM principal WHERE organisation = $1 AND id = $2",
        Entity::PrincipalRole(_) => "SELECT name FROM principal_role WHERE organisation = $1 AND id = $2",
        Entity::CatalogRole(..) => "SELECT name FROM catalog_role WHERE organisation = $1 AND id = $2",
    }
}

/// Returns an entity's kind and scope for events, and its kind for errors.
fn kinds(organisation: OrganisationId, entity: Entity) -> (ObjectKind, Scope, Resource) {
    let in_warehouse = |warehouse| Scope::from(WarehouseRef { organisation, warehouse });
    match entity {
        Entity::Warehouse(id) => (ObjectKind::Warehouse, in_warehouse(id), Resource::Warehouse),
        // A principal has the name and the first id of its key.
        Entity::Principal(_) => (ObjectKind::Key, organisation.into(), Resource::Principal),
        Entity::PrincipalRole(_) => (ObjectKind::PrincipalRole, organisation.into(), Resource::PrincipalRole),
        Entity::CatalogRole(warehouse, _) => (ObjectKind::CatalogRole, in_warehouse(warehouse), Resource::CatalogRole),
    }
}

async fn entity_set_properties(
    transaction: &Transaction,
    organisation: OrganisationId,
    (entity, expected): (Entity, Option<u64>),
    properties: &BTreeMap<String, String>,
    change: &Change,
) -> std::result::Result<Option<EntityDetails>, Failure> {
    let (kind, scope, resource) = kinds(organisation, entity);
    state_rows::lock_for(transaction, organisation, resource).await?;
    let id = entity.id();
    let key = params![organisation.0, id];
    let name = transaction.query_first(name_statement(entity), key).await?.ok_or(StoreError::NotFound(resource))?;
    let before = transaction
        .query_first("SELECT properties, version, updated_ms FROM entity WHERE organisation = $1 AND id = $2", key)
        .await?;
    let before = before.as_ref().map(details_at).transpose()?.unwrap_or_default();
    if expected.is_some_and(|expected| expected != before.version) {
        return Ok(None);
    }
    if before.properties == *properties {
        return Ok(Some(before));
    }
    let text = serde_json::to_string(properties).map_err(|error| StoreError::Unavailable(Box::new(error)))?;
    let version = before.version + 1;
    transaction
        .query(
            "INSERT INTO entity (organisation, id, properties, version, updated_ms) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (organisation, id) DO UPDATE SET properties = excluded.properties, version = excluded.version,
                 updated_ms = excluded.updated_ms",
            params![organisation.0, entity.id(), text, column(version), change.at_ms],
        )
        .await?;
    let names: Vec<String> = properties.keys().cloned().collect();
    let object = EventObject::new(kind, Some(entity.id()), get::<&str>(&name, 0)?);
    let details = details([("properties", names.into())]);
    event_add(transaction, change, scope, Operation::SetProperties, &object, &details).await?;
    Ok(Some(EntityDetails { properties: properties.clone(), version, updated_ms: Some(change.at_ms) }))
}

#[async_trait]
impl EntityStore for PostgresStore {
    async fn entity_get(&self, organisation: OrganisationId, entities: &[Entity]) -> Result<Vec<EntityDetails>> {
        let ids: Vec<Uuid> = entities.iter().map(|entity| entity.id()).collect();
        let rows = self
            .read(
                "SELECT properties, version, updated_ms, id FROM entity WHERE organisation = $1 AND id = ANY ($2)",
                params![organisation.0, ids],
            )
            .await?;
        let found = rows.iter().map(|row| Ok((get(row, 3)?, details_at(row)?)));
        let found = found.collect::<Result<HashMap<Uuid, EntityDetails>>>()?;
        Ok(ids.iter().map(|id| found.get(id).cloned().unwrap_or_default()).collect())
    }

    async fn entity_set_properties(
        &self,
        organisation: OrganisationId,
        entity: Entity,
        expected: Option<u64>,
        properties: &BTreeMap<String, String>,
        change: &Change,
    ) -> Result<Option<EntityDetails>> {
        transact!(self, for organisation, transaction => {
            entity_set_properties(transaction, organisation, (entity, expected), properties, change)
        })
    }
}
