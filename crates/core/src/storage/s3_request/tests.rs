use proptest::prelude::*;
use serde_json::json;

use super::*;

const STORE: &str = "https://store.example.com:9000";
const T1: &str = "https://store.example.com:9000/bucket/lake/t1";

fn profile(more: serde_json::Value) -> S3Profile {
    let mut profile = json!({ "region": "eu-west-1" });
    profile.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(profile).unwrap()
}

fn own_store() -> S3Profile {
    profile(json!({ "endpoint": STORE, "path-style": true }))
}

/// A request for a table at `s3://bucket/lake/t1`, with its data also at `s3://bucket/data/t1`.
struct Asked {
    profile: S3Profile,
    access: Access,
    headers: Vec<(String, Vec<String>)>,
    body: Option<String>,
}

fn writer() -> Asked {
    Asked { profile: own_store(), access: Access::ReadWrite, headers: Vec::new(), body: None }
}

fn reader() -> Asked {
    Asked { access: Access::Read, ..writer() }
}

impl Asked {
    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), vec![value.to_owned()]));
        self
    }

    fn at(&self, locations: &[&str], method: &str, uri: &str) -> Result<Approved, Refused> {
        let locations: Vec<Location> = locations.iter().map(|text| Location::parse(text).unwrap()).collect();
        let request = S3Request { method, uri, headers: &self.headers, body: self.body.as_deref() };
        approve(&self.profile, &locations, self.access, &request)
    }

    fn asks(&self, method: &str, uri: &str) -> Result<Approved, Refused> {
        self.at(&["s3://bucket/lake/t1", "s3://bucket/data/t1"], method, uri)
    }

    fn may(&self, method: &str, uri: &str) -> bool {
        self.asks(method, uri).is_ok()
    }
}

/// The requests of engines, and whether a reader may send each.
const ENGINES: [(&str, &str, bool); 16] = [
    ("GET", "/bucket/lake/t1/data/a.parquet", true),
    ("GET", "/bucket/lake/t1/data/a.parquet?x-id=GetObject", true),
    ("GET", "/bucket/lake/t1/a?versionId=3", true),
    ("HEAD", "/bucket/data/t1/day%3D2026%252F11/a%20b.parquet", true),
    ("GET", "/bucket?list-type=2&prefix=lake%2Ft1%2F&delimiter=%2F&max-keys=1&encoding-type=url", true),
    ("GET", "/bucket/?list-type=2&prefix=lake/t1/data&continuation-token=x%2B", true),
    ("GET", "/bucket?prefix=data/t1/&marker=data/t1/a", true),
    ("PUT", "/bucket/lake/t1/metadata/m.avro", false),
    ("PUT", "/bucket/lake/t1/metadata/m.avro?x-id=PutObject", false),
    ("POST", "/bucket/lake/t1/a?uploads", false),
    ("POST", "/bucket/lake/t1/a?uploads=", false),
    ("PUT", "/bucket/lake/t1/a?partNumber=1&uploadId=2~x", false),
    ("POST", "/bucket/lake/t1/a?uploadId=2~x", false),
    ("DELETE", "/bucket/lake/t1/a?uploadId=2~x", false),
    ("GET", "/bucket/lake/t1/a?uploadId=2~x&max-parts=2", false),
    ("DELETE", "/bucket/lake/t1/a", false),
];

#[test]
fn writer_may_send_all_requests_of_engines_and_reader_only_reads() {
    for (method, path, is_read) in ENGINES {
        let uri = format!("{STORE}{path}");
        assert!(writer().may(method, &uri), "{method} {path}: {:?}", writer().asks(method, &uri));
        assert_eq!(reader().may(method, &uri), is_read, "{method} {path}");
    }
}

