//! Runs on tables with real files.

mod faults;
mod fixture;
mod turns;

use serde_json::json;
use tidewater_core::upkeep::MaintenanceOperation::{ExpireSnapshots, RemoveOrphanFiles};

use super::UpkeepError;
use super::lease::Held;
use crate::access::action::ShowMaintenance;
use crate::config::MaintenanceConfig;
use crate::store::{EventFilter, Operation, PendingRemoval, PolicyObject, RunOutcome};
use fixture::{Fixture, NOW_MS, files, gone, namespace, touch};

const DAY_MS: i64 = 86_400_000;

/// Properties with which only the last snapshot stays.
fn keep_the_last() -> serde_json::Value {
    json!({ "history.expire.max-snapshot-age-ms": "1" })
}

const EXPIRED: [&str; 6] = [
    "data/b.parquet",
    "metadata/l1.avro",
    "metadata/l2.avro",
    "metadata/l3.avro",
    "metadata/m1.avro",
    "metadata/s1.puffin",
];

#[tokio::test]
async fn expiry_commits_and_removes_exactly_the_files_that_nothing_needs() {
    let fixture = Fixture::new().await;
    let table = fixture.sample("t", keep_the_last()).await;
    let before = files(&table.location);
    let run = fixture.run(&table.ident, ExpireSnapshots, false).await;
    assert_eq!((run.outcome, run.details.message.as_deref()), (RunOutcome::Succeeded, None));
    assert_eq!(gone(&before, &table.location), EXPIRED);
    assert_eq!((run.details.snapshots, run.details.files, run.details.bytes), (3, 6, 100));
    assert_eq!((run.details.table.as_str(), run.details.started_by.as_deref()), ("ns.t", Some("ann")));
    let loaded = fixture.catalog.table_load_as_admin(&fixture.warehouse, &table.ident).await.unwrap();
    let left: Vec<i64> = loaded.document.metadata.snapshots().iter().map(|snapshot| snapshot.id).collect();
    assert_eq!((left, loaded.document.metadata.statistics().len()), (vec![4], 0));
    let organisation = fixture.warehouse.warehouse_ref.organisation;
    let events = fixture.store.event_list(Some(organisation), &EventFilter::default(), None, 1).await.unwrap().events;
    assert_eq!(events[0].operation, Operation::UpdateTable);
    assert_eq!(events[0].details["maintenance"], "expire-snapshots");
    assert_eq!(events[0].details["updates"], json!({ "remove-snapshots": 1 }));

    let again = fixture.run(&table.ident, ExpireSnapshots, false).await;
    assert_eq!((again.outcome, again.details.snapshots, again.details.files), (RunOutcome::Succeeded, 0, 0));
}

#[tokio::test]
async fn run_stores_the_health_of_its_table_and_a_dry_run_does_not() {
    let fixture = Fixture::new().await;
    let table = fixture.sample("t", keep_the_last()).await;
    let organisation = fixture.warehouse.warehouse_ref.organisation;
    for (dry_run, snapshots) in [(true, None), (false, Some(1))] {
        fixture.run(&table.ident, ExpireSnapshots, dry_run).await;
        let states = fixture.store.maintenance_states(organisation, &[table.id]).await.unwrap();
        let health = states.into_iter().flatten().next().and_then(|state| state.health);
        assert_eq!(health.as_ref().map(|health| health.counts.snapshots), snapshots);
        if let Some(health) = health {
            let record = fixture.catalog.table_record_as_admin(&fixture.warehouse, &table.ident).await.unwrap();
            assert_eq!(health.document, record.metadata_location);
            assert!(health.counts.manifests > 0 && health.counts.metadata_bytes > 0, "{health:?}");
        }
    }
    let summary = fixture.store.health_summary(organisation).await.unwrap();
    assert_eq!((summary.tables, summary.total.snapshots, summary.worst.snapshots), (1, 1, 1));
}

#[tokio::test]
async fn dry_run_of_an_expiry_lists_what_would_go_and_changes_nothing() {
    let fixture = Fixture::new().await;
    let table = fixture.sample("t", keep_the_last()).await;
    let before = files(&table.location);
    let run = fixture.run(&table.ident, ExpireSnapshots, true).await;
    assert_eq!((run.outcome, run.dry_run), (RunOutcome::Succeeded, true), "{run:?}");
    assert_eq!(files(&table.location), before);
    assert_eq!((run.details.snapshots, run.details.files), (3, 6));
    let of_kind = |kind: &str| run.details.items.iter().filter(|item| item.kind == kind).count();
    assert_eq!((of_kind("snapshot"), of_kind("file"), run.details.more_items), (3, 6, false));
    assert!(run.details.items.iter().any(|item| item.name.ends_with("data/b.parquet") && item.bytes == Some(100)));
    let after = fixture.run(&table.ident, ExpireSnapshots, false).await;
    assert_eq!(after.details.files, run.details.files, "the run does what was shown");
}

