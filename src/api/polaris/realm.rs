//! The header `Polaris-Realm`, which names the organisation.

use axum::http::HeaderName;
use axum::http::request::Parts;

use crate::api::Api;
use crate::api::error::ApiError;
use crate::auth::Caller;
use crate::store::PageRequest;

const REALM: HeaderName = HeaderName::from_static("polaris-realm");

/// Returns the name or id of a request's organisation: the realm, or that of the key. Without either, returns the only
/// organisation. The caller must check that a key belongs to the organisation.
///
/// # Errors
/// 400 if the header is not text or occurs twice, or if there are several organisations.
pub(in crate::api) async fn organisation_named(
    parts: &Parts,
    api: &Api,
    own: Option<&Caller>,
) -> Result<String, ApiError> {
    let mut values = parts.headers.get_all(&REALM).iter();
    if let Some(realm) = values.next() {
        let realm = realm.to_str().map_err(|_| ApiError::bad_request("The header Polaris-Realm must be ASCII text"))?;
        if values.next().is_some() {
            return Err(ApiError::bad_request("A request can have one Polaris-Realm header, not several"));
        }
        return Ok(realm.to_owned());
    }
    if let Some(caller) = own {
        return Ok(caller.organisation_name().to_owned());
    }
    let found = api.admin.organisation_list(&PageRequest { after: None, limit: Some(2) }).await?;
    match &found.items[..] {
        [only] => Ok(only.name.clone()),
        _ => Err(ApiError::bad_request("Name the organisation in the header Polaris-Realm")),
    }
}
