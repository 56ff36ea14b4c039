//! Sends encoded spans to an OpenTelemetry collector, by gRPC or HTTP.
//!
//! OTLP over gRPC is one message in a POST over HTTP/2, with the outcome in the trailers. That is little enough to need no gRPC
//! library (decision 0074).

use std::path::Path;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::BodyExt;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, TE};
use reqwest::redirect::Policy;
use reqwest::{Body, Certificate, Client, StatusCode, Url};

use crate::base::named_file;
use crate::config::{TracesConfig, TracesProtocol, pairs};

/// The largest answer of a collector that is read.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// The longest message of a collector that is logged, in characters.
const MAX_MESSAGE: usize = 200;

/// The method of the collector's gRPC service.
const GRPC_METHOD: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// The path of the collector's HTTP service.
const HTTP_PATH: &str = "/v1/traces";

/// Why a collector did not take spans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NotSent {
    pub(super) why: String,
    /// Whether the same spans may be sent again, and after which pause at the least.
    pub(super) again_after: Option<Duration>,
}

impl NotSent {
    fn passing(why: impl Into<String>) -> Self {
        Self { why: why.into(), again_after: Some(Duration::ZERO) }
    }

    fn lasting(why: impl Into<String>) -> Self {
        Self { why: why.into(), again_after: None }
    }
}

/// A client of a collector.
#[derive(Debug)]
pub(super) struct Collector {
    client: Client,
    address: Url,
    protocol: TracesProtocol,
    headers: HeaderMap,
}

impl Collector {
    /// Creates a client. Sends nothing.
    ///
    /// # Errors
    /// Fails if a file cannot be read, or a header or the address is not valid. The message is for people.
    pub(super) fn new(config: &TracesConfig) -> Result<Self, String> {
        let mut address = Url::parse(&config.endpoint).map_err(|error| format!("traces.endpoint: {error}"))?;
        let path = address.path().trim_end_matches('/').to_owned();
        let mut builder = Client::builder()
            .redirect(Policy::none())
            .connect_timeout(config.timeout())
            .timeout(config.timeout())
            .tls_certs_merge(certificates(&config.ca_file)?);
        match config.protocol {
            TracesProtocol::Grpc => {
                address.set_path(&format!("{path}{GRPC_METHOD}"));
                builder = builder.http2_prior_knowledge();
            }
            TracesProtocol::Http if path.ends_with(HTTP_PATH) => {}
            TracesProtocol::Http => address.set_path(&format!("{path}{HTTP_PATH}")),
        }
        let client = builder.build().map_err(|error| chain(&error))?;
        Ok(Self { client, address, protocol: config.protocol, headers: headers(config)? })
    }

    /// Sends encoded spans. Returns the body of the answer.
    ///
    /// # Errors
    /// Why the collector did not take them.
    pub(super) async fn send(&self, request: Vec<u8>) -> Result<Bytes, NotSent> {
        match self.protocol {
            TracesProtocol::Grpc => self.send_by_grpc(request).await,
            TracesProtocol::Http => self.send_by_http(request).await,
        }
    }

    async fn send_by_http(&self, request: Vec<u8>) -> Result<Bytes, NotSent> {
        let (status, headers, body, _) = self.post("application/x-protobuf", request.into()).await?;
        if status.is_success() {
            return Ok(body);
        }
        let why = format!("status {status}");
        match status.as_u16() {
            429 | 502 | 503 | 504 => Err(NotSent { why, again_after: Some(pause(&headers)) }),
            _ => Err(NotSent::lasting(why)),
        }
    }

