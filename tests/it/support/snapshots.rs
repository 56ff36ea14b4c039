//! Snapshots with real manifests, written by the `iceberg` crate and committed through the API. Their data files need not exist.

use std::collections::HashMap;

use iceberg::io::FileIO;
use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, Datum, Literal, ManifestFile, ManifestList,
    ManifestListWriter, ManifestWriterBuilder, Struct, TableMetadata,
};
use serde_json::{Value, json};

use super::{Catalog, Tenant};

/// The sequence number of an entry that inherits it from the snapshot.
const INHERITED: i64 = -1;

/// A table of a tenant in the namespace `ns`, partitioned by its column `day`.
pub(crate) struct Written<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) tenant: &'a Tenant,
    pub(crate) name: &'static str,
}

/// Returns a data file of a table of [`Written::create`]: its partition, and the bounds of its column `id`.
pub(crate) fn data_file(path: &str, day: Option<i32>, rows: u64, (lower, upper): (i64, i64)) -> DataFile {
    DataFileBuilder::default()
        .content(DataContentType::Data)
        .file_path(path.to_owned())
        .file_format(DataFileFormat::Parquet)
        .partition(Struct::from_iter([day.map(Literal::int)]))
        .partition_spec_id(0)
        .record_count(rows)
        .file_size_in_bytes(1_000)
        .value_counts(HashMap::from([(1, rows), (2, rows)]))
        .null_value_counts(HashMap::from([(1, 0)]))
        .lower_bounds(HashMap::from([(1, Datum::long(lower))]))
        .upper_bounds(HashMap::from([(1, Datum::long(upper))]))
        .build()
        .unwrap()
}

/// Returns a file with the positions of deleted rows in a partition, of one data file if it is given.
pub(crate) fn position_deletes(path: &str, day: i32, data_file: Option<&str>) -> DataFile {
    DataFileBuilder::default()
        .content(DataContentType::PositionDeletes)
        .file_path(path.to_owned())
        .file_format(DataFileFormat::Parquet)
        .partition(Struct::from_iter([Some(Literal::int(day))]))
        .partition_spec_id(0)
        .record_count(1)
        .file_size_in_bytes(100)
        .referenced_data_file(data_file.map(str::to_owned))
        .build()
        .unwrap()
}

impl Written<'_> {
    /// Creates the table, with the columns `id` (long), `text` (string) and `day` (date).
    pub(crate) async fn create(&self) -> Value {
        let body = json!({ "name": self.name, "schema": { "type": "struct", "fields": [
                { "id": 1, "name": "id", "required": true, "type": "long" },
                { "id": 2, "name": "text", "required": false, "type": "string" },
                { "id": 3, "name": "day", "required": false, "type": "date" },
            ] },
            "partition-spec": { "fields": [{ "source-id": 3, "name": "day", "transform": "identity" }] } });
        let (catalog, key) = (self.catalog, &self.tenant.key);
        catalog.post(key, "/v1/namespaces", &json!({ "namespace": ["ns"] })).await;
        catalog.post(key, "/v1/namespaces/ns/tables", &body).await.ok(200)
    }

    /// Returns the path of the table below the API.
    pub(crate) fn path(&self) -> String {
        format!("/v1/namespaces/ns/tables/{}", self.name)
    }

    async fn metadata(&self) -> TableMetadata {
        let loaded = self.catalog.get(&self.tenant.key, &self.path()).await.ok(200);
        serde_json::from_value(loaded["metadata"].clone()).unwrap()
    }

    /// Appends a snapshot with a manifest for each group of files. Returns its id.
    pub(crate) async fn append(&self, groups: Vec<Vec<DataFile>>) -> i64 {
        self.commit("append", groups, Vec::new()).await
    }

    /// Commits a snapshot with a manifest for each group of data files, and one for the delete files if there are some.
    pub(crate) async fn commit(&self, operation: &str, groups: Vec<Vec<DataFile>>, deletes: Vec<DataFile>) -> i64 {
        let metadata = self.metadata().await;
        let (io, sequence) = (FileIO::new_with_fs(), metadata.last_sequence_number() + 1);
        let id = 1_000 + sequence;
        let mut manifests = Vec::new();
        for (number, files) in groups.into_iter().enumerate() {
            manifests.push(self.manifest(&io, &metadata, (id, &format!("m{number}")), files).await);
        }
        if !deletes.is_empty() {
            manifests.push(self.manifest(&io, &metadata, (id, "deletes"), deletes).await);
        }
        if let Some(parent) = metadata.current_snapshot() {
            let list = io.new_input(parent.manifest_list()).unwrap().read().await.unwrap();
            let list = ManifestList::parse_with_version(&list, metadata.format_version()).unwrap();
            manifests.extend(list.consume_entries());
        }
        let location = format!("{}/metadata/snap-{id}.avro", metadata.location());
        let writer = io.new_output(&location).unwrap().writer().await.unwrap();
        let parent = metadata.current_snapshot_id();
        let mut list = ManifestListWriter::v2(writer, id, parent, sequence);
        list.add_manifests(manifests.into_iter()).unwrap();
        list.close().await.unwrap();
        self.add_snapshot(operation, id, sequence, &location, parent).await;
        id
    }

    /// Commits a snapshot with an existing manifest list.
    pub(crate) async fn add_snapshot(
        &self,
        operation: &str,
        id: i64,
        sequence: i64,
        manifest_list: &str,
        parent: Option<i64>,
    ) {
        let timestamp_ms = self.metadata().await.last_updated_ms() + 1;
        let mut snapshot = json!({ "snapshot-id": id, "sequence-number": sequence, "timestamp-ms": timestamp_ms,
            "manifest-list": manifest_list, "summary": { "operation": operation }, "schema-id": 0 });
        if let Some(parent) = parent {
            snapshot["parent-snapshot-id"] = json!(parent);
        }
        let commit = json!({ "requirements": [], "updates": [
            { "action": "add-snapshot", "snapshot": snapshot },
            { "action": "set-snapshot-ref", "ref-name": "main", "type": "branch", "snapshot-id": id },
        ] });
        self.catalog.post(&self.tenant.key, &self.path(), &commit).await.ok(200);
    }

    async fn manifest(
        &self,
        io: &FileIO,
        metadata: &TableMetadata,
        (snapshot_id, name): (i64, &str),
        files: Vec<DataFile>,
    ) -> ManifestFile {
        let location = format!("{}/metadata/{snapshot_id}-{name}.avro", metadata.location());
        let (schema, spec) = (metadata.current_schema().clone(), metadata.default_partition_spec().as_ref().clone());
        let output = io.new_output(location).unwrap();
        let builder = ManifestWriterBuilder::new(output, Some(snapshot_id), schema, spec);
        let has_deletes = files.iter().any(|file| file.content_type() != DataContentType::Data);
        let mut manifest = if has_deletes { builder.build_v2_deletes() } else { builder.build_v2_data() };
        for file in files {
            manifest.add_file(file, INHERITED).unwrap();
        }
        manifest.write_manifest_file().await.unwrap()
    }
}
