//! The objects of the requests, and a principal for each privilege in each place.

use axum::http::Method;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tidewater::auth::key::digest;
use tidewater::base::clock::fresh_uuid;
use tidewater::store::{CatalogRole, Change, Grant, PrincipalRole, WarehouseRef};
use tidewater_core::access::{Privilege, Role, Securable, SecurableKind};
use tidewater_core::ids::{CatalogRoleId, OrganisationId, PrincipalRoleId, TableId};
use tidewater_core::name::{NamespaceIdent, TableIdent};

use super::expected::{Holding, OWNER, Row};
use super::requests::{EMPTY, NEW, Names, SPARE};
use crate::support::{Answer, Catalog, create_table, create_view};

/// A principal without a built-in role.
pub(super) struct Holder {
    pub(super) holdings: Vec<Holding>,
    pub(super) key: String,
    /// Its catalog roles: in the warehouse of the requests, and in the other warehouse.
    roles: [CatalogRoleId; 2],
}

impl Holder {
    /// Returns its holdings, for messages.
    pub(super) fn name(&self) -> String {
        let names = self.holdings.iter().map(|held| format!("{} on the {}", held.privilege, held.place));
        let names: Vec<String> = names.collect();
        if names.is_empty() { "no grant".to_owned() } else { names.join(" and ") }
    }
}

/// A catalog with the objects of `privileges.txt`, and the principals.
pub(super) struct World {
    pub(super) catalog: Catalog,
    pub(super) names: Names,
    pub(super) holders: Vec<Holder>,
    pub(super) admin: String,
    organisation: OrganisationId,
    lake: WarehouseRef,
    other: WarehouseRef,
}

/// The places where a privilege can be granted on a table or view of that kind.
const TABLES: [&str; 2] = ["table", "sibling-table"];
const VIEWS: [&str; 2] = ["view", "sibling-view"];
const NAMESPACES: [&str; 3] = ["namespace", "parent", "sibling-namespace"];
const WAREHOUSES: [&str; 2] = ["warehouse", "other-warehouse"];

/// Two privileges that one request needs.
const PAIRS: [[(&str, &str); 2]; 4] = [
    [("TABLE_DROP", "table"), ("TABLE_CREATE", "namespace")],
    [("TABLE_DROP", "table"), ("TABLE_WRITE_DATA", "table")],
    [("VIEW_DROP", "view"), ("VIEW_CREATE", "namespace")],
    [("TABLE_WRITE_PROPERTIES", "table"), ("TABLE_WRITE_PROPERTIES", "sibling-table")],
];

fn change() -> Change {
    Change::by_catalog(0)
}

fn namespace(levels: &[&str]) -> NamespaceIdent {
    NamespaceIdent::new(levels).unwrap()
}

/// Returns the holdings of each principal: every privilege alone in every place, ownership of every object, and the pairs.
fn all_holdings() -> Vec<Vec<Holding>> {
    let mut all = vec![Vec::new()];
    for privilege in Privilege::ALL {
        let places = privilege.securables().iter().flat_map(|kind| match kind {
            SecurableKind::Warehouse => WAREHOUSES.as_slice(),
            SecurableKind::Namespace => &NAMESPACES,
            SecurableKind::Table => &TABLES,
            SecurableKind::View => &VIEWS,
        });
        all.extend(places.map(|place| vec![Holding { privilege: privilege.as_str(), place }]));
    }
    all.extend(PAIRS.map(|pair| pair.map(|(privilege, place)| Holding { privilege, place }).to_vec()));
    let owned = [&TABLES[..], &VIEWS, &NAMESPACES, &["other-warehouse"]].concat();
    all.extend(owned.into_iter().map(|place| vec![Holding { privilege: OWNER, place }]));
    all
}

impl World {
    pub(super) async fn new() -> Self {
        let catalog = Catalog::new().await;
        let organisation = catalog.organisation("acme", "enterprise").await;
        for warehouse in ["lake", "other"] {
            catalog.warehouse(organisation, warehouse).await;
        }
        let admin = catalog.key(organisation, Role::Admin, None).await;
        let warehouses = catalog.app.store().warehouse_list(organisation).await.unwrap();
        let place = |name: &str| {
            let warehouse = warehouses.iter().find(|warehouse| warehouse.name == name).unwrap().id;
            WarehouseRef { organisation, warehouse }
        };
        let (lake, other) = (place("lake"), place("other"));
        let names = Names {
            warehouse: "lake".to_owned(),
            namespace: vec!["a".to_owned(), "b".to_owned()],
            table: "t".to_owned(),
            view: "v".to_owned(),
            dropped: String::new(),
            dropped_view: String::new(),
            table_metadata: Value::Null,
            view_metadata: Value::Null,
        };
        let mut world = Self { catalog, names, holders: Vec::new(), admin, organisation, lake, other };
        world.holders = join_all(all_holdings().into_iter().map(|holdings| world.holder(holdings))).await;
        world.create_objects().await;
        join_all(world.holders.iter().map(|holder| world.grant_all(holder))).await;
        world.drop_objects().await;
        world
    }