#[test]
fn every_request_for_another_tables_files_is_refused() {
    for other in ["lake/t10", "lake/t2", "lake", "lake/T1", "data/t10", "t1", "xlake/t1"] {
        for (method, path, _) in ENGINES {
            let path = path.replace("lake/t1", other).replace("data/t1", other).replace("lake%2Ft1", other);
            let uri = format!("{STORE}{path}");
            // A table's folder is not an object. Its objects begin with the folder and a '/'.
            assert!(!writer().may(method, &uri), "{method} {path}");
        }
    }
}

#[test]
fn folder_without_slash_is_refused_as_object_and_prefix() {
    for (method, uri) in [
        ("GET", T1.to_owned()),
        ("GET", format!("{T1}/")),
        ("PUT", format!("{T1}/")),
        ("DELETE", T1.to_owned()),
        ("GET", format!("{STORE}/bucket?list-type=2&prefix=lake/t1")),
        ("GET", format!("{STORE}/bucket?list-type=2&prefix=lake/")),
        ("GET", format!("{STORE}/bucket?list-type=2&prefix=")),
        ("GET", format!("{STORE}/bucket?list-type=2")),
        ("GET", format!("{STORE}/bucket")),
    ] {
        assert!(!writer().may(method, &uri), "{method} {uri}");
    }
}

#[test]
fn path_that_leaves_the_table_is_refused() {
    for path in [
        "lake/t1/../t2/a",
        "lake/t1/./a",
        "lake/t1//a",
        "lake//t1/a",
        "/lake/t1/a",
        "lake/t1/%2e%2e/t2/a",
        "lake/t1/%2E%2E/t2/a",
        "lake/t1/.%2e/t2/a",
        "lake/t1/%252e%252e/t2/a",
        "lake/t1/..%252Ft2/a",
        "lake/t1/..%255Ct2/a",
        "lake/t1%2F..%2Ft2/a",
        "lake/t1%2fa",
        "lake%2Ft1/a",
        "lake/t1/..",
        "lake/t1/%5C..%5Ct2",
        "lake/t1/a%00",
        "lake/t1/a%0A",
        "lake/t1/a%3Fpolicy",
        "lake/t1/a%23x",
        "lake/t1/a+b",
        "lake/t1/a;b",
        "lake/t1/a%",
        "lake/t1/%ff",
        "lake/t1/\u{fc}",
        "lake/t1/a b",
        "lake/t1/a#b",
        "lake/t1/a\\b",
    ] {
        for method in ["GET", "PUT", "DELETE"] {
            assert!(!writer().may(method, &format!("{STORE}/bucket/{path}")), "{method} {path}");
        }
        // An encoded slash in a parameter decodes to a slash.
        let prefix = path.replace("%2F", "%252F").replace("%2f", "%252f");
        assert!(!writer().may("GET", &format!("{STORE}/bucket?list-type=2&prefix={prefix}")), "prefix {prefix}");
    }
}

#[test]
fn name_with_wildcards_matches_only_itself() {
    for (own, inside, outside) in [
        ("s3://bucket/lake/*", "lake/%2A/a", ["lake/t1/a", "lake/%252A/a", "lake/*/a"]),
        (
            "s3://bucket/lake/${aws:username}",
            "lake/%24%7Baws%3Ausername%7D/a",
            ["lake/admin/a", "lake/%24/a", "lake//a"],
        ),
        ("s3://bucket/lake/a%2a", "lake/a%252a/a", ["lake/a%2a/a", "lake/ab/a", "lake/a%252A/a"]),
        ("s3://bucket/lake/a b", "lake/a%20b/x", ["lake/a+b/x", "lake/a%2Bb/x", "lake/a%2520b/x"]),
    ] {
        assert!(writer().at(&[own], "GET", &format!("{STORE}/bucket/{inside}")).is_ok(), "{own} {inside}");
        for outside in outside {
            assert!(writer().at(&[own], "GET", &format!("{STORE}/bucket/{outside}")).is_err(), "{own} {outside}");
        }
    }
}

