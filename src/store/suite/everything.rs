//! Fills a store with every kind of row, from a seed, and asks it everything: for tests that compare two stores.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use tidewater_core::access::{Privilege, Role, Securable};
use tidewater_core::ids::{CatalogRoleId, KeyId, OrganisationId, PrincipalId, PrincipalRoleId, TableId};
use tidewater_core::location::Location;
use tidewater_core::metrics::ReportKind;
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::upkeep::{MaintenanceOperation, MaintenancePolicy};
use uuid::Uuid;

use super::fixture::{
    NOW_MS, Subject, change, change_at, digest, document, ident, key, keyed, location, organisation, properties,
    signing_key, spread, warehouse,
};
use super::labels::fill_labels;
use super::subscriptions::{letter, subscription};
use crate::base::clock::fresh_uuid;
use crate::store::{
    Actor, Answer, ApiKey, AuditDecision, AuditEntry, AuditFilter, AuditPosition, AuditRecord, AuditType, CatalogRole,
    Change, DeadLetter, Deletion, DropTerms, DroppedFilter, EngineKey, Entity, EventDetails, EventFilter, FeedScope,
    Grant, KeyUsage, MaintenanceRun, NewTable, Operation, Operator, Organisation, OrganisationUpdate, Origin,
    PageRequest, Past, PolicyChange, PolicyObject, PrincipalRole, Progress, Receipt, Report, ReportFilter,
    ReportLimits, RequestDigest, RunDetails, RunFilter, RunOutcome, SecretUpdate, SigningKey, SubscriptionHealth,
    SubscriptionUpdate, Swap, TableKind, TimedPage, UserSignIn, UserUpdate, Warehouse, WarehouseRef, WarehouseStorage,
};

/// Names whose order by bytes is not that of a language, and which need care in texts.
const NAMES: [&str; 12] =
    ["a", "B", "Z z", "é", "e\u{301}", "ß", "\u{10ffff}", "日本", "o'reilly", "back\\slash", "\"quoted\"", "100%_"];

const DAY: i64 = 20_780;
const LARGEST: u64 = i64::MAX as u64;
const UNLIMITED: ReportLimits =
    ReportLimits { per_table: 1_000, per_organisation: 1_000, bytes_per_organisation: 10_000_000 };

/// Numbers from a seed (an LCG with Knuth's constants).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn name(&mut self, number: usize) -> String {
        format!("{}{number}", NAMES[self.below(NAMES.len())])
    }
}

/// Stores objects of every kind, in every state. The seed decides their number and names.
pub(crate) async fn fill(store: &Subject, seed: u64) {
    let mut random = Random(seed);
    fill_catalog(store).await;
    fill_subscriptions(store, FeedScope::All).await;
    for number in 0..=random.below(2) {
        let acme = Organisation { created_ms: -1, ..organisation(&random.name(number)) };
        store.organisation_create(&acme, &change_of(&mut random)).await.unwrap();
        let keys = fill_keys(store, acme.id, &mut random).await;
        let roles = fill_users(store, acme.id).await;
        fill_subscriptions(store, FeedScope::Organisation(acme.id)).await;
        for at in 0..=random.below(2) {
            let warehouse_ref = fill_warehouse(store, acme.id, &format!("lake{at}"), &mut random).await;
            let tables = fill_tables(store, warehouse_ref, keys[0].principal, &mut random).await;
            fill_access(store, warehouse_ref, &keys[0], &roles, &tables).await;
            fill_requests(store, warehouse_ref, &keys, &tables, &mut random).await;
        }
    }
    let deleted = organisation("deleted");
    store.organisation_create(&deleted, &change()).await.unwrap();
    let update = OrganisationUpdate { suspended: Some(true), ..OrganisationUpdate::default() };
    store.organisation_update(deleted.id, &update, &change_at(NOW_MS + 3)).await.unwrap();
    let deletion = Deletion { after_ms: NOW_MS + 9, purge: true };
    store.organisation_delete(deleted.id, deletion, &change()).await.unwrap();
}

