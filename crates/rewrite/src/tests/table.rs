//! A table on the local disk. The rules of `tidewater-core` play the catalog, and the `iceberg` crate the reader.

use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{Field as ArrowField, Schema as ArrowSchema, SchemaRef};
use bytes::Bytes;
use flate2::Crc;
use futures_util::TryStreamExt;
use iceberg::TableIdent;
use iceberg::io::FileIO;
use iceberg::spec::{FormatVersion, ManifestList as OracleList, ManifestStatus, TableMetadata as OracleMetadata};
use iceberg::table::StaticTable;
use parquet::arrow::ArrowWriter;
use roaring::RoaringTreemap;
use serde_json::{Value as Json, json};
use tidewater_core::commit::{
    Context, CreateTable, Outcome, TableCommit, apply_updates, check_requirements, create_table,
};
use tidewater_core::document::TableMetadata;
use tidewater_core::scan::value::Value;
use tidewater_core::stop::Stop;
use tidewater_manifests::{FileContent, ManifestContent, Status};
use uuid::Uuid;

use crate::data::{Target, target_schema};
use crate::error::FilesError;
use crate::files::{Files, NewObject};
use crate::job::{Job, JobLimits};
use crate::manifest::{FileRecord, Layout, ManifestWriter, Metrics, NewEntry};
use crate::rewrite_manifests::write_manifest;
use crate::snapshot::{Base, Changes, propose};
use crate::state::{State, live};

/// Returns an id that no other call returns in this process.
fn fresh_id() -> Uuid {
    static CALLS: AtomicUsize = AtomicUsize::new(1);
    let call = CALLS.fetch_add(1, Ordering::Relaxed) as u128;
    // Spread, because snapshot ids are made of it, and the next one is used too.
    Uuid::from_u128(call.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835))
}

/// The local disk.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    /// How many more objects can be written, if there is a limit.
    pub(crate) writes_left: Option<AtomicUsize>,
}

fn path(location: &str) -> &str {
    location.strip_prefix("file://").unwrap_or(location)
}

impl Disk {
    fn count_write(&self) -> Result<(), FilesError> {
        match &self.writes_left {
            None => Ok(()),
            Some(left) => {
                let counted = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
                counted.map(|_| ()).map_err(|_| FilesError("the disk is full".to_owned()))
            }
        }
    }
}

impl Files for Disk {
    fn owns(&self, location: &str) -> bool {
        !location.contains("/elsewhere/")
    }

    fn read(&self, location: &str, limit_bytes: u64) -> Result<Bytes, FilesError> {
        let content = std::fs::read(path(location)).map_err(|error| FilesError(format!("{location}: {error}")))?;
        assert!(content.len() as u64 <= limit_bytes);
        Ok(content.into())
    }

    fn read_range(&self, location: &str, range: Range<u64>) -> Result<Bytes, FilesError> {
        let mut file =
            std::fs::File::open(path(location)).map_err(|error| FilesError(format!("{location}: {error}")))?;
        let mut bytes = vec![0; (range.end - range.start) as usize];
        file.seek(SeekFrom::Start(range.start)).unwrap();
        file.read_exact(&mut bytes).map_err(|error| FilesError(error.to_string()))?;
        Ok(bytes.into())
    }

    fn write(&self, location: &str, content: Bytes) -> Result<(), FilesError> {
        self.count_write()?;
        let path = std::path::Path::new(path(location));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = std::fs::File::create_new(path).map_err(|error| FilesError(error.to_string()))?;
        file.write_all(&content).map_err(|error| FilesError(error.to_string()))
    }

    fn create(&self, location: &str) -> Result<Box<dyn NewObject>, FilesError> {
        self.count_write()?;
        let path = std::path::Path::new(path(location));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        Ok(Box::new(NewFile(std::fs::File::create_new(path).unwrap())))
    }
}

struct NewFile(std::fs::File);

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl NewObject for NewFile {
    fn finish(self: Box<Self>) -> Result<(), FilesError> {
        Ok(())
    }
}

/// A table.
pub(crate) struct Lake {
    /// Is removed with the table.
    _folder: tempfile::TempDir,
    pub(crate) table: TableMetadata,
    pub(crate) disk: Arc<Disk>,
    numbers: u64,
}

/// What the oracle says about an entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Listed {
    pub(crate) path: String,
    pub(crate) snapshot_id: Option<i64>,
    pub(crate) sequence_number: Option<i64>,
    pub(crate) file_sequence_number: Option<i64>,
    pub(crate) rows: u64,
    pub(crate) file: String,
}

