//! `GET /management/v1/organisations/{organisation}/audit` and `GET /management/v1/audit`

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};
use tidewater::audit::AuditExport;
use tidewater::auth::key::digest;
use tidewater::base::clock::Clock;
use tidewater::store::Change;
use tidewater_core::access::Role;

use crate::support::{Answer, Catalog, Tenant};

const AUDIT: &str = "/management/v1/organisations/acme/audit";
const TABLE: &str = "/v1/namespaces/ns/tables/t";

/// Returns an organisation's records, the newest first.
async fn records(catalog: &Catalog, tenant: &Tenant, query: &str) -> Vec<Value> {
    catalog.app.audit().write().await.unwrap();
    catalog.get(&tenant.key, &format!("{AUDIT}{query}")).await.ok(200)["records"].as_array().unwrap().clone()
}

/// Returns the records of all, the newest first.
async fn all(catalog: &Catalog, query: &str) -> Vec<Value> {
    catalog.app.audit().write().await.unwrap();
    let path = format!("/management/v1/audit{query}");
    let listed = catalog.machine(Method::GET, &path, &Value::Null).await.ok(200);
    listed["records"].as_array().unwrap().clone()
}

async fn sign_in(catalog: &Catalog, key: &str) -> Answer {
    let form = format!("grant_type=client_credentials&client_secret={key}");
    let request = Request::post("/v1/oauth/tokens").header("content-type", "application/x-www-form-urlencoded");
    catalog.send(request.body(Body::from(form)).unwrap()).await
}

#[tokio::test]
async fn refused_change_leaves_a_record_with_actor_object_reason_and_request() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    let reader = catalog.key(tenant.organisation, Role::Reader, None).await;
    let headers = [("x-request-id", "the-drop"), ("user-agent", "spark\u{85}/4.0")];
    catalog.with_headers(&reader, Method::DELETE, TABLE, &headers).await.error(403, "ForbiddenException");
    let found = records(&catalog, &tenant, "?decision=denied").await;
    let [record] = &found[..] else { panic!("{found:?}") };
    for (field, expected) in [
        ("schema-version", json!(1)),
        ("type", json!("refusal")),
        ("actor-type", json!("key")),
        ("role", json!("reader")),
        ("organisation", json!("acme")),
        ("operation", json!("drop-table")),
        ("object", json!("ns.t")),
        ("object-type", json!("table")),
        ("decision", json!("denied")),
        ("reason", json!("role")),
        ("status", json!(403)),
        ("request-id", json!("the-drop")),
        ("user-agent", json!("spark\u{fffd}/4.0")),
    ] {
        assert_eq!(record[field], expected, "{field} of {record}");
    }
    // The second key of the organisation.
    assert!(record["actor"].as_str().unwrap().starts_with("test-"), "{record}");
    assert!(record["message"].as_str().unwrap().contains("reader"), "{record}");
    assert_eq!(record["organisation-id"], json!(tenant.organisation));
}

#[tokio::test]
async fn credential_that_is_no_longer_valid_is_named_and_an_unknown_one_is_anonymous() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let now_ms = Clock::System.now_ms();
    let expired = catalog.key(tenant.organisation, Role::Writer, Some(now_ms - 1_000)).await;
    let revoked = catalog.key(tenant.organisation, Role::Admin, None).await;
    let store = catalog.app.store();
    let (key, _) = store.key_by_digest(&digest(revoked.as_bytes())).await.unwrap().unwrap();
    store.key_revoke(tenant.organisation, key.id, &Change::by_catalog(now_ms)).await.unwrap();
    let last = if tenant.key.ends_with('x') { 'y' } else { 'x' };
    let unknown = format!("{}{last}", &tenant.key[..tenant.key.len() - 1]);
    for credential in [&expired, &revoked, &unknown] {
        catalog.get(credential, TABLE).await.error(401, "NotAuthorizedException");
        assert_eq!(sign_in(&catalog, credential).await.status, 401);
    }
    let named = records(&catalog, &tenant, "?decision=denied").await;
    let text = |record: &Value, field: &str| record[field].as_str().unwrap().to_owned();
    let reasons: Vec<_> =
        named.iter().map(|record| ["operation", "reason", "role"].map(|field| text(record, field))).collect();
    assert_eq!(
        reasons,
        [
            ["sign-in", "revoked-key", "admin"],
            ["load-table", "revoked-key", "admin"],
            ["sign-in", "expired-key", "writer"],
            ["load-table", "expired-key", "writer"],
        ]
    );
    assert_eq!(named[0]["actor-id"], json!(key.id));
    let anonymous = all(&catalog, "?actor=anonymous").await;
    assert_eq!(anonymous.len(), 2, "{anonymous:?}");
    assert!(anonymous.iter().all(|record| record["organisation-id"].is_null() && record["decision"] == "denied"));
    let text = json!(all(&catalog, "?page-size=1000").await).to_string();
    for secret in [&expired, &revoked, &unknown, &tenant.key] {
        assert!(!text.contains(&secret[4..]), "a record has a secret: {text}");
    }
}

