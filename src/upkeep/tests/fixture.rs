//! A catalog in a temporary folder, with tables that have real manifests, and a clock that the tests move.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use apache_avro::types::Value;
use apache_avro::{Schema, Writer};
use serde_json::{Value as Json, json};
use tidewater_core::commit::{CreateTable, TableCommit};
use tidewater_core::ids::{OrganisationId, TableId, WarehouseId};
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::request_limits::RequestLimits;
use tidewater_core::upkeep::{MaintenanceOperation, MaintenancePolicy};
use tokio_util::sync::CancellationToken;

use crate::access::action::{Action, MaintainTable, On};
use crate::access::{Authorizer, Permit, Principal, Table};
use crate::base::clock::{Clock, fresh_uuid};
use crate::catalog::{Catalog, CatalogSettings, CreatedTable};
use crate::config::MaintenanceConfig;
use crate::metadata::{Documents, ObjectReader};
use crate::store::faulty::FaultyStore;
use crate::store::{
    Actor, Change, MaintenanceRun, Organisation, PolicyObject, RunFilter, RunOutcome, Store, StoreError, TimedPage,
    Warehouse, WarehouseOptions, WarehouseStorage,
};
use crate::upkeep::{RunRequest, Upkeep, UpkeepError};
use crate::warehouse::OpenWarehouse;

/// The present time at first, in milliseconds since 1970. Snapshots of tables are from the days before.
pub(super) const NOW_MS: i64 = 1_790_000_000_000;

const DAY_MS: i64 = 86_400_000;

pub(super) struct Fixture {
    pub(super) catalog: Arc<Catalog>,
    pub(super) store: Arc<FaultyStore>,
    pub(super) upkeep: Arc<Upkeep>,
    pub(super) warehouse: Arc<OpenWarehouse>,
    now_ms: Arc<AtomicI64>,
    folder: Arc<tempfile::TempDir>,
}

/// A table with four snapshots, one a day, the last one from today. The third removes the file `b`.
pub(super) struct Sample {
    pub(super) ident: TableIdent,
    pub(super) id: TableId,
    pub(super) location: PathBuf,
}

pub(super) fn namespace() -> NamespaceIdent {
    NamespaceIdent::new(&["ns"]).unwrap()
}

fn write(path: &Path, schema: &str, records: Vec<Value>) {
    let schema = Schema::parse_str(schema).unwrap();
    let mut writer = Writer::new(&schema, Vec::new());
    writer.add_user_metadata("partition-spec".to_owned(), "[]").unwrap();
    for record in records {
        writer.append(record).unwrap();
    }
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, writer.into_inner().unwrap()).unwrap();
}

/// Writes a manifest with files and their states: 0 existing, 1 added, 2 deleted.
fn write_manifest(path: &Path, files: &[(String, i32)]) {
    let schema = r#"{"type":"record","name":"manifest_entry","fields":[{"name":"status","type":"int"},
        {"name":"data_file","type":{"type":"record","name":"r2","fields":[
            {"name":"file_path","type":"string"},{"name":"file_format","type":"string"},
            {"name":"record_count","type":"long"},{"name":"file_size_in_bytes","type":"long"}]}}]}"#;
    let record = |(file, status): &(String, i32)| {
        let file = Value::Record(vec![
            ("file_path".into(), Value::String(file.clone())),
            ("file_format".into(), Value::String("PARQUET".into())),
            ("record_count".into(), Value::Long(3)),
            ("file_size_in_bytes".into(), Value::Long(100)),
        ]);
        Value::Record(vec![("status".into(), Value::Int(*status)), ("data_file".into(), file)])
    };
    write(path, schema, files.iter().map(record).collect());
}

fn write_list(path: &Path, manifests: &[String]) {
    let schema = r#"{"type":"record","name":"manifest_file","fields":[{"name":"manifest_path","type":"string"},
        {"name":"manifest_length","type":"long"},{"name":"partition_spec_id","type":"int"}]}"#;
    let record = |path: &String| {
        Value::Record(vec![
            ("manifest_path".into(), Value::String(path.clone())),
            ("manifest_length".into(), Value::Long(500)),
            ("partition_spec_id".into(), Value::Int(0)),
        ])
    };
    write(path, schema, manifests.iter().map(record).collect());
}

/// Writes a file that was last changed some days ago, by the manual clock.
pub(super) fn touch(path: &Path, days_old: i64) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, "x").unwrap();
    let ms = u64::try_from(NOW_MS - days_old * DAY_MS).unwrap();
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_millis(ms)).unwrap();
}

/// Returns the files below a folder, by their paths relative to it.
pub(super) fn files(folder: &Path) -> BTreeSet<String> {
    fn collect(folder: &Path, root: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, root, found);
            } else {
                found.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let mut found = BTreeSet::new();
    collect(folder, folder, &mut found);
    found
}

/// Returns the files that a removal took away.
pub(super) fn gone(before: &BTreeSet<String>, folder: &Path) -> Vec<String> {
    before.difference(&files(folder)).cloned().collect()
}

