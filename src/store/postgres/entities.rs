//! Stub.
#![allow(unused_imports, unused_variables, clippy::todo, reason = "being written")]
use async_trait::async_trait;
use std::collections::BTreeMap;
use tidewater_core::ids::{CatalogRoleId, OrganisationId, PrincipalId, PrincipalRoleId, WarehouseId};
use uuid::Uuid;

use super::PostgresStore;
use crate::store::*;

#[async_trait]
impl EntityStore for PostgresStore {
    async fn entity_get(&self, organisation: OrganisationId, entities: &[Entity]) -> Result<Vec<EntityDetails>> {
        todo!()
    }
    async fn entity_set_properties(
        &self,
        organisation: OrganisationId,
        entity: Entity,
        expected: Option<u64>,
        properties: &BTreeMap<String, String>,
        change: &Change,
    ) -> Result<Option<EntityDetails>> {
        todo!()
    }
}
