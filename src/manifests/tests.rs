use std::path::Path;
use std::sync::Arc;

use apache_avro::types::{Record, Value};
use apache_avro::{Schema, Writer};
use tidewater_core::location::Location;
use tidewater_core::storage::StorageProfile;

use super::{ManifestCache, ManifestError, Manifests};
use crate::base::clock::fresh_uuid;
use crate::heavy::Heavy;
use crate::metadata::ObjectReader;
use crate::storage::{Budget, Setup, Storage, StorageCredentials};

fn write_list(path: &Path, manifests: &[&str]) {
    let schema =
        r#"{"type": "record", "name": "manifest_file", "fields": [{"name": "manifest_path", "type": "string"}]}"#;
    let schema = Schema::parse_str(schema).unwrap();
    let mut writer = Writer::new(&schema, Vec::new());
    for manifest in manifests {
        let mut record = Record::new(&schema).unwrap();
        record.put("manifest_path", *manifest);
        writer.append(record).unwrap();
    }
    std::fs::write(path, writer.into_inner().unwrap()).unwrap();
}

/// Opens a storage on a folder.
fn storage(folder: &Path) -> (Location, Storage) {
    let root = Location::parse(&format!("file://{}", folder.display())).unwrap();
    let storage = Storage::open(&Setup {
        id: fresh_uuid(),
        root: &root,
        profile: &StorageProfile::File,
        credentials: &StorageCredentials::Ambient,
        budget: Budget::default(),
    });
    (root, storage.unwrap())
}

#[tokio::test]
async fn manifest_list_is_read_by_its_location_within_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let (root, storage) = storage(folder.path());
    let reader = ObjectReader::new(Arc::new(Heavy::default()), 10_000);
    let manifests = Manifests::new(&reader, &storage);
    let list = root.join("list.avro").unwrap();

    assert!(matches!(manifests.read_list(&list).await, Err(ManifestError::Missing)));

    write_list(&folder.path().join("list.avro"), &["s3://b/m1.avro", "s3://b/m2.avro"]);
    assert_eq!(manifests.read_list(&list).await.unwrap(), ["s3://b/m1.avro", "s3://b/m2.avro"]);
    let not_a_manifest = manifests.read_manifest(&list).await.unwrap_err();
    assert!(matches!(not_a_manifest, ManifestError::Unreadable(_)), "{not_a_manifest}");

    let long = "x".repeat(20_000);
    write_list(&folder.path().join("list.avro"), &[&long]);
    let too_large = manifests.read_list(&list).await.unwrap_err();
    assert!(matches!(too_large, ManifestError::Unreadable(_)), "{too_large}");
    assert!(too_large.to_string().contains("limits.document_bytes"), "{too_large}");
}

const MANIFEST: &str = r#"{"type": "record", "name": "manifest_entry", "fields": [{"name": "status", "type": "int"},
    {"name": "data_file", "type": {"type": "record", "name": "r2", "fields": [
        {"name": "file_path", "type": "string"}, {"name": "file_format", "type": "string"},
        {"name": "record_count", "type": "long"}, {"name": "file_size_in_bytes", "type": "long"}]}}]}"#;

fn write_manifest(path: &Path, files: &[&str]) -> u64 {
    let schema = Schema::parse_str(MANIFEST).unwrap();
    let mut writer = Writer::new(&schema, Vec::new());
    writer.add_user_metadata("partition-spec".to_owned(), "[]").unwrap();
    for file in files {
        let file = Value::Record(vec![
            ("file_path".into(), Value::String((*file).into())),
            ("file_format".into(), Value::String("PARQUET".into())),
            ("record_count".into(), Value::Long(1)),
            ("file_size_in_bytes".into(), Value::Long(100)),
        ]);
        writer.append(Value::Record(vec![("status".into(), Value::Int(1)), ("data_file".into(), file)])).unwrap();
    }
    let bytes = writer.into_inner().unwrap();
    std::fs::write(path, &bytes).unwrap();
    bytes.len() as u64
}

