//! The turns of runs, and runs that wait for them.

use serde_json::json;
use tidewater_core::ids::OrganisationId;
use tidewater_core::upkeep::MaintenanceOperation::{CompactFiles, ExpireSnapshots, RewriteManifests};
use tokio_util::sync::CancellationToken;

use super::fixture::{Fixture, files, namespace};
use super::keep_the_last;
use crate::base::clock::fresh_uuid;
use crate::base::line::{Joined, Place};
use crate::config::MaintenanceConfig;
use crate::store::{MaintenanceRun, PolicyObject, RunOutcome};
use crate::upkeep::UpkeepError;
use crate::upkeep::turns::Kind;

/// Takes the place of rewrites for another organisation.
pub(super) fn occupy(fixture: &Fixture) -> Place {
    match fixture.upkeep.turns().join_by_hand(Kind::Rewrite, OrganisationId(fresh_uuid())) {
        Ok(Joined::Has(place)) => place,
        other => panic!("the place is taken: {other:?}"),
    }
}

/// Waits until the records of runs are as wanted.
async fn until(fixture: &Fixture, is_so: impl Fn(&[MaintenanceRun]) -> bool) -> Vec<MaintenanceRun> {
    loop {
        let runs = fixture.runs().await;
        if is_so(&runs) {
            return runs;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn organisation_with_one_due_table_is_next_after_one_with_many() {
    let config = MaintenanceConfig { tables_at_once: 1, ..MaintenanceConfig::default() };
    let greedy = Fixture::with_config(config).await;
    for number in 0..25 {
        greedy.sample(&format!("t{number}"), keep_the_last()).await;
    }
    let modest = greedy.beside("modest").await;
    modest.sample("t", keep_the_last()).await;
    for fixture in [&greedy, &modest] {
        fixture.set_policy(PolicyObject::Warehouse, json!({ "expire-snapshots": { "enabled": true } })).await;
    }
    let place = greedy.upkeep.turns().enter(Kind::Removal, greedy.warehouse.warehouse_ref.organisation).await.unwrap();
    assert_eq!(greedy.upkeep.look(&CancellationToken::new()).await.unwrap(), 21, "those of one look");
    while greedy.upkeep.turns().waiting(Kind::Removal) < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(greedy.upkeep.look(&CancellationToken::new()).await.unwrap(), 0, "they are waited for");
    let due = || greedy.upkeep.due_tables().into_iter().map(|due| due.tables).collect::<Vec<_>>();
    assert_eq!(due(), [0, 21], "all of both organisations wait");
    drop(place);
    greedy.settle().await;
    assert_eq!(due(), [0, 0]);
    let (many, one) = (greedy.runs().await, modest.runs().await);
    assert_eq!((many.len(), one.len()), (25, 1), "the list goes on until no table is due");
    // Ids of runs are in the order of their begin.
    assert!(many.iter().all(|run| one[0].id < run.id), "the one is next");
    assert!(greedy.upkeep.active.lock().is_empty());
}

#[tokio::test]
async fn rewrite_that_waits_holds_back_no_removal_on_its_table() {
    let fixture = Fixture::new().await;
    fixture.sample("t", keep_the_last()).await;
    let place = occupy(&fixture);
    let both = json!({ "expire-snapshots": { "enabled": true }, "compact-files": { "enabled": true } });
    fixture.set_policy(PolicyObject::Namespace(namespace()), both).await;
    assert_eq!(fixture.upkeep.look(&CancellationToken::new()).await.unwrap(), 2);
    let runs = until(&fixture, |runs| runs.iter().any(|run| run.outcome != RunOutcome::Running)).await;
    assert_eq!((runs.len(), runs[0].operation, runs[0].details.snapshots), (1, ExpireSnapshots, 3));
    // The removal's lease ends after its record.
    while fixture.upkeep.active.lock().len() > 1 {
        tokio::task::yield_now().await;
    }
    drop(place);
    fixture.settle().await;
    assert_eq!(fixture.runs().await[0].operation, CompactFiles);
}

#[tokio::test]
async fn run_by_hand_is_queued_while_another_rewrite_runs() {
    let fixture = Fixture::new().await;
    let table = fixture.sample("t", keep_the_last()).await;
    let place = occupy(&fixture);
    fixture.start(&table.ident, CompactFiles, true).await.unwrap();
    assert_eq!(fixture.runs().await[0].outcome, RunOutcome::Queued);
    fixture.start(&table.ident, ExpireSnapshots, false).await.expect("the queued run has not taken the table");
    let ended = |run: &MaintenanceRun| run.operation == ExpireSnapshots && run.outcome == RunOutcome::Succeeded;
    until(&fixture, |runs| runs.iter().any(ended)).await;
    drop(place);
    fixture.settle().await;
    let runs = fixture.runs().await;
    assert!(runs.iter().all(|run| run.outcome == RunOutcome::Succeeded), "{runs:?}");
}

#[tokio::test]
async fn queued_runs_of_an_organisation_are_limited_and_end_with_the_server() {
    let fixture = Fixture::new().await;
    let table = fixture.sample("t", json!({})).await;
    let _place = occupy(&fixture);
    for _ in 0..64 {
        fixture.start(&table.ident, CompactFiles, true).await.unwrap();
    }
    let refused = fixture.start(&table.ident, CompactFiles, true).await;
    assert!(matches!(refused, Err(UpkeepError::TooMany)), "{refused:?}");
    fixture.upkeep.stop.cancel();
    fixture.settle().await;
    let runs = fixture.runs().await;
    assert!(runs.len() == 64 && runs.iter().all(|run| run.outcome == RunOutcome::Stopped));
    assert!(runs[0].details.message.as_ref().unwrap().contains("start it again"));
}

#[tokio::test]
async fn new_files_of_a_rewrite_that_certainly_was_not_committed_are_removed() {
    let fixture = Fixture::new().await;
    let table = fixture.sample("t", json!({})).await;
    fixture.set_policy(PolicyObject::Warehouse, json!({ "rewrite-manifests": { "min-manifests": 2 } })).await;
    let place = occupy(&fixture);
    fixture.start(&table.ident, RewriteManifests, false).await.unwrap();
    fixture.rename(&table.ident, "other").await;
    let before = files(&table.location);
    drop(place);
    fixture.settle().await;
    let run = fixture.runs().await.swap_remove(0);
    assert_eq!((run.outcome, run.details.written_files), (RunOutcome::Failed, 1), "{run:?}");
    assert_eq!(files(&table.location), before, "{run:?}");
}
