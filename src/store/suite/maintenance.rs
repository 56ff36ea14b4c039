//! Policies of maintenance, leases of tables, and runs.

use tidewater_core::ids::TableId;
use tidewater_core::name::NamespaceIdent;
use tidewater_core::upkeep::{ExpirePolicy, HealthCounts, HealthSummary, MaintenanceOperation, MaintenancePolicy};

use super::fixture::{
    NOW_MS, Subject, change, id_at, ident, organisation, store_warehouse, store_warehouse_of, stored_namespace,
    stored_table,
};
use crate::base::clock::fresh_ordered_uuid;
use crate::store::{
    DropTerms, EventFilter, KnownHealth, MAX_QUEUED_MS, MaintenanceRun, Moment, Operation, PolicyChange, PolicyObject,
    Resource, RunDetails, RunFilter, RunItem, RunOutcome, StoreError, TableKind, TimedPage, WarehouseRef,
};

fn policy(min_snapshots_to_keep: u32) -> MaintenancePolicy {
    let expire_snapshots = ExpirePolicy {
        enabled: Some(true),
        min_snapshots_to_keep: Some(min_snapshots_to_keep),
        ..ExpirePolicy::default()
    };
    MaintenancePolicy { expire_snapshots, ..MaintenancePolicy::default() }
}

async fn set(
    store: &Subject,
    warehouse_ref: WarehouseRef,
    on: &PolicyObject,
    policy: Option<&MaintenancePolicy>,
) -> Result<(), StoreError> {
    let wanted = PolicyChange { on, name: "named", policy, most: 3 };
    store.policy_set(warehouse_ref, &wanted, &change()).await
}

async fn policies(store: &Subject, warehouse_ref: WarehouseRef) -> Vec<(PolicyObject, MaintenancePolicy)> {
    let all = store.policy_list(warehouse_ref.organisation).await.unwrap();
    all.into_iter().map(|one| (one.on, one.policy)).collect()
}

async fn operations(store: &Subject, warehouse_ref: WarehouseRef) -> Vec<Operation> {
    let filter = EventFilter::default();
    let page = store.event_list(Some(warehouse_ref.organisation), &filter, None, 2).await.unwrap();
    page.events.into_iter().map(|event| event.operation).collect()
}

pub(in crate::store) async fn policy_is_set_replaced_and_removed_with_its_events(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    assert_eq!(store.policy_organisations().await.unwrap(), []);
    let on = PolicyObject::Warehouse;
    for count in [1, 2, 2] {
        set(&store, warehouse_ref, &on, Some(&policy(count))).await.unwrap();
    }
    assert_eq!(policies(&store, warehouse_ref).await, [(on.clone(), policy(2))]);
    assert_eq!(store.policy_organisations().await.unwrap(), [warehouse_ref.organisation]);
    assert_eq!(operations(&store, warehouse_ref).await, [Operation::SetMaintenancePolicy; 2]);
    for _ in 0..2 {
        set(&store, warehouse_ref, &on, None).await.unwrap();
    }
    assert_eq!(policies(&store, warehouse_ref).await, []);
    let last = operations(&store, warehouse_ref).await;
    assert_eq!(last, [Operation::RemoveMaintenancePolicy, Operation::SetMaintenancePolicy]);
}

pub(in crate::store) async fn policy_of_a_missing_object_or_beyond_the_limit_is_refused(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let spare = store_warehouse_of(&store, warehouse_ref.organisation, "spare").await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    let table = stored_table(&store, warehouse_ref, &ident(&sales, "t")).await;
    let nowhere = WarehouseRef { organisation: organisation("other").id, ..warehouse_ref };
    for (warehouse_ref, on, missing) in [
        (nowhere, PolicyObject::Warehouse, Resource::Warehouse),
        (spare, PolicyObject::Namespace(sales.clone()), Resource::Namespace),
        (warehouse_ref, PolicyObject::Namespace(NamespaceIdent::new(&["absent"]).unwrap()), Resource::Namespace),
        (spare, PolicyObject::Table(table), Resource::Table),
        (warehouse_ref, PolicyObject::Table(TableId(fresh_ordered_uuid())), Resource::Table),
    ] {
        let refused = set(&store, warehouse_ref, &on, Some(&policy(1))).await;
        assert!(matches!(refused, Err(StoreError::NotFound(what)) if what == missing), "{on:?} {refused:?}");
    }
    let objects = [PolicyObject::Warehouse, PolicyObject::Namespace(sales), PolicyObject::Table(table)];
    for on in &objects {
        set(&store, warehouse_ref, on, Some(&policy(1))).await.unwrap();
    }
    let refused = set(&store, spare, &PolicyObject::Warehouse, Some(&policy(1))).await;
    assert!(matches!(refused, Err(StoreError::LimitReached { limit: 3 })), "{refused:?}");
    set(&store, warehouse_ref, &objects[1], Some(&policy(9))).await.unwrap();
}

