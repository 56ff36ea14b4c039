//! Checks the metrics reports of scans and commits (REST specification, `ReportMetricsRequest`).
//!
//! The fields that the specification requires must be present and of the right type. Unknown fields, and metrics of any
//! name, pass.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The subject of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReportKind {
    /// A scan of a table.
    Scan,
    /// A commit to a table.
    Commit,
}

impl ReportKind {
    /// Returns the kind, as `report-type` writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scan => "scan-report",
            Self::Commit => "commit-report",
        }
    }
}

impl fmt::Display for ReportKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ReportKind {
    type Err = ReportError;

    fn from_str(text: &str) -> Result<Self, ReportError> {
        match text {
            "scan-report" => Ok(Self::Scan),
            "commit-report" => Ok(Self::Commit),
            other => Err(ReportError(format!(
                "Unknown report-type '{}': it must be scan-report or commit-report",
                other.chars().take(40).collect::<String>()
            ))),
        }
    }
}

/// Why a report is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ReportError(String);

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "report-type", borrow)]
    kind: Option<std::borrow::Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(dead_code, reason = "the reader checks only that the fields parse")]
struct Scan<'a> {
    table_name: String,
    snapshot_id: i64,
    #[serde(borrow)]
    filter: &'a RawValue,
    schema_id: i32,
    projected_field_ids: Vec<i32>,
    projected_field_names: Vec<String>,
    metrics: Map<String, Value>,
    metadata: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(dead_code, reason = "the reader checks only that the fields parse")]
struct Commit {
    table_name: String,
    snapshot_id: i64,
    sequence_number: i64,
    operation: String,
    metrics: Map<String, Value>,
    metadata: Option<Map<String, Value>>,
}

/// Checks a report and returns its kind.
///
/// # Errors
/// Fails if the report is not a JSON object, is of no known kind, or lacks a required field, has one of another type, or has a
/// metric that is neither a counter nor a timer.
pub fn check_report(json: &[u8]) -> Result<ReportKind, ReportError> {
    let malformed = |error: serde_json::Error| ReportError(format!("Invalid metrics report: {error}"));
    // A derived reader would also accept an array, field by field.
    if json.trim_ascii_start().first() != Some(&b'{') {
        return Err(ReportError("Invalid metrics report: it must be a JSON object".to_owned()));
    }
    let envelope: Envelope<'_> = serde_json::from_slice(json).map_err(malformed)?;
    let kind: ReportKind = match envelope.kind {
        Some(kind) => kind.parse()?,
        None => return Err(ReportError("Invalid metrics report: it has no report-type".to_owned())),
    };
    let metrics = match kind {
        ReportKind::Scan => serde_json::from_slice::<Scan<'_>>(json).map_err(malformed)?.metrics,
        ReportKind::Commit => serde_json::from_slice::<Commit>(json).map_err(malformed)?.metrics,
    };
    for (name, metric) in &metrics {
        check_metric(name, metric)?;
    }
    Ok(kind)
}

/// Checks a metric. A counter has a `unit` and a `value`; a timer has a `time-unit`, a `count` and a `total-duration`.
fn check_metric(name: &str, metric: &Value) -> Result<(), ReportError> {
    let text = |field: &str| metric[field].is_string();
    let number = |field: &str| metric[field].is_i64() || metric[field].is_u64();
    let counter = text("unit") && number("value");
    let timer = text("time-unit") && number("count") && number("total-duration");
    if counter || timer {
        return Ok(());
    }
    Err(ReportError(format!(
        "Invalid metrics report: the metric '{}' must be a counter with unit and value, or a timer with time-unit, count \
         and total-duration",
        name.chars().take(100).collect::<String>()
    )))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn scan() -> Value {
        json!({
            "report-type": "scan-report", "table-name": "ns.t", "snapshot-id": 7, "filter": true, "schema-id": 0,
            "projected-field-ids": [1], "projected-field-names": ["id"],
            "metrics": {
                "total-planning-duration": { "count": 1, "time-unit": "nanoseconds", "total-duration": 2_644_235_116_i64 },
                "result-data-files": { "unit": "count", "value": 1 },
                "a-metric-of-tomorrow": { "unit": "furlongs", "value": 3, "more": [] },
            },
            "metadata": { "engine-name": "spark" }, "of-tomorrow": { "a": [1] },
        })
    }

    fn commit() -> Value {
        json!({
            "report-type": "commit-report", "table-name": "ns.t", "snapshot-id": 7, "sequence-number": 1,
            "operation": "append", "metrics": { "attempts": { "unit": "count", "value": 1 } },
        })
    }

    fn check(report: &Value) -> Result<ReportKind, ReportError> {
        check_report(report.to_string().as_bytes())
    }

    #[test]
    fn report_with_unknown_fields_passes_and_its_kind_is_returned() {
        assert_eq!(check(&scan()), Ok(ReportKind::Scan));
        assert_eq!(check(&commit()), Ok(ReportKind::Commit));
    }

    #[test]
    fn report_without_a_required_field_is_refused_by_name() {
        for report in [scan(), commit()] {
            let optional = ["metadata", "of-tomorrow"];
            for field in report.as_object().unwrap().keys().filter(|field| !optional.contains(&field.as_str())) {
                let mut without = report.clone();
                without.as_object_mut().unwrap().remove(field);
                let error = check(&without).unwrap_err().to_string();
                assert!(error.contains(field.as_str()), "{field}: {error}");
                let mut wrong = report.clone();
                wrong[field] = json!({ "x": 1.5 });
                assert_eq!(check(&wrong).is_err(), field != "filter", "{field}");
            }
        }
    }

    #[test]
    fn malformed_report_is_refused_with_its_reason() {
        for (text, told) in [
            ("[]", "must be a JSON object"),
            ("", "must be a JSON object"),
            ("{", "EOF"),
            ("{}", "no report-type"),
            (r#"{"report-type":"x"}"#, "Unknown report-type 'x'"),
            (r#"{"report-type":7}"#, "invalid type"),
        ] {
            let error = check_report(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(told), "{text}: {error}");
        }
        for metric in [json!(1), json!({}), json!({ "unit": "count" }), json!({ "time-unit": "s", "count": 1 })] {
            let mut report = commit();
            report["metrics"]["odd"] = metric;
            assert!(check(&report).unwrap_err().to_string().contains("'odd'"));
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_does_not_panic(text in any::<String>()) {
            let _ = check_report(text.as_bytes());
        }
    }
}
