//! The layer before every handler that wants to know its caller.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use catalog::{AccessKey, Principal as Known};
use http::header::AUTHORIZATION;
use http::request::Parts;

use super::sigv4::{Claim, sha256_hex};
use super::{AuthError, Principal, body, session};
use crate::app::{App, Arrival};

/// The service in the credential scope of the native API: that of Kinesis Video Streams.
const SERVICE: &str = "kinesisvideo";
/// Bytes of a body that comes without credentials: a sign-in.
const ANONYMOUS_BODY_BYTES: usize = 16 * 1024;

/// Leaves the caller, or why there is none, in the request's extensions.
pub async fn authenticate(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let (outcome, body) = match identify(&app, &parts, body).await {
        Ok(identified) => identified,
        Err(error @ (AuthError::BodyTooLarge(_) | AuthError::BodyBroken)) => {
            log(&parts, &error);
            return error.into_response();
        }
        Err(error) => (Err(error), Bytes::new()),
    };
    if let Err(error) = &outcome {
        log(&parts, error);
    }
    parts.extensions.insert(outcome);
    next.run(Request::from_parts(parts, Body::from(body))).await
}

/// The caller, if there is one, and the body. The outer error is one of the body.
async fn identify(
    app: &App,
    parts: &Parts,
    body: Body,
) -> Result<(Result<Principal, AuthError>, Bytes), AuthError> {
    if let Some(claim) = Claim::read(parts)? {
        let bounds = (SERVICE, app.limits.json_body_bytes);
        let (principal, bytes) = signed(app, parts, &claim, body, bounds).await?;
        return Ok((Ok(principal), bytes));
    }
    let outcome = unsigned(app, parts);
    let limit = if outcome.is_ok() { app.limits.json_body_bytes } else { ANONYMOUS_BODY_BYTES };
    Ok((outcome, body::read(body, limit).await?))
}

/// The caller of a request signed for `service` and its whole body, both verified.
///
/// # Errors
/// Whatever is wrong with the signature; a body of more than `limit` bytes.
pub async fn verified_body(
    app: &App,
    parts: &Parts,
    body: Body,
    service: &'static str,
    limit: usize,
) -> Result<(Principal, Bytes), AuthError> {
    let verified = match Claim::read(parts) {
        Ok(Some(claim)) => signed(app, parts, &claim, body, (service, limit)).await,
        Ok(None) => Err(AuthError::Missing),
        Err(error) => Err(error),
    };
    verified.inspect_err(|error| log(parts, error))
}

/// The caller of a request signed for `service`, by its head alone: its body comes for as long as it may.
///
/// # Errors
/// Whatever is wrong with the signature.
pub fn verified_head(app: &App, parts: &Parts, service: &'static str) -> Result<Principal, AuthError> {
    let verify = || {
        let claim = Claim::read(parts)?.ok_or(AuthError::Missing)?;
        let key = key_of(app, &claim, service)?;
        claim.verify_head(parts, key.secret.expose(), app.clock.now())?;
        Ok(Principal::new(Known::AccessKey(key), &app.catalog, parts))
    };
    verify().inspect_err(|error| log(parts, error))
}

/// The key that must have signed. Whatever a stranger can get wrong is told before a body is waited for.
fn key_of(app: &App, claim: &Claim, service: &'static str) -> Result<Arc<AccessKey>, AuthError> {
    if claim.service != service {
        return Err(AuthError::Service(service));
    }
    let key = app.catalog.access_key(&claim.access_key_id).ok_or(AuthError::UnknownKey)?;
    claim.check_time(app.clock.now())?;
    Ok(key)
}

async fn signed(
    app: &App,
    parts: &Parts,
    claim: &Claim,
    body: Body,
    (service, limit): (&'static str, usize),
) -> Result<(Principal, Bytes), AuthError> {
    let key = key_of(app, claim, service)?;
    let bytes = body::read(body, limit).await?;
    let secret = key.secret.expose();
    claim.verify(parts, &sha256_hex(&bytes), secret, app.clock.now())?;
    let bytes = claim.decode(bytes, secret)?;
    Ok((Principal::new(Known::AccessKey(key), &app.catalog, parts), bytes))
}

fn unsigned(app: &App, parts: &Parts) -> Result<Principal, AuthError> {
    if let Some(header) = parts.headers.get(AUTHORIZATION) {
        let token = header.to_str().ok().and_then(|text| text.split_once(' '));
        return match token {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => app
                .catalog
                .device_by_token(token.trim())
                .map(|device| Principal::new(Known::Device(device), &app.catalog, parts))
                .ok_or(AuthError::Token("the bearer token is unknown or was revoked")),
            _ => Err(AuthError::Incomplete("Authorization must be AWS4-HMAC-SHA256 or Bearer.".into())),
        };
    }
    session::caller(app, parts)
}

/// Wrong credentials, not absent ones: browsers begin without.
fn log(parts: &Parts, error: &AuthError) {
    if *error == AuthError::Missing {
        return;
    }
    let peer = parts.extensions.get::<Arrival>().map(|arrival| tracing::field::display(arrival.peer));
    let path: String = parts.uri.path().chars().take(100).collect();
    tracing::warn!(peer, path, code = error.code(), reason = %error, "request refused");
}
