//! PutMedia: fragments that a producer has made, for as long as it sends them.
//!
//! <https://docs.aws.amazon.com/kinesisvideostreams/latest/dg/API_dataplane_PutMedia.html>
//!
//! The answer begins before the request's body ends: acknowledgements go back while media comes in. Over
//! HTTP/1.1 a client that asks for `100 Continue` has it before the 200.

mod headers;
mod pump;

use std::convert::Infallible;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use catalog::Action;
use futures::{future, stream};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt;
use ingest::Publisher;
use ingest::put_media::Ack;
use tokio::sync::mpsc;
use tokio::task::yield_now;

use crate::aws::{Context, StreamedOperation};
use crate::exception::{Code, Exception};
use headers::Input;
use pump::Pump;

/// Acknowledgements that may wait for their reader before its media is left unread.
const ACKS_WAITING: usize = 64;

/// The operation.
pub struct PutMedia;

impl StreamedOperation for PutMedia {
    const NAME: &'static str = "PutMedia";
    const PATH: &'static str = "/putMedia";
    const ERRORS: &'static [Code] = &[
        Code::ResourceNotFound,
        Code::NotAuthorized,
        Code::InvalidEndpoint,
        Code::InvalidArgument,
        Code::ClientLimitExceeded,
        Code::ConnectionLimitExceeded,
    ];

    async fn call(context: Context, headers: HeaderMap, mut body: Body) -> Result<Response, Exception> {
        let input = Input::read(&headers, context.app.clock.now())?;
        let stream = input.stream.find(&context, Action::Publish)?;
        let Context { app, principal, arrival, .. } = context;
        let by = Publisher { peer: arrival.peer, principal: principal.known().clone() };
        let (acks, told) = mpsc::channel(ACKS_WAITING);
        let session = app.ingest.put_media(stream, by, input.timecodes, acks).await?;
        // The connection says 100 Continue when the body is first asked for, if it gets to it before the
        // answer.
        let first = future::poll_immediate(body.frame()).await;
        yield_now().await;
        tokio::spawn(Pump::new(app, session).run(first, body));
        Ok(([(CONTENT_TYPE, "application/json")], Body::from_stream(lines(told))).into_response())
    }
}

/// One piece for each acknowledgement: producers take no part of one.
fn lines(told: mpsc::Receiver<Ack>) -> impl futures::Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold(told, async |mut told| {
        let ack = told.recv().await?;
        Some((Ok(Bytes::from(ack.line())), told))
    })
}
