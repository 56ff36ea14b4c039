//! Searches the namespaces, tables and views of a warehouse by a part of their names.

use std::sync::Arc;

use tidewater_core::ids::TableId;
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::name_search::NameFilter;
use uuid::Uuid;

use super::error::unread;
use super::{Catalog, CatalogError};
use crate::access::action::{CheckNamespace, CheckTable, CheckView};
use crate::access::{Authorizer, Namespace, Table, View};
use crate::store::{TableKind, TableRecord};
use crate::warehouse::OpenWarehouse;

/// The most objects of a page.
const MOST_ITEMS: u32 = 1_000;

/// Where a page of a search begins: namespaces come first, then tables and views.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchPlace {
    /// After the namespace with this key.
    Namespace(String),
    /// After the table or view with this id.
    Tabular(TableId),
}

/// The name of an object that a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundName {
    /// A namespace.
    Namespace(NamespaceIdent),
    /// A table or view.
    Tabular(TableKind, TableIdent),
}

/// A page of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchPage {
    /// The objects that lists show to the caller. They may be few or none although more follow.
    pub items: Vec<FoundName>,
    /// Where the next page begins. `None` on the last page.
    pub next: Option<SearchPlace>,
}

impl Catalog {
    /// Finds the objects of a warehouse whose name contains a text, and that the caller sees in lists. Tokens have the names of objects that
    /// the caller sees, and ids of others.
    ///
    /// # Errors
    /// `Store`.
    pub async fn name_search(
        &self,
        caller: &Authorizer<CheckTable>,
        warehouse: &Arc<OpenWarehouse>,
        filter: &NameFilter,
        (begin, limit): (Option<SearchPlace>, u32),
    ) -> Result<SearchPage, CatalogError> {
        let limit = limit.min(MOST_ITEMS);
        let (after_key, after_id) = match begin {
            None => (Some(String::new()), None),
            Some(SearchPlace::Namespace(key)) => (Some(key), None),
            Some(SearchPlace::Tabular(id)) => (None, Some(id)),
        };
        let mut items = Vec::new();
        if let Some(after) = after_key {
            let found = self.namespaces_named(caller, warehouse, filter, &after).await?;
            let most = usize::try_from(limit).unwrap_or(usize::MAX);
            let next = found.get(most.saturating_sub(1)).map(|last| last.as_key().to_owned());
            let more = found.len() > most;
            items.extend(found.into_iter().take(most).map(FoundName::Namespace));
            match next {
                Some(last) if more => return Ok(SearchPage { items, next: Some(SearchPlace::Namespace(last)) }),
                // The nil id is before all others.
                Some(_) => return Ok(SearchPage { items, next: Some(SearchPlace::Tabular(TableId(Uuid::nil()))) }),
                None => {}
            }
        }
        let left = limit.saturating_sub(u32::try_from(items.len()).unwrap_or(u32::MAX));
        let page = self.store.tabulars_named(warehouse.warehouse_ref, filter, after_id, left).await.map_err(unread)?;
        let records = self.store.table_get_all(warehouse.warehouse_ref, &page.items).await.map_err(unread)?;
        // One that was dropped meanwhile is not found.
        let found = page.items.into_iter().zip(records).filter_map(|(ident, record)| Some((ident, record?)));
        items.extend(found.filter_map(|(ident, record)| seen(caller, warehouse, ident, record)));
        Ok(SearchPage { items, next: page.next.map(SearchPlace::Tabular) })
    }

    /// Returns the namespaces after a key that the caller sees, in the order of their keys.
    async fn namespaces_named(
        &self,
        caller: &Authorizer<CheckTable>,
        warehouse: &Arc<OpenWarehouse>,
        filter: &NameFilter,
        after: &str,
    ) -> Result<Vec<NamespaceIdent>, CatalogError> {
        let Ok(sees) = caller.for_action::<CheckNamespace>() else { return Ok(Vec::new()) };
        let mut found = self.store.namespaces_named(warehouse.warehouse_ref, filter).await.map_err(unread)?;
        found.retain(|ident| {
            let namespace = || Namespace { warehouse: Arc::clone(warehouse), ident: ident.clone() };
            ident.as_key() > after && sees.clone().permit(namespace()).is_ok()
        });
        found.sort_unstable_by(|one, other| one.as_key().cmp(other.as_key()));
        Ok(found)
    }
}

/// Returns the name of a table or view, if lists show it to the caller.
fn seen(
    caller: &Authorizer<CheckTable>,
    warehouse: &Arc<OpenWarehouse>,
    ident: TableIdent,
    record: TableRecord,
) -> Option<FoundName> {
    let (kind, name, warehouse) = (record.kind, ident.clone(), Arc::clone(warehouse));
    match kind {
        TableKind::Table => caller.clone().permit(Table { warehouse, ident, record }).map(drop).ok()?,
        TableKind::View => {
            caller.for_action::<CheckView>().ok()?.permit(View { warehouse, ident, record }).map(drop).ok()?;
        }
    }
    Some(FoundName::Tabular(kind, name))
}
