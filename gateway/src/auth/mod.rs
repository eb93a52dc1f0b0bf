//! Who is calling: request signatures, bearer tokens, console sessions.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::response::{IntoResponse, Response};
use base::StreamName;
use http::StatusCode;
use http::request::Parts;

use crate::error::ApiError;

/// A caller who proved who they are. Handlers take it as an argument; `Option<Principal>` lets those
/// through who show no credentials at all (wrong ones are refused either way).
#[derive(Clone, Debug)]
pub struct Principal {}

/// What a caller wants to do with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Send media into it.
    Publish,
    /// Read its media and what is known about it.
    Play,
    /// Make, change and delete it.
    Manage,
}

impl Principal {
    /// Whether the caller may do this to this stream.
    pub fn may(&self, _right: Right, _stream: &StreamName) -> bool {
        todo!("ask the catalog's credential")
    }

    /// Refuses, in the words of the native API, what [`Self::may`] does not allow.
    pub fn require(&self, right: Right, stream: &StreamName) -> Result<(), ApiError> {
        if self.may(right, stream) {
            return Ok(());
        }
        Err(ApiError::forbidden(format!("these credentials do not allow {right:?} on stream {stream}")))
    }

    /// Whether the caller may do everything: make credentials, see the metrics.
    pub fn is_administrator(&self) -> bool {
        todo!("ask the catalog's credential")
    }
}

/// Why a request's credentials were not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// None were shown.
    #[error("Missing Authentication Token")]
    Missing,
}

impl IntoResponse for AuthError {
    fn into_response(self) -> Response {
        let code = match self {
            Self::Missing => "MissingAuthenticationTokenException",
        };
        ApiError { status: StatusCode::FORBIDDEN, code, message: self.to_string() }.into_response()
    }
}

/// What the authentication layer leaves in a request's extensions.
type Outcome = Result<Principal, AuthError>;

impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = AuthError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AuthError> {
        parts.extensions.get::<Outcome>().cloned().unwrap_or(Err(AuthError::Missing))
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Principal {
    type Rejection = AuthError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, AuthError> {
        match parts.extensions.get::<Outcome>().cloned() {
            Some(Ok(principal)) => Ok(Some(principal)),
            None | Some(Err(AuthError::Missing)) => Ok(None),
        }
    }
}
