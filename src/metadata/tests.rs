use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use tidewater_core::document::TableMetadata;
use tidewater_core::storage::StorageProfile;
use tokio::net::TcpListener;

use super::*;
use crate::base::deadline::Deadline;
use crate::base::secret::Secret;
use crate::storage::{Budget, Setup, StorageCredentials};

const DOCUMENT: &str = r#"{"format-version":2,"table-uuid":"9c12d441-03fe-4693-9a96-a0705ddf69c1","location":"file:///t",
    "last-sequence-number":0,"last-updated-ms":1,"last-column-id":1,"current-schema-id":0,
    "schemas":[{"type":"struct","schema-id":0,"fields":[{"id":1,"name":"x","required":false,"type":"long"}]}],
    "default-spec-id":0,"partition-specs":[{"spec-id":0,"fields":[]}],"last-partition-id":999,
    "default-sort-order-id":0,"sort-orders":[{"order-id":0,"fields":[]}],"properties":{}}"#;

pub(super) fn table() -> TableMetadata {
    TableMetadata::parse(DOCUMENT.as_bytes()).unwrap()
}

fn location(folder: &tempfile::TempDir, name: &str) -> String {
    format!("file://{}/{name}", folder.path().display())
}

fn documents(capacity_bytes: u64) -> Documents {
    Documents::new(capacity_bytes)
}

#[tokio::test]
async fn document_is_read_once_and_then_served_from_memory() {
    let folder = tempfile::tempdir().unwrap();
    let at = location(&folder, "t.metadata.json");
    documents(1 << 20).create(&Storage::local(), at.clone(), table(), Compression::None).await.unwrap();
    let documents = documents(1 << 20);
    let first = documents.get(&Storage::local(), &at).await.unwrap();
    std::fs::remove_file(folder.path().join("t.metadata.json")).unwrap();
    assert!(Arc::ptr_eq(&first, &documents.get(&Storage::local(), &at).await.unwrap()));
    assert!(documents.cached_bytes() >= first.json.len() as u64);
}

#[tokio::test]
async fn document_with_a_removed_file_is_missing_until_the_file_is_restored() {
    let folder = tempfile::tempdir().unwrap();
    let (file, aside) = (folder.path().join("t.metadata.json"), folder.path().join("aside"));
    let documents = documents(1 << 20);
    let at = location(&folder, "t.metadata.json");
    let document = documents.create(&Storage::local(), at.clone(), table(), Compression::None).await.unwrap();
    documents.check_still_there(&Storage::local(), &document).unwrap();
    std::fs::rename(&file, &aside).unwrap();
    let error = documents.check_still_there(&Storage::local(), &document).unwrap_err();
    assert_eq!(error.to_string(), format!("Failed to open input stream for file: {at}"));
    assert_eq!(documents.cached_bytes(), 0);
    std::fs::rename(&aside, &file).unwrap();
    documents.check_still_there(&Storage::local(), &documents.get(&Storage::local(), &at).await.unwrap()).unwrap();
}

#[tokio::test]
async fn refs_answer_counts_in_the_cache_and_is_forgotten_with_its_document() {
    let folder = tempfile::tempdir().unwrap();
    let documents = documents(1 << 20);
    let storage = Storage::local();
    let at = location(&folder, "t.metadata.json");
    let document = documents.create(&storage, at, table(), Compression::None).await.unwrap();
    let alone = documents.cached_bytes();
    let first = documents.load_result_of_refs(&storage, &document).await.unwrap();
    assert!(documents.cached_bytes() > alone);
    let again = documents.load_result_of_refs(&storage, &document).await.unwrap();
    assert_eq!(first.json().as_ptr(), again.json().as_ptr());
    documents.forget(&storage, &document);
    assert_eq!(documents.cached_bytes(), 0);
}