#[test]
fn request_to_another_host_or_bucket_is_refused() {
    for uri in [
        "https://evil.example.com/bucket/lake/t1/a",
        "https://store.example.com/bucket/lake/t1/a",
        "https://store.example.com:9001/bucket/lake/t1/a",
        "http://store.example.com:9000/bucket/lake/t1/a",
        "https://store.example.com:9000@evil.example.com/bucket/lake/t1/a",
        "https://bucket@store.example.com:9000/bucket/lake/t1/a",
        "https://store.example.com:9000.evil.example.com/bucket/lake/t1/a",
        "https://evil.store.example.com:9000/lake/t1/a",
        "https://other.store.example.com:9000/lake/t1/a",
        "https://store.example.com.:9000/bucket/lake/t1/a",
        "https://store.example.com:9000/other/lake/t1/a",
        "https://store.example.com:9000/bucket2/lake/t1/a",
        "https://store.example.com:9000//bucket/lake/t1/a",
        "https://store.example.com:9000/%62ucket/lake/t1/a",
        "https://store.example.com:9000/Bucket/lake/t1/a",
        "https://store.example.com:9000?/bucket/lake/t1/a",
        "store.example.com:9000/bucket/lake/t1/a",
        "/bucket/lake/t1/a",
        "s3://bucket/lake/t1/a",
        "",
    ] {
        assert!(!writer().may("GET", uri), "{uri}");
    }
}

#[test]
fn bucket_in_the_host_is_accepted_unless_the_profile_has_path_style() {
    let by_host = Asked { profile: profile(json!({ "endpoint": STORE })), ..writer() };
    assert!(by_host.may("GET", "https://bucket.store.example.com:9000/lake/t1/a"));
    assert!(by_host.may("GET", "https://BUCKET.Store.example.com:9000/lake/t1/a"));
    assert!(by_host.may("GET", "https://bucket.store.example.com:9000?list-type=2&prefix=lake/t1/"));
    assert!(!by_host.may("GET", "https://bucket.store.example.com:9000/bucket/lake/t1/a"));
    // A store that ignores the host would read `lake` as the bucket.
    assert!(!writer().may("GET", "https://bucket.store.example.com:9000/lake/t1/a"));
    assert!(writer().may("GET", "https://store.example.com:9000/bucket/lake/t1/a"));
}

#[test]
fn every_address_in_the_profile_is_accepted() {
    let mut asked = writer();
    asked.profile = profile(
        json!({ "endpoint": "http://10.0.0.1:80/", "client-endpoint": "https://s3.example.com/storage/v1/s3" }),
    );
    for uri in [
        "http://10.0.0.1/bucket/lake/t1/a",
        "http://10.0.0.1:80/bucket/lake/t1/a",
        "https://s3.example.com:443/storage/v1/s3/bucket/lake/t1/a",
    ] {
        assert!(asked.may("GET", uri), "{uri}");
    }
    for uri in [
        "https://s3.example.com/bucket/lake/t1/a",
        "https://10.0.0.1/bucket/lake/t1/a",
        "https://bucket.s3.example.com/lake/t1/a",
    ] {
        assert!(!asked.may("GET", uri), "{uri}");
    }
}

#[test]
fn amazon_addresses_outside_the_region_are_refused() {
    let mut asked = writer();
    asked.profile = profile(json!({}));
    for host in [
        "bucket.s3.eu-west-1.amazonaws.com",
        "s3.eu-west-1.amazonaws.com/bucket",
        "bucket.s3.dualstack.eu-west-1.amazonaws.com",
    ] {
        assert!(asked.may("GET", &format!("https://{host}/lake/t1/a")), "{host}");
    }
    for host in [
        "bucket.s3.us-east-1.amazonaws.com",
        "bucket.s3.amazonaws.com",
        "bucket.s3.eu-west-1.amazonaws.com.evil.example.com",
        "bucket.s3-accesspoint.eu-west-1.amazonaws.com",
        "bucket.s3.eu-west-1.amazonaws.com.cn",
    ] {
        assert!(!asked.may("GET", &format!("https://{host}/lake/t1/a")), "{host}");
    }
    assert!(!asked.may("GET", "http://bucket.s3.eu-west-1.amazonaws.com/lake/t1/a"));
    asked.profile = profile(json!({ "region": "us-east-1" }));
    assert!(asked.may("GET", "https://bucket.s3.amazonaws.com/lake/t1/a"));
    asked.profile = profile(json!({ "region": "cn-north-1" }));
    assert!(asked.may("GET", "https://bucket.s3.cn-north-1.amazonaws.com.cn/lake/t1/a"));
}

