//! The two logs of a document: its current snapshots, and its earlier documents.

use std::borrow::Cow;

use serde::Deserialize;

use super::DocumentError;
use super::json::{quote, view};

/// An entry of the snapshot log: when a snapshot became current.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SnapshotLogEntry {
    /// The time, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// The id of the snapshot.
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

/// An entry of the metadata log: an earlier document of the table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MetadataLogEntry {
    /// The time when it was written, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Its location.
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
