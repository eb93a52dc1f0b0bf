//! Pages of any origin may call the APIs: credentials are in the request, never in a cookie.
//!
//! A cookie is of no use to another origin: answers carry no `Access-Control-Allow-Credentials`, and
//! the console's own header is not among those allowed (WHATWG Fetch §3.2).

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::native::whip;

const EXPOSED: &str = "x-amzn-requestid, x-amzn-errortype, date, content-length, content-range, accept-ranges, location, link, \
     etag, accept-post, accept-patch, retry-after, www-authenticate";

/// Answers preflights, and lets pages read every other answer.
pub async fn allow(request: Request, next: Next) -> Response {
    let preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let takes_offers = request.uri().path().starts_with(whip::PREFIX);
    let mut response = if preflight { allowances(request.headers()) } else { next.run(request).await };
    if preflight && takes_offers {
        // WHIP clients look for it in the preflight's answer, too (RFC 9725 §4.2).
        response.headers_mut().insert(whip::ACCEPT_POST, HeaderValue::from_static(whip::SDP));
    }
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    response
}

fn allowances(asked: &HeaderMap) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let names: Vec<&str> = asked
        .get(ACCESS_CONTROL_REQUEST_HEADERS)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("")
        .split(',')
        .map(str::trim)
        .filter(|name| is_allowed(name))
        .collect();
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&names.join(", ")) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, value);
    }
    let methods = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}

fn is_allowed(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["authorization", "content-type", "range", "if-range", "if-match", "cache-control", "pragma"]
        .contains(&name.as_str())
        || ["x-amz-", "x-amzn-", "amz-sdk-"].iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sdk_headers_are_allowed_and_the_consoles_own_is_not() {
        for name in ["Authorization", "content-type", "X-Amz-Date", "x-amz-content-sha256", "amz-sdk-request"]
        {
            assert!(is_allowed(name), "{name}");
        }
        for name in ["x-millrace-console", "cookie", ""] {
            assert!(!is_allowed(name), "{name}");
        }
    }
}
