//! The bodies of scan planning requests (REST specification, `PlanTableScanRequest`, `FetchScanTasksRequest`).

use crate::document::DocumentError;
use crate::document::json::{Object, excerpt};

/// The most names in `select` or `stats-fields`.
const MAX_NAMES: usize = 10_000;

/// The longest name of a column, in bytes.
const MAX_NAME_BYTES: usize = 4096;

/// The longest filter, in bytes.
const MAX_FILTER_BYTES: usize = 1 << 20;

/// The longest plan task, in bytes.
const MAX_TASK_BYTES: usize = 2 << 20;

/// Why a request is refused. The message is for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The body is not a JSON object, or a field has the wrong type.
    #[error(transparent)]
    Malformed(#[from] DocumentError),
    /// A field has an invalid value, or fields contradict each other.
    #[error("Invalid scan: {0}")]
    Invalid(String),
}

/// Which snapshots a scan reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotRange {
    /// The current snapshot of the main branch.
    Current,
    /// The rows of this snapshot.
    At(i64),
    /// The rows that were appended after one snapshot, up to another.
    Appended {
        /// The id of the snapshot before the first.
        after: i64,
        /// The id of the last snapshot.
        until: i64,
    },
}

/// A request to plan a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanRequest {
    /// The snapshots.
    pub snapshots: SnapshotRange,
    /// The names of the columns to read. None is all.
    pub select: Option<Vec<String>>,
    /// The JSON of the filter. None matches all rows.
    pub filter: Option<Box<str>>,
    /// Whether names of columns are compared with case.
    pub case_sensitive: bool,
    /// Whether names are those of the snapshot's schema, rather than of the current one.
    pub use_snapshot_schema: bool,
    /// The names of the columns whose statistics are wanted.
    pub stats_fields: Vec<String>,
    /// A number of rows that is enough.
    pub min_rows_requested: Option<i64>,
}

/// A request for the files of a plan task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TasksRequest {
    /// The token of the task.
    pub plan_task: String,
}

impl PlanRequest {
    /// Parses a body. An empty one asks for all of the current snapshot. Unknown fields are ignored; null is as absent, except
    /// for the filter.
    ///
    /// # Errors
    /// Fails if it is not an object, a field has the wrong type or is too long, or the fields do not name one scan.
    pub fn parse(body: &[u8]) -> Result<Self, RequestError> {
        let text = text(body)?;
        let object = Object::parse("scan", if text.trim().is_empty() { "{}" } else { text })?;
        let filter = match object.raw("filter") {
            Some("null") => return invalid("'filter' must not be null. Leave it out to read all rows."),
            Some(filter) if filter.len() > MAX_FILTER_BYTES => {
                return invalid(format!("'filter' has {} bytes, more than {MAX_FILTER_BYTES}", filter.len()));
            }
            filter => filter.map(Into::into),
        };
        let min_rows_requested = object.optional_i64("min-rows-requested")?;
        if let Some(rows) = min_rows_requested.filter(|rows| *rows < 0) {
            return invalid(format!("'min-rows-requested' must not be negative: {rows}"));
        }
        Ok(Self {
            snapshots: snapshots(&object)?,
            select: names(&object, "select")?,
            filter,
            case_sensitive: object.optional_bool("case-sensitive")?.unwrap_or(true),
            use_snapshot_schema: object.optional_bool("use-snapshot-schema")?.unwrap_or(false),
            stats_fields: names(&object, "stats-fields")?.unwrap_or_default(),
            min_rows_requested,
        })
    }
}

impl TasksRequest {
    /// Parses a body. Unknown fields are ignored.
    ///
    /// # Errors
    /// Fails if it has no `plan-task`, or a too long one.
    pub fn parse(body: &[u8]) -> Result<Self, RequestError> {
        let plan_task = Object::parse("scan task request", text(body)?)?.string("plan-task")?;
        if plan_task.len() > MAX_TASK_BYTES {
            return invalid(format!("'plan-task' has {} bytes, more than {MAX_TASK_BYTES}", plan_task.len()));
        }
        Ok(Self { plan_task })
    }
}

fn snapshots(object: &Object<'_>) -> Result<SnapshotRange, RequestError> {
    let at = object.optional_i64("snapshot-id")?;
    let (after, until) = (object.optional_i64("start-snapshot-id")?, object.optional_i64("end-snapshot-id")?);
    match (at, after, until) {
        (None, None, None) => Ok(SnapshotRange::Current),
        (Some(id), None, None) => Ok(SnapshotRange::At(id)),
        (None, Some(after), Some(until)) => Ok(SnapshotRange::Appended { after, until }),
        (Some(_), ..) => invalid("cannot have both 'snapshot-id' and 'start-snapshot-id' or 'end-snapshot-id'"),
        (None, ..) => invalid("an incremental scan needs both 'start-snapshot-id' and 'end-snapshot-id'"),
    }
}

