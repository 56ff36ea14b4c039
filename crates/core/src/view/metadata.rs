//! A view's metadata document: reads, checks and writes it.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use serde::Deserialize;
use uuid::Uuid;

use super::{VIEW_FORMAT_VERSION, ViewVersion};
use crate::document::json::{Object, array, excerpt, view};
use crate::document::{DocumentError, List, MAX_FORMAT_VERSION, Properties, Schema, Writer, corrections};

const KNOWN: [&str; 8] = [
    "view-uuid",
    "format-version",
    "location",
    "properties",
    "schemas",
    "current-version-id",
    "versions",
    "version-log",
];

/// A view metadata document. Clones share their large parts.
#[derive(Debug, Clone)]
pub struct ViewMetadata {
    pub(super) uuid: Arc<str>,
    pub(super) location: Arc<str>,
    pub(super) schemas: Vec<Arc<Schema>>,
    pub(super) current_version_id: i32,
    pub(super) versions: Vec<Arc<ViewVersion>>,
    pub(super) version_log: List<VersionLogEntry>,
    pub(super) properties: Arc<Properties>,
    /// Whether the JSON has `properties` although there are none.
    pub(super) has_properties: bool,
    /// Unknown fields, unchanged.
    pub(super) others: Arc<Vec<(String, Box<str>)>>,
    /// The result of [`ViewMetadata::size_bytes`], measured once when the document is made.
    pub(super) size_bytes: usize,
}

/// An entry of the version log: when a version became current.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct VersionLogEntry {
    /// The time, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// The id of the version.
    pub version_id: i32,
}

impl VersionLogEntry {
    fn parse(text: &str) -> Result<(Self, Cow<'_, str>), DocumentError> {
        Ok((view("version log entry", text)?, Cow::Borrowed(text)))
    }

    pub(super) fn json(self) -> String {
        format!(r#"{{"timestamp-ms":{},"version-id":{}}}"#, self.timestamp_ms, self.version_id)
    }
}

impl ViewMetadata {
    /// Parses a document of format v1.
    ///
    /// # Errors
    /// Fails if it is not JSON in UTF-8, is of another version, lacks a required field, or contradicts itself: two schemas or
    /// versions share an id, or the current version or its schema is missing.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| DocumentError::Syntax(format!("view metadata is not UTF-8: {error}")))?;
        let object = Object::parse("view metadata", text)?;
        let format_version = object.i32("format-version")?;
        if format_version != VIEW_FORMAT_VERSION {
            return Err(DocumentError::invalid(format!(
                "Cannot read unsupported version {format_version} of view metadata (supported: {VIEW_FORMAT_VERSION})"
            )));
        }
        let properties: Option<Properties> = object.optional_read("properties", "a map of strings")?;
        let document = Self {
            uuid: object.string("view-uuid")?.into(),
            location: object.string("location")?.into(),
            schemas: read_all(&object, "schemas", Schema::parse)?,
            current_version_id: object.i32("current-version-id")?,
            versions: read_all(&object, "versions", ViewVersion::parse)?,
            version_log: List::parse(&array(object.required("version-log")?)?, VersionLogEntry::parse)?,
            has_properties: properties.is_some(),
            properties: Arc::new(properties.unwrap_or_default()),
            others: Arc::new(
                object
                    .iter()
                    .filter(|(key, _)| !KNOWN.contains(key))
                    .map(|(key, value)| (key.to_owned(), value.into()))
                    .collect(),
            ),
            size_bytes: 0,
        };
        document.check()?;
        Ok(document.measured())
    }

    fn check(&self) -> Result<(), DocumentError> {
        check_ids("schema", self.schemas().map(Schema::id))?;
        check_ids("view version", self.versions().map(ViewVersion::id))?;
        let id = self.current_version_id;
        let current = self
            .current_version()
            .ok_or_else(|| DocumentError::invalid(format!("Cannot find current version {id} in view versions")))?;
        if self.schema(current.schema_id()).is_none() {
            return Err(DocumentError::invalid(format!(
                "Cannot find schema {} of the current view version",
                current.schema_id()
            )));
        }
        Ok(())
    }

    /// Returns why readers refuse the document in `text`, or may refuse it: a sentence for each broken rule of the
    /// specifications. Empty for every document that this catalog wrote.
    #[must_use]
    pub fn problems_of_text(&self, text: &[u8]) -> Vec<String> {
        let mut problems = self.problems();
        problems.extend(corrections(text, &self.to_json()));
        problems
    }

