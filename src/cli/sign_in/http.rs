//! Requests of a sign-in: to identity providers, and to routes that need none.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use object_store::client::{HttpClient, HttpConnector as _, ReqwestConnector};
use object_store::{Certificate, ClientOptions};
use serde_json::Value;
use tidewater::base::secret::Secret;
use url::{Host, Url};

/// How long to wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a request for a sign-in may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The maximum size of an answer, in bytes.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// Creates a client for HTTP and HTTPS. It also trusts the certificates in `ca_file`.
///
/// # Errors
/// Fails if the file cannot be read or has no certificate.
pub(crate) fn connect(ca_file: Option<&Path>, request_timeout: Duration) -> Result<HttpClient> {
    let mut options =
        ClientOptions::new().with_connect_timeout(CONNECT_TIMEOUT).with_timeout(request_timeout).with_allow_http(true);
    if let Some(file) = ca_file {
        let pem = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let certificates = Certificate::from_pem_bundle(&pem).unwrap_or_default();
        ensure!(!certificates.is_empty(), "{} has no certificate in PEM", file.display());
        for certificate in certificates {
            options = options.with_root_certificate(certificate);
        }
    }
    ReqwestConnector::default().connect(&options).context("cannot make a client for HTTP")
}

/// Sends the requests of a sign-in.
pub(crate) struct Http {
    client: HttpClient,
}

/// An answer in JSON, or null for another body.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
}

impl Reply {
    /// Returns the error in the shape of OAuth (RFC 6749, 5.2), with its description, or the status.
    pub(crate) fn error(&self) -> String {
        match (self.body["error"].as_str(), self.body["error_description"].as_str()) {
            (Some(error), Some(description)) => format!("{error}: {description}"),
            (Some(error), None) => error.to_owned(),
            _ => self.body["error"]["message"].as_str().map_or_else(|| self.status.to_string(), str::to_owned),
        }
    }
}

impl Http {
    /// Creates the client. See [`connect`].
    ///
    /// # Errors
    /// Those of [`connect`].
    pub(crate) fn new(ca_file: Option<&Path>) -> Result<Self> {
        Ok(Self { client: connect(ca_file, REQUEST_TIMEOUT)? })
    }

    /// Sends a GET.
    ///
    /// # Errors
    /// Fails if there is no answer, or its body is too long.
    pub(crate) async fn get(&self, address: &str) -> Result<Reply> {
        self.send(Request::builder().method(Method::GET), address, Vec::new()).await
    }

    /// Sends a GET with a token of the catalog.
    ///
    /// # Errors
    /// Those of [`Self::get`].
    pub(crate) async fn get_with(&self, address: &str, token: &Secret<String>) -> Result<Reply> {
        let mut bearer =
            HeaderValue::try_from(format!("Bearer {}", token.expose())).context("the token is not text")?;
        bearer.set_sensitive(true);
        self.send(Request::builder().method(Method::GET).header(AUTHORIZATION, bearer), address, Vec::new()).await
    }

    /// Sends a form.
    ///
    /// # Errors
    /// Those of [`Self::get`].
    pub(crate) async fn post(&self, address: &str, form: &[(&str, &str)]) -> Result<Reply> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = Request::builder().method(Method::POST).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request, address, body.into_bytes()).await
    }

    async fn send(&self, request: http::request::Builder, address: &str, body: Vec<u8>) -> Result<Reply> {
        let request = request.uri(address).header(ACCEPT, "application/json").body(body.into());
        let request = request.with_context(|| format!("'{address}' is not a valid address"))?;
        let answer = self.client.execute(request).await.with_context(|| format!("{address} does not answer"))?;
        let (parts, body) = answer.into_parts();
        let bytes = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        let bytes = bytes.map_err(|error| anyhow::anyhow!("the answer of {address} broke off: {error}"))?.to_bytes();
        Ok(Reply { status: parts.status, body: serde_json::from_slice(&bytes).unwrap_or_default() })
    }
}

/// Returns whether nobody else can read requests to the address: it has https, or is on this machine.
pub(crate) fn is_private(address: &str) -> bool {
    let Ok(url) = Url::parse(address) else { return false };
    let is_here = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && is_here)
}

/// Fails unless tokens may be sent to the provider's address.
///
/// # Errors
/// Fails if others can read the request.
pub(super) fn check_is_private(address: &str) -> Result<()> {
    ensure!(
        is_private(address),
        "the identity provider's address {address} has no https: tokens are sent without encryption only to this machine"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tokens_are_sent_with_https_or_to_this_machine() {
        for address in ["https://id.example.com/x", "http://127.0.0.1:8080/", "http://[::1]/", "http://localhost:1/a"] {
            check_is_private(address).unwrap();
        }
        for address in ["http://id.example.com/", "http://10.0.0.7/", "ftp://127.0.0.1/", "id.example.com"] {
            assert!(check_is_private(address).is_err(), "{address}");
        }
    }

    #[test]
    fn error_of_a_reply_is_that_of_oauth_or_of_the_catalog_or_the_status() {
        let reply = |body| Reply { status: StatusCode::BAD_REQUEST, body };
        assert_eq!(reply(json!({ "error": "a", "error_description": "b" })).error(), "a: b");
        assert_eq!(reply(json!({ "error": "a" })).error(), "a");
        assert_eq!(reply(json!({ "error": { "message": "c" } })).error(), "c");
        assert_eq!(reply(Value::Null).error(), "400 Bad Request");
    }
}
