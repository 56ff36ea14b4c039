//! Views: their documents, their creation, and each update and refusal.

use serde_json::{Value, json};
use tidewater_core::commit::CommitError;
use tidewater_core::stop::Stop;
use tidewater_core::view::{
    CreateView, RegisterView, ViewCommit, ViewMetadata, apply_view_updates, check_view_requirements, create_view,
};

use crate::support::{NOW_MS, UUID, column, schema};

/// The creation time of the versions in these tests.
const THEN_MS: i64 = 1_700_000_000_000;

fn version(schema_id: i32, queries: &[(&str, &str)]) -> Value {
    let representations: Vec<Value> =
        queries.iter().map(|(dialect, sql)| json!({"type": "sql", "sql": sql, "dialect": dialect})).collect();
    json!({"version-id": 1, "timestamp-ms": THEN_MS, "schema-id": schema_id, "summary": {"engine-name": "test"},
        "default-namespace": ["ns"], "representations": representations})
}

fn spark(sql: &str) -> Value {
    version(0, &[("spark", sql)])
}

fn request(view_version: &Value, properties: &Value) -> Value {
    json!({"name": "v", "schema": schema(&[column(3, "id", "int")]), "view-version": view_version, "properties": properties})
}

fn try_create(request: &Value) -> Result<ViewMetadata, CommitError> {
    create_view(&CreateView::parse(request.to_string().as_bytes())?, "s3://b/v", UUID)
}

/// Returns a view of one version, `select 1` for Spark.
pub(crate) fn view() -> ViewMetadata {
    try_create(&request(&spark("select 1"), &json!({}))).unwrap()
}

fn value(document: &ViewMetadata) -> Value {
    serde_json::from_slice(&document.to_json()).unwrap()
}

fn try_commit(base: &ViewMetadata, updates: &Value) -> Result<Option<ViewMetadata>, CommitError> {
    let commit = ViewCommit::parse(json!({ "updates": updates }).to_string().as_bytes())?;
    apply_view_updates(base, &commit.updates, NOW_MS, Stop::NEVER)
}

fn commit(base: &ViewMetadata, updates: &Value) -> ViewMetadata {
    try_commit(base, updates).unwrap().expect("the commit changes something")
}

/// Returns the message of a commit that breaks a rule. Checks that its base stays unchanged.
#[track_caller]
fn refused(base: &ViewMetadata, updates: &Value) -> String {
    let before = base.to_json();
    let message = match try_commit(base, updates) {
        Err(CommitError::IllegalArgument(message)) => message,
        other => panic!("expected a refusal, got {other:?}"),
    };
    assert_eq!(base.to_json(), before);
    message
}

fn add(view_version: &Value) -> Value {
    json!({"action": "add-view-version", "view-version": view_version})
}

fn set_current(id: i32) -> Value {
    json!({"action": "set-current-view-version", "view-version-id": id})
}

fn set(key: &str, value: &str) -> Value {
    json!({"action": "set-properties", "updates": {key: value}})
}

fn replace(base: &ViewMetadata, view_version: &Value) -> ViewMetadata {
    commit(base, &json!([add(view_version), set_current(-1)]))
}

fn versions(document: &ViewMetadata) -> Vec<i32> {
    document.versions().map(tidewater_core::view::ViewVersion::id).collect()
}

fn log(document: &ViewMetadata) -> Vec<(i64, i32)> {
    document.version_log().iter().map(|entry| (entry.timestamp_ms, entry.version_id)).collect()
}

#[test]
fn new_view_has_schema_0_and_version_1_whatever_the_requested_ids() {
    let mut asked = version(7, &[("spark", "select 1"), ("trino", "select 1")]);
    asked["version-id"] = json!(9);
    asked["default-catalog"] = json!("lake");
    asked["x-unknown"] = json!({"kept": 1.10});
    let made = try_create(&request(&asked, &json!({"comment": "c"}))).unwrap();
    let mut kept = asked;
    kept["version-id"] = json!(1);
    kept["schema-id"] = json!(0);
    let mut columns = schema(&[column(3, "id", "int")]);
    columns["schema-id"] = json!(0);
    assert_eq!(
        value(&made),
        json!({"view-uuid": UUID.to_string(), "format-version": 1, "location": "s3://b/v",
            "properties": {"comment": "c"}, "schemas": [columns], "current-version-id": 1, "versions": [kept],
            "version-log": [{"timestamp-ms": THEN_MS, "version-id": 1}]})
    );
}

