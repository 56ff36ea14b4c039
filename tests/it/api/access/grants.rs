//! Tests of grants: every privilege, without and with a grant on the object, on the objects around it, and on a sibling.

use axum::http::{Method, Request};
use serde_json::{Value, json};
use tidewater_core::access::{Privilege, Securable, SecurableKind};

use super::team::{NAMESPACE, TABLE, Team, VIEW, namespace};
use crate::support::{Answer, Catalog, create_table, create_view};

/// A request that needs a privilege on an object in `a.b`. `beside` is another privilege that it needs.
struct Probe {
    privilege: Privilege,
    beside: Option<Privilege>,
    method: Method,
    path: &'static str,
    body: Value,
}

fn probe(privilege: Privilege, method: Method, path: &'static str, body: Value) -> Probe {
    Probe { privilege, beside: None, method, path, body }
}

fn probes() -> Vec<Probe> {
    use Privilege as P;
    let (get, head, post, delete) = (Method::GET, Method::HEAD, Method::POST, Method::DELETE);
    let properties = || json!({ "updates": { "k": "v" } });
    let commit = || json!({ "requirements": [], "updates": [{ "action": "set-properties", "updates": { "k": "v" } }] });
    let report = || {
        json!({ "report-type": "scan-report", "table-name": "t", "snapshot-id": 1, "filter": true,
        "schema-id": 0, "projected-field-ids": [], "projected-field-names": [], "metrics": {} })
    };
    const PROPERTIES: &str = "/v1/namespaces/a%1Fb/properties";
    const TABLES: &str = "/v1/namespaces/a%1Fb/tables";
    const VIEWS: &str = "/v1/namespaces/a%1Fb/views";
    const METRICS: &str = "/v1/namespaces/a%1Fb/tables/t/metrics";
    const EMPTY: &str = "/v1/namespaces/a%1Fb%1Fempty";
    let purge = Probe {
        beside: Some(P::TableDrop),
        ..probe(P::TableWriteData, delete.clone(), "/v1/namespaces/a%1Fb/tables/t?purgeRequested=true", Value::Null)
    };
    vec![
        probe(P::CatalogManageAccess, head.clone(), TABLE, Value::Null),
        probe(P::CatalogManageAccess, head.clone(), VIEW, Value::Null),
        probe(P::CatalogManageContent, post.clone(), METRICS, report()),
        probe(P::CatalogManageMetadata, post.clone(), TABLE, commit()),
        probe(P::CatalogReadProperties, get.clone(), "/v1/config", Value::Null),
        probe(P::CatalogWriteProperties, get.clone(), "/v1/config", Value::Null),
        probe(P::NamespaceCreate, post.clone(), "/v1/namespaces", json!({ "namespace": ["a", "b", "new"] })),
        probe(P::NamespaceDrop, delete.clone(), EMPTY, Value::Null),
        probe(P::NamespaceList, head.clone(), NAMESPACE, Value::Null),
        probe(P::NamespaceReadProperties, get.clone(), NAMESPACE, Value::Null),
        probe(P::NamespaceWriteProperties, post.clone(), PROPERTIES, properties()),
        probe(P::NamespaceFullMetadata, post.clone(), PROPERTIES, properties()),
        probe(P::TableCreate, post.clone(), TABLES, create_table("new")),
        probe(P::TableDrop, delete.clone(), TABLE, Value::Null),
        probe(P::TableList, head.clone(), TABLE, Value::Null),
        probe(P::TableReadProperties, get.clone(), TABLE, Value::Null),
        probe(P::TableWriteProperties, post.clone(), TABLE, commit()),
        probe(P::TableReadData, post.clone(), METRICS, report()),
        purge,
        probe(P::TableFullMetadata, post.clone(), TABLE, commit()),
        probe(P::ViewCreate, post.clone(), VIEWS, create_view("new", "select 2")),
        probe(P::ViewDrop, delete.clone(), VIEW, Value::Null),
        probe(P::ViewList, head, VIEW, Value::Null),
        probe(P::ViewReadProperties, get, VIEW, Value::Null),
        probe(
            P::ViewWriteProperties,
            post,
            VIEW,
            json!({ "requirements": [], "updates": [{ "action": "set-properties", "updates": { "k": "v" } }] }),
        ),
        probe(P::ViewFullMetadata, delete, VIEW, Value::Null),
    ]
}

impl Probe {
    async fn ask(&self, team: &Team<'_>) -> Answer {
        team.ask(self.method.clone(), self.path, &self.body).await
    }

