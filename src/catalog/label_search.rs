//! Searches the namespaces, tables and views of a warehouse by a label.

use std::sync::Arc;

use tidewater_core::ids::TableId;
use tidewater_core::labels::{FoundLabel, LabelFilter};
use tidewater_core::name::{NamespaceIdent, TableIdent};
use uuid::Uuid;

use super::error::unread;
use super::{Catalog, CatalogError};
use crate::access::action::{LoadNamespace, LoadTable, LoadView};
use crate::access::{Authorizer, Namespace, Table, View};
use crate::store::TableKind;
use crate::warehouse::OpenWarehouse;

/// Where a page of a search begins: namespaces come first, then tables and views.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelPlace {
    /// After the namespace with this key.
    Namespace(String),
    /// After the table or view with this id.
    Tabular(TableId),
}

/// The name of an object with a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelledName {
    /// A namespace.
    Namespace(NamespaceIdent),
    /// A table or view.
    Tabular(TableKind, TableIdent),
}

/// A page of objects with a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelSearchPage {
    /// The objects that the caller may load. They may be few or none although more follow.
    pub items: Vec<(LabelledName, FoundLabel)>,
    /// Where the next page begins. `None` on the last page.
    pub next: Option<LabelPlace>,
}

impl Catalog {
    /// Finds the objects of a warehouse with a label of their own or of a column. The caller sees what it may load: loads have the same labels.
    ///
    /// # Errors
    /// `Store`.
    pub async fn label_search(
        &self,
        caller: &Authorizer<LoadTable>,
        warehouse: &Arc<OpenWarehouse>,
        filter: &LabelFilter,
        (begin, limit): (Option<LabelPlace>, u32),
    ) -> Result<LabelSearchPage, CatalogError> {
        let mut items = Vec::new();
        let after = match begin {
            Some(LabelPlace::Tabular(after)) => Some(after),
            Some(LabelPlace::Namespace(_)) | None => {
                let key = match &begin {
                    Some(LabelPlace::Namespace(key)) => Some(key.as_str()),
                    _ => None,
                };
                let found = self.labelled_namespaces(caller, warehouse, filter, key).await?;
                let most = usize::try_from(limit).unwrap_or(usize::MAX);
                let more = found.len() > most;
                items.extend(found.into_iter().take(most));
                if let Some((LabelledName::Namespace(last), _)) = items.last().filter(|_| more) {
                    let next = Some(LabelPlace::Namespace(last.as_key().to_owned()));
                    return Ok(LabelSearchPage { items, next });
                }
                None
            }
        };
        let left = limit.saturating_sub(u32::try_from(items.len()).unwrap_or(u32::MAX));
        if left == 0 {
            // The nil id is before all others.
            return Ok(LabelSearchPage { items, next: Some(LabelPlace::Tabular(TableId(Uuid::nil()))) });
        }
        let page = self.store.labelled_list(warehouse.warehouse_ref, filter, after, left).await.map_err(unread)?;
        let views = caller.for_action::<LoadView>().ok();
        for one in page.items {
            let found = one.record.labels.as_deref().and_then(|labels| filter.find(labels));
            let (kind, ident, record) = (one.record.kind, one.ident.clone(), one.record);
            let may = match kind {
                TableKind::Table => {
                    caller.clone().permit(Table { warehouse: Arc::clone(warehouse), ident, record }).is_ok()
                }
                TableKind::View => views.clone().is_some_and(|views| {
                    views.permit(View { warehouse: Arc::clone(warehouse), ident, record }).is_ok()
                }),
            };
            items.extend(found.filter(|_| may).map(|found| (LabelledName::Tabular(kind, one.ident), found)));
        }
        Ok(LabelSearchPage { items, next: page.next.map(LabelPlace::Tabular) })
    }

    /// Returns the namespaces with a label after a key, in the order of their keys. Servers have the labels of all in memory, so they are few.
    async fn labelled_namespaces(
        &self,
        caller: &Authorizer<LoadTable>,
        warehouse: &Arc<OpenWarehouse>,
        filter: &LabelFilter,
        after: Option<&str>,
    ) -> Result<Vec<(LabelledName, FoundLabel)>, CatalogError> {
        let Ok(loads) = caller.for_action::<LoadNamespace>() else { return Ok(Vec::new()) };
        let place = warehouse.warehouse_ref;
        let all = self.store.labels_of_namespaces(place.organisation).await.map_err(unread)?;
        let mut found: Vec<_> = all
            .into_iter()
            .filter(|(id, ident, _)| *id == place.warehouse && after.is_none_or(|after| ident.as_key() > after))
            .filter_map(|(_, ident, labels)| Some((ident, filter.find(&labels)?)))
            .filter(|(ident, _)| {
                let namespace = Namespace { warehouse: Arc::clone(warehouse), ident: ident.clone() };
                loads.clone().permit(namespace).is_ok()
            })
            .collect();
        found.sort_unstable_by(|(one, _), (other, _)| one.as_key().cmp(other.as_key()));
        Ok(found.into_iter().map(|(ident, found)| (LabelledName::Namespace(ident), found)).collect())
    }
}
