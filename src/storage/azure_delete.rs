//! Removes an object on Azure by a request of its own. The library removes in batches, which are asked of the container: what
//! may reach one folder only may not ask for them.

use std::sync::Arc;

use http::StatusCode;
use object_store::azure::{AzureAuthorizer, MicrosoftAzure};
use object_store::client::{HttpClient, HttpConnector, HttpRequestBody, ReqwestConnector};
use object_store::path::Path;
use object_store::{ClientOptions, Error};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// Removes objects of one container, one at a time.
#[derive(Debug, Clone)]
pub(super) struct SingleDelete {
    client: HttpClient,
    /// The address of the container.
    container: Arc<str>,
    account: Arc<str>,
}

impl SingleDelete {
    /// For the container `container` of `account`, whose blob service is at `endpoint`.
    ///
    /// # Errors
    /// When a client cannot be made.
    pub(super) fn new(
        endpoint: &str,
        account: &str,
        container: &str,
        options: &ClientOptions,
    ) -> object_store::Result<Self> {
        let client = ReqwestConnector::default().connect(options)?;
        Ok(Self { client, container: format!("{endpoint}/{container}").into(), account: account.into() })
    }

    /// Removes an object, signed in as `store` is; it is no error when there is none.
    ///
    /// # Errors
    /// `PermissionDenied`; `Generic`.
    pub(super) async fn delete(&self, store: &MicrosoftAzure, path: &Path) -> object_store::Result<()> {
        let failed =
            |source: Box<dyn std::error::Error + Send + Sync>| Error::Generic { store: "MicrosoftAzure", source };
        let name: Vec<String> =
            path.as_ref().split('/').map(|part| utf8_percent_encode(part, NON_ALPHANUMERIC).to_string()).collect();
        let request = http::Request::delete(format!("{}/{}", self.container, name.join("/")));
        let mut request = request.body(HttpRequestBody::empty()).map_err(|error| failed(error.into()))?;
        let credential = store.credentials().get_credential().await?;
        AzureAuthorizer::new(&credential, &self.account).try_authorize(&mut request)?;
        let answer = self.client.execute(request).await.map_err(|error| failed(error.into()))?;
        match answer.status() {
            status if status.is_success() || status == StatusCode::NOT_FOUND => Ok(()),
            status @ (StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED) => {
                Err(Error::PermissionDenied { path: path.to_string(), source: status.to_string().into() })
            }
            status => Err(failed(status.to_string().into())),
        }
    }
}
