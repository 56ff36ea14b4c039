//! The fields that catalogs, principals and roles have in common.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidewater_core::ids::OrganisationId;

use crate::admin::check_properties;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::store::{Change, Entity, EntityDetails};

/// Properties of an entity.
pub(super) type Properties = BTreeMap<String, String>;

/// The common fields in an answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Details {
    pub(super) properties: Properties,
    create_timestamp: i64,
    last_update_timestamp: i64,
    entity_version: u64,
}

impl Details {
    pub(super) fn new(created_ms: i64, details: EntityDetails) -> Self {
        Self {
            properties: details.properties,
            create_timestamp: created_ms,
            last_update_timestamp: details.updated_ms.unwrap_or(created_ms),
            entity_version: details.version,
        }
    }
}

/// The body of an update.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::api) struct Update {
    pub(super) current_entity_version: u64,
    pub(super) properties: Properties,
}

/// Checks the properties of a new entity, before anything is created.
///
/// # Errors
/// 400 if they exceed a limit.
pub(super) fn check(properties: Option<&Properties>) -> Result<(), ApiError> {
    Ok(properties.map_or(Ok(()), check_properties)?)
}

/// Sets the properties of an entity that was just created.
///
/// # Errors
/// 409 if it was changed meanwhile.
pub(super) async fn created(
    api: &Api,
    organisation: OrganisationId,
    entity: Entity,
    properties: Option<&Properties>,
    change: &Change,
) -> Result<EntityDetails, ApiError> {
    match properties.filter(|properties| !properties.is_empty()) {
        None => Ok(EntityDetails::default()),
        Some(properties) => {
            Ok(api.admin.entity_set_properties(organisation, entity, Some(1), properties, change).await?)
        }
    }
}