#[test]
fn view_without_a_query_or_with_two_in_one_dialect_is_refused() {
    let refusal = |asked: &Value| match try_create(&request(asked, &json!({}))) {
        Err(CommitError::IllegalArgument(message)) => message,
        other => panic!("{other:?}"),
    };
    assert!(refusal(&version(0, &[])).contains("no representations"));
    let twice = refusal(&version(0, &[("Trino", "a"), ("trino", "b")]));
    assert_eq!(twice, "Invalid view version: Cannot add multiple queries for dialect trino");
    let none_kept = try_create(&request(&spark("a"), &json!({"version.history.num-entries": "0"})));
    assert!(matches!(none_kept, Err(CommitError::IllegalArgument(_))), "{none_kept:?}");
}

#[test]
fn representation_of_an_unknown_type_is_kept_but_not_added() {
    let mut asked = spark("select 1");
    let other = json!({"type": "plan", "tree": {"b": 1, "a": [null]}});
    asked["representations"].as_array_mut().unwrap().push(other.clone());
    let refused = try_create(&request(&asked, &json!({}))).unwrap_err().to_string();
    assert!(refused.contains("unknown type of representation"), "{refused}");

    let mut old = value(&try_create(&request(&spark("select 1"), &json!({}))).unwrap());
    old["versions"][0]["representations"].as_array_mut().unwrap().push(other.clone());
    let old = ViewMetadata::parse(old.to_string().as_bytes()).unwrap();
    let queries: Vec<_> = old.current_version().unwrap().queries().collect();
    assert_eq!(queries, [("spark", "select 1")]);
    assert_eq!(value(&old)["versions"][0]["representations"][1], other);
    assert!(old.problems()[0].contains("unknown type of representation"), "{:?}", old.problems());
}

#[test]
fn version_without_a_required_field_is_refused() {
    for missing in ["version-id", "timestamp-ms", "schema-id", "summary", "representations", "default-namespace"] {
        let mut asked = spark("select 1");
        asked.as_object_mut().unwrap().remove(missing);
        for refused in
            [try_create(&request(&asked, &json!({}))).err(), try_commit(&view(), &json!([add(&asked)])).err()]
        {
            assert!(
                matches!(&refused, Some(CommitError::BadRequest(message)) if message.contains(missing)),
                "{missing}: {refused:?}"
            );
        }
    }
    for wrong in
        [json!({"type": "sql", "sql": "a"}), json!({"type": "sql", "dialect": "a"}), json!({"sql": "a"}), json!(1)]
    {
        let mut asked = spark("select 1");
        asked["representations"] = json!([wrong]);
        let refused = try_create(&request(&asked, &json!({})));
        assert!(matches!(refused, Err(CommitError::BadRequest(_))), "{wrong}: {refused:?}");
    }
}

