//! What this installation is and where it listens: what the page's copy-paste commands need.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::routing::get;
use http::{Method, Uri};
use serde::Serialize;

use super::caller::Caller;
use super::route::{Access, Answer, Field, Kind, Route};
use crate::app::{App, BaseUrls};
use crate::auth::Asked;
use crate::error::ApiError;

const URLS: &[Field] = &[
    Field::new("http", Kind::Text, "of this API"),
    Field::new("https", Kind::Text, "of this API"),
    Field::new("rtsp", Kind::Text, "to push to, with the stream's name after it"),
    Field::new("rtsps", Kind::Text, "to push to, with the stream's name after it"),
];

static INFO: Route = Route {
    method: Method::GET,
    path: "/v1/info",
    summary: "Version, account and addresses of this installation",
    access: Access::Caller,
    asked: Asked::own("GetInfo"),
    query: &[],
    body: None,
    answer: Answer::Json(
        200,
        &[
            Field::new("version", Kind::Text, "of the program"),
            Field::new("region", Kind::Text, "in ARNs and signatures"),
            Field::new("account", Kind::Text, "twelve digits, in ARNs"),
            Field::new("urls", Kind::Object(URLS), "of the listeners, without a slash at the end"),
        ],
    ),
    handler: || get(info),
};

pub(super) static ROUTES: &[&Route] = &[&INFO];

#[derive(Serialize)]
struct Info<'a> {
    version: &'static str,
    region: &'a str,
    account: &'a str,
    urls: Urls<'a>,
}

#[derive(Serialize)]
struct Urls<'a> {
    http: &'a str,
    https: &'a str,
    rtsp: &'a str,
    rtsps: &'a str,
}

async fn info(
    State(app): State<Arc<App>>,
    Caller(_): Caller,
    uri: Uri,
) -> Result<Json<serde_json::Value>, ApiError> {
    INFO.params(&uri)?;
    let BaseUrls { http, https, rtsp, rtsps } = &app.urls;
    let info = Info {
        version: env!("CARGO_PKG_VERSION"),
        region: &app.region,
        account: &app.account,
        urls: Urls { http, https, rtsp, rtsps },
    };
    serde_json::to_value(info).map(Json).map_err(|error| ApiError::internal(&error))
}
