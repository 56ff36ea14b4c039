//! Namespaces.

use std::sync::Arc;

use tidewater_core::name::NamespaceIdent;

use super::error::{namespace_error, unread};
use super::{Catalog, CatalogError, OpenWarehouse};
use crate::access::{Namespace, NamespaceParent, Permit, Visibility, action};
use crate::store::{Change, PageRequest, Properties, PropertyChanges, SharedPage};
use crate::vending::LocationRefused;
use tidewater_core::location::Location;

/// The property with the location for a namespace's tables that do not set their own.
pub(super) const LOCATION_PROPERTY: &str = "location";

impl Catalog {
    /// Adds a namespace.
    ///
    /// # Errors
    /// `NamespaceExists`; `NoSuchNamespace` for its parent; `BadRequest` for a `location` outside of the warehouse, or too many
    /// properties.
    pub async fn namespace_create(
        &self,
        namespace: &Permit<action::CreateNamespace, Namespace>,
        properties: &Properties,
        change: &Change,
    ) -> Result<(), CatalogError> {
        let Namespace { warehouse, ident: namespace } = &**namespace;
        self.settings.limits.check_namespace(properties.iter())?;
        check_location(warehouse, properties)?;
        self.store.namespace_create(warehouse.warehouse_ref, namespace, properties, change).await.map_err(|error| {
            let missing_parent = namespace.parent().filter(|_| matches!(error, crate::store::StoreError::NotFound(_)));
            namespace_error(missing_parent.as_ref().unwrap_or(namespace))(error)
        })
    }

    /// Returns a namespace's properties.
    ///
    /// # Errors
    /// `NoSuchNamespace`.
    pub async fn namespace_load(
        &self,
        namespace: &Permit<action::LoadNamespace, Namespace>,
    ) -> Result<Properties, CatalogError> {
        self.namespace_properties(&namespace.warehouse, &namespace.ident).await
    }

    /// Checks that a namespace exists.
    ///
    /// # Errors
    /// `NoSuchNamespace`.
    pub async fn namespace_check(
        &self,
        namespace: &Permit<action::CheckNamespace, Namespace>,
    ) -> Result<(), CatalogError> {
        self.namespace_properties(&namespace.warehouse, &namespace.ident).await.map(drop)
    }

    /// Lists the functions of a namespace, which has none.
    ///
    /// # Errors
    /// `NoSuchNamespace`.
    pub async fn function_list(
        &self,
        namespace: &Permit<action::ListFunctions, Namespace>,
    ) -> Result<Vec<String>, CatalogError> {
        self.namespace_properties(&namespace.warehouse, &namespace.ident).await.map(|_| Vec::new())
    }

    pub(super) async fn namespace_properties(
        &self,
        warehouse: &OpenWarehouse,
        namespace: &NamespaceIdent,
    ) -> Result<Properties, CatalogError> {
        let found = self.store.namespace_get(warehouse.warehouse_ref, namespace).await.map_err(unread)?;
        found.ok_or_else(|| CatalogError::NoSuchNamespace(namespace.clone()))
    }

    /// Lists the namespaces directly below a parent.
    ///
    /// # Errors
    /// `NoSuchNamespace` for the parent.
    pub async fn namespace_list(
        &self,
        parent: &Permit<action::ListNamespaces, NamespaceParent>,
        page: &PageRequest,
    ) -> Result<Arc<SharedPage<NamespaceIdent>>, CatalogError> {
        if parent.visibility()? == Visibility::Some {
            return Ok(SharedPage::for_one(parent.granted_namespaces(&parent.limited_viewers(), page)));
        }
        let listed = self.store.namespace_list(parent.warehouse.warehouse_ref, parent.ident.as_ref(), page).await;
        listed.map_err(|error| match &parent.ident {
            Some(ident) => namespace_error(ident)(error),
            None => CatalogError::Store(error),
        })
    }

    /// Sets and removes properties of a namespace.
    ///
    /// # Errors
    /// `NoSuchNamespace`; `PropertyConflict` for a key in both; `BadRequest` for a `location` outside of the warehouse, or
    /// too many properties.
    pub async fn namespace_update_properties(
        &self,
        namespace: &Permit<action::UpdateNamespace, Namespace>,
        updates: &Properties,
        removals: &[String],
        change: &Change,
    ) -> Result<PropertyChanges, CatalogError> {
        let Namespace { warehouse, ident: namespace } = &**namespace;
        let both: Vec<String> = removals.iter().filter(|key| updates.contains_key(*key)).cloned().collect();
        if !both.is_empty() {
            return Err(CatalogError::PropertyConflict(both));
        }
        check_location(warehouse, updates)?;
        let warehouse_ref = warehouse.warehouse_ref;
        let limits = &self.settings.limits;
        let changed =
            self.store.namespace_update_properties(warehouse_ref, namespace, updates, removals, limits, change).await;
        changed.map_err(namespace_error(namespace))
    }

    /// Removes an empty namespace.
    ///
    /// # Errors
    /// `NoSuchNamespace`; `NamespaceNotEmpty`.
    pub async fn namespace_drop(
        &self,
        namespace: &Permit<action::DropNamespace, Namespace>,
        change: &Change,
    ) -> Result<(), CatalogError> {
        let Namespace { warehouse, ident: namespace } = &**namespace;
        self.store.namespace_drop(warehouse.warehouse_ref, namespace, change).await.map_err(namespace_error(namespace))
    }
}

fn check_location(warehouse: &OpenWarehouse, properties: &Properties) -> Result<(), CatalogError> {
    let Some(text) = properties.get(LOCATION_PROPERTY) else { return Ok(()) };
    let location = Location::parse(text).map_err(LocationRefused::from)?;
    if warehouse.root.contains(&location) {
        Ok(())
    } else {
        Err(LocationRefused::outside(text, &warehouse.root).into())
    }
}
