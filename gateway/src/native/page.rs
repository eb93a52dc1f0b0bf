//! The web page, as the `console` crate carries it.

use axum::body::Body;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};

use crate::error::ApiError;

/// Nothing from another host, nothing inline; hls.js plays from `blob:`.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     font-src 'self'; connect-src 'self'; media-src 'self' blob:; worker-src 'self' blob:; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const NOT_BUILT: &str = "<!doctype html><meta charset=utf-8><title>Millrace</title>\
     <p>Millrace runs. Its page was not built into this binary: build it with <code>make build</code>.\
     <p>The API is under <a href=/v1/openapi.json>/v1</a>.";

/// `GET /`. Needs no credentials: the page asks for them.
pub async fn index() -> Response {
    if console::asset("index.html").is_some() {
        return file("index.html");
    }
    let headers = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, POLICY)];
    (headers, NOT_BUILT).into_response()
}

/// `GET /{*path}`: every other file of the page.
pub async fn asset(Path(path): Path<String>) -> Response {
    file(&path)
}

fn file(path: &str) -> Response {
    let Some(asset) = console::asset(path) else {
        return ApiError::not_found(format!("there is nothing at /{path:.200}")).into_response();
    };
    let cache = if asset.immutable { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = [
        (CONTENT_TYPE, asset.content_type),
        (CACHE_CONTROL, cache),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    (StatusCode::OK, headers, Body::from(asset.body.into_owned())).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_page_is_there_built_or_not() {
        let answer = index().await;
        assert_eq!(answer.status(), StatusCode::OK);
        let policy = answer.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"));
        assert_eq!(asset(Path("assets/../../etc/passwd".into())).await.status(), StatusCode::NOT_FOUND);
    }
}