    /// Returns the objects of the request on which the privilege can be granted: its own and those around it.
    async fn covering(&self, team: &Team<'_>) -> Vec<(&'static str, Securable)> {
        let b = namespace(&["a", "b"]);
        let (table, view) = (team.table(&b, "t").await, team.table(&b, "v").await);
        let mut all = vec![("warehouse", Securable::Warehouse)];
        let kinds = self.privilege.securables();
        if kinds.contains(&SecurableKind::Namespace) {
            all.extend([("parent", Securable::Namespace(namespace(&["a"]))), ("namespace", Securable::Namespace(b))]);
        }
        if kinds.contains(&SecurableKind::Table) && self.path.contains("/tables/t") {
            all.push(("table", Securable::Table(table, None)));
        }
        if kinds.contains(&SecurableKind::View) && self.path.contains("/views/v") {
            all.push(("view", Securable::View(view, None)));
        }
        all
    }
}

/// Checks for each privilege that a grant on the object or around it allows its request, and that a grant on a sibling does not.
#[tokio::test]
async fn request_is_refused_without_its_privilege_and_allowed_with_it() {
    let catalog = Catalog::new().await;
    let mut tried = std::collections::BTreeSet::new();
    for probe in probes() {
        tried.insert(probe.privilege);
        for at in 0.. {
            let team = Team::new(&catalog).await;
            let covering = probe.covering(&team).await;
            let Some((name, on)) = covering.into_iter().nth(at) else { break };
            let what = format!("{} for {} {} on the {name}", probe.privilege, probe.method, probe.path);
            if let Some(beside) = probe.beside {
                team.grant(on.clone(), beside).await;
            }
            let refused = probe.ask(&team).await;
            assert!([403, 404].contains(&refused.status.as_u16()), "without {what}: {}", refused.status);
            if probe.privilege.securables().contains(&SecurableKind::Namespace) {
                team.grant_on(&["a", "bc"], probe.privilege).await;
                let refused = probe.ask(&team).await;
                assert!([403, 404].contains(&refused.status.as_u16()), "on a sibling, {what}: {}", refused.status);
            }
            team.grant(on, probe.privilege).await;
            let allowed = probe.ask(&team).await;
            assert!(
                allowed.status.is_success(),
                "with {what}: {} {}",
                allowed.status,
                String::from_utf8_lossy(&allowed.bytes)
            );
            team.revoke_all().await;
            let refused = probe.ask(&team).await;
            let is_own =
                probe.path.ends_with("/tables") || probe.path.ends_with("/views") || probe.path == "/v1/namespaces";
            assert!(is_own || [403, 404].contains(&refused.status.as_u16()), "after {what}: {}", refused.status);
        }
    }
    assert_eq!(tried.len(), Privilege::ALL.len(), "every privilege has a probe");
}

#[tokio::test]
async fn principal_without_grants_gets_404_as_for_missing_objects() {
    let catalog = Catalog::new().await;
    let team = Team::new(&catalog).await;
    for path in
        ["/v1/config?warehouse=lake", "/v1/lake/namespaces", "/v1/lake/namespaces/a", "/v1/lake/namespaces/a/tables"]
    {
        let unknown = team.get(&path.replace("lake", "nope")).await.json().to_string();
        let hidden = team.get(path).await;
        assert_eq!(hidden.status, 404, "{path}");
        assert_eq!(hidden.json().to_string().replace("lake", "nope"), unknown, "{path}");
    }
    team.grant_on(&["a", "bc"], Privilege::TableReadProperties).await;
    let (hidden, unknown) = (team.get(TABLE).await, team.get("/v1/namespaces/a%1Fb/tables/x").await);
    assert_eq!((hidden.status.as_u16(), unknown.status.as_u16()), (404, 404));
    assert_eq!(hidden.json().to_string().replace("a.b.t", "a.b.x"), unknown.json().to_string());
    assert_eq!(hidden.json()["error"]["type"], "NoSuchTableException");
}

#[tokio::test]
async fn refusal_on_a_visible_object_names_the_missing_privilege() {
    let catalog = Catalog::new().await;
    let team = Team::new(&catalog).await;
    team.grant_on(&["a", "b"], Privilege::TableReadProperties).await;
    let refused = team.ask(Method::DELETE, TABLE, &Value::Null).await;
    let message = refused.error(403, "ForbiddenException");
    assert!(message.contains("TABLE_DROP") && message.contains("table 'a.b.t'"), "{message}");
}

