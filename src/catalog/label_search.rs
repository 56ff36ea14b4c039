//! Searches the namespaces, tables and views of a warehouse by a label, which they have or inherit.
//!
//! The search walks the parts of the namespace tree that have the label: below each namespace with it, without the namespaces that have
//! another value and all below those. Then it reads the tables and views with labels of their own that are elsewhere.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tidewater_core::ids::TableId;
use tidewater_core::labels::{FoundLabel, LabelFilter};
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tokio::task;
use uuid::Uuid;

use super::error::unread;
use super::{Catalog, CatalogError};
use crate::access::action::{LoadNamespace, LoadTable, LoadView};
use crate::access::{Authorizer, Namespace, Table, View};
use crate::store::{LabelledTabular, PageRequest, Store, StoreError, TableKind};
use crate::warehouse::{OpenWarehouse, PassPurpose, open_pass, seal_pass};

/// About the most reads of the store for one page.
const MOST_READS: u32 = 100;

/// The most namespaces, tables and views that are read for one page of the walk, about.
const MOST_ROWS: usize = 5_000;

/// The bytes of found labels at which a page is full.
const FULL_PAGE_BYTES: usize = 1 << 20;

/// About how much memory the comparison of a namespace with the filter takes, in bytes. It decides whether a worker does it.
const NAMESPACE_BYTES: u64 = 64;

/// How many namespaces with a label of their own are skipped with one read.
const SKIPPED_AT_ONCE: u32 = 250;

/// Where a page of a search begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelPlace {
    /// In the walk: after a namespace, and after its table or view with this name. The name is empty before the first.
    Namespace(NamespaceIdent, String),
    /// Among the tables and views with labels: after this id.
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

/// A label that is searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelSearch {
    /// The label.
    pub filter: LabelFilter,
    /// Whether objects that inherit the label are found too.
    pub inherited: bool,
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
    /// Finds the objects of a warehouse with a label. The caller sees what it may load: loads have the same labels.
    ///
    /// # Errors
    /// `Store`; `Heavy` if there are many namespaces with labels, and no worker.
    pub async fn label_search(
        &self,
        caller: &Authorizer<LoadTable>,
        warehouse: &Arc<OpenWarehouse>,
        search: &LabelSearch,
        (begin, limit): (Option<LabelPlace>, u32),
    ) -> Result<LabelSearchPage, CatalogError> {
        let (labels, filter) = (Arc::clone(&warehouse.labels), search.filter.clone());
        let (owner, bytes) = (warehouse.warehouse_ref.organisation.0, labels.len() as u64 * NAMESPACE_BYTES);
        let roots = self.heavy.run(owner, bytes, move || labels.labelled(&filter)).await?;
        let mut page = Page::new(self.store.as_ref(), caller, (warehouse, search), (roots, limit));
        let after = match begin {
            Some(LabelPlace::Tabular(after)) => Some(after),
            None => match page.walk_from_start().await.map_err(unread)? {
                None => None,
                next => return Ok(page.end(next)),
            },
            Some(LabelPlace::Namespace(namespace, name)) => match page.walk(namespace, name).await.map_err(unread)? {
                None => None,
                next => return Ok(page.end(next)),
            },
        };
        let next = page.add_labelled(after).await.map_err(unread)?;
        Ok(page.end(next))
    }

    /// Seals the text of a place in a search of a warehouse, since it may have names that the caller does not see.
    ///
    /// # Errors
    /// `WarehouseUnusable` without a master key.
    pub async fn seal_label_place(&self, warehouse: &OpenWarehouse, place: &str) -> Result<String, CatalogError> {
        let keys = self.warehouses.access().pass_keys(self.store.as_ref()).await;
        let keys = keys.map_err(|error| unsealed(warehouse, &error))?;
        let sealed = seal_pass(keys, PassPurpose::LabelSearch, warehouse.warehouse_ref, place.as_bytes());
        Ok(URL_SAFE_NO_PAD.encode(sealed.map_err(|error| unsealed(warehouse, &error))?))
    }

    /// Opens a place of [`Catalog::seal_label_place`]. `None` if it was not sealed for this warehouse.
    ///
    /// # Errors
    /// `WarehouseUnusable` without a master key.
    pub async fn open_label_place(
        &self,
        warehouse: &OpenWarehouse,
        sealed: &str,
    ) -> Result<Option<String>, CatalogError> {
        let keys = self.warehouses.access().pass_keys(self.store.as_ref()).await;
        let keys = keys.map_err(|error| unsealed(warehouse, &error))?;
        let Ok(sealed) = URL_SAFE_NO_PAD.decode(sealed) else { return Ok(None) };
        let opened = open_pass(keys, PassPurpose::LabelSearch, warehouse.warehouse_ref, &sealed).ok();
        Ok(opened.and_then(|text| String::from_utf8(text.expose().clone()).ok()))
    }
}

