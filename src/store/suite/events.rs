//! Events of changes.

use std::sync::Arc;

use serde_json::{Value, json};
use tidewater_core::access::Role;
use tidewater_core::ids::{KeyId, OrganisationId};
use tidewater_core::request_limits::RequestLimits;

use super::fixture::{
    NOW_MS, Subject, assert_refused, at, change, change_at, document, id_at, ident, key, location, namespace,
    organisation, properties, signing_key, store_warehouse, store_warehouse_of, stored_namespace, stored_table, swap,
};
use crate::base::clock::fresh_uuid;
use crate::store::{
    Actor, Change, DropTerms, Event, EventDetails, EventFilter, Operation, Origin, Past, Progress, Restore, StoreError,
    Swap, TableChange, TableKind, WarehouseOptions, WarehouseRef, WarehouseStorage,
};

const HOUR_MS: i64 = 3_600_000;

/// Returns the events of an organisation that match a filter, the oldest first.
async fn events_of(store: &Subject, organisation: OrganisationId, filter: &EventFilter) -> Vec<Event> {
    let page = store.event_list(Some(organisation), filter, None, 1_000).await.unwrap();
    assert_eq!(page.before, None);
    page.events.into_iter().rev().collect()
}

/// Returns the operation and the object of all events of an organisation, the oldest first.
async fn operations_of(store: &Subject, organisation: OrganisationId) -> Vec<(&'static str, String)> {
    let events = events_of(store, organisation, &EventFilter::default()).await;
    events.into_iter().map(|event| (event.operation.as_str(), event.object.name)).collect()
}

fn terms(purge: bool) -> DropTerms {
    DropTerms { restorable_until_ms: NOW_MS + HOUR_MS, purge }
}

pub(in crate::store) async fn each_change_writes_its_event(store: Subject) {
    let acme = organisation("acme");
    store.organisation_create(&acme, &change()).await.unwrap();
    store.organisation_set_tier(acme.id, "free", &change()).await.unwrap();
    let ci = key(acme.id, "ci");
    store.key_create(&ci, &change()).await.unwrap();
    store.key_revoke(acme.id, ci.id, &change()).await.unwrap();
    store.key_revoke(acme.id, ci.id, &change()).await.unwrap();
    store_warehouse_of(&store, acme.id, "first").await;
    let warehouse_ref = store_warehouse_of(&store, acme.id, "lake").await;
    store.warehouse_set_default(acme.id, "lake", &change()).await.unwrap();
    store.warehouse_set_storage(acme.id, "lake", &WarehouseStorage::local(), &change()).await.unwrap();
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    let (limits, updates) = (RequestLimits::default(), properties(&[("a", "1")]));
    store.namespace_update_properties(warehouse_ref, &sales, &updates, &[], &limits, &change()).await.unwrap();
    let (orders, renamed, view) = (ident(&sales, "orders"), ident(&sales, "renamed"), ident(&sales, "v"));
    let id = stored_table(&store, warehouse_ref, &orders).await;
    swap(&store, warehouse_ref, id, 0, 1).await.unwrap();
    store.table_rename(warehouse_ref, &orders, id, &renamed, TableKind::Table, &change()).await.unwrap();
    store.table_drop(warehouse_ref, &renamed, id, TableKind::Table, Some(&terms(false)), &change()).await.unwrap();
    let back = Restore { id, ident: &orders, locations: None };
    store.dropped_restore(warehouse_ref, &back, None, &change()).await.unwrap();
    store.table_drop(warehouse_ref, &orders, id, TableKind::Table, None, &change()).await.unwrap();
    super::fixture::create(&store, warehouse_ref, &view, TableKind::View, None).await.unwrap();
    store
        .table_drop(warehouse_ref, &view, id_at(&store, warehouse_ref, &view).await, TableKind::View, None, &change())
        .await
        .unwrap();
    store.namespace_drop(warehouse_ref, &sales, &change()).await.unwrap();
    store.warehouse_drop(acme.id, "lake", &change()).await.unwrap();
    let expected = [
        ("create-organisation", "acme"),
        ("set-tier", "acme"),
        ("create-key", "ci"),
        ("revoke-key", "ci"),
        ("create-warehouse", "first"),
        ("create-warehouse", "lake"),
        ("set-default-warehouse", "lake"),
        ("set-warehouse-storage", "lake"),
        ("create-namespace", "sales"),
        ("update-namespace-properties", "sales"),
        ("create-table", "sales.orders"),
        ("update-table", "sales.orders"),
        ("rename-table", "sales.orders"),
        ("drop-table", "sales.renamed"),
        ("restore-table", "sales.renamed"),
        ("drop-table", "sales.orders"),
        ("create-view", "sales.v"),
        ("drop-view", "sales.v"),
        ("drop-namespace", "sales"),
        ("drop-warehouse", "lake"),
    ];
    assert_eq!(
        operations_of(&store, acme.id).await,
        expected.map(|(operation, object)| (operation, object.to_owned()))
    );

    store.signing_key_add(&signing_key("k1", 1), true, &change()).await.unwrap();
    store.signing_key_add(&signing_key("k2", 2), true, &change()).await.unwrap();
    store.signing_key_add(&signing_key("k3", 3), false, &change()).await.unwrap();
    store.signing_key_remove_before(3, &change()).await.unwrap();
    let all = store.event_list(None, &EventFilter::default(), None, 3).await.unwrap().events;
    let all: Vec<_> = all.iter().map(|event| (event.operation.as_str(), event.object.name.as_str())).collect();
    assert_eq!(all, [("remove-signing-keys", "k1"), ("add-signing-key", "k3"), ("add-signing-key", "k1")]);
}