/// Returns a change by one of all kinds of actors.
fn change_of(random: &mut Random) -> Change {
    let name: Arc<str> = random.name(0).into();
    let id = KeyId(fresh_uuid());
    let actor = match random.below(6) {
        0 => Actor::Key { id, name },
        1 => Actor::User { id: PrincipalId(id.0), name },
        2 => Actor::Operator { id, name },
        3 => Actor::CommandLine(Some(name)),
        4 => Actor::Catalog,
        _ => Actor::Through {
            actor: Box::new(Actor::User { id: PrincipalId(id.0), name: Arc::clone(&name) }),
            engine: EngineKey { id, name },
        },
    };
    let client = (random.below(2) == 0).then(|| "2001:db8::1".parse().unwrap());
    Change { request_id: Some("request-1".into()), client, ..Change::by(actor, NOW_MS + 7) }
}

async fn fill_catalog(store: &Subject) {
    for at in [1, 2] {
        let id = KeyId(fresh_uuid());
        let (name, digest) = ("ops".to_owned(), digest(id.0.as_u128()));
        let new = Operator { id, name, digest, created_ms: NOW_MS + at, last_used_ms: None, revoked_ms: None };
        store.operator_create(&new, &change()).await.unwrap();
        store.operator_touch(&[(id, NOW_MS + 5)]).await.unwrap();
        if at == 1 {
            store.operator_revoke(id, &change()).await.unwrap();
        }
    }
    store.signing_key_add(&signing_key("second", NOW_MS), false, &change()).await.unwrap();
    store.signing_key_add(&signing_key("First", NOW_MS - 1), false, &change()).await.unwrap();
    store.master_key_set([3; 16], true).await.unwrap();
}

/// Stores a plain key, a revoked one and a rotated one.
async fn fill_keys(store: &Subject, organisation: OrganisationId, random: &mut Random) -> Vec<ApiKey> {
    let plain = ApiKey { expires_ms: Some(NOW_MS * 2), no_delete: true, ..key(organisation, &random.name(1)) };
    let engine = ApiKey { acts_for_users: true, ..key(organisation, &random.name(2)) };
    let rotated = key(organisation, &random.name(3));
    let keys = vec![plain, engine, rotated];
    for key in &keys {
        store.key_create(key, &change_of(random)).await.unwrap();
    }
    store.key_revoke(organisation, keys[1].id, &change_at(NOW_MS + 2)).await.unwrap();
    let next = ApiKey { principal: keys[2].principal, ..key(organisation, &keys[2].name) };
    store.key_rotate(keys[2].id, NOW_MS + 100, &next, &change()).await.unwrap();
    store.key_touch(&[(keys[0].id, NOW_MS + 4)]).await.unwrap();
    keys
}

/// Stores users with roles of groups, one of them disabled. Returns the principal roles.
async fn fill_users(store: &Subject, organisation: OrganisationId) -> Vec<PrincipalRoleId> {
    let mut roles = Vec::new();
    for name in ["analysts", "Étl"] {
        let new = PrincipalRole { id: PrincipalRoleId(fresh_uuid()), name: name.to_owned(), created_ms: NOW_MS };
        store.principal_role_create(organisation, &new, &change()).await.unwrap();
        roles.push(new.id);
    }
    for (at, subject) in ["ann", "bob"].into_iter().enumerate() {
        let sign_in = UserSignIn {
            organisation,
            issuer: "https://sso.example.com".to_owned(),
            subject: subject.to_owned(),
            new_id: PrincipalId(fresh_uuid()),
            name: format!("{subject} \u{1f30a}"),
            email: (at == 0).then(|| format!("{subject}@example.com")),
            role: Role::Reader,
            principal_roles: vec!["analysts".to_owned(), "fresh".to_owned()],
            create_roles: true,
            issued_ms: NOW_MS,
        };
        let user = store.user_sign_in(&sign_in, &change()).await.unwrap();
        store.user_touch(&[(organisation, user.id, NOW_MS + 6)]).await.unwrap();
        let update = UserUpdate { disabled: Some(at == 1), no_delete: Some(at == 0) };
        store.user_update(organisation, user.id, update, &change()).await.unwrap();
    }
    roles
}

async fn fill_warehouse(
    store: &Subject,
    organisation: OrganisationId,
    name: &str,
    random: &mut Random,
) -> WarehouseRef {
    let sealed_credentials = (random.below(2) == 0).then(|| vec![0, 1, 255, 0]);
    let storage = WarehouseStorage { sealed_credentials, ..WarehouseStorage::local() };
    let new = Warehouse { storage, ..warehouse(organisation, name) };
    store.warehouse_create(&new, &change_of(random)).await.unwrap();
    WarehouseRef { organisation, warehouse: new.id }
}

