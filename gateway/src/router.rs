//! Which path leads to which handler.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use serde_json::json;

use crate::app::App;
use crate::auth::{Asked, Principal, authenticate};
use crate::error::ApiError;
use crate::video::{OPERATIONS, session};
use crate::{aws, cors, metrics, native};

/// All paths of the HTTP and HTTPS listeners.
pub fn router(app: Arc<App>) -> Router {
    let authenticated = Router::new()
        .merge(native::routes())
        .route("/metrics", get(show_metrics))
        .layer(from_fn_with_state(Arc::clone(&app), authenticate));
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readiness))
        .route("/", get(native::page::index).post(aws::target::serve))
        .route("/{*path}", get(native::page::asset).fallback(nothing))
        .merge(aws::routes(OPERATIONS))
        .merge(session::routes())
        .method_not_allowed_fallback(nothing)
        .merge(authenticated)
        .fallback(nothing)
        .layer(DefaultBodyLimit::max(app.limits.json_body_bytes))
        .layer(from_fn(cors::allow))
        .with_state(app)
}

async fn readiness(State(app): State<Arc<App>>) -> Response {
    if app.ready.load(Ordering::Acquire) {
        return "ready\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, "starting or draining\n").into_response()
}

async fn show_metrics(
    State(app): State<Arc<App>>,
    principal: Principal,
) -> Result<impl IntoResponse, ApiError> {
    let asked = Asked::new("millrace", "GetMetrics");
    let principal = principal.asking(asked).map_err(|refused| ApiError::forbidden(refused.to_string()))?;
    principal.require_administrator()?;
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics::page(&app)))
}

/// What no path leads to: every AWS call is a POST, so that a POST is one that is not served.
async fn nothing(request: Request) -> Response {
    if request.method() == Method::POST && !request.uri().path().starts_with("/v1/") {
        return aws::unknown_operation();
    }
    absent(request.uri().path())
}

fn absent(path: &str) -> Response {
    let path: String = path.chars().take(200).collect();
    let message = format!("there is nothing at {path} for this method");
    let body = Json(json!({ "error": { "code": "not_found", "message": message } }));
    (StatusCode::NOT_FOUND, body).into_response()
}
