//! Media as bodies of answers.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{TryStreamExt, stream};
use http::HeaderValue;
use http::header::CONTENT_LENGTH;
use playback::ByteStream;

/// A list of pieces as one body of known length.
pub(super) fn gathered(pieces: Vec<Bytes>) -> Response {
    let length: usize = pieces.iter().map(Bytes::len).sum();
    let body = Body::from_stream(stream::iter(pieces.into_iter().map(Ok::<_, std::convert::Infallible>)));
    with_length(body, u64::try_from(length).unwrap_or(u64::MAX))
}

/// A body of known length that is read while it is sent.
pub(super) fn sized(pieces: ByteStream, length: u64) -> Response {
    with_length(told(pieces), length)
}

/// A body that ends when it ends.
pub(super) fn streamed(pieces: ByteStream) -> Response {
    told(pieces).into_response()
}

/// An error in mid-stream can only break the connection; why it did goes to the log.
fn told(pieces: ByteStream) -> Body {
    Body::from_stream(pieces.inspect_err(|error| tracing::error!(%error, "an answer broke off")))
}

fn with_length(body: Body, length: u64) -> Response {
    let mut response = body.into_response();
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}
