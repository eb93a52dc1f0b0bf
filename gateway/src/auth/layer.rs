//! The layer before every handler that wants to know its caller.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use catalog::Principal as Known;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::sigv4::{Claim, sha256_hex};
use super::{AuthError, Principal, session};
use crate::app::App;

/// The service in the credential scope of every Kinesis Video API and of the native one.
const SERVICE: &str = "kinesisvideo";

/// Leaves the caller, or why there is none, in the request's extensions.
pub async fn authenticate(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let (outcome, body) = identify(&app, &parts, body).await;
    parts.extensions.insert(outcome);
    next.run(Request::from_parts(parts, body)).await
}

async fn identify(app: &App, parts: &Parts, body: Body) -> (Result<Principal, AuthError>, Body) {
    match Claim::read(parts) {
        Ok(Some(claim)) => match signed(app, parts, &claim, body).await {
            Ok((principal, bytes)) => (Ok(principal), Body::from(bytes)),
            Err(error) => (Err(error), Body::empty()),
        },
        Ok(None) => (unsigned(app, parts), body),
        Err(error) => (Err(error), Body::empty()),
    }
}

/// The caller of a signed request and its whole body, both verified.
///
/// # Errors
/// Whatever is wrong with the signature; the body beyond the limit of a JSON request.
pub async fn verified_body(app: &App, parts: &Parts, body: Body) -> Result<(Principal, Bytes), AuthError> {
    let claim = Claim::read(parts)?.ok_or(AuthError::Missing)?;
    signed(app, parts, &claim, body).await
}

async fn signed(
    app: &App,
    parts: &Parts,
    claim: &Claim,
    body: Body,
) -> Result<(Principal, Bytes), AuthError> {
    if claim.service != SERVICE {
        return Err(AuthError::Service);
    }
    let key = app.catalog.access_key(&claim.access_key_id).ok_or(AuthError::UnknownKey)?;
    let limit = app.limits.json_body_bytes;
    let read = Limited::new(body, limit).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() { AuthError::BodyTooLarge(limit) } else { AuthError::BodyBroken }
    })?;
    let bytes = read.to_bytes();
    claim.verify(parts, &sha256_hex(&bytes), key.secret.expose(), app.clock.now())?;
    Ok((Principal(Known::AccessKey(key)), bytes))
}

fn unsigned(app: &App, parts: &Parts) -> Result<Principal, AuthError> {
    if let Some(header) = parts.headers.get(AUTHORIZATION) {
        let token = header.to_str().ok().and_then(|text| text.split_once(' '));
        return match token {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => app
                .catalog
                .device_by_token(token.trim())
                .map(|device| Principal(Known::Device(device)))
                .ok_or(AuthError::Token("the bearer token is unknown or was revoked")),
            _ => Err(AuthError::Incomplete("Authorization must be AWS4-HMAC-SHA256 or Bearer.".into())),
        };
    }
    session::caller(app, parts)
}
