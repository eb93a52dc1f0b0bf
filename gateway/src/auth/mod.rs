//! Who is calling: request signatures, device tokens, console sessions.
//!
//! [`layer`] looks at every request that needs a caller and leaves the outcome in its extensions; a
//! handler takes it by naming [`Principal`], or `Option<Principal>` to let those through who show no
//! credentials at all (a signed URL, the sign-in page). Wrong credentials are refused either way.

mod asked;
mod body;
mod error;
mod layer;
mod principal;
pub mod session;
pub mod sigv4;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;

pub use asked::Asked;
pub use error::AuthError;
pub use layer::{authenticate, verified_body, verified_head};
pub use principal::Principal;

/// What [`authenticate`] leaves in a request's extensions.
type Outcome = Result<Principal, AuthError>;

impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = AuthError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AuthError> {
        let principal = parts.extensions.get::<Outcome>().cloned().unwrap_or(Err(AuthError::Missing))?;
        // A route leaves here what a request to it asks for.
        match parts.extensions.get::<Asked>() {
            Some(asked) => principal.asking(*asked),
            None => Ok(principal),
        }
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Principal {
    type Rejection = AuthError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, AuthError> {
        match <Self as FromRequestParts<S>>::from_request_parts(parts, state).await {
            Ok(principal) => Ok(Some(principal)),
            Err(AuthError::Missing) => Ok(None),
            Err(refused) => Err(refused),
        }
    }
}
