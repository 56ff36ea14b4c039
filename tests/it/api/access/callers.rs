//! The callers of the table, each with its credential.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::json;
use tidewater::api::Machine;
use tidewater::auth::key::digest;
use tidewater::base::clock::Clock;
use tidewater::store::Change;
use tidewater_core::access::Role;
use tidewater_core::ids::OrganisationId;

use super::requests::Content;
use crate::support::{Answer, Catalog};

/// The columns of the table, from the caller with the fewest rights to the one with the most.
pub(super) const COLUMNS: [&str; 10] =
    ["nobody", "garbage", "expired", "revoked", "other", "reader", "writer", "admin", "operator", "machine"];

/// The credential of a request.
#[derive(Clone, Copy)]
pub(super) enum Proof<'a> {
    Nothing,
    Key(&'a str),
    /// A local user over the control socket, without a key.
    Machine,
}

/// Callers outside the organisation of the requests.
pub(super) struct Strangers {
    /// An admin's key of another organisation, which has its own warehouse and namespace.
    other: String,
    operator: String,
}

impl Strangers {
    pub(super) async fn new(catalog: &Catalog) -> Self {
        let other = catalog.tenant("other", "enterprise").await;
        catalog.post(&other.key, "/v1/namespaces", &json!({ "namespace": ["own"] })).await.ok(200);
        Self { other: other.key, operator: catalog.operator().await }
    }
}

/// The keys of an organisation.
pub(super) struct Keys {
    /// An admin's key that has expired.
    expired: String,
    /// An admin's key that was revoked.
    revoked: String,
    reader: String,
    writer: String,
    pub(super) admin: String,
}

impl Keys {
    pub(super) async fn new(catalog: &Catalog, organisation: OrganisationId) -> Self {
        let now_ms = Clock::System.now_ms();
        let revoked = catalog.key(organisation, Role::Admin, None).await;
        let store = catalog.app.store();
        let (key, _) = store.key_by_digest(&digest(revoked.as_bytes())).await.unwrap().unwrap();
        store.key_revoke(organisation, key.id, &Change::by_catalog(now_ms)).await.unwrap();
        Self {
            expired: catalog.key(organisation, Role::Admin, Some(now_ms - 1_000)).await,
            revoked,
            reader: catalog.key(organisation, Role::Reader, None).await,
            writer: catalog.key(organisation, Role::Writer, None).await,
            admin: catalog.key(organisation, Role::Admin, None).await,
        }
    }
}

/// Returns the credential of a column's caller.
pub(super) fn proof<'a>(column: &str, strangers: &'a Strangers, keys: &'a Keys) -> Proof<'a> {
    Proof::Key(match column {
        "nobody" => return Proof::Nothing,
        "machine" => return Proof::Machine,
        "garbage" => "garbage",
        "expired" => &keys.expired,
        "revoked" => &keys.revoked,
        "other" => &strangers.other,
        "reader" => &keys.reader,
        "writer" => &keys.writer,
        "admin" => &keys.admin,
        "operator" => &strangers.operator,
        column => panic!("there is no '{column}'"),
    })
}

impl Proof<'_> {
    /// Returns its text, for bodies that contain it; empty if it has none.
    pub(super) const fn text(&self) -> &str {
        match self {
            Self::Key(key) => key,
            Self::Nothing | Self::Machine => "",
        }
    }

    pub(super) async fn send(self, catalog: &Catalog, method: Method, path: &str, content: Content) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Self::Key(key) = self {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        if let Self::Machine = self {
            request = request.extension(Machine { user: "root".into() });
        }
        let (kind, body) = match content {
            Content::Nothing => return catalog.send(request.body(Body::empty()).unwrap()).await,
            Content::Json(value) => ("application/json", value.to_string()),
            Content::Form(form) => ("application/x-www-form-urlencoded", form),
            Content::InRealm(realm, value) => {
                request = request.header("polaris-realm", realm);
                ("application/json", if value.is_null() { String::new() } else { value.to_string() })
            }
        };
        catalog.send(request.header("content-type", kind).body(Body::from(body)).unwrap()).await
    }
}
