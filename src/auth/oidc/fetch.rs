//! Reads documents of a provider: its key set from its address or from a file, and the answers to sign-ins.
//!
//! Requests go only to the hosts in the configuration. Their time, size and number are limited, and redirects are not followed.

use std::path::Path;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Response, StatusCode};
use serde::Deserialize;
use url::Url;

use super::key_set::KeySet;
use crate::base::named_file;
use crate::base::secret::Secret;
use crate::base::trace;
use crate::config::IssuerConfig;

/// The largest document of a provider that is read.
const MAX_DOCUMENT_BYTES: usize = 512 << 10;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The parts of a discovery document (OpenID Connect Discovery, section 3) that are used.
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

/// Reads the key set of a provider. Returns it with its text.
///
/// # Errors
/// The reason, for people.
pub(super) async fn read_key_set(config: &IssuerConfig) -> Result<(KeySet, Vec<u8>), String> {
    let (text, from) = match (&config.jwks_file, &config.jwks_url) {
        (Some(file), _) => (read_file(file).await?, file.display().to_string()),
        (None, Some(address)) => {
            let address = Url::parse(address).map_err(|error| format!("{address}: {error}"))?;
            (Connection::new(config).await?.get(&address).await?, address.to_string())
        }
        (None, None) => {
            let connection = Connection::new(config).await?;
            let address = discover(&connection, config).await?;
            (connection.get(&address).await?, address.to_string())
        }
    };
    let keys = KeySet::parse(&text).map_err(|why| format!("{from}: {why}"))?;
    Ok((keys, text))
}

/// Returns the address of the discovery document.
///
/// # Errors
/// Why the issuer is no address.
pub(super) fn discovery_address(config: &IssuerConfig) -> Result<Url, String> {
    let address = format!("{}/.well-known/openid-configuration", config.issuer.trim_end_matches('/'));
    Url::parse(&address).map_err(|error| format!("{address}: {error}"))
}

/// Returns the address of the key set from the discovery document.
async fn discover(connection: &Connection, config: &IssuerConfig) -> Result<Url, String> {
    let address = discovery_address(config)?;
    let text = connection.get(&address).await?;
    let found: Discovery = serde_json::from_slice(&text)
        .map_err(|error| format!("{address} is not a discovery document: {error}. Set `jwks_url`"))?;
    if !config.spellings().any(|spelling| spelling == found.issuer) {
        return Err(format!(
            "{address} is of the issuer '{}', and `issuer` is '{}': write them alike, or add it to `accepted_issuers`",
            found.issuer, config.issuer
        ));
    }
    let keys = Url::parse(&found.jwks_uri).map_err(|error| format!("{address} has a wrong `jwks_uri`: {error}"))?;
    if keys.origin() != address.origin() {
        return Err(format!(
            "{address} names a key set on another host, {keys}: if that is right, set `jwks_url = \"{keys}\"`"
        ));
    }
    Ok(keys)
}

/// A client of one provider.
pub(super) struct Connection {
    client: Client,
    bearer: Option<Secret<String>>,
}

impl Connection {
    /// Connects to a provider, with the certificates and the token of its settings.
    ///
    /// # Errors
    /// Why their files cannot be read.
    pub(super) async fn new(config: &IssuerConfig) -> Result<Self, String> {
        let certificates = match &config.ca_file {
            Some(file) => read_certificates(file).await?,
            None => Vec::new(),
        };
        let bearer = match &config.bearer_file {
            Some(file) => {
                let text = String::from_utf8(read_file(file).await?)
                    .map_err(|_| format!("{} is not a token", file.display()))?;
                Some(Secret::new(text.trim().to_owned()))
            }
            None => None,
        };
        let builder = Client::builder()
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .tls_certs_merge(certificates);
        // Loads the system's certificates from files.
        let built = tokio::task::spawn_blocking(move || builder.build()).await;
        let client = built.map_err(|error| error.to_string())?.map_err(|error| chain(&error))?;
        Ok(Self { client, bearer })
    }

    /// Returns the document at an address.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(super) async fn get(&self, address: &Url) -> Result<Vec<u8>, String> {
        let mut headers = HeaderMap::new();
        trace::add_headers(&mut headers);
        let mut request = self.client.get(address.clone()).headers(headers);
        if let Some(bearer) = &self.bearer {
            request = request.bearer_auth(bearer.expose());
        }
        let response = request.send().await.map_err(|error| chain(&error))?;
        match response.status() {
            StatusCode::OK => {}
            status if status.is_redirection() => {
                return Err(format!(
                    "{address} answers with a redirect ({status}), which is not followed: set the new address"
                ));
            }
            status => return Err(format!("{address} answers {status}")),
        }
        read_body(response, address).await
    }

    /// Sends a form to an address. `authorization` is the value of that header. Returns whether the answer is a success, and its text.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) async fn post(
        &self,
        address: &Url,
        form: &[(&str, &str)],
        authorization: Option<&Secret<String>>,
    ) -> Result<(bool, Vec<u8>), String> {
        let mut headers = HeaderMap::new();
        trace::add_headers(&mut headers);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(authorization) = authorization {
            let mut value = HeaderValue::try_from(authorization.expose()).map_err(|error| error.to_string())?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = self.client.post(address.clone()).headers(headers).body(body);
        let response = request.send().await.map_err(|error| chain(&error))?;
        let is_success = response.status() == StatusCode::OK;
        Ok((is_success, read_body(response, address).await?))
    }
}

/// Reads a body of limited size.
async fn read_body(mut response: Response, address: &Url) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| chain(&error))? {
        if text.len() + chunk.len() > MAX_DOCUMENT_BYTES {
            return Err(format!("{address} has more than {MAX_DOCUMENT_BYTES} bytes"));
        }
        text.extend_from_slice(&chunk);
    }
    Ok(text)
}

pub(super) async fn read_file(file: &Path) -> Result<Vec<u8>, String> {
    let cannot = |error: &dyn std::fmt::Display| format!("cannot read {}: {error}", file.display());
    let path = file.to_owned();
    let read = tokio::task::spawn_blocking(move || named_file::read(&path)).await;
    read.map_err(|error| cannot(&error))?.map_err(|error| cannot(&error))
}

async fn read_certificates(file: &Path) -> Result<Vec<Certificate>, String> {
    let certificates = Certificate::from_pem_bundle(&read_file(file).await?);
    let certificates = certificates.map_err(|error| format!("{}: {}", file.display(), chain(&error)))?;
    if certificates.is_empty() {
        return Err(format!("{} has no certificate in PEM", file.display()));
    }
    Ok(certificates)
}

/// Returns an error's message with its causes, which say most.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.extend([": ", &error.to_string()]);
        cause = error.source();
    }
    text
}
