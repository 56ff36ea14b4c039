//! A server on another machine, or of another user.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use clap::Args;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Uri};
use object_store::client::{HttpClient, HttpConnector as _, ReqwestConnector};
use object_store::{Certificate, ClientOptions};

use super::answer::{Answer, answer};

/// How long to wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(300);

/// The environment variable with the key. There is no option for it: other users can see a process's arguments.
const API_KEY: &str = "TIDEWATER_API_KEY";

/// Options for a remote server.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RemoteArguments {
    /// Work on the server at this address, with the key in TIDEWATER_API_KEY
    #[arg(long, global = true, env = "TIDEWATER_URI", value_name = "URI", help_heading = "Everywhere")]
    pub(crate) uri: Option<String>,

    /// Also trust the certificates in this file (PEM), for a server behind TLS
    #[arg(long, global = true, env = "TIDEWATER_CA_FILE", value_name = "FILE", help_heading = "Everywhere")]
    pub(crate) ca_file: Option<PathBuf>,
}

/// A remote server.
pub(super) struct Remote {
    uri: String,
    authorization: HeaderValue,
    client: HttpClient,
}

impl Remote {
    pub(super) fn new(arguments: &RemoteArguments) -> Result<Self> {
        let uri = arguments.uri.as_deref().unwrap_or_default().trim_end_matches('/').to_owned();
        let scheme = uri.parse::<Uri>().ok().and_then(|uri| uri.scheme_str().map(str::to_owned));
        if !matches!(scheme.as_deref(), Some("http" | "https")) {
            bail!("'{uri}' is not the address of a server: write it as https://catalog.example.com");
        }
        let key = std::env::var(API_KEY).unwrap_or_default();
        if key.is_empty() {
            bail!("a remote server needs a key: set {API_KEY} to an operator's key or to a key with the role admin");
        }
        let mut authorization = HeaderValue::try_from(format!("Bearer {key}"))
            .ok()
            .with_context(|| format!("{API_KEY} is not an API key"))?;
        authorization.set_sensitive(true);
        let mut options = ClientOptions::new()
            .with_connect_timeout(CONNECT_TIMEOUT)
            .with_timeout(REQUEST_TIMEOUT)
            .with_allow_http(scheme.as_deref() == Some("http"));
        if let Some(file) = &arguments.ca_file {
            let pem = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            let certificates = Certificate::from_pem_bundle(&pem);
            let certificates = certificates.unwrap_or_default();
            ensure!(!certificates.is_empty(), "{} has no certificate in PEM", file.display());
            for certificate in certificates {
                options = options.with_root_certificate(certificate);
            }
        }
        let client = ReqwestConnector::default().connect(&options).context("cannot make a client for HTTP")?;
        Ok(Self { uri, authorization, client })
    }

    pub(super) fn uri(&self) -> &str {
        &self.uri
    }

    pub(super) async fn send(&self, request: Request<Bytes>) -> Result<Answer> {
        let (mut parts, body) = request.into_parts();
        let address = format!("{}{}", self.uri, parts.uri);
        parts.uri = address.parse().with_context(|| format!("'{address}' is not a valid address"))?;
        parts.headers.insert(AUTHORIZATION, self.authorization.clone());
        let response = self.client.execute(Request::from_parts(parts, body.into())).await;
        Ok(answer(response.map_err(|error| self.unreachable(error.into()))?))
    }

    /// Adds what to do to the error of a request that got no answer.
    fn unreachable(&self, error: anyhow::Error) -> anyhow::Error {
        let uri = &self.uri;
        let is_untrusted = error.chain().any(|cause| cause.to_string().contains("invalid peer certificate"));
        error.context(match is_untrusted {
            true => format!(
                "the certificate of {uri} is not trusted: if a private authority signed it, name the authority's certificate with \
                 --ca-file"
            ),
            false => format!("{uri} does not answer"),
        })
    }
}