#[test]
fn operation_that_no_engine_needs_is_refused() {
    for (method, path) in [
        ("GET", "/"),
        ("HEAD", "/bucket"),
        ("PUT", "/bucket"),
        ("DELETE", "/bucket"),
        ("POST", "/bucket"),
        ("GET", "/bucket?policy"),
        ("PUT", "/bucket?policy"),
        ("GET", "/bucket?acl&prefix=lake/t1/"),
        ("GET", "/bucket?versions&prefix=lake/t1/"),
        ("GET", "/bucket?uploads&prefix=lake/t1/"),
        ("PUT", "/bucket?versioning"),
        ("PUT", "/bucket?lifecycle"),
        ("GET", "/bucket?location"),
        ("GET", "/bucket?list-type=1&prefix=lake/t1/"),
        ("GET", "/bucket?list-type=3&prefix=lake/t1/"),
        ("GET", "/bucket/lake/t1/a?acl"),
        ("PUT", "/bucket/lake/t1/a?acl"),
        ("PUT", "/bucket/lake/t1/a?tagging"),
        ("GET", "/bucket/lake/t1/a?tagging"),
        ("DELETE", "/bucket/lake/t1/a?tagging"),
        ("PUT", "/bucket/lake/t1/a?retention"),
        ("PUT", "/bucket/lake/t1/a?legal-hold"),
        ("PUT", "/bucket/lake/t1/a?renameObject"),
        ("POST", "/bucket/lake/t1/a?select&select-type=2"),
        ("POST", "/bucket/lake/t1/a?restore"),
        ("GET", "/bucket/lake/t1/a?torrent"),
        ("GET", "/bucket/lake/t1/a?attributes"),
        ("GET", "/bucket/lake/t1/a?response-content-type=text%2Fhtml"),
        ("DELETE", "/bucket/lake/t1/a?versionId=1"),
        ("PUT", "/bucket/lake/t1/a?partNumber=1"),
        ("PUT", "/bucket/lake/t1/a?uploadId=1"),
        ("PUT", "/bucket/lake/t1/a?uploadId=&partNumber=1"),
        ("POST", "/bucket/lake/t1/a"),
        ("POST", "/bucket/lake/t1/a?uploads=x"),
        ("POST", "/bucket/lake/t1/a?uploads&uploadId=1"),
        ("POST", "/bucket/lake/t1/a?delete"),
        ("POST", "/bucket?delete&policy"),
        ("GET", "/bucket/lake/t1/a?X-Amz-Signature=x"),
        ("GET", "/bucket/lake/t1/a?unknown"),
        ("PATCH", "/bucket/lake/t1/a"),
        ("OPTIONS", "/bucket/lake/t1/a"),
        ("TRACE", "/bucket/lake/t1/a"),
        ("get", "/bucket/lake/t1/a"),
        ("COPY", "/bucket/lake/t1/a"),
        ("", "/bucket/lake/t1/a"),
    ] {
        assert!(!writer().may(method, &format!("{STORE}{path}")), "{method} {path}");
    }
}

