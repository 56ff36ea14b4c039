//! A catalog in a temporary folder, with tables that have real files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use apache_avro::types::{Record, Value};
use apache_avro::{Schema, Writer};
use serde_json::{Value as Json, json};
use tidewater_core::commit::{CreateTable, TableCommit};
use tidewater_core::ids::{OrganisationId, TableId, WarehouseId};
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::request_limits::RequestLimits;

use crate::background::Runner;
use crate::base::clock::{Clock, fresh_uuid};
use crate::catalog::{Catalog, CatalogSettings, CreatedTable};
use crate::maintenance::Maintenance;
use crate::metadata::{Documents, ObjectReader};
use crate::store::{
    Breaker, Change, Dropped, DroppedFilter, Organisation, Store, TimedPage, Warehouse, WarehouseOptions,
    WarehouseStorage, open_to_break,
};
use crate::warehouse::OpenWarehouse;

pub(super) struct Fixture {
    pub(super) catalog: Arc<Catalog>,
    pub(super) maintenance: Arc<Maintenance>,
    pub(super) store: Arc<dyn Store>,
    pub(super) breaker: Breaker,
    pub(super) warehouse: Arc<OpenWarehouse>,
    pub(super) now_ms: Arc<AtomicI64>,
    pub(super) folder: tempfile::TempDir,
}

/// A table with files: two snapshots, a manifest of data files that both share, one of delete files, and statistics.
pub(super) struct Table {
    pub(super) ident: TableIdent,
    pub(super) id: TableId,
    pub(super) location: PathBuf,
}

pub(super) fn namespace() -> NamespaceIdent {
    NamespaceIdent::new(&["ns"]).unwrap()
}

pub(super) fn ident(name: &str) -> TableIdent {
    TableIdent::new(namespace(), name).unwrap()
}

/// Writes an Avro file with one record for each name.
pub(super) fn avro(path: &Path, schema: &str, record: impl Fn(&Schema, &str) -> Value, names: &[String]) {
    let schema = Schema::parse_str(schema).unwrap();
    let mut writer = Writer::new(&schema, Vec::new());
    for name in names {
        writer.append(record(&schema, name)).unwrap();
    }
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, writer.into_inner().unwrap()).unwrap();
}

pub(super) fn manifest_list(path: &Path, manifests: &[String]) {
    let schema = r#"{"type":"record","name":"manifest_file","fields":[
        {"name":"manifest_path","type":"string","field-id":500},
        {"name":"of_tomorrow","type":["null","long"],"field-id":599}]}"#;
    let record = |schema: &Schema, name: &str| {
        let mut record = Record::new(schema).unwrap();
        record.put("manifest_path", name);
        record.put("of_tomorrow", Value::Union(1, Box::new(Value::Long(7))));
        record.into()
    };
    avro(path, schema, record, manifests);
}

pub(super) fn manifest(path: &Path, files: &[String]) {
    let schema = r#"{"type":"record","name":"manifest_entry","fields":[
        {"name":"status","type":"int","field-id":0},
        {"name":"data_file","field-id":2,"type":{"type":"record","name":"r2","fields":[
            {"name":"of_tomorrow","type":"bytes","field-id":199},
            {"name":"file_path","type":"string","field-id":100}]}}]}"#;
    let record = |_: &Schema, name: &str| {
        let file = Value::Record(vec![
            ("of_tomorrow".into(), Value::Bytes(vec![1, 2])),
            ("file_path".into(), Value::String(name.to_owned())),
        ]);
        Value::Record(vec![("status".into(), Value::Int(2)), ("data_file".into(), file)])
    };
    avro(path, schema, record, files);
}

pub(super) fn touch(path: &Path) -> String {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, "x").unwrap();
    path.to_str().unwrap().to_owned()
}

impl Fixture {
    pub(super) async fn new(retention: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (store, breaker) = open_to_break(&folder.path().join("tidewater.db"));
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
        let now_ms = Arc::new(AtomicI64::new(1_790_000_000_000));
        let clock = Clock::Manual(Arc::clone(&now_ms));
        let access = crate::app::storage_access(&crate::config::Config::default());
        let documents = Documents::new(1 << 20);
        let removal_delay = Duration::from_secs(60);
        let limits = RequestLimits::default();
        let settings = CatalogSettings { drop_retention: retention, removal_delay, limits };
        let catalog = Arc::new(Catalog::new(Arc::clone(&store), documents, access.clone(), clock.clone(), settings));
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
        let maintenance = Arc::new(Maintenance::new(Arc::clone(&store), access, ObjectReader::default(), clock));
        Self { catalog, maintenance, store, breaker, warehouse, now_ms, folder }
    }