#[tokio::test]
async fn plain_and_compressed_files_have_the_same_document() {
    let folder = tempfile::tempdir().unwrap();
    for compression in [Compression::None, Compression::Gzip] {
        let at = location(&folder, &format!("{compression:?}.json"));
        let written = documents(1 << 20).create(&Storage::local(), at.clone(), table(), compression).await.unwrap();
        let read = documents(1 << 20).get(&Storage::local(), &at).await.unwrap();
        assert_eq!(read.json, written.json, "{compression:?}");
    }
    assert!(gzip::is_compressed(&std::fs::read(folder.path().join("Gzip.json")).unwrap()));
}

#[tokio::test]
async fn cache_stays_within_its_capacity() {
    let folder = tempfile::tempdir().unwrap();
    let capacity_bytes = 64 * 1024;
    let documents = documents(capacity_bytes);
    for n in 0..200 {
        documents
            .create(&Storage::local(), location(&folder, &format!("{n}.json")), table(), Compression::None)
            .await
            .unwrap();
        assert!(documents.cached_bytes() <= capacity_bytes, "{n}: {}", documents.cached_bytes());
    }
    for n in 0..200 {
        documents.get(&Storage::local(), &location(&folder, &format!("{n}.json"))).await.unwrap();
    }
}

#[tokio::test]
async fn cache_of_no_capacity_still_reads_documents() {
    let folder = tempfile::tempdir().unwrap();
    let at = location(&folder, "t.json");
    let documents = documents(0);
    documents.create(&Storage::local(), at.clone(), table(), Compression::None).await.unwrap();
    documents.get(&Storage::local(), &at).await.unwrap();
    assert_eq!(documents.cached_bytes(), 0);
}

#[tokio::test]
async fn missing_file_and_invalid_file_have_different_errors() {
    let folder = tempfile::tempdir().unwrap();
    let documents = documents(1 << 20);
    assert!(matches!(
        documents.get(&Storage::local(), &location(&folder, "none")).await,
        Err(MetadataError::Missing(_))
    ));
    for (name, bytes) in
        [("text", b"hello".as_slice()), ("gzip", &[0x1f, 0x8b, 0, 1]), ("empty", b""), ("other", b"{}")]
    {
        std::fs::write(folder.path().join(name), bytes).unwrap();
        let got = documents.get(&Storage::local(), &location(&folder, name)).await;
        assert!(matches!(got, Err(MetadataError::Unreadable { .. })), "{name}: {got:?}");
    }
}

#[tokio::test]
async fn discarded_document_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let at = location(&folder, "t.json");
    let documents = documents(1 << 20);
    let document = documents.create(&Storage::local(), at.clone(), table(), Compression::None).await.unwrap();
    documents.discard(&Storage::local(), &document).await;
    assert!(matches!(documents.get(&Storage::local(), &at).await, Err(MetadataError::Missing(_))));
    documents.discard(&Storage::local(), &document).await;
}

#[tokio::test]
async fn forgotten_document_uses_no_memory_and_is_still_readable() {
    let folder = tempfile::tempdir().unwrap();
    let at = location(&folder, "t.json");
    let documents = documents(1 << 20);
    let document = documents.create(&Storage::local(), at.clone(), table(), Compression::None).await.unwrap();
    documents.forget(&Storage::local(), &document);
    assert_eq!(documents.cached_bytes(), 0);
    assert_eq!(documents.get(&Storage::local(), &at).await.unwrap().json, document.json);
}