#[test]
fn ambiguous_parameters_are_refused() {
    for query in [
        "list-type=2&prefix=lake/t1/&prefix=lake/t2/",
        "list-type=2&prefix=lake/t1/&Prefix=lake/t2/",
        "list-type=2&prefix=lake/t1/&%70refix=lake/t2/",
        "list-type=2&prefix=lake/t1/;prefix=lake/t2/",
        "list-type=2&prefix=lake/t1/&&max-keys=1",
        "list-type=2&prefix=lake/t1/&=x",
        "list-type=2&prefix=lake/t1/a+b",
        "list-type=2&prefix=lake/t1/?prefix=lake/t2/",
        "list-type=2&prefix=lake/t1/..%2Ft2",
    ] {
        assert!(!writer().may("GET", &format!("{STORE}/bucket?{query}")), "{query}");
    }
}

fn removing(body: &str) -> Asked {
    Asked { body: Some(body.to_owned()), ..writer() }
}

#[test]
fn removal_of_several_objects_needs_a_body_with_only_the_tables_files() {
    let delete = |keys: &[&str]| {
        let objects: String = keys.iter().map(|key| format!("<Object><Key>{key}</Key></Object>")).collect();
        removing(&format!("<Delete>{objects}</Delete>"))
    };
    let uri = format!("{STORE}/bucket?delete");
    let approved = delete(&["lake/t1/a", "data/t1/b"]).asks("POST", &uri).unwrap();
    assert_eq!((approved.payload, approved.may_be_reused), (Payload::TheBody, false));
    // The client's statement about the body is ignored.
    let said = delete(&["lake/t1/a"]).with("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD").asks("POST", &uri).unwrap();
    assert_eq!(said.payload, Payload::TheBody);
    assert!(!said.headers.iter().any(|(name, _)| name == "x-amz-content-sha256"));
    for keys in [
        &["lake/t1/a", "lake/t2/b"][..],
        &["lake/t10/a"],
        &["lake/t1"],
        &["lake/t1/../t2/a"],
        &["/lake/t1/a"],
        &[" lake/t1/a"],
        &[""],
    ] {
        assert!(!delete(keys).may("POST", &uri), "{keys:?}");
    }
    assert!(matches!(writer().asks("POST", &uri), Err(Refused::Malformed(_))));
    assert!(!Asked { access: Access::Read, ..delete(&["lake/t1/a"]) }.may("POST", &uri));
}

#[test]
fn writer_without_delete_rights_is_refused_only_removals() {
    let keeper = || Asked { access: Access::ReadWriteNoDelete, ..writer() };
    let uri = |rest: &str| format!("{T1}/{rest}");
    for (method, rest) in [
        ("GET", "a"),
        ("HEAD", "a"),
        ("PUT", "a"),
        ("PUT", "a?partNumber=1&uploadId=x"),
        ("POST", "a?uploads"),
        ("POST", "a?uploadId=x"),
        ("DELETE", "a?uploadId=x"),
    ] {
        assert!(keeper().may(method, &uri(rest)), "{method} {rest}");
    }
    assert!(!keeper().may("DELETE", &uri("a")) && writer().may("DELETE", &uri("a")));
    let many = removing("<Delete><Object><Key>lake/t1/a</Key></Object></Delete>");
    let uri = format!("{STORE}/bucket?delete");
    assert!(many.may("POST", &uri));
    assert!(!Asked { access: Access::ReadWriteNoDelete, ..many }.may("POST", &uri));
}