async fn names(team: &Team<'_>, path: &str, field: &str) -> Vec<String> {
    let list = team.get(path).await.ok(200);
    let text = |one: &Value| one.get("name").map_or_else(|| one.to_string(), |name| name.as_str().unwrap().to_owned());
    list[field].as_array().unwrap().iter().map(text).collect()
}

#[tokio::test]
async fn list_omits_hidden_objects_and_its_pages_are_stable() {
    let catalog = Catalog::new().await;
    let team = Team::new(&catalog).await;
    let (b, admin) = (namespace(&["a", "b"]), &team.admin);
    for name in ["t1", "t2", "t3", "t4", "t5"] {
        catalog.post(admin, "/v1/namespaces/a%1Fb/tables", &create_table(name)).await.ok(200);
    }
    for name in ["t1", "t3", "t5"] {
        team.grant(Securable::Table(team.table(&b, name).await, None), Privilege::TableList).await;
    }
    assert_eq!(names(&team, "/v1/namespaces", "namespaces").await, ["[\"a\"]"]);
    assert_eq!(names(&team, "/v1/namespaces?parent=a", "namespaces").await, ["[\"a\",\"b\"]"]);
    const TABLES: &str = "/v1/namespaces/a%1Fb/tables";
    assert_eq!(names(&team, TABLES, "identifiers").await, ["t1", "t3", "t5"]);
    assert_eq!(names(&team, "/v1/namespaces/a%1Fb/views", "identifiers").await, [""; 0]);
    team.get("/v1/namespaces/a%1Fbc/tables").await.error(404, "NoSuchNamespaceException");

    let first = team.get(&format!("{TABLES}?pageToken=&pageSize=2")).await.ok(200);
    assert_eq!(first["identifiers"].as_array().unwrap().len(), 2);
    let token = first["next-page-token"].as_str().unwrap();
    // A change before the token does not move the entries after it.
    catalog.delete(admin, &format!("{TABLES}/t1")).await;
    let rest = names(&team, &format!("{TABLES}?pageToken={token}&pageSize=2"), "identifiers").await;
    assert_eq!(rest, ["t5"]);
    team.grant_on(&["a", "b"], Privilege::TableList).await;
    assert_eq!(names(&team, TABLES, "identifiers").await, ["t", "t2", "t3", "t4", "t5"]);
}

#[tokio::test]
async fn creator_owns_its_table_and_sees_it_without_grants() {
    let catalog = Catalog::new().await;
    let team = Team::new(&catalog).await;
    team.grant_on(&["a", "b"], Privilege::TableCreate).await;
    team.ask(Method::POST, "/v1/namespaces/a%1Fb/tables", &create_table("own")).await.ok(200);
    assert_eq!(team.owned(&["a", "b"]).await, ["own"]);
    const OWN: &str = "/v1/namespaces/a%1Fb/tables/own";
    let commit = json!({ "requirements": [], "updates": [{ "action": "set-properties", "updates": { "k": "v" } }] });
    team.ask(Method::POST, OWN, &commit).await.ok(200);
    team.get(TABLE).await.error(403, "ForbiddenException");
    team.revoke_all().await;
    team.get(OWN).await.ok(200);
    assert_eq!(names(&team, "/v1/namespaces/a%1Fb/tables", "identifiers").await, ["own"]);
    team.get(TABLE).await.error(404, "NoSuchTableException");
    assert_eq!(team.ask(Method::DELETE, &format!("{OWN}?purgeRequested=true"), &Value::Null).await.status, 204);
}

#[tokio::test]
async fn table_moved_out_of_a_granted_namespace_is_hidden_and_keeps_its_own_grants() {
    let catalog = Catalog::new().await;
    let team = Team::new(&catalog).await;
    team.grant_on(&["a", "b"], Privilege::TableReadData).await;
    team.get(TABLE).await.ok(200);
    let rename = json!({ "source": { "namespace": ["a", "b"], "name": "t" },
                         "destination": { "namespace": ["a", "bc"], "name": "moved" } });
    assert_eq!(catalog.post(&team.admin, "/v1/tables/rename", &rename).await.status, 204);
    const MOVED: &str = "/v1/namespaces/a%1Fbc/tables/moved";
    team.get(MOVED).await.error(404, "NoSuchTableException");
    team.get(TABLE).await.error(404, "NoSuchTableException");

    let moved = team.table(&namespace(&["a", "bc"]), "moved").await;
    team.grant(Securable::Table(moved, None), Privilege::TableReadData).await;
    team.get(MOVED).await.ok(200);
    assert_eq!(catalog.delete(&team.admin, MOVED).await.status, 204);
    catalog.post(&team.admin, "/v1/namespaces/a%1Fbc/tables", &create_table("moved")).await.ok(200);
    team.get(MOVED).await.error(404, "NoSuchTableException");
}

