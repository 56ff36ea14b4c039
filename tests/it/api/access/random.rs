//! Random grants over a tree of namespaces, through HTTP, against a plain model that walks over all grants and parents.

use std::collections::BTreeSet;

use axum::http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use tidewater_core::access::{Privilege, Securable, SecurableKind};

use super::team::{Team, namespace};
use crate::support::{Catalog, create_table, create_view};

type Levels = &'static [&'static str];

/// Namespaces with a common beginning, with a separator in a name, in another case and in another normal form.
const TREE: [Levels; 10] = [
    &["a"],
    &["a", "b"],
    &["a", "bc"],
    &["a", "b", "empty"],
    &["a", "b", "c"],
    &["a.b"],
    &["A"],
    &["A", "b"],
    &["\u{e9}"],
    &["e\u{301}"],
];
/// How many of them every team has.
const MADE: usize = 4;
/// The tables and views in each namespace.
const TABLES: [&str; 2] = ["t", "T"];
const VIEWS: [&str; 2] = ["v", "V"];

const SAMPLES: usize = 60;

/// The object of a grant or a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum On {
    Warehouse,
    Namespace(Levels),
    Table(Levels, &'static str),
    View(Levels, &'static str),
}

type Granted = (Privilege, On);

fn any_object() -> impl Strategy<Value = On> {
    let place = prop::sample::select(TREE.to_vec());
    (0..7_usize, place, 0..2_usize).prop_map(|(kind, levels, which)| match kind {
        0 => On::Warehouse,
        1 | 2 => On::Namespace(levels),
        3..=5 => On::Table(levels, TABLES[which]),
        _ => On::View(levels, VIEWS[which]),
    })
}

fn any_granted() -> impl Strategy<Value = Granted> {
    (any_object(), any::<prop::sample::Index>()).prop_map(|(on, index)| {
        let kind = match on {
            On::Warehouse => SecurableKind::Warehouse,
            On::Namespace(_) => SecurableKind::Namespace,
            On::Table(..) => SecurableKind::Table,
            On::View(..) => SecurableKind::View,
        };
        let can_be: Vec<_> = Privilege::ALL.iter().filter(|one| one.securables().contains(&kind)).collect();
        (**index.get(&can_be), on)
    })
}

/// The model.
struct Model(Vec<Granted>);

impl Model {
    /// Returns whether a grant of one of these privileges is on the object or around it.
    fn has(&self, on: On, any: &[Privilege]) -> bool {
        let (levels, own) = match on {
            On::Warehouse => (&[][..], on),
            On::Namespace(levels) | On::Table(levels, _) | On::View(levels, _) => (levels, on),
        };
        self.0.iter().any(|(privilege, granted)| {
            let counts = match granted {
                On::Warehouse => true,
                On::Namespace(outer) => levels.starts_with(outer),
                leaf => *leaf == own,
            };
            counts && any.iter().any(|one| privilege.implied().contains(*one))
        })
    }

    fn sees(&self, on: On) -> bool {
        match on {
            On::Warehouse => !self.0.is_empty(),
            On::Table(..) => self.has(on, &[Privilege::TableList, Privilege::CatalogManageAccess]),
            On::View(..) => self.has(on, &[Privilege::ViewList, Privilege::CatalogManageAccess]),
            On::Namespace(levels) => {
                let of_the_warehouse = [Privilege::CatalogReadProperties, Privilege::CatalogWriteProperties];
                let any: Vec<_> =
                    Privilege::ALL.iter().copied().filter(|one| !of_the_warehouse.contains(one)).collect();
                let is_inside = |(_, granted): &Granted| match granted {
                    On::Warehouse => false,
                    On::Namespace(inner) => inner.starts_with(levels),
                    On::Table(inner, _) | On::View(inner, _) => inner.starts_with(levels) && self.sees(*granted),
                };
                self.has(on, &any) || self.0.iter().any(is_inside)
            }
        }
    }

    /// Returns the status of a request that needs a privilege on an object, or only its visibility.
    fn status(&self, on: On, privilege: Option<Privilege>, allowed: u16) -> u16 {
        let may = privilege.map_or_else(|| self.sees(on), |privilege| self.has(on, &[privilege]));
        match (may && !self.0.is_empty(), self.sees(on)) {
            (true, _) => allowed,
            (false, true) => 403,
            (false, false) => 404,
        }
    }
}

fn encoded(levels: Levels) -> String {
    utf8_percent_encode(&levels.join("\u{1F}"), NON_ALPHANUMERIC).to_string()
}

fn path(on: On) -> String {
    match on {
        On::Warehouse => "/v1/namespaces".to_owned(),
        On::Namespace(levels) => format!("/v1/namespaces/{}", encoded(levels)),
        On::Table(levels, name) => format!("/v1/namespaces/{}/tables/{name}", encoded(levels)),
        On::View(levels, name) => format!("/v1/namespaces/{}/views/{name}", encoded(levels)),
    }
}

struct World<'a> {
    team: Team<'a>,
    model: Model,
    asked: usize,
}

