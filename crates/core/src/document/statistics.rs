//! Statistics files and encryption keys: what rules need of them.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::DocumentError;
use super::json::view;

/// A statistics file, by its snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statistics {
    /// The snapshot that it describes.
    pub snapshot_id: i64,
}

/// A partition statistics file, by its snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionStatistics {
    /// The snapshot that it describes.
    pub snapshot_id: i64,
}

/// An encryption key (v3), by its id. The key itself is encrypted, and not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncryptionKey {
    /// Its id.
    pub id: Box<str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct StatisticsView {
    snapshot_id: i64,
    #[serde(rename = "statistics-path")]
    _path: String,
    #[serde(rename = "file-size-in-bytes")]
    _size: i64,
    #[serde(rename = "file-footer-size-in-bytes")]
    _footer_size: i64,
    #[serde(rename = "blob-metadata")]
    _blobs: Vec<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct PartitionStatisticsView {
    snapshot_id: i64,
    #[serde(rename = "statistics-path")]
    _path: String,
    #[serde(rename = "file-size-in-bytes")]
    _size: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct EncryptionKeyView {
    key_id: Box<str>,
    #[serde(rename = "encrypted-key-metadata")]
    _metadata: String,
}

impl Statistics {
    pub(crate) fn parse(text: &str) -> Result<Self, DocumentError> {
        let view: StatisticsView = view("statistics file", text)?;
        Ok(Self { snapshot_id: view.snapshot_id })
    }
}

impl PartitionStatistics {
    pub(crate) fn parse(text: &str) -> Result<Self, DocumentError> {
        let view: PartitionStatisticsView = view("partition statistics file", text)?;
        Ok(Self { snapshot_id: view.snapshot_id })
    }
}

impl EncryptionKey {
    pub(crate) fn parse(text: &str) -> Result<Self, DocumentError> {
        let view: EncryptionKeyView = view("encryption key", text)?;
        Ok(Self { id: view.key_id })
    }
}
