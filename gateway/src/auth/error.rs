//! Why a request's credentials were not taken.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode};
use serde_json::json;

/// A refusal, with AWS's name and text for it where AWS has one: SDKs look for both.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No credentials were shown.
    #[error("Missing Authentication Token")]
    Missing,
    /// Part of a signature is missing or malformed.
    #[error("{0}")]
    Incomplete(String),
    /// There is no such access key, or it was revoked.
    #[error("The security token included in the request is invalid.")]
    UnknownKey,
    /// The signature is not that of the request that arrived.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your AWS \
         Secret Access Key and signing method. Consult the service documentation for details."
    )]
    Signature,
    /// The signature is too old, or from the future, or its dates disagree.
    #[error("{0}")]
    Time(String),
    /// The credential scope names another service.
    #[error("Credential should be scoped to correct service: '{0}'. ")]
    Service(&'static str),
    /// The body is not the one whose hash was declared, or its chunks are not those that were signed.
    #[error("The provided 'x-amz-content-sha256' header does not match what was computed.")]
    BodyDigest,
    /// The body is larger than a signed request may carry.
    #[error("the request's body is larger than {0} bytes")]
    BodyTooLarge(usize),
    /// The body broke off.
    #[error("the request's body broke off")]
    BodyBroken,
    /// A bearer token, password, URL token or session that is unknown, revoked or expired.
    #[error("{0}")]
    Token(&'static str),
    /// Good credentials that do not allow what is asked.
    #[error("{0}")]
    NotAllowed(String),
}

impl AuthError {
    /// The name that AWS SDKs compare.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "MissingAuthenticationTokenException",
            Self::Incomplete(_) => "IncompleteSignatureException",
            Self::UnknownKey | Self::Token(_) => "UnrecognizedClientException",
            Self::Signature | Self::Time(_) | Self::Service(_) | Self::BodyDigest => {
                "InvalidSignatureException"
            }
            Self::BodyTooLarge(_) => "RequestEntityTooLargeException",
            Self::BodyBroken => "IncompleteBodyException",
            Self::NotAllowed(_) => "AccessDeniedException",
        }
    }

    /// The HTTP status where the operation is named by `X-Amz-Target`: there 400 stands for what is 403
    /// elsewhere.
    pub fn target_status(&self) -> StatusCode {
        match self.status() {
            StatusCode::FORBIDDEN => StatusCode::BAD_REQUEST,
            other => other,
        }
    }

    /// The HTTP status, AWS's: 403 for whatever concerns the caller.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Missing
            | Self::Incomplete(_)
            | Self::UnknownKey
            | Self::Signature
            | Self::Time(_)
            | Self::Service(_)
            | Self::BodyDigest
            | Self::Token(_)
            | Self::NotAllowed(_) => StatusCode::FORBIDDEN,
            Self::BodyTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyBroken => StatusCode::BAD_REQUEST,
        }
    }
}

/// Lower-case `message`, as AWS answers before a service is reached, and the native API's `error`.
impl IntoResponse for AuthError {
    fn into_response(self) -> Response {
        let (code, message) = (self.code(), self.to_string());
        let body = Json(json!({ "message": message, "error": { "code": code, "message": message } }));
        let mut response = (self.status(), body).into_response();
        let full = format!("{code}:http://internal.amazon.com/coral/com.amazon.coral.service/");
        let value = HeaderValue::from_str(&full).expect("error codes are ASCII");
        for name in ["x-amzn-errortype", "x-amz-errortype"] {
            response.headers_mut().insert(name, value.clone());
        }
        response
    }
}
