//! `/api/management/v1/catalogs`. A catalog is a warehouse, and its default base location is the warehouse's root.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidewater_core::access::{Privilege, Securable};
use tidewater_core::location::Location;

use super::details::{Details, Properties, check, created};
use super::storage::StorageConfigInfo;
use crate::admin::{WarehouseRequest, WarehouseUpdate};
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::management::administrator::OfOrganisation;
use crate::api::management::fields::Fields;
use crate::api::management::warehouses::named;
use crate::store::{Change, Entity, EntityDetails, Warehouse, WarehouseOptions, WarehouseRef};

/// The property with a catalog's root.
const BASE_LOCATION: &str = "default-base-location";

/// The catalog role that Polaris adds to each new catalog, with its privileges on the catalog.
const CATALOG_ADMIN: &str = "catalog_admin";
const CATALOG_ADMIN_PRIVILEGES: [Privilege; 2] = [Privilege::CatalogManageAccess, Privilege::CatalogManageMetadata];

/// A new catalog. The times and the version are those of answers, and are ignored.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct NewCatalog {
    r#type: Option<String>,
    name: String,
    properties: Properties,
    storage_config_info: StorageConfigInfo,
    connection_config_info: Option<IgnoredAny>,
    #[serde(rename = "createTimestamp")]
    _create_timestamp: Option<IgnoredAny>,
    #[serde(rename = "lastUpdateTimestamp")]
    _last_update_timestamp: Option<IgnoredAny>,
    #[serde(rename = "entityVersion")]
    _entity_version: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Create {
    catalog: NewCatalog,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::api) struct Update {
    current_entity_version: Option<u64>,
    properties: Option<Properties>,
    storage_config_info: Option<StorageConfigInfo>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Catalog {
    r#type: &'static str,
    name: String,
    #[serde(flatten)]
    details: Details,
    storage_config_info: StorageConfigInfo,
}

impl Catalog {
    fn new(warehouse: Warehouse, details: EntityDetails) -> Self {
        let storage = &warehouse.storage.profile;
        let storage_config_info = StorageConfigInfo::from_warehouse(&warehouse.root, storage, &details.properties);
        let mut details = Details::new(warehouse.created_ms, details);
        details.properties.insert(BASE_LOCATION.to_owned(), warehouse.root);
        Self { r#type: "INTERNAL", name: warehouse.name, details, storage_config_info }
    }
}

#[derive(Serialize)]
pub(in crate::api) struct CatalogList {
    catalogs: Vec<Catalog>,
}

fn entity(warehouse: &Warehouse) -> Entity {
    Entity::Warehouse(warehouse.id)
}

/// Lists an organisation's catalogs by name.
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
) -> Result<Json<CatalogList>, ApiError> {
    let all = api.admin.warehouse_list(&of.organisation).await?;
    let entities: Vec<Entity> = all.iter().map(entity).collect();
    let details = api.admin.entity_list(of.organisation.id, &entities).await?;
    let catalogs = all.into_iter().zip(details).map(|(one, details)| Catalog::new(one, details)).collect();
    Ok(Json(CatalogList { catalogs }))
}

/// Creates a catalog after testing its storage, with the catalog role that Polaris adds.
pub(in crate::api) async fn create(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    Fields(Create { catalog: mut new }): Fields<Create>,
) -> Result<(StatusCode, Json<Catalog>), ApiError> {
    if new.r#type.as_deref().is_some_and(|kind| kind != "INTERNAL") || new.connection_config_info.is_some() {
        return Err(ApiError::bad_request("`type` must be INTERNAL: Tidewater has no external catalogs"));
    }
    let root = new.properties.remove(BASE_LOCATION);
    let root = root.ok_or_else(|| ApiError::bad_request(format!("Give the property '{BASE_LOCATION}'")))?;
    let location = Location::parse(&root).map_err(|error| ApiError::bad_request(error.to_string()))?;
    let storage = new.storage_config_info.settings(&location, &mut new.properties)?;
    check(Some(&new.properties))?;
    let request = WarehouseRequest {
        name: new.name,
        root,
        storage,
        options: WarehouseOptions::default(),
        is_default: false,
        check: true,
        dry_run: false,
        own_storage: of.own_storage(),
    };
    let change = of.change(&api);
    let (warehouse, _) = api.admin.warehouse_create(&of.organisation, request, &change).await?;
    let details = created(&api, of.organisation.id, entity(&warehouse), Some(&new.properties), &change).await?;
    add_catalog_admin(&api, &warehouse, &change).await?;
    Ok((StatusCode::CREATED, Json(Catalog::new(warehouse, details))))
}

