//! The load of a table with read restrictions: a trusted engine gets them with the answer, and other callers are told to let the catalog plan
//! their scans.

use std::sync::Arc;

use tidewater_core::document::TableMetadata;
use tidewater_core::restrictions::Combined;
use tidewater_core::restrictions::planning::ScanRestriction;
use tidewater_core::restrictions::reading::read_restrictions;

use super::Api;
use super::audit_marks::RESTRICTED;
use super::entity_tag::EntityTag;
use super::error::ApiError;
use super::load_result;
use crate::access::action;
use crate::access::{Permit, Table};
use crate::catalog::LoadedTable;

/// What restrictions add to the answer to a load.
pub(super) struct RestrictedLoad {
    /// Who plans scans: the catalog, for a caller that is not a trusted engine.
    pub(super) mode: Option<&'static str>,
    /// The JSON of `read-restrictions`, for a trusted engine.
    pub(super) restrictions: Option<String>,
}

impl RestrictedLoad {
    /// Returns what is added to the answer to a load, for the restrictions of its caller.
    ///
    /// # Errors
    /// 403 if the table cannot be read within the restrictions.
    pub(super) async fn new(
        api: &Api,
        permit: &Permit<action::LoadTable, Table>,
        table: &LoadedTable,
        (combined, is_trusted_engine): (Combined, bool),
    ) -> Result<Self, ApiError> {
        let (document, owner) = (Arc::clone(&table.document), permit.warehouse.warehouse_ref.organisation.0);
        // All schemas are read.
        let bytes = document.json.len() as u64;
        let mode = load_result::planning_mode(&permit.warehouse, &document.metadata);
        let check = move || check(&document.metadata, &combined, is_trusted_engine, mode);
        let checked = api.heavy.run(owner, bytes, check).await?;
        checked.map_err(|message| ApiError::forbidden(message).refused(RESTRICTED))
    }

    /// Returns the tag of the answer. Answers with other restrictions have other tags.
    pub(super) fn tag(&self, tag: EntityTag) -> EntityTag {
        match &self.restrictions {
            None => tag.with_suffix("-planned"),
            Some(text) => tag.with_digest("-", text),
        }
    }
}

/// Returns what a caller with restrictions gets. `mode` is the planning mode of callers without them, which a trusted engine keeps.
fn check(
    table: &TableMetadata,
    combined: &Combined,
    is_trusted_engine: bool,
    mode: Option<&'static str>,
) -> Result<RestrictedLoad, String> {
    if is_trusted_engine {
        let text = read_restrictions(combined, table).map_err(|error| error.to_string())?;
        return Ok(RestrictedLoad { mode, restrictions: Some(text) });
    }
    ScanRestriction::new(combined, table).map_err(|error| format!("Table is restricted for you. {error}"))?;
    Ok(RestrictedLoad { mode: Some(load_result::PLANNED_BY_SERVER), restrictions: None })
}