impl World<'_> {
    async fn create_objects(&self) {
        let (catalog, admin) = (self.team.catalog, &self.team.admin);
        for levels in &TREE[MADE..] {
            catalog.post(admin, "/v1/namespaces", &json!({ "namespace": levels })).await.ok(200);
        }
        for levels in TREE {
            for name in TABLES {
                let path = format!("{}/tables", path(On::Namespace(levels)));
                catalog.post(admin, &path, &create_table(name)).await;
            }
            for name in VIEWS {
                let path = format!("{}/views", path(On::Namespace(levels)));
                catalog.post(admin, &path, &create_view(name, "select 1")).await;
            }
        }
    }

    async fn grant(&self, (privilege, on): Granted) {
        let on = match on {
            On::Warehouse => Securable::Warehouse,
            On::Namespace(levels) => Securable::Namespace(namespace(levels)),
            On::Table(levels, name) => Securable::Table(self.team.table(&namespace(levels), name).await, None),
            On::View(levels, name) => Securable::View(self.team.table(&namespace(levels), name).await, None),
        };
        self.team.grant(on, privilege).await;
    }

    async fn expect(&mut self, method: Method, path: &str, body: &Value, expected: u16) {
        let answer = self.team.ask(method.clone(), path, body).await;
        self.asked += 1;
        assert_eq!(answer.status.as_u16(), expected, "{method} {path} with {:?}: {answer:?}", self.model.0);
    }

    /// Compares a list with the model.
    async fn expect_list(&mut self, path: &str, field: &str, container: On, entries: Vec<(String, On)>) {
        let answer = self.team.get(path).await;
        self.asked += 1;
        let expected = self.model.status(container, None, 200);
        assert_eq!(answer.status.as_u16(), expected, "GET {path} with {:?}: {answer:?}", self.model.0);
        if expected != 200 {
            return;
        }
        let name = |one: &Value| one.get("name").unwrap_or(one).to_string();
        let found: BTreeSet<String> = answer.json()[field].as_array().unwrap().iter().map(name).collect();
        let visible: BTreeSet<String> =
            entries.into_iter().filter(|(_, on)| self.model.sees(*on)).map(|(name, _)| name).collect();
        assert_eq!(found, visible, "GET {path} with {:?}", self.model.0);
    }

    /// Asks all requests about an object.
    async fn ask(&mut self, on: On) {
        use Privilege as P;
        let (get, head, none, at) = (Method::GET, Method::HEAD, Value::Null, path(on));
        let late = json!({ "requirements": [{ "type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": 7 }],
            "updates": [{ "action": "set-properties", "updates": { "k": "v" } }] });
        let status = |model: &Model, privilege, allowed| model.status(on, privilege, allowed);
        match on {
            On::Warehouse => {
                let top = TREE.iter().filter(|levels| levels.len() == 1);
                let entries = top.map(|levels| (json!(levels).to_string(), On::Namespace(levels))).collect();
                self.expect_list("/v1/namespaces", "namespaces", on, entries).await;
            }
            On::Namespace(levels) => {
                self.expect(head, &at, &none, status(&self.model, None, 204)).await;
                self.expect(get, &at, &none, status(&self.model, Some(P::NamespaceReadProperties), 200)).await;
                let below = TREE.iter().filter(|inner| inner.len() == levels.len() + 1 && inner.starts_with(levels));
                let below = below.map(|inner| (json!(inner).to_string(), On::Namespace(inner))).collect();
                let list = format!("/v1/namespaces?parent={}", encoded(levels));
                self.expect_list(&list, "namespaces", on, below).await;
                let tables = TABLES.map(|name| (json!(name).to_string(), On::Table(levels, name))).to_vec();
                self.expect_list(&format!("{at}/tables"), "identifiers", on, tables).await;
                let views = VIEWS.map(|name| (json!(name).to_string(), On::View(levels, name))).to_vec();
                self.expect_list(&format!("{at}/views"), "identifiers", on, views).await;
            }
            On::Table(..) => {
                self.expect(head, &at, &none, status(&self.model, None, 204)).await;
                self.expect(get.clone(), &at, &none, status(&self.model, Some(P::TableReadProperties), 200)).await;
                self.expect(Method::POST, &at, &late, status(&self.model, Some(P::TableWriteProperties), 409)).await;
                let credentials = format!("{at}/credentials");
                self.expect(get, &credentials, &none, status(&self.model, Some(P::TableReadData), 200)).await;
                let plan = format!("{at}/plan");
                self.expect(Method::POST, &plan, &json!({}), status(&self.model, Some(P::TableReadData), 200)).await;
            }
            On::View(..) => {
                self.expect(head, &at, &none, status(&self.model, None, 204)).await;
                self.expect(get, &at, &none, status(&self.model, Some(P::ViewReadProperties), 200)).await;
            }
        }
    }
}

#[tokio::test]
async fn answers_with_random_grants_are_those_of_a_walk_over_all_grants() {
    let catalog = Catalog::new().await;
    let mut world = World { team: Team::new(&catalog).await, model: Model(Vec::new()), asked: 0 };
    world.create_objects().await;
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let samples = (prop::collection::vec(any_granted(), 0..5), prop::collection::vec(any_object(), 6));
    for _ in 0..SAMPLES {
        let (granted, objects) = samples.new_tree(&mut runner).unwrap().current();
        world.team.revoke_all().await;
        for one in &granted {
            world.grant(*one).await;
        }
        // The objects of the grants, and others.
        let asked: Vec<On> = granted.iter().map(|(_, on)| *on).chain(objects).collect();
        world.model = Model(granted);
        for on in asked {
            world.ask(on).await;
        }
    }
    assert!(world.asked > 500, "{} requests", world.asked);
}
