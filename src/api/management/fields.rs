//! The body of a request to the management API: a small JSON object of known fields.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use tidewater_core::request_limits::RequestKind;

use crate::api::Api;
use crate::api::body::Body;
use crate::api::error::ApiError;

/// The largest accepted body, in bytes. The longest credentials, a service account's key file, have about 2 KiB.
const MAX_BYTES: usize = 64 << 10;

/// The fields of a body. An empty body is the same as an empty object.
pub(in crate::api) struct Fields<T>(pub(in crate::api) T);

impl<T: DeserializeOwned + Send + 'static> FromRequest<Arc<Api>> for Fields<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, ApiError> {
        let body = Body::receive(request, api, api.settings.max_body_bytes.min(MAX_BYTES)).await?;
        let body = if body.bytes.trim_ascii().is_empty() { body.with_bytes("{}".into()) } else { body };
        body.json(api, RequestKind::Other).await.map(Self)
    }
}

/// The body of a request that takes no fields: empty, or an empty object. Otherwise a caller might believe that a field counts.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct NoFields {}

/// Deserializes a field that may be null: `None` if it is absent, `Some(None)` if it is null.
///
/// # Errors
/// Fails if it has another type.
pub(super) fn nullable<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}
