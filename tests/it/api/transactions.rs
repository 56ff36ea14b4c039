//! `POST /v1/transactions/commit`

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::{Answer, Catalog, Tenant, create_table, create_view};

const COMMIT: &str = "/v1/transactions/commit";

fn set(key: &str, value: &str) -> Value {
    json!({ "action": "set-properties", "updates": { key: value } })
}

fn change(table: &str, requirements: &Value, updates: &Value) -> Value {
    let identifier = json!({ "namespace": ["ns"], "name": table });
    json!({ "identifier": identifier, "requirements": requirements, "updates": updates })
}

/// Returns the commit that creates a table, as the last step of a staged create.
fn creation(table: &str, location: Option<&Value>) -> Value {
    let mut updates = vec![
        json!({ "action": "assign-uuid", "uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1" }),
        json!({ "action": "upgrade-format-version", "format-version": 2 }),
        json!({ "action": "add-schema", "schema": create_table(table)["schema"] }),
        json!({ "action": "set-current-schema", "schema-id": -1 }),
    ];
    updates.extend(location.map(|location| json!({ "action": "set-location", "location": location })));
    change(table, &json!([{ "type": "assert-create" }]), &json!(updates))
}

struct Site {
    catalog: Arc<Catalog>,
    tenant: Tenant,
}

impl Site {
    /// Creates the tables `a` and `b`, and the view `v`, in the namespace `ns`.
    async fn new(tier: &str) -> Self {
        let catalog = Arc::new(Catalog::new().await);
        let tenant = catalog.tenant("acme", tier).await;
        let site = Self { catalog, tenant };
        site.post("/v1/namespaces", &json!({ "namespace": ["ns"] })).await.ok(200);
        for table in ["a", "b"] {
            site.post("/v1/namespaces/ns/tables", &create_table(table)).await.ok(200);
        }
        site
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.catalog.post(&self.tenant.key, path, body).await
    }

    async fn transact(&self, changes: &[Value]) -> Answer {
        self.post(COMMIT, &json!({ "table-changes": changes })).await
    }

    async fn load(&self, table: &str) -> Answer {
        self.catalog.get(&self.tenant.key, &format!("/v1/namespaces/ns/tables/{table}")).await
    }

    async fn property(&self, table: &str, key: &str) -> Value {
        self.load(table).await.ok(200)["metadata"]["properties"][key].clone()
    }

    /// Returns the number of files that the catalog has written.
    fn files(&self) -> usize {
        fn count(folder: &Path) -> usize {
            let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            entries.map(|path| if path.is_dir() { count(&path) } else { 1 }).sum()
        }
        count(&self.catalog.folder.path().join(self.tenant.organisation.to_string()))
    }
}

#[tokio::test]
async fn transaction_changes_and_creates_all_its_tables() {
    let site = Site::new("enterprise").await;
    let before = site.load("a").await.ok(200);
    let requirements = json!([{ "type": "assert-table-uuid", "uuid": before["metadata"]["table-uuid"] }]);
    let mut staged = create_table("c");
    staged["stage-create"] = json!(true);
    let staged = site.post("/v1/namespaces/ns/tables", &staged).await.ok(200);
    let answer = site
        .transact(&[
            creation("c", Some(&staged["metadata"]["location"])),
            change("b", &json!([]), &json!([set("k", "b")])),
            change("a", &requirements, &json!([set("k", "a")])),
        ])
        .await;
    assert_eq!((answer.status.as_u16(), answer.bytes.len()), (204, 0));
    assert_eq!((site.property("a", "k").await, site.property("b", "k").await), (json!("a"), json!("b")));
    let created = site.load("c").await.ok(200);
    assert_eq!(created["metadata"]["location"], staged["metadata"]["location"]);
    assert_eq!(created["metadata"]["metadata-log"], json!([]));
    let after = site.load("a").await.ok(200);
    assert_eq!(after["metadata"]["metadata-log"][0]["metadata-file"], before["metadata-location"]);
    // The path with a prefix works, too.
    let body = json!({ "table-changes": [change("a", &json!([]), &json!([set("k", "again")]))] });
    site.post("/v1/main/transactions/commit", &body).await.ok(204);
    assert_eq!(site.property("a", "k").await, "again");
}

