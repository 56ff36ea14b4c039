//! Sends requests to a cloud's service, and repeats those that failed for a passing reason.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt;
use object_store::ClientOptions;
use object_store::client::{HttpClient, HttpConnector, HttpRequest};

use super::VendingError;
use crate::storage::{Budget, TracedConnector};

/// The most attempts for a request.
const TRIES: u32 = 3;

/// A cloud's service that issues credentials.
#[derive(Debug, Clone)]
pub(super) struct Service {
    name: &'static str,
    client: HttpClient,
    /// No further attempt begins later than this after the first.
    retry_timeout: Duration,
}

impl Service {
    /// Creates a client of the service at `endpoint`. Messages use `name`.
    ///
    /// # Errors
    /// Fails if an HTTP client cannot be created, for example without root certificates.
    pub(super) fn new(name: &'static str, endpoint: &str, budget: Budget) -> Result<Self, object_store::Error> {
        let options = ClientOptions::new()
            .with_connect_timeout(budget.connect_timeout)
            .with_timeout(budget.request_timeout)
            .with_allow_http(endpoint.starts_with("http://"));
        Ok(Self { name, client: TracedConnector.connect(&options)?, retry_timeout: budget.retry_timeout })
    }

    /// Sends a repeatable request and returns the body of the answer. `make` builds the request again for each attempt, since a
    /// signature has a time.
    ///
    /// # Errors
    /// `Unavailable` if the last attempt got no answer, a status of 500 or above, or 429; `Refused` for any other status. Both
    /// have the message that `explain` finds in the answer. Also the errors of `make`.
    pub(super) async fn ask<F>(
        &self,
        make: impl Fn() -> F,
        explain: impl Fn(&[u8]) -> Option<String>,
    ) -> Result<Bytes, VendingError>
    where
        F: Future<Output = Result<HttpRequest, VendingError>>,
    {
        let begun = Instant::now();
        let mut pause = Duration::from_millis(100);
        let mut tried = 1;
        loop {
            let answer = self.send(make().await?).await;
            let is_transient = match &answer {
                Ok((status, _)) => status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS,
                Err(_) => true,
            };
            if is_transient && tried < TRIES && begun.elapsed() < self.retry_timeout {
                tokio::time::sleep(pause).await;
                (tried, pause) = (tried + 1, pause * 3);
                continue;
            }
            let (status, body) = answer?;
            if status.is_success() {
                return Ok(body);
            }
            let message = explain(&body).unwrap_or_else(|| status.to_string());
            return Err(if is_transient { self.unavailable(message) } else { self.refused(message) });
        }
    }

    /// Sends a request once. Returns the answer's status, whatever it is, and its body.
    ///
    /// # Errors
    /// `Unavailable` if there is no answer.
    pub(super) async fn send(&self, request: HttpRequest) -> Result<(StatusCode, Bytes), VendingError> {
        let failed = |error: &dyn std::error::Error| self.unavailable(chain(error));
        let response = self.client.execute(request).await.map_err(|error| failed(&error))?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| failed(&error))?;
        Ok((parts.status, body.to_bytes()))
    }

    /// Creates the error of a refusal by the service.
    pub(super) fn refused(&self, message: impl Into<String>) -> VendingError {
        VendingError::Refused { service: self.name, message: message.into() }
    }

    /// Creates the error of a failure of the service.
    pub(super) fn unavailable(&self, message: impl Into<String>) -> VendingError {
        VendingError::Unavailable { service: self.name, message: message.into() }
    }
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
