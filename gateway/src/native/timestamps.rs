//! Which clock names the times of who pushes to a stream.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::routing::{get, put};
use base::TimestampSource;
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

const TIMESTAMPS: &[Field] = &[Field::optional(
    "timestamps",
    Kind::Choice(&["auto", "camera", "server"]),
    "what producer times of who pushes here follow; null: as the configuration says. A source has its own",
)];

static SHOW: Route = Route {
    method: Method::GET,
    path: "/v1/streams/{name}/timestamps",
    summary: "Which clock names the times of who pushes to a stream",
    access: Access::Caller,
    asked: Asked::own("GetTimestamps"),
    query: &[],
    body: None,
    answer: Answer::Json(200, TIMESTAMPS),
    handler: || get(show),
};

static REPLACE: Route = Route {
    method: Method::PUT,
    path: "/v1/streams/{name}/timestamps",
    summary: "Choose which clock names the times of who pushes to a stream, from the next connection on",
    access: Access::Administrator,
    asked: Asked::own("PutTimestamps"),
    query: &[],
    body: Some(TIMESTAMPS),
    answer: Answer::Json(200, TIMESTAMPS),
    handler: || put(replace),
};

pub(super) static ROUTES: &[&Route] = &[&SHOW, &REPLACE];

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Timestamps {
    timestamps: Option<TimestampSource>,
}

impl Timestamps {
    fn of(stream: &Stream) -> Self {
        Self { timestamps: stream.timestamps }
    }
}

async fn show(
    State(app): State<Arc<App>>,
    Caller(who): Caller,
    Named(name): Named,
    uri: Uri,
) -> Result<Json<Timestamps>, ApiError> {
    SHOW.params(&uri)?;
    Ok(Json(Timestamps::of(&*streams::find(&app, &who, Action::Play, &name)?)))
}

async fn replace(
    State(app): State<Arc<App>>,
    Caller(who): Caller,
    Named(name): Named,
    uri: Uri,
    Body(wanted): Body<Timestamps>,
) -> Result<Json<Timestamps>, ApiError> {
    REPLACE.params(&uri)?;
    let stream = streams::find(&app, &who, Action::Manage, &name)?;
    let update = StreamUpdate::Timestamps(wanted.timestamps);
    let stream = app.catalog.update_stream(stream.id, None, update).await?;
    Ok(Json(Timestamps::of(&stream)))
}
