//! Removal of deleted organisations, with real files.

use std::time::Duration;

use serde_json::json;

use super::fixture::{Fixture, files, unreferenced};
use crate::store::{Change, Deletion};

const HOUR: Duration = Duration::from_secs(3_600);

impl Fixture {
    async fn delete_organisation(&self, purge: bool) {
        let now_ms = self.now_ms.load(std::sync::atomic::Ordering::SeqCst);
        let deletion = Deletion { after_ms: now_ms + 1_000, purge };
        let organisation = self.warehouse.warehouse_ref.organisation;
        self.store.organisation_delete(organisation, deletion, &Change::by_catalog(now_ms)).await.unwrap();
    }

    async fn organisations(&self) -> usize {
        self.store.organisation_list().await.unwrap().len()
    }
}

#[tokio::test]
async fn organisation_is_removed_after_its_grace_time_and_files_stay_without_purge() {
    let fixture = Fixture::new(HOUR).await;
    let (kept, dropped) = (fixture.table("k", json!({}), &[]).await, fixture.table("d", json!({}), &[]).await);
    fixture.drop(&dropped, false).await;
    let (all, of_dropped) = (files(&kept.location), files(&dropped.location));
    fixture.delete_organisation(false).await;
    fixture.maintenance.sweep().await;
    assert_eq!(fixture.organisations().await, 1, "its grace time is not over");
    fixture.advance(1_000);
    fixture.maintenance.sweep().await;
    assert_eq!(fixture.organisations().await, 0);
    assert_eq!((files(&kept.location), files(&dropped.location)), (all, of_dropped));
}

#[tokio::test]
async fn purged_organisation_is_removed_with_the_files_of_its_tables() {
    let fixture = Fixture::new(HOUR).await;
    let (live, dropped) = (fixture.table("l", json!({}), &[]).await, fixture.table("d", json!({}), &[]).await);
    fixture.drop(&dropped, false).await;
    fixture.delete_organisation(true).await;
    fixture.advance(1_000);
    fixture.maintenance.sweep().await;
    assert_eq!((files(&live.location), files(&dropped.location)), (unreferenced(), unreferenced()));
    assert_eq!(fixture.organisations().await, 0);
}