    /// Creates a principal. An owner is a writer until it has created its object.
    async fn holder(&self, holdings: Vec<Holding>) -> Holder {
        let store = self.catalog.app.store();
        let key = self.catalog.key(self.organisation, Role::None, None).await;
        let principal = store.key_by_digest(&digest(key.as_bytes())).await.unwrap().unwrap().0.principal;
        let name = fresh_uuid().to_string();
        let group = PrincipalRole { id: PrincipalRoleId(fresh_uuid()), name: name.clone(), created_ms: 0 };
        store.principal_role_create(self.organisation, &group, &change()).await.unwrap();
        store.principal_role_assign(self.organisation, group.id, principal, true, &change()).await.unwrap();
        let mut roles = [CatalogRoleId(fresh_uuid()), CatalogRoleId(fresh_uuid())];
        for (id, place) in roles.iter_mut().zip([self.lake, self.other]) {
            let role = CatalogRole { id: *id, name: name.clone(), created_ms: 0 };
            store.catalog_role_create(place, &role, &change()).await.unwrap();
            store.catalog_role_assign(place, role.id, group.id, true, &change()).await.unwrap();
        }
        Holder { holdings, key, roles }
    }

    /// Returns the key that creates the object of a place: its owner's.
    fn owner(&self, place: &'static str) -> &str {
        let owned = Holding { privilege: OWNER, place };
        &self.holders.iter().find(|holder| holder.holdings == [owned]).unwrap().key
    }

    /// Sends a request with the key of a place's owner, which is a writer meanwhile.
    async fn as_owner(&self, place: &'static str, path: &str, body: &Value) -> Value {
        let key = self.owner(place);
        let store = self.catalog.app.store();
        let id = store.key_by_digest(&digest(key.as_bytes())).await.unwrap().unwrap().0.id;
        let path_of_key = format!("/management/v1/organisations/acme/keys/{}", id.0);
        self.machine(Method::PATCH, &path_of_key, &json!({ "role": "writer" }), 200).await;
        let done = self.catalog.post(key, path, body).await.ok(200);
        self.machine(Method::PATCH, &path_of_key, &json!({ "role": "none" }), 200).await;
        done
    }

    async fn machine(&self, method: Method, path: &str, body: &Value, status: u16) -> Value {
        self.catalog.machine(method, path, body).await.ok(status)
    }

    async fn create_objects(&mut self) {
        let of = |levels: &[&str]| json!({ "namespace": levels });
        for (place, path, body) in [
            ("parent", "/v1/namespaces", of(&["a"])),
            ("namespace", "/v1/namespaces", of(&["a", "b"])),
            ("sibling-namespace", "/v1/namespaces", of(&["a", "bc"])),
            ("table", "/v1/namespaces/a%1Fb/tables", create_table("t")),
            ("table", "/v1/namespaces/a%1Fb/tables", create_table("dropped")),
            ("sibling-table", "/v1/namespaces/a%1Fb/tables", create_table("sibling")),
            ("view", "/v1/namespaces/a%1Fb/views", create_view("v", "select 1")),
            ("view", "/v1/namespaces/a%1Fb/views", create_view("dropped-view", "select 1")),
            ("sibling-view", "/v1/namespaces/a%1Fb/views", create_view("sibling-view", "select 1")),
            ("other-warehouse", "/v1/other/namespaces", of(&["a"])),
            ("other-warehouse", "/v1/other/namespaces", of(&["a", "b"])),
            ("other-warehouse", "/v1/other/namespaces/a%1Fb/tables", create_table("t")),
            ("other-warehouse", "/v1/other/namespaces/a%1Fb/views", create_view("v", "select 1")),
        ] {
            self.as_owner(place, path, &body).await;
        }
        let admin = &self.admin;
        self.catalog.post(admin, "/v1/namespaces", &of(&["a", "b", EMPTY])).await.ok(200);
        for (path, body) in [
            ("/v1/namespaces/a%1Fbc/tables", create_table("t")),
            ("/v1/namespaces/a%1Fb/tables", create_table("gone")),
            ("/v1/namespaces/a%1Fbc/views", create_view("v", "select 1")),
        ] {
            self.catalog.post(admin, path, &body).await.ok(200);
        }
        let gone = self.catalog.post(admin, "/v1/namespaces/a%1Fb/tables/gone/unregister", &json!({})).await.ok(200);
        self.names.table_metadata = gone["metadata-location"].clone();
        let created = create_view("gone", "select 1");
        let gone = self.catalog.post(admin, "/v1/namespaces/a%1Fb/views", &created).await.ok(200);
        self.names.view_metadata = gone["metadata-location"].clone();
        self.delete("/v1/namespaces/a%1Fb/views/gone").await;
        let (spare, key) = (json!({ "name": SPARE }), json!({ "name": SPARE, "role": "none" }));
        for (path, body) in [
            ("/management/v1/organisations/acme/principal-roles", &spare),
            ("/management/v1/organisations/acme/warehouses/lake/catalog-roles", &spare),
            ("/management/v1/organisations/acme/keys", &key),
            ("/management/v1/operators", &spare),
        ] {
            self.machine(Method::POST, path, body, 200).await;
        }
    }