pub(in crate::store) async fn setting_to_its_present_value_leaves_no_event(store: Subject) {
    let acme = organisation("acme");
    store.organisation_create(&acme, &change()).await.unwrap();
    store_warehouse_of(&store, acme.id, "lake").await;
    let before = operations_of(&store, acme.id).await;
    store.organisation_set_tier(acme.id, &acme.tier, &change()).await.unwrap();
    store.warehouse_set_options(acme.id, "lake", &WarehouseOptions::default().into(), &change()).await.unwrap();
    store.warehouse_set_default(acme.id, "lake", &change()).await.unwrap();
    assert_eq!(operations_of(&store, acme.id).await, before);
    let options = WarehouseOptions { no_delete: true, ..WarehouseOptions::default() };
    store.warehouse_set_options(acme.id, "lake", &options.into(), &change()).await.unwrap();
    assert_eq!(operations_of(&store, acme.id).await.len(), before.len() + 1, "a change leaves its event");
}

pub(in crate::store) async fn refused_change_writes_no_event(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    let orders = ident(&sales, "orders");
    let id = stored_table(&store, warehouse_ref, &orders).await;
    let before = operations_of(&store, warehouse_ref.organisation).await;
    assert_refused!(swap(&store, warehouse_ref, id, 7, 8).await, StoreError::PointerMoved);
    assert_refused!(
        store.namespace_create(warehouse_ref, &sales, &properties(&[]), &change()).await,
        StoreError::AlreadyExists(_)
    );
    assert_refused!(store.namespace_drop(warehouse_ref, &sales, &change()).await, StoreError::NotEmpty(_));
    let rename = store
        .table_rename(
            warehouse_ref,
            &orders,
            id_at(&store, warehouse_ref, &orders).await,
            &orders,
            TableKind::Table,
            &change(),
        )
        .await;
    assert_refused!(rename, StoreError::AlreadyExists(_));
    let keep = TableChange::Keep { id, ident: None, expected: document(9) };
    assert_refused!(
        store.table_transact(warehouse_ref, vec![swapping(id, 0, 1), keep], None, &change()).await,
        StoreError::InTransaction { .. }
    );
    assert_eq!(operations_of(&store, warehouse_ref.organisation).await, before);
}

fn swapping(id: tidewater_core::ids::TableId, from: usize, to: usize) -> TableChange {
    let (expected, new, locations) = (document(from), document(to), at(&location(id)));
    TableChange::Swap { id, ident: None, expected, new, locations, past: Past::Kept, details: EventDetails::new() }
}

