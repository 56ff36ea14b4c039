//! Tests of the locations of tables and views: no two overlap, whichever request names them.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::{Answer, Catalog, Tenant, create_table, create_view};

const TABLES: &str = "/v1/namespaces/ns/tables";
const PATHS: [&str; 4] =
    ["write.data.path", "write.metadata.path", "write.object-storage.path", "write.folder-storage.path"];

struct Site {
    catalog: Catalog,
    tenant: Tenant,
}

impl Site {
    /// Creates the namespace `ns` with the table `t`, and `secret` at `ROOT/secret` with its data at `ROOT/secret-data`.
    async fn new() -> Self {
        let catalog = Catalog::new().await;
        let tenant = catalog.tenant("acme", "enterprise").await;
        catalog.with_table(&tenant).await;
        let site = Self { catalog, tenant };
        site.create("secret", Some("secret"), &[("write.data.path", "secret-data")]).await.ok(200);
        site
    }

    fn place(&self, name: &str) -> String {
        format!("file://{}/{}/main/{name}", self.catalog.folder.path().display(), self.tenant.organisation)
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.catalog.post(&self.tenant.key, path, body).await
    }

    fn table(&self, name: &str, location: Option<&str>, paths: &[(&str, &str)]) -> Value {
        let mut table = create_table(name);
        table["location"] = json!(location.map(|name| self.place(name)));
        table["properties"] = paths.iter().map(|(key, name)| ((*key).to_owned(), json!(self.place(name)))).collect();
        table
    }

    async fn create(&self, name: &str, location: Option<&str>, paths: &[(&str, &str)]) -> Answer {
        self.post(TABLES, &self.table(name, location, paths)).await
    }

    /// Commits a property of a table with a location as its value.
    async fn set(&self, table: &str, key: &str, name: &str) -> Answer {
        let update = json!({ "action": "set-properties", "updates": { key: self.place(name) } });
        self.post(&format!("{TABLES}/{table}"), &json!({ "requirements": [], "updates": [update] })).await
    }

    async fn unset(&self, table: &str, key: &str) -> Answer {
        let update = json!({ "action": "remove-properties", "removals": [key] });
        self.post(&format!("{TABLES}/{table}"), &json!({ "requirements": [], "updates": [update] })).await
    }

    async fn drop(&self, table: &str) {
        self.catalog.delete(&self.tenant.key, &format!("{TABLES}/{table}")).await.ok(204);
    }

    async fn load(&self, table: &str) -> Value {
        self.catalog.get(&self.tenant.key, &format!("{TABLES}/{table}")).await.ok(200)
    }

    /// Asserts that a location is refused because it overlaps. The message names the location, but not the other table.
    #[track_caller]
    fn assert_taken(&self, answer: &Answer, name: &str) {
        let message = answer.error(400, "BadRequestException");
        let expected = format!("Location '{}' of ", self.place(name));
        assert!(message.starts_with(&expected) && message.contains("overlaps that of another table"), "{message}");
        assert!(!message.replace(&self.place(name), "").contains("secret"), "{message}");
    }
}

#[tokio::test]
async fn every_request_with_another_tables_location_is_refused() {
    let site = Site::new().await;
    for taken in ["secret", "secret/inner", "secret-data", "secret-data/in/side"] {
        site.assert_taken(&site.create("u", Some(taken), &[]).await, taken);
        let mut staged = site.table("u", Some(taken), &[]);
        staged["stage-create"] = json!(true);
        site.assert_taken(&site.post(TABLES, &staged).await, taken);
        for key in PATHS {
            site.assert_taken(&site.create("u", None, &[(key, taken)]).await, taken);
            site.assert_taken(&site.set("t", key, taken).await, taken);
        }
        let mut staged = site.table("u", None, &[("write.data.path", taken)]);
        staged["stage-create"] = json!(true);
        site.assert_taken(&site.post(TABLES, &staged).await, taken);

        let move_there = json!({ "action": "set-location", "location": site.place(taken) });
        let commit = json!({ "requirements": [], "updates": [move_there] });
        site.assert_taken(&site.post(&format!("{TABLES}/t"), &commit).await, taken);
        let mut part = commit.clone();
        part["identifier"] = json!({ "namespace": ["ns"], "name": "t" });
        let transaction = json!({ "table-changes": [part] });
        site.assert_taken(&site.post("/v1/transactions/commit", &transaction).await, taken);

        let mut view = create_view("v", "select 1");
        view["properties"] = json!({ "write.metadata.path": site.place(taken) });
        site.assert_taken(&site.post("/v1/namespaces/ns/views", &view).await, taken);
    }
    let loaded = site.load("t").await;
    assert_eq!(loaded["metadata"]["metadata-log"], json!([]), "the table is unchanged");
}

