//! The commands' client of the management API, with three transports.
//!
//! It reaches a server on the data folder over its Unix socket, and a remote server over HTTP with a key. If no server runs,
//! it locks the data folder or connects to the PostgreSQL database, and the same routes answer in this process.

mod answer;
mod local;
mod remote;

use anyhow::{Context as _, Result, anyhow, ensure};
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;

use answer::Answer;
pub(crate) use local::Database;
use local::Local;
use remote::Remote;
pub(crate) use remote::RemoteArguments;
use tidewater::config::Config;

/// The maximum size of one answer, or of one line of a streamed answer, in bytes.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// The number of objects per page.
const PAGE_SIZE: u32 = 1_000;

/// The server's refusal of a request.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refused {
    /// The status of the answer.
    pub(crate) status: StatusCode,
    /// The error's type, such as `NoSuchWarehouseException`.
    pub(crate) kind: String,
    /// The error's message, for people.
    pub(crate) message: String,
}

impl Refused {
    /// Parses an error in Iceberg's shape.
    pub(crate) fn parse(body: &Value) -> Option<Self> {
        let error = &body["error"];
        let code = error["code"].as_u64().and_then(|code| u16::try_from(code).ok());
        Some(Self {
            status: code.and_then(|code| StatusCode::from_u16(code).ok())?,
            kind: error["type"].as_str()?.to_owned(),
            message: error["message"].as_str()?.to_owned(),
        })
    }
}

/// A client of one catalog.
pub(crate) struct Client {
    way: Way,
}

enum Way {
    /// The catalog of a data folder on this machine.
    Local(Box<Local>),
    /// A remote server over HTTP.
    Remote(Box<Remote>),
}

impl Client {
    /// Returns the client of a remote catalog.
    ///
    /// # Errors
    /// Fails if the address or a credential is missing, a sign-in cannot be renewed, or a certificate cannot be read.
    pub(crate) async fn remote(arguments: &RemoteArguments) -> Result<Self> {
        Ok(Self { way: Way::Remote(Box::new(Remote::new(arguments).await?)) })
    }

    /// Returns the client of the catalog in a data folder. Uses the server that runs there, or else answers in this process.
    ///
    /// # Errors
    /// Fails if there is no catalog, or a server has the lock and cannot be reached.
    pub(crate) async fn local(config: Config, database: Database) -> Result<Self> {
        Ok(Self { way: Way::Local(Box::new(Local::open(config, database).await?)) })
    }

    /// Returns the client of the server that runs on a data folder.
    ///
    /// # Errors
    /// Fails if no server runs, or it cannot be reached.
    pub(crate) fn server(config: Config) -> Result<Self> {
        Ok(Self { way: Way::Local(Box::new(Local::server(config)?)) })
    }

    /// Returns the catalog's name for messages: `data folder /srv/tide`, its database, or its address.
    pub(crate) fn catalog(&self) -> String {
        match &self.way {
            Way::Local(local) => match local.config().data_folder() {
                Some(folder) => format!("data folder {}", folder.display()),
                None => format!("database {}", local.config().store.url),
            },
            Way::Remote(remote) => remote.uri().to_owned(),
        }
    }

    /// Returns the settings of a catalog on this machine, or `None` for a remote one.
    pub(crate) fn config(&self) -> Option<&Config> {
        match &self.way {
            Way::Local(local) => Some(local.config()),
            Way::Remote(_) => None,
        }
    }

    /// Returns whether requests are answered in this process.
    pub(crate) fn is_in_process(&self) -> bool {
        matches!(&self.way, Way::Local(local) if local.is_in_process())
    }