/// Stores namespaces with tables and views, moves pointers, and drops some of them. Returns the live ones.
async fn fill_tables(
    store: &Subject,
    warehouse_ref: WarehouseRef,
    owner: PrincipalId,
    random: &mut Random,
) -> Vec<(TableIdent, TableId, TableKind)> {
    let owned = Change::by(Actor::Key { id: KeyId(owner.0), name: "etl".into() }, NOW_MS);
    let (mut live, mut levels) = (Vec::new(), Vec::new());
    for depth in 0..=random.below(4) {
        levels.push(random.name(depth));
        let namespace = NamespaceIdent::new(&levels).unwrap();
        let set = properties(&[("owner", "ann \u{1f30a}"), ("nul", "\0"), ("empty", "")]);
        store.namespace_create(warehouse_ref, &namespace, &set, &owned).await.unwrap();
        for at in 0..6 {
            let kind = if at % 3 == 0 { TableKind::View } else { TableKind::Table };
            let ident = ident(&namespace, &random.name(at));
            let id = create(store, warehouse_ref, &ident, kind, &owned).await;
            move_pointer(store, warehouse_ref, id).await;
            match at {
                4 => drop_table(store, warehouse_ref, &ident, id, kind, depth).await,
                5 => {
                    let to = super::fixture::ident(&namespace, &format!("renamed {depth}"));
                    store.table_rename(warehouse_ref, &ident, id, &to, kind, &change()).await.unwrap();
                    live.push((to, id, kind));
                }
                _ => live.push((ident, id, kind)),
            }
        }
    }
    live
}

async fn create(
    store: &Subject,
    warehouse_ref: WarehouseRef,
    ident: &TableIdent,
    kind: TableKind,
    change: &Change,
) -> TableId {
    let id = TableId(fresh_uuid());
    let other = format!("s3://other/%C3%A9/{id}");
    let locations = spread(&location(id), &[&other]);
    let (metadata_location, details) = (document(0), EventDetails::new());
    let new = NewTable {
        id,
        ident,
        kind,
        metadata_location: &metadata_location,
        locations: &locations,
        origin: Origin::Foreign,
        details: &details,
    };
    store.table_create(warehouse_ref, &new, None, change).await.unwrap();
    id
}

async fn move_pointer(store: &Subject, warehouse_ref: WarehouseRef, id: TableId) {
    let documents = vec![Location::parse(&format!("{}/metadata/old.json", location(id))).unwrap()];
    let other = format!("s3://other/%C3%A9/{id}");
    let swap = Swap {
        id,
        ident: None,
        expected: &document(0),
        new: &document(1),
        locations: &spread(&location(id), &[&other]),
        origin: Origin::Catalog,
        past: &Past::Removed { documents, due_ms: NOW_MS + 50 },
        details: &[("snapshot-id".to_owned(), i64::MAX.into()), ("nul".to_owned(), "\0".into())].into_iter().collect(),
    };
    store.table_swap(warehouse_ref, &swap, &change()).await.unwrap();
}

/// Drops a table. The number decides its state.
async fn drop_table(
    store: &Subject,
    warehouse_ref: WarehouseRef,
    ident: &TableIdent,
    id: TableId,
    kind: TableKind,
    number: usize,
) {
    let terms = DropTerms { restorable_until_ms: NOW_MS - 1, purge: number > 0 };
    store.table_drop(warehouse_ref, ident, id, kind, Some(&terms), &change()).await.unwrap();
    if number == 1 {
        for job in store.dropped_claim(NOW_MS, NOW_MS + 100, 9).await.unwrap() {
            let blocked = Progress::Blocked { message: "unreadable".to_owned() };
            let (organisation, id) = (job.warehouse_ref.organisation, job.id);
            assert!(store.dropped_progress(organisation, id, job.attempts, &blocked, &change()).await.unwrap());
        }
    }
}

