//! Retention of a stream: how long, and how much, it keeps.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::routing::{get, put};
use catalog::{Action, Stream, StreamUpdate};
use http::{Method, Uri};
use serde::{Deserialize, Serialize};

use super::caller::Caller;
use super::params::{Body, Named};
use super::route::{Access, Answer, Field, Kind, Route};
use super::streams;
use crate::app::App;
use crate::auth::Asked;
use crate::error::ApiError;

const HOURS: Kind = Kind::Whole { least: 0, most: 87_600 };
const BYTES: Kind = Kind::Whole { least: 1, most: i64::MAX.unsigned_abs() };

const RETENTION: &[Field] = &[
    Field::new("hours", HOURS, "how long fragments are kept; 0 stores nothing"),
    Field::optional("bytes", BYTES, "how many stored bytes are kept at most, evidence holds aside"),
];

static SHOW: Route = Route {
    method: Method::GET,
    path: "/v1/streams/{name}/retention",
    summary: "How long, and how much, a stream keeps",
    access: Access::Caller,
    asked: Asked::own("GetRetention"),
    query: &[],
    body: None,
    answer: Answer::Json(200, RETENTION),
    handler: || get(show),
};

static REPLACE: Route = Route {
    method: Method::PUT,
    path: "/v1/streams/{name}/retention",
    summary: "Replace a stream's retention: whichever limit is met first, the oldest fragments go",
    access: Access::Administrator,
    asked: Asked::video("UpdateDataRetention"),
    query: &[],
    body: Some(RETENTION),
    answer: Answer::Json(200, RETENTION),
    handler: || put(replace),
};

pub(super) static ROUTES: &[&Route] = &[&SHOW, &REPLACE];

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Retention {
    hours: u64,
    bytes: Option<u64>,
}

impl Retention {
    fn of(stream: &Stream) -> Self {
        Self { hours: stream.retention.as_secs() / 3600, bytes: stream.retention_bytes }
    }
}

async fn show(
    State(app): State<Arc<App>>,
    Caller(who): Caller,
    Named(name): Named,
    uri: Uri,
) -> Result<Json<Retention>, ApiError> {
    SHOW.params(&uri)?;
    Ok(Json(Retention::of(&*streams::find(&app, &who, Action::Play, &name)?)))
}

async fn replace(
    State(app): State<Arc<App>>,
    Caller(who): Caller,
    Named(name): Named,
    uri: Uri,
    Body(wanted): Body<Retention>,
) -> Result<Json<Retention>, ApiError> {
    REPLACE.params(&uri)?;
    let stream = streams::find(&app, &who, Action::Manage, &name)?;
    let retention = Duration::from_secs(wanted.hours.saturating_mul(3600));
    let update = StreamUpdate::Keep { retention, bytes: wanted.bytes };
    let stream = app.catalog.update_stream(stream.id, None, update).await?;
    // A limit of bytes is found by a sweep: whoever reads after this answer sees it.
    app.sweep().await?;
    Ok(Json(Retention::of(&stream)))
}
