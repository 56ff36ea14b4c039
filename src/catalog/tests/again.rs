//! Answers to repeated requests, and the locations for which they permit vending.

use super::*;
use crate::base::clock::fresh_ordered_uuid;
use crate::storage::{Budget, Setup, Storage, StorageCredentials};
use crate::store::{Answer, KeptDocument, Receipt, RequestDigest};
use crate::vending::open_vendor;

impl Fixture {
    /// Returns the same warehouse with a vendor that vends credentials.
    fn vending(&self) -> Arc<OpenWarehouse> {
        let root = tidewater_core::location::Location::parse("s3://bucket/lake").unwrap();
        let profile = serde_json::from_value(json!({ "type": "s3", "region": "a", "endpoint": "http://127.0.0.1:1",
            "path-style": true }));
        let (profile, budget) = (profile.unwrap(), Budget::default());
        let (secret_access_key, session_token) = (crate::base::secret::Secret::new("s".to_owned()), None);
        let credentials =
            &StorageCredentials::AwsKey { access_key_id: "k".to_owned(), secret_access_key, session_token };
        let setup = Setup { id: fresh_uuid(), root: &root, profile: &profile, credentials, budget };
        let vendor = open_vendor(&profile, &Storage::open(&setup).unwrap(), budget).unwrap();
        Arc::new(OpenWarehouse { vendor, ..(*self.warehouse).clone() })
    }

    /// Creates a table, at `location` if it is set. Returns the kept answer.
    async fn create_kept(&self, name: &str, location: Option<&str>) -> KeptDocument {
        let receipt = Receipt {
            principal: tidewater_core::ids::PrincipalId(uuid::Uuid::from_u128(7)),
            key: fresh_ordered_uuid(),
            request: RequestDigest([1; 32]),
            expires_ms: i64::MAX,
        };
        let mut request = create_request(name);
        request.location = location.map(str::to_owned);
        let catalog = &self.catalog;
        catalog.table_create_as_admin(&self.warehouse, &namespace(), request, &keyed(&receipt)).await.unwrap();
        let kept = self
            .store
            .receipt_get(self.warehouse.warehouse_ref.organisation, receipt.principal, receipt.key, 1)
            .await
            .unwrap();
        let Some(Answer::Document(document)) = kept.map(|kept| kept.answer) else { panic!("no document is kept") };
        document
    }

    async fn update(&self, name: &str, update: serde_json::Value) {
        let body = json!({ "requirements": [], "updates": [update] });
        let commit = TableCommit::parse(body.to_string().as_bytes()).unwrap();
        let ident = TableIdent::new(namespace(), name).unwrap();
        self.catalog.table_commit_as_admin(&self.warehouse, ident, commit, &Change::by_catalog(0)).await.unwrap();
    }
}

#[tokio::test]
async fn repeated_answer_has_locations_only_while_the_table_has_them() {
    let fixture = Fixture::new().await;
    let warehouse = fixture.vending();
    let kept = fixture.create_kept("made", None).await;
    let again = async || fixture.catalog.table_again_as_admin(&warehouse, &kept).await.unwrap();
    let is_proof = async || {
        let again = again().await;
        assert_eq!(again.document.location, kept.location);
        again.locations.is_some()
    };
    assert!(is_proof().await);
    fixture.update("made", json!({ "action": "set-properties", "updates": { "a": "b" } })).await;
    assert!(is_proof().await);
    let location = again().await.document.metadata.location().to_owned();
    fixture.update("made", json!({ "action": "set-location", "location": format!("{location}-moved") })).await;
    assert!(!is_proof().await);
    fixture.update("made", json!({ "action": "set-location", "location": location })).await;
    assert!(is_proof().await);
    let path = json!({ "write.data.path": format!("{location}-data") });
    fixture.update("made", json!({ "action": "set-properties", "updates": path })).await;
    assert!(!is_proof().await);
    fixture.update("made", json!({ "action": "remove-properties", "removals": ["write.data.path"] })).await;
    assert!(is_proof().await);

    // Another table has its location.
    let ident = TableIdent::new(namespace(), "made").unwrap();
    fixture.catalog.table_drop_as_admin(&warehouse, &ident, false, &Change::by_catalog(0)).await.unwrap();
    assert!(!is_proof().await);
    let other = fixture.create_kept("made", Some(&location)).await;
    assert!(!is_proof().await);
    assert_ne!(other, kept);
}

#[tokio::test]
async fn repeated_answer_without_storage_says_that_the_change_succeeded() {
    let fixture = Fixture::new().await;
    let kept = fixture.create_kept("made", None).await;
    std::fs::write(kept.location.strip_prefix("file://").unwrap(), "{").unwrap();
    let catalog = Catalog::new(
        Arc::clone(&fixture.store) as Arc<dyn Store>,
        Documents::new(0),
        crate::app::storage_access(&crate::config::Config::default()),
        Clock::System,
        fixture.catalog.settings,
    );
    let refused = catalog.table_again_as_admin(&fixture.warehouse, &kept).await;
    assert!(matches!(&refused, Err(CatalogError::AnswerUnavailable(..))), "{refused:?}");
    assert!(refused.unwrap_err().to_string().contains("succeeded before"));
}
