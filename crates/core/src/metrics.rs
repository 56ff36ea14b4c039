//! Reports of what a scan or a commit cost a client (REST specification, `ReportMetricsRequest`).
//!
//! What the specification requires must be there and be of its type. All else is kept as it came: fields that are not
//! known, and metrics of any name.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// What a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReportKind {
    /// A scan of a table.
    Scan,
    /// A commit to a table.
    Commit,
}

impl ReportKind {
    /// The kind, as `report-type` writes it.
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

/// Why something is not a report.
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
#[expect(dead_code, reason = "that they can be read is all that is asked of them")]
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
#[expect(dead_code, reason = "that they can be read is all that is asked of them")]
struct Commit {
    table_name: String,
    snapshot_id: i64,
    sequence_number: i64,
    operation: String,
    metrics: Map<String, Value>,
    metadata: Option<Map<String, Value>>,
}

/// Checks a report. Gives what it is about.
///
/// # Errors
/// When it is not a JSON object, is of no known kind, lacks something that its kind requires, or has it in another type;
/// or when a metric is neither a counter nor a timer.
pub fn check_report(json: &[u8]) -> Result<ReportKind, ReportError> {
    let malformed = |error: serde_json::Error| ReportError(format!("Invalid metrics report: {error}"));
    // A derived reader also takes an array, field by field.
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

/// A counter has a `unit` and a `value`; a timer has a `time-unit`, a `count` and a `total-duration`.
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
    fn reports_are_told_apart_and_may_hold_more_than_is_known() {
        assert_eq!(check(&scan()), Ok(ReportKind::Scan));
        assert_eq!(check(&commit()), Ok(ReportKind::Commit));
    }

    #[test]
    fn every_field_that_a_report_requires_is_missed() {
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
    fn what_is_no_report_is_refused() {
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
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = check_report(text.as_bytes());
        }
    }
}
