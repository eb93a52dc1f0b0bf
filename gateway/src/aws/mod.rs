//! AWS operations: the shape of one, and how a request becomes a call.
//!
//! An operation is one file and one line in its service's list ([`crate::video::OPERATIONS`],
//! [`crate::streams::OPERATIONS`], [`crate::firehose::OPERATIONS`]). The lists are the only ones: paths, metrics, `docs/api-coverage.md`
//! and the comparison with the AWS service models all come from them.

mod cbor;
pub mod check;
pub mod event_stream;
#[cfg(test)]
mod model;
pub mod patterns;
pub mod target;
pub mod values;
pub mod wire;

use std::future::Future;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base::{Entropy, Limits, StreamName};
use bytes::Bytes;
use catalog::{Action, Stream};
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::de::DeserializeOwned;

use crate::app::{App, Arrival};
use crate::auth::{Asked, AuthError, Principal, verified_body, verified_head};
use crate::exception::{Code, Exception};
use crate::{firehose, streams, video};
use check::Check;
use wire::{Answer, Wire};

/// One operation of an AWS API.
pub trait Operation: 'static {
    /// As the AWS model names it.
    const NAME: &'static str;
    /// Its path; the method is POST. `/` where `X-Amz-Target` names the operation.
    const PATH: &'static str;
    /// The exceptions of the AWS model.
    const ERRORS: &'static [Code];
    /// The request's members. Unknown ones are ignored, as AWS does.
    type Input: DeserializeOwned + Default + Send;
    /// The answer.
    type Output: Answer;

    /// Names every member and what is demanded of it.
    fn check(input: &Self::Input, check: &mut Check);

    /// Bytes of the request's body.
    fn body_bytes(limits: &Limits) -> usize {
        limits.json_body_bytes
    }

    /// Does it. `input` passed the check.
    fn call(
        context: Context,
        input: Self::Input,
    ) -> impl Future<Output = Result<Self::Output, Exception>> + Send;

    /// An answer with every member filled: what the comparison with the AWS model reads.
    #[cfg(test)]
    fn sample() -> serde_json::Value;

    /// Members of the AWS model's output that are never answered, with all that is in them.
    #[cfg(test)]
    fn never_answered() -> &'static [&'static str] {
        &[]
    }
}

/// An operation of which no AWS service model tells: headers name its input, and its body is a stream.
pub trait StreamedOperation: 'static {
    /// As AWS names it.
    const NAME: &'static str;
    /// Its path; the method is POST.
    const PATH: &'static str;
    /// The exceptions that AWS documents.
    const ERRORS: &'static [Code];

    /// Does it, and answers while the body still comes.
    fn call(
        context: Context,
        headers: HeaderMap,
        body: Body,
    ) -> impl Future<Output = Result<Response, Exception>> + Send;
}

/// What a call knows besides its input.
pub struct Context {
    /// The installation.
    pub app: Arc<App>,
    /// The caller.
    pub principal: Principal,
    /// How the request came in.
    pub arrival: Arrival,
    /// The form of the request and its answer.
    pub wire: Wire,
}

impl Context {
    /// Refuses what the caller may not do to a stream.
    pub fn authorize(&self, action: Action, stream: &Stream) -> Result<(), Exception> {
        self.allow(action, &stream.name)
    }

    /// Refuses what the caller may not do to a stream of this name, which need not exist.
    pub fn allow(&self, action: Action, stream: &StreamName) -> Result<(), Exception> {
        let refused = |refused: AuthError| Exception::new(Code::AccessDenied, refused.to_string());
        self.principal.check(action, stream).map_err(refused)
    }
}

type Called = BoxFuture<'static, Result<Response, Exception>>;

/// How an operation takes its request.
#[derive(Clone, Copy)]
enum Run {
    /// Once all of it is there, of at most so many bytes.
    Whole(fn(&Limits) -> usize, fn(Context, Bytes) -> Called),
    /// While it comes.
    Streamed(fn(Context, HeaderMap, Body) -> Called),
}

/// An operation in a service's list.
pub struct Entry {
    /// As the AWS model names it.
    pub name: &'static str,
    /// The service's name in botocore: `kinesisvideo`, `kinesis-video-archived-media`.
    pub service: &'static str,
    path: &'static str,
    errors: &'static [Code],
    run: Run,
    #[cfg(test)]
    describe: Option<fn() -> model::Description>,
}

impl Entry {
    /// The operation `O` of a service.
    pub const fn of<O: Operation>(service: &'static str) -> Self {
        Self {
            name: O::NAME,
            service,
            path: O::PATH,
            errors: O::ERRORS,
            run: Run::Whole(O::body_bytes, |context, body| Box::pin(run::<O>(context, body))),
            #[cfg(test)]
            describe: Some(model::describe::<O>),
        }
    }

