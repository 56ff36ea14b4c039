//! Servers that are killed, lose their lease or stop, and commits and errors that come meanwhile.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tidewater_core::upkeep::MaintenanceOperation::{CompactFiles, RewriteManifests};
use tokio_util::sync::CancellationToken;

use super::fixture::{Fixture, Sample, files, pass};
use super::keep_the_last;
use super::turns::occupy;
use crate::config::MaintenanceConfig;
use crate::store::{PolicyObject, RunOutcome, StoreError};
use crate::upkeep::lease::Held;
use crate::upkeep::measures::RunLabels;

/// Creates a table with manifests to rewrite, and begins the rewrite. It has not run yet when this returns.
async fn begin_rewrite(fixture: &Fixture) -> Sample {
    let table = fixture.sample("t", json!({})).await;
    fixture.set_policy(PolicyObject::Warehouse, json!({ "rewrite-manifests": { "min-manifests": 2 } })).await;
    fixture.start(&table.ident, RewriteManifests, false).await.unwrap();
    table
}

#[tokio::test]
async fn rewrite_that_lost_its_lease_commits_nothing_and_removes_its_files() {
    let fixture = Fixture::new().await;
    let table = begin_rewrite(&fixture).await;
    let before = files(&table.location);
    // The commit begins with a read of the pointer by name.
    fixture.store.before_next("table_get", fixture.take_over(table.id));
    fixture.settle().await;
    let run = fixture.runs().await.swap_remove(0);
    assert_eq!((run.outcome, run.details.written_files), (RunOutcome::Stopped, 1), "{run:?}");
    let loaded = fixture.catalog.table_load_as_admin(&fixture.warehouse, &table.ident).await.unwrap();
    assert_eq!(loaded.document.metadata.current_snapshot_id(), Some(4));
    assert_eq!(files(&table.location), before);
}

#[tokio::test]
async fn table_that_moves_to_format_3_between_attempts_keeps_the_lineage_of_its_rows() {
    let fixture = Arc::new(Fixture::new().await);
    let table = begin_rewrite(&fixture).await;
    let (other, ident) = (Arc::clone(&fixture), table.ident.clone());
    fixture.store.before_next("table_get", async move {
        other.commit(&ident, json!([{ "action": "upgrade-format-version", "format-version": 3 }])).await;
        Ok(())
    });
    fixture.settle().await;
    let run = fixture.runs().await.swap_remove(0);
    assert_eq!(run.outcome, RunOutcome::Succeeded, "{run:?}");
    let loaded = fixture.catalog.table_load_as_admin(&fixture.warehouse, &table.ident).await.unwrap();
    let document: serde_json::Value = serde_json::from_slice(&loaded.document.json).unwrap();
    assert_eq!(document["format-version"], 3);
    let current = document["snapshots"].as_array().unwrap().last().unwrap();
    assert_eq!(current["snapshot-id"], document["current-snapshot-id"]);
    // All rows of the manifests get ids, and the table's counter counts them.
    assert_eq!(
        (current["first-row-id"].as_i64(), current["summary"]["operation"].as_str()),
        (Some(0), Some("replace"))
    );
    assert!(document["next-row-id"].as_i64().unwrap() >= 9, "{document}");
}

#[tokio::test]
async fn renewal_of_a_lease_stores_no_older_state_over_a_newer_one() {
    let fixture = Fixture::new().await;
    let table = fixture.sample("t", json!({})).await;
    let warehouse_ref = fixture.warehouse.warehouse_ref;
    let held = Held::claim(&fixture.upkeep.parts, warehouse_ref, table.id).await.unwrap().unwrap();
    let (open, opened) = tokio::sync::oneshot::channel::<()>();
    fixture.store.before_next("maintenance_hold", async move {
        opened.await.unwrap();
        Ok(())
    });
    let work = async {
        // The renewals begin.
        tokio::task::yield_now().await;
        pass(Duration::from_secs(11)).await;
        while fixture.store.call_count("maintenance_hold") == 0 {
            tokio::task::yield_now().await;
        }
        // The renewal has read the state, and its call has not reached the store.
        let change = held.change_state(|state| state.pending_tries = 7);
        let later = async {
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            open.send(()).unwrap();
        };
        let (changed, ()) = tokio::join!(change, later);
        assert!(changed.unwrap());
    };
    held.while_held(work, &CancellationToken::new()).await;
    held.release().await;
    let states = fixture.store.maintenance_states(warehouse_ref.organisation, &[table.id]).await.unwrap();
    assert_eq!(states[0].as_ref().unwrap().pending_tries, 7);
}

#[tokio::test]
async fn look_maintains_the_tables_of_others_after_an_error_of_one_organisation() {
    let one = Fixture::new().await;
    let other = one.beside("other").await;
    for fixture in [&one, &other] {
        fixture.sample("t", keep_the_last()).await;
        fixture.set_policy(PolicyObject::Warehouse, json!({ "expire-snapshots": { "enabled": true } })).await;
    }
    one.store.before_next("policy_list", async { Err(StoreError::Unavailable("a list is broken".into())) });
    let looked = one.upkeep.look(&CancellationToken::new()).await;
    assert!(looked.is_err(), "{looked:?}");
    one.settle().await;
    assert_eq!((one.runs().await.len(), other.runs().await.len()), (1, 1));
}

#[tokio::test]
async fn queued_run_is_held_by_the_looks_of_its_server_and_ends_after_a_kill() {
    let fixture = Fixture::new().await;
    let table = fixture.sample("t", json!({})).await;
    let place = occupy(&fixture);
    fixture.start(&table.ident, CompactFiles, true).await.unwrap();
    let other = fixture.another_server();
    let hold_ms = MaintenanceConfig::default().queued_hold_ms();
    for _ in 0..2 {
        fixture.advance(hold_ms - 1);
        fixture.upkeep.look(&CancellationToken::new()).await.unwrap();
        other.look(&CancellationToken::new()).await.unwrap();
        assert_eq!(fixture.runs().await[0].outcome, RunOutcome::Queued);
    }
    // From here on its server does not look any more.
    fixture.advance(hold_ms);
    other.look(&CancellationToken::new()).await.unwrap();
    let run = fixture.runs().await.swap_remove(0);
    assert_eq!(run.outcome, RunOutcome::Abandoned, "{run:?}");
    assert!(run.ended_ms.is_some() && run.details.message.unwrap().contains("start it again"));
    let labels = RunLabels { operation: "compact-files", outcome: "abandoned" };
    assert_eq!(other.measures().runs.get_or_create(&labels).get(), 1);
    drop(place);
    fixture.settle().await;
    assert!(fixture.upkeep.queued.lock().is_empty());
}

#[tokio::test]
async fn queued_run_that_waits_for_its_table_ends_with_the_server() {
    let fixture = Fixture::new().await;
    let table = fixture.sample("t", json!({})).await;
    let place = occupy(&fixture);
    fixture.start(&table.ident, CompactFiles, true).await.unwrap();
    let warehouse_ref = fixture.warehouse.warehouse_ref;
    let _held = Held::claim(&fixture.upkeep.parts, warehouse_ref, table.id).await.unwrap().unwrap();
    let claims = fixture.store.call_count("maintenance_claim");
    drop(place);
    while fixture.store.call_count("maintenance_claim") == claims {
        tokio::task::yield_now().await;
    }
    fixture.upkeep.stop.cancel();
    fixture.settle().await;
    let run = fixture.runs().await.swap_remove(0);
    assert_eq!(run.outcome, RunOutcome::Stopped);
    assert!(run.details.message.as_ref().unwrap().contains("the server stopped"), "{run:?}");
}
