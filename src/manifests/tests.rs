use std::path::Path;
use std::sync::Arc;

use apache_avro::types::Record;
use apache_avro::{Schema, Writer};
use tidewater_core::location::Location;
use tidewater_core::storage::StorageProfile;

use super::{ManifestError, Manifests};
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

#[tokio::test]
async fn manifest_list_is_read_by_its_location_within_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let root = Location::parse(&format!("file://{}", folder.path().display())).unwrap();
    let storage = Storage::open(&Setup {
        id: fresh_uuid(),
        root: &root,
        profile: &StorageProfile::File,
        credentials: &StorageCredentials::Ambient,
        budget: Budget::default(),
    })
    .unwrap();
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