/// Stores roles, assignments, grants on every kind of object, and properties of entities.
async fn fill_access(
    store: &Subject,
    warehouse_ref: WarehouseRef,
    key: &ApiKey,
    roles: &[PrincipalRoleId],
    tables: &[(TableIdent, TableId, TableKind)],
) {
    let organisation = warehouse_ref.organisation;
    let new = CatalogRole { id: CatalogRoleId(fresh_uuid()), name: "readers".to_owned(), created_ms: NOW_MS };
    store.catalog_role_create(warehouse_ref, &new, &change()).await.unwrap();
    for role in roles {
        store.catalog_role_assign(warehouse_ref, new.id, *role, true, &change()).await.unwrap();
        store.principal_role_assign(organisation, *role, key.principal, true, &change()).await.unwrap();
    }
    let mut grants = vec![(Securable::Warehouse, Privilege::CatalogReadProperties)];
    for (ident, id, kind) in tables {
        grants.push((Securable::Namespace(ident.namespace.clone()), Privilege::TableList));
        grants.push(match kind {
            TableKind::Table => (Securable::Table(*id, None), Privilege::TableReadData),
            TableKind::View => (Securable::View(*id, None), Privilege::ViewReadProperties),
        });
    }
    for (on, privilege) in grants {
        store.grant_add(warehouse_ref, new.id, &Grant { on, privilege }, 1_000, &change()).await.unwrap();
    }
    let restriction = r#"{"masks":{"1":"show-last-4"},"others":"plan"}"#;
    let restriction = tidewater_core::restrictions::Restriction::parse(restriction).unwrap();
    for (_, id, _) in tables.iter().filter(|(.., kind)| *kind == TableKind::Table) {
        store.restriction_set(warehouse_ref, (*id, roles[0]), &restriction, 1_000, &change()).await.unwrap();
    }
    store.trusted_engine_set(organisation, key.principal, true, &change()).await.unwrap();
    for entity in entities(warehouse_ref, key.principal, roles[0], new.id) {
        let properties: BTreeMap<_, _> = properties(&[("team", "ß")]);
        store.entity_set_properties(organisation, entity, None, &properties, &change()).await.unwrap();
    }
}

const fn entities(
    warehouse_ref: WarehouseRef,
    principal: PrincipalId,
    role: PrincipalRoleId,
    catalog_role: CatalogRoleId,
) -> [Entity; 4] {
    [
        Entity::Warehouse(warehouse_ref.warehouse),
        Entity::Principal(principal),
        Entity::PrincipalRole(role),
        Entity::CatalogRole(warehouse_ref.warehouse, catalog_role),
    ]
}

/// Stores a failing subscription with a previous secret and two dead letters, and a plain one.
async fn fill_subscriptions(store: &Subject, scope: FeedScope) {
    for (name, until_ms) in [("plain", None), ("failing", Some(NOW_MS + 9))] {
        let new = subscription(scope, name);
        store.subscription_create(&new, 9, &change()).await.unwrap();
        let Some(until_ms) = until_ms else { continue };
        let update = SubscriptionUpdate {
            disabled: Some(true),
            secret: Some(SecretUpdate::Rotate { sealed: vec![0, 255], until_ms }),
            ..SubscriptionUpdate::default()
        };
        let operation = Operation::RotateSubscription;
        store.subscription_update(scope, new.id, &update, operation, &change()).await.unwrap();
        let health = SubscriptionHealth {
            delivered_ms: Some(NOW_MS),
            failing_since_ms: Some(NOW_MS + 1),
            last_error: Some("é".to_owned()),
        };
        store.subscription_note(scope, new.id, &health).await.unwrap();
        for event in ["a", "b"] {
            let letter = DeadLetter { replay: event == "b", ..letter(&new, event, NOW_MS) };
            store.dead_letter_add(&letter, 9).await.unwrap();
        }
    }
}