    /// Drops the objects that dropped objects are tested with, after they have their grants.
    async fn drop_objects(&mut self) {
        let store = self.catalog.app.store();
        let id = async |name: &str| {
            let ident = TableIdent::new(namespace(&["a", "b"]), name).unwrap();
            store.table_get(self.lake, &ident).await.unwrap().unwrap().id.to_string()
        };
        (self.names.dropped, self.names.dropped_view) = (id("dropped").await, id("dropped-view").await);
        self.delete("/v1/namespaces/a%1Fb/tables/dropped").await;
        self.delete("/v1/namespaces/a%1Fb/views/dropped-view").await;
    }

    async fn delete(&self, path: &str) {
        self.catalog.delete(&self.admin, path).await.ok(204);
    }

    async fn table_id(&self, place: WarehouseRef, name: &str) -> TableId {
        let ident = TableIdent::new(namespace(&["a", "b"]), name).unwrap();
        self.catalog.app.store().table_get(place, &ident).await.unwrap().unwrap().id
    }

    /// Gives a principal the grants of its holdings.
    async fn grant_all(&self, holder: &Holder) {
        for held in holder.holdings.iter().filter(|held| held.privilege != OWNER) {
            let table = async |name: &str| Securable::Table(self.table_id(self.lake, name).await, None);
            let view = async |name: &str| Securable::View(self.table_id(self.lake, name).await, None);
            let objects = match held.place {
                "table" => vec![table("t").await, table("dropped").await],
                "sibling-table" => vec![table("sibling").await],
                "view" => vec![view("v").await, view("dropped-view").await],
                "sibling-view" => vec![view("sibling-view").await],
                "namespace" => vec![Securable::Namespace(namespace(&["a", "b"]))],
                "parent" => vec![Securable::Namespace(namespace(&["a"]))],
                "sibling-namespace" => vec![Securable::Namespace(namespace(&["a", "bc"]))],
                "warehouse" | "other-warehouse" => vec![Securable::Warehouse],
                other => panic!("there is no place '{other}'"),
            };
            for on in objects {
                self.grant(holder, held, on).await;
            }
        }
    }

    async fn grant(&self, holder: &Holder, held: &Holding, on: Securable) {
        let [in_lake, in_other] = holder.roles;
        let (place, role) = if held.place == "other-warehouse" { (self.other, in_other) } else { (self.lake, in_lake) };
        let grant = Grant { on, privilege: held.privilege.parse().unwrap() };
        self.catalog.app.store().grant_add(place, role, &grant, 1_000, &change()).await.unwrap();
    }

