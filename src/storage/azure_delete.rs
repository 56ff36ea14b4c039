//! Removes single objects on Azure. The library removes even one object by a batch. A batch is a request to the container, so
//! credentials for one folder do not allow it. It is billed in addition to each removal in it. And Microsoft documents no version
//! of the service in which accounts with a hierarchical namespace accept batches (at first they did not).

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use object_store::azure::{AzureAuthorizer, MicrosoftAzure};
use object_store::client::{HttpClient, HttpConnector, HttpRequest, HttpRequestBody};
use object_store::path::Path;
use object_store::{ClientOptions, Error};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::Budget;
use super::http::TracedConnector;

/// The pause before the second attempt of a removal. It doubles before each further attempt.
const PAUSE: Duration = Duration::from_millis(100);

/// Removes objects of one container, one at a time.
#[derive(Debug, Clone)]
pub(super) struct SingleDelete {
    client: HttpClient,
    /// The address of the container.
    container: Arc<str>,
    account: Arc<str>,
    budget: Budget,
}

impl SingleDelete {
    /// Creates a remover for the container `container` of `account`, whose blob service is at `endpoint`.
    ///
    /// # Errors
    /// Fails if an HTTP client cannot be created.
    pub(super) fn new(
        endpoint: &str,
        account: &str,
        container: &str,
        options: &ClientOptions,
        budget: Budget,
    ) -> object_store::Result<Self> {
        let client = TracedConnector.connect(options)?;
        Ok(Self { client, container: format!("{endpoint}/{container}").into(), account: account.into(), budget })
    }

    /// Removes an object with the credentials of `store`. A missing object is no error.
    ///
    /// # Errors
    /// `PermissionDenied`; `Generic` when every attempt had no answer or failed in the service.
    pub(super) async fn delete(&self, store: &MicrosoftAzure, path: &Path) -> object_store::Result<()> {
        let begun = Instant::now();
        let (mut tries_left, mut pause) = (Budget::RETRIES, PAUSE);
        loop {
            // Built again for each attempt: its signature has a time, and a token may have expired meanwhile.
            let asked = self.request(store, path).await?;
            let said = match self.client.execute(asked).await {
                Ok(answer) => match answer.status() {
                    status if status.is_success() || status == StatusCode::NOT_FOUND => return Ok(()),
                    status @ (StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED) => {
                        let source = status.to_string().into();
                        return Err(Error::PermissionDenied { path: path.to_string(), source });
                    }
                    status if is_transient(status) => failed(status.to_string()),
                    status => return Err(failed(status.to_string())),
                },
                Err(error) => failed(error),
            };
            if tries_left == 0 || begun.elapsed() >= self.budget.retry_timeout {
                return Err(said);
            }
            tokio::time::sleep(pause).await;
            (tries_left, pause) = (tries_left - 1, pause * 2);
        }
    }

    async fn request(&self, store: &MicrosoftAzure, path: &Path) -> object_store::Result<HttpRequest> {
        let name: Vec<String> =
            path.as_ref().split('/').map(|part| utf8_percent_encode(part, NON_ALPHANUMERIC).to_string()).collect();
        let request = http::Request::delete(format!("{}/{}", self.container, name.join("/")));
        let mut request = request.body(HttpRequestBody::empty()).map_err(failed)?;
        let credential = store.credentials().get_credential().await?;
        AzureAuthorizer::new(&credential, &self.account).try_authorize(&mut request)?;
        Ok(request)
    }
}

fn is_transient(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
}

fn failed(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Generic { store: "MicrosoftAzure", source: source.into() }
}