/// Stores receipts with every kind of answer, usage and reports.
async fn fill_requests(
    store: &Subject,
    warehouse_ref: WarehouseRef,
    keys: &[ApiKey],
    tables: &[(TableIdent, TableId, TableKind)],
    random: &mut Random,
) {
    let organisation = warehouse_ref.organisation;
    let receipt = || Receipt {
        principal: keys[0].principal,
        key: fresh_uuid(),
        request: RequestDigest([9; 32]),
        expires_ms: NOW_MS + 1_000,
    };
    let refusal = Answer::Refusal { status: 404, body: "{\"error\":{}}".to_owned() };
    for answer in [Answer::Done, Answer::document("s3://b/m.json", tables[0].1), refusal] {
        store.receipt_add(organisation, &receipt(), &answer, NOW_MS).await.unwrap();
    }
    let namespace = NamespaceIdent::new(&[&random.name(77)]).unwrap();
    store.namespace_create(warehouse_ref, &namespace, &BTreeMap::new(), &keyed(&receipt())).await.unwrap();
    store.usage_take(organisation, DAY, 5, None).await.unwrap();
    store.usage_take(organisation, DAY + 1, LARGEST, None).await.unwrap();
    for key in keys {
        let usage = [KeyUsage { organisation, day: DAY, key: key.id, requests: 7 }];
        store.key_usage_add(&usage).await.unwrap();
    }
    let reports: Vec<Report> = (0..5)
        .map(|at: usize| Report {
            warehouse_ref,
            table: tables[at % tables.len()].1,
            id: fresh_uuid(),
            kind: if at.is_multiple_of(2) { ReportKind::Scan } else { ReportKind::Commit },
            at_ms: NOW_MS + at as i64,
            body: format!("{{\"text\":\"{}\"}}", "é".repeat(random.below(3_000))),
        })
        .collect();
    store.report_add(&reports, UNLIMITED).await.unwrap();
    fill_maintenance(store, warehouse_ref, tables).await;
    fill_labels(store, warehouse_ref, tables).await;
    let mut entry = AuditEntry::new(AuditType::Refusal, "load-table", AuditDecision::Denied);
    entry.object = random.name(40);
    let record = |organisation| AuditRecord { id: 0, organisation, at_ms: NOW_MS, entry: entry.clone() };
    store.audit_add(&[record(Some(organisation)), record(None)]).await.unwrap();
    let sink = random.name(8);
    store.audit_position_set(&sink, None, AuditPosition { event: 1, record: 2 }).await.unwrap();
}

/// Stores policies, and a table with a state and a run.
async fn fill_maintenance(store: &Subject, warehouse_ref: WarehouseRef, tables: &[(TableIdent, TableId, TableKind)]) {
    let (ident, id) = match tables.iter().find(|(_, _, kind)| *kind == TableKind::Table) {
        Some((ident, id, _)) => (ident, *id),
        None => return,
    };
    let policy = MaintenancePolicy::default();
    let objects = [PolicyObject::Warehouse, PolicyObject::Namespace(ident.namespace.clone()), PolicyObject::Table(id)];
    for on in &objects {
        let wanted = PolicyChange { on, name: "é", policy: Some(&policy), most: 9_999 };
        store.policy_set(warehouse_ref, &wanted, &change()).await.unwrap();
    }
    let mut lease = store.maintenance_claim(warehouse_ref, id, NOW_MS, NOW_MS + 9).await.unwrap().unwrap();
    lease.state.last_ms.insert("expire-snapshots".to_owned(), NOW_MS);
    assert!(store.maintenance_hold(&lease, NOW_MS + 9).await.unwrap());
    for outcome in [RunOutcome::Running, RunOutcome::Failed] {
        let run = MaintenanceRun {
            warehouse_ref,
            table: id,
            id: fresh_uuid(),
            operation: MaintenanceOperation::ExpireSnapshots,
            dry_run: outcome == RunOutcome::Failed,
            started_ms: NOW_MS,
            ended_ms: (outcome == RunOutcome::Failed).then_some(NOW_MS + 1),
            outcome,
            details: RunDetails { message: Some("é \u{1f30a}".to_owned()), ..RunDetails::default() },
            held_until_ms: (outcome == RunOutcome::Running).then_some(NOW_MS + 2),
        };
        store.run_add(&run, 9).await.unwrap();
    }
}

/// Returns the answers of a store to every question, as texts.
pub(crate) async fn answers(store: &Subject) -> Vec<String> {
    let mut all = Answers::default();
    all.add("operators", store.operator_list().await);
    let signing: Vec<SigningKey> = store.signing_key_list().await.unwrap();
    let secrets = signing.iter().map(|key| (&key.id, *key.secret.expose(), key.created_ms)).collect::<Vec<_>>();
    all.add("signing keys", secrets);
    all.add("master key", store.master_key_get().await);
    all.add("events", store.event_list(None, &EventFilter::default(), None, 1_000).await);
    all.add("surplus", store.event_surplus(2).await);
    all.add("audit", store.audit_list(None, &AuditFilter::default(), None, 1_000).await);
    all.add("due organisations", store.organisation_due(NOW_MS * 2, 9).await);
    for subscription in store.subscription_list_all().await.unwrap() {
        let (scope, id) = (subscription.scope, subscription.id);
        all.add("subscription", (&subscription, store.dead_letter_list(scope, id, false, None, 9).await));
    }
    for organisation in store.organisation_list().await.unwrap() {
        all.add("organisation", &organisation);
        answers_of(store, organisation.id, &mut all).await;
    }
    all.texts
}