    /// Sends one message as gRPC does (gRPC over HTTP2, "Requests" and "Responses").
    async fn send_by_grpc(&self, request: Vec<u8>) -> Result<Bytes, NotSent> {
        let mut framed = BytesMut::with_capacity(request.len() + 5);
        framed.put_u8(0);
        framed.put_u32(u32::try_from(request.len()).map_err(|_| NotSent::lasting("the message is too long"))?);
        framed.extend_from_slice(&request);
        let (status, headers, body, trailers) = self.post("application/grpc", framed.freeze()).await?;
        // An answer without a message has its outcome in the headers.
        let outcome = |name: &str| trailers.get(name).or(headers.get(name)).and_then(|value| value.to_str().ok());
        match outcome("grpc-status") {
            Some("0") => Ok(body.slice(body.len().min(5)..)),
            Some(code) => {
                let message = outcome("grpc-message").unwrap_or_default();
                let why = format!("gRPC status {code} {}", message.chars().take(MAX_MESSAGE).collect::<String>());
                // CANCELLED, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS (OTLP, "Failures").
                if matches!(code, "1" | "4" | "8" | "10" | "11" | "14" | "15") {
                    return Err(NotSent::passing(why));
                }
                Err(NotSent::lasting(why))
            }
            None if matches!(status.as_u16(), 429 | 502 | 503 | 504) => {
                Err(NotSent::passing(format!("status {status}")))
            }
            None => Err(NotSent::lasting(format!("status {status} without an outcome: is this a gRPC port?"))),
        }
    }

    /// Sends a body. Returns the status, the headers, the body and the trailers of the answer.
    async fn post(
        &self,
        content_type: &'static str,
        body: Bytes,
    ) -> Result<(StatusCode, HeaderMap, Bytes, HeaderMap), NotSent> {
        let mut request = self.client.post(self.address.clone()).headers(self.headers.clone());
        request = request.header(CONTENT_TYPE, content_type);
        if self.protocol == TracesProtocol::Grpc {
            request = request.header(TE, "trailers");
        }
        let answered = request.body(body).send().await.map_err(|error| NotSent::passing(chain(&error)))?;
        let (parts, mut body) = http::Response::<Body>::from(answered).into_parts();
        let (mut content, mut trailers) = (BytesMut::new(), HeaderMap::new());
        while let Some(frame) = body.frame().await {
            match frame.map_err(|error| NotSent::passing(chain(&error)))?.into_data() {
                Ok(data) if content.len() + data.len() <= MAX_ANSWER_BYTES => content.extend_from_slice(&data),
                Ok(_) => return Err(NotSent::lasting("the answer is too long: is this a collector?")),
                Err(frame) => trailers.extend(frame.into_trailers().unwrap_or_default()),
            }
        }
        Ok((parts.status, parts.headers, content.freeze(), trailers))
    }
}

/// Returns the pause that an answer asks for, in seconds. A date is ignored.
fn pause(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or_default())
}

/// Returns the configured headers, those of the file after the others.
fn headers(config: &TracesConfig) -> Result<HeaderMap, String> {
    let mut texts = vec![("traces.headers".to_owned(), config.headers.expose().clone())];
    if !config.headers_file.as_os_str().is_empty() {
        let text = named_file::read_text(&config.headers_file);
        let text = text.map_err(|error| format!("cannot read {}: {error}", config.headers_file.display()))?;
        texts.push((config.headers_file.display().to_string(), text));
    }
    let mut headers = HeaderMap::new();
    for (source, text) in texts {
        // The values are secret, so no message has them.
        let pairs = pairs(&text).map_err(|_| format!("{source} must have name=value, separated by commas or lines"))?;
        for (name, value) in pairs {
            let mut value =
                HeaderValue::from_str(&value).map_err(|_| format!("{source}: the value of {name} is not valid"))?;
            value.set_sensitive(true);
            let name = HeaderName::from_bytes(name.to_lowercase().as_bytes());
            headers.insert(name.map_err(|_| format!("{source}: the name of a header is not valid"))?, value);
        }
    }
    Ok(headers)
}

fn certificates(file: &Path) -> Result<Vec<Certificate>, String> {
    if file.as_os_str().is_empty() {
        return Ok(Vec::new());
    }
    let text = named_file::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let found = Certificate::from_pem_bundle(&text).map_err(|error| format!("{}: {error}", file.display()))?;
    if found.is_empty() {
        return Err(format!("{} has no certificate in PEM", file.display()));
    }
    Ok(found)
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
