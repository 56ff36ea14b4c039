//! The entries of a list that a principal sees by grants of their own.

use tidewater_core::access::SecurableKind;
use tidewater_core::ids::PrincipalId;
use tidewater_core::name::NamespaceIdent;

use super::action::Action;
use super::object::{Namespace, NamespaceParent};
use super::permit::Permit;
use crate::store::{Page, PageRequest, TableKind};

/// One more than a page holds, which tells whether another follows.
fn one_more(page: &PageRequest) -> usize {
    page.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(1))
}

/// Returns the page that begins with these entries, which are one more than it holds if another follows.
fn page_of<T>(mut items: Vec<T>, page: &PageRequest) -> Page<T> {
    let more = items.len() >= one_more(page);
    if more {
        items.pop();
    }
    Page { items, more }
}

impl<A: Action> Permit<A, NamespaceParent> {
    /// Returns a page of the namespaces below the object that the principal sees by grants on them, or on something in them.
    #[must_use]
    pub fn granted_namespaces(&self, page: &PageRequest) -> Page<NamespaceIdent> {
        let (warehouse, after) = (self.warehouse.place.warehouse, page.after.as_deref());
        let grants = self.principal().grants();
        page_of(grants.children(warehouse, self.ident.as_ref(), after, one_more(page)), page)
    }
}

impl<A: Action> Permit<A, Namespace> {
    /// Returns a page of the tables or views in the namespace that the principal was granted, together with a page of those that
    /// it owns.
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

    /// Returns the principal that the owner of a table may be.
    #[must_use]
    pub fn owner(&self) -> Option<PrincipalId> {
        self.principal().id()
    }
}