#[test]
fn copy_from_outside_the_table_is_refused() {
    let copies = |source: &str| writer().with("x-amz-copy-source", source);
    for path in ["a", "a?partNumber=1&uploadId=x"] {
        let uri = format!("{T1}/{path}");
        for source in ["/bucket/lake/t1/b", "bucket/data/t1/b", "bucket/lake/t1/b%20c"] {
            assert!(copies(source).may("PUT", &uri), "{source}");
        }
        for source in [
            "/bucket/lake/t2/b",
            "/bucket/lake/t10/b",
            "bucket/lake/t1",
            "bucket",
            "",
            "/other/lake/t1/b",
            "//bucket/lake/t1/b",
            "/bucket/lake/t1/../t2/b",
            "/bucket/lake/t1/%2e%2e/t2/b",
            "/bucket/lake/t1/b?versionId=1",
            "/bucket/lake/t1/b%3FversionId=1",
            "arn:aws:s3:eu-west-1:1:accesspoint/x/object/lake/t1/b",
            "/bucket/lake/t1/+b",
        ] {
            assert!(!copies(source).may("PUT", &uri), "{source}");
        }
    }
    for (method, path) in [("GET", "a"), ("POST", "a?uploads"), ("DELETE", "a")] {
        assert!(!copies("/bucket/lake/t1/b").may(method, &format!("{T1}/{path}")), "{method} {path}");
    }
    let twice = writer().with("x-amz-copy-source", "/bucket/lake/t1/b").with("X-Amz-Copy-Source", "/bucket/lake/t2/b");
    assert!(!twice.may("PUT", &format!("{T1}/a")));
    let mut two = writer();
    two.headers
        .push(("x-amz-copy-source".to_owned(), vec!["/bucket/lake/t1/b".to_owned(), "/bucket/lake/t2/b".to_owned()]));
    assert!(!two.may("PUT", &format!("{T1}/a")));
}

#[test]
fn signature_for_a_write_has_conditions_that_no_copy_fulfils() {
    let names = |asked: &Asked, uri: &str| -> Vec<String> {
        asked.asks("PUT", uri).unwrap().headers.into_iter().map(|(name, _)| name).collect()
    };
    for path in ["a", "a?partNumber=1&uploadId=x"] {
        let signed = names(&writer(), &format!("{T1}/{path}"));
        for name in ["x-amz-copy-source-if-match", "x-amz-copy-if-match", "x-amz-copy-source-range"] {
            assert!(signed.iter().any(|found| found == name), "{path}: {name}");
        }
        let copy = writer().with("x-amz-copy-source", "/bucket/lake/t1/b");
        assert_eq!(names(&copy, &format!("{T1}/{path}")), ["x-amz-copy-source"]);
    }
    let own = writer().with("x-amz-copy-source-if-match", "*").asks("PUT", &format!("{T1}/a")).unwrap();
    assert!(own.headers.contains(&("x-amz-copy-source-if-match".to_owned(), "none".to_owned())), "{own:?}");
    // Amazon refuses unsigned headers of its own.
    let amazon = Asked { profile: profile(json!({})), ..writer() };
    assert!(names(&amazon, "https://bucket.s3.eu-west-1.amazonaws.com/lake/t1/a").is_empty());
}

#[test]
fn headers_that_affect_more_than_the_object_are_refused() {
    let uri = format!("{T1}/a");
    for (name, value) in [
        ("x-amz-acl", "public-read"),
        ("X-Amz-Acl", "authenticated-read"),
        ("x-amz-grant-read", "uri=http://acs.amazonaws.com/groups/global/AllUsers"),
        ("x-amz-tagging", "a=b"),
        ("x-amz-website-redirect-location", "https://evil.example.com"),
        ("x-amz-bypass-governance-retention", "true"),
        ("x-amz-object-lock-mode", "COMPLIANCE"),
        ("x-amz-rename-source", "/lake/t2/a"),
        ("x-amz-server-side-encryption-aws-kms-key-id", "arn:aws:kms:eu-west-1:1:key/other"),
        ("x-amz-unheard-of", "1"),
        ("x-amz-meta-a", "b\r\nx-amz-acl: public-read"),
        ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
        ("x-amz-content-sha256", "x"),
    ] {
        assert!(!writer().with(name, value).may("PUT", &uri), "{name}");
    }
    let mut own_key = writer().with("x-amz-server-side-encryption-aws-kms-key-id", "arn:aws:kms:eu-west-1:1:key/own");
    own_key.profile.kms_key_arn = Some("arn:aws:kms:eu-west-1:1:key/own".to_owned());
    assert!(own_key.may("PUT", &uri));
}

