//! The objects of the requests, created for each route and again after each change.

use std::path::PathBuf;
use std::sync::Arc;

use axum::http::Method;
use serde_json::{Value, json};
use tidewater::base::clock::fresh_uuid;
use tidewater::store::{Change, UserSignIn};
use tidewater_core::access::Role;
use tidewater_core::ids::{OrganisationId, PrincipalId};

use super::callers::Keys;
use super::{polaris, requests};
use crate::support::{Catalog, create_table, create_view};

/// An organisation with the warehouse `lake`.
pub(super) struct Organisation {
    id: OrganisationId,
    pub(super) name: String,
    pub(super) keys: Keys,
}

impl Organisation {
    pub(super) async fn new(catalog: &Catalog, name: String) -> Arc<Self> {
        let id = catalog.organisation(&name, "enterprise").await;
        catalog.warehouse(id, "lake").await;
        Arc::new(Self { id, name, keys: Keys::new(catalog, id).await })
    }
}

/// The objects of a route.
pub(super) struct Objects {
    pub(super) organisation: Arc<Organisation>,
    /// A namespace with the table `t` and the view `v`.
    pub(super) namespace: String,
    /// An empty namespace.
    pub(super) empty: String,
    /// The id of a dropped table.
    pub(super) dropped: String,
    /// The name of an unused key and an unused operator.
    pub(super) spare: String,
    /// The metadata location of an unregistered table.
    pub(super) table_metadata: Value,
    /// The metadata location of a dropped view.
    pub(super) view_metadata: Value,
    /// An unused name.
    pub(super) new_name: String,
    /// A path without a file.
    pub(super) new_file: PathBuf,
}

impl Objects {
    /// Creates the objects of a route in an organisation. Their names contain the number.
    pub(super) async fn new(catalog: &Catalog, organisation: Arc<Organisation>, number: usize, route: &str) -> Self {
        let mut objects = Self {
            organisation,
            namespace: format!("ns-{number}"),
            empty: format!("empty-{number}"),
            dropped: String::new(),
            spare: format!("spare-{number}"),
            table_metadata: Value::Null,
            view_metadata: Value::Null,
            new_name: format!("new-{number}"),
            new_file: catalog.folder.path().join(format!("new-{number}")),
        };
        let route = &*polaris::with_roles_of_body(route);
        let key = objects.admin();
        for name in [&objects.namespace, &objects.empty] {
            catalog.post(key, "/v1/namespaces", &json!({ "namespace": [name] })).await.ok(200);
        }
        let (tables, views) = (objects.in_namespace("/tables"), objects.in_namespace("/views"));
        catalog.post(key, &tables, &create_table("t")).await.ok(200);
        catalog.post(key, &views, &create_view("v", "select 1")).await.ok(200);
        if route.contains("/register") {
            objects.remove_what_is_registered(catalog).await;
        }
        if route.contains("{id}") {
            objects.drop_table(catalog).await;
        }
        if route.contains("{principal-role}") {
            let body = json!({ "name": objects.spare });
            catalog.machine(Method::POST, &objects.managed("/principal-roles"), &body).await.ok(200);
        }
        if route.contains("{catalog-role}") {
            let body = json!({ "name": objects.spare });
            let roles = objects.managed("/warehouses/lake/catalog-roles");
            catalog.machine(Method::POST, &roles, &body).await.ok(200);
        }
        if route.contains("{key}") || route.contains("{principal}") {
            let body = json!({ "name": objects.spare, "role": "reader" });
            catalog.machine(Method::POST, &objects.managed("/keys"), &body).await.ok(200);
        }
        if route.contains("{subscription}") {
            let body = requests::subscription(&objects.spare);
            let list = match route.contains("{organisation}") {
                true => objects.managed("/subscriptions"),
                false => "/management/v1/subscriptions".to_owned(),
            };
            catalog.machine(Method::POST, &list, &body).await.ok(200);
        }
        if route.contains("{user}") {
            objects.sign_in_user(catalog).await;
        }
        if route.contains("{operator}") {
            let body = json!({ "name": objects.spare });
            catalog.machine(Method::POST, "/management/v1/operators", &body).await.ok(200);
        }
        if route.starts_with("DELETE ") && route.ends_with("/{warehouse}") {
            catalog.warehouse(objects.organisation.id, "empty").await;
        }
        objects
    }