#[tokio::test]
async fn object_named_in_a_body_needs_its_own_privilege() {
    let catalog = Catalog::new().await;
    let team = Team::new(&catalog).await;
    team.grant_on(&["a", "b"], Privilege::CatalogManageContent).await;
    let table = |namespace: &str, name: &str| json!({ "namespace": ["a", namespace], "name": name });
    let rename = |from: Value, to: Value| json!({ "source": from, "destination": to });
    let away = team.ask(Method::POST, "/v1/tables/rename", &rename(table("b", "t"), table("bc", "stolen"))).await;
    away.error(404, "NoSuchNamespaceException");
    let taken = team.ask(Method::POST, "/v1/tables/rename", &rename(table("bc", "t"), table("b", "stolen"))).await;
    taken.error(404, "NoSuchTableException");
    let change = |namespace: &str| {
        json!({ "identifier": table(namespace, "t"), "requirements": [],
        "updates": [{ "action": "set-properties", "updates": { "stolen": "yes" } }] })
    };
    let both = json!({ "table-changes": [change("b"), change("bc")] });
    team.ask(Method::POST, "/v1/transactions/commit", &both).await.error(404, "NoSuchTableException");
    for namespace in ["a%1Fb", "a%1Fbc"] {
        let loaded = catalog.get(&team.admin, &format!("/v1/namespaces/{namespace}/tables/t")).await.ok(200);
        assert!(loaded["metadata"]["properties"].get("stolen").is_none(), "{namespace}");
    }
    let created = team.ask(Method::POST, "/v1/namespaces", &json!({ "namespace": ["a", "bc", "new"] })).await;
    created.error(404, "NoSuchNamespaceException");
}

#[tokio::test]
async fn idempotency_key_of_another_principal_is_another_key() {
    let catalog = Catalog::new().await;
    let team = Team::new(&catalog).await;
    team.grant_on(&["a", "b"], Privilege::TableCreate).await;
    let other = catalog.key(team.organisation, tidewater_core::access::Role::None, None).await;
    team.join(&other).await;
    let key = tidewater::base::clock::fresh_ordered_uuid().to_string();
    let create = async |who: &str| {
        let request = Request::post("/v1/namespaces/a%1Fb/tables")
            .header("authorization", format!("Bearer {who}"))
            .header("content-type", "application/json")
            .header("idempotency-key", &key);
        catalog.send(request.body(create_table("secret").to_string().into()).unwrap()).await
    };
    create(&team.key).await.ok(200);
    create(&team.key).await.ok(200);
    // The request is made again: neither the answer to the other principal nor the use of the key shows.
    create(&other).await.error(409, "AlreadyExistsException");
}

#[tokio::test]
async fn entity_tag_of_another_principal_is_not_answered_304() {
    let catalog = Catalog::new().await;
    let team = Team::new(&catalog).await;
    let tag = catalog.get(&team.admin, TABLE).await.header("etag").to_owned();
    let asked = catalog.with_headers(&team.key, Method::GET, TABLE, &[("if-none-match", &tag)]).await;
    asked.error(404, "NoSuchWarehouseException");
    team.grant_on(&["a", "b"], Privilege::TableList).await;
    let asked = catalog.with_headers(&team.key, Method::GET, TABLE, &[("if-none-match", &tag)]).await;
    asked.error(403, "ForbiddenException");
}

#[tokio::test]
async fn reader_with_a_grant_may_change_only_the_granted_objects() {
    let catalog = Catalog::new().await;
    let team = Team::new(&catalog).await;
    let reader = catalog.key(team.organisation, tidewater_core::access::Role::Reader, None).await;
    team.join(&reader).await;
    catalog.delete(&reader, TABLE).await.error(403, "ForbiddenException");
    team.grant_on(&["a", "b"], Privilege::TableDrop).await;
    let refused = catalog.delete(&reader, "/v1/namespaces/a%1Fbc/tables/t").await.error(403, "ForbiddenException");
    assert!(refused.contains("TABLE_DROP"), "{refused}");
    assert_eq!(catalog.delete(&reader, TABLE).await.status, 204);
}