#[tokio::test]
async fn tag_keeps_its_snapshot_with_all_files() {
    let fixture = Fixture::new().await;
    let table = fixture.sample("t", keep_the_last()).await;
    let tag = json!([{ "action": "set-snapshot-ref", "ref-name": "first", "type": "tag", "snapshot-id": 1 }]);
    fixture.commit(&table.ident, tag).await;
    let before = files(&table.location);
    let run = fixture.run(&table.ident, ExpireSnapshots, false).await;
    assert_eq!(run.outcome, RunOutcome::Succeeded, "{run:?}");
    assert_eq!(gone(&before, &table.location), ["metadata/l2.avro", "metadata/l3.avro"]);
}

#[tokio::test]
async fn killed_run_is_continued_by_the_next_one() {
    let fixture = Fixture::new().await;
    let table = fixture.sample("t", json!({})).await;
    let before = files(&table.location);
    // A server made the commit and was killed before it removed files, some of which another one removed already.
    let record = fixture.catalog.table_record_as_admin(&fixture.warehouse, &table.ident).await.unwrap();
    let held = Held::claim(&fixture.upkeep.parts, fixture.warehouse.warehouse_ref, table.id).await.unwrap().unwrap();
    let pending = PendingRemoval { base: record.metadata_location, snapshots: vec![1, 2, 3] };
    assert!(held.change_state(|state| state.pending = Some(pending)).await.unwrap());
    held.release().await;
    fixture.commit(&table.ident, json!([{ "action": "remove-snapshots", "snapshot-ids": [1, 2, 3] }])).await;
    std::fs::remove_file(table.location.join("metadata/m1.avro")).unwrap();
    std::fs::remove_file(table.location.join("data/b.parquet")).unwrap();

    let run = fixture.run(&table.ident, ExpireSnapshots, false).await;
    assert_eq!(run.outcome, RunOutcome::Succeeded, "{run:?}");
    assert_eq!(gone(&before, &table.location), EXPIRED);
    let organisation = fixture.warehouse.warehouse_ref.organisation;
    let states = fixture.store.maintenance_states(organisation, &[table.id]).await.unwrap();
    assert_eq!(states[0].as_ref().unwrap().pending, None);
}

#[tokio::test]
async fn kill_before_the_commit_removes_no_file() {
    let fixture = Fixture::new().await;
    let table = fixture.sample("t", json!({})).await;
    let before = files(&table.location);
    let record = fixture.catalog.table_record_as_admin(&fixture.warehouse, &table.ident).await.unwrap();
    let held = Held::claim(&fixture.upkeep.parts, fixture.warehouse.warehouse_ref, table.id).await.unwrap().unwrap();
    let pending = PendingRemoval { base: record.metadata_location, snapshots: vec![1, 2, 3] };
    assert!(held.change_state(|state| state.pending = Some(pending)).await.unwrap());
    held.release().await;
    let run = fixture.run(&table.ident, ExpireSnapshots, false).await;
    assert_eq!((run.outcome, run.details.files), (RunOutcome::Succeeded, 0), "{run:?}");
    assert_eq!(files(&table.location), before);
}

#[tokio::test]
async fn table_with_gc_disabled_or_an_unreadable_property_loses_nothing() {
    let fixture = Fixture::new().await;
    let kept =
        fixture.sample("kept", json!({ "gc.enabled": "false", "history.expire.max-snapshot-age-ms": "1" })).await;
    let wrong = fixture.sample("wrong", json!({ "history.expire.max-snapshot-age-ms": "a day" })).await;
    for (table, reason) in [(&kept, "gc.enabled"), (&wrong, "history.expire.max-snapshot-age-ms")] {
        touch(&table.location.join("data/orphan.parquet"), 9);
        let before = files(&table.location);
        for operation in [ExpireSnapshots, RemoveOrphanFiles] {
            let run = fixture.run(&table.ident, operation, false).await;
            assert_eq!(run.outcome, RunOutcome::Failed);
            assert!(run.details.message.unwrap().contains(reason));
        }
        assert_eq!(files(&table.location), before);
    }
}

#[tokio::test]
async fn missing_manifest_stops_the_removal_of_orphans() {
    let fixture = Fixture::new().await;
    let table = fixture.sample("t", json!({})).await;
    touch(&table.location.join("data/orphan.parquet"), 9);
    std::fs::remove_file(table.location.join("metadata/m4.avro")).unwrap();
    let before = files(&table.location);
    let run = fixture.run(&table.ident, RemoveOrphanFiles, false).await;
    assert_eq!((run.outcome, run.details.files), (RunOutcome::Failed, 0));
    assert!(run.details.message.unwrap().contains("m4.avro"));
    assert_eq!(files(&table.location), before);
}