/// Adds the catalog role that Polaris' tools expect in each catalog.
async fn add_catalog_admin(api: &Api, warehouse: &Warehouse, change: &Change) -> Result<(), ApiError> {
    let warehouse_ref = WarehouseRef { organisation: warehouse.organisation, warehouse: warehouse.id };
    api.admin.catalog_role_create(warehouse_ref, CATALOG_ADMIN, change).await?;
    for privilege in CATALOG_ADMIN_PRIVILEGES {
        let grant = (privilege, Securable::Warehouse);
        api.admin.grant_change(warehouse_ref, CATALOG_ADMIN, grant, true, change).await?;
    }
    Ok(())
}

/// Shows a catalog, without its credentials.
pub(in crate::api) async fn get(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    parts: Parts,
) -> Result<Json<Catalog>, ApiError> {
    let warehouse = api.admin.warehouse_find(&of.organisation, &named(&parts)?).await?;
    let details = api.admin.entity_get(of.organisation.id, entity(&warehouse)).await?;
    Ok(Json(Catalog::new(warehouse, details)))
}

/// Changes a catalog's properties and storage.
pub(in crate::api) async fn update(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    parts: Parts,
    Fields(update): Fields<Update>,
) -> Result<Json<Catalog>, ApiError> {
    let (organisation, change) = (&of.organisation, of.change(&api));
    let warehouse = api.admin.warehouse_find(organisation, &named(&parts)?).await?;
    let mut properties = match update.properties {
        Some(properties) => properties,
        None => api.admin.entity_get(organisation.id, entity(&warehouse)).await?.properties,
    };
    let root = same_root(&warehouse, properties.remove(BASE_LOCATION))?;
    let storage = new_storage(&warehouse, &root, update.storage_config_info.as_ref(), &mut properties)?;
    // First, because it compares the version: of two updates of the same version, one changes nothing.
    let (entity, expected) = (entity(&warehouse), update.current_entity_version);
    api.admin.entity_set_properties(organisation.id, entity, expected, &properties, &change).await?;
    let warehouse = match storage {
        None => warehouse,
        storage => {
            let update = WarehouseUpdate { storage, ..WarehouseUpdate::default() };
            api.admin.warehouse_update(organisation, warehouse, update, of.own_storage(), &change).await?
        }
    };
    let details = api.admin.entity_get(organisation.id, entity).await?;
    Ok(Json(Catalog::new(warehouse, details)))
}

/// Returns the root of a warehouse, which an update cannot change.
fn same_root(warehouse: &Warehouse, wanted: Option<String>) -> Result<Location, ApiError> {
    let root = Location::parse(&warehouse.root).map_err(|error| ApiError::internal(&error))?;
    match wanted.as_deref().map(Location::parse) {
        None => Ok(root),
        Some(Ok(wanted)) if wanted == root => Ok(root),
        Some(_) => Err(ApiError::bad_request(format!(
            "The default base location of a catalog cannot change: it is {root}. Create another catalog"
        ))),
    }
}

fn new_storage(
    warehouse: &Warehouse,
    root: &Location,
    wanted: Option<&StorageConfigInfo>,
    properties: &mut Properties,
) -> Result<Option<Value>, ApiError> {
    let storage = &warehouse.storage;
    let current = StorageConfigInfo::from_warehouse(&warehouse.root, &storage.profile, properties);
    // New credentials can come without the storage.
    let wanted = wanted.unwrap_or(&current);
    wanted.update((root, &storage.profile, storage.sealed_credentials.is_some()), properties)
}

/// Deletes an empty catalog.
pub(in crate::api) async fn delete(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    parts: Parts,
) -> Result<StatusCode, ApiError> {
    let warehouse = api.admin.warehouse_find(&of.organisation, &named(&parts)?).await?;
    api.admin.warehouse_drop(&of.organisation, &warehouse.id.to_string(), &of.change(&api)).await?;
    Ok(StatusCode::NO_CONTENT)
}