    /// Signs in a user of the organisation.
    async fn sign_in_user(&self, catalog: &Catalog) {
        let sign_in = UserSignIn {
            organisation: self.organisation.id,
            issuer: "https://sso.example.com".to_owned(),
            subject: self.spare.clone(),
            new_id: PrincipalId(fresh_uuid()),
            name: self.spare.clone(),
            email: None,
            role: Role::None,
            principal_roles: Vec::new(),
            create_roles: false,
            issued_ms: 0,
        };
        catalog.app.store().user_sign_in(&sign_in, &Change::by_catalog(0)).await.unwrap();
    }

    fn admin(&self) -> &str {
        &self.organisation.keys.admin
    }

    /// Returns a path below the namespace with a table and a view.
    fn in_namespace(&self, below: &str) -> String {
        format!("/v1/namespaces/{}{below}", self.namespace)
    }

    /// Returns a path below the organisation in the management API.
    fn managed(&self, below: &str) -> String {
        format!("/management/v1/organisations/{}{below}", self.organisation.name)
    }

    async fn remove_what_is_registered(&mut self, catalog: &Catalog) {
        let key = self.admin();
        let (tables, views) = (self.in_namespace("/tables"), self.in_namespace("/views"));
        catalog.post(key, &tables, &create_table("gone")).await.ok(200);
        let removed = catalog.post(key, &format!("{tables}/gone/unregister"), &json!({})).await.ok(200);
        let created = catalog.post(key, &views, &create_view("gone", "select 1")).await.ok(200);
        catalog.delete(key, &format!("{views}/gone")).await.ok(204);
        self.table_metadata = removed["metadata-location"].clone();
        self.view_metadata = created["metadata-location"].clone();
    }

    async fn drop_table(&mut self, catalog: &Catalog) {
        let (key, tables) = (self.admin(), self.in_namespace("/tables"));
        catalog.post(key, &tables, &create_table("dropped")).await.ok(200);
        catalog.delete(key, &format!("{tables}/dropped")).await.ok(204);
        let all = catalog.get(key, "/management/v1/warehouses/lake/dropped").await.ok(200);
        self.dropped = all["dropped"][0]["id"].as_str().unwrap().to_owned();
    }

    /// Deletes the organisation. Its own keys are refused from then on.
    pub(super) async fn delete_organisation(&self, catalog: &Catalog) {
        catalog.machine(Method::DELETE, &self.managed(""), &Value::Null).await.ok(200);
    }

    /// Returns everything that a request could have changed, as a local user sees it.
    pub(super) async fn seen(&self, catalog: &Catalog) -> Vec<Value> {
        let mut paths: Vec<_> = ["", "/events?page-size=1", "/keys", "/warehouses", "/principal-roles"]
            .map(|below| self.managed(below))
            .into();
        let namespace = &self.namespace;
        paths.extend(
            [
                "dropped",
                "catalog-roles",
                "namespaces",
                &format!("namespaces/{namespace}"),
                &format!("namespaces/{}", self.empty),
                &format!("tables?namespace={namespace}&name=t"),
                &format!("tables?namespace={namespace}&name=v&kind=view"),
                &format!("metrics?namespace={namespace}&table=t"),
            ]
            .map(|below| self.managed(&format!("/warehouses/lake/{below}"))),
        );
        paths.extend(["operators", "signing-keys"].map(|path| format!("/management/v1/{path}")));
        let mut seen = vec![json!(self.new_file.exists())];
        for path in paths {
            let mut answer = catalog.machine(Method::GET, &path, &Value::Null).await.ok(200);
            remove_what_time_changes(&mut answer);
            seen.push(answer);
        }
        let new = format!("/management/v1/organisations/{}", self.new_name);
        seen.push(json!(catalog.machine(Method::GET, &new, &Value::Null).await.status.as_u16()));
        seen
    }
}

/// Removes fields that change without a request: the background writes the last uses of keys, and a signing key becomes
/// active after a while.
fn remove_what_time_changes(answer: &mut Value) {
    for (list, field) in [("keys", "last-used-ms"), ("operators", "last-used-ms"), ("signing-keys", "state")] {
        for one in answer.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            one[field].take();
        }
    }
}
