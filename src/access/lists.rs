//! List entries that are visible because of grants on them.

use tidewater_core::access::{self, Facts, SecurableKind, Visibility};
use tidewater_core::ids::PrincipalId;
use tidewater_core::name::NamespaceIdent;

use super::action::Action;
use super::object::{Namespace, NamespaceParent, Object};
use super::permit::Permit;
use crate::store::{Page, PageRequest, TableKind};

/// The number of children that are compared at a time, for a caller and its engine.
const CHUNK: usize = 1_000;

/// A caller or its engine, as the reader of a list.
#[derive(Debug)]
pub struct Viewer<'a> {
    facts: Facts<'a>,
    visibility: Visibility,
}

impl Viewer<'_> {
    /// Returns whether it sees all entries of the list.
    #[must_use]
    pub fn sees_all(&self) -> bool {
        self.visibility == Visibility::All
    }

    /// Returns the principal's id, to find the tables that it owns.
    #[must_use]
    pub const fn owner(&self) -> Option<PrincipalId> {
        self.facts.principal
    }
}

/// Returns one more than the size of a page. The extra entry shows that another page follows.
pub fn one_more(page: &PageRequest) -> usize {
    page.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(1))
}

/// Returns a page of these entries. An entry beyond its size shows that another page follows.
pub fn page_of<T>(mut items: Vec<T>, page: &PageRequest) -> Page<T> {
    let more = items.len() >= one_more(page);
    items.truncate(one_more(page).saturating_sub(usize::from(more)));
    Page { items, more }
}

/// Returns the names that are in both sorted pages, and the name after which the next pages begin. `None` if no later name can be
/// in both lists.
#[must_use]
pub fn common(one: &Page<String>, other: &Page<String>) -> (Vec<String>, Option<String>) {
    // Up to this name both pages are complete.
    let lists = [one, other];
    let end = lists.iter().filter(|list| list.more).filter_map(|list| list.items.last()).min();
    let is_common = |name: &&String| end.is_none_or(|end| *name <= end) && other.items.binary_search(name).is_ok();
    let found = one.items.iter().filter(is_common).cloned().collect();
    let is_over = lists.iter().any(|list| !list.more && list.items.last() <= end);
    (found, end.filter(|_| !is_over).cloned())
}

impl<A: Action, O: Object> Permit<A, O> {
    /// Returns those whose visibility limits the object's list: the caller and its engine. One that sees all entries does not.
    #[must_use]
    pub fn limited_viewers(&self) -> Vec<Viewer<'_>> {
        let facts = self.principal().facts();
        let target = self.as_decided().target;
        let viewer = |facts: Facts<'_>| access::visibility_alone(&facts, A::ACTION, target);
        let viewers = [Some(facts.without_engine()), facts.of_engine()];
        let viewers = viewers.into_iter().flatten().map(|facts| Viewer { visibility: viewer(facts), facts });
        viewers.filter(|viewer| !viewer.sees_all()).collect()
    }
}

impl<A: Action> Permit<A, NamespaceParent> {
    /// Returns a page of the child namespaces that are visible to all these viewers because of grants on them or on objects in
    /// them.
    #[must_use]
    pub fn granted_namespaces(&self, viewers: &[Viewer<'_>], page: &PageRequest) -> Page<NamespaceIdent> {
        let Some((first, others)) = viewers.split_first() else { return Page { items: Vec::new(), more: false } };
        let warehouse = self.warehouse.warehouse_ref.warehouse;
        let sees =
            |child: &NamespaceIdent| others.iter().all(|other| other.facts.grants.sees_namespace(warehouse, child));
        let chunk = if others.is_empty() { one_more(page) } else { one_more(page).max(CHUNK) };
        let (mut items, mut after) = (Vec::new(), page.after.clone());
        loop {
            let found = first.facts.grants.children(warehouse, self.ident.as_ref(), after.as_deref(), chunk);
            after = found.last().filter(|_| found.len() >= chunk).map(|last| last.as_key().to_owned());
            items.extend(found.into_iter().filter(sees));
            if after.is_none() || items.len() >= one_more(page) {
                return page_of(items, page);
            }
        }
    }
}

impl<A: Action> Permit<A, Namespace> {
    /// Returns a page of the namespace's tables or views that a viewer was granted, merged with `owned`, a page of those that it
    /// owns.
    #[must_use]
    pub fn granted_tables(
        &self,
        viewer: &Viewer<'_>,
        kind: TableKind,
        owned: Page<String>,
        page: &PageRequest,
    ) -> Page<String> {
        let kind = match kind {
            TableKind::Table => SecurableKind::Table,
            TableKind::View => SecurableKind::View,
        };
        let (warehouse, after) = (self.warehouse.warehouse_ref.warehouse, page.after.as_deref());
        let mut names = viewer.facts.grants.named(warehouse, &self.ident, kind, after, one_more(page));
        // Beyond the last name of an owned page that is not the last one, more owned names may be in between.
        let last = owned.items.last().filter(|_| owned.more).cloned();
        names.extend(owned.items);
        names.sort_unstable();
        names.dedup();
        let complete = last.map_or(names.len(), |last| names.partition_point(|name| *name <= last));
        let is_cut = complete < names.len();
        names.truncate(complete);
        let found = page_of(names, page);
        Page { more: found.more || owned.more || is_cut, ..found }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Returns the page of a list after a name.
    fn page(list: &BTreeSet<String>, after: Option<&String>, limit: usize) -> Page<String> {
        let later: Vec<&String> = list.iter().filter(|name| after.is_none_or(|after| *name > after)).collect();
        Page { more: later.len() > limit, items: later.into_iter().take(limit).cloned().collect() }
    }

    fn any_list() -> impl Strategy<Value = BTreeSet<String>> {
        prop::collection::btree_set("[a-f]{1,2}", 0..20)
    }

    proptest! {
        #[test]
        fn common_names_of_all_pages_are_the_intersection(one in any_list(), other in any_list(), limit in 1..5_usize) {
            let (mut found, mut after) = (Vec::new(), None);
            for _ in 0..100 {
                let (names, end) = common(&page(&one, after.as_ref(), limit), &page(&other, after.as_ref(), limit));
                found.extend(names);
                after = end;
                if after.is_none() {
                    break;
                }
            }
            prop_assert!(after.is_none(), "it ends");
            prop_assert_eq!(found, one.intersection(&other).cloned().collect::<Vec<_>>());
        }
    }
}