#[test]
fn replacement_becomes_the_next_version_and_is_logged() {
    let mut second = version(-1, &[("spark", "select count(*)")]);
    second["timestamp-ms"] = json!(THEN_MS + 5);
    let other = schema(&[column(1, "n", "long")]);
    let replaced = commit(
        &view(),
        &json!([{"action": "add-schema", "schema": other, "last-column-id": 1}, add(&second), set_current(-1)]),
    );
    assert_eq!((versions(&replaced), replaced.current_version_id()), (vec![1, 2], 2));
    assert_eq!(replaced.schemas().map(tidewater_core::document::Schema::id).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(replaced.current_version().unwrap().schema_id(), 1);
    assert_eq!(log(&replaced), [(THEN_MS, 1), (THEN_MS + 5, 2)]);
    let back = commit(&replaced, &json!([set_current(1)]));
    assert_eq!(log(&back), [(THEN_MS, 1), (THEN_MS + 5, 2), (NOW_MS, 1)]);
}

/// The case of the compatibility kit: both replacements are based on the first version, so both have the id 2.
#[test]
fn second_of_two_replacements_with_id_2_becomes_3() {
    let base = try_create(&request(&version(5, &[("trino", "a")]), &json!({"replace.drop-dialect.allowed": "true"})));
    let mut first = version(-1, &[("spark", "b")]);
    let mut second = version(0, &[("trino", "c")]);
    first["version-id"] = json!(2);
    second["version-id"] = json!(2);
    let other = schema(&[column(1, "some_id", "int")]);
    let once =
        commit(&base.unwrap(), &json!([{"action": "add-schema", "schema": other}, add(&first), set_current(-1)]));
    let twice = replace(&once, &second);
    assert_eq!((versions(&twice), twice.current_version_id()), (vec![1, 2, 3], 3));
    assert_eq!(twice.versions().map(tidewater_core::view::ViewVersion::schema_id).collect::<Vec<_>>(), [0, 1, 0]);
}

#[test]
fn equal_version_or_schema_is_reused() {
    let base = view();
    let mut same = version(-1, &[("spark", "select 1")]);
    same["version-id"] = json!(8);
    same["timestamp-ms"] = json!(THEN_MS + 1);
    let mut columns = schema(&[column(3, "id", "int")]);
    columns["schema-id"] = json!(4);
    let again = json!([{"action": "add-schema", "schema": columns}, add(&same), set_current(-1)]);
    assert!(try_commit(&base, &again).unwrap().is_none());
    let two = replace(&base, &spark("select 2"));
    let back = commit(&two, &again);
    assert_eq!((versions(&back), back.current_version_id()), (vec![1, 2], 1));
    let mut told_apart = spark("select 1");
    told_apart["summary"]["engine-version"] = json!("2");
    assert_eq!(versions(&commit(&base, &json!([add(&told_apart)]))), [1, 2]);
}

#[test]
fn unknown_id_is_refused() {
    let base = view();
    assert_eq!(refused(&base, &json!([set_current(5)])), "Cannot set current version to unknown version: 5");
    assert!(refused(&base, &json!([set_current(-1)])).contains("no view version has been added"));
    assert!(refused(&base, &json!([add(&version(-1, &[("spark", "x")]))])).contains("no schema has been added"));
    let unknown = refused(&base, &json!([add(&version(3, &[("spark", "x")]))]));
    assert_eq!(unknown, "Cannot add version with unknown schema: 3");
    let mut last = spark("x");
    last["version-id"] = json!(i32::MAX);
    let full = commit(&base, &json!([add(&last)]));
    assert!(refused(&full, &json!([add(&spark("y"))])).contains("no id is left"));
}

#[test]
fn replacement_that_drops_a_dialect_is_refused_unless_allowed() {
    let both = try_create(&request(&version(0, &[("Spark", "a"), ("trino", "a")]), &json!({}))).unwrap();
    let one = spark("b");
    assert!(refused(&both, &json!([add(&one), set_current(-1)])).contains("no query for trino"));
    assert!(try_commit(&both, &json!([add(&one)])).unwrap().is_some(), "the version is not current");
    let allowed = commit(&both, &json!([set("replace.drop-dialect.allowed", "TRUE"), add(&one), set_current(-1)]));
    assert_eq!(allowed.current_version_id(), 2);
    assert_eq!(replace(&both, &version(0, &[("TRINO", "b"), ("spark", "b")])).current_version_id(), 2);
}

#[test]
fn newest_versions_are_kept_and_the_log_has_no_gaps() {
    let mut grown = view();
    for n in 2..=12 {
        grown = replace(&grown, &spark(&format!("select {n}")));
    }
    assert_eq!(versions(&grown), (3..=12).collect::<Vec<_>>());
    assert_eq!(log(&grown).iter().map(|(_, id)| *id).collect::<Vec<_>>(), (3..=12).collect::<Vec<_>>());

    let old = commit(&grown, &json!([set_current(3)]));
    let fewer = commit(&old, &json!([set("version.history.num-entries", "2")]));
    assert_eq!(versions(&fewer), [3, 12], "the current version stays, in its position");
    assert_eq!(log(&fewer), [(THEN_MS, 12), (NOW_MS, 3)], "no entry up to a removed version");

    let many = commit(&fewer, &json!([add(&spark("x")), add(&spark("y")), add(&spark("z"))]));
    assert_eq!(versions(&many), [3, 13, 14, 15], "the versions of the commit stay");
    for wrong in ["0", "-1", "many", "99999999999"] {
        let message = refused(&grown, &json!([set("version.history.num-entries", wrong)]));
        assert!(message.contains("version.history.num-entries must be a positive number"), "{message}");
    }
}

#[test]
fn properties_and_location_change_without_a_new_version() {
    let base = view();
    let changed = commit(
        &base,
        &json!([set("a", "1"), {"action": "set-properties", "updated": {"b": "2", "c": "3"}},
            {"action": "remove-properties", "removals": ["c", "none"]}, {"action": "set-location", "location": "s3://b/w"}]),
    );
    assert_eq!(value(&changed)["properties"], json!({"a": "1", "b": "2"}));
    assert_eq!((changed.location(), log(&changed), versions(&changed)), ("s3://b/w", log(&base), versions(&base)));
    for nothing in [
        json!([]),
        json!([{"action": "set-location", "location": "s3://b/v"}]),
        json!([{"action": "set-properties", "updates": {}}, {"action": "remove-properties", "removals": []}]),
        json!([set_current(1)]),
        json!([{"action": "assign-uuid", "uuid": UUID.to_string().to_uppercase()}]),
        json!([{"action": "upgrade-format-version", "format-version": 1}]),
    ] {
        assert!(try_commit(&base, &nothing).unwrap().is_none(), "{nothing}");
    }
    assert!(refused(&base, &json!([{"action": "set-location", "location": ""}])).contains("must not be empty"));
}

#[test]
fn uuid_and_format_of_a_view_cannot_change() {
    let base = view();
    let other = json!([{"action": "assign-uuid", "uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1"}]);
    assert!(refused(&base, &other).starts_with("Cannot reassign view UUID"));
    let upgrade =
        |version: i32| refused(&base, &json!([{"action": "upgrade-format-version", "format-version": version}]));
    assert_eq!(upgrade(0), "Cannot downgrade v1 view to v0");
    assert_eq!(upgrade(2), "Unsupported format version: v2 (supported: v1)");
}

#[test]
fn requirement_holds_only_for_the_named_view() {
    let check = |requirement: Value| {
        let body = json!({"requirements": [requirement], "updates": []}).to_string();
        ViewCommit::parse(body.as_bytes()).and_then(|commit| check_view_requirements(&commit.requirements, &view()))
    };
    assert_eq!(check(json!({"type": "assert-view-uuid", "uuid": UUID.to_string().to_uppercase()})), Ok(()));
    let other = check(json!({"type": "assert-view-uuid", "uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1"}));
    assert!(
        matches!(&other, Err(CommitError::Conflict(message)) if message.starts_with("Requirement failed: view UUID does not match")),
        "{other:?}"
    );
    let of_a_table = check(json!({"type": "assert-table-uuid", "uuid": UUID.to_string()}));
    assert!(matches!(of_a_table, Err(CommitError::BadRequest(_))), "{of_a_table:?}");
}

#[test]
fn malformed_view_request_is_refused() {
    for body in [
        "",
        "[]",
        "{\"updates\":[{\"action\":\"add-spec\"}]}",
        "{\"updates\":[{}]}",
        "{\"updates\":7}",
        "{\"updates\":[{\"action\":\"set-current-view-version\"}]}",
        "{\"updates\":[{\"action\":\"assign-uuid\",\"uuid\":\"x\"}]}",
    ] {
        let refused = ViewCommit::parse(body.as_bytes());
        assert!(matches!(refused, Err(CommitError::BadRequest(_))), "{body}: {refused:?}");
    }
    assert!(CreateView::parse(b"{\"name\":\"v\"}").is_err());
    assert!(RegisterView::parse(b"{\"name\":\"v\"}").is_err());
    let register = RegisterView::parse(b"{\"name\":\"v\",\"metadata-location\":\"s3://b/v.json\"}").unwrap();
    assert_eq!((register.name.as_str(), register.metadata_location.as_str()), ("v", "s3://b/v.json"));
}

#[test]
fn inconsistent_document_is_refused() {
    let sound = value(&replace(&view(), &spark("select 2")));
    assert!(ViewMetadata::parse(sound.to_string().as_bytes()).is_ok());
    for (place, value, says) in [
        ("/format-version", json!(2), "unsupported version 2"),
        ("/view-uuid", Value::Null, "view-uuid"),
        ("/location", Value::Null, "location"),
        ("/version-log", Value::Null, "version-log"),
        ("/schemas", json!({}), "schemas"),
        ("/current-version-id", json!(9), "current version 9"),
        ("/versions/0/version-id", json!(2), "Multiple view versions have id 2"),
        ("/versions/1/schema-id", json!(6), "Cannot find schema 6"),
        ("/version-log/0", json!([1, 2]), "version log entry"),
    ] {
        let mut document = sound.clone();
        *document.pointer_mut(place).unwrap() = value;
        let message = ViewMetadata::parse(document.to_string().as_bytes()).unwrap_err().to_string();
        assert!(message.contains(says), "{place}: {message}");
    }
    assert!(ViewMetadata::parse(b"\xff").is_err());
}
