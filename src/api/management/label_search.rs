//! `/management/v1/organisations/{organisation}/warehouses/{warehouse}/labels`: the objects of a warehouse with a label.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tidewater_core::ids::TableId;
use tidewater_core::labels::{FoundLabel, LabelFilter};
use tidewater_core::name::NamespaceIdent;
use uuid::Uuid;

use super::paging::ListPaging;
use super::scoped::InOrganisation;
use crate::access::action::LoadTable;
use crate::api::Api;
use crate::api::body::Parameters;
use crate::api::error::ApiError;
use crate::api::paging::token_after;
use crate::api::requests::flag;
use crate::catalog::{LabelPlace, LabelSearch, LabelledName};
use crate::store::TableKind;

/// The label that is searched.
#[derive(Deserialize)]
pub(in crate::api) struct Wanted {
    key: Option<String>,
    value: Option<String>,
    inherited: Option<String>,
}

/// An object with the label.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct FoundEntry {
    #[serde(rename = "type")]
    kind: &'static str,
    namespace: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The label's value of the object. Absent if only columns have the label.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    /// The namespace that the object inherits the label from. Absent if it has the label itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    inherited_from: Option<Vec<String>>,
    fields: Vec<FoundField>,
}

/// A column with the label.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct FoundField {
    field_id: i32,
    value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct FoundList {
    next_page_token: Option<String>,
    objects: Vec<FoundEntry>,
}

impl FoundEntry {
    fn new((name, found): (LabelledName, FoundLabel)) -> Self {
        let (kind, namespace, name) = match name {
            LabelledName::Namespace(ident) => ("namespace", ident, None),
            LabelledName::Tabular(TableKind::Table, ident) => ("table", ident.namespace.clone(), Some(ident)),
            LabelledName::Tabular(TableKind::View, ident) => ("view", ident.namespace.clone(), Some(ident)),
        };
        let (value, inherited_from) = found.object.map(|object| (object.value, object.inherited_from)).unzip();
        let fields = found.fields.into_iter().map(|(field_id, value)| FoundField { field_id, value });
        Self {
            kind,
            namespace: levels(&namespace),
            name: name.map(|ident| ident.name().to_owned()),
            value,
            inherited_from: inherited_from.flatten().as_ref().map(levels),
            fields: fields.collect(),
        }
    }
}

fn levels(namespace: &NamespaceIdent) -> Vec<String> {
    namespace.levels().map(str::to_owned).collect()
}

/// Returns the text of a place, which a token has sealed.
fn text_of(place: &LabelPlace) -> String {
    match place {
        LabelPlace::Namespace(namespace, name) => {
            let key = namespace.as_key();
            format!("n{}:{key}{name}", key.len())
        }
        LabelPlace::Tabular(id) => format!("t{}", id.0),
    }
}

fn not_ours() -> ApiError {
    ApiError::bad_request("this catalog did not issue page-token: start again with an empty one")
}

/// Reads the text of a place.
fn place_of(text: &str) -> Result<LabelPlace, ApiError> {
    match text.split_at_checked(1) {
        Some(("n", rest)) => {
            let (length, names) = rest.split_once(':').ok_or_else(not_ours)?;
            let length = length.parse().map_err(|_| not_ours())?;
            let (key, name) = names.split_at_checked(length).ok_or_else(not_ours)?;
            let namespace = NamespaceIdent::from_key(key).map_err(|_| not_ours())?;
            Ok(LabelPlace::Namespace(namespace, name.to_owned()))
        }
        Some(("t", id)) => Ok(LabelPlace::Tabular(TableId(Uuid::parse_str(id).map_err(|_| not_ours())?))),
        _ => Err(not_ours()),
    }
}

/// Finds the objects of a warehouse with a label, a page at a time.
pub(in crate::api) async fn find(
    State(api): State<Arc<Api>>,
    InOrganisation(scope): InOrganisation<LoadTable>,
    Parameters(paging): Parameters<ListPaging>,
    Parameters(Wanted { key, value, inherited }): Parameters<Wanted>,
) -> Result<Json<FoundList>, ApiError> {
    let name = key.ok_or_else(|| ApiError::bad_request("Give the name of the label: key=NAME"))?;
    let page = paging.request(api.settings.default_page_size)?;
    let begin = match page.after.as_deref() {
        Some(sealed) => {
            let text = api.catalog.open_label_place(&scope.warehouse, sealed).await?;
            Some(place_of(&text.ok_or_else(not_ours)?)?)
        }
        None => None,
    };
    let limit = page.limit.unwrap_or(api.settings.default_page_size);
    let inherited = flag("inherited", inherited.as_deref())?.unwrap_or(true);
    let search = LabelSearch { filter: LabelFilter { name, value }, inherited };
    let found = api.catalog.label_search(&scope.authorizer, &scope.warehouse, &search, (begin, limit)).await?;
    let next_page_token = match &found.next {
        Some(place) => Some(token_after(&api.catalog.seal_label_place(&scope.warehouse, &text_of(place)).await?)),
        None => None,
    };
    Ok(Json(FoundList { next_page_token, objects: found.items.into_iter().map(FoundEntry::new).collect() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_reads_back_and_others_are_refused() {
        let namespace = NamespaceIdent::new(&["1:é", "eu"]).unwrap();
        let within = |name: &str| LabelPlace::Namespace(namespace.clone(), name.to_owned());
        for place in [within(""), within("2:t"), LabelPlace::Tabular(TableId(Uuid::max()))] {
            assert_eq!(place_of(&text_of(&place)).unwrap(), place);
        }
        for text in ["", "x", "t", "tx", "é", "n", "n1", "n0:", "n2:a", "n1:é", "n9:\u{1f}a", "n-1:a"] {
            assert!(place_of(text).is_err(), "{text}");
        }
    }
}