fn unsealed(warehouse: &OpenWarehouse, error: &dyn std::fmt::Display) -> CatalogError {
    tracing::error!(%error, "the place of a search cannot be sealed");
    CatalogError::WarehouseUnusable(warehouse.name.clone())
}

/// A page of a search that is being filled.
struct Page<'a> {
    store: &'a dyn Store,
    warehouse: &'a Arc<OpenWarehouse>,
    search: &'a LabelSearch,
    tables: &'a Authorizer<LoadTable>,
    /// `None` if the caller may load no view, and likewise for namespaces.
    views: Option<Authorizer<LoadView>>,
    namespaces: Option<Authorizer<LoadNamespace>>,
    /// The namespaces with the label, in the order of their keys.
    roots: Vec<NamespaceIdent>,
    limit: usize,
    items: Vec<(LabelledName, FoundLabel)>,
    bytes: usize,
    rows: usize,
    reads: u32,
}

impl<'a> Page<'a> {
    fn new(
        store: &'a dyn Store,
        caller: &'a Authorizer<LoadTable>,
        (warehouse, search): (&'a Arc<OpenWarehouse>, &'a LabelSearch),
        (roots, limit): (Vec<NamespaceIdent>, u32),
    ) -> Self {
        Self {
            store,
            warehouse,
            search,
            tables: caller,
            views: caller.for_action::<LoadView>().ok(),
            namespaces: caller.for_action::<LoadNamespace>().ok(),
            roots,
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            items: Vec::new(),
            bytes: 0,
            rows: 0,
            reads: 0,
        }
    }

    fn end(self, next: Option<LabelPlace>) -> LabelSearchPage {
        LabelSearchPage { items: self.items, next }
    }

    fn is_full(&self) -> bool {
        self.items.len() >= self.limit
            || self.bytes >= FULL_PAGE_BYTES
            || self.rows >= MOST_ROWS
            || self.reads >= MOST_READS
    }

    fn left(&self) -> u32 {
        u32::try_from(self.limit.saturating_sub(self.items.len())).unwrap_or(u32::MAX)
    }

    async fn walk_from_start(&mut self) -> Result<Option<LabelPlace>, StoreError> {
        let Some(first) = self.roots.first().cloned() else { return Ok(None) };
        self.add_namespace(&first);
        self.walk(first, String::new()).await
    }

    /// Walks on after a table or view of a namespace. Returns where the next page begins. `None` if the walk is at its end.
    async fn walk(
        &mut self,
        mut namespace: NamespaceIdent,
        mut name: String,
    ) -> Result<Option<LabelPlace>, StoreError> {
        loop {
            let mut has_more = self.search.inherited;
            while has_more && !self.is_full() {
                has_more = self.add_tabulars(&namespace, &mut name).await?;
            }
            if self.is_full() {
                return Ok(Some(LabelPlace::Namespace(namespace, name)));
            }
            let Some(next) = self.next(&namespace).await? else { return Ok(None) };
            // Without inherited labels, nothing else waits between thousands of namespaces.
            task::consume_budget().await;
            self.add_namespace(&next);
            (namespace, name) = (next, String::new());
        }
    }

    /// Returns the namespace after another one in the walk, which need not exist any more.
    async fn next(&mut self, after: &NamespaceIdent) -> Result<Option<NamespaceIdent>, StoreError> {
        let root = self.root_of(after);
        if let Some(root) = root.as_ref().filter(|_| self.search.inherited) {
            if let Some(below) = self.first_below(after, "").await? {
                return Ok(Some(below));
            }
            let mut left = after.clone();
            while let Some(parent) = left.parent().filter(|_| left != *root) {
                if let Some(beside) = self.first_below(&parent, left.as_key()).await? {
                    return Ok(Some(beside));
                }
                left = parent;
            }
        }
        let done = root.as_ref().unwrap_or(after).as_key();
        let next = self.roots.partition_point(|root| root.as_key() <= done);
        Ok(self.roots.get(next).cloned())
    }

    /// Returns the namespace from which another one has the searched label.
    fn root_of(&self, namespace: &NamespaceIdent) -> Option<NamespaceIdent> {
        self.inherited(namespace).map(|(root, _)| root)
    }

