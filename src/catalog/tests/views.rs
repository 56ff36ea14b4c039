//! Changes of views with lost answers, faster other changes, and disconnected callers.

use tidewater_core::view::{CreateView, ViewCommit};

use super::*;
use crate::store::{Receipt, RequestDigest};

fn ident() -> TableIdent {
    TableIdent::new(namespace(), "v").unwrap()
}

fn create_view(name: &str) -> CreateView {
    let body = json!({ "name": name, "schema": { "type": "struct", "fields": [] }, "properties": {},
        "view-version": { "version-id": 1, "timestamp-ms": 1, "schema-id": 0, "summary": {}, "default-namespace": ["ns"],
            "representations": [{ "type": "sql", "sql": "select 1", "dialect": "spark" }] } });
    CreateView::parse(body.to_string().as_bytes()).unwrap()
}

pub(super) fn set(key: &str) -> ViewCommit {
    let body = json!({ "updates": [{ "action": "set-properties", "updates": { key: "v" } }] });
    ViewCommit::parse(body.to_string().as_bytes()).unwrap()
}

impl Fixture {
    async fn with_view() -> Self {
        let fixture = Self::new().await;
        fixture.create_view("v").await.unwrap();
        fixture
    }

    pub(super) async fn create_view(&self, name: &str) -> Result<LoadedView, CatalogError> {
        self.catalog
            .view_create_as_admin(&self.warehouse, &namespace(), create_view(name), &Change::by_catalog(0))
            .await
    }

    async fn set(&self, key: &str) -> Result<LoadedView, CatalogError> {
        self.catalog.view_commit_as_admin(&self.warehouse, ident(), set(key), &Change::by_catalog(0)).await
    }

    async fn is_set(&self, key: &str) -> bool {
        let loaded = self.catalog.view_load_as_admin(&self.warehouse, &ident()).await.unwrap();
        loaded.metadata.properties().contains_key(key)
    }
}

#[tokio::test]
async fn view_commit_with_lost_answer_is_resolved_by_the_pointer() {
    let fixture = Fixture::with_view().await;
    fixture.store.fail_next(Fault::DoneUnheard);
    let loaded = fixture.set("done").await.unwrap();
    assert!(fixture.is_set("done").await);
    assert!(std::fs::exists(loaded.location.strip_prefix("file://").unwrap()).unwrap());

    fixture.store.fail_next(Fault::NotDone);
    let refused = fixture.set("not-done").await;
    assert!(matches!(refused, Err(CatalogError::Store(StoreError::Unavailable(_)))), "{refused:?}");
    assert!(!fixture.is_set("not-done").await);

    let before = fixture.metadata_files();
    fixture.store.fail_next(Fault::NotDoneAndDeaf);
    let unknown = fixture.set("unknown").await;
    assert!(matches!(unknown, Err(CatalogError::CommitStateUnknown(..))), "{unknown:?}");
    assert_eq!(fixture.metadata_files(), before + 1, "the document stays, since a pointer may lead to it");
}

#[tokio::test]
async fn overtaken_view_commit_is_reapplied_and_leaves_one_document() {
    let fixture = Fixture::with_view().await;
    let before = fixture.metadata_files();
    fixture.store.fail_next(Fault::Overtaken);
    fixture.set("a").await.unwrap();
    assert!(fixture.is_set("a").await);
    assert_eq!(fixture.metadata_files(), before + 1);
}

#[tokio::test]
async fn view_creation_with_lost_answer_is_acknowledged_only_if_it_happened() {
    let fixture = Fixture::new().await;
    fixture.store.fail_next(Fault::DoneUnheard);
    fixture.create_view("heard").await.unwrap();
    let before = fixture.metadata_files();
    fixture.store.fail_next(Fault::NotDone);
    let refused = fixture.create_view("lost").await;
    assert!(matches!(refused, Err(CatalogError::Store(StoreError::Unavailable(_)))), "{refused:?}");
    assert_eq!(fixture.metadata_files(), before + 1, "the document stays, since the change may arrive late");
    fixture.create_view("lost").await.unwrap();
}