#[test]
fn headers_that_may_differ_when_sent_are_not_signed() {
    let asked = writer()
        .with("Range", "bytes=0-7")
        .with("User-Agent", "x")
        .with("amz-sdk-invocation-id", "x")
        .with("Host", "evil.example.com")
        .with("Authorization", "AWS4-HMAC-SHA256 x")
        .with("x-amz-date", "20000101T000000Z")
        .with("Content-Type", "application/octet-stream")
        .with("X-Amz-Checksum-Mode", "ENABLED")
        .with("x-amz-te", "append-md5");
    let approved = asked.asks("GET", &format!("{T1}/a")).unwrap();
    let signed: Vec<&str> = approved.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(signed, ["content-type", "x-amz-checksum-mode", "x-amz-te"]);
    assert!(approved.may_be_reused);
}

#[test]
fn known_digest_of_the_body_is_signed() {
    let put = |asked: Asked| asked.asks("PUT", &format!("{T1}/a")).unwrap().payload;
    assert_eq!(put(writer()), Payload::Unsigned);
    assert_eq!(put(writer().with("x-amz-trailer", "x-amz-checksum-crc32")), Payload::UnsignedTrailer);
    let hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(put(writer().with("X-Amz-Content-SHA256", hash)), Payload::Sha256(hash.to_owned()));
    let streaming = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
    assert_eq!(put(writer().with("x-amz-content-sha256", streaming)), Payload::UnsignedTrailer);
}

#[test]
fn table_without_a_location_or_at_the_root_of_a_bucket_is_refused() {
    assert!(writer().at(&[], "GET", &format!("{T1}/a")).is_err());
    assert!(writer().at(&["s3://bucket"], "GET", &format!("{T1}/a")).is_err());
}

fn encoded(name: &str) -> String {
    let one = |byte: u8| {
        if byte.is_ascii_alphanumeric() || byte == b'/' { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    name.bytes().map(one).collect()
}

proptest! {
    #[test]
    fn exactly_the_objects_below_the_location_are_signed(
        own in "[ab*$ %]{1,2}(/[ab*$]{1,2}){0,2}",
        key in "[ab*$ %.]{1,2}(/[ab*$.]{1,2}){0,3}/?",
    ) {
        let Ok(location) = Location::parse(&format!("s3://bucket/{own}")) else { return Ok(()) };
        let asked = writer().at(&[location.as_str()], "GET", &format!("{STORE}/bucket/{}", encoded(&key)));
        // The object's own location decides where it lies, and whether its name is valid.
        let place = Location::parse(&format!("s3://bucket/{key}"));
        let is_below = place.is_ok_and(|place| location.contains(&place) && place != location);
        prop_assert_eq!(asked.is_ok(), is_below, "{} {}: {:?}", own, key, asked);
    }

    #[test]
    fn list_is_signed_only_below_the_location(own in "[ab]{1,2}/[ab]{1,2}", prefix in "[ab/]{0,6}", key in "[ab/]{1,8}") {
        let location = format!("s3://bucket/{own}");
        let asked = writer().at(&[&location], "GET", &format!("{STORE}/bucket?list-type=2&prefix={prefix}"));
        if asked.is_ok() && key.starts_with(&prefix) {
            let below = format!("{own}/");
            prop_assert!(key.starts_with(&below), "{} {} {}", own, prefix, key);
        }
    }

    #[test]
    fn arbitrary_request_does_not_panic(method in "(GET|PUT|POST|DELETE|HEAD)", rest in "(/|bucket|lake|t1|\\?|&|=|%|2F|prefix|delete|uploads|uploadId|\\.|\\PC){0,20}", body in "\\PC{0,20}") {
        let _ = removing(&body).asks(&method, &format!("{STORE}{rest}"));
        let _ = removing(&body).asks(&method, &rest);
    }
}