    /// Returns the searched label as objects in a namespace inherit it.
    fn inherited(&self, namespace: &NamespaceIdent) -> Option<(NamespaceIdent, &'a str)> {
        let LabelFilter { name, .. } = &self.search.filter;
        self.warehouse.labels.nearest(namespace, name).filter(|(_, value)| self.search.filter.admits(value))
    }

    /// Returns the first namespace directly below `parent` after a key that has no label of its own with the searched name.
    async fn first_below(
        &mut self,
        parent: &NamespaceIdent,
        after: &str,
    ) -> Result<Option<NamespaceIdent>, StoreError> {
        let mut page = PageRequest { after: Some(after.to_owned()), limit: Some(1) };
        loop {
            self.reads += 1;
            let found = match self.store.namespace_list(self.warehouse.warehouse_ref, Some(parent), &page).await {
                // It was dropped meanwhile.
                Err(StoreError::NotFound(_)) => return Ok(None),
                found => found?,
            };
            let has_own = |namespace: &NamespaceIdent| self.warehouse.labels.has(namespace, &self.search.filter.name);
            if let Some(first) = found.items.iter().find(|namespace| !has_own(namespace)) {
                return Ok(Some(first.clone()));
            }
            let Some(last) = found.items.last().filter(|_| found.more) else { return Ok(None) };
            page = PageRequest { after: Some(last.as_key().to_owned()), limit: Some(SKIPPED_AT_ONCE) };
        }
    }

    /// Adds a namespace of the walk.
    fn add_namespace(&mut self, ident: &NamespaceIdent) {
        self.rows += 1;
        let object = Namespace { warehouse: Arc::clone(self.warehouse), ident: ident.clone() };
        if self.namespaces.clone().is_none_or(|namespaces| namespaces.permit(object).is_err()) {
            return;
        }
        let found = self.inherited(ident).map(|(root, value)| {
            let from = if root == *ident { None } else { Some(root) };
            FoundLabel::new(value, from)
        });
        self.add(LabelledName::Namespace(ident.clone()), found);
    }

    /// Adds the next tables and views of a namespace of the walk. Returns whether more follow after `name`, which is then the last one's.
    async fn add_tabulars(&mut self, namespace: &NamespaceIdent, name: &mut String) -> Result<bool, StoreError> {
        let Some((root, value)) = self.inherited(namespace) else { return Ok(false) };
        self.reads += 1;
        let place = self.warehouse.warehouse_ref;
        let read = self.store.tabular_list(place, namespace, name, self.left()).await?;
        if let Some(last) = read.items.last() {
            last.ident.name().clone_into(name);
        }
        for one in read.items {
            self.add_tabular(one, Some((&root, value)));
        }
        Ok(read.more)
    }

    /// Adds tables and views with labels of their own that are not in the walk. Returns where the next page begins.
    async fn add_labelled(&mut self, after: Option<TableId>) -> Result<Option<LabelPlace>, StoreError> {
        if self.is_full() {
            // The nil id is before all others.
            return Ok(Some(LabelPlace::Tabular(after.unwrap_or(TableId(Uuid::nil())))));
        }
        let (place, filter) = (self.warehouse.warehouse_ref, &self.search.filter);
        let page = self.store.labelled_list(place, filter, after, self.left()).await?;
        for one in page.items {
            if !self.search.inherited || self.inherited(&one.ident.namespace).is_none() {
                self.add_tabular(one, None);
            }
        }
        Ok(page.next.map(LabelPlace::Tabular))
    }

    fn add_tabular(
        &mut self,
        LabelledTabular { ident, record }: LabelledTabular,
        inherited: Option<(&NamespaceIdent, &str)>,
    ) {
        self.rows += 1;
        let Some(found) = self.search.filter.find(record.labels.as_deref(), inherited) else { return };
        let (kind, name) = (record.kind, ident.clone());
        let warehouse = Arc::clone(self.warehouse);
        let may_load = match kind {
            TableKind::Table => self.tables.clone().permit(Table { warehouse, ident, record }).is_ok(),
            TableKind::View => {
                self.views.clone().is_some_and(|views| views.permit(View { warehouse, ident, record }).is_ok())
            }
        };
        self.add(LabelledName::Tabular(kind, name), Some(found).filter(|_| may_load));
    }

    fn add(&mut self, name: LabelledName, found: Option<FoundLabel>) {
        let Some(found) = found else { return };
        self.bytes += found.size_bytes();
        self.items.push((name, found));
    }
}