pub(in crate::store) async fn event_has_actor_time_and_address(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    let orders = ident(&sales, "orders");
    let id = stored_table(&store, warehouse_ref, &orders).await;
    let (ci, client) = (KeyId(fresh_uuid()), "2001:db8::7".parse().unwrap());
    let asked = Change {
        actor: Actor::Key { id: ci, name: "ci".into() },
        request_id: Some("request-1".into()),
        client: Some(client),
        agent: Some("spark/4.0".into()),
        role: Some(Role::Writer),
        at_ms: NOW_MS + 5,
        receipt: None,
    };
    let asked_for = json!({ "updates": { "add-snapshot": 1 }, "snapshot-ids": [7] });
    let (origin, past, details) = (Origin::Catalog, &Past::Kept, asked_for.as_object().unwrap());
    let (expected, new, locations) = (&document(0), &document(1), &at(&location(id)));
    store
        .table_swap(warehouse_ref, &Swap { id, ident: None, expected, new, locations, origin, past, details }, &asked)
        .await
        .unwrap();
    let events = events_of(&store, warehouse_ref.organisation, &EventFilter::default()).await;
    let event = events.last().unwrap();
    assert_eq!(
        (event.organisation, event.warehouse),
        (Some(warehouse_ref.organisation), Some(warehouse_ref.warehouse))
    );
    assert_eq!((event.at_ms, &event.actor, event.client), (NOW_MS + 5, &asked.actor, Some(client)));
    assert_eq!((event.operation, event.request_id.as_deref()), (Operation::UpdateTable, Some("request-1")));
    assert_eq!((event.object.id, event.object.name.as_str()), (Some(id.0), "sales.orders"));
    let mut expected_details = asked_for;
    expected_details["pointer-before"] = expected.as_str().into();
    expected_details["pointer-after"] = new.as_str().into();
    assert_eq!(Value::Object(event.details.clone()), expected_details);

    let user = Change::by(Actor::CommandLine(Some("root".into())), NOW_MS);
    store
        .table_rename(
            warehouse_ref,
            &orders,
            id_at(&store, warehouse_ref, &orders).await,
            &ident(&sales, "b"),
            TableKind::Table,
            &user,
        )
        .await
        .unwrap();
    let events = events_of(&store, warehouse_ref.organisation, &EventFilter::default()).await;
    let event = events.last().unwrap();
    assert_eq!((&event.actor, event.object.new_name.as_deref()), (&user.actor, Some("sales.b")));
}

pub(in crate::store) async fn transaction_writes_an_event_for_each_table(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    let id = stored_table(&store, warehouse_ref, &ident(&sales, "orders")).await;
    let new = tidewater_core::ids::TableId(fresh_uuid());
    let create = TableChange::Create {
        id: new,
        ident: ident(&sales, "lines"),
        metadata_location: document(5),
        locations: at(&location(new)),
        details: EventDetails::new(),
    };
    store.table_transact(warehouse_ref, vec![swapping(id, 0, 1), create], None, &change()).await.unwrap();
    let told = operations_of(&store, warehouse_ref.organisation).await;
    let expected = [("update-table", "sales.orders"), ("create-table", "sales.lines")];
    assert_eq!(told[told.len() - 2..], expected.map(|(operation, object)| (operation, object.to_owned())));
}

/// Creates and drops a table `sales.NAME`.
async fn dropped(
    store: &Subject,
    warehouse_ref: WarehouseRef,
    name: &str,
    purge: bool,
) -> tidewater_core::ids::TableId {
    let ident = ident(&namespace(&["sales"]), name);
    let id = stored_table(store, warehouse_ref, &ident).await;
    store
        .table_drop(
            warehouse_ref,
            &ident,
            id_at(store, warehouse_ref, &ident).await,
            TableKind::Table,
            Some(&terms(purge)),
            &change(),
        )
        .await
        .unwrap();
    id
}

