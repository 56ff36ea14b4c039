//! `GET /management/v1/sign-in`: how people sign in. It needs no credential, and has nothing secret.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::api::Api;
use crate::config::IssuerConfig;

/// An identity provider for people.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct IssuerEntry {
    name: String,
    issuer: String,
    client_id: String,
    scopes: Vec<String>,
}

#[derive(Serialize)]
pub(in crate::api) struct SignInOptions {
    issuers: Vec<IssuerEntry>,
}

/// Lists the identity providers with which people can sign in, in the order of the settings.
pub(in crate::api) async fn list(State(api): State<Arc<Api>>) -> Json<SignInOptions> {
    let entry = |(issuer, client_id): (&IssuerConfig, &str)| IssuerEntry {
        name: issuer.name.clone(),
        issuer: issuer.issuer.clone(),
        client_id: client_id.to_owned(),
        scopes: issuer.login_scopes.clone(),
    };
    Json(SignInOptions { issuers: api.admin.login_issuers().map(entry).collect() })
}
