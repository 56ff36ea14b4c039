//! `/management/v1/status`, `tiers`, `settings` and `reload`

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tidewater::admin::Reloaded;
use tidewater::api::Machine;
use tidewater::background::Stage;
use tidewater::base::secret::Secret;
use tidewater::config::SettingChange;
use tidewater_core::access::Role;

use crate::support::{Catalog, is_postgres};

#[tokio::test]
async fn status_is_shown_to_local_user_and_operator() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let operator = catalog.operator().await;
    let told = catalog.machine(Method::GET, "/management/v1/status", &Value::Null).await.ok(200);
    assert_eq!((&told["process"], &told["version"]), (&json!(std::process::id()), &json!(env!("CARGO_PKG_VERSION"))));
    assert_eq!(told["tiers"]["tiny"]["requests-per-day"], 5);
    assert!(told["uptime-s"].is_u64(), "{told}");
    assert_eq!(told["background"], json!([]), "this catalog does not serve");
    let part = |name: &str| told["parts"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone();
    assert_eq!((&part("database")["state"], &part("audit")["waiting"]), (&json!("ok"), &json!(0)));
    assert_eq!((&part("master-key")["state"], &part("backups")["state"]), (&json!("ok"), &json!("off")));
    catalog.get(&operator, "/management/v1/status").await.ok(200);
    catalog.get(&tenant.key, "/management/v1/status").await.error(403, "ForbiddenException");
}

#[tokio::test(flavor = "multi_thread")]
async fn status_of_a_serving_catalog_shows_each_background_task() {
    let catalog = Catalog::new().await;
    let (admin, service) = (Arc::clone(catalog.app.admin()), catalog.app.service());
    let (stop, told) = tokio::sync::oneshot::channel::<()>();
    let Catalog { app, folder: _folder } = catalog;
    let ended = tokio::spawn(app.run_until(async move { drop(told.await) }));
    // `keys` runs a minute later.
    let has_run =
        |name: &str| admin.background().states().iter().any(|one| one.name == name && one.last_run_ms.is_some());
    let names = ["usage", "expired-answers", "old-events", "dropped-tables", "metrics-reports", "old-metrics-reports"];
    while !names.iter().all(|name| has_run(name)) {
        tokio::task::yield_now().await;
    }
    let mut request = Request::builder().uri("/management/v1/status").body(Body::empty()).unwrap();
    request.extensions_mut().insert(Machine { user: "root".into() });
    let answer = service.handle(request).await.into_body().collect().await.unwrap().to_bytes();
    let told: Value = serde_json::from_slice(&answer).unwrap();
    let tasks = told["background"].as_array().unwrap();
    assert_eq!(tasks.len(), 18, "{told}");
    for task in tasks {
        assert_eq!((&task["failures"], &task["last-error"]), (&json!(0), &Value::Null), "{task}");
        assert!(task["next-run-ms"].is_i64() || task["running-since-ms"].is_i64(), "{task}");
    }
    stop.send(()).unwrap();
    ended.await.unwrap().unwrap();
    assert!(admin.background().states().iter().all(|one| one.stage == Stage::Ended));
}

#[tokio::test]
async fn tiers_are_shown_to_admins_too() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let told = catalog.get(&tenant.key, "/management/v1/tiers").await.ok(200);
    assert_eq!(told["tiers"]["tiny"]["max-tables"], 2);
    let writer = catalog.key(tenant.organisation, Role::Writer, None).await;
    catalog.get(&writer, "/management/v1/tiers").await.error(403, "ForbiddenException");
}

#[tokio::test]
async fn settings_in_force_are_shown_without_secrets() {
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let catalog = Catalog::with(|config| config.storage.master_key = Secret::new(key.to_owned())).await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let operator = catalog.operator().await;
    let told = catalog.get(&operator, "/management/v1/settings").await.ok(200);
    assert_eq!(told["settings"]["storage.master_key"], "***");
    assert_eq!(told["settings"]["listen"], "127.0.0.1:0");
    assert!(!told.to_string().contains(key), "{told}");
    catalog.get(&tenant.key, "/management/v1/settings").await.error(403, "ForbiddenException");
}

