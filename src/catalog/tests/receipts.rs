//! Repeated changes with the same idempotency key, after lost answers.

use super::*;
use crate::base::clock::fresh_ordered_uuid;
use crate::store::{Answer, RequestDigest};

fn receipt() -> Receipt {
    Receipt {
        principal: tidewater_core::ids::PrincipalId(uuid::Uuid::from_u128(7)),
        key: fresh_ordered_uuid(),
        request: RequestDigest([1; 32]),
        expires_ms: i64::MAX,
    }
}

impl Fixture {
    async fn commit_with(&self, receipt: &Receipt) -> Result<LoadedTable, CatalogError> {
        self.catalog.table_commit_as_admin(&self.warehouse, table(), commit("a"), &keyed(receipt)).await
    }

    async fn kept(&self, receipt: &Receipt) -> Option<Answer> {
        let kept = self
            .store
            .receipt_get(self.warehouse.warehouse_ref.organisation, receipt.principal, receipt.key, 1)
            .await
            .unwrap();
        kept.map(|kept| kept.answer)
    }

    /// Returns the kept answer with a document of the table.
    async fn kept_document(&self, location: &str) -> Option<Answer> {
        let id = self.catalog.table_record(&self.warehouse, &table()).await.unwrap().id;
        Some(Answer::document(location, id))
    }

    async fn pointer(&self) -> String {
        self.catalog.table_record(&self.warehouse, &table()).await.unwrap().metadata_location
    }
}

#[tokio::test]
async fn commit_with_unknown_outcome_is_found_by_its_key() {
    let fixture = Fixture::new().await;
    let receipt = receipt();
    fixture.store.fail_next(Fault::DoneAndDeaf);
    let unknown = fixture.commit_with(&receipt).await;
    assert!(matches!(unknown, Err(CatalogError::CommitStateUnknown(..))), "{unknown:?}");
    let (files, pointer) = (fixture.metadata_files(), fixture.pointer().await);
    assert_eq!(fixture.kept(&receipt).await, fixture.kept_document(&pointer).await);
    let again = fixture.commit_with(&receipt).await;
    assert!(matches!(again, Err(CatalogError::Repeated)), "{again:?}");
    assert_eq!(
        (fixture.metadata_files(), fixture.pointer().await),
        (files, pointer),
        "the second attempt left nothing behind"
    );
}

#[tokio::test]
async fn failed_commit_leaves_its_idempotency_key_free() {
    let fixture = Fixture::new().await;
    let receipt = receipt();
    for fault in [Fault::NotDone, Fault::NotDoneAndDeaf] {
        fixture.store.fail_next(fault);
        fixture.commit_with(&receipt).await.unwrap_err();
        assert_eq!(fixture.kept(&receipt).await, None);
    }
    let done = fixture.commit_with(&receipt).await.unwrap();
    assert_eq!(fixture.kept(&receipt).await, fixture.kept_document(&done.document.location).await);
}

#[tokio::test]
async fn reapplied_commit_keeps_only_its_last_document() {
    let fixture = Fixture::new().await;
    let receipt = receipt();
    fixture.store.fail_next(Fault::Overtaken);
    fixture.commit_with(&receipt).await.unwrap();
    assert_eq!(fixture.kept(&receipt).await, fixture.kept_document(&fixture.pointer().await).await);
}

#[tokio::test]
async fn transaction_with_unknown_outcome_is_found_by_its_key() {
    let fixture = Fixture::new().await;
    let receipt = receipt();
    let body = json!({ "table-changes": [{ "identifier": { "namespace": ["ns"], "name": "t" },
        "requirements": [], "updates": [{ "action": "set-properties", "updates": { "a": "v" } }] }] });
    let transact = async || {
        let commits = TableCommit::parse_transaction(body.to_string().as_bytes()).unwrap();
        fixture.catalog.transaction_commit_as_admin(&fixture.warehouse, commits, &keyed(&receipt)).await
    };
    fixture.store.fail_next(Fault::DoneAndDeaf);
    let unknown = transact().await;
    assert!(matches!(unknown, Err(CatalogError::CommitStateUnknown(..))), "{unknown:?}");
    assert_eq!(fixture.kept(&receipt).await, Some(Answer::Done));
    let files = fixture.metadata_files();
    let again = transact().await;
    assert!(matches!(again, Err(CatalogError::Repeated)), "{again:?}");
    assert_eq!(fixture.metadata_files(), files);
}