    /// Undoes an allowed request, so that the next one finds the same objects, owners and grants.
    pub(super) async fn undo(&self, row: &Row, answer: &Answer) {
        let (a, b, admin) = ("/v1/namespaces", "/v1/namespaces/a%1Fb", &self.admin);
        let roles = "/management/v1/organisations/acme/warehouses/lake/catalog-roles";
        match (row.route, row.variant) {
            ("POST /v1/namespaces", "top") => self.delete(&format!("{a}/{NEW}")).await,
            ("POST /v1/namespaces", _) => self.delete(&format!("{b}%1F{NEW}")).await,
            ("DELETE /v1/namespaces/{namespace}", EMPTY) => {
                let again = json!({ "namespace": ["a", "b", EMPTY] });
                self.catalog.post(admin, a, &again).await.ok(200);
            }
            ("POST /v1/namespaces/{namespace}/tables", "") => self.delete(&format!("{b}/tables/{NEW}")).await,
            ("POST /v1/namespaces/{namespace}/register", _) => {
                self.catalog.post(admin, &format!("{b}/tables/{NEW}/unregister"), &json!({})).await.ok(200);
            }
            ("DELETE /v1/namespaces/{namespace}/tables/{table}", _) => self.restore_newest("table").await,
            ("POST /v1/namespaces/{namespace}/tables/{table}/unregister", _) => {
                self.register_again(&answer.json()).await
            }
            ("POST /v1/tables/rename", _) => self.rename_back("/v1/tables/rename", &self.names.table).await,
            ("POST /v1/namespaces/{namespace}/views", _) | ("POST /v1/namespaces/{namespace}/register-view", _) => {
                self.delete(&format!("{b}/views/{NEW}")).await
            }
            ("DELETE /v1/namespaces/{namespace}/views/{view}", _) => self.restore_newest("view").await,
            ("POST /v1/views/rename", _) => self.rename_back("/v1/views/rename", &self.names.view).await,
            ("POST /management/v1/warehouses/{warehouse}/dropped/{id}/restore", "view") => {
                self.delete(&format!("{b}/views/dropped-view")).await;
            }
            ("POST /management/v1/warehouses/{warehouse}/dropped/{id}/restore", _) => {
                self.delete(&format!("{b}/tables/dropped")).await;
            }
            (route, _) if route.starts_with("POST ") && route.ends_with("/catalog-roles") => {
                self.machine(Method::DELETE, &format!("{roles}/{NEW}"), &Value::Null, 204).await;
            }
            (route, _) if route.starts_with("DELETE ") && route.ends_with("/catalog-roles/{catalog-role}") => {
                self.machine(Method::POST, roles, &json!({ "name": SPARE }), 200).await;
            }
            _ => {}
        }
    }

    /// Restores what was dropped last. It keeps its id, owner and grants.
    async fn restore_newest(&self, kind: &str) {
        const DROPPED: &str = "/management/v1/warehouses/lake/dropped";
        let path = format!("{DROPPED}?type={kind}&page-size=1");
        let newest = self.catalog.get(&self.admin, &path).await.ok(200);
        let id = newest["dropped"][0]["id"].as_str().unwrap();
        self.catalog.post(&self.admin, &format!("{DROPPED}/{id}/restore"), &json!({})).await.ok(204);
    }

    /// Registers the unregistered table for its owner. It is another table for the catalog, and needs its grants again.
    async fn register_again(&self, unregistered: &Value) {
        let body = json!({ "name": self.names.table, "metadata-location": unregistered["metadata-location"] });
        self.as_owner("table", "/v1/namespaces/a%1Fb/register", &body).await;
        let id = self.table_id(self.lake, &self.names.table).await;
        for holder in &self.holders {
            for held in holder.holdings.iter().filter(|held| held.place == "table" && held.privilege != OWNER) {
                self.grant(holder, held, Securable::Table(id, None)).await;
            }
        }
    }

    async fn rename_back(&self, path: &str, name: &str) {
        let ident = |name: &str| json!({ "namespace": self.names.namespace, "name": name });
        let back = json!({ "source": ident("renamed"), "destination": ident(name) });
        self.catalog.post(&self.admin, path, &back).await.ok(204);
    }

    /// Returns everything that a request could change, as a local user sees it.
    pub(super) async fn state(&self) -> Vec<Value> {
        const ACME: &str = "/management/v1/organisations/acme";
        let mut state = Vec::new();
        for path in [
            "/events?page-size=1",
            "/keys?page-size=1",
            "/principal-roles?page-size=1",
            "/warehouses",
            "/warehouses/lake/catalog-roles/spare/grants",
            "/warehouses/lake/catalog-roles/spare/principal-roles",
            "/warehouses/lake/dropped?page-size=1",
            "/warehouses/lake/namespaces?parent=a%1Fb",
            "/warehouses/lake/namespaces/a%1Fb",
            "/warehouses/lake/tables?namespace=a%1Fb",
            "/warehouses/lake/tables?namespace=a%1Fb&name=t",
            "/warehouses/lake/tables?namespace=a%1Fb&name=v&kind=view",
            "/warehouses/lake/metrics",
        ] {
            let mut seen = self.machine(Method::GET, &format!("{ACME}{path}"), &Value::Null, 200).await;
            for key in seen.get_mut("keys").and_then(Value::as_array_mut).into_iter().flatten() {
                key["last-used-ms"].take();
            }
            state.push(seen);
        }
        state
    }
}
