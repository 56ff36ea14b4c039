//! Audit records: who changed, read or was refused what.

use askama::Template;
use serde_json::Value;

use crate::format;
use crate::frame::Frame;
use crate::texts as t;

/// A record in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRow {
    /// When.
    pub time: String,
    /// Who.
    pub actor: String,
    /// What kind of record it is.
    pub kind: String,
    /// What was asked for.
    pub operation: String,
    /// Of which object.
    pub object: String,
    /// Whether it was refused.
    pub is_denied: bool,
    /// The reason and the message of a refusal.
    pub message: String,
    /// From which address.
    pub address: String,
}

impl RecordRow {
    /// Parses an entry of the API's list.
    #[must_use]
    pub fn parse(entry: &Value) -> Self {
        let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        Self {
            time: entry["at-ms"].as_i64().map(format::time).unwrap_or_default(),
            actor: text("actor"),
            kind: text("type"),
            operation: text("operation"),
            object: text("object"),
            is_denied: entry["decision"].as_str() == Some("denied"),
            message: format::cut(&text("message"), 300),
            address: text("address"),
        }
    }
}

/// The filters of the list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// The actor's name.
    pub actor: String,
    /// The operation.
    pub operation: String,
    /// The object.
    pub object: String,
    /// `allowed`, `denied` or nothing.
    pub decision: String,
}

/// The page of audit records.
#[derive(Debug, Template)]
#[template(path = "history.html")]
pub struct HistoryPage {
    /// The frame.
    pub frame: Frame,
    /// The filters.
    pub filter: Filter,
    /// A page of the records.
    pub records: Vec<RecordRow>,
    /// Where the next page is.
    pub more: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn record_is_shown_with_its_reason() {
        let row =
            RecordRow::parse(&json!({ "at-ms": 0, "actor": "ci", "decision": "denied", "message": "x".repeat(400) }));
        assert!(row.is_denied && row.message.chars().count() == 301 && row.time.starts_with("1970"));
        assert!(!RecordRow::parse(&json!(null)).is_denied);
    }
}
