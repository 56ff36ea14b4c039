//! Lists with the entries that are visible to the caller.

use std::sync::Arc;

use super::error::namespace_error;
use super::{Catalog, CatalogError};
use crate::access::action::Action;
use crate::access::lists::{Viewer, common, one_more, page_of};
use crate::access::{Authorizer, DroppedObject, Namespace, Permit, Principal, Visibility, Warehouse, action};
use crate::store::{Dropped, DroppedFilter, Moment, Page, PageRequest, SharedPage, TableKind, TimedPage};

/// The maximum number of pages of dropped tables that are read for one answer.
const MOST_PAGES: usize = 10;

/// The least number of names that are read at a time for a caller and its engine.
const PART: u32 = 1_000;

/// The least number of dropped tables that are read at a time where some are hidden.
const LEAST_READ: u32 = 100;

/// A page of a warehouse's dropped tables and views.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppedPage {
    /// The visible entries. They may be few or none although more entries follow.
    pub items: Vec<Dropped>,
    /// The next page has entries before this moment. `None` on the last page.
    pub before: Option<Moment>,
}

impl Catalog {
    /// Returns the names of the warehouses of a principal's organisation that it may see, sorted.
    ///
    /// # Errors
    /// `Store`.
    pub async fn visible_warehouses(&self, principal: &Principal) -> Result<Vec<String>, CatalogError> {
        let found = self.warehouses.names(self.store.as_ref(), &self.clock, principal.organisation()).await;
        let found = found.map_err(CatalogError::Store)?.into_iter();
        let mut names: Vec<String> =
            found.filter(|(id, _)| principal.sees_warehouse(*id)).map(|(_, name)| name).collect();
        names.sort();
        Ok(names)
    }

    /// Lists the tables or views of a namespace that are visible to the caller, by name.
    pub(super) async fn visible_list<A: Action>(
        &self,
        namespace: &Permit<A, Namespace>,
        kind: TableKind,
        page: &PageRequest,
    ) -> Result<Arc<SharedPage<String>>, CatalogError> {
        let (warehouse_ref, ident) = (namespace.warehouse.warehouse_ref, &namespace.ident);
        if namespace.visibility()? == Visibility::All {
            return self.store.table_list(warehouse_ref, ident, kind, page).await.map_err(namespace_error(ident));
        }
        let viewers = namespace.limited_viewers();
        let visible = match &viewers[..] {
            [caller, engine] => self.visible_to_both(namespace, [caller, engine], kind, page).await?,
            [viewer, ..] => self.visible_to(namespace, viewer, kind, page).await?,
            [] => Page { items: Vec::new(), more: false },
        };
        Ok(SharedPage::for_one(visible))
    }

    /// Lists the tables or views of a namespace that a viewer was granted or owns.
    async fn visible_to<A: Action>(
        &self,
        namespace: &Permit<A, Namespace>,
        viewer: &Viewer<'_>,
        kind: TableKind,
        page: &PageRequest,
    ) -> Result<Page<String>, CatalogError> {
        let (warehouse_ref, ident) = (namespace.warehouse.warehouse_ref, &namespace.ident);
        let owned = match viewer.owner() {
            Some(owner) => self
                .store
                .table_list_owned(warehouse_ref, ident, kind, owner, page)
                .await
                .map_err(namespace_error(ident))?,
            None => Page { items: Vec::new(), more: false },
        };
        Ok(namespace.granted_tables(viewer, kind, owned, page))
    }

    /// Lists the tables or views of a namespace that both viewers were granted or own.
    async fn visible_to_both<A: Action>(
        &self,
        namespace: &Permit<A, Namespace>,
        [caller, engine]: [&Viewer<'_>; 2],
        kind: TableKind,
        page: &PageRequest,
    ) -> Result<Page<String>, CatalogError> {
        let mut part = PageRequest { after: page.after.clone(), limit: page.limit.map(|limit| limit.max(PART)) };
        let mut both = Vec::new();
        loop {
            let of_caller = self.visible_to(namespace, caller, kind, &part).await?;
            let of_engine = self.visible_to(namespace, engine, kind, &part).await?;
            let (found, end) = common(&of_caller, &of_engine);
            both.extend(found);
            if end.is_none() || both.len() >= one_more(page) {
                return Ok(page_of(both, page));
            }
            part.after = end;
        }
    }

    /// Lists a warehouse's dropped tables and views that the caller may restore, the newest drop first. Fills the page, unless
    /// `MOST_PAGES` have been read before.
    ///
    /// # Errors
    /// `Store`.
    pub async fn dropped_list(
        &self,
        warehouse: &Permit<action::ListDropped, Warehouse>,
        filter: &DroppedFilter,
        page: &TimedPage,
    ) -> Result<DroppedPage, CatalogError> {
        let (warehouse_ref, sees_all) = (warehouse.0.warehouse_ref, warehouse.visibility()? == Visibility::All);
        if sees_all {
            let found = self.store.dropped_list(warehouse_ref, filter, page).await.map_err(CatalogError::Store)?;
            let before = found.items.last().filter(|_| found.more).map(moment);
            return Ok(DroppedPage { items: found.items, before });
        }
        let show = Authorizer::<action::ShowDropped>::new(warehouse.principal().clone());
        let sees = |dropped: &Dropped| {
            let object = DroppedObject { warehouse: Arc::clone(&warehouse.0), dropped: dropped.clone() };
            show.as_ref().is_ok_and(|show| show.clone().permit(object).is_ok())
        };
        let wanted = page.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let mut from = TimedPage { limit: page.limit.map(|limit| limit.max(LEAST_READ)), ..*page };
        let mut items = Vec::new();
        for _ in 0..MOST_PAGES {
            let found = self.store.dropped_list(warehouse_ref, filter, &from).await.map_err(CatalogError::Store)?;
            from.before = found.items.last().filter(|_| found.more).map(moment);
            items.extend(found.items.into_iter().filter(sees));
            if items.len() > wanted {
                items.truncate(wanted);
                // The token is the last visible entry: a hidden one would tell its id and time.
                let before = items.last().map(moment);
                return Ok(DroppedPage { items, before });
            }
            if from.before.is_none() {
                break;
            }
        }
        Ok(DroppedPage { items, before: from.before })
    }
}

fn moment(dropped: &Dropped) -> Moment {
    Moment { at_ms: dropped.dropped_ms, id: dropped.id.0 }
}