fn reader() -> ObjectReader {
    ObjectReader::new(Arc::new(Heavy::default()), 1 << 20)
}

#[tokio::test]
async fn concurrent_requests_for_a_manifest_share_one_read_and_later_ones_need_none() {
    let folder = tempfile::tempdir().unwrap();
    let (root, storage) = storage(folder.path());
    let path = folder.path().join("m.avro");
    let size_bytes = write_manifest(&path, &["s3://b/1.parquet", "s3://b/2.parquet"]);
    let cache = ManifestCache::new(1 << 20, reader());
    let location = root.join("m.avro").unwrap();
    let found = futures_util::future::join_all((0..10).map(|_| cache.manifest(&storage, &location))).await;
    let first = found[0].as_ref().unwrap();
    assert_eq!(first.len(), 2);
    assert!(found.iter().all(|one| Arc::ptr_eq(one.as_ref().unwrap(), first)));
    // A request that comes after the read has ended finds the manifest in memory.
    let hits = cache.hits().get();
    assert_eq!((cache.misses().get() + hits, cache.read_bytes().get()), (10, size_bytes));

    std::fs::remove_file(&path).unwrap();
    assert!(Arc::ptr_eq(&cache.manifest(&storage, &location).await.unwrap(), first));
    assert_eq!((cache.hits().get(), cache.read_bytes().get()), (hits + 1, size_bytes));
    assert!(cache.cached_bytes() >= first.size_bytes() as u64);
    cache.set_capacity(0);
    assert_eq!(cache.cached_bytes(), 0);
    assert!(matches!(cache.manifest(&storage, &location).await, Err(ManifestError::Missing)));
}

#[tokio::test]
async fn one_location_in_two_storages_is_two_manifests() {
    let folder = tempfile::tempdir().unwrap();
    let (root, one) = storage(folder.path());
    // The same folder under another id.
    let (_, two) = storage(folder.path());
    let cache = ManifestCache::new(1 << 20, reader());
    let location = root.join("m.avro").unwrap();
    write_manifest(&folder.path().join("m.avro"), &["s3://b/1.parquet"]);
    assert_eq!(cache.manifest(&one, &location).await.unwrap().len(), 1);
    write_manifest(&folder.path().join("m.avro"), &["s3://b/1.parquet", "s3://b/2.parquet"]);
    assert_eq!(cache.manifest(&one, &location).await.unwrap().len(), 1);
    assert_eq!(cache.manifest(&two, &location).await.unwrap().len(), 2);
}

#[tokio::test]
async fn manifest_larger_than_its_share_is_used_but_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (root, storage) = storage(folder.path());
    write_manifest(&folder.path().join("m.avro"), &["s3://b/1.parquet"]);
    let location = root.join("m.avro").unwrap();
    let size_bytes =
        ManifestCache::new(1 << 20, reader()).manifest(&storage, &location).await.unwrap().size_bytes() as u64;
    let small = ManifestCache::new(size_bytes * 2, reader());
    assert_eq!(small.manifest(&storage, &location).await.unwrap().len(), 1);
    assert_eq!((small.cached_bytes(), small.misses().get()), (0, 1));
    let large = ManifestCache::new(size_bytes * 8, reader());
    large.manifest(&storage, &location).await.unwrap();
    assert!(large.cached_bytes() > size_bytes);
}