fn names(object: &Object<'_>, key: &str) -> Result<Option<Vec<String>>, RequestError> {
    let Some(names) = object.optional_read::<Vec<String>>(key, "an array of strings")? else { return Ok(None) };
    if names.len() > MAX_NAMES {
        return invalid(format!("'{key}' has {} names, more than {MAX_NAMES}", names.len()));
    }
    if let Some(name) = names.iter().find(|name| name.len() > MAX_NAME_BYTES) {
        return invalid(format!("'{key}' has a name longer than {MAX_NAME_BYTES} bytes: {}", excerpt(name)));
    }
    Ok(Some(names))
}

fn text(body: &[u8]) -> Result<&str, RequestError> {
    std::str::from_utf8(body).or_else(|_| invalid("the request is not UTF-8"))
}

fn invalid<T>(why: impl Into<String>) -> Result<T, RequestError> {
    Err(RequestError::Invalid(why.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<PlanRequest, String> {
        PlanRequest::parse(body.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn empty_request_reads_all_rows_of_the_current_snapshot() {
        let all = PlanRequest {
            snapshots: SnapshotRange::Current,
            select: None,
            filter: None,
            case_sensitive: true,
            use_snapshot_schema: false,
            stats_fields: Vec::new(),
            min_rows_requested: None,
        };
        let nulls = r#"{"snapshot-id":null,"select":null,"case-sensitive":null,"stats-fields":null,"other":1}"#;
        for body in ["", "{}", nulls] {
            assert_eq!(parse(body), Ok(all.clone()), "{body}");
        }
    }

    #[test]
    fn all_fields_are_read() {
        let body = r#"{"snapshot-id":7,"select":["a","b.c"],"filter":{"type":"eq", "term":"a","value":1},
            "case-sensitive":false,"use-snapshot-schema":true,"stats-fields":["a"],"min-rows-requested":10}"#;
        let request = parse(body).unwrap();
        assert_eq!(request.snapshots, SnapshotRange::At(7));
        assert_eq!(request.select, Some(vec!["a".to_owned(), "b.c".to_owned()]));
        assert_eq!(request.filter.as_deref(), Some(r#"{"type":"eq", "term":"a","value":1}"#));
        assert!(!request.case_sensitive && request.use_snapshot_schema);
        assert_eq!(request.stats_fields, ["a"]);
        assert_eq!(request.min_rows_requested, Some(10));
        let range = parse(r#"{"start-snapshot-id":1,"end-snapshot-id":2,"filter":true}"#).unwrap();
        assert_eq!(range.snapshots, SnapshotRange::Appended { after: 1, until: 2 });
        assert_eq!(range.filter.as_deref(), Some("true"));
    }

    #[test]
    fn contradicting_or_malformed_fields_are_refused() {
        for (body, why) in [
            ("[]", "Invalid scan"),
            ("{", "Malformed JSON"),
            (r#"{"filter":null}"#, "must not be null"),
            (r#"{"snapshot-id":1,"end-snapshot-id":2}"#, "cannot have both"),
            (r#"{"snapshot-id":1,"start-snapshot-id":2,"end-snapshot-id":3}"#, "cannot have both"),
            (r#"{"start-snapshot-id":2}"#, "needs both"),
            (r#"{"end-snapshot-id":2}"#, "needs both"),
            (r#"{"snapshot-id":"1"}"#, "must be a 64-bit integer"),
            (r#"{"select":["a",null]}"#, "must be an array of strings"),
            (r#"{"case-sensitive":"yes"}"#, "must be true or false"),
            (r#"{"min-rows-requested":-1}"#, "must not be negative"),
            (r#"{"select":[],"select":[]}"#, "appears twice"),
        ] {
            let message = parse(body).unwrap_err();
            assert!(message.contains(why), "{body}: {message}");
        }
    }

    #[test]
    fn too_many_or_too_long_names_are_refused() {
        let many = format!(r#"{{"select":[{}"a"]}}"#, r#""a","#.repeat(MAX_NAMES));
        assert!(parse(&many).unwrap_err().contains("more than 10000"));
        let long = format!(r#"{{"stats-fields":["{}"]}}"#, "a".repeat(MAX_NAME_BYTES + 1));
        assert!(parse(&long).unwrap_err().contains("longer than 4096 bytes"));
        let filter = format!(r#"{{"filter":"{}"}}"#, "a".repeat(MAX_FILTER_BYTES));
        assert!(parse(&filter).unwrap_err().contains("more than 1048576"));
    }

    #[test]
    fn tasks_request_needs_a_plan_task() {
        assert_eq!(TasksRequest::parse(br#"{"plan-task":"t","x":1}"#).unwrap().plan_task, "t");
        for body in ["{}", r#"{"plan-task":null}"#, r#"{"plan-task":1}"#, ""] {
            assert!(TasksRequest::parse(body.as_bytes()).is_err(), "{body}");
        }
    }
}