#[tokio::test]
async fn transaction_with_one_failed_requirement_changes_nothing_and_names_it() {
    let site = Site::new("enterprise").await;
    site.post("/v1/namespaces/ns/views", &create_view("v", "select 1")).await.ok(200);
    let before = (site.load("a").await.ok(200), site.load("b").await.ok(200), site.files());
    let fine = change("a", &json!([]), &json!([set("k", "v")]));
    let schema = json!([{ "type": "assert-current-schema-id", "current-schema-id": 7 }]);
    let stale = json!([{ "action": "add-snapshot", "snapshot": { "snapshot-id": 1, "parent-snapshot-id": 2,
        "sequence-number": 0, "timestamp-ms": 1, "manifest-list": "file:///m", "schema-id": 0,
        "summary": { "operation": "append" } } }]);
    let cases = [
        (change("b", &schema, &json!([set("k", "v")])), 409, "CommitFailedException", "current schema changed"),
        // The transaction only requires this table, without changing it.
        (change("b", &schema, &json!([])), 409, "CommitFailedException", "current schema changed"),
        (change("b", &json!([]), &stale), 409, "CommitFailedException", "sequence number"),
        (creation("b", None), 409, "CommitFailedException", "table already exists"),
        (creation("v", None), 409, "CommitFailedException", "View with same name already exists: ns.v"),
        (change("v", &json!([]), &json!([])), 404, "NoSuchTableException", "Table does not exist: ns.v"),
        (change("none", &json!([]), &json!([])), 404, "NoSuchTableException", "Table does not exist: ns.none"),
        (
            change("b", &json!([]), &json!([{ "action": "set-location", "location": "file:///elsewhere" }])),
            400,
            "BadRequestException",
            "outside of its warehouse",
        ),
        (
            change("b", &json!([]), &json!([{ "action": "set-current-schema", "schema-id": 9 }])),
            400,
            "BadRequestException",
            "(table ns.b)",
        ),
        (change("b", &json!([{ "type": "assert-x" }]), &json!([])), 400, "BadRequestException", "assert-x"),
    ];
    for (wrong, status, kind, says) in cases {
        for changes in [[fine.clone(), wrong.clone()], [wrong.clone(), fine.clone()]] {
            let message = site.transact(&changes).await.error(status, kind);
            assert!(message.contains(says), "{message}");
            assert!(kind != "CommitFailedException" || message.contains("(table ns."), "{message}");
        }
    }
    assert_eq!((site.load("a").await.ok(200), site.load("b").await.ok(200), site.files()), before);
}

#[tokio::test]
async fn changes_to_one_table_are_applied_in_order() {
    let site = Site::new("enterprise").await;
    let add_column = |id: i32| {
        json!([{ "action": "add-schema", "schema": { "type": "struct", "schema-id": id, "fields": [
            { "id": 1, "name": "id", "required": true, "type": "long" },
            { "id": 2 + id, "name": format!("c{id}"), "required": false, "type": "string" }] } },
            { "action": "set-current-schema", "schema-id": -1 }])
    };
    let current = |id: i32| json!([{ "type": "assert-current-schema-id", "current-schema-id": id }]);
    let files = site.files();
    site.transact(&[
        change("a", &current(0), &add_column(1)),
        change("b", &json!([]), &json!([set("k", "v")])),
        change("a", &current(1), &add_column(2)),
        creation("c", None),
        change("c", &current(0), &json!([set("k", "v")])),
    ])
    .await
    .ok(204);
    let metadata = site.load("a").await.ok(200)["metadata"].clone();
    assert_eq!(metadata["current-schema-id"], 2);
    assert_eq!(metadata["metadata-log"].as_array().unwrap().len(), 1, "the transaction wrote one document");
    assert_eq!(site.property("c", "k").await, "v");
    assert_eq!(site.files(), files + 3);
    // The second commit's requirements are checked against the result of the first.
    let refused =
        site.transact(&[change("a", &current(2), &add_column(3)), change("a", &current(2), &json!([]))]).await;
    assert!(refused.error(409, "CommitFailedException").contains("current schema changed: expected id 2 != 3"));
    let twice = site.transact(&[creation("d", None), creation("d", None)]).await;
    assert!(twice.error(409, "CommitFailedException").contains("table already exists"));
    site.load("d").await.error(404, "NoSuchTableException");
}