/// Answers, as texts.
#[derive(Default)]
struct Answers {
    texts: Vec<String>,
}

impl Answers {
    fn add(&mut self, question: &str, answer: impl Debug) {
        self.texts.push(format!("{question}: {answer:?}"));
    }
}

fn sorted(items: &[impl Debug]) -> Vec<String> {
    let mut texts: Vec<String> = items.iter().map(|item| format!("{item:?}")).collect();
    texts.sort();
    texts
}

async fn answers_of(store: &Subject, organisation: OrganisationId, all: &mut Answers) {
    let (page, filter) = (PageRequest::default(), EventFilter::default());
    all.add("events", store.event_list(Some(organisation), &filter, None, 1_000).await);
    all.add("tables", store.table_count(organisation).await);
    all.add("counts", store.access_counts(organisation).await);
    all.add("labels of namespaces", store.labels_of_namespaces(organisation).await.map(|labels| sorted(&labels)));
    all.add("policies", store.policy_list(organisation).await);
    all.add("usage", store.usage_list(organisation, 0, i64::MAX).await);
    all.add("usage by key", store.key_usage_list(organisation, 0, i64::MAX).await);
    for key in store.key_list(organisation).await.unwrap() {
        all.add("key", store.key_by_digest(&key.digest).await);
    }
    for user in store.user_list(organisation, &page).await.unwrap().items {
        all.add("user", (&user, store.user_find(organisation, &user.name).await));
    }
    let principals = store.principal_list(organisation, &page).await.unwrap().items;
    for principal in &principals {
        let access = store.principal_access(organisation, principal.id, None).await.unwrap();
        // Their order is not defined.
        all.add("grants of a principal", sorted(&access.granted));
        all.add("owned in", sorted(&access.owned_in));
        all.add("paths", sorted(&access.paths));
        all.add("restrictions", (sorted(&access.restricted), access.is_trusted_engine));
        all.add("roles", store.principal_roles(organisation, principal.id).await);
    }
    let roles = store.principal_role_list(organisation, &page).await.unwrap().items;
    for role in &roles {
        all.add("members", (role, store.principal_role_members(organisation, role.id, &page).await));
    }
    for warehouse in store.warehouse_list(organisation).await.unwrap() {
        let warehouse_ref = WarehouseRef { organisation, warehouse: warehouse.id };
        all.add("warehouse", &warehouse);
        for role in store.catalog_role_list(warehouse_ref, &page).await.unwrap().items {
            all.add("grants", (&role, store.grant_list(warehouse_ref, role.id).await));
            let named = entities(warehouse_ref, principals[0].id, roles[0].id, role.id);
            all.add("entities", store.entity_get(organisation, &named).await);
        }
        answers_of_warehouse(store, warehouse_ref, all).await;
    }
}

async fn answers_of_warehouse(store: &Subject, warehouse_ref: WarehouseRef, all: &mut Answers) {
    let (page, timed) = (PageRequest::default(), TimedPage::default());
    all.add("dropped", store.dropped_list(warehouse_ref, &DroppedFilter::default(), &timed).await);
    all.add("reports", store.report_list(warehouse_ref, &ReportFilter::default(), &timed).await);
    all.add("runs", store.run_list(warehouse_ref, &RunFilter::default(), &timed).await);
    let mut parents: Vec<Option<NamespaceIdent>> = vec![None];
    while let Some(parent) = parents.pop() {
        let children = store.namespace_list(warehouse_ref, parent.as_ref(), &page).await.unwrap();
        all.add("children", &children);
        for namespace in &children.items {
            all.add("properties", store.namespace_get(warehouse_ref, namespace).await);
            for kind in [TableKind::Table, TableKind::View] {
                for name in &store.table_list(warehouse_ref, namespace, kind, &page).await.unwrap().items {
                    let ident = ident(namespace, name);
                    let record = store.table_get(warehouse_ref, &ident).await.unwrap().unwrap();
                    let locations = spread(&location(record.id), &[]);
                    let taken = store.location_check(warehouse_ref, TableId(Uuid::nil()), &locations).await;
                    let origin = store.table_origin(warehouse_ref, record.id).await;
                    let state = store.maintenance_states(warehouse_ref.organisation, &[record.id]).await;
                    all.add("table", (ident, record, taken, origin, state));
                }
            }
            parents.push(Some(namespace.clone()));
        }
    }
}