#[tokio::test]
async fn location_overlaps_in_every_spelling() {
    let site = Site::new().await;
    for spelling in ["secret-data/", "secret%2Ddata", "secret%2ddata/x", "%73ecret-data", "secret%252Ddata"] {
        let answer = site.set("t", "write.data.path", spelling).await;
        let message = answer.error(400, "BadRequestException");
        assert!(message.contains("overlaps that of another table"), "{spelling}: {message}");
    }
    for odd in ["secret-data/../x", "x%2f..", "x/%252e%252e/secret-data", "x//secret-data", "x%255c"] {
        site.set("t", "write.data.path", odd).await.error(400, "BadRequestException");
    }
    for (key, beside) in PATHS.iter().zip(["secret-data2", "secret-dat", "secret-", "Secret"]) {
        site.set("t", key, beside).await.ok(200);
    }
}

#[tokio::test]
async fn location_is_free_after_its_table_moves_away() {
    let site = Site::new().await;
    site.assert_taken(&site.set("t", "write.data.path", "secret-data").await, "secret-data");
    site.set("secret", "some", "property").await.ok(200);
    site.unset("secret", "write.data.path").await.ok(200);
    site.set("t", "write.data.path", "secret-data").await.ok(200);
    site.assert_taken(&site.create("u", None, &[(PATHS[0], "secret-data/x")]).await, "secret-data/x");
    // The table keeps its own folder.
    let own = site.load("t").await["metadata"]["location"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    site.set("t", "write.metadata.path", &format!("{own}/metadata-here")).await.ok(200);
    site.set("t", "write.object-storage.path", "secret-data/objects").await.ok(200);
}

#[tokio::test]
async fn one_transaction_can_swap_the_locations_of_two_tables() {
    let site = Site::new().await;
    site.set("t", "write.data.path", "t-data").await.ok(200);
    let part = |table: &str, name: &str| {
        json!({ "identifier": { "namespace": ["ns"], "name": table }, "requirements": [], "updates": [
            { "action": "set-properties", "updates": { "write.data.path": site.place(name) } }] })
    };
    let exchange = json!({ "table-changes": [part("t", "secret-data"), part("secret", "t-data")] });
    site.post("/v1/transactions/commit", &exchange).await.ok(204);
    assert_eq!(site.load("t").await["metadata"]["properties"]["write.data.path"], site.place("secret-data"));
    let both = json!({ "table-changes": [part("t", "new"), part("secret", "new/inside")] });
    let message = site.post("/v1/transactions/commit", &both).await.error(400, "BadRequestException");
    assert!(message.contains("overlaps that of another table"), "{message}");
    assert_eq!(site.load("t").await["metadata"]["properties"]["write.data.path"], site.place("secret-data"));
}

#[tokio::test]
async fn dropped_table_keeps_its_locations_until_it_is_removed() {
    let site = Site::new().await;
    let metadata = site.load("secret").await["metadata-location"].clone();
    site.drop("secret").await;
    let held = site.set("t", "write.data.path", "secret-data").await.error(400, "BadRequestException");
    assert!(held.contains("overlaps that of a dropped table") && held.contains("secret-data"), "{held}");
    let dropped = "/management/v1/warehouses/main/dropped";
    let listed = site.catalog.get(&site.tenant.key, dropped).await.ok(200);
    let id = listed["dropped"][0]["id"].as_str().unwrap().to_owned();
    site.post(&format!("{dropped}/{id}/restore"), &json!({})).await.ok(204);
    site.assert_taken(&site.set("t", "write.data.path", "secret-data").await, "secret-data");

    // Registering the metadata takes over all its locations.
    site.drop("secret").await;
    let register = json!({ "name": "again", "metadata-location": metadata });
    site.post("/v1/namespaces/ns/register", &register).await.ok(200);
    site.assert_taken(&site.set("t", "write.data.path", "secret-data").await, "secret-data");
    // An unregistered table has no locations; another may take them.
    site.post(&format!("{TABLES}/again/unregister"), &json!(null)).await.ok(200);
    site.set("t", "write.data.path", "secret-data").await.ok(200);
    let taken = site.post("/v1/namespaces/ns/register", &register).await.error(400, "BadRequestException");
    assert!(taken.contains("overlaps that of another table"), "{taken}");
    let mut over = register.clone();
    over["overwrite"] = json!(true);
    site.create("again", None, &[]).await.ok(200);
    site.post("/v1/namespaces/ns/register", &over).await.error(400, "BadRequestException");
    site.unset("t", "write.data.path").await.ok(200);
    site.post("/v1/namespaces/ns/register", &over).await.ok(200);
}

#[tokio::test]
async fn location_of_another_organisation_gets_the_same_error_as_any_outside() {
    let site = Site::new().await;
    let other = site.catalog.tenant("other", "enterprise").await;
    site.catalog.with_table(&other).await;
    let mut messages = Vec::new();
    for name in ["secret-data", "nobody-has-this"] {
        let update = json!({ "action": "set-properties", "updates": { "write.data.path": site.place(name) } });
        let commit = json!({ "requirements": [], "updates": [update] });
        let refused = site.catalog.post(&other.key, &format!("{TABLES}/t"), &commit).await;
        messages.push(refused.error(400, "BadRequestException").replace(name, "NAME"));
    }
    assert_eq!(messages[0], messages[1], "the message does not tell whether the location is in use");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_concurrent_requests_for_a_location_succeeds() {
    let site = Arc::new(Site::new().await);
    for number in 0..8 {
        site.create(&format!("t{number}"), None, &[]).await.ok(200);
    }
    let asking = (0..16).map(|number: usize| {
        let site = Arc::clone(&site);
        tokio::spawn(async move {
            let place = if number.is_multiple_of(2) { "wanted" } else { "wanted/inside" };
            if number < 8 {
                site.set(&format!("t{number}"), PATHS[number % 4], place).await
            } else {
                site.create(&format!("new{number}"), None, &[(PATHS[number % 4], place)]).await
            }
        })
    });
    let mut done = 0;
    for answer in asking.collect::<Vec<_>>() {
        let answer = answer.await.unwrap();
        if answer.status == 200 {
            done += 1;
        } else {
            assert!(answer.error(400, "BadRequestException").contains("overlaps"));
        }
    }
    // Inner and outer locations exclude each other, so exactly one request succeeds.
    assert_eq!(done, 1);
}

#[tokio::test]
async fn staged_create_is_refused_if_its_location_was_taken_since() {
    let site = Site::new().await;
    let mut staged = site.table("u", Some("free"), &[]);
    staged["stage-create"] = json!(true);
    site.post(TABLES, &staged).await.ok(200);
    site.set("t", "write.data.path", "free/inside").await.ok(200);
    let creation = json!({ "requirements": [{ "type": "assert-create" }], "updates": [
        { "action": "add-schema", "schema": create_table("u")["schema"] },
        { "action": "set-current-schema", "schema-id": -1 },
        { "action": "set-location", "location": site.place("free") }] });
    site.assert_taken(&site.post(&format!("{TABLES}/u"), &creation).await, "free");
    site.unset("t", "write.data.path").await.ok(200);
    site.post(&format!("{TABLES}/u"), &creation).await.ok(200);
}