#[tokio::test]
async fn concurrent_creates_of_a_table_and_views_of_one_name_leave_one_document() {
    let fixture = Fixture::new().await;
    let before = fixture.metadata_files();
    let creations = (0..8).map(|n| {
        let (catalog, warehouse) = (Arc::clone(&fixture.catalog), Arc::clone(&fixture.warehouse));
        tokio::spawn(async move {
            if n % 2 == 0 {
                catalog
                    .view_create_as_admin(&warehouse, &namespace(), create_view("u"), &Change::by_catalog(0))
                    .await
                    .map(|_| ())
            } else {
                catalog
                    .table_create_as_admin(&warehouse, &namespace(), create_request("u"), &Change::by_catalog(0))
                    .await
                    .map(|_| ())
            }
        })
    });
    let mut created = 0;
    for creation in creations.collect::<Vec<_>>() {
        match creation.await.unwrap() {
            Ok(()) => created += 1,
            Err(CatalogError::TableExists(_) | CatalogError::ViewExists(_) | CatalogError::NameTaken { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((created, fixture.metadata_files()), (1, before + 1));
}

#[tokio::test]
async fn view_commit_of_a_disconnected_caller_runs_to_its_end() {
    let fixture = Fixture::with_view().await;
    {
        let (catalog, warehouse, change) = (&fixture.catalog, &fixture.warehouse, Change::by_catalog(0));
        let view = catalog.view_find(testing::admin(warehouse), Arc::clone(warehouse), ident()).await.unwrap();
        let mut abandoned = Box::pin(catalog.view_commit(view, set("a"), &change));
        assert!(futures_util::poll!(&mut abandoned).is_pending());
    }
    fixture.catalog.finish().await;
    assert!(fixture.is_set("a").await);
}

#[tokio::test]
async fn view_change_with_an_idempotency_key_happens_once() {
    let fixture = Fixture::with_view().await;
    let receipt = |key: u128| Receipt {
        principal: tidewater_core::ids::PrincipalId(uuid::Uuid::from_u128(7)),
        key: uuid::Uuid::from_u128(key),
        request: RequestDigest([0; 32]),
        expires_ms: i64::MAX,
    };
    let (catalog, warehouse) = (&fixture.catalog, &fixture.warehouse);
    let files = fixture.metadata_files();
    let create = async |name: &str| {
        catalog.view_create_as_admin(warehouse, &namespace(), create_view(name), &keyed(&receipt(1))).await
    };
    create("once").await.unwrap();
    assert!(matches!(create("twice").await, Err(CatalogError::Repeated)));
    assert_eq!(fixture.metadata_files(), files + 1);
    for (key, property) in [(2, "a"), (3, "b")] {
        let commit =
            async || catalog.view_commit_as_admin(warehouse, ident(), set(property), &keyed(&receipt(key))).await;
        commit().await.unwrap();
        assert!(matches!(commit().await, Err(CatalogError::Repeated)), "{property}");
    }
    let nothing = async || {
        let commit = ViewCommit::parse(b"{\"updates\":[]}").unwrap();
        catalog.view_commit_as_admin(warehouse, ident(), commit, &keyed(&receipt(4))).await
    };
    nothing().await.unwrap();
    assert!(matches!(nothing().await, Err(CatalogError::Repeated)));
    let to = TableIdent::new(namespace(), "w").unwrap();
    catalog.view_rename_as_admin(warehouse, &ident(), &to, &keyed(&receipt(5))).await.unwrap();
    let again = catalog.view_drop_as_admin(warehouse, &to, &keyed(&receipt(5))).await;
    assert!(matches!(again, Err(CatalogError::Repeated)), "{again:?}");
    catalog.view_drop_as_admin(warehouse, &to, &keyed(&receipt(6))).await.unwrap();
}