#[tokio::test]
async fn document_of_the_other_kind_is_unreadable() {
    let folder = tempfile::tempdir().unwrap();
    let view = r#"{"view-uuid":"9c12d441-03fe-4693-9a96-a0705ddf69c1","format-version":1,"location":"file:///v",
        "schemas":[{"type":"struct","schema-id":0,"fields":[]}],"current-version-id":1,
        "versions":[{"version-id":1,"timestamp-ms":1,"schema-id":0,"summary":{},"default-namespace":[],
            "representations":[{"type":"sql","sql":"select 1","dialect":"spark"}]}],
        "version-log":[{"timestamp-ms":1,"version-id":1}]}"#;
    let view = ViewMetadata::parse(view.as_bytes()).unwrap();
    let (table_at, view_at) = (location(&folder, "t.json"), location(&folder, "v.json"));
    let documents = documents(1 << 20);
    documents.create(&Storage::local(), table_at.clone(), table(), Compression::None).await.unwrap();
    let written = documents.create(&Storage::local(), view_at.clone(), view, Compression::Gzip).await.unwrap();
    std::fs::copy(folder.path().join("v.json"), folder.path().join("copy.json")).unwrap();
    assert!(Arc::ptr_eq(&written, &documents.get_view(&Storage::local(), &view_at).await.unwrap()));
    assert_eq!(
        documents.get_view(&Storage::local(), &location(&folder, "copy.json")).await.unwrap().json,
        written.json
    );
    let as_view = documents.get_view(&Storage::local(), &table_at).await;
    assert!(matches!(as_view, Err(MetadataError::Unreadable { .. })), "{as_view:?}");
    let as_table = documents.get(&Storage::local(), &view_at).await;
    assert!(matches!(as_table, Err(MetadataError::Unreadable { .. })), "{as_table:?}");
}

/// Returns a storage that accepts connections and never answers, and the number of connections.
async fn silent_storage(request_timeout: Duration) -> (Storage, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            held.push(connection);
        }
    });
    let profile: StorageProfile = serde_json::from_value(
        serde_json::json!({ "type": "s3", "region": "a", "endpoint": endpoint, "path-style": true }),
    )
    .unwrap();
    let credentials = StorageCredentials::AwsKey {
        access_key_id: "k".to_owned(),
        secret_access_key: Secret::new("s".to_owned()),
        session_token: None,
    };
    let root = Location::parse("s3://bucket/lake").unwrap();
    let retry_timeout = Duration::from_millis(1);
    let budget = Budget { request_timeout, retry_timeout, hedge_after: request_timeout, ..Budget::default() };
    let setup = Setup { id: Uuid::nil(), root: &root, profile: &profile, credentials: &credentials, budget };
    (Storage::open(&setup).unwrap(), connections)
}

/// The most connections for the read of one document: retries, and a hedged request for each attempt.
const CONNECTIONS_OF_ONE: usize = 2 * (Budget::RETRIES + 1);

#[tokio::test]
async fn concurrent_requests_for_a_document_share_one_failure() {
    let (storage, connections) = silent_storage(Duration::from_millis(200)).await;
    let documents = documents(1 << 20);
    let reads = (0..100).map(|_| documents.get(&storage, "s3://bucket/lake/t.metadata.json"));
    for read in futures_util::future::join_all(reads).await {
        assert!(matches!(read, Err(MetadataError::Storage(StorageError::Unavailable { .. }))), "{read:?}");
    }
    let connections = connections.load(Ordering::SeqCst);
    assert!(connections <= CONNECTIONS_OF_ONE, "{connections} connections for one read");
}

#[tokio::test]
async fn slow_failure_answers_requests_that_began_before_it_and_no_others() {
    let (storage, connections) = silent_storage(Duration::from_millis(1_100)).await;
    let documents = documents(1 << 20);
    let at = "s3://bucket/lake/t.metadata.json";
    let waited = Some(Deadline::ending_at(std::time::Instant::now() + Duration::from_secs(600)));
    documents.get(&storage, at).await.unwrap_err();
    let asked = connections.load(Ordering::SeqCst);
    for _ in 0..100 {
        deadline::scope(waited, documents.get(&storage, at)).await.unwrap_err();
    }
    assert_eq!(connections.load(Ordering::SeqCst), asked);
    let later = Some(Deadline::ending_at(std::time::Instant::now() + Duration::from_secs(600)));
    deadline::scope(later, documents.get(&storage, at)).await.unwrap_err();
    assert!(connections.load(Ordering::SeqCst) > asked);
}