#[tokio::test]
async fn sign_in_with_a_key_leaves_a_record() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    sign_in(&catalog, &tenant.key).await.ok(200);
    let found = records(&catalog, &tenant, "?type=sign-in").await;
    let [record] = &found[..] else { panic!("{found:?}") };
    assert_eq!((&record["actor"], &record["decision"]), (&json!("test"), &json!("allowed")));
    assert_eq!((&record["operation"], &record["details"]["method"]), (&json!("sign-in"), &json!("key")));
}

#[tokio::test]
async fn hidden_table_leaves_a_record_and_a_missing_one_does_not() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    // Sees the warehouse and one other namespace.
    let stranger = catalog.key(tenant.organisation, Role::None, None).await;
    catalog.post(&tenant.key, "/v1/namespaces", &json!({ "namespace": ["other"] })).await.ok(200);
    let organisation = "/management/v1/organisations/acme";
    let role = format!("{organisation}/warehouses/main/catalog-roles");
    catalog.post(&tenant.key, &format!("{organisation}/principal-roles"), &json!({ "name": "p" })).await.ok(200);
    catalog.post(&tenant.key, &role, &json!({ "name": "c" })).await.ok(200);
    let put = async |path: String, body: &Value| {
        let answer = catalog.bytes(&tenant.key, Method::PUT, &path, body.to_string()).await;
        assert!(answer.status.is_success(), "{answer:?}");
    };
    put(format!("{role}/c/principal-roles/p"), &json!({})).await;
    let grant = json!({ "privilege": "TABLE_READ_DATA", "type": "namespace", "namespace": ["other"] });
    put(format!("{role}/c/grants"), &grant).await;
    let (key, _) = catalog.app.store().key_by_digest(&digest(stranger.as_bytes())).await.unwrap().unwrap();
    put(format!("{organisation}/principal-roles/p/principals/{}", key.id), &json!({})).await;
    let hidden = catalog.get(&stranger, TABLE).await;
    let missing = catalog.get(&stranger, "/v1/namespaces/other/tables/t").await;
    assert_eq!((hidden.status.as_u16(), missing.status.as_u16()), (404, 404));
    let found = records(&catalog, &tenant, "?decision=denied").await;
    let [record] = &found[..] else { panic!("{found:?}") };
    assert_eq!((&record["reason"], &record["object"]), (&json!("hidden"), &json!("ns.t")));
    assert_eq!((&record["status"], &record["operation"]), (&json!(404), &json!("load-table")));
}

#[tokio::test]
async fn repeated_refusals_share_a_record_and_leave_room_for_others() {
    let catalog = Catalog::with(|config| config.audit.queue = 80).await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let reader = catalog.key(tenant.organisation, Role::Reader, None).await;
    for _ in 0..100 {
        catalog.delete(&reader, "/v1/namespaces/ns").await.error(403, "ForbiddenException");
        catalog.get("garbage", TABLE).await;
    }
    catalog.delete(&reader, TABLE).await.error(403, "ForbiddenException");
    let found = records(&catalog, &tenant, "?decision=denied").await;
    let of = |operation: &str| found.iter().filter(|record| record["operation"] == operation).count();
    assert_eq!((of("drop-namespace"), of("drop-table")), (10, 1), "{found:?}");
    assert_eq!(all(&catalog, "?actor=anonymous").await.len(), 10);
    // The rest is counted in one record when the server stops.
    let folder = catalog.stop().await;
    let catalog = Catalog::reopen(folder, |_| ()).await;
    let counts: Vec<_> = records(&catalog, &tenant, "?operation=drop-namespace&decision=denied").await;
    assert_eq!((counts.len(), counts[0]["count"].as_u64()), (11, Some(90)), "{counts:?}");
}

