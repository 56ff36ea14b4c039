//! List entries that are visible because of grants on them.

use tidewater_core::access::SecurableKind;
use tidewater_core::ids::PrincipalId;
use tidewater_core::name::NamespaceIdent;

use super::action::Action;
use super::object::{Namespace, NamespaceParent};
use super::permit::Permit;
use crate::store::{Page, PageRequest, TableKind};

/// Returns one more than the size of a page. The extra entry shows that another page follows.
fn one_more(page: &PageRequest) -> usize {
    page.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(1))
}

/// Returns a page of these entries. An entry beyond its size shows that another page follows.
fn page_of<T>(mut items: Vec<T>, page: &PageRequest) -> Page<T> {
    let more = items.len() >= one_more(page);
    if more {
        items.pop();
    }
    Page { items, more }
}

impl<A: Action> Permit<A, NamespaceParent> {
    /// Returns a page of the child namespaces that are visible because of grants on them or on objects in them.
    #[must_use]
    pub fn granted_namespaces(&self, page: &PageRequest) -> Page<NamespaceIdent> {
        let (warehouse, after) = (self.warehouse.place.warehouse, page.after.as_deref());
        let grants = self.principal().grants();
        page_of(grants.children(warehouse, self.ident.as_ref(), after, one_more(page)), page)
    }
}

impl<A: Action> Permit<A, Namespace> {
    /// Returns a page of the namespace's tables or views that the principal was granted, merged with `owned`, a page of those
    /// that it owns.
    #[must_use]
    pub fn granted_tables(&self, kind: TableKind, owned: Page<String>, page: &PageRequest) -> Page<String> {
        let kind = match kind {
            TableKind::Table => SecurableKind::Table,
            TableKind::View => SecurableKind::View,
        };
        let (warehouse, after) = (self.warehouse.place.warehouse, page.after.as_deref());
        let mut names = self.principal().grants().named(warehouse, &self.ident, kind, after, one_more(page));
        names.extend(owned.items);
        names.sort_unstable();
        names.dedup();
        names.truncate(one_more(page));
        let found = page_of(names, page);
        Page { more: found.more || owned.more, ..found }
    }

    /// Returns the principal's id, to find the tables that it owns.
    #[must_use]
    pub fn owner(&self) -> Option<PrincipalId> {
        self.principal().id()
    }
}
