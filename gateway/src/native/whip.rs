//! WHIP's HTTP side (RFC 9725): offers in, answers out. The media comes in elsewhere
//! ([`ingest::whip`]).

use std::sync::Arc;

use axum::Extension;
use axum::extract::{FromRequestParts, OptionalFromRequestParts, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, options, patch, post};
use base::StreamName;
use bytes::Bytes;
use catalog::Action;
use http::header::{
    ACCEPT, ALLOW, CONTENT_TYPE, ETAG, HeaderName, IF_MATCH, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use ingest::IngestError;
use ingest::whip::{OfferError, Patched, WhipError};

use super::params::Named;
use super::route::{Access, Answer, Route};
use crate::app::{App, Arrival};
use crate::auth::{Asked, AuthError, Principal};
use crate::error::ApiError;

/// Where the paths begin.
pub const PREFIX: &str = "/whip/";
/// The type of offers and answers.
pub const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
/// RFC 9725 §4.2; the W3C's Linked Data Platform §7.1.
pub const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
/// RFC 5789 §3.1.
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
/// Seconds after which a publisher that has vanished gives way.
const AGAIN: &str = "5";

static PUBLISH: Route = Route {
    method: Method::POST,
    path: "/whip/{name}",
    summary: "Publish by WebRTC (WHIP, RFC 9725): an SDP offer in, the answer out, the session in Location",
    access: Access::Caller,
    asked: Asked::video("PutMedia"),
    query: &[],
    body: None,
    answer: Answer::Other(201, SDP),
    handler: || post(publish),
};

static ABOUT: Route = Route {
    method: Method::OPTIONS,
    path: "/whip/{name}",
    summary: "What a WHIP endpoint takes",
    access: Access::Public,
    asked: None,
    query: &[],
    body: None,
    answer: Answer::Empty(204),
    handler: || options(about),
};

static TRICKLE: Route = Route {
    method: Method::PATCH,
    path: "/whip/{name}/{session}",
    summary: "Name ICE candidates (If-Match: the ETag), or restart ICE (If-Match: *), by an SDP fragment",
    access: Access::Caller,
    asked: Asked::video("PutMedia"),
    query: &[],
    body: None,
    answer: Answer::Other(200, FRAGMENT),
    handler: || patch(trickle),
};

static END: Route = Route {
    method: Method::DELETE,
    path: "/whip/{name}/{session}",
    summary: "End a WHIP session: answered when all of it is stored",
    access: Access::Caller,
    asked: Asked::video("PutMedia"),
    query: &[],
    body: None,
    answer: Answer::Empty(200),
    handler: || delete(end),
};

static ABOUT_SESSION: Route = Route {
    method: Method::OPTIONS,
    path: "/whip/{name}/{session}",
    summary: "What a WHIP session takes",
    access: Access::Public,
    asked: None,
    query: &[],
    body: None,
    answer: Answer::Empty(204),
    handler: || options(about_session),
};

pub(super) static ROUTES: &[&Route] = &[&PUBLISH, &ABOUT, &TRICKLE, &END, &ABOUT_SESSION];

/// Who publishes, and may. Without a credential, or with one that is none, the answer is 401: WHIP
/// clients ask for a token then (RFC 6750 §3).
struct Publisher {
    principal: Principal,
    name: StreamName,
}

impl FromRequestParts<Arc<App>> for Publisher {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        let found = <Principal as OptionalFromRequestParts<_>>::from_request_parts(parts, app).await;
        let principal = match found {
            Ok(Some(principal)) => principal,
            Ok(None) => {
                return Err(challenge("Bearer", "send the token of a device credential that may publish"));
            }
            Err(AuthError::Token(why)) => return Err(challenge(r#"Bearer error="invalid_token""#, why)),
            Err(refused) => return Err(refused.into_response()),
        };
        let named = Named::from_request_parts(parts, app).await;
        let Named(name) = named.map_err(IntoResponse::into_response)?;
        principal.require(Action::Publish, &name).map_err(IntoResponse::into_response)?;
        Ok(Self { principal, name })
    }
}

fn challenge(scheme: &'static str, why: &str) -> Response {
    let header = [(WWW_AUTHENTICATE, HeaderValue::from_static(scheme))];
    (header, ApiError::unauthenticated(why)).into_response()
}

async fn publish(
    State(app): State<Arc<App>>,
    Extension(arrival): Extension<Arrival>,
    Publisher { principal, name }: Publisher,
    headers: HeaderMap,
    offer: Bytes,
) -> Result<Response, Response> {
    require_type(&headers, SDP)?;
    let by = ingest::Publisher { peer: arrival.peer, principal: principal.known().clone() };
    let made = app.whip.publish(&name, &by, &offer).await.map_err(refusal)?;
    let headers = [
        (CONTENT_TYPE, SDP.to_owned()),
        // Relative: it is good under whatever name the publisher knows this server by.
        (LOCATION, format!("{PREFIX}{name}/{}", made.id)),
        (ETAG, made.etag),
        (ACCEPT_PATCH, FRAGMENT.to_owned()),
    ];
    Ok((StatusCode::CREATED, headers, made.answer).into_response())
}

async fn trickle(
    State(app): State<Arc<App>>,
    Publisher { name, .. }: Publisher,
    Path((_, session)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Response> {
    require_type(&headers, FRAGMENT)?;
    let if_match = headers.get(IF_MATCH).map(|value| value.to_str().unwrap_or_default());
    match app.whip.patch(&name, &session, if_match, &body).await.map_err(refusal)? {
        Patched::Trickled => Ok(StatusCode::NO_CONTENT.into_response()),
        Patched::Restarted { etag, fragment } => {
            Ok(([(CONTENT_TYPE, FRAGMENT.to_owned()), (ETAG, etag)], fragment).into_response())
        }
    }
}

async fn end(
    State(app): State<Arc<App>>,
    Publisher { name, .. }: Publisher,
    Path((_, session)): Path<(String, String)>,
) -> Result<StatusCode, Response> {
    app.whip.delete(&name, &session).await.map_err(refusal)?;
    Ok(StatusCode::OK)
}

async fn about() -> Response {
    (StatusCode::NO_CONTENT, [(ALLOW, "OPTIONS, POST"), (ACCEPT_POST, SDP)]).into_response()
}

async fn about_session() -> Response {
    (StatusCode::NO_CONTENT, [(ALLOW, "DELETE, OPTIONS, PATCH"), (ACCEPT_PATCH, FRAGMENT)]).into_response()
}

/// Refuses bodies of another type; parameters of the type do not matter.
fn require_type(headers: &HeaderMap, wanted: &'static str) -> Result<(), WrongType> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = given.split(';').next().unwrap_or("").trim();
    if essence.eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    Err(WrongType { wanted })
}

/// The body is of another type than the one that is understood.
struct WrongType {
    wanted: &'static str,
}

impl From<WrongType> for Response {
    fn from(WrongType { wanted }: WrongType) -> Self {
        let error = ApiError {
            status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
            code: "unsupported_media_type",
            message: format!("the body must be of type {wanted}"),
        };
        ([(ACCEPT, wanted)], error).into_response()
    }
}

fn refusal(error: WhipError) -> Response {
    let wait = matches!(error, WhipError::Ingest(IngestError::Busy { .. }) | WhipError::Full(_));
    let error = ApiError::from(error);
    if wait { ([(RETRY_AFTER, AGAIN)], error).into_response() } else { error.into_response() }
}

impl From<WhipError> for ApiError {
    fn from(error: WhipError) -> Self {
        let message = error.to_string();
        let with = |status, code| Self { status, code, message: message.clone() };
        match error {
            WhipError::Offer(OfferError::Codecs(_)) => with(StatusCode::NOT_ACCEPTABLE, "not_acceptable"),
            WhipError::Offer(OfferError::TooLong(_)) => with(StatusCode::PAYLOAD_TOO_LARGE, "invalid_body"),
            WhipError::Offer(_)
            | WhipError::Negotiation(_)
            | WhipError::Fragment(_)
            | WhipError::Restart(_) => Self::invalid(message),
            WhipError::Ingest(IngestError::Catalog(error)) => error.into(),
            WhipError::Ingest(IngestError::Busy { .. } | IngestError::Connections { .. }) => {
                Self::conflict(message)
            }
            WhipError::Ingest(IngestError::Deleted(_)) | WhipError::NoSession => Self::not_found(message),
            WhipError::Ingest(IngestError::Tracks { .. }) => Self::invalid(message),
            WhipError::Ingest(IngestError::UnknownTrack { .. } | IngestError::Log { .. }) => {
                Self::internal(&message)
            }
            WhipError::OtherIceSession(_) => with(StatusCode::PRECONDITION_FAILED, "precondition_failed"),
            WhipError::NoPrecondition => with(StatusCode::PRECONDITION_REQUIRED, "precondition_required"),
            WhipError::Full(_) | WhipError::Closed => Self::unavailable(message),
        }
    }
}
