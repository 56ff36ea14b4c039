//! A server on another machine, or of another user.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use clap::Args;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Uri};
use object_store::client::HttpClient;
use tidewater::base::secret::Secret;

use super::answer::{Answer, answer};
use crate::cli::sign_in::{bearer_for, connect};

/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(300);

/// The environment variable with the key. There is no option for it: other users can see a process's arguments.
const API_KEY: &str = "TIDEWATER_API_KEY";

/// Options for a remote server.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RemoteArguments {
    /// Work on the server at this address, with the key in TIDEWATER_API_KEY or the sign-in of `tidewater login`
    #[arg(long, global = true, env = "TIDEWATER_URI", value_name = "URI", help_heading = "Everywhere")]
    pub(crate) uri: Option<String>,

    /// Also trust the certificates in this file (PEM), for a server behind TLS
    #[arg(long, global = true, env = "TIDEWATER_CA_FILE", value_name = "FILE", help_heading = "Everywhere")]
    pub(crate) ca_file: Option<PathBuf>,
}

impl RemoteArguments {
    /// Returns the server's address without a slash at its end.
    ///
    /// # Errors
    /// Fails if it is missing or is no address.
    pub(crate) fn address(&self) -> Result<&str> {
        let uri = self.uri.as_deref().unwrap_or_default().trim_end_matches('/');
        let scheme = uri.parse::<Uri>().ok().and_then(|uri| uri.scheme_str().map(str::to_owned));
        if !matches!(scheme.as_deref(), Some("http" | "https")) {
            bail!("'{uri}' is not the address of a server: write it as https://catalog.example.com");
        }
        Ok(uri)
    }
}

/// A remote server.
pub(super) struct Remote {
    uri: String,
    authorization: HeaderValue,
    client: HttpClient,
}

impl Remote {
    pub(super) async fn new(arguments: &RemoteArguments) -> Result<Self> {
        let uri = arguments.address()?.to_owned();
        let ca_file = arguments.ca_file.as_deref();
        let key = std::env::var(API_KEY).unwrap_or_default();
        let credential = match key.is_empty() {
            false => Some(Secret::new(key)),
            true => bearer_for(&uri, ca_file).await?,
        };
        let Some(credential) = credential else {
            bail!(
                "a remote server needs a credential: run `tidewater login --uri {uri}`, or set {API_KEY} to an operator's key or \
                 to a key with the role admin"
            );
        };
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", credential.expose()))
            .ok()
            .with_context(|| format!("{API_KEY} is not an API key"))?;
        authorization.set_sensitive(true);
        Ok(Self { uri, authorization, client: connect(ca_file, REQUEST_TIMEOUT)? })
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