    /// Sends a GET. Returns the JSON of its answer.
    ///
    /// # Errors
    /// [`Refused`], or if the catalog cannot be reached.
    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        self.send(Method::GET, path, None).await
    }

    /// Sends a GET. Returns the JSON of its answer, or `None` for status 404.
    ///
    /// # Errors
    /// [`Refused`] for other statuses, or if the catalog cannot be reached.
    pub(crate) async fn find(&self, path: &str) -> Result<Option<Value>> {
        match self.get(path).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if has_status(&error, StatusCode::NOT_FOUND) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends a POST with a JSON body. Returns the JSON of its answer.
    ///
    /// # Errors
    /// Those of [`Self::get`].
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.send(Method::POST, path, Some(body)).await
    }

    /// Sends a request. Returns the JSON of its answer, or null for an empty one.
    ///
    /// # Errors
    /// Those of [`Self::get`].
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let body = self.answer(method, path, body).await?.into_body();
        let limited = http_body_util::Limited::new(body, MAX_ANSWER_BYTES);
        let bytes = limited.collect().await.map_err(|error| anyhow!("the answer broke off: {error}"))?.to_bytes();
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).context("the answer is not JSON: check that the address is a Tidewater server")
    }

    /// Returns all objects of a paged list. `field` is the field of the list in each page.
    ///
    /// # Errors
    /// Those of [`Self::get`].
    pub(crate) async fn list(&self, path: &str, field: &str) -> Result<Vec<Value>> {
        self.list_at_most(path, field, usize::MAX).await
    }

    /// Returns the first `at_most` objects of a paged list. See [`Self::list`].
    ///
    /// # Errors
    /// Those of [`Self::get`].
    pub(crate) async fn list_at_most(&self, path: &str, field: &str, at_most: usize) -> Result<Vec<Value>> {
        let mut all = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let size = u32::try_from(at_most - all.len()).unwrap_or(PAGE_SIZE).min(PAGE_SIZE);
            let mut answer = self.get(&page_path(path, Some(size), token.as_deref())).await?;
            if let Value::Array(items) = answer[field].take() {
                all.extend(items);
            }
            token = answer["next-page-token"].as_str().map(str::to_owned);
            if token.is_none() || all.len() >= at_most {
                all.truncate(at_most);
                return Ok(all);
            }
        }
    }

    /// Sends a POST, and calls `take` with each line of its streamed answer.
    ///
    /// # Errors
    /// Those of [`Self::get`] and of `take`.
    pub(crate) async fn lines(
        &self,
        path: &str,
        body: &Value,
        mut take: impl FnMut(Value) -> Result<()>,
    ) -> Result<()> {
        let mut body = self.answer(Method::POST, path, Some(body)).await?.into_body();
        let mut rest = BytesMut::new();
        loop {
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line = rest.split_to(end + 1);
                if !line.trim_ascii().is_empty() {
                    take(serde_json::from_slice(&line).context("a line of the answer is not JSON")?)?;
                }
            }
            ensure!(rest.len() <= MAX_ANSWER_BYTES, "a line of the answer is too long");
            match body.frame().await.transpose().context("the answer broke off")? {
                Some(frame) => rest.extend_from_slice(frame.data_ref().map_or(&[][..], |data| &data[..])),
                None => return Ok(()),
            }
        }
    }

    async fn answer(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let mut request = Request::builder().method(method).uri(path);
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(bytes).context("a name has characters that are not allowed in an address")?;
        let response = match &self.way {
            Way::Local(local) => local.send(request).await?,
            Way::Remote(remote) => remote.send(request).await?,
        };
        if response.status().is_success() { Ok(response) } else { Err(refused(response).await) }
    }
}

/// Reads an error in Iceberg's shape.
async fn refused(response: Answer) -> anyhow::Error {
    let status = response.status();
    let body = http_body_util::Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
    let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let error: Value = serde_json::from_slice(&body).unwrap_or_default();
    let refused = match Refused::parse(&error) {
        Some(refused) => Refused { status, ..refused },
        None => Refused { status, kind: String::new(), message: format!("the catalog answered {status}") },
    };
    refused.into()
}

/// Returns the refusal in an error, if it is one.
pub(crate) fn refusal(error: &anyhow::Error) -> Option<&Refused> {
    error.downcast_ref()
}

/// Returns whether an error is a refusal with that status.
pub(crate) fn has_status(error: &anyhow::Error, status: StatusCode) -> bool {
    refusal(error).is_some_and(|refused| refused.status == status)
}

/// Replaces the message of a refusal. Other errors stay as they are.
pub(crate) fn with_message(error: anyhow::Error, message: impl FnOnce(&Refused) -> String) -> anyhow::Error {
    match error.downcast::<Refused>() {
        Ok(refused) => Refused { message: message(&refused), ..refused }.into(),
        Err(other) => other,
    }
}

/// Returns the error for an object that is not in a list of the catalog. It has the type that the catalog answers.
pub(crate) fn not_found(kind: &str, message: String) -> anyhow::Error {
    Refused { status: StatusCode::NOT_FOUND, kind: kind.to_owned(), message }.into()
}

/// The type of the catalog's error for an object that does not exist.
pub(crate) const NOT_FOUND: &str = "NotFoundException";

/// The type of the catalog's error for a warehouse that does not exist.
pub(crate) const NO_SUCH_WAREHOUSE: &str = "NoSuchWarehouseException";

/// Percent-encodes a name for a path segment or a query parameter.
pub(crate) fn encoded(name: &str) -> String {
    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Returns a path with those query parameters that have a value.
pub(crate) fn with_parameters<'a>(
    path: &str,
    parameters: impl IntoIterator<Item = (&'a str, Option<String>)>,
) -> String {
    let given = parameters.into_iter().filter_map(|(name, value)| Some((name, value?)));
    given.fold(path.to_owned(), |path, (name, value)| {
        let separator = if path.contains('?') { '&' } else { '?' };
        format!("{path}{separator}{name}={}", encoded(&value))
    })
}

/// Returns the path of a page of a list. Spells the parameters `pageSize` and `pageToken`, as in the REST specification.
pub(crate) fn page_path(path: &str, size: Option<u32>, token: Option<&str>) -> String {
    let (size, token) = (size.map(|size| size.to_string()), token.map(str::to_owned));
    with_parameters(path, [("pageSize", size), ("pageToken", token)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_of_a_page_has_the_size_and_the_encoded_token() {
        assert_eq!(page_path("/keys", Some(7), None), "/keys?pageSize=7");
        assert_eq!(page_path("/keys?a=b", Some(7), Some("x=")), "/keys?a=b&pageSize=7&pageToken=x%3D");
        assert_eq!(page_path("/tables/check", None, Some("x")), "/tables/check?pageToken=x");
    }
}
