//! Answers of the catalog, in one type for all transports.

use bytes::Bytes;
use http::Response;
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Body;

/// An answer of the catalog.
pub(super) type Answer = Response<UnsyncBoxBody<Bytes, anyhow::Error>>;

/// Converts a response into an [`Answer`].
pub(super) fn answer<B>(response: Response<B>) -> Answer
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    response.map(|body| body.map_err(anyhow::Error::from).boxed_unsync())
}
