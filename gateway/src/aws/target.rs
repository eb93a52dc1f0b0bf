//! Services whose requests are `POST /` and name their operation in `X-Amz-Target`.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::response::{IntoResponse, Response};
use base::Entropy;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

use super::wire::Wire;
use super::{Entry, request_id, run_entry, unknown_operation};
use crate::app::{App, Arrival};
use crate::exception::{Code, Exception};
use crate::{firehose, streams};

/// Bytes of `x-amz-id-2`, in base64.
const ID_2: usize = 48;

/// What stands before the dot in `X-Amz-Target`, and the operations after it.
const SERVICES: &[(&str, &[Entry])] =
    &[("Kinesis_20131202", streams::OPERATIONS), ("Firehose_20150804", firehose::OPERATIONS)];

/// Answers a `POST /`.
pub async fn serve(
    State(app): State<Arc<App>>,
    Extension(arrival): Extension<Arrival>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let target = parts.headers.get("x-amz-target").and_then(|value| value.to_str().ok());
    let known = target.and_then(|target| target.split_once('.')).and_then(|(prefix, name)| {
        let (_, entries) = SERVICES.iter().find(|(service, _)| *service == prefix)?;
        Some((entries, name))
    });
    let (Some((entries, name)), Some(wire)) = (known, Wire::of_target(&parts.headers)) else {
        return unknown_operation();
    };
    let mut response = match entries.iter().find(|entry| entry.name == name) {
        Some(entry) => run_entry(entry, wire, app.clone(), arrival, &parts, body).await,
        None => wire.refuse(Exception::new(Code::UnknownOperation, "")),
    };
    let headers = response.headers_mut();
    if !headers.contains_key("x-amzn-requestid") {
        headers.insert("x-amzn-requestid", request_id(&*app.entropy));
    }
    headers.insert("x-amz-id-2", id_2(&*app.entropy));
    response
}

fn id_2(entropy: &dyn Entropy) -> HeaderValue {
    let text = STANDARD.encode(entropy.bytes::<ID_2>());
    HeaderValue::from_str(&text).expect("base64 is ASCII")
}

/// A refusal before an operation is reached, in the form of the request.
pub(super) fn refuse(wire: Wire, refused: crate::auth::AuthError) -> Response {
    if wire == Wire::RestJson {
        return refused.into_response();
    }
    let body = serde_json::json!({ "__type": refused.code(), "message": refused.to_string() });
    let mut response = (refused.target_status(), wire.encode(&body)).into_response();
    response.headers_mut().insert("content-type", wire.content_type());
    response.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(refused.code()));
    response
}
