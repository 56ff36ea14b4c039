//! Creating a view.

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
    /// The columns of its rows; their ids are kept.
    pub schema: Schema,
    /// What it is; its ids do not count.
    pub version: ViewVersion,
    /// Where it is to be put.
    pub location: Option<String>,
    /// Its properties.
    pub properties: Properties,
    /// How long the body of the request was, in bytes.
    pub body_bytes: u64,
}

impl CreateView {
    /// Reads the body of a request (REST specification, `CreateViewRequest`). The specification requires `properties`;
    /// the reference implementation leaves them out when there are none, so they may be absent.
    ///
    /// # Errors
    /// [`CommitError::BadRequest`] when it is malformed, or has no name, schema or version.
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

/// The first document of a view: schema 0, version 1. Time and summary of the version stay as the client gave them (the
/// reference implementation's server puts its own, and so loses which engine made the view).
///
/// # Errors
/// [`CommitError::IllegalArgument`] when the version, the location or the properties break a rule.
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
    // The only time that would be needed is that of going back to an earlier version.
    let mut draft = Draft::new(empty, request.version.timestamp_ms());
    draft.add_schema(&request.schema)?;
    draft.add_version(&request.version.with_ids(FIRST_VERSION_ID, LAST_ADDED)?)?;
    draft.set_current_version(LAST_ADDED)?;
    draft.finish(None)
}