impl Lake {
    /// Creates a table of a format version.
    pub(crate) fn new(version: u8, fields: Json, spec: Json, properties: Json) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut properties = properties;
        properties["format-version"] = version.to_string().into();
        let request = json!({
            "name": "t", "schema": { "type": "struct", "schema-id": 0, "fields": fields },
            "partition-spec": { "spec-id": 0, "fields": spec }, "properties": properties,
        });
        let request = CreateTable::parse(request.to_string().as_bytes()).unwrap();
        let context =
            Context { now_ms: 1_000, table_uuid: fresh_id(), previous_metadata_location: None, stop: Stop::NEVER };
        let location = format!("file://{}/t", folder.path().display());
        let table = create_table(&request, &location, &context).unwrap();
        Self { _folder: folder, table, disk: Arc::new(Disk::default()), numbers: 0 }
    }

    /// Creates an unpartitioned table with the columns `id` and `name`.
    pub(crate) fn plain(version: u8) -> Self {
        Self::new(version, id_and_name(), json!([]), json!({}))
    }

    pub(crate) fn job(&self) -> Job<'_> {
        self.job_on(&self.table)
    }

    pub(crate) fn job_on<'t>(&self, table: &'t TableMetadata) -> Job<'t> {
        let limits = JobLimits { memory_bytes: 64 << 20 };
        Job::new(table, Arc::clone(&self.disk) as Arc<dyn Files>, limits, (fresh_id(), 2_000), Stop::NEVER)
    }

    /// Commits as a catalog does.
    pub(crate) fn commit(&mut self, body: &Json) {
        self.try_commit(body).unwrap();
    }

    pub(crate) fn try_commit(&mut self, body: &Json) -> Result<(), tidewater_core::commit::CommitError> {
        let commit = TableCommit::parse(body.to_string().as_bytes())?;
        check_requirements(&commit.requirements, Some(&self.table))?;
        let context =
            Context { now_ms: 3_000, table_uuid: fresh_id(), previous_metadata_location: None, stop: Stop::NEVER };
        if let Outcome::Changed(table) = apply_updates(&self.table, &commit.updates, &context)? {
            self.table = *table;
        }
        Ok(())
    }

    /// Returns the columns of new files in the present schema.
    pub(crate) fn schema(&self) -> SchemaRef {
        let schema = self.table.schema(self.table.current_schema_id()).unwrap();
        target_schema(&schema.fields().iter().map(|field| Target::new(field).unwrap()).collect::<Vec<_>>())
    }

    fn new_path(&mut self, end: &str) -> String {
        self.numbers += 1;
        let folder = if self.numbers.is_multiple_of(2) { "a b" } else { "c" };
        format!("{}/data/{folder}/{:04}{end}", self.table.location(), self.numbers)
    }

    fn write_parquet(&mut self, batch: &RecordBatch) -> (String, i64) {
        let path_of_file = self.new_path(".parquet");
        let path = std::path::PathBuf::from(path(&path_of_file));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut writer = ArrowWriter::try_new(std::fs::File::create_new(&path).unwrap(), batch.schema(), None).unwrap();
        writer.write(batch).unwrap();
        writer.close().unwrap();
        (path_of_file, std::fs::metadata(path).unwrap().len() as i64)
    }

    pub(crate) fn file(&mut self, batch: &RecordBatch, partition: Vec<Option<Value>>) -> FileRecord {
        let (path, size) = self.write_parquet(batch);
        FileRecord {
            content: FileContent::Data,
            path,
            format: "parquet".to_owned(),
            partition,
            record_count: batch.num_rows() as i64,
            file_size_bytes: size,
            metrics: Metrics::default(),
            key_metadata: None,
            split_offsets: Some(vec![4]),
            equality_ids: None,
            sort_order_id: None,
            first_row_id: None,
            referenced_data_file: None,
            content_offset: None,
            content_size_bytes: None,
        }
    }

    /// Commits new files: data files or delete files of one partition spec.
    pub(crate) fn add(&mut self, files: &[FileRecord]) {
        let content = match files[0].content {
            FileContent::Data => ManifestContent::Data,
            _ => ManifestContent::Deletes,
        };
        let table = self.table.clone();
        let mut job = self.job_on(&table);
        let layout = Layout::new(&table, table.default_spec_id(), content).unwrap();
        let mut writer = ManifestWriter::new(&layout, job.next_marker());
        for file in files {
            writer
                .add(&NewEntry {
                    status: Status::Added,
                    snapshot_id: Some(job.snapshot_id()),
                    sequence_number: None,
                    file_sequence_number: None,
                    file,
                })
                .unwrap();
        }
        let mut manifests = vec![write_manifest(&mut job, writer).unwrap()];
        let base = Base::current(&table).unwrap();
        if let Some(base) = &base {
            manifests.extend(job.read_list(&base.manifest_list).unwrap().files().iter().cloned());
        }
        let first = base.is_none();
        let base = base.unwrap_or_else(Base::none);
        let mut body = propose(&mut job, &base, &manifests, Changes::default()).unwrap().body;
        let snapshot = &mut body["updates"][0]["snapshot"];
        snapshot["summary"] = json!({ "operation": "append" });
        for (key, count) in
            ["total-data-files", "total-records", "total-delete-files"].into_iter().zip([100, 1000, 100])
        {
            snapshot["summary"][key] = count.to_string().into();
        }
        if first {
            snapshot.as_object_mut().unwrap().remove("parent-snapshot-id");
            body["requirements"] = json!([]);
        }
        self.commit(&body);
    }

    /// Appends a file with the ids of a range, and names made of them.
    pub(crate) fn append(&mut self, ids: Range<i64>) -> FileRecord {
        let batch = ids_and_names(&self.schema(), ids.collect());
        let file = self.file(&batch, Vec::new());
        self.add(std::slice::from_ref(&file));
        file
    }

    /// Deletes positions of data files by a position delete file.
    pub(crate) fn delete_positions(&mut self, deletes: &[(&FileRecord, i64)], partition: Vec<Option<Value>>) {
        let field = |name: &str, id: i32, kind| {
            ArrowField::new(name, kind, false)
                .with_metadata(HashMap::from([("PARQUET:field_id".to_owned(), id.to_string())]))
        };
        let schema = Arc::new(ArrowSchema::new(vec![
            field("file_path", 2_147_483_546, arrow_schema::DataType::Utf8),
            field("pos", 2_147_483_545, arrow_schema::DataType::Int64),
        ]));
        let paths: ArrayRef =
            Arc::new(deletes.iter().map(|(file, _)| Some(file.path.as_str())).collect::<StringArray>());
        let positions: ArrayRef = Arc::new(deletes.iter().map(|(_, position)| *position).collect::<Int64Array>());
        let batch = RecordBatch::try_new(schema, vec![paths, positions]).unwrap();
        let file = self.file(&batch, partition);
        self.add(&[FileRecord { content: FileContent::PositionDeletes, ..file }]);
    }

    /// Deletes rows by the values of columns.
    pub(crate) fn delete_equal(&mut self, ids: &[i32], batch: &RecordBatch, partition: Vec<Option<Value>>) {
        let file = self.file(batch, partition);
        self.add(&[FileRecord { content: FileContent::EqualityDeletes, equality_ids: Some(ids.to_vec()), ..file }]);
    }

    /// Deletes positions of a data file by a deletion vector.
    pub(crate) fn delete_by_vector(&mut self, of: &FileRecord, positions: &[u64]) {
        let bitmap: RoaringTreemap = positions.iter().copied().collect();
        let mut body = vec![0xd1, 0xd3, 0x39, 0x64];
        bitmap.serialize_into(&mut body).unwrap();
        let mut crc = Crc::new();
        crc.update(&body);
        let blob = [&(body.len() as u32).to_be_bytes(), body.as_slice(), &crc.sum().to_be_bytes()].concat();
        let payload = json!({ "blobs": [{
            "type": "deletion-vector-v1", "snapshot-id": -1, "sequence-number": -1, "fields": [2_147_483_546],
            "offset": 4, "length": blob.len(),
            "properties": { "referenced-data-file": of.path, "cardinality": positions.len().to_string() },
        }] })
        .to_string();
        let length = (payload.len() as u32).to_le_bytes();
        let content = [b"PFA1", blob.as_slice(), b"PFA1", payload.as_bytes(), &length, &[0; 4], b"PFA1"].concat();
        let location = self.new_path(".puffin");
        let size = content.len() as i64;
        self.disk.write(&location, content.into()).unwrap();
        self.add(&[FileRecord {
            content: FileContent::PositionDeletes,
            path: location,
            format: "puffin".to_owned(),
            record_count: positions.len() as i64,
            file_size_bytes: size,
            split_offsets: None,
            referenced_data_file: Some(of.path.clone()),
            content_offset: Some(4),
            content_size_bytes: Some(blob.len() as i64),
            ..of.clone()
        }]);
    }

    fn oracle(&self) -> OracleMetadata {
        serde_json::from_slice(&self.table.to_json()).unwrap()
    }

    /// Returns the rows that the oracle reads, sorted.
    pub(crate) fn rows(&self) -> Vec<String> {
        let metadata = self.oracle();
        runtime().block_on(async {
            let ident = TableIdent::from_strs(["n", "t"]).unwrap();
            let table = StaticTable::from_metadata(metadata, ident, FileIO::new_with_fs()).await.unwrap();
            let scan = table.into_table().scan().build().unwrap();
            let batches: Vec<RecordBatch> = scan.to_arrow().await.unwrap().try_collect().await.unwrap();
            let mut rows: Vec<String> =
                batches.iter().flat_map(|batch| (0..batch.num_rows()).map(|row| text(&batch.slice(row, 1)))).collect();
            rows.sort();
            rows
        })
    }

    /// Returns the live data files (or delete files) that the oracle finds in the manifests, sorted.
    pub(crate) fn listed(&self, content: ManifestContent) -> Vec<Listed> {
        let metadata = self.oracle();
        let io = FileIO::new_with_fs();
        let mut listed = runtime().block_on(async {
            let list = metadata.current_snapshot().unwrap().manifest_list();
            let bytes = io.new_input(list).unwrap().read().await.unwrap();
            let version = match self.table.format_version() {
                1 => FormatVersion::V1,
                2 => FormatVersion::V2,
                _ => FormatVersion::V3,
            };
            let mut listed = Vec::new();
            for file in OracleList::parse_with_version(&bytes, version).unwrap().entries() {
                let is_data = file.content == iceberg::spec::ManifestContentType::Data;
                if is_data != (content == ManifestContent::Data) {
                    continue;
                }
                let manifest = file.load_manifest(&io).await.unwrap();
                for entry in manifest.entries() {
                    if entry.status() != ManifestStatus::Deleted {
                        listed.push(Listed {
                            path: entry.file_path().to_owned(),
                            snapshot_id: entry.snapshot_id(),
                            sequence_number: entry.sequence_number(),
                            file_sequence_number: entry.file_sequence_number,
                            rows: entry.record_count(),
                            file: without_row_id(&format!("{:?}", entry.data_file())),
                        });
                    }
                }
            }
            listed
        });
        listed.sort();
        listed
    }

    /// Returns the first row id of each data file, by its path. The oracle does not inherit it.
    pub(crate) fn first_row_ids(&self) -> Vec<(String, Option<i64>)> {
        let state = State::read(&self.job()).unwrap().unwrap();
        let entries = state.entries().unwrap();
        let live = live(state.files(), &entries, ManifestContent::Data);
        let mut ids: Vec<_> =
            live.map(|(_, entry)| (crate::manifest::text(entry.path()), entry.first_row_id())).collect();
        ids.sort();
        ids
    }

    /// Returns the number of manifests, and the summary of the current snapshot.
    pub(crate) fn manifests(&self) -> (usize, Json) {
        let base = Base::current(&self.table).unwrap().unwrap();
        let list = self.job().read_list(&base.manifest_list).unwrap();
        let snapshot: Json = serde_json::from_str(self.table.current_snapshot().unwrap().json).unwrap();
        (list.files().len(), snapshot["summary"].clone())
    }
}

fn without_row_id(file: &str) -> String {
    let (before, rest) = file.split_once("first_row_id: ").unwrap();
    format!("{before}{}", &rest[rest.find(", partition_spec_id").unwrap()..])
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn text(row: &RecordBatch) -> String {
    row.columns().iter().map(|column| format!("{column:?}")).collect::<Vec<_>>().join(" | ")
}

pub(crate) fn id_and_name() -> Json {
    json!([
        { "id": 1, "name": "id", "required": true, "type": "long" },
        { "id": 2, "name": "name", "required": false, "type": "string" },
    ])
}

/// Returns rows with these ids. Every fourth name is null.
pub(crate) fn ids_and_names(schema: &SchemaRef, ids: Vec<i64>) -> RecordBatch {
    let names: StringArray = ids.iter().map(|id| (id % 4 != 0).then(|| format!("name {}", id % 7))).collect();
    RecordBatch::try_new(Arc::clone(schema), vec![Arc::new(Int64Array::from(ids)), Arc::new(names)]).unwrap()
}
