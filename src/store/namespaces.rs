//! Namespaces and their properties.

use std::collections::BTreeMap;

use std::sync::Arc;

use async_trait::async_trait;
use tidewater_core::name::NamespaceIdent;
use tidewater_core::properties::PropertyChanges;
use tidewater_core::request_limits::RequestLimits;

use super::change::Change;
use super::error::Result;
use super::pages::PageRequest;
use super::shared_page::SharedPage;
use super::warehouses::WarehouseRef;

/// Properties of a namespace.
pub type Properties = BTreeMap<String, String>;

/// Stores namespaces and their properties.
///
/// A change whose future is dropped may happen or not, but never in part. A read whose future is dropped has no effect.
#[async_trait]
pub trait NamespaceStore: Send + Sync + 'static {
    /// Adds a namespace.
    ///
    /// # Errors
    /// `AlreadyExists`; `NotFound` (of a namespace) when its parent does not exist, or (of a warehouse) when its warehouse does
    /// not exist.
    async fn namespace_create(
        &self,
        warehouse_ref: WarehouseRef,
        namespace: &NamespaceIdent,
        properties: &Properties,
        change: &Change,
    ) -> Result<()>;

    /// Returns a namespace's properties, if the namespace exists.
    async fn namespace_get(
        &self,
        warehouse_ref: WarehouseRef,
        namespace: &NamespaceIdent,
    ) -> Result<Option<Properties>>;

    /// Lists the namespaces directly below `parent`, or without it at the top, by name.
    ///
    /// # Errors
    /// `NotFound` when `parent` does not exist.
    async fn namespace_list(
        &self,
        warehouse_ref: WarehouseRef,
        parent: Option<&NamespaceIdent>,
        page: &PageRequest,
    ) -> Result<Arc<SharedPage<NamespaceIdent>>>;

    /// Sets and removes properties. Other properties stay. A property in both lists is removed, then set.
    ///
    /// # Errors
    /// `NotFound`; `LimitExceeded` when the namespace would have more properties than `limits` allow.
    async fn namespace_update_properties(
        &self,
        warehouse_ref: WarehouseRef,
        namespace: &NamespaceIdent,
        updates: &Properties,
        removals: &[String],
        limits: &RequestLimits,
        change: &Change,
    ) -> Result<PropertyChanges>;

    /// Removes a namespace without namespaces, tables or views. Dropped tables and views do not count.
    ///
    /// # Errors
    /// `NotFound`; `NotEmpty`.
    async fn namespace_drop(
        &self,
        warehouse_ref: WarehouseRef,
        namespace: &NamespaceIdent,
        change: &Change,
    ) -> Result<()>;
}
