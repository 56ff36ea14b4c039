//! What the answer to a load of a table has beside its metadata, credentials and settings: read restrictions and labels.

use axum::http::header::CACHE_CONTROL;
use axum::response::Response;
use tidewater_core::restrictions::Combined;

use super::Api;
use super::entity_tag::EntityTag;
use super::error::ApiError;
use super::labels::{Labelled, schema_of_table};
use super::load_result;
use super::restricted_load::RestrictedLoad;
use super::security_headers::NO_STORE;
use crate::access::action;
use crate::access::{Permit, Table};
use crate::catalog::LoadedTable;
use crate::metadata::LoadResult;
use crate::vending::Vended;

/// The additions to the answer to a load.
pub(super) struct Additions {
    restricted: Option<RestrictedLoad>,
    /// The JSON of `labels`.
    labels: Option<String>,
}

impl Additions {
    /// Returns the additions to the answer to a load, for the restrictions of its caller.
    ///
    /// # Errors
    /// 403 if the table cannot be read within the restrictions.
    pub(super) async fn new(
        api: &Api,
        permit: &Permit<action::LoadTable, Table>,
        table: &LoadedTable,
        restriction: Option<(Combined, bool)>,
    ) -> Result<Self, ApiError> {
        let restricted = match restriction {
            None => None,
            Some(restriction) => Some(RestrictedLoad::new(api, permit, table, restriction).await?),
        };
        let labelled = labelled(permit);
        let labels = match labelled.may_have_any() {
            false => None,
            true => labelled.sent(api, &table.document, schema_of_table).await?,
        };
        Ok(Self { restricted, labels })
    }

    /// Returns the tag of the answer. Answers with other additions have other tags.
    pub(super) fn tag(&self, tag: EntityTag) -> EntityTag {
        let tag = match &self.restricted {
            None => tag,
            Some(restricted) => restricted.tag(tag),
        };
        match &self.labels {
            None => tag,
            Some(labels) => tag.with_digest("-labels-", labels),
        }
    }

    /// Returns the answer. `mode` is the planning mode of callers without restrictions.
    pub(super) fn answer(
        &self,
        result: &LoadResult,
        vended: Option<&Vended>,
        mode: Option<&'static str>,
        tag: EntityTag,
    ) -> Response {
        let mode = self.restricted.as_ref().map_or(mode, |restricted| restricted.mode);
        let restrictions = self.restricted.as_ref().and_then(|restricted| restricted.restrictions.as_deref());
        let members = [("read-restrictions", restrictions), ("labels", self.labels.as_deref())];
        let members = members.into_iter().filter_map(|(name, json)| Some((name, json?)));
        let mut response = load_result::extended(result, vended, mode, members, tag);
        if self.restricted.is_some() {
            // Only the caller may have it.
            response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
        }
        response
    }
}

/// Returns the table of a permit.
pub(super) fn labelled(permit: &Permit<action::LoadTable, Table>) -> Labelled<'_> {
    let Table { warehouse, ident, record } = &**permit;
    Labelled { warehouse, ident, record }
}
