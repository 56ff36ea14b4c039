//! A table's or view's metadata on its way to a client: a few bytes before it, the document as it is kept, a few bytes after it.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Frame, SizeHint};
use serde_json::json;
use tidewater_core::document::TableMetadata;

use super::entity_tag::{EntityTag, Snapshots};
use crate::catalog::{LoadedTable, LoadedView};
use crate::metadata::Document;
use crate::vending::Vended;

/// Up to this size a document is copied into one piece with what surrounds it, since one write costs less than three.
const COPIED_BYTES: usize = 32 * 1024;

/// How many headers an answer has: type, tag, five of limits, request id.
const HEADERS: usize = 8;

/// What follows a document when nothing is vended.
const NO_CONFIG: &str = ",\"config\":{}}";

/// `LoadTableResult` of a table that was created or registered: all of it, to write to.
pub(super) fn created(table: &LoadedTable, vended: &Vended) -> Response {
    loaded(table, None, vended, EntityTag::of(&table.document, Snapshots::All))
}

/// `LoadTableResult` of a table, under the tag of what it holds: of its document, or of the JSON that stands for that.
pub(super) fn loaded(table: &LoadedTable, named: Option<Bytes>, vended: &Vended, tag: EntityTag) -> Response {
    let document = &table.document;
    tag.put(around_json(&document.location_json, named.as_ref().unwrap_or(&document.json), &after(vended)))
}

/// `LoadCredentialsResponse`.
pub(super) fn credentials(vended: &Vended) -> Response {
    json_response(Body::from(json!({ "storage-credentials": vended.credentials }).to_string()))
}

/// What follows a document: the same settings for older clients, which read `config`, and newer ones.
fn after(vended: &Vended) -> Cow<'static, str> {
    if vended.config.is_empty() {
        return NO_CONFIG.into();
    }
    let mut after = format!(",\"config\":{}", json!(vended.config));
    if !vended.credentials.is_empty() {
        after.extend([",\"storage-credentials\":", &json!(vended.credentials).to_string()]);
    }
    if !vended.signing_properties.is_empty() {
        let config = json!({ "properties": vended.signing_properties });
        after.extend([",\"remote-signing-config\":", &config.to_string()]);
    }
    after.push('}');
    after.into()
}

/// `LoadTableResult` of a table that does not exist yet: it has no `metadata-location`.
pub(super) fn staged(table: &TableMetadata, vended: &Vended) -> Response {
    let mut body = b"{\"metadata-location\":null,\"metadata\":".to_vec();
    body.extend_from_slice(&table.to_json());
    body.extend_from_slice(after(vended).as_bytes());
    json_response(Body::new(Full::new(Bytes::from(body))))
}

/// `CommitTableResponse`.
pub(super) fn committed(table: &LoadedTable) -> Response {
    EntityTag::of(&table.document, Snapshots::All).put(unregistered(&table.document))
}

/// `UnregisterTableResponse`: the table as it was.
pub(super) fn unregistered(document: &Document) -> Response {
    around_json(&document.location_json, &document.json, "}")
}

/// `LoadViewResult`. Nothing is vended for a view, since engines read no files of it.
pub(super) fn view(view: &LoadedView) -> Response {
    around_json(&view.location_json, &view.json, NO_CONFIG)
}

fn around_json(location_json: &str, document: &Bytes, after: &str) -> Response {
    const OPENING: &[u8] = b"{\"metadata-location\":";
    const BETWEEN: &[u8] = b",\"metadata\":";
    let around = OPENING.len() + location_json.len() + BETWEEN.len() + after.len();
    let is_copied = around + document.len() <= COPIED_BYTES;
    let mut before = Vec::with_capacity(if is_copied { around + document.len() } else { around });
    before.extend_from_slice(OPENING);
    before.extend_from_slice(location_json.as_bytes());
    before.extend_from_slice(BETWEEN);
    if is_copied {
        before.extend_from_slice(document);
        before.extend_from_slice(after.as_bytes());
        return json_response(Body::from(before));
    }
    let pieces = [Bytes::from(before), document.clone(), Bytes::copy_from_slice(after.as_bytes())];
    json_response(Body::new(Pieces(pieces.into())))
}

fn json_response(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    // Room for all that are still to come, so that the map need not grow on its way out.
    headers.reserve(HEADERS);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A body in pieces that are not copied, with a length that is known.
struct Pieces(VecDeque<Bytes>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|piece| piece.len() as u64).sum())
    }
}