/// Creates an organisation with a warehouse and the namespace.
async fn open_warehouse(
    store: &FaultyStore,
    catalog: &Arc<Catalog>,
    folder: &tempfile::TempDir,
    name: &str,
) -> Arc<OpenWarehouse> {
    let organisation = OrganisationId(fresh_uuid());
    let change = Change::by_catalog(0);
    store.organisation_create(&Organisation::new(organisation, name, "enterprise", 1), &change).await.unwrap();
    let warehouse = Warehouse {
        id: WarehouseId(fresh_uuid()),
        organisation,
        name: "main".into(),
        root: format!("file://{}/warehouse-of-{name}", folder.path().display()),
        storage: WarehouseStorage::local(),
        options: WarehouseOptions::default(),
        is_default: true,
        created_ms: 1,
    };
    store.warehouse_create(&warehouse, &change).await.unwrap();
    let warehouse = catalog.warehouse(organisation, None).await.unwrap();
    catalog.namespace_create_as_admin(&warehouse, &namespace(), &Default::default(), &change).await.unwrap();
    warehouse
}

/// Lets time pass for timers.
pub(super) async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

impl Fixture {
    pub(super) async fn new() -> Self {
        Self::with_config(MaintenanceConfig::default()).await
    }

    pub(super) async fn with_config(config: MaintenanceConfig) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let store = crate::store::open(&folder.path().join("tidewater.db")).unwrap();
        let store = Arc::new(FaultyStore::new(store));
        let shared: Arc<dyn Store> = store.clone();
        let now_ms = Arc::new(AtomicI64::new(NOW_MS));
        let clock = Clock::Manual(Arc::clone(&now_ms));
        let access = crate::app::storage_access(&crate::config::Config::default());
        let settings = CatalogSettings {
            drop_retention: Duration::from_secs(3_600),
            removal_delay: Duration::from_secs(60),
            limits: RequestLimits::default(),
        };
        let documents = Documents::new(1 << 20);
        let catalog = Arc::new(Catalog::new(Arc::clone(&shared), documents, access, clock.clone(), settings));
        let warehouse = open_warehouse(&store, &catalog, &folder, "acme").await;
        let reader = ObjectReader::default();
        let upkeep = Upkeep::new(shared, Arc::clone(&catalog), reader, clock, config);
        Self { catalog, store, upkeep: Arc::new(upkeep), warehouse, now_ms, folder }
    }

    /// Returns the same server for another organisation.
    pub(super) async fn beside(&self, name: &str) -> Self {
        Self {
            catalog: Arc::clone(&self.catalog),
            store: Arc::clone(&self.store),
            upkeep: Arc::clone(&self.upkeep),
            warehouse: open_warehouse(&self.store, &self.catalog, &self.folder, name).await,
            now_ms: Arc::clone(&self.now_ms),
            folder: Arc::clone(&self.folder),
        }
    }

    /// Returns another server over the same store.
    pub(super) fn another_server(&self) -> Arc<Upkeep> {
        let (store, clock) = (self.store.clone(), Clock::Manual(Arc::clone(&self.now_ms)));
        let config = MaintenanceConfig::default();
        Arc::new(Upkeep::new(store, Arc::clone(&self.catalog), ObjectReader::default(), clock, config))
    }

    /// Returns a future that lets another server take over the lease of a table: this one was not heard of for half a minute.
    pub(super) fn take_over(&self, table: TableId) -> impl Future<Output = Result<(), StoreError>> + Send + use<> {
        let (store, now_ms) = (Arc::clone(&self.store), Arc::clone(&self.now_ms));
        let warehouse_ref = self.warehouse.warehouse_ref;
        async move {
            let now_ms = now_ms.fetch_add(31_000, Ordering::SeqCst) + 31_000;
            let claimed = store.maintenance_claim(warehouse_ref, table, now_ms, now_ms + 30_000).await?;
            assert!(claimed.is_some(), "the lease has ended");
            pass(Duration::from_secs(26)).await;
            Ok(())
        }
    }

    pub(super) fn advance(&self, ms: i64) {
        self.now_ms.fetch_add(ms, Ordering::SeqCst);
    }

    pub(super) async fn commit(&self, ident: &TableIdent, updates: Json) {
        let body = json!({ "requirements": [], "updates": updates }).to_string();
        let commit = TableCommit::parse(body.as_bytes()).unwrap();
        let change = Change::by_catalog(0);
        self.catalog.table_commit_as_admin(&self.warehouse, ident.clone(), commit, &change).await.unwrap();
    }

    pub(super) async fn sample(&self, name: &str, properties: Json) -> Sample {
        let body = json!({ "name": name, "properties": properties, "schema": { "type": "struct", "fields": [
            { "id": 1, "name": "x", "required": false, "type": "long" }] } });
        let request = CreateTable::parse(body.to_string().as_bytes()).unwrap();
        let change = Change::by_catalog(0);
        let created = self.catalog.table_create_as_admin(&self.warehouse, &namespace(), request, &change).await;
        let CreatedTable::Created(created) = created.unwrap() else { panic!("it is staged") };
        let location = PathBuf::from(created.locations.unwrap().table().path());
        let ident = TableIdent::new(namespace(), name).unwrap();
        let text = |name: &str| format!("file://{}/{name}", location.display());
        for name in ["a", "b", "c", "d"] {
            touch(&location.join(format!("data/{name}.parquet")), 9);
        }
        let data = |name: &str, status| (text(&format!("data/{name}.parquet")), status);
        let meta = |name: &str| location.join("metadata").join(name);
        write_manifest(&meta("m1.avro"), &[data("a", 1), data("b", 1)]);
        write_manifest(&meta("m2.avro"), &[data("c", 1)]);
        write_manifest(&meta("m3.avro"), &[data("a", 0), data("b", 2)]);
        write_manifest(&meta("m4.avro"), &[data("d", 1)]);
        let lists = [&["m1"][..], &["m2", "m1"], &["m3", "m2"], &["m4", "m3", "m2"]];
        let mut updates = Vec::new();
        for (id, manifests) in (1_i64..).zip(lists) {
            let names: Vec<String> = manifests.iter().map(|name| text(&format!("metadata/{name}.avro"))).collect();
            write_list(&meta(&format!("l{id}.avro")), &names);
            let mut snapshot = json!({ "snapshot-id": id, "sequence-number": id, "schema-id": 0,
                "timestamp-ms": NOW_MS - (4 - id) * DAY_MS, "manifest-list": text(&format!("metadata/l{id}.avro")),
                "summary": { "operation": "append" } });
            if id > 1 {
                snapshot["parent-snapshot-id"] = json!(id - 1);
            }
            updates.push(json!({ "action": "add-snapshot", "snapshot": snapshot }));
            updates
                .push(json!({ "action": "set-snapshot-ref", "ref-name": "main", "type": "branch", "snapshot-id": id }));
        }
        touch(&meta("s1.puffin"), 9);
        updates.push(json!({ "action": "set-statistics", "snapshot-id": 1, "statistics": { "snapshot-id": 1,
            "statistics-path": text("metadata/s1.puffin"), "file-size-in-bytes": 1, "file-footer-size-in-bytes": 1,
            "blob-metadata": [] } }));
        // One commit for each snapshot, so that the log of the main branch has all of them.
        for pair in updates.chunks(2) {
            self.commit(&ident, json!(pair)).await;
        }
        let id = self.catalog.table_record_as_admin(&self.warehouse, &ident).await.unwrap().id;
        Sample { ident, id, location }
    }

    pub(super) async fn permit<A: Action + On<Table>>(&self, ident: &TableIdent) -> Permit<A, Table> {
        let organisation = self.warehouse.warehouse_ref.organisation;
        let principal = Principal::administrator(organisation, Actor::CommandLine(Some("ann".into())), None);
        let authorizer = Authorizer::new(principal).unwrap();
        self.catalog.table_find(authorizer, Arc::clone(&self.warehouse), ident.clone()).await.unwrap()
    }

    pub(super) async fn start(
        &self,
        ident: &TableIdent,
        operation: MaintenanceOperation,
        dry_run: bool,
    ) -> Result<(), UpkeepError> {
        let permit = self.permit::<MaintainTable>(ident).await;
        let change = Change::by(Actor::CommandLine(Some("ann".into())), NOW_MS);
        self.upkeep.start(permit, RunRequest { operation, dry_run }, change).await.map(drop)
    }

    /// Runs an operation, and returns its record.
    pub(super) async fn run(
        &self,
        ident: &TableIdent,
        operation: MaintenanceOperation,
        dry_run: bool,
    ) -> MaintenanceRun {
        self.start(ident, operation, dry_run).await.unwrap();
        self.settle().await;
        let run = self.runs().await.swap_remove(0);
        assert_ne!(run.outcome, RunOutcome::Running);
        run
    }

    pub(super) async fn rename(&self, ident: &TableIdent, name: &str) {
        let (to, change) = (TableIdent::new(namespace(), name).unwrap(), Change::by_catalog(0));
        self.catalog.table_rename_as_admin(&self.warehouse, ident, &to, &change).await.unwrap();
    }

    /// Waits until all runs have ended.
    pub(super) async fn settle(&self) {
        self.upkeep.running.close();
        self.upkeep.running.wait().await;
        self.upkeep.running.reopen();
    }

    /// Looks for due tables, waits until they are maintained, and returns their number.
    pub(super) async fn look(&self) -> u64 {
        let found = self.upkeep.look(&CancellationToken::new()).await.unwrap();
        self.settle().await;
        found
    }

    /// Returns the records of runs, newest first.
    pub(super) async fn runs(&self) -> Vec<MaintenanceRun> {
        let (filter, page) = (RunFilter::default(), TimedPage::default());
        self.store.run_list(self.warehouse.warehouse_ref, &filter, &page).await.unwrap().items
    }

    pub(super) async fn set_policy(&self, on: PolicyObject, policy: Json) {
        let policy: MaintenancePolicy = serde_json::from_value(policy).unwrap();
        let warehouse_ref = self.warehouse.warehouse_ref;
        let set = self.upkeep.policy_set(warehouse_ref, (&on, "x"), Some(&policy), &Change::by_catalog(NOW_MS)).await;
        set.unwrap();
    }
}
