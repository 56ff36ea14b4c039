use std::path::Path;

use super::*;
use crate::base::clock::fresh_uuid;
use crate::base::secret::Secret;
use crate::sealing::fresh_key;
use crate::store::{Change, Organisation, Store, Warehouse, WarehouseOptions, WarehouseStorage};
use tidewater_core::ids::{OrganisationId, WarehouseId};

struct Fixture {
    folder: tempfile::TempDir,
    store: Arc<dyn Store>,
    source: KeySource,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = crate::store::open(&folder.path().join("tidewater.db")).unwrap();
        let source = KeySource::File { path: folder.path().join("master.key"), make: true };
        Self { folder, store, source }
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("master.key")
    }

    async fn check(&self) -> Result<Option<KeyRing>, MasterKeyError> {
        check(self.store.as_ref(), &self.source).await
    }

    /// Adds a warehouse whose credentials are sealed with the first key.
    async fn seal(&self) {
        let keys = check_or_make(self.store.as_ref(), &self.source).await.unwrap();
        self.add_warehouse(keys.seal(b"hush", b"o").unwrap()).await;
    }

    async fn add_warehouse(&self, seal: Vec<u8>) {
        let organisation = OrganisationId(fresh_uuid());
        let acme = Organisation::new(organisation, "acme", "premium", 1);
        self.store.organisation_create(&acme, &Change::by_catalog(0)).await.unwrap();
        let warehouse = Warehouse {
            id: WarehouseId(fresh_uuid()),
            organisation,
            name: "lake".into(),
            root: "s3://bucket/lake".into(),
            storage: WarehouseStorage { sealed_credentials: Some(seal), ..WarehouseStorage::local() },
            options: WarehouseOptions::default(),
            is_default: true,
            created_ms: 1,
        };
        self.store.warehouse_create(&warehouse, &Change::by_catalog(0)).await.unwrap();
    }

    fn write_fresh_key(&self, path: &Path) -> String {
        let key = fresh_key().unwrap().expose().clone();
        std::fs::write(path, &key).unwrap();
        key
    }
}

fn text(result: Result<Option<KeyRing>, MasterKeyError>) -> String {
    result.unwrap_err().to_string()
}

#[tokio::test]
async fn catalog_without_secrets_needs_no_key() {
    let fixture = Fixture::new();
    assert!(fixture.check().await.unwrap().is_none());
    assert!(!fixture.file().exists());
}

#[tokio::test]
async fn lost_key_is_an_error_and_no_new_key_is_created() {
    let fixture = Fixture::new();
    fixture.seal().await;
    std::fs::remove_file(fixture.file()).unwrap();
    let refused = text(fixture.check().await);
    assert!(refused.contains("is missing") && refused.contains("'lake' of 'acme'"), "{refused}");
    assert!(refused.contains("reseal --key-is-lost") && refused.contains("master.key"), "{refused}");
    assert!(check_or_make(fixture.store.as_ref(), &fixture.source).await.is_err());
    assert!(!fixture.file().exists(), "no second key");
}

#[tokio::test]
async fn other_key_is_refused_until_its_fingerprint_is_stored() {
    let fixture = Fixture::new();
    fixture.seal().await;
    fixture.write_fresh_key(&fixture.file());
    let refused = text(fixture.check().await);
    assert!(refused.contains("does not belong to this catalog") && refused.contains("'lake' of 'acme'"), "{refused}");
    assert!(check_or_make(fixture.store.as_ref(), &fixture.source).await.is_err());
    set_fingerprint(fixture.store.as_ref(), &fixture.source.read().unwrap()).await.unwrap();
    fixture.check().await.unwrap();
}

#[tokio::test]
async fn catalog_without_secrets_refuses_another_key_once_it_has_one() {
    let fixture = Fixture::new();
    check_or_make(fixture.store.as_ref(), &fixture.source).await.unwrap();
    std::fs::remove_file(fixture.file()).unwrap();
    assert!(text(fixture.check().await).contains("No credentials are sealed"));
    fixture.write_fresh_key(&fixture.file());
    assert!(text(fixture.check().await).contains("does not belong to this catalog"));
}

#[tokio::test]
async fn catalog_without_fingerprint_refuses_a_key_that_opens_no_seal() {
    let fixture = Fixture::new();
    let old = fixture.write_fresh_key(&fixture.file());
    let seal = fixture.source.read().unwrap().seal(b"hush", b"o").unwrap();
    fixture.add_warehouse(seal).await;
    fixture.write_fresh_key(&fixture.file());
    assert!(text(fixture.check().await).contains("does not belong to this catalog"));
    // While keys are changed, the older one is still needed.
    let new = fixture.write_fresh_key(&fixture.file());
    std::fs::write(fixture.file(), format!("{new}\n{old}\n")).unwrap();
    fixture.check().await.unwrap();
    std::fs::write(fixture.file(), &new).unwrap();
    assert!(
        text(fixture.check().await).contains("does not belong to this catalog"),
        "the old key was removed before all secrets were resealed"
    );
}

#[tokio::test]
async fn keys_are_changed_without_a_refusal() {
    let fixture = Fixture::new();
    fixture.seal().await;
    let old = std::fs::read_to_string(fixture.file()).unwrap();
    let new = fixture.write_fresh_key(&fixture.file());
    std::fs::write(fixture.file(), format!("{new}\n{old}")).unwrap();
    let ring = fixture.check().await.unwrap().unwrap();
    set_fingerprint(fixture.store.as_ref(), &ring).await.unwrap();
    std::fs::write(fixture.file(), &new).unwrap();
    fixture.check().await.unwrap();
}

#[tokio::test]
async fn watch_reports_a_missing_or_other_key_after_the_cached_check() {
    let fixture = Fixture::new();
    let fresh = || MasterKeyWatch::new(Arc::clone(&fixture.store) as Arc<dyn Store>, fixture.source.clone());
    assert!(fresh().is_well().await, "no key is needed yet");
    fixture.seal().await;
    let watch = fresh();
    assert!(watch.is_well().await);
    std::fs::rename(fixture.file(), fixture.folder.path().join("elsewhere")).unwrap();
    assert!(watch.is_well().await, "the last check is cached for some seconds");
    assert!(!fresh().is_well().await);
    fixture.write_fresh_key(&fixture.file());
    assert!(!fresh().is_well().await, "another key");
}

#[tokio::test]
async fn wrong_key_in_the_setting_is_refused() {
    let fixture = Fixture::new();
    fixture.seal().await;
    let text_of = |key: String| KeySource::Text(Secret::new(key));
    let right = text_of(std::fs::read_to_string(fixture.file()).unwrap());
    check(fixture.store.as_ref(), &right).await.unwrap();
    let wrong = text_of(fresh_key().unwrap().expose().clone());
    assert!(text(check(fixture.store.as_ref(), &wrong).await).contains("storage.master_key"));
}
