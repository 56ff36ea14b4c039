//! Lists: hidden entries between visible ones, in pages of every size.

use std::collections::BTreeSet;

use axum::http::Method;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tidewater_core::access::{Privilege, Role, Securable};

use super::team::{Team, namespace};
use crate::support::{Catalog, create_table, create_view};

const TABLES: &str = "/v1/namespaces/a%1Fb/tables";
const VIEWS: &str = "/v1/namespaces/a%1Fb/views";
const DROPPED: &str = "/management/v1/warehouses/lake/dropped";

/// A list route: the path, the field with the entries, and the names of its parameters of pages.
struct List {
    path: &'static str,
    field: &'static str,
    token: &'static str,
    size: &'static str,
}

const LISTS: [List; 4] = [
    List { path: "/v1/namespaces?parent=a%1Fb", field: "namespaces", token: "pageToken", size: "pageSize" },
    List { path: TABLES, field: "identifiers", token: "pageToken", size: "pageSize" },
    List { path: VIEWS, field: "identifiers", token: "pageToken", size: "pageSize" },
    List { path: DROPPED, field: "dropped", token: "page-token", size: "page-size" },
];

impl List {
    fn page(&self, size: usize, token: &str) -> String {
        let separator = if self.path.contains('?') { '&' } else { '?' };
        format!("{}{separator}{}={size}&{}={token}", self.path, self.size, self.token)
    }

    fn names(&self, page: &Value) -> Vec<String> {
        let name = |one: &Value| match self.field {
            "namespaces" => one.as_array().unwrap().last().unwrap().as_str().unwrap().to_owned(),
            "dropped" => one["identifier"]["name"].as_str().unwrap().to_owned(),
            _ => one["name"].as_str().unwrap().to_owned(),
        };
        page[self.field].as_array().unwrap().iter().map(name).collect()
    }

    /// Follows the pages to the end. Returns the entries and the number of pages. No page may be larger than `size`.
    async fn all(&self, team: &Team<'_>, key: &str, size: usize) -> (Vec<String>, usize) {
        let (mut names, mut token, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = team.catalog.get(key, &self.page(size, &token)).await.ok(200);
            let fields: BTreeSet<_> = page.as_object().unwrap().keys().map(String::as_str).collect();
            assert!(fields.is_subset(&BTreeSet::from(["next-page-token", self.field])), "{}: {fields:?}", self.path);
            let found = self.names(&page);
            assert!(found.len() <= size, "{}: {found:?}", self.path);
            names.extend(found);
            pages += 1;
            match page["next-page-token"].as_str() {
                None => return (names, pages),
                Some(next) => next.clone_into(&mut token),
            }
            assert!(pages < 200, "{} does not end", self.path);
        }
    }
}

/// Names so that hidden ones are first, between visible ones, several in a row, and last.
const VISIBLE: [&str; 5] = ["n02", "n03", "n06", "n10", "n11"];
const ALL: usize = 14;

fn name(number: usize) -> String {
    format!("n{number:02}")
}

/// Creates `n00` to `n13` of every kind, and lets the team see some.
async fn entries(team: &Team<'_>, visible: &[&str]) {
    let (admin, b) = (&team.admin, namespace(&["a", "b"]));
    for number in 0..ALL {
        let name = name(number);
        let body = json!({ "namespace": ["a", "b", name] });
        team.catalog.post(admin, "/v1/namespaces", &body).await.ok(200);
        let own = create_view(&format!("{name}v"), "select 1");
        team.catalog.post(admin, VIEWS, &own).await.ok(200);
        for dropped in [false, true] {
            let table = if dropped { format!("{name}d") } else { name.clone() };
            team.catalog.post(admin, TABLES, &create_table(&table)).await.ok(200);
            let id = team.table(&b, &table).await;
            if visible.contains(&&*name) {
                let privilege = if dropped { Privilege::TableDrop } else { Privilege::TableList };
                team.grant(Securable::Table(id, None), privilege).await;
            }
            if dropped {
                team.catalog.delete(admin, &format!("{TABLES}/{table}")).await.ok(204);
            }
        }
        if visible.contains(&&*name) {
            team.grant_on(&["a", "b", &name], Privilege::NamespaceList).await;
            let view = team.table(&b, &format!("{name}v")).await;
            team.grant(Securable::View(view, None), Privilege::ViewList).await;
        }
    }
}

/// Returns the names of a list's visible entries, in its order.
fn expected(list: &List, visible: &[&str]) -> Vec<String> {
    match list.path {
        VIEWS => visible.iter().map(|name| format!("{name}v")).collect(),
        // The newest drop comes first.
        DROPPED => visible.iter().rev().map(|name| format!("{name}d")).collect(),
        _ => visible.iter().map(|&name| name.to_owned()).collect(),
    }
}

#[tokio::test]
async fn every_list_has_exactly_the_visible_entries_in_pages_of_every_size() {
    let catalog = Catalog::new().await;
    let team = Team::new(&catalog).await;
    entries(&team, &VISIBLE).await;
    for list in &LISTS {
        let visible = expected(list, &VISIBLE);
        for size in 1..=ALL + 4 {
            let (found, pages) = list.all(&team, &team.key, size).await;
            assert_eq!(found, visible, "{} in pages of {size}", list.path);
            // The pages are full, so their number does not depend on hidden entries.
            assert_eq!(pages, visible.len().div_ceil(size), "{} in pages of {size}", list.path);
        }
        let whole = team.get(list.path).await.ok(200);
        assert_eq!(list.names(&whole), visible, "{}", list.path);
    }
}