#[tokio::test]
async fn reload_reads_the_settings_again_if_the_program_supports_it() {
    let catalog = Catalog::new().await;
    let operator = catalog.operator().await;
    let path = "/management/v1/reload";
    catalog.post(&operator, path, &json!({})).await.error(501, "UnsupportedOperationException");
    let change = SettingChange { setting: "log.level".into(), before: json!("info"), now: json!("debug") };
    let reloaded = Reloaded { taken: vec![change.clone()], needs_restart: Vec::new() };
    catalog.app.admin().set_reload(Arc::new(move || {
        let reloaded = reloaded.clone();
        Box::pin(async move { Ok(reloaded) })
    }));
    let told = catalog.post(&operator, path, &json!({})).await.ok(200);
    assert_eq!(told, json!({ "taken": [change], "needs-restart": [] }));
    for body in [json!({ "config": "/etc/other.toml" }), json!(null), json!([1])] {
        catalog.post(&operator, path, &body).await.error(400, "BadRequestException");
    }
}

#[tokio::test]
async fn signing_keys_are_rotated_and_removed_by_operators() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let operator = catalog.operator().await;
    let path = "/management/v1/signing-keys";
    let first = catalog.get(&operator, path).await.ok(200);
    assert_eq!(first["signing-keys"][0]["state"], "active");
    let rotated = catalog.post(&operator, path, &json!({})).await.ok(200);
    assert_eq!(rotated["signing-keys"].as_array().unwrap().len(), 2);
    assert_eq!(rotated["signing-keys"][0]["state"], "next");
    catalog.post(&operator, path, &json!({ "older": true })).await.error(400, "BadRequestException");
    let before = rotated["signing-keys"][0]["created-ms"].as_i64().unwrap();
    catalog.delete(&operator, path).await.error(400, "BadRequestException");
    catalog.delete(&operator, &format!("{path}?created-before-ms={before}")).await.ok(204);
    assert_eq!(catalog.get(&operator, path).await.ok(200)["signing-keys"].as_array().unwrap().len(), 1);
    catalog.get(&tenant.key, path).await.error(403, "ForbiddenException");
}

#[tokio::test]
async fn backup_is_written_only_for_a_local_user() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let operator = catalog.operator().await;
    let (path, file) = ("/management/v1/backup", catalog.folder.path().join("backup.db"));
    let body = json!({ "file": file });
    for key in [&tenant.key, &operator] {
        catalog.post(key, path, &body).await.error(403, "ForbiddenException");
    }
    let written = catalog.machine(Method::POST, path, &body).await;
    if is_postgres() {
        let message = written.json()["error"]["message"].to_string();
        assert!(message.contains("pg_basebackup") && !file.exists(), "{message}");
        return;
    }
    let lines: Vec<Value> =
        written.bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    let last = lines.last().unwrap();
    assert_eq!((&last["done"], &last["size-bytes"]), (&json!(true), &json!(std::fs::metadata(&file).unwrap().len())));
    assert!(lines[0]["pages-total"].as_u64().unwrap() > 0, "{lines:?}");
    let again = catalog.machine(Method::POST, path, &body).await;
    assert_eq!(again.json()["error"]["code"], 409);
    let relative = catalog.machine(Method::POST, path, &json!({ "file": "backup.db" })).await;
    assert_eq!(relative.json()["error"]["code"], 400);
}

#[tokio::test]
async fn slow_requests_are_shown_to_operators_without_names_and_queries() {
    let catalog = Catalog::with(|config| config.telemetry.slow_request_ms = 1).await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let (path, operator) = ("/management/v1/slow-requests", catalog.operator().await);
    let mut found = Value::Null;
    // A creation writes to the database: sooner or later one takes a millisecond.
    for number in 0.. {
        let namespace = json!({ "namespace": [format!("hidden{number}")] });
        catalog.post(&tenant.key, "/v1/main/namespaces?hidden=1", &namespace).await.ok(200);
        let told = catalog.get(&operator, path).await.ok(200);
        assert_eq!(told["threshold-ms"], 1);
        let mut all = told["slow-requests"].as_array().unwrap().iter();
        if let Some(one) = all.find(|one| one["method"] == "POST" && one["organisation"] == "acme") {
            found = one.clone();
            break;
        }
    }
    assert!(found["duration-ms"].as_u64().unwrap() >= 1 && found["request-id"].is_string(), "{found}");
    assert!(!found.to_string().contains("hidden"), "{found}");
    catalog.get(&tenant.key, path).await.error(403, "ForbiddenException");
    let off = Catalog::with(|config| config.telemetry.slow_request_ms = 0).await;
    let told = off.machine(Method::GET, path, &Value::Null).await.ok(200);
    assert_eq!(told, json!({ "threshold-ms": null, "slow-requests": [] }));
}
