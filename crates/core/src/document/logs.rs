//! The two histories that a document keeps: of its current snapshots, and of the documents before it.

use std::borrow::Cow;

use serde::Deserialize;

use super::DocumentError;
use super::json::{quote, view};

/// When a snapshot became the current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SnapshotLogEntry {
    /// When, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Which.
    pub snapshot_id: i64,
}

impl SnapshotLogEntry {
    pub(super) fn parse(text: &str) -> Result<(Self, Cow<'_, str>), DocumentError> {
        Ok((view("snapshot log entry", text)?, Cow::Borrowed(text)))
    }

    pub(crate) fn json(self) -> String {
        format!(r#"{{"timestamp-ms":{},"snapshot-id":{}}}"#, self.timestamp_ms, self.snapshot_id)
    }
}

/// An earlier document of the table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MetadataLogEntry {
    /// When it was written, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Where it is.
    pub metadata_file: Box<str>,
}

impl MetadataLogEntry {
    pub(super) fn parse(text: &str) -> Result<(Self, Cow<'_, str>), DocumentError> {
        Ok((view("metadata log entry", text)?, Cow::Borrowed(text)))
    }

    pub(crate) fn json(&self) -> String {
        format!(r#"{{"timestamp-ms":{},"metadata-file":{}}}"#, self.timestamp_ms, quote(&self.metadata_file))
    }
}