#[tokio::test]
async fn page_tokens_contain_no_hidden_entry() {
    let catalog = Catalog::new().await;
    let team = Team::new(&catalog).await;
    entries(&team, &VISIBLE).await;
    let all = team.catalog.get(&team.admin, DROPPED).await.ok(200);
    let hidden: Vec<&Value> = all["dropped"].as_array().unwrap().iter().collect();
    let is_visible = |one: &Value| VISIBLE.contains(&&one["identifier"]["name"].as_str().unwrap()[..3]);
    let hidden: Vec<&str> =
        hidden.into_iter().filter(|one| !is_visible(one)).map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(hidden.len(), ALL - VISIBLE.len());
    for list in &LISTS {
        for size in 1..ALL {
            let page = team.get(&list.page(size, "")).await.ok(200);
            let Some(token) = page["next-page-token"].as_str() else { continue };
            let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).unwrap()).unwrap();
            let names_hidden = |number| !VISIBLE.contains(&&*name(number)) && text.contains(&name(number));
            assert!(!(0..ALL).any(names_hidden), "{} in pages of {size}: {text}", list.path);
            assert!(!hidden.iter().any(|id| text.contains(id)), "{} in pages of {size}: {text}", list.path);
        }
    }
}

#[tokio::test]
async fn list_without_visible_entries_ends_at_once() {
    let catalog = Catalog::new().await;
    let team = Team::new(&catalog).await;
    entries(&team, &[]).await;
    // Makes the namespace visible, and lets the team ask for dropped tables.
    team.grant_on(&["a", "b", "empty"], Privilege::TableDrop).await;
    for list in &LISTS {
        let (found, pages) = list.all(&team, &team.key, 2).await;
        let only = if list.field == "namespaces" { vec!["empty".to_owned()] } else { Vec::new() };
        assert_eq!((found, pages), (only, 1), "{}", list.path);
    }
}

#[tokio::test]
async fn token_of_another_principal_shows_only_the_own_entries() {
    let catalog = Catalog::new().await;
    let team = Team::new(&catalog).await;
    entries(&team, &VISIBLE).await;
    let nobody = catalog.key(team.organisation, Role::None, None).await;
    for list in &LISTS {
        let visible = expected(list, &VISIBLE);
        let (mut token, mut passed) = (String::new(), BTreeSet::new());
        loop {
            let page = team.catalog.get(&team.admin, &list.page(3, &token)).await.ok(200);
            passed.extend(list.names(&page));
            let Some(next) = page["next-page-token"].as_str() else { break };
            next.clone_into(&mut token);
            let found = list.names(&team.get(&list.page(ALL, &token)).await.ok(200));
            let left: Vec<_> = visible.iter().filter(|name| !passed.contains(*name)).cloned().collect();
            assert_eq!(found, left, "{} after {passed:?}", list.path);
            assert_eq!(catalog.get(&nobody, &list.page(ALL, &token)).await.status, 404, "{}", list.path);
        }
    }
}

#[tokio::test]
async fn entry_that_becomes_visible_or_hidden_between_pages_moves_no_other() {
    let catalog = Catalog::new().await;
    let team = Team::new(&catalog).await;
    entries(&team, &VISIBLE).await;
    let list = &LISTS[1];
    let first = team.get(&list.page(2, "")).await.ok(200);
    assert_eq!(list.names(&first), ["n02", "n03"]);
    let token = first["next-page-token"].as_str().unwrap();
    let b = namespace(&["a", "b"]);
    for shown in ["n00", "n04"] {
        team.grant(Securable::Table(team.table(&b, shown).await, None), Privilege::TableList).await;
    }
    let rest = list.names(&team.get(&list.page(9, token)).await.ok(200));
    assert_eq!(rest, ["n04", "n06", "n10", "n11"]);
    team.revoke_all().await;
    team.get(&list.page(9, token)).await.error(404, "NoSuchWarehouseException");
}

#[tokio::test]
async fn owned_and_granted_entries_are_merged_in_pages_of_every_size() {
    let catalog = Catalog::new().await;
    let team = Team::new(&catalog).await;
    entries(&team, &VISIBLE).await;
    team.grant_on(&["a", "b"], Privilege::TableCreate).await;
    for own in ["n02x", "n05x", "n13x"] {
        team.ask(Method::POST, TABLES, &create_table(own)).await.ok(200);
    }
    team.revoke_all().await;
    for number in [2, 3, 6] {
        let id = team.table(&namespace(&["a", "b"]), &name(number)).await;
        team.grant(Securable::Table(id, None), Privilege::TableList).await;
    }
    for size in 1..9 {
        let (found, pages) = LISTS[1].all(&team, &team.key, size).await;
        assert_eq!(found, ["n02", "n02x", "n03", "n05x", "n06", "n13x"], "in pages of {size}");
        assert_eq!(pages, 6_usize.div_ceil(size), "in pages of {size}");
    }
}
