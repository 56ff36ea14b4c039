//! Creates a view.

use std::sync::Arc;

use uuid::Uuid;

use super::apply::{Draft, LAST_ADDED};
use super::{ViewMetadata, ViewVersion};
use crate::commit::{CommitError, utf8};
use crate::document::json::Object;
use crate::document::{List, Properties, Schema};

/// The id of a view's first version.
const FIRST_VERSION_ID: i32 = 1;

/// A request to create a view.
#[derive(Debug, Clone)]
pub struct CreateView {
    /// Its name.
    pub name: String,
    /// The columns of its rows. Their ids are kept.
    pub schema: Schema,
    /// Its first version. The ids of the version and its schema are ignored.
    pub version: ViewVersion,
    /// The wanted location.
    pub location: Option<String>,
    /// Its properties.
    pub properties: Properties,
    /// The length of the request body, in bytes.
    pub body_bytes: u64,
}

impl CreateView {
    /// Parses the body of a request (REST specification, `CreateViewRequest`). The specification requires `properties`, but
    /// the reference implementation omits an empty map, so they may be absent.
    ///
    /// # Errors
    /// [`CommitError::BadRequest`] if it is malformed, or has no name, schema or version.
    pub fn parse(body: &[u8]) -> Result<Self, CommitError> {
        let object = Object::parse("create view request", utf8(body)?)?;
        Ok(Self {
            name: object.string("name")?,
            schema: Schema::parse(object.required("schema")?)?,
            version: ViewVersion::parse(object.required("view-version")?)?,
            location: object.optional_string("location")?,
            properties: object.optional_read("properties", "a map of strings")?.unwrap_or_default(),
            body_bytes: body.len() as u64,
        })
    }
}

/// Returns the first document of a view: schema 0, version 1. The version keeps the client's time and summary. (The
/// reference implementation's server writes its own, and so loses the name of the engine.)
///
/// # Errors
/// [`CommitError::IllegalArgument`] if the version, the location or the properties break a rule.
pub fn create_view(request: &CreateView, location: &str, uuid: Uuid) -> Result<ViewMetadata, CommitError> {
    if location.is_empty() {
        return Err(CommitError::IllegalArgument("View location must not be empty".to_owned()));
    }
    let empty = ViewMetadata {
        uuid: uuid.to_string().into(),
        location: location.into(),
        schemas: Vec::new(),
        current_version_id: 0,
        versions: Vec::new(),
        version_log: List::default(),
        properties: Arc::new(request.properties.clone()),
        has_properties: false,
        others: Arc::default(),
        size_bytes: 0,
    };
    // Only a return to an earlier version uses the draft's time, and a new view has none.
    let mut draft = Draft::new(empty, request.version.timestamp_ms());
    draft.add_schema(&request.schema)?;
    draft.add_version(&request.version.with_ids(FIRST_VERSION_ID, LAST_ADDED)?)?;
    draft.set_current_version(LAST_ADDED)?;
    draft.finish(None)
}
