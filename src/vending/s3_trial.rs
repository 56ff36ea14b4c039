//! Tests with real requests to the store whether signatures work, and whether they permit only the signed request.

use http::StatusCode;
use object_store::client::{HttpRequest, HttpRequestBody};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tidewater_core::location::Location;
use tidewater_core::storage::s3_request::S3Request;

use super::s3_signing::S3Signer;
use super::service::Service;
use super::{Access, ValidLocations};
use crate::storage::Budget;

/// The characters that S3 clients encode in object names.
const IN_NAMES: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The objects of the test: a folder in place of a table, and an object of another table.
#[derive(Debug, Clone, Copy)]
pub struct SigningTrial<'a> {
    /// The folder.
    pub locations: &'a ValidLocations,
    /// An object in it.
    pub there: &'a Location,
    /// An object that does not exist. The test may leave it behind.
    pub new: &'a Location,
    /// An object of another table.
    pub other: &'a Location,
}

impl S3Signer<'_> {
    /// Sends signed requests as a client does: a read, a write, and a write that was changed to a copy of another table's file
    /// after it was signed.
    ///
    /// # Errors
    /// Returns the fault and its remedy as text.
    pub(super) async fn try_signing(
        &self,
        trial: &SigningTrial<'_>,
        budget: Budget,
        now_ms: i64,
    ) -> Result<(), String> {
        let client =
            Service::new("The store", &self.address(trial.there), budget).map_err(|error| error.to_string())?;
        let send = async |method: &str, at: &Location, added: Option<String>| {
            let request = self.signed_request(trial.locations, (method, at), added, now_ms).await?;
            client.send(request).await.map(|(status, _)| status).map_err(|error| error.to_string())
        };
        let expect = |what: &str, status: StatusCode, advice: &str| {
            if status.is_success() {
                Ok(())
            } else {
                Err(format!("a signed request to {what} got the answer {status}{advice}"))
            }
        };
        expect("read", send("GET", trial.there, None).await?, ": check the region and the endpoint")?;
        let source = format!("/{}{}", trial.other.authority(), utf8_percent_encode(trial.other.path(), IN_NAMES));
        let copied = send("PUT", trial.new, Some(source)).await?;
        if copied.is_success() {
            return Err(
                "the store obeys headers that are not signed: a client with a signature for its own table could copy \
                        another table's files. Set `remote-signing = false`"
                    .to_owned(),
            );
        }
        let advice = ": the store does not accept the condition that stops a client from changing a signed write to a copy. \
                      Set `remote-signing = false`";
        expect("write", send("PUT", trial.new, None).await?, advice)
    }

    /// Builds a signed request, with the header of a copy added after signing if `copy_source` is set.
    async fn signed_request(
        &self,
        locations: &ValidLocations,
        (method, at): (&str, &Location),
        copy_source: Option<String>,
        now_ms: i64,
    ) -> Result<HttpRequest, String> {
        let uri = self.address(at);
        let request = S3Request { method, uri: &uri, headers: &[], body: None };
        let signed = self.sign(locations, Access::ReadWrite, &request, now_ms).await;
        let signed = signed.map_err(|error| error.to_string())?;
        let mut request = http::Request::builder().method(method).uri(&uri);
        for (name, values) in &signed.headers {
            request = request.header(name, values.join(","));
        }
        if let Some(source) = copy_source {
            request = request.header("x-amz-copy-source", source);
        }
        let body = if method == "PUT" { "tidewater" } else { "" };
        request.body(HttpRequestBody::from(body.to_owned())).map_err(|error| error.to_string())
    }

    /// Returns the URL of an object.
    fn address(&self, at: &Location) -> String {
        let (bucket, key) = (at.authority(), utf8_percent_encode(at.path(), IN_NAMES));
        let region = &self.profile.region;
        match self.profile.endpoint.as_deref().map(|endpoint| endpoint.trim_end_matches('/')) {
            Some(endpoint) if self.profile.path_style => format!("{endpoint}/{bucket}{key}"),
            Some(endpoint) => {
                let (scheme, host) = endpoint.split_once("://").unwrap_or(("https", endpoint));
                format!("{scheme}://{bucket}.{host}{key}")
            }
            None => {
                let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
                format!("https://{bucket}.s3.{region}.amazonaws.com{suffix}{key}")
            }
        }
    }
}