pub(in crate::store) async fn policy_goes_with_its_object(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    let name = ident(&sales, "t");
    let table = stored_table(&store, warehouse_ref, &name).await;
    set(&store, warehouse_ref, &PolicyObject::Namespace(sales.clone()), Some(&policy(1))).await.unwrap();
    set(&store, warehouse_ref, &PolicyObject::Table(table), Some(&policy(2))).await.unwrap();
    set(&store, warehouse_ref, &PolicyObject::Warehouse, Some(&policy(3))).await.unwrap();
    let id = id_at(&store, warehouse_ref, &name).await;
    store.table_drop(warehouse_ref, &name, id, TableKind::Table, None, &change()).await.unwrap();
    assert_eq!(policies(&store, warehouse_ref).await.len(), 2);
    store.namespace_drop(warehouse_ref, &sales, &change()).await.unwrap();
    assert_eq!(policies(&store, warehouse_ref).await, [(PolicyObject::Warehouse, policy(3))]);
    let warehouses = store.warehouse_list(warehouse_ref.organisation).await.unwrap();
    store.warehouse_drop(warehouse_ref.organisation, &warehouses[0].name, &change()).await.unwrap();
    assert_eq!(policies(&store, warehouse_ref).await, []);
}

pub(in crate::store) async fn maintenance_of_a_table_is_leased_to_one_server_at_a_time(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    let table = stored_table(&store, warehouse_ref, &ident(&sales, "t")).await;
    let claim = async |now_ms, until_ms| store.maintenance_claim(warehouse_ref, table, now_ms, until_ms).await.unwrap();
    let missing = TableId(fresh_ordered_uuid());
    assert_eq!(store.maintenance_claim(warehouse_ref, missing, NOW_MS, NOW_MS + 9).await.unwrap(), None);
    let mut first = claim(NOW_MS, NOW_MS + 10).await.unwrap();
    assert_eq!(claim(NOW_MS + 9, NOW_MS + 19).await, None);
    first.state.last_ms.insert("expire-snapshots".to_owned(), NOW_MS);
    assert!(store.maintenance_hold(&first, NOW_MS + 20).await.unwrap());
    assert_eq!(claim(NOW_MS + 19, NOW_MS + 29).await, None);
    let left = run(warehouse_ref, table, NOW_MS);
    let queued = |started_ms, until_ms| queued(warehouse_ref, table, (started_ms, until_ms));
    let live_ms = NOW_MS + 999_999;
    for one in
        [left, queued(NOW_MS - MAX_QUEUED_MS, live_ms), queued(NOW_MS + 1, NOW_MS + 9), queued(NOW_MS + 2, live_ms)]
    {
        store.run_add(&one, 9).await.unwrap();
    }

    let second = claim(NOW_MS + 20, NOW_MS + 30).await.unwrap();
    assert_eq!((second.attempt, &second.state), (first.attempt + 1, &first.state));
    assert!(!store.maintenance_hold(&first, NOW_MS + 40).await.unwrap(), "the lease is another server's");
    let runs = store.run_list(warehouse_ref, &RunFilter::default(), &TimedPage::default()).await.unwrap().items;
    let outcomes: Vec<_> = runs.iter().map(|run| run.outcome).collect();
    let gone = RunOutcome::Abandoned;
    assert_eq!(
        outcomes,
        [RunOutcome::Queued, gone, gone, gone],
        "servers were killed while one ran and two were queued"
    );
    assert!(store.maintenance_hold(&second, NOW_MS + 21).await.unwrap());
    assert!(claim(NOW_MS + 21, NOW_MS + 31).await.is_some(), "the lease was given back");
    assert!(claim(NOW_MS - 1_000_000, NOW_MS - 999_990).await.is_some(), "the lease is from a clock that was ahead");
    let states = store.maintenance_states(warehouse_ref.organisation, &[missing, table]).await.unwrap();
    assert_eq!(states, [None, Some(first.state)]);
}