#[tokio::test]
async fn read_without_waiting_requests_is_cancelled() {
    let (storage, connections) = silent_storage(Duration::from_secs(600)).await;
    let documents = documents(1 << 20);
    let at = "s3://bucket/lake/t.metadata.json";
    let soon = Deadline::ending_at(std::time::Instant::now() + Duration::from_millis(200));
    let late = deadline::scope(Some(soon), documents.get(&storage, at)).await;
    assert!(matches!(late, Err(MetadataError::Heavy(HeavyError::TimeIsOver(_)))), "{late:?}");
    let asked = connections.load(Ordering::SeqCst);
    let soon = Deadline::ending_at(std::time::Instant::now() + Duration::from_millis(200));
    deadline::scope(Some(soon), documents.get(&storage, at)).await.unwrap_err();
    assert!(connections.load(Ordering::SeqCst) > asked, "the first read still ran");
}

#[tokio::test]
async fn large_document_is_read_and_written_like_a_small_one() {
    let folder = tempfile::tempdir().unwrap();
    let text = DOCUMENT.replace("\"properties\":{}", &format!("\"properties\":{{\"a\":\"{}\"}}", "x".repeat(3 << 20)));
    let large = TableMetadata::parse(text.as_bytes()).unwrap();
    for (name, compression) in [("plain", Compression::None), ("packed", Compression::Gzip)] {
        let at = location(&folder, name);
        let written =
            documents(1 << 20).create(&Storage::local(), at.clone(), large.clone(), compression).await.unwrap();
        let read = documents(1 << 20).get(&Storage::local(), &at).await.unwrap();
        assert_eq!((&read.json, read.metadata.properties()), (&written.json, large.properties()), "{name}");
    }
    // A file of several gzip members, which unpacks to more than the last member states.
    let whole = std::fs::read(folder.path().join("plain")).unwrap();
    let (first, last) = whole.split_at(whole.len() - 10);
    let pieces = [gzip::compress(first).unwrap(), gzip::compress(last).unwrap()].concat();
    std::fs::write(folder.path().join("pieces"), pieces).unwrap();
    let read = documents(1 << 20).get(&Storage::local(), &location(&folder, "pieces")).await.unwrap();
    assert_eq!(read.json, whole);
}

#[tokio::test]
async fn document_over_the_limit_is_neither_read_nor_written() {
    let folder = tempfile::tempdir().unwrap();
    let at = location(&folder, "t.json");
    documents(1 << 20).create(&Storage::local(), at.clone(), table(), Compression::None).await.unwrap();
    let size_bytes = std::fs::metadata(folder.path().join("t.json")).unwrap().len();
    let reader = |limit_bytes| ObjectReader::new(Arc::default(), limit_bytes);
    let small = Documents::with_reader(1 << 20, reader(size_bytes - 1));
    let refused = small.get(&Storage::local(), &at).await;
    assert!(matches!(refused, Err(MetadataError::TooLarge { .. })), "{refused:?}");
    let refused = small.create(&Storage::local(), location(&folder, "u.json"), table(), Compression::Gzip).await;
    assert!(matches!(refused, Err(MetadataError::TooLargeToWrite { .. })), "{refused:?}");
    assert!(!folder.path().join("u.json").exists());
    let enough = Documents::with_reader(1 << 20, reader(size_bytes));
    enough.get(&Storage::local(), &at).await.unwrap();
}

proptest! {
    #[test]
    fn lookup_finds_only_its_storage_location_and_form(
        one in (0..3_u128, "[ab]{1,2}", any::<bool>()), other in (0..3_u128, "[ab]{1,2}", any::<bool>()),
    ) {
        let form = |refs| if refs { Form::Refs } else { Form::Whole };
        let lookup = Lookup { storage: Uuid::from_u128(one.0), location: &one.1, form: form(one.2) };
        let key = Key { storage: Uuid::from_u128(other.0), location: other.1.clone(), form: form(other.2) };
        prop_assert_eq!(lookup.equivalent(&key), one == other);
        let hashes = RandomState::new();
        prop_assert!(one != other || hashes.hash_one(&lookup) == hashes.hash_one(&key));
    }
}