#[tokio::test]
async fn only_old_files_that_no_metadata_leads_to_are_removed_as_orphans() {
    let fixture = Fixture::new().await;
    let (table, other) = (fixture.sample("t", json!({})).await, fixture.sample("n", json!({})).await);
    let theirs = files(&other.location);
    for (name, days_old) in [
        ("data/orphan.parquet", 4),
        ("metadata/orphan-m0.avro", 4),
        ("data/young.parquet", 2),
        ("data/_SUCCESS", 9),
        ("data/_temporary/0/x.parquet", 9),
        ("checkpoints/offsets/0", 9),
        ("data/notes.txt", 9),
    ] {
        touch(&table.location.join(name), days_old);
    }
    let before = files(&table.location);
    let shown = fixture.run(&table.ident, RemoveOrphanFiles, true).await;
    assert_eq!((shown.outcome, shown.details.files), (RunOutcome::Succeeded, 2), "{shown:?}");
    assert_eq!(files(&table.location), before);
    let run = fixture.run(&table.ident, RemoveOrphanFiles, false).await;
    assert_eq!(gone(&before, &table.location), ["data/orphan.parquet", "metadata/orphan-m0.avro"]);
    assert_eq!(run.details.kept.get("young"), Some(&1));
    assert_eq!((run.details.kept.get("hidden"), run.details.kept.get("unknown")), (Some(&2), Some(&2)));
    assert_eq!(files(&other.location), theirs);
    fixture.advance(2 * DAY_MS);
    fixture.run(&table.ident, RemoveOrphanFiles, false).await;
    assert!(gone(&before, &table.location).contains(&"data/young.parquet".to_owned()));
}

#[tokio::test]
async fn second_run_on_a_table_is_refused_until_the_first_has_ended() {
    let fixture = Fixture::new().await;
    let table = fixture.sample("t", json!({})).await;
    let held = Held::claim(&fixture.upkeep.parts, fixture.warehouse.warehouse_ref, table.id).await.unwrap().unwrap();
    let refused = fixture.start(&table.ident, ExpireSnapshots, true).await;
    assert!(matches!(refused, Err(UpkeepError::Busy(_))), "{refused:?}");
    held.release().await;
    assert_eq!(fixture.run(&table.ident, ExpireSnapshots, true).await.outcome, RunOutcome::Succeeded);
}

#[tokio::test]
async fn only_operations_that_a_policy_enables_run_and_again_after_their_interval() {
    let fixture = Fixture::new().await;
    let (table, spared) = (fixture.sample("t", keep_the_last()).await, fixture.sample("s", keep_the_last()).await);
    assert_eq!(fixture.look().await, 0, "nothing runs without a policy");
    let enabled = json!({ "expire-snapshots": { "enabled": true, "interval-ms": 3_600_000 } });
    fixture.set_policy(PolicyObject::Namespace(namespace()), enabled).await;
    fixture.set_policy(PolicyObject::Table(spared.id), json!({ "expire-snapshots": { "enabled": false } })).await;
    assert_eq!(fixture.look().await, 1);
    let runs = fixture.runs().await;
    assert_eq!(
        runs.iter().map(|run| (run.table, run.outcome)).collect::<Vec<_>>(),
        [(table.id, RunOutcome::Succeeded)]
    );
    assert_eq!((runs[0].details.snapshots, runs[0].details.started_by.clone()), (3, None));
    assert_eq!(fixture.look().await, 0, "it is not due yet");
    fixture.advance(3_600_000);
    assert_eq!(fixture.look().await, 1);
    fixture.advance(31 * DAY_MS);
    fixture.look().await;
    assert_eq!(fixture.runs().await.len(), 1, "old records are removed");
}

#[tokio::test]
async fn disabled_server_runs_nothing_by_policy() {
    let fixture = Fixture::with_config(MaintenanceConfig { enabled: false, ..MaintenanceConfig::default() }).await;
    let table = fixture.sample("t", keep_the_last()).await;
    fixture.set_policy(PolicyObject::Warehouse, json!({ "expire-snapshots": { "enabled": true } })).await;
    assert_eq!(fixture.look().await, 0);
    assert_eq!(fixture.run(&table.ident, ExpireSnapshots, false).await.details.snapshots, 3, "a manual run works");
}

#[tokio::test]
async fn health_counts_live_files_and_finds_small_ones() {
    let fixture = Fixture::new().await;
    let table = fixture.sample("t", json!({})).await;
    let permit = fixture.permit::<ShowMaintenance>(&table.ident).await;
    let health = fixture.upkeep.health(&permit, true).await.unwrap();
    let figures = health.figures;
    assert_eq!((figures.snapshots, figures.refs, figures.manifests, figures.manifest_bytes), (4, 1, 3, 1_500));
    assert_eq!((figures.files.data_files, figures.files.data_bytes, figures.files.data_records), (3, 300, 9));
    assert_eq!((figures.files.small_files, figures.files.is_partial), (3, false));
    assert_eq!(figures.oldest_snapshot_ms, Some(NOW_MS - 3 * DAY_MS));
    assert!(health.findings.is_empty(), "{:?}", health.findings);
    assert_eq!((health.manifests_read, health.sizes[0].files, health.sizes[0].bytes), (3, 3, 300));
    let partitions = health.partitions.unwrap();
    let (only, names) = &partitions.largest[0];
    assert_eq!((partitions.counted, partitions.is_partial, only.figures.data_files, names.len()), (1, false, 3, 0));
    let without = fixture.upkeep.health(&permit, false).await.unwrap();
    assert_eq!((without.figures, without.partitions), (figures, None), "the figures do not depend on partitions");
}