pub(in crate::store) async fn known_health_of_live_tables_is_summed_up_for_their_organisation(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let (sales, owner) = (stored_namespace(&store, warehouse_ref, "sales").await, warehouse_ref.organisation);
    assert_eq!(store.health_summary(owner).await.unwrap(), HealthSummary::default());
    let counts = [[10, 9, 1, 3, 4, 1_000], [5, 0, 2, 7, 1, 3_000]].map(HealthCounts::from_values);
    for (name, counts) in [("a", Some(counts[0])), ("b", Some(counts[1])), ("unknown", None)] {
        let table = stored_table(&store, warehouse_ref, &ident(&sales, name)).await;
        let claimed = store.maintenance_claim(warehouse_ref, table, NOW_MS, NOW_MS + 10).await;
        let mut lease = claimed.unwrap().unwrap();
        lease.state.health = counts.map(|counts| KnownHealth { document: "s3://b/1.metadata.json".to_owned(), counts });
        assert!(store.maintenance_hold(&lease, NOW_MS).await.unwrap());
        let states = store.maintenance_states(owner, &[table]).await.unwrap();
        assert_eq!(states, [Some(lease.state)]);
    }
    let total = HealthCounts::from_values([15, 9, 3, 10, 5, 4_000]);
    let worst = HealthCounts::from_values([10, 9, 2, 7, 4, 3_000]);
    assert_eq!(store.health_summary(owner).await.unwrap(), HealthSummary { tables: 2, total, worst });
    let name = ident(&sales, "a");
    let id = id_at(&store, warehouse_ref, &name).await;
    let terms = DropTerms { restorable_until_ms: NOW_MS + 999, purge: false };
    store.table_drop(warehouse_ref, &name, id, TableKind::Table, Some(&terms), &change()).await.unwrap();
    let left = HealthSummary { tables: 1, total: counts[1], worst: counts[1] };
    assert_eq!(store.health_summary(owner).await.unwrap(), left, "a dropped table does not count");
    assert_eq!(store.health_summary(organisation("other").id).await.unwrap(), HealthSummary::default());
}

fn run(warehouse_ref: WarehouseRef, table: TableId, started_ms: i64) -> MaintenanceRun {
    MaintenanceRun {
        warehouse_ref,
        table,
        id: fresh_ordered_uuid(),
        operation: MaintenanceOperation::ExpireSnapshots,
        dry_run: false,
        started_ms,
        ended_ms: None,
        outcome: RunOutcome::Running,
        details: RunDetails { table: "sales.t".to_owned(), ..RunDetails::default() },
        held_until_ms: None,
    }
}

fn queued(warehouse_ref: WarehouseRef, table: TableId, (started_ms, until_ms): (i64, i64)) -> MaintenanceRun {
    let held_until_ms = Some(until_ms);
    MaintenanceRun { outcome: RunOutcome::Queued, held_until_ms, ..run(warehouse_ref, table, started_ms) }
}