    /// Returns the problems of the document's values, whatever its spelling.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if Uuid::parse_str(&self.uuid).is_err() {
            problems.push(format!("view-uuid is not a UUID: {}", excerpt(&self.uuid)));
        }
        if self.location.is_empty() {
            problems.push("location is empty".to_owned());
        }
        if self.version_log.is_empty() {
            problems.push("version-log is empty".to_owned());
        }
        for schema in self.schemas() {
            if let Err(error) = check_view_schema(schema) {
                problems.push(format!("Schema {}: {error}", schema.id()));
            }
        }
        for version in self.versions() {
            if let Err(error) = version.check_representations() {
                problems.push(format!("Version {}: {error}", version.id()));
            }
        }
        problems
    }

    /// Returns the problems that are known without further parsing. For a view these are all problems of its values.
    #[must_use]
    pub fn known_problems(&self) -> Vec<String> {
        self.problems()
    }

    /// Returns the view's UUID.
    #[must_use]
    pub fn uuid(&self) -> &str {
        &self.uuid
    }

    /// Returns the location of its files.
    #[must_use]
    pub fn location(&self) -> &str {
        &self.location
    }

    /// Returns its properties.
    #[must_use]
    pub fn properties(&self) -> &Properties {
        &self.properties
    }

    /// Returns all schemas of the document.
    pub fn schemas(&self) -> impl Iterator<Item = &Schema> {
        self.schemas.iter().map(AsRef::as_ref)
    }

    /// Returns the schema with this id.
    #[must_use]
    pub fn schema(&self, id: i32) -> Option<&Schema> {
        self.schemas().find(|schema| schema.id() == id)
    }

    /// Returns the kept versions, in the order in which they were added.
    pub fn versions(&self) -> impl Iterator<Item = &ViewVersion> {
        self.versions.iter().map(AsRef::as_ref)
    }

    /// Returns the id of the current version.
    #[must_use]
    pub fn current_version_id(&self) -> i32 {
        self.current_version_id
    }

    /// Returns the current version. Every parsed or created document has one.
    #[must_use]
    pub fn current_version(&self) -> Option<&ViewVersion> {
        self.versions().find(|version| version.id() == self.current_version_id)
    }

    /// Returns the log of current versions, oldest first.
    #[must_use]
    pub fn version_log(&self) -> &List<VersionLogEntry> {
        &self.version_log
    }

    /// Returns an estimate of the document's heap memory, in bytes.
    #[must_use]
    pub const fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// Returns the document with its measured size.
    pub(super) fn measured(mut self) -> Self {
        self.size_bytes = self.measure();
        self
    }

    fn measure(&self) -> usize {
        let properties: usize = self.properties.iter().map(|(key, value)| key.len() + value.len() + 64).sum();
        let others: usize = self.others.iter().map(|(key, value)| key.len() + value.len() + 48).sum();
        size_of::<Self>()
            + self.uuid.len()
            + self.location.len()
            + self.schemas().map(Schema::size_bytes).sum::<usize>()
            + self.versions().map(ViewVersion::size_bytes).sum::<usize>()
            + self.version_log.size_bytes()
            + properties
            + others
    }

    /// Returns the document as JSON. Unchanged parts keep their text, except for whitespace and the order of the document's
    /// fields.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Writer::object(self.json_len_estimate());
        out.text("view-uuid", &self.uuid);
        out.number("format-version", i64::from(VIEW_FORMAT_VERSION));
        out.text("location", &self.location);
        if self.has_properties || !self.properties.is_empty() {
            out.strings("properties", &self.properties);
        }
        out.array("schemas", self.schemas().map(Schema::json));
        out.number("current-version-id", i64::from(self.current_version_id));
        out.array("versions", self.versions().map(ViewVersion::json));
        out.list("version-log", true, &self.version_log);
        for (key, value) in self.others.iter() {
            out.raw(key, value);
        }
        out.finish()
    }

    fn json_len_estimate(&self) -> usize {
        512 + self.location.len()
            + self.schemas().map(|schema| schema.json().len() + 1).sum::<usize>()
            + self.versions().map(|version| version.json().len() + 1).sum::<usize>()
            + self.version_log.json_len()
            + self.properties.iter().map(|(key, value)| key.len() + value.len() + 16).sum::<usize>()
            + self.others.iter().map(|(key, value)| key.len() + value.len() + 8).sum::<usize>()
    }
}

/// Checks a schema for a view. Views have no format version that limits types, so the newest one of tables applies.
///
/// # Errors
/// Same as [`Schema::check_format_version`].
pub(super) fn check_view_schema(schema: &Schema) -> Result<(), DocumentError> {
    schema.check_format_version(MAX_FORMAT_VERSION)
}

fn read_all<T>(
    object: &Object<'_>,
    key: &str,
    read: fn(&str) -> Result<T, DocumentError>,
) -> Result<Vec<Arc<T>>, DocumentError> {
    object.array(key)?.into_iter().map(|text| read(text).map(Arc::new)).collect()
}

fn check_ids(what: &str, ids: impl Iterator<Item = i32>) -> Result<(), DocumentError> {
    let mut seen = HashSet::new();
    for id in ids {
        if !seen.insert(id) {
            return Err(DocumentError::invalid(format!("Multiple {what}s have id {id}")));
        }
    }
    Ok(())
}