#[tokio::test]
async fn records_beyond_an_organisations_share_of_the_queue_are_counted_as_lost() {
    let catalog = Catalog::with(|config| config.audit.queue = 40).await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    for number in 0..20 {
        let key = catalog.key(tenant.organisation, Role::Reader, None).await;
        catalog.delete(&key, &format!("/v1/namespaces/ns{number}")).await.error(403, "ForbiddenException");
    }
    let lost = records(&catalog, &tenant, "?type=lost").await;
    assert_eq!((lost.len(), &lost[0]["count"]), (1, &json!(10)), "{lost:?}");
    assert_eq!(records(&catalog, &tenant, "?type=refusal").await.len(), 10);
}

#[tokio::test]
async fn changes_and_refusals_are_one_stream_in_pages_newest_first() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let reader = catalog.key(tenant.organisation, Role::Reader, None).await;
    for number in 0..5 {
        catalog.post(&tenant.key, "/v1/namespaces", &json!({ "namespace": [format!("ns{number}")] })).await.ok(200);
        catalog.delete(&reader, &format!("/v1/namespaces/ns{number}")).await.error(403, "ForbiddenException");
    }
    let whole = records(&catalog, &tenant, "?page-size=1000").await;
    let types: BTreeSet<_> = whole.iter().map(|record| record["type"].as_str().unwrap()).collect();
    assert_eq!(types, BTreeSet::from(["change", "refusal"]));
    assert!(whole.is_sorted_by_key(|record| -record["at-ms"].as_i64().unwrap()), "{whole:?}");
    let (mut token, mut paged) = (String::new(), Vec::new());
    loop {
        let page = catalog.get(&tenant.key, &format!("{AUDIT}?page-size=3&page-token={token}")).await.ok(200);
        paged.extend(page["records"].as_array().unwrap().clone());
        match page["next-page-token"].as_str() {
            Some(next) => token = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(paged, whole);
    let ids: BTreeSet<_> = whole.iter().map(|record| record["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), whole.len());
    let change = records(&catalog, &tenant, "?operation=create-namespace&object=ns3").await;
    assert_eq!((change.len(), &change[0]["type"], &change[0]["role"]), (1, &json!("change"), &json!("admin")));
    catalog.get(&tenant.key, &format!("{AUDIT}?page-token=x")).await.error(400, "BadRequestException");
    catalog.get(&tenant.key, &format!("{AUDIT}?type=x")).await.error(400, "BadRequestException");
    catalog.get(&tenant.key, &format!("{AUDIT}?address=x")).await.error(400, "BadRequestException");
}

#[tokio::test]
async fn admin_reads_the_records_of_the_own_organisation_alone() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let other = catalog.tenant("other", "enterprise").await;
    let reader = catalog.key(other.organisation, Role::Reader, None).await;
    catalog.delete(&reader, "/v1/namespaces/ns").await.error(403, "ForbiddenException");
    catalog.get("garbage", TABLE).await;
    assert!(records(&catalog, &tenant, "?decision=denied").await.is_empty());
    catalog.get(&other.key, AUDIT).await.error(404, "NotFoundException");
    catalog.get(&tenant.key, "/management/v1/audit").await.error(403, "ForbiddenException");
    let reasons: Vec<_> =
        all(&catalog, "?decision=denied").await.iter().map(|record| record["reason"].clone()).collect();
    assert_eq!(reasons, ["not-an-operator", "hidden", "malformed-credential", "role"]);
}

#[tokio::test]
async fn reads_are_recorded_only_if_the_settings_say_so() {
    for reads in [false, true] {
        let catalog = Catalog::with(|config| config.audit.reads = reads).await;
        let tenant = catalog.tenant("acme", "enterprise").await;
        catalog.with_table(&tenant).await;
        for _ in 0..5 {
            catalog.get(&tenant.key, TABLE).await.ok(200);
        }
        let found = records(&catalog, &tenant, "?operation=load-table").await;
        assert_eq!(found.len(), usize::from(reads), "{found:?}");
        assert!(found.iter().all(|record| record["type"] == "read" && record["object"] == "ns.t"), "{found:?}");
    }
}

#[tokio::test]
async fn change_has_the_role_and_the_user_agent_in_its_event() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    catalog.with_headers(&tenant.key, Method::DELETE, TABLE, &[("user-agent", "trino/480")]).await.ok(204);
    let events = catalog.get(&tenant.key, "/management/v1/organisations/acme/events").await.ok(200);
    assert_eq!(
        (&events["events"][0]["role"], &events["events"][0]["user-agent"]),
        (&json!("admin"), &json!("trino/480"))
    );
}

#[tokio::test]
async fn with_fail_closed_changes_wait_until_the_file_can_be_written_and_operators_can_repair() {
    let catalog = Catalog::with(|config| config.audit.fail_closed = true).await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    catalog.post(&tenant.key, "/v1/namespaces", &json!({ "namespace": ["metrics"] })).await.ok(200);
    let operator = catalog.operator().await;
    let folder = catalog.folder.path().join("logs");
    let mut settings = (*catalog.app.audit().settings()).clone();
    settings.file.path = folder.join("audit.jsonl");
    catalog.app.audit().set_settings(&settings);
    let export = AuditExport::new(catalog.app.audit());
    assert!(export.run().await.unwrap_err().to_string().contains("audit.jsonl"));
    let namespace = json!({ "namespace": ["new"] });
    let message =
        catalog.post(&tenant.key, "/v1/namespaces", &namespace).await.error(503, "ServiceUnavailableException");
    assert!(message.contains("the export to the file") && message.contains("nothing was changed"), "{message}");
    assert_eq!(sign_in(&catalog, &tenant.key).await.status, 503);
    // The route decides, and not the names in the path.
    let commit = json!({ "requirements": [], "updates": [] });
    for path in ["/v1/namespaces/ns/tables/metrics", "/v1/namespaces/ns/tables/metrics?purgeRequested=true"] {
        catalog.post(&tenant.key, path, &commit).await.error(503, "ServiceUnavailableException");
        catalog.delete(&tenant.key, path).await.error(503, "ServiceUnavailableException");
    }
    catalog.delete(&tenant.key, "/v1/namespaces/metrics").await.error(503, "ServiceUnavailableException");
    catalog.post(&tenant.key, &format!("{TABLE}/sign"), &json!({})).await.error(503, "ServiceUnavailableException");
    let report = catalog.post(&tenant.key, &format!("{TABLE}/metrics"), &json!({})).await;
    assert_ne!(report.status.as_u16(), 503, "a report changes nothing in the catalog");
    catalog.get(&tenant.key, AUDIT).await.error(503, "ServiceUnavailableException");
    // Reads are not recorded, so they are served; operators and the machine repair.
    catalog.get(&tenant.key, TABLE).await.ok(200);
    catalog.get(&operator, "/management/v1/status").await.ok(200);
    catalog.machine(Method::GET, "/management/v1/settings", &Value::Null).await.ok(200);
    std::fs::create_dir(&folder).unwrap();
    export.run().await.unwrap();
    catalog.post(&tenant.key, "/v1/namespaces", &namespace).await.ok(200);
}

#[tokio::test]
async fn export_to_a_file_has_changes_and_refusals_once_and_goes_on_after_a_restart() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let file = catalog.folder.path().join("audit.jsonl");
    let set_up = |catalog: &Catalog| {
        let mut settings = (*catalog.app.audit().settings()).clone();
        settings.file.path.clone_from(&file);
        catalog.app.audit().set_settings(&settings);
        AuditExport::new(catalog.app.audit())
    };
    let export = set_up(&catalog);
    let reader = catalog.key(tenant.organisation, Role::Reader, None).await;
    catalog.delete(&reader, "/v1/namespaces/ns").await.error(403, "ForbiddenException");
    let exported = async |catalog: &Catalog, export: &AuditExport, most: usize| loop {
        catalog.app.audit().write().await.unwrap();
        export.run().await.unwrap();
        let lines = std::fs::read_to_string(&file).unwrap();
        let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        // A shared database shows a record to the export when no older one can appear.
        if lines.len() >= most {
            return lines;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    let first = exported(&catalog, &export, 5).await;
    let operations: Vec<_> = first.iter().map(|line| line["operation"].as_str().unwrap()).collect();
    for operation in ["create-organisation", "create-warehouse", "create-key", "drop-namespace"] {
        assert!(operations.contains(&operation), "{operations:?}");
    }
    // A killed process may have written a part of a line.
    std::fs::write(&file, format!("{}{{\"schema-ver", std::fs::read_to_string(&file).unwrap())).unwrap();
    let catalog = Catalog::reopen(catalog.stop().await, |_| ()).await;
    let export = set_up(&catalog);
    catalog.post(&tenant.key, "/v1/namespaces", &json!({ "namespace": ["new"] })).await.ok(200);
    let all = exported(&catalog, &export, first.len() + 1).await;
    assert_eq!(all[..first.len()], first[..]);
    assert_eq!(all.last().unwrap()["operation"], "create-namespace");
    let ids: BTreeSet<_> = all.iter().map(|line| line["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), all.len(), "{all:?}");
}