#[tokio::test]
async fn tables_that_one_transaction_creates_do_not_overlap() {
    let site = Site::new("enterprise").await;
    let taken = site.load("a").await.ok(200)["metadata"]["location"].as_str().unwrap().to_owned();
    let files = site.files();
    let free = taken.rsplit_once('/').unwrap().0.to_owned() + "/free";
    for [c, d] in [[free.clone(), free.clone()], [free.clone(), free.clone() + "/inner"], [free.clone(), taken]] {
        let overlapping = [creation("c", Some(&json!(c))), creation("d", Some(&json!(d)))];
        let message = site.transact(&overlapping).await.error(400, "BadRequestException");
        assert!(message.contains("overlaps that of another table"), "{message}");
    }
    assert_eq!(site.files(), files);
    site.transact(&[creation("c", Some(&json!(free))), creation("d", Some(&json!(format!("{free}2"))))]).await.ok(204);
}

#[tokio::test]
async fn created_tables_count_towards_the_tiers_limit() {
    // The tier allows two tables.
    let site = Site::new("tiny").await;
    let files = site.files();
    let refused = site.transact(&[change("a", &json!([]), &json!([set("k", "v")])), creation("c", None)]).await;
    assert!(refused.error(403, "ForbiddenException").contains("2 tables"));
    assert_eq!(site.files(), files);
}

#[tokio::test]
async fn malformed_transaction_is_refused() {
    let site = Site::new("enterprise").await;
    for body in [
        json!({}),
        json!([]),
        json!({ "table-changes": [] }),
        json!({ "table-changes": [{ "requirements": [], "updates": [] }] }),
        json!({ "table-changes": [{ "identifier": { "namespace": [], "name": "a" }, "requirements": [], "updates": [] }] }),
    ] {
        site.post(COMMIT, &body).await.error(400, "BadRequestException");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_transactions_and_commits_succeed_without_deadlock() {
    let site = Arc::new(Site::new("enterprise").await);
    let commits = (0..40).map(|n: usize| {
        let site = Arc::clone(&site);
        tokio::spawn(async move {
            let one = |table: &str| change(table, &json!([]), &json!([set(&format!("k{n}"), "v")]));
            match n % 4 {
                // The request may name the tables in any order; the catalog locks them in a fixed one.
                0 => site.transact(&[one("a"), one("b")]).await.ok(204),
                1 => site.transact(&[one("b"), one("a")]).await.ok(204),
                2 => site.post("/v1/namespaces/ns/tables/a", &one("a")).await.ok(200),
                _ => site.post("/v1/namespaces/ns/tables/b", &one("b")).await.ok(200),
            }
        })
    });
    for commit in commits.collect::<Vec<_>>() {
        commit.await.unwrap();
    }
    for table in ["a", "b"] {
        let loaded = site.load(table).await.ok(200);
        let properties = loaded["metadata"]["properties"].as_object().unwrap();
        assert_eq!(properties.keys().filter(|key| key.starts_with('k')).count(), 30);
        let location = loaded["metadata-location"].as_str().unwrap();
        assert!(location.contains("/00030-"), "each commit wrote one document: {location}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn reader_sees_the_tables_before_or_after_a_transaction() {
    let site = Arc::new(Site::new("enterprise").await);
    let writer = {
        let site = Arc::clone(&site);
        tokio::spawn(async move {
            for n in 0..60 {
                let one = |table: &str| change(table, &json!([]), &json!([set("n", &n.to_string())]));
                site.transact(&[one("a"), one("b")]).await.ok(204);
            }
        })
    };
    let number = |value: Value| value.as_str().map_or(-1, |text| text.parse::<i64>().unwrap());
    while !writer.is_finished() {
        // The test reads `b` after `a`, so `b` can be ahead, but never behind.
        let (a, b) = (number(site.property("a", "n").await), number(site.property("b", "n").await));
        assert!(a <= b, "{a} {b}");
    }
    writer.await.unwrap();
}

#[tokio::test]
async fn creation_with_the_name_of_a_view_gets_409() {
    let site = Site::new("enterprise").await;
    site.post("/v1/namespaces/ns/views", &create_view("v", "select 1")).await.ok(200);
    let mut commit = creation("v", None);
    let message = site.transact(std::slice::from_ref(&commit)).await.error(409, "CommitFailedException");
    assert!(message.starts_with("View with same name already exists: ns.v"), "{message}");
    commit.as_object_mut().unwrap().remove("identifier");
    let message = site.post("/v1/namespaces/ns/tables/v", &commit).await.error(409, "CommitFailedException");
    assert_eq!(message, "View with same name already exists: ns.v");
}
