//! The callers of the table, each with the credential that it sends.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::json;
use tidewater::auth::key::digest;
use tidewater::clock::Clock;
use tidewater::store::Change;
use tidewater_core::access::Role;

use super::requests::Content;
use crate::support::{Answer, Catalog};

/// The columns of the table, from whom may do nothing to whom may do most.
pub(super) const COLUMNS: [&str; 9] =
    ["nobody", "garbage", "expired", "revoked", "other", "reader", "writer", "admin", "operator"];

/// Their credentials. The objects are the organisation `acme`'s, in its warehouse `lake`.
pub(super) struct Callers {
    garbage: String,
    /// An admin's key whose time is over.
    expired: String,
    /// An admin's key.
    revoked: String,
    /// An admin's key of another organisation, which has a warehouse and a namespace of its own.
    other: String,
    reader: String,
    writer: String,
    pub(super) admin: String,
}

impl Callers {
    pub(super) async fn new(catalog: &Catalog) -> Self {
        let acme = catalog.organisation("acme", "enterprise").await;
        catalog.warehouse(acme, "lake").await;
        let other = catalog.tenant("other", "enterprise").await;
        catalog.post(&other.key, "/v1/namespaces", &json!({ "namespace": ["own"] })).await.ok(200);
        let now_ms = Clock::System.now_ms();
        let revoked = catalog.key(acme, Role::Admin, None).await;
        let store = catalog.app.store();
        let (key, _) = store.key_by_digest(&digest(revoked.as_bytes())).await.unwrap().unwrap();
        store.key_revoke(acme, key.id, &Change::by_catalog(now_ms)).await.unwrap();
        Self {
            garbage: "garbage".to_owned(),
            expired: catalog.key(acme, Role::Admin, Some(now_ms - 1_000)).await,
            revoked,
            other: other.key,
            reader: catalog.key(acme, Role::Reader, None).await,
            writer: catalog.key(acme, Role::Writer, None).await,
            admin: catalog.key(acme, Role::Admin, None).await,
        }
    }

    /// What the caller of a column sends, which is an empty text for none; nothing when there is no such caller yet.
    pub(super) fn credential(&self, column: &str) -> Option<&str> {
        Some(match column {
            "nobody" => "",
            "garbage" => &self.garbage,
            "expired" => &self.expired,
            "revoked" => &self.revoked,
            "other" => &self.other,
            "reader" => &self.reader,
            "writer" => &self.writer,
            "admin" => &self.admin,
            _ => return None,
        })
    }

    pub(super) async fn send(
        &self,
        catalog: &Catalog,
        credential: &str,
        method: Method,
        path: &str,
        content: Content,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if !credential.is_empty() {
            request = request.header("authorization", format!("Bearer {credential}"));
        }
        let (kind, body) = match content {
            Content::Nothing => return catalog.send(request.body(Body::empty()).unwrap()).await,
            Content::Json(value) => ("application/json", value.to_string()),
            Content::Form(form) => ("application/x-www-form-urlencoded", form),
        };
        catalog.send(request.header("content-type", kind).body(Body::from(body)).unwrap()).await
    }
}