    /// The operation `O` of a service, whose body is a stream.
    pub const fn streamed<O: StreamedOperation>(service: &'static str) -> Self {
        Self {
            name: O::NAME,
            service,
            path: O::PATH,
            errors: O::ERRORS,
            run: Run::Streamed(|context, headers, body| Box::pin(O::call(context, headers, body))),
            #[cfg(test)]
            describe: None,
        }
    }

    /// The service that signatures are scoped to: one for all of Kinesis Video Streams.
    fn scope(&self) -> &'static str {
        if self.service.starts_with("kinesis-video") { "kinesisvideo" } else { self.service }
    }
}

/// All operations that are served.
pub fn operations() -> impl Iterator<Item = &'static Entry> {
    video::OPERATIONS.iter().chain(streams::OPERATIONS).chain(firehose::OPERATIONS)
}

/// The paths of a list of operations.
pub fn routes(entries: &'static [Entry]) -> Router<Arc<App>> {
    entries.iter().fold(Router::new(), |router, entry| {
        let handler = move |State(app): State<Arc<App>>,
                            Extension(arrival): Extension<Arrival>,
                            request: Request| async move {
            let (parts, body) = request.into_parts();
            run_entry(entry, Wire::RestJson, app, arrival, &parts, body).await
        };
        router.route(entry.path, post(handler))
    })
}

/// The caller found, the operation called, the answer counted.
async fn run_entry(
    entry: &'static Entry,
    wire: Wire,
    app: Arc<App>,
    arrival: Arrival,
    parts: &http::request::Parts,
    body: Body,
) -> Response {
    let id = request_id(&*app.entropy);
    let asked = Asked::new(entry.scope(), entry.name);
    let counted = Arc::clone(&app);
    let called = match entry.run {
        Run::Whole(most, run) => {
            let verified = verified_body(&app, parts, body, entry.scope(), most(&app.limits)).await;
            verified.and_then(|(principal, body)| {
                let principal = principal.asking(asked)?;
                Ok(run(Context { app, principal, arrival, wire }, body))
            })
        }
        Run::Streamed(run) => {
            let verified = verified_head(&app, parts, entry.scope());
            let headers = parts.headers.clone();
            verified.and_then(|principal| {
                let principal = principal.asking(asked)?;
                Ok(run(Context { app, principal, arrival, wire }, headers, body))
            })
        }
    };
    let mut response = match called {
        Err(refused) => target::refuse(wire, refused),
        Ok(called) => {
            let called = called.await;
            called.unwrap_or_else(|exception| {
                debug_assert!(
                    exception.code.is_common() || entry.errors.contains(&exception.code),
                    "{} has no {exception}",
                    entry.name
                );
                if exception.code.is_refusal() {
                    let (peer, operation) = (arrival.peer, entry.name);
                    tracing::warn!(%peer, operation, reason = exception.message, "request refused");
                }
                wire.refuse(exception)
            })
        }
    };
    counted.metrics.operation(entry, response.status());
    for name in ["x-amzn-requestid", "x-amz-requestid"] {
        response.headers_mut().insert(name, id.clone());
    }
    response
}

async fn run<O: Operation>(context: Context, body: Bytes) -> Result<Response, Exception> {
    let wire = context.wire;
    let input: O::Input = wire.decode(&body)?;
    drop(body);
    let mut check = Check::default();
    O::check(&input, &mut check);
    if let Some(message) = check.message() {
        let code = if wire == Wire::RestJson { Code::InvalidArgument } else { Code::Validation };
        return Err(Exception::new(code, message));
    }
    if let Some(why) = check.refusal() {
        return Err(Exception::invalid(why));
    }
    drop(check);
    O::call(context, input).await.map(|output| output.answer(wire))
}

/// A random UUID (RFC 9562 version 4), as AWS names requests.
fn request_id(entropy: &dyn Entropy) -> HeaderValue {
    let mut bytes = entropy.bytes::<16>();
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let number = u128::from_be_bytes(bytes);
    let hex = format!("{number:032x}");
    let text = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-");
    HeaderValue::from_str(&text).expect("hex digits and dashes are ASCII")
}

/// What an operation that is not served answers, as AWS answers an unknown one.
pub fn unknown_operation() -> Response {
    let body =
        r#"{"Output":{"__type":"com.amazon.coral.service#UnknownOperationException"},"Version":"1.0"}"#;
    let mut response = (StatusCode::NOT_FOUND, body).into_response();
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    for name in ["x-amzn-errortype", "x-amz-errortype"] {
        headers.insert(name, HeaderValue::from_static(Code::UnknownOperation.name()));
    }
    response
}
