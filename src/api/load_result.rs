//! Answers with the metadata of a table or view: the bytes of the cached document, with a few bytes before and after it.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Frame, SizeHint};
use serde_json::json;
use tidewater_core::document::TableMetadata;
use tidewater_core::scan::mode::PLANNING_MODE;

use super::entity_tag::{EntityTag, Snapshots};
use crate::catalog::{LoadedTable, LoadedView};
use crate::metadata::{Document, LoadResult};
use crate::vending::Vended;
use crate::warehouse::OpenWarehouse;

/// The number of headers of an answer: type, tag, two of limits (three in their older form), request id. A map for one more
/// header takes twice the memory.
const HEADERS: usize = 6;

/// The planning mode of clients whose scans only the catalog may plan.
pub(super) const PLANNED_BY_SERVER: &str = "server";

/// Returns the `LoadTableResult` of a created or registered table, with all snapshots.
pub(super) fn created(warehouse: &OpenWarehouse, table: &LoadedTable, vended: &Vended) -> Response {
    let tag = EntityTag::from_document(&table.document, Snapshots::All);
    let tag = tag.with_planning_mode(warehouse.options.scan_planning);
    loaded(&table.document.load_result, Some(vended), planning_mode(warehouse, &table.document.metadata), tag)
}

/// Returns the `LoadTableResult` of a table with the vended settings and the planning mode. `tag` is its entity tag.
pub(super) fn loaded(
    result: &LoadResult,
    vended: Option<&Vended>,
    mode: Option<&'static str>,
    tag: EntityTag,
) -> Response {
    let pieces = match (vended.filter(|vended| !vended.config.is_empty()), mode) {
        (None, None) => result.without_config(),
        (Some(vended), None) => result.followed_by(vended.text(after)),
        (vended, Some(mode)) => {
            let none = Vended::default();
            result.followed_by(Bytes::from(after_with_mode(vended.unwrap_or(&none), Some(mode))))
        }
    };
    tag.put(json_response(body(pieces)))
}

/// Returns the `LoadTableResult` of a table with further members: their names and their JSON.
pub(super) fn extended<'m>(
    result: &LoadResult,
    vended: Option<&Vended>,
    mode: Option<&'static str>,
    members: impl Iterator<Item = (&'m str, &'m str)>,
    tag: EntityTag,
) -> Response {
    let none = Vended::default();
    let after = with_members(after_with_mode(vended.unwrap_or(&none), mode), members);
    tag.put(json_response(body(result.followed_by(Bytes::from(after)))))
}

/// Adds members to the text after a document.
fn with_members<'m>(mut after: String, members: impl Iterator<Item = (&'m str, &'m str)>) -> String {
    after.truncate(after.len() - 1);
    for (name, json) in members {
        after.extend([",\"", name, "\":", json]);
    }
    after.push('}');
    after
}

/// Returns the planning mode that the table's properties or its warehouse set: `client` or `server`. `None` if they set none: clients then
/// choose.
pub(super) fn planning_mode(warehouse: &OpenWarehouse, table: &TableMetadata) -> Option<&'static str> {
    let of_table = table.properties().get(PLANNING_MODE).map(AsRef::as_ref);
    warehouse.options.scan_planning.or_of_table(of_table).sent()
}

/// Returns status 304, for a client that has the current metadata.
pub(super) fn not_modified() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    response.headers_mut().reserve(HEADERS);
    response
}

/// Returns the `LoadCredentialsResponse`.
pub(super) fn credentials(vended: &Vended) -> Response {
    json_response(Body::from(json!({ "storage-credentials": vended.credentials }).to_string()))
}

/// Returns the text after a document: the vended settings, once as `config` for older clients, and once for newer ones.
fn after(vended: &Vended) -> String {
    after_with_mode(vended, None)
}

/// Returns the text after a document, with the planning mode among the settings.
fn after_with_mode(vended: &Vended, mode: Option<&'static str>) -> String {
    let mut after = match mode {
        None => format!(",\"config\":{}", json!(vended.config)),
        Some(mode) => {
            let mut config = vended.config.clone();
            config.insert(PLANNING_MODE.to_owned(), mode.to_owned());
            format!(",\"config\":{}", json!(config))
        }
    };
    if !vended.credentials.is_empty() {
        after.extend([",\"storage-credentials\":", &json!(vended.credentials).to_string()]);
    }
    if !vended.signing_properties.is_empty() {
        let config = json!({ "properties": vended.signing_properties });
        after.extend([",\"remote-signing-config\":", &config.to_string()]);
    }
    after.push('}');
    after
}

/// Returns the `LoadTableResult` of a staged table. It has no `metadata-location`.
pub(super) fn staged(warehouse: &OpenWarehouse, table: &TableMetadata, vended: &Vended) -> Response {
    let mut body = b"{\"metadata-location\":null,\"metadata\":".to_vec();
    body.extend_from_slice(&table.to_json());
    body.extend_from_slice(after_with_mode(vended, planning_mode(warehouse, table)).as_bytes());
    json_response(Body::new(Full::new(Bytes::from(body))))
}

/// Returns the `CommitTableResponse`.
pub(super) fn committed(table: &LoadedTable) -> Response {
    EntityTag::from_document(&table.document, Snapshots::All).put(unregistered(&table.document))
}

/// Returns the `UnregisterTableResponse`: the last state of the table.
pub(super) fn unregistered(document: &Document) -> Response {
    json_response(body(document.load_result.followed_by(Bytes::from_static(b"}"))))
}

/// Returns the `LoadViewResult`. It has no credentials: a view has no data files.
pub(super) fn view(view: &LoadedView) -> Response {
    json_response(body(view.load_result.without_config()))
}

/// Returns the `LoadViewResult` of a view with the JSON of its labels.
pub(super) fn labelled_view(view: &LoadedView, labels: &str) -> Response {
    let after = with_members(after(&Vended::default()), [("labels", labels)].into_iter());
    json_response(body(view.load_result.followed_by(Bytes::from(after))))
}

/// Returns a body of one or several pieces. Does not copy them.
fn body(mut pieces: Vec<Bytes>) -> Body {
    match (pieces.pop(), pieces.is_empty()) {
        (Some(only), true) => Body::from(only),
        (last, _) => {
            pieces.extend(last);
            Body::new(Pieces(pieces.into_iter()))
        }
    }
}

/// Returns an answer in JSON.
pub(super) fn json_response(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    // Reserve space for the headers that are added later, so that the map need not grow.
    headers.reserve(HEADERS);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A body of several pieces that are not copied, with a known length.
struct Pieces(std::vec::IntoIter<Bytes>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.next().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_slice().is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_slice().iter().map(|piece| piece.len() as u64).sum())
    }
}
