mod again;
mod full;
mod locations;
mod outage;
mod publish;
mod receipts;
mod register;
mod renames;
mod signing;
mod transactions;
mod views;

use std::path::Path;

use serde_json::json;
use tidewater_core::commit::{CreateTable, TableCommit};
use tidewater_core::ids::{OrganisationId, WarehouseId};
use tidewater_core::name::{NamespaceIdent, TableIdent};

use super::*;
use crate::base::clock::fresh_uuid;
use crate::base::deadline::Deadline;
use crate::store::faulty::{Fault, FaultyStore};
use crate::store::{
    Breaker, Change, Organisation, Receipt, StoreError, Warehouse, WarehouseOptions, WarehouseStorage, open_to_break,
};

const WEEK: Duration = Duration::from_secs(7 * 86_400);

struct Fixture {
    catalog: Arc<Catalog>,
    store: Arc<FaultyStore>,
    breaker: Breaker,
    warehouse: Arc<OpenWarehouse>,
    folder: tempfile::TempDir,
}

fn table() -> TableIdent {
    TableIdent::new(namespace(), "t").unwrap()
}

fn namespace() -> NamespaceIdent {
    NamespaceIdent::new(&["ns"]).unwrap()
}

fn create_request(name: &str) -> CreateTable {
    let body = json!({ "name": name, "schema": { "type": "struct", "fields": [
        { "id": 1, "name": "x", "required": false, "type": "long" }] } });
    CreateTable::parse(body.to_string().as_bytes()).unwrap()
}

fn commit(key: &str) -> TableCommit {
    let body = json!({ "requirements": [], "updates": [{ "action": "set-properties", "updates": { key: "v" } }] });
    TableCommit::parse(body.to_string().as_bytes()).unwrap()
}

/// Returns the same commit as a part of a transaction.
fn named_commit(key: &str) -> TableCommit {
    let body = json!({ "table-changes": [{ "identifier": { "namespace": ["ns"], "name": "t" }, "requirements": [],
        "updates": [{ "action": "set-properties", "updates": { key: "v" } }] }] });
    TableCommit::parse_transaction(body.to_string().as_bytes()).unwrap().remove(0)
}

/// Returns a change with a receipt.
fn keyed(receipt: &Receipt) -> Change {
    Change { receipt: Some(Arc::new(receipt.clone())), ..Change::by_catalog(0) }
}

impl Fixture {
    /// Creates a catalog with one organisation, one warehouse, the namespace `ns` and the table `ns.t`.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (store, breaker) = open_to_break(&folder.path().join("tidewater.db"));
        let store = Arc::new(FaultyStore::new(store));
        let organisation = OrganisationId(fresh_uuid());
        let acme = Organisation::new(organisation, "acme", "enterprise", 1);
        store.organisation_create(&acme, &Change::by_catalog(0)).await.unwrap();
        let warehouse = Warehouse {
            id: WarehouseId(fresh_uuid()),
            organisation,
            name: "main".into(),
            root: format!("file://{}/warehouse", folder.path().display()),
            storage: WarehouseStorage::local(),
            options: WarehouseOptions::default(),
            is_default: true,
            created_ms: 1,
        };
        store.warehouse_create(&warehouse, &Change::by_catalog(0)).await.unwrap();
        let documents = Documents::new(1 << 20);
        let access = crate::app::storage_access(&crate::config::Config::default());
        let settings =
            CatalogSettings { drop_retention: WEEK, removal_delay: Duration::ZERO, limits: RequestLimits::default() };
        let catalog =
            Arc::new(Catalog::new(Arc::clone(&store) as Arc<dyn Store>, documents, access, Clock::System, settings));
        let warehouse = catalog.warehouse(organisation, None).await.unwrap();
        catalog
            .namespace_create_as_admin(
                &warehouse,
                &namespace(),
                &std::collections::BTreeMap::new(),
                &Change::by_catalog(0),
            )
            .await
            .unwrap();
        catalog
            .table_create_as_admin(&warehouse, &namespace(), create_request("t"), &Change::by_catalog(0))
            .await
            .unwrap();
        Self { catalog, store, breaker, warehouse, folder }
    }

    async fn commit(&self, key: &str) -> Result<LoadedTable, CatalogError> {
        self.catalog.table_commit_as_admin(&self.warehouse, table(), commit(key), &Change::by_catalog(0)).await
    }

    /// Returns the permit of a commit to an existing table.
    async fn target(&self, ident: &TableIdent) -> CommitTarget {
        let authorizer = testing::admin(&self.warehouse);
        self.catalog.commit_find(authorizer, Arc::clone(&self.warehouse), ident.clone(), false).await.unwrap()
    }

    /// Returns whether the table has the property that [`commit`] sets.
    async fn has(&self, key: &str) -> bool {
        let loaded = self.catalog.table_load_as_admin(&self.warehouse, &table()).await.unwrap();
        loaded.document.metadata.properties().contains_key(key)
    }

    fn metadata_files(&self) -> usize {
        fn count(folder: &Path) -> usize {
            let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            entries.map(|path| if path.is_dir() { count(&path) } else { 1 }).sum()
        }
        count(&self.folder.path().join("warehouse"))
    }
}

#[tokio::test]
async fn commit_with_lost_answer_is_acknowledged_if_it_happened() {
    let fixture = Fixture::new().await;
    fixture.store.fail_next(Fault::DoneUnheard);
    let loaded = fixture.commit("a").await.unwrap();
    assert!(fixture.has("a").await);
    assert!(std::fs::exists(loaded.document.location.strip_prefix("file://").unwrap()).unwrap());
}

