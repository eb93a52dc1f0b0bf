//! Signing in and out of the page.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Extension, Json};
use http::header::{CONTENT_TYPE, SET_COOKIE};
use http::{HeaderMap, Method, StatusCode, Uri};
use ring::hmac;
use serde::Deserialize;
use serde_json::json;

use super::caller::Caller;
use super::params::Body;
use super::route::{Access, Answer, Field, Kind, Route};
use crate::app::{App, Arrival};
use crate::auth::session::{cookie, no_cookie};
use crate::error::ApiError;

const PRINCIPAL: &[Field] =
    &[Field::new("principal", Kind::Text, "the access key's id, or the device's username")];

static SHOW: Route = Route {
    method: Method::GET,
    path: "/v1/session",
    summary: "Who the request's credentials belong to",
    access: Access::Caller,
    asked: None,
    query: &[],
    body: None,
    answer: Answer::Json(200, PRINCIPAL),
    handler: || get(show),
};

static SIGN_IN: Route = Route {
    method: Method::POST,
    path: "/v1/session",
    summary: "Sign in with an access key: sets a cookie for 12 hours",
    access: Access::Public,
    asked: None,
    query: &[],
    body: Some(&[
        Field::new("access_key_id", Kind::Text, "aws_access_key_id of DATA/credentials"),
        Field::new("secret_access_key", Kind::Text, "aws_secret_access_key of DATA/credentials"),
    ]),
    answer: Answer::Json(200, PRINCIPAL),
    handler: || post(sign_in),
};

static SIGN_OUT: Route = Route {
    method: Method::DELETE,
    path: "/v1/session",
    summary: "Sign out: removes the cookie",
    access: Access::Public,
    asked: None,
    query: &[],
    body: None,
    answer: Answer::Empty(204),
    handler: || delete(sign_out),
};

pub(super) static ROUTES: &[&Route] = &[&SHOW, &SIGN_IN, &SIGN_OUT];

async fn show(Caller(who): Caller, uri: Uri) -> Result<Response, ApiError> {
    SHOW.params(&uri)?;
    Ok(Json(json!({ "principal": who.name() })).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shown {
    access_key_id: String,
    secret_access_key: String,
}

async fn sign_in(
    State(app): State<Arc<App>>,
    Extension(arrival): Extension<Arrival>,
    headers: HeaderMap,
    uri: Uri,
    Body(shown): Body<Shown>,
) -> Result<Response, ApiError> {
    SIGN_IN.params(&uri)?;
    // A form of another site cannot send this type without asking first, and is never allowed to.
    let json = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !json.is_some_and(|kind| kind.starts_with("application/json")) {
        return Err(ApiError::invalid("send the access key as application/json"));
    }
    let key = app.catalog.access_key(&shown.access_key_id);
    let key = key.filter(|key| same(key.secret.expose(), &shown.secret_access_key));
    let Some(key) = key else {
        return Err(ApiError::unauthenticated(
            "this access key is unknown or its secret is another: see DATA/credentials",
        ));
    };
    let set = [(SET_COOKIE, cookie(&app, &key.id, arrival.tls))];
    Ok((set, Json(json!({ "principal": key.id }))).into_response())
}

async fn sign_out(Extension(arrival): Extension<Arrival>, uri: Uri) -> Result<Response, ApiError> {
    SIGN_OUT.params(&uri)?;
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, no_cookie(arrival.tls))]).into_response())
}

/// Compares two secrets in a time that does not tell how much of them agrees.
fn same(known: &str, shown: &str) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, known.as_bytes());
    let tag = hmac::sign(&key, known.as_bytes());
    hmac::verify(&key, shown.as_bytes(), tag.as_ref()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_the_same_or_not() {
        assert!(same("wJalrXUtnFEMI", "wJalrXUtnFEMI"));
        assert!(!same("wJalrXUtnFEMI", "wJalrXUtnFEM") && !same("a", ""));
    }
}