pub(in crate::store) async fn end_of_a_dropped_table_writes_its_event(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    stored_namespace(&store, warehouse_ref, "sales").await;
    dropped(&store, warehouse_ref, "kept", false).await;
    let due = NOW_MS + HOUR_MS;
    assert_eq!(store.dropped_forget_due(9, &change_at(due)).await.unwrap(), 1);
    let asked = dropped(&store, warehouse_ref, "asked", false).await;
    assert!(!store.dropped_remove(warehouse_ref, asked, Some(true), &change()).await.unwrap());
    let [job] = store.dropped_claim(due, due + HOUR_MS, 9).await.unwrap().try_into().unwrap();
    let ended =
        store.dropped_progress(warehouse_ref.organisation, asked, job.attempts, &Progress::Gone, &change()).await;
    assert!(ended.unwrap());
    // A purge that is stopped midway writes one event.
    let stopped = dropped(&store, warehouse_ref, "stopped", true).await;
    let [job] = store.dropped_claim(due, due + HOUR_MS, 9).await.unwrap().try_into().unwrap();
    for _ in 0..2 {
        assert!(!store.dropped_remove(warehouse_ref, stopped, Some(false), &change_at(due)).await.unwrap());
    }
    let ended =
        store.dropped_progress(warehouse_ref.organisation, stopped, job.attempts, &Progress::Stopped, &change()).await;
    assert!(ended.unwrap());
    let told = operations_of(&store, warehouse_ref.organisation).await;
    let ends: Vec<_> = told.iter().map(|(operation, object)| (*operation, object.as_str())).skip(3).collect();
    assert_eq!(
        ends,
        [
            ("create-table", "sales.kept"),
            ("drop-table", "sales.kept"),
            ("forget-table", "sales.kept"),
            ("create-table", "sales.asked"),
            ("drop-table", "sales.asked"),
            ("request-purge", "sales.asked"),
            ("purge-table", "sales.asked"),
            ("create-table", "sales.stopped"),
            ("drop-table", "sales.stopped"),
            ("forget-table", "sales.stopped"),
        ]
    );
}

pub(in crate::store) async fn events_are_filtered(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    let (a, b) = (ident(&sales, "a"), ident(&sales, "b"));
    stored_table(&store, warehouse_ref, &a).await;
    let ci = KeyId(fresh_uuid());
    let by_ci = Change { at_ms: NOW_MS + 10, ..Change::by(Actor::Key { id: ci, name: "ci".into() }, NOW_MS) };
    store
        .table_rename(warehouse_ref, &a, id_at(&store, warehouse_ref, &a).await, &b, TableKind::Table, &by_ci)
        .await
        .unwrap();
    store
        .table_drop(
            warehouse_ref,
            &b,
            id_at(&store, warehouse_ref, &b).await,
            TableKind::Table,
            None,
            &change_at(NOW_MS + 20),
        )
        .await
        .unwrap();
    let count = async |filter: EventFilter| events_of(&store, warehouse_ref.organisation, &filter).await.len();
    let none = EventFilter::default;
    assert_eq!(count(EventFilter { object: Some("sales.a".into()), ..none() }).await, 2, "created and renamed");
    assert_eq!(count(EventFilter { object: Some("sales.b".into()), ..none() }).await, 2, "renamed and dropped");
    assert_eq!(count(EventFilter { object: Some("sales".into()), ..none() }).await, 1);
    assert_eq!(count(EventFilter { actor: Some("ci".into()), ..none() }).await, 1);
    assert_eq!(count(EventFilter { actor: Some(ci.to_string()), ..none() }).await, 1);
    assert_eq!(count(EventFilter { operation: Some(Operation::DropTable), ..none() }).await, 1);
    assert_eq!(count(EventFilter { since_ms: Some(NOW_MS + 10), ..none() }).await, 2);
    assert_eq!(count(EventFilter { since_ms: Some(NOW_MS + 10), until_ms: Some(NOW_MS + 20), ..none() }).await, 1);
    let elsewhere = store_warehouse_of(&store, warehouse_ref.organisation, "other").await.warehouse;
    assert_eq!(count(EventFilter { warehouse: Some(elsewhere), ..none() }).await, 1);
}

