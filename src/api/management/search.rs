//! `/management/v1/organisations/{organisation}/warehouses/{warehouse}/search`: the objects of a warehouse by a part of their names.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tidewater_core::ids::TableId;
use tidewater_core::name_search::NameFilter;
use uuid::Uuid;

use super::paging::ListPaging;
use super::scoped::InOrganisation;
use crate::access::action::CheckTable;
use crate::api::Api;
use crate::api::body::Parameters;
use crate::api::error::ApiError;
use crate::api::paging::token_after;
use crate::catalog::{FoundName, SearchPlace};
use crate::store::TableKind;

/// The text that is searched.
#[derive(Deserialize)]
pub(in crate::api) struct Wanted {
    name: Option<String>,
}

/// An object that was found.
#[derive(Serialize)]
struct FoundEntry {
    #[serde(rename = "type")]
    kind: &'static str,
    namespace: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct FoundNames {
    next_page_token: Option<String>,
    objects: Vec<FoundEntry>,
}

impl From<FoundName> for FoundEntry {
    fn from(name: FoundName) -> Self {
        let (kind, namespace, name) = match name {
            FoundName::Namespace(ident) => ("namespace", ident, None),
            FoundName::Tabular(TableKind::Table, ident) => ("table", ident.namespace.clone(), Some(ident)),
            FoundName::Tabular(TableKind::View, ident) => ("view", ident.namespace.clone(), Some(ident)),
        };
        let namespace = namespace.levels().map(str::to_owned).collect();
        Self { kind, namespace, name: name.map(|ident| ident.name().to_owned()) }
    }
}

/// Returns the text of a token.
fn token_of(place: &SearchPlace) -> String {
    token_after(&match place {
        SearchPlace::Namespace(key) => format!("n{key}"),
        SearchPlace::Tabular(id) => format!("t{}", id.0),
    })
}

/// Reads the text of a token.
fn place_of(text: &str) -> Result<SearchPlace, ApiError> {
    let not_ours = || ApiError::bad_request("this catalog did not issue page-token: start again with an empty one");
    match text.split_at_checked(1) {
        Some(("n", key)) => Ok(SearchPlace::Namespace(key.to_owned())),
        Some(("t", id)) => Ok(SearchPlace::Tabular(TableId(Uuid::parse_str(id).map_err(|_| not_ours())?))),
        _ => Err(not_ours()),
    }
}

/// Finds the namespaces, tables and views whose name contains a text, a page at a time.
pub(in crate::api) async fn find(
    State(api): State<Arc<Api>>,
    InOrganisation(scope): InOrganisation<CheckTable>,
    Parameters(paging): Parameters<ListPaging>,
    Parameters(Wanted { name }): Parameters<Wanted>,
) -> Result<Json<FoundNames>, ApiError> {
    let filter = NameFilter::new(&name.unwrap_or_default());
    let filter = filter.ok_or_else(|| ApiError::bad_request("Give a part of the name: name=TEXT"))?;
    let page = paging.request(api.settings.default_page_size)?;
    let begin = page.after.as_deref().map(place_of).transpose()?;
    let limit = page.limit.unwrap_or(api.settings.default_page_size);
    let found = api.catalog.name_search(&scope.authorizer, &scope.warehouse, &filter, (begin, limit)).await?;
    let next_page_token = found.next.as_ref().map(token_of);
    Ok(Json(FoundNames { next_page_token, objects: found.items.into_iter().map(FoundEntry::from).collect() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::paging::read_token;

    #[test]
    fn token_reads_back_and_others_are_refused() {
        for place in [SearchPlace::Namespace("sales\u{1f}eu".to_owned()), SearchPlace::Tabular(TableId(Uuid::max()))] {
            assert_eq!(place_of(&read_token(&token_of(&place)).unwrap()).unwrap(), place);
        }
        for text in ["", "x", "t", "tx", "é"] {
            assert!(place_of(text).is_err(), "{text}");
        }
    }
}
