//! Branches and tags.

use std::sync::Arc;

use super::DocumentError;
use super::json::{Edits, Object, excerpt, quote};

/// The branch whose snapshot is the table's current one.
pub const MAIN_BRANCH: &str = "main";

/// A branch or tag: a name for a snapshot, with its retention.
#[derive(Debug, Clone)]
pub struct SnapshotRef {
    /// The snapshot.
    pub snapshot_id: i64,
    /// Branch or tag.
    pub kind: RefKind,
    /// The minimum number of snapshots that expiry keeps on the branch.
    pub min_snapshots_to_keep: Option<i32>,
    /// The maximum age of snapshots that expiry keeps on the branch, in milliseconds.
    pub max_snapshot_age_ms: Option<i64>,
    /// The maximum age of the ref itself, in milliseconds.
    pub max_ref_age_ms: Option<i64>,
    others: Vec<(String, String)>,
    json: Arc<str>,
}

/// The kind of a ref.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefKind {
    /// Commits move it.
    Branch,
    /// It does not move.
    Tag,
}

impl PartialEq for SnapshotRef {
    /// Compares the values, not the spelling of the JSON.
    fn eq(&self, other: &Self) -> bool {
        self.snapshot_id == other.snapshot_id
            && self.kind == other.kind
            && self.min_snapshots_to_keep == other.min_snapshots_to_keep
            && self.max_snapshot_age_ms == other.max_snapshot_age_ms
            && self.max_ref_age_ms == other.max_ref_age_ms
            && self.others == other.others
    }
}

impl SnapshotRef {
    /// Parses a ref. Keeps its JSON in the specification's spelling.
    ///
    /// # Errors
    /// Fails if it lacks its snapshot or type, or has a retention that is not positive or that a tag cannot have.
    pub fn parse(text: &str) -> Result<Self, DocumentError> {
        Self::read(&Object::parse("snapshot reference", text)?, text)
    }

    /// Reads the ref of an update, whose object also contains its name.
    pub(crate) fn from_update(update: &Object<'_>) -> Result<Self, DocumentError> {
        let text = update.rewrite(&[("action", None), ("ref-name", None)]);
        Self::parse(&text)
    }

    /// Returns a branch at this snapshot, without retention.
    pub(crate) fn branch(snapshot_id: i64) -> Result<Self, DocumentError> {
        Self::parse(&format!(r#"{{"snapshot-id":{snapshot_id},"type":{}}}"#, quote("branch")))
    }

    fn read(object: &Object<'_>, text: &str) -> Result<Self, DocumentError> {
        let written = object.string("type")?;
        let kind = match written.trim().to_ascii_lowercase().as_str() {
            "branch" => RefKind::Branch,
            "tag" => RefKind::Tag,
            _ => return Err(DocumentError::invalid(format!("Invalid snapshot ref type: {}", excerpt(&written)))),
        };
        let mut edits = Edits::default();
        edits.drop_nulls(object, &["min-snapshots-to-keep", "max-snapshot-age-ms", "max-ref-age-ms"]);
        edits.correct_string("type", &written, &kind.to_string());
        let min_snapshots_to_keep = object.optional_i32("min-snapshots-to-keep")?;
        let max_snapshot_age_ms = object.optional_i64("max-snapshot-age-ms")?;
        let max_ref_age_ms = object.optional_i64("max-ref-age-ms")?;
        if kind == RefKind::Tag && min_snapshots_to_keep.is_some() {
            return Err(DocumentError::invalid("Tags do not support setting minSnapshotsToKeep"));
        }
        if kind == RefKind::Tag && max_snapshot_age_ms.is_some() {
            return Err(DocumentError::invalid("Tags do not support setting maxSnapshotAgeMs"));
        }
        if min_snapshots_to_keep.is_some_and(|count| count <= 0) {
            return Err(DocumentError::invalid("Min snapshots to keep must be greater than 0"));
        }
        if max_snapshot_age_ms.is_some_and(|age| age <= 0) {
            return Err(DocumentError::invalid("Max snapshot age must be greater than 0 ms"));
        }
        if max_ref_age_ms.is_some_and(|age| age <= 0) {
            return Err(DocumentError::invalid("Max reference age must be greater than 0"));
        }
        Ok(Self {
            snapshot_id: object.i64("snapshot-id")?,
            kind,
            min_snapshots_to_keep,
            max_snapshot_age_ms,
            max_ref_age_ms,
            others: object.others(&[
                "type",
                "snapshot-id",
                "min-snapshots-to-keep",
                "max-snapshot-age-ms",
                "max-ref-age-ms",
            ]),
            json: edits.apply(object, text).into(),
        })
    }

    /// Returns its JSON.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.json.len() + size_of::<Self>()
    }
}

impl std::fmt::Display for RefKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Branch => "branch",
            Self::Tag => "tag",
        })
    }
}
