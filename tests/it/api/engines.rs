//! Tests of narrowed tokens and of trusted engines, over HTTP.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};
use tidewater_core::access::Role;

use crate::support::{Answer, Catalog, create_table};

/// An organisation whose admin creates keys, roles and grants by the management API.
pub(super) struct Company<'a> {
    catalog: &'a Catalog,
    pub(super) admin: String,
    pub(super) organisation: String,
    pub(super) lake: String,
}

impl<'a> Company<'a> {
    pub(super) async fn new(catalog: &'a Catalog) -> Self {
        let organisation = catalog.organisation("acme", "enterprise").await;
        catalog.warehouse(organisation, "lake").await;
        let admin = catalog.key(organisation, Role::Admin, None).await;
        let organisation = "/management/v1/organisations/acme".to_owned();
        Self { catalog, admin, lake: format!("{organisation}/warehouses/lake"), organisation }
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> Answer {
        self.catalog.bytes(&self.admin, method, path, body.to_string()).await
    }

    /// Creates a key. Returns its text.
    pub(super) async fn key(&self, name: &str, role: &str) -> String {
        let body = json!({ "name": name, "role": role });
        let made = self.catalog.post(&self.admin, &format!("{}/keys", self.organisation), &body).await.ok(200);
        made["api_key"].as_str().unwrap().to_owned()
    }

    /// Creates a key that may act for users.
    async fn engine(&self, name: &str, role: &str) -> String {
        let key = self.key(name, role).await;
        let at = format!("{}/keys/{name}", self.organisation);
        let changed = self.catalog.patch(&self.admin, &at, &json!({ "acts-for-users": true })).await.ok(200);
        assert_eq!(changed["acts-for-users"], true);
        key
    }

    /// Creates a role with a catalog role of the same name, and assigns it to a key.
    pub(super) async fn role(&self, key: &str, name: &str) {
        let Self { organisation, lake, admin, .. } = self;
        for list in [format!("{organisation}/principal-roles"), format!("{lake}/catalog-roles")] {
            self.catalog.post(admin, &list, &json!({ "name": name })).await.ok(200);
        }
        for path in [
            format!("{organisation}/principal-roles/{name}/principals/{key}"),
            format!("{lake}/catalog-roles/{name}/principal-roles/{name}"),
        ] {
            self.catalog.bytes(admin, Method::PUT, &path, "").await.ok(204);
        }
    }

    pub(super) async fn grant(&self, role: &str, privilege: &str, namespace: &[&str], table: Option<&str>) {
        let kind = if table.is_some() { "table" } else { "namespace" };
        let mut grant = json!({ "privilege": privilege, "type": kind, "namespace": namespace });
        if let Some(table) = table {
            grant["name"] = json!(table);
        }
        self.send(Method::PUT, &format!("{}/catalog-roles/{role}/grants", self.lake), &grant).await.ok(204);
    }

    /// Creates namespaces, each with these tables.
    pub(super) async fn objects(&self, namespaces: &[&str], tables: &[&str]) {
        for namespace in namespaces {
            self.catalog.post(&self.admin, "/v1/namespaces", &json!({ "namespace": [namespace] })).await.ok(200);
            for table in tables {
                let at = format!("/v1/namespaces/{namespace}/tables");
                self.catalog.post(&self.admin, &at, &create_table(table)).await.ok(200);
            }
        }
    }

    async fn token(&self, form: &str) -> Answer {
        let request = Request::post("/v1/oauth/tokens").header("content-type", "application/x-www-form-urlencoded");
        self.catalog.send(request.body(Body::from(form.to_owned())).unwrap()).await
    }

    /// Returns the token of a user through an engine.
    async fn through(&self, user: &str, engine: &str) -> String {
        let exchange = "grant_type=urn:ietf:params:oauth:grant-type:token-exchange";
        let form = format!("{exchange}&subject_token={user}&actor_token={engine}");
        self.token(&form).await.ok(200)["access_token"].as_str().unwrap().to_owned()
    }

    pub(super) async fn names(&self, key: &str, path: &str) -> Vec<String> {
        let (mut names, mut token) = (Vec::new(), String::new());
        loop {
            let page = self.catalog.get(key, &format!("{path}?pageSize=1&pageToken={token}")).await.ok(200);
            let list = page["identifiers"].as_array().or(page["namespaces"].as_array()).unwrap();
            names.extend(list.iter().map(|one| one["name"].as_str().or(one[0].as_str()).unwrap().to_owned()));
            match page["next-page-token"].as_str() {
                Some(next) => token = next.to_owned(),
                None => return names,
            }
        }
    }
}

#[tokio::test]
async fn token_through_an_engine_sees_and_does_what_both_may() {
    let catalog = Catalog::new().await;
    let company = Company::new(&catalog).await;
    company.objects(&["a", "b", "c"], &["t1", "t2", "t3", "t4", "t5"]).await;
    let (ana, trino) = (company.key("ana", "none").await, company.engine("trino", "none").await);
    company.role("ana", "analysts").await;
    company.role("trino", "engines").await;
    for table in ["t1", "t2", "t4", "t5"] {
        company.grant("analysts", "TABLE_READ_DATA", &["a"], Some(table)).await;
    }
    company.grant("analysts", "TABLE_FULL_METADATA", &["b"], None).await;
    for table in ["t2", "t3", "t4", "t5"] {
        company.grant("engines", "TABLE_LIST", &["a"], Some(table)).await;
    }
    company.grant("engines", "TABLE_READ_DATA", &["a"], Some("t4")).await;
    company.grant("engines", "TABLE_FULL_METADATA", &["c"], None).await;

    let through = company.through(&ana, &trino).await;
    assert_eq!(company.names(&through, "/v1/namespaces").await, ["a"]);
    assert_eq!(company.names(&through, "/v1/namespaces/a/tables").await, ["t2", "t4", "t5"]);
    for (path, status) in [
        ("a/tables/t1", 404),
        ("a/tables/t2", 403),
        ("a/tables/t3", 404),
        ("a/tables/t4", 200),
        ("b/tables/t1", 404),
        ("c/tables/t1", 404),
    ] {
        assert_eq!(catalog.get(&through, &format!("/v1/namespaces/{path}")).await.status.as_u16(), status, "{path}");
    }
    let refused = catalog.get(&through, "/v1/namespaces/a/tables/t2").await.error(403, "ForbiddenException");
    assert!(refused.contains("The engine that acts for you lacks the privilege TABLE_READ_PROPERTIES"), "{refused}");
    // The engine sees all of `a`: then the list is the user's.
    company.grant("engines", "TABLE_LIST", &["a"], None).await;
    assert_eq!(company.names(&through, "/v1/namespaces/a/tables").await, ["t1", "t2", "t4", "t5"]);
    // Both see all of `a`.
    company.grant("analysts", "TABLE_LIST", &["a"], None).await;
    assert_eq!(company.names(&through, "/v1/namespaces/a/tables").await, ["t1", "t2", "t3", "t4", "t5"]);
}

#[tokio::test]
async fn user_owns_the_table_that_an_engine_creates_and_the_event_names_both() {
    let catalog = Catalog::new().await;
    let company = Company::new(&catalog).await;
    company.objects(&["a"], &[]).await;
    let (ana, trino) = (company.key("ana", "none").await, company.engine("trino", "writer").await);
    company.role("ana", "analysts").await;
    company.grant("analysts", "TABLE_CREATE", &["a"], None).await;
    let through = company.through(&ana, &trino).await;
    catalog.post(&through, "/v1/namespaces/a/tables", &create_table("own")).await.ok(200);
    let events = catalog.get(&company.admin, &format!("{}/events?operation=create-table", company.organisation)).await;
    let event = events.ok(200)["events"][0].clone();
    assert_eq!([&event["actor"], &event["actor-type"], &event["engine"]], ["ana", "key", "trino"]);
    for (key, expected) in [(&ana, json!({ "type": "owner" })), (&trino, json!({ "type": "role", "role": "writer" }))] {
        let name = catalog.get(key, "/management/v1/who-am-i").await.ok(200)["key"]["name"].clone();
        let at = format!(
            "{}/access?principal={}&action=drop-table&namespace=a&table=own",
            company.lake,
            name.as_str().unwrap()
        );
        assert_eq!(catalog.get(&company.admin, &at).await.ok(200)["access"][0]["by"], expected);
    }
    catalog.delete(&ana, "/v1/namespaces/a/tables/own").await.ok(204);
    // Events of the engine are found by its name.
    let by_engine = catalog.get(&company.admin, &format!("{}/events?actor=trino", company.organisation)).await.ok(200);
    assert_eq!(by_engine["events"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn who_am_i_and_explanations_show_the_restrictions_of_a_token() {
    let catalog = Catalog::new().await;
    let company = Company::new(&catalog).await;
    company.objects(&["a"], &["t"]).await;
    let (ana, trino) = (company.key("ana", "reader").await, company.engine("trino", "none").await);
    for role in ["analysts", "stewards"] {
        company.role("ana", role).await;
    }
    company.grant("analysts", "TABLE_READ_DATA", &["a"], None).await;
    company.grant("stewards", "TABLE_WRITE_DATA", &["a"], None).await;
    let form = format!("grant_type=client_credentials&client_secret={ana}&scope=PRINCIPAL_ROLE:analysts");
    let narrowed = company.token(&form).await.ok(200);
    assert_eq!(narrowed["scope"], "PRINCIPAL_ROLE:analysts");
    let shown = catalog.get(narrowed["access_token"].as_str().unwrap(), "/management/v1/who-am-i").await.ok(200);
    assert_eq!((&shown["role"], &shown["narrowed-to"]), (&json!("none"), &json!(["analysts"])));
    assert_eq!(shown["roles"].as_array().unwrap().len(), 1);
    let through = company.through(&ana, &trino).await;
    let shown = catalog.get(&through, "/management/v1/who-am-i").await.ok(200);
    assert_eq!((&shown["role"], &shown["engine"]["name"]), (&json!("reader"), &json!("trino")));
    assert!(shown.get("narrowed-to").is_none());

    let explain = async |query: &str| {
        let at = format!("{}/access?principal=ana&namespace=a&table=t&{query}", company.lake);
        catalog.get(&company.admin, &at).await
    };
    let allowed = async |query: &str| explain(query).await.ok(200)["access"][0].clone();
    assert_eq!(allowed("action=write-table-data").await["allowed"], true);
    let narrowed = allowed("action=write-table-data&scope=PRINCIPAL_ROLE:analysts").await;
    assert_eq!((&narrowed["allowed"], &narrowed["missing"]), (&json!(false), &json!("TABLE_WRITE_DATA")));
    assert_eq!(allowed("action=write-table-data&scope=PRINCIPAL_ROLE:stewards").await["allowed"], true);
    let by_engine = allowed("action=load-table&engine=trino").await;
    assert_eq!(by_engine["allowed"], false);
    assert!(by_engine["message"].as_str().unwrap().starts_with("Engine 'trino': "), "{by_engine}");
    explain("action=load-table&scope=PRINCIPAL_ROLE:others").await.error(400, "BadRequestException");
    assert_eq!(allowed("action=load-table&engine=ana").await["message"], "Key 'ana' may not act for users");
}

#[tokio::test]
async fn commit_through_an_engine_needs_a_writer_on_both_sides() {
    let catalog = Catalog::new().await;
    let company = Company::new(&catalog).await;
    company.objects(&["a"], &["t"]).await;
    let (writer, reader) = (company.key("writer", "writer").await, company.key("reader", "reader").await);
    let (strong, weak) = (company.engine("strong", "writer").await, company.engine("weak", "reader").await);
    let commit = json!({ "requirements": [], "updates": [{ "action": "set-properties", "updates": { "k": "v" } }] });
    for (user, engine, status) in
        [(&writer, &strong, 200), (&writer, &weak, 403), (&reader, &strong, 403), (&reader, &weak, 403)]
    {
        let through = company.through(user, engine).await;
        let answer = catalog.post(&through, "/v1/namespaces/a/tables/t", &commit).await;
        assert_eq!(answer.status.as_u16(), status);
        catalog.get(&through, "/v1/namespaces/a/tables/t").await.ok(200);
    }
}