#[tokio::test]
async fn commit_with_lost_answer_is_refused_if_it_did_not_happen() {
    let fixture = Fixture::new().await;
    fixture.store.fail_next(Fault::NotDone);
    let refused = fixture.commit("a").await;
    assert!(matches!(refused, Err(CatalogError::Store(StoreError::Unavailable(_)))), "{refused:?}");
    assert!(!fixture.has("a").await);
    fixture.commit("a").await.unwrap();
}

#[tokio::test]
async fn commit_with_unknown_outcome_is_reported_and_keeps_its_document() {
    let fixture = Fixture::new().await;
    let before = fixture.metadata_files();
    fixture.store.fail_next(Fault::NotDoneAndDeaf);
    let unknown = fixture.commit("a").await;
    assert!(matches!(unknown, Err(CatalogError::CommitStateUnknown(..))), "{unknown:?}");
    assert_eq!(fixture.metadata_files(), before + 1);
}

#[tokio::test]
async fn overtaken_commit_is_reapplied_and_leaves_one_document() {
    let fixture = Fixture::new().await;
    let before = fixture.metadata_files();
    fixture.store.fail_next(Fault::Overtaken);
    fixture.commit("a").await.unwrap();
    assert!(fixture.has("a").await);
    assert_eq!(fixture.metadata_files(), before + 1);
}

#[tokio::test]
async fn creation_with_lost_answer_is_acknowledged_only_if_it_happened() {
    let fixture = Fixture::new().await;
    let create = async |name: &str| {
        fixture
            .catalog
            .table_create_as_admin(&fixture.warehouse, &namespace(), create_request(name), &Change::by_catalog(0))
            .await
    };
    fixture.store.fail_next(Fault::DoneUnheard);
    assert!(matches!(create("heard").await, Ok(CreatedTable::Created(_))));
    fixture.store.fail_next(Fault::NotDone);
    let refused = create("lost").await;
    assert!(matches!(refused, Err(CatalogError::Store(StoreError::Unavailable(_)))), "{refused:?}");
    create("lost").await.unwrap();
}

#[tokio::test]
async fn creation_that_loses_a_race_leaves_no_document() {
    let fixture = Fixture::new().await;
    let before = fixture.metadata_files();
    let creations = (0..8).map(|_| {
        let (catalog, warehouse) = (Arc::clone(&fixture.catalog), Arc::clone(&fixture.warehouse));
        tokio::spawn(async move {
            catalog.table_create_as_admin(&warehouse, &namespace(), create_request("u"), &Change::by_catalog(0)).await
        })
    });
    let mut created = 0;
    for creation in creations.collect::<Vec<_>>() {
        match creation.await.unwrap() {
            Ok(_) => created += 1,
            Err(error) => assert!(matches!(error, CatalogError::TableExists(_)), "{error}"),
        }
    }
    assert_eq!((created, fixture.metadata_files()), (1, before + 1));
}

#[tokio::test]
async fn commit_of_a_disconnected_caller_runs_to_its_end() {
    let fixture = Fixture::new().await;
    {
        let target = fixture.target(&table()).await;
        let change = Change::by_catalog(0);
        let mut abandoned = Box::pin(fixture.catalog.table_commit(target, commit("a"), &change));
        assert!(futures_util::poll!(&mut abandoned).is_pending());
    }
    fixture.catalog.finish().await;
    assert!(fixture.has("a").await);
}

#[tokio::test]
async fn unknown_warehouse_names_do_not_each_reload_the_list() {
    let fixture = Fixture::new().await;
    let organisation = fixture.warehouse.warehouse_ref.organisation;
    let before = fixture.store.call_count("warehouse_list");
    let begun = std::time::Instant::now();
    for number in 0..1_000 {
        let refused = fixture.catalog.warehouse(organisation, Some(&format!("w{number}"))).await;
        assert!(matches!(refused, Err(CatalogError::NoSuchWarehouse(_))), "{refused:?}");
    }
    let reloads = fixture.store.call_count("warehouse_list") - before;
    // Ten reloads a second for unknown names, and one every two seconds when the cache expires.
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap() + 1;
    assert!(reloads <= 12 * seconds + 1, "{reloads} reloads in {seconds} s");
}

#[tokio::test]
async fn commit_past_its_deadline_stops_waiting_and_frees_the_table() {
    let fixture = Fixture::new().await;
    let id = fixture.catalog.table_record(&fixture.warehouse, &table()).await.unwrap().id;
    let files = fixture.metadata_files();
    let turn = fixture.catalog.queues.enter(id).await;
    let soon = Deadline::ending_at(std::time::Instant::now() + Duration::from_millis(50));
    let late = deadline::scope(Some(soon), fixture.commit("late")).await;
    assert!(matches!(late, Err(CatalogError::Heavy(crate::heavy::HeavyError::TimeIsOver(_)))), "{late:?}");
    drop(turn);
    fixture.catalog.finish().await;
    assert!(!fixture.has("late").await);
    assert_eq!(fixture.metadata_files(), files);
    fixture.commit("next").await.unwrap();
}

#[tokio::test]
async fn transaction_past_its_deadline_stops_between_commits() {
    let fixture = Fixture::new().await;
    let over = Some(Deadline::ending_at(std::time::Instant::now()));
    let (commits, base) =
        (vec![commit("a"), commit("b")], fixture.catalog.table_load_as_admin(&fixture.warehouse, &table()).await);
    let base = base.unwrap().document;
    let stopped = deadline::sync_scope(over, || commit::apply_in_order(&base, &commits, 1));
    assert!(matches!(stopped, Err(CatalogError::Heavy(_))), "{stopped:?}");
}