#[tokio::test]
async fn list_is_cached_apart_from_a_manifest_and_an_unreadable_file_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let (root, storage) = storage(folder.path());
    write_manifest(&folder.path().join("m.avro"), &["s3://b/1.parquet"]);
    let cache = ManifestCache::new(1 << 20, reader());
    let location = root.join("m.avro").unwrap();
    cache.manifest(&storage, &location).await.unwrap();
    let no_list = cache.list(&storage, &location).await.unwrap_err();
    assert!(matches!(no_list, ManifestError::Unreadable(_)), "{no_list}");
    assert!(no_list.to_string().contains("manifest_path"), "{no_list}");

    let list = r#"{"type": "record", "name": "manifest_file", "fields": [{"name": "manifest_path", "type": "string"},
        {"name": "manifest_length", "type": "long"}, {"name": "partition_spec_id", "type": "int"}]}"#;
    let schema = Schema::parse_str(list).unwrap();
    let mut writer = Writer::new(&schema, Vec::new());
    let fields = [("manifest_path", Value::String("s3://b/m.avro".into())), ("manifest_length", Value::Long(9))];
    let mut fields: Vec<_> = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    fields.push(("partition_spec_id".into(), Value::Int(3)));
    writer.append(Value::Record(fields)).unwrap();
    std::fs::write(folder.path().join("list.avro"), writer.into_inner().unwrap()).unwrap();
    let location = root.join("list.avro").unwrap();
    let list = cache.list(&storage, &location).await.unwrap();
    assert_eq!((&*list.files()[0].path, list.files()[0].spec_id), ("s3://b/m.avro", 3));
    assert!(Arc::ptr_eq(&cache.list(&storage, &location).await.unwrap(), &list));
}

#[tokio::test]
async fn manifests_in_use_have_a_limit_of_memory_also_if_the_cache_does_not_keep_them() {
    let folder = tempfile::tempdir().unwrap();
    let (root, storage) = storage(folder.path());
    let location = |name: &str| root.join(name).unwrap();
    let file_bytes = write_manifest(&folder.path().join("1.avro"), &["s3://b/1.parquet"]);
    write_manifest(&folder.path().join("2.avro"), &["s3://b/2.parquet"]);
    let memory_bytes = {
        let cache = ManifestCache::new(0, reader());
        let one = cache.manifest(&storage, &location("1.avro")).await.unwrap();
        assert_eq!(one.file_bytes(), file_bytes);
        cache.held_bytes()
    };
    // An organisation may have three quarters.
    let cache = ManifestCache::with_least_held(0, memory_bytes.div_ceil(3) * 4, reader());
    let one = cache.manifest(&storage, &location("1.avro")).await.unwrap();
    let refused = cache.manifest(&storage, &location("2.avro")).await.unwrap_err();
    assert!(matches!(refused, ManifestError::Busy { .. }), "{refused}");
    assert_eq!((cache.held_bytes(), cache.cached_bytes()), (memory_bytes, 0));
    drop(one);
    assert_eq!(cache.held_bytes(), 0);
    assert_eq!(cache.manifest(&storage, &location("2.avro")).await.unwrap().len(), 1);
}

#[tokio::test]
async fn manifests_in_use_of_an_organisation_leave_memory_for_others() {
    let folder = tempfile::tempdir().unwrap();
    let (root, storage) = storage(folder.path());
    let location = |name: &str| root.join(name).unwrap();
    for number in 1..=4 {
        let file = format!("s3://b/{number}.parquet");
        write_manifest(&folder.path().join(format!("{number}.avro")), &[&file]);
    }
    let (acme, other) = (storage.clone().owned_by(fresh_uuid()), storage.owned_by(fresh_uuid()));
    let memory_bytes = {
        let cache = ManifestCache::new(0, reader());
        let _one = cache.manifest(&acme, &location("1.avro")).await.unwrap();
        cache.held_bytes()
    };
    let cache = ManifestCache::with_least_held(0, 4 * memory_bytes, reader());
    let mut held = Vec::new();
    for name in ["1.avro", "2.avro", "3.avro"] {
        held.push(cache.manifest(&acme, &location(name)).await.unwrap());
    }
    let refused = cache.manifest(&acme, &location("4.avro")).await.unwrap_err();
    assert!(matches!(refused, ManifestError::Busy { most_bytes } if most_bytes == 3 * memory_bytes), "{refused}");
    let of_other = cache.manifest(&other, &location("4.avro")).await.unwrap();
    assert_eq!(of_other.len(), 1);
}
