//! Properties and versions of warehouses, principals and roles.

use std::collections::BTreeMap;

use tidewater_core::ids::OrganisationId;

use super::{Admin, AdminError};
use crate::store::{Change, Entity, EntityDetails, StoreError};

/// The maximum size of the names and values of an entity's properties together, in bytes.
const MAX_PROPERTY_BYTES: usize = 16 << 10;

impl Admin {
    /// Returns the properties and the version of each entity, in the order of `entities`.
    ///
    /// # Errors
    /// `Store`.
    pub async fn entity_list(
        &self,
        organisation: OrganisationId,
        entities: &[Entity],
    ) -> Result<Vec<EntityDetails>, AdminError> {
        Ok(self.store.entity_get(organisation, entities).await?)
    }

    /// Returns the properties and the version of an entity.
    ///
    /// # Errors
    /// `Store`.
    pub async fn entity_get(&self, organisation: OrganisationId, entity: Entity) -> Result<EntityDetails, AdminError> {
        Ok(self.store.entity_get(organisation, &[entity]).await?.into_iter().next().unwrap_or_default())
    }

    /// Replaces the properties of an entity. `expected` is the version that the caller knows.
    ///
    /// # Errors
    /// `Invalid`; `NotFound`; `Conflict` if it has another version.
    pub async fn entity_set_properties(
        &self,
        organisation: OrganisationId,
        entity: Entity,
        expected: Option<u64>,
        properties: &BTreeMap<String, String>,
        change: &Change,
    ) -> Result<EntityDetails, AdminError> {
        check_properties(properties)?;
        let set = self.store.entity_set_properties(organisation, entity, expected, properties, change).await;
        let set = set.map_err(|error| match error {
            StoreError::NotFound(resource) => AdminError::NotFound(format!("The {resource} was deleted")),
            error => AdminError::Store(error),
        })?;
        match set {
            Some(details) => Ok(details),
            None => Err(version_conflict(self.entity_get(organisation, entity).await?.version)),
        }
    }
}

/// Returns the error for an entity that has another version than the caller knows.
fn version_conflict(version: u64) -> AdminError {
    AdminError::Conflict(format!(
        "The object was changed meanwhile, and has version {version}: load it again and repeat the change"
    ))
}

/// Checks the names and the size of properties.
///
/// # Errors
/// `Invalid`.
pub fn check_properties(properties: &BTreeMap<String, String>) -> Result<(), AdminError> {
    if properties.keys().any(String::is_empty) {
        return Err(AdminError::Invalid("A property must have a name".to_owned()));
    }
    let bytes: usize = properties.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > MAX_PROPERTY_BYTES {
        return Err(AdminError::Invalid(format!(
            "The properties have {bytes} bytes, more than the maximum of {MAX_PROPERTY_BYTES}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_without_names_or_above_the_limit_are_refused() {
        let check = |name: &str, bytes: usize| check_properties(&[(name.to_owned(), "x".repeat(bytes))].into());
        assert!(check("a", MAX_PROPERTY_BYTES - 1).is_ok());
        assert!(check("a", MAX_PROPERTY_BYTES).is_err());
        assert!(check("", 1).is_err());
    }
}
