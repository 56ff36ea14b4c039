//! A walk over all namespaces of a warehouse. It can continue after any of them.

use tidewater_core::name::NamespaceIdent;

use crate::store::{PageRequest, Result, Store, StoreError, WarehouseRef};

/// Returns the namespace after `after`, in an order in which a parent precedes its children. `after` need not exist. A whole walk
/// takes two reads per namespace.
///
/// # Errors
/// Fails if the store does not answer.
pub async fn next_namespace(
    store: &dyn Store,
    warehouse_ref: WarehouseRef,
    after: &NamespaceIdent,
) -> Result<Option<NamespaceIdent>> {
    if let Some(below) = first_namespace(store, warehouse_ref, Some(after), None).await? {
        return Ok(Some(below));
    }
    let mut left = Some(after.clone());
    while let Some(namespace) = left {
        let parent = namespace.parent();
        if let Some(next) = first_namespace(store, warehouse_ref, parent.as_ref(), Some(&namespace)).await? {
            return Ok(Some(next));
        }
        left = parent;
    }
    Ok(None)
}

/// Returns the first namespace directly below `parent`, or at the top, after `after`.
///
/// # Errors
/// Fails if the store does not answer.
pub async fn first_namespace(
    store: &dyn Store,
    warehouse_ref: WarehouseRef,
    parent: Option<&NamespaceIdent>,
    after: Option<&NamespaceIdent>,
) -> Result<Option<NamespaceIdent>> {
    let page = PageRequest { after: after.map(|after| after.as_key().to_owned()), limit: Some(1) };
    match store.namespace_list(warehouse_ref, parent, &page).await {
        // A parent that was dropped meanwhile has no children.
        Err(StoreError::NotFound(_)) => Ok(None),
        found => Ok(found?.items.first().cloned()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tidewater_core::ids::{OrganisationId, WarehouseId};

    use super::*;
    use crate::base::clock::fresh_uuid;
    use crate::store::faulty::FaultyStore;
    use crate::store::{Change, Organisation, Properties, Warehouse, WarehouseOptions, WarehouseStorage};

    async fn store() -> (tempfile::TempDir, FaultyStore, WarehouseRef) {
        let folder = tempfile::tempdir().unwrap();
        let store = crate::store::open(&folder.path().join("t.db")).unwrap();
        let warehouse_ref =
            WarehouseRef { organisation: OrganisationId(fresh_uuid()), warehouse: WarehouseId(fresh_uuid()) };
        let change = Change::by_catalog(0);
        let acme = Organisation::new(warehouse_ref.organisation, "acme", "free", 0);
        store.organisation_create(&acme, &change).await.unwrap();
        let warehouse = Warehouse {
            id: warehouse_ref.warehouse,
            organisation: warehouse_ref.organisation,
            name: "lake".to_owned(),
            root: "file:///lake".to_owned(),
            storage: WarehouseStorage::local(),
            options: WarehouseOptions::default(),
            is_default: true,
            created_ms: 0,
        };
        store.warehouse_create(&warehouse, &change).await.unwrap();
        (folder, FaultyStore::new(Arc::clone(&store)), warehouse_ref)
    }

    #[tokio::test]
    async fn walk_returns_every_namespace_once_with_two_reads_each() {
        let (_folder, store, warehouse_ref) = store().await;
        let mut all = Vec::new();
        for top in ["a", "b", "c"] {
            all.push(vec![top.to_owned()]);
            for number in 10..40 {
                all.push(vec![top.to_owned(), format!("n{number}")]);
            }
            all.push(vec![top.to_owned(), "n39".to_owned(), "deep".to_owned()]);
        }
        for levels in &all {
            let ident = NamespaceIdent::new(levels).unwrap();
            store.namespace_create(warehouse_ref, &ident, &Properties::new(), &Change::by_catalog(0)).await.unwrap();
        }
        let mut met = Vec::new();
        let mut next = first_namespace(&store, warehouse_ref, None, None).await.unwrap();
        while let Some(namespace) = next {
            met.push(namespace.levels().map(str::to_owned).collect::<Vec<_>>());
            next = next_namespace(&store, warehouse_ref, &namespace).await.unwrap();
        }
        assert_eq!(met, all);
        assert!(store.call_count("namespace_list") <= 2 * all.len() + 1, "{}", store.call_count("namespace_list"));
        let gone = NamespaceIdent::new(&["b", "n25x", "gone"]).unwrap();
        let after_gone = next_namespace(&store, warehouse_ref, &gone).await.unwrap().unwrap();
        assert_eq!(after_gone.to_string(), "b.n26", "the walk continues after a namespace that was dropped meanwhile");
    }
}
