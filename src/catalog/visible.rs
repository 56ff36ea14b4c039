//! Lists of what a caller sees.

use std::sync::Arc;

use super::error::of_namespace;
use super::{Catalog, CatalogError};
use crate::access::action::Action;
use crate::access::{Authorizer, DroppedObject, Namespace, Permit, Visibility, Warehouse, action};
use crate::store::{Dropped, DroppedFilter, Moment, Page, PageRequest, TableKind, TimedPage};

/// How many pages of dropped tables are looked through for one that is answered.
const MOST_PAGES: usize = 10;

/// Some of the dropped tables and views of a warehouse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppedPage {
    /// Those that the caller sees. There may be none although more follow.
    pub items: Vec<Dropped>,
    /// Where the next page begins: before this. None when there is no more.
    pub before: Option<Moment>,
}

impl Catalog {
    /// Lists the tables or views of a namespace that the caller sees, by name.
    pub(super) async fn visible_list<A: Action>(
        &self,
        namespace: &Permit<A, Namespace>,
        kind: TableKind,
        page: &PageRequest,
    ) -> Result<Arc<Page<String>>, CatalogError> {
        let (place, ident) = (namespace.warehouse.place, &namespace.ident);
        if namespace.visibility()? == Visibility::All {
            return self.store.table_list(place, ident, kind, page).await.map_err(of_namespace(ident));
        }
        let owned = match namespace.owner() {
            Some(owner) => {
                self.store.table_list_owned(place, ident, kind, owner, page).await.map_err(of_namespace(ident))?
            }
            None => Page { items: Vec::new(), more: false },
        };
        Ok(Arc::new(namespace.granted_tables(kind, owned, page)))
    }

    /// Lists what was dropped in a warehouse and is not gone for good, the newest drop first: what the caller may restore.
    ///
    /// # Errors
    /// `Store`.
    pub async fn dropped_list(
        &self,
        warehouse: &Permit<action::ListDropped, Warehouse>,
        filter: &DroppedFilter,
        page: &TimedPage,
    ) -> Result<DroppedPage, CatalogError> {
        let (place, mut from) = (warehouse.0.place, *page);
        let sees_all = warehouse.visibility()? == Visibility::All;
        let show = Authorizer::<action::ShowDropped>::new(warehouse.principal().clone());
        let sees = |dropped: &Dropped| {
            let object = DroppedObject { warehouse: Arc::clone(&warehouse.0), dropped: dropped.clone() };
            sees_all || show.as_ref().is_ok_and(|show| show.clone().permit(object).is_ok())
        };
        for _ in 0..MOST_PAGES {
            let found = self.store.dropped_list(place, filter, &from).await.map_err(CatalogError::Store)?;
            let last = found.items.last().filter(|_| found.more);
            let before = last.map(|last| Moment { at_ms: last.dropped_ms, id: last.id.0 });
            let items: Vec<Dropped> = found.items.into_iter().filter(sees).collect();
            if !items.is_empty() || before.is_none() {
                return Ok(DroppedPage { items, before });
            }
            from.before = before;
        }
        Ok(DroppedPage { items: Vec::new(), before: from.before })
    }
}
