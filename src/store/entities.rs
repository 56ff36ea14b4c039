//! Properties and versions of warehouses, principals and roles, as Polaris' management API shows them.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tidewater_core::ids::{CatalogRoleId, OrganisationId, PrincipalId, PrincipalRoleId, WarehouseId};
use uuid::Uuid;

use super::{Change, Result};

/// A warehouse, a principal or a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entity {
    /// A warehouse.
    Warehouse(WarehouseId),
    /// A principal.
    Principal(PrincipalId),
    /// A principal role.
    PrincipalRole(PrincipalRoleId),
    /// A catalog role of a warehouse.
    CatalogRole(WarehouseId, CatalogRoleId),
}

impl Entity {
    /// Returns the id.
    #[must_use]
    pub const fn id(self) -> Uuid {
        match self {
            Self::Warehouse(id) => id.0,
            Self::Principal(id) => id.0,
            Self::PrincipalRole(id) => id.0,
            Self::CatalogRole(_, id) => id.0,
        }
    }
}

/// The properties and the version of an entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityDetails {
    /// Its properties.
    pub properties: BTreeMap<String, String>,
    /// Its version: 1 after the creation, one more after each change.
    pub version: u64,
    /// When it was last changed, in milliseconds since 1970. `None` if it was not changed since its creation.
    pub updated_ms: Option<i64>,
}

impl Default for EntityDetails {
    fn default() -> Self {
        Self { properties: BTreeMap::new(), version: 1, updated_ms: None }
    }
}

/// Stores properties and versions of entities.
///
/// A change whose future is dropped may happen or not, but never in part. A read whose future is dropped has no effect.
#[async_trait]
pub trait EntityStore: Send + Sync + 'static {
    /// Returns the details of each entity, in the order of `entities`. An entity that was never changed has the default details.
    async fn entity_get(&self, organisation: OrganisationId, entities: &[Entity]) -> Result<Vec<EntityDetails>>;

    /// Replaces the properties of an entity, if it has the version `expected` or no version is expected. Returns the new
    /// details, or `None` if it has another version. Equal properties change nothing.
    ///
    /// # Errors
    /// `NotFound`.
    async fn entity_set_properties(
        &self,
        organisation: OrganisationId,
        entity: Entity,
        expected: Option<u64>,
        properties: &BTreeMap<String, String>,
        change: &Change,
    ) -> Result<Option<EntityDetails>>;
}