    /// Starts the tasks of the background.
    pub(super) fn start(&self) -> Runner {
        let runner = Runner::new(Clock::Manual(Arc::clone(&self.now_ms)), 1);
        self.maintenance.tasks().into_iter().for_each(|task| runner.start(task));
        runner
    }

    pub(super) fn root(&self) -> PathBuf {
        self.folder.path().join("warehouse")
    }

    pub(super) fn advance(&self, ms: i64) {
        self.now_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// Creates a table. Its manifest of data files also names the files `also`.
    pub(super) async fn table(&self, name: &str, properties: Json, also: &[String]) -> Table {
        let body = json!({ "name": name, "properties": properties, "schema": { "type": "struct", "fields": [
            { "id": 1, "name": "x", "required": false, "type": "long" }] } });
        let request = CreateTable::parse(body.to_string().as_bytes()).unwrap();
        let created = self
            .catalog
            .table_create_as_admin(&self.warehouse, &namespace(), request, &Change::by_catalog(0))
            .await
            .unwrap();
        let CreatedTable::Created(created) = created else { panic!("it is staged") };
        let location = PathBuf::from(created.locations.unwrap().table().path());
        let path = |name: &str| location.join(name);
        let mut data = vec![touch(&path("data/a b%20c/1.parquet")), touch(&path("data/2.parquet"))];
        data.extend_from_slice(also);
        manifest(&path("metadata/m1.avro"), &data);
        let deletes = [touch(&path("data/3.puffin")), touch(&path("data/3.puffin"))];
        manifest(&path("metadata/m2.avro"), &deletes);
        let text = |name: &str| format!("file://{}", path(name).display());
        manifest_list(&path("metadata/l1.avro"), &[text("metadata/m1.avro")]);
        manifest_list(&path("metadata/l2.avro"), &[text("metadata/m1.avro"), text("metadata/m2.avro")]);
        touch(&path("metadata/s.puffin"));
        touch(&path("metadata/p.parquet"));
        touch(&path("metadata/unreferenced.avro"));
        let snapshot = |id: i64, list: &str| {
            json!({ "action": "add-snapshot", "snapshot": { "snapshot-id": id, "sequence-number": id,
                "timestamp-ms": 1_790_000_000_000_i64 + id, "manifest-list": text(list), "schema-id": 0,
                "summary": { "operation": "append" } } })
        };
        let updates = json!({ "requirements": [], "updates": [
            snapshot(1, "metadata/l1.avro"), snapshot(2, "metadata/l2.avro"),
            { "action": "set-statistics", "snapshot-id": 1, "statistics": { "snapshot-id": 1,
                "statistics-path": text("metadata/s.puffin"), "file-size-in-bytes": 1, "file-footer-size-in-bytes": 1,
                "blob-metadata": [] } },
            { "action": "set-partition-statistics", "partition-statistics": { "snapshot-id": 1,
                "statistics-path": text("metadata/p.parquet"), "file-size-in-bytes": 1 } },
        ] });
        let commit = TableCommit::parse(updates.to_string().as_bytes()).unwrap();
        self.catalog.table_commit_as_admin(&self.warehouse, ident(name), commit, &Change::by_catalog(0)).await.unwrap();
        let id = self.catalog.table_record_as_admin(&self.warehouse, &ident(name)).await.unwrap().id;
        Table { ident: ident(name), id, location }
    }

    pub(super) async fn drop(&self, table: &Table, purge: bool) {
        self.catalog.table_drop_as_admin(&self.warehouse, &table.ident, purge, &Change::by_catalog(0)).await.unwrap();
    }

    pub(super) async fn dropped(&self, table: &Table) -> Option<Dropped> {
        self.store.dropped_get(self.warehouse.warehouse_ref, table.id).await.unwrap()
    }

    pub(super) async fn all_dropped(&self) -> usize {
        let (all, page) = (DroppedFilter::default(), TimedPage::default());
        self.store.dropped_list(self.warehouse.warehouse_ref, &all, &page).await.unwrap().items.len()
    }
}

/// Returns the files below a folder, by their paths relative to it.
pub(super) fn files(folder: &Path) -> BTreeSet<String> {
    fn collect(folder: &Path, root: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
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

/// Returns the files that a purge leaves: those that the document does not lead to.
pub(super) fn unreferenced() -> BTreeSet<String> {
    BTreeSet::from(["metadata/unreferenced.avro".to_owned()])
}
