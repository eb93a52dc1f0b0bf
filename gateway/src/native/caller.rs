//! Who calls the native API, and what a browser is told that is not signed in.

use std::sync::Arc;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::response::{IntoResponse, Response};
use http::header::ACCEPT;
use http::request::Parts;

use crate::app::App;
use crate::auth::{AuthError, Principal};
use crate::error::ApiError;

/// What the page sends with every request, so that it is told to sign in.
const CONSOLE_HEADER: &str = "x-millrace-console";

/// A caller with good credentials.
pub(super) struct Caller(pub(super) Principal);

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        let found = <Principal as OptionalFromRequestParts<_>>::from_request_parts(parts, app).await;
        match found {
            Ok(Some(principal)) => Ok(Self(principal)),
            Ok(None) => Err(unsigned(parts)),
            Err(refused) => Err(refused.into_response()),
        }
    }
}

/// 401 where a browser should sign in, AWS's 403 for everyone else.
pub(super) fn unsigned(parts: &Parts) -> Response {
    if is_browser(parts) {
        return ApiError::unauthenticated("sign in with an access key: DATA/credentials has one")
            .into_response();
    }
    AuthError::Missing.into_response()
}

fn is_browser(parts: &Parts) -> bool {
    let accept = parts.headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    parts.headers.contains_key(CONSOLE_HEADER) || accept.contains("text/html")
}