pub(in crate::store) async fn events_come_in_pages_newest_first(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    for number in 0..7 {
        stored_table(&store, warehouse_ref, &ident(&sales, &format!("t{number}"))).await;
        let renamed = ident(&sales, "last");
        let old = ident(&sales, &format!("t{number}"));
        store
            .table_rename(
                warehouse_ref,
                &old,
                id_at(&store, warehouse_ref, &old).await,
                &renamed,
                TableKind::Table,
                &change(),
            )
            .await
            .unwrap();
        store
            .table_drop(
                warehouse_ref,
                &renamed,
                id_at(&store, warehouse_ref, &renamed).await,
                TableKind::Table,
                None,
                &change(),
            )
            .await
            .unwrap();
    }
    for filter in [EventFilter::default(), EventFilter { object: Some("sales.last".into()), ..EventFilter::default() }]
    {
        let whole = events_of(&store, warehouse_ref.organisation, &filter).await;
        for size in [1, 4, 100] {
            let (mut before, mut paged) = (None, Vec::new());
            loop {
                let page = store.event_list(Some(warehouse_ref.organisation), &filter, before, size).await.unwrap();
                assert!(page.events.len() <= size as usize);
                paged.extend(page.events);
                before = page.before;
                if before.is_none() {
                    break;
                }
            }
            paged.reverse();
            assert_eq!(paged, whole, "{size} {filter:?}");
            assert!(whole.windows(2).all(|pair| pair[0].id < pair[1].id));
        }
    }
}

pub(in crate::store) async fn old_events_are_removed_in_batches_and_ids_are_not_reused(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    for number in 0..5 {
        let name = namespace(&[&format!("n{number}")]);
        store.namespace_create(warehouse_ref, &name, &properties(&[]), &change_at(NOW_MS + number)).await.unwrap();
    }
    let newest = events_of(&store, warehouse_ref.organisation, &EventFilter::default()).await.last().unwrap().id;
    // Two events of the organisation and its warehouse, and five more.
    assert_eq!(store.event_remove_before(NOW_MS, 9).await.unwrap(), 0);
    assert_eq!(store.event_remove_before(NOW_MS + 4, 4).await.unwrap(), 4);
    assert_eq!(store.event_remove_before(NOW_MS + 4, 4).await.unwrap(), 2);
    assert_eq!(operations_of(&store, warehouse_ref.organisation).await, [("create-namespace", "n4".to_owned())]);
    assert_eq!(store.event_remove_before(NOW_MS + 5, 4).await.unwrap(), 1);
    store.namespace_drop(warehouse_ref, &namespace(&["n4"]), &change()).await.unwrap();
    let events = events_of(&store, warehouse_ref.organisation, &EventFilter::default()).await;
    assert!(events[0].id > newest, "{} is not after {newest}", events[0].id);
}

pub(in crate::store) async fn events_are_invisible_to_other_organisations(store: Subject) {
    let (mine, theirs) = (store_warehouse(&store).await, store_warehouse(&store).await);
    let store = Arc::clone(&store);
    stored_namespace(&store, mine, "sales").await;
    let only = operations_of(&store, theirs.organisation).await;
    assert_eq!(
        only.iter().map(|(operation, _)| *operation).collect::<Vec<_>>(),
        ["create-organisation", "create-warehouse"]
    );
    assert_eq!(operations_of(&store, mine.organisation).await.len(), 3);
}

pub(in crate::store) async fn surplus_events_are_listed_and_removed(store: Subject) {
    let (many, few) = (store_warehouse(&store).await, store_warehouse(&store).await);
    for number in 0..5 {
        stored_namespace(&store, many, &format!("n{number}")).await;
    }
    assert_eq!(store.event_surplus(7).await.unwrap(), []);
    let events = events_of(&store, many.organisation, &EventFilter::default()).await;
    assert_eq!(store.event_surplus(3).await.unwrap(), [(many.organisation, events[3].id)]);
    assert_eq!(store.event_remove_up_to(many.organisation, events[3].id, 3).await.unwrap(), 3);
    assert_eq!(store.event_remove_up_to(many.organisation, events[3].id, 3).await.unwrap(), 1);
    assert_eq!(events_of(&store, many.organisation, &EventFilter::default()).await, events[4..]);
    assert_eq!(operations_of(&store, few.organisation).await.len(), 2);
}