pub(in crate::store) async fn runs_of_a_server_that_is_gone_end_without_another_run_on_their_table(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    let table = stored_table(&store, warehouse_ref, &ident(&sales, "a")).await;
    let free = stored_table(&store, warehouse_ref, &ident(&sales, "b")).await;
    let lease = store.maintenance_claim(warehouse_ref, table, NOW_MS, NOW_MS + 30).await.unwrap().unwrap();
    let running = run(warehouse_ref, table, NOW_MS);
    let left = run(warehouse_ref, free, NOW_MS + 1);
    let waiting = queued(warehouse_ref, table, (NOW_MS + 2, NOW_MS + 20));
    let gone = queued(warehouse_ref, free, (NOW_MS + 3, NOW_MS + 20));
    let ended = MaintenanceRun {
        outcome: RunOutcome::Succeeded,
        ended_ms: Some(NOW_MS + 5),
        ..queued(warehouse_ref, free, (NOW_MS + 4, NOW_MS + 20))
    };
    for one in [&running, &left, &waiting, &gone, &ended] {
        store.run_add(one, 9).await.unwrap();
    }
    let abandon = async |now_ms, at_most| {
        let mut ended = store.run_abandon(now_ms, at_most).await.unwrap();
        ended.sort_by_key(|run| run.started_ms);
        ended.into_iter().map(|run| run.id).collect::<Vec<_>>()
    };
    assert_eq!(abandon(NOW_MS + 19, 9).await, [left.id], "no server has leased its table");
    store.run_hold(&[waiting.id, ended.id], NOW_MS + 40).await.unwrap();
    assert_eq!(abandon(NOW_MS + 20, 9).await, [gone.id], "the other queued run was held again");
    assert!(abandon(NOW_MS + 29, 9).await.is_empty());
    let first = abandon(NOW_MS + 40, 1).await;
    assert_eq!((first.len(), abandon(NOW_MS + 40, 9).await.len()), (1, 1), "those of one call are limited");
    assert!(store.maintenance_hold(&lease, NOW_MS + 50).await.unwrap(), "only the record has ended");
    let all = store.run_list(warehouse_ref, &RunFilter::default(), &TimedPage::default()).await.unwrap().items;
    assert_eq!(all[0].outcome, RunOutcome::Succeeded);
    for run in &all[1..] {
        let ended_ms = run.ended_ms.unwrap();
        assert!(run.outcome == RunOutcome::Abandoned && ended_ms > run.started_ms, "{run:?}");
    }
    let messages: Vec<_> = all.iter().map(|run| run.details.message.as_deref().unwrap_or_default()).collect();
    assert!(messages[1].contains("start it again") && messages[3].contains("the next run continues"), "{messages:?}");
}

pub(in crate::store) async fn runs_are_listed_newest_first_and_limited(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let spare = store_warehouse_of(&store, warehouse_ref.organisation, "spare").await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    let table = stored_table(&store, warehouse_ref, &ident(&sales, "a")).await;
    let other = stored_table(&store, warehouse_ref, &ident(&sales, "b")).await;
    let runs: Vec<_> = (0..5).map(|at| run(warehouse_ref, table, NOW_MS + at)).collect();
    for run in &runs {
        store.run_add(run, 3).await.unwrap();
    }
    store.run_add(&run(warehouse_ref, other, NOW_MS), 3).await.unwrap();
    store.run_add(&run(warehouse_ref, TableId(fresh_ordered_uuid()), NOW_MS), 3).await.unwrap();
    let item = RunItem {
        kind: "file".to_owned(),
        name: "s3://b/t/\u{1f30a}".to_owned(),
        reason: "orphan".to_owned(),
        bytes: Some(7),
        at_ms: None,
    };
    let mut ended = runs[4].clone();
    (ended.ended_ms, ended.outcome) = (Some(NOW_MS + 9), RunOutcome::Failed);
    ended.details.items.push(item);
    store.run_update(&ended).await.unwrap();

    let of_table = RunFilter { table: Some(table), id: None };
    let list = async |filter: RunFilter, page: TimedPage| store.run_list(warehouse_ref, &filter, &page).await.unwrap();
    let first = list(of_table, TimedPage { before: None, limit: Some(2) }).await;
    assert_eq!((first.items, first.more), (vec![ended.clone(), runs[3].clone()], true));
    let before = Some(Moment { at_ms: runs[3].started_ms, id: runs[3].id });
    let second = list(of_table, TimedPage { before, limit: Some(2) }).await;
    assert_eq!((second.items, second.more), (vec![runs[2].clone()], false));
    assert_eq!(list(RunFilter::default(), TimedPage::default()).await.items.len(), 4);
    let by_id = RunFilter { table: None, id: Some(ended.id) };
    assert_eq!(list(by_id, TimedPage::default()).await.items, [ended]);
    assert_eq!(store.run_list(spare, &RunFilter::default(), &TimedPage::default()).await.unwrap().items, []);
    assert_eq!(store.run_remove_before(NOW_MS + 4, 2).await.unwrap(), 2);
    assert_eq!(store.run_remove_before(NOW_MS + 4, 9).await.unwrap(), 1);
    assert_eq!(list(RunFilter::default(), TimedPage::default()).await.items.len(), 1);
}
