//! Who is calling: request signatures, device tokens, console sessions.
//!
//! [`layer`] looks at every request that needs a caller and leaves the outcome in its extensions; a
//! handler takes it by naming [`Principal`], or `Option<Principal>` to let those through who show no
//! credentials at all (a signed URL, the sign-in page). Wrong credentials are refused either way.

mod body;
mod error;
mod layer;
pub mod session;
pub mod sigv4;

use std::ops::Deref;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use base::StreamName;
use catalog::Action;
use http::request::Parts;

use crate::error::ApiError;

pub use error::AuthError;
pub use layer::{authenticate, verified_body, verified_head};

/// A caller who proved who they are, and by what.
#[derive(Clone, Debug)]
pub struct Principal(pub catalog::Principal);

impl Principal {
    /// Refuses, in the words of the native API, what the credentials do not allow.
    pub fn require(&self, action: Action, stream: &StreamName) -> Result<(), ApiError> {
        if self.may(action, stream) {
            return Ok(());
        }
        let name = self.name();
        let what = verb(action);
        Err(ApiError::forbidden(format!("{name} may not {what} stream {stream}: ask for other credentials")))
    }

    /// Refuses devices: credentials, metrics and the like are for holders of an access key.
    pub fn require_administrator(&self) -> Result<(), ApiError> {
        match &self.0 {
            catalog::Principal::AccessKey(_) => Ok(()),
            other @ (catalog::Principal::Device(_) | catalog::Principal::Source) => Err(ApiError::forbidden(
                format!("{} is a device credential; this needs an access key", other.name()),
            )),
        }
    }
}

fn verb(action: Action) -> &'static str {
    match action {
        Action::Publish => "publish to",
        Action::Play => "play",
        Action::Create => "create",
        Action::Manage => "manage",
    }
}

impl Deref for Principal {
    type Target = catalog::Principal;

    fn deref(&self) -> &catalog::Principal {
        &self.0
    }
}

/// What [`authenticate`] leaves in a request's extensions.
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
            Some(Err(refused)) => Err(refused),
        }
    }
}
