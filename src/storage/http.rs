//! The HTTP client of stores and of clouds' token services. In a traced request, each request to them is a span, and has the headers
//! that continue the trace.

use async_trait::async_trait;
use http::Uri;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};

use crate::base::trace::{self, Kind, Span};

/// Creates clients whose requests take part in traces. Signatures stay valid: they cover neither of the added headers.
#[derive(Debug, Default)]
pub struct TracedConnector;

impl HttpConnector for TracedConnector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Traced(ReqwestConnector::default().connect(options)?)))
    }
}

#[derive(Debug)]
struct Traced(HttpClient);

#[async_trait]
impl HttpService for Traced {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let Some(context) = trace::current() else { return self.0.execute(request).await };
        let mut span = context.span("request", Kind::Client);
        if let Some(span) = &mut span {
            describe(span, &request);
        }
        span.as_ref().map_or(&context, Span::context).add_headers(request.headers_mut());
        let answered = self.0.execute(request).await;
        if let Some(mut span) = span {
            match &answered {
                Ok(response) => {
                    let status = response.status();
                    span.set("http.response.status_code", status.as_u16());
                    if status.is_client_error() || status.is_server_error() {
                        span.fail(status.as_str().to_owned());
                    }
                }
                Err(error) => span.fail(format!("{:?}", error.kind()).to_lowercase()),
            }
            span.end();
        }
        answered
    }
}

/// Describes a request by the conventions of OpenTelemetry.
fn describe(span: &mut Span, request: &HttpRequest) {
    let (method, uri) = (request.method().as_str(), request.uri());
    span.rename(method.to_owned());
    span.set("http.request.method", method.to_owned());
    span.set("url.full", without_secrets(uri));
    if let Some(host) = uri.host() {
        span.set("server.address", host.to_owned());
        let default = if uri.scheme_str() == Some("http") { 80 } else { 443 };
        span.set("server.port", uri.port_u16().unwrap_or(default));
    }
}

/// Returns an address without its user and query, which can have a key or a signature.
fn without_secrets(uri: &Uri) -> String {
    let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{}://{host}{}", uri.scheme_str().unwrap_or("https"), uri.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_in_a_span_has_no_secret() {
        let uri: Uri = "https://user:password@account.example.com:8443/c/o?sig=secret".parse().unwrap();
        assert_eq!(without_secrets(&uri), "https://account.example.com:8443/c/o");
    }
}
