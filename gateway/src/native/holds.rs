//! Evidence holds of a stream: spans of time of which nothing goes.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, put};
use base::Timestamp;
use catalog::{Action, Hold, NewHold};
use http::{Method, Uri};
use serde::{Deserialize, Serialize};

use super::caller::Caller;
use super::params::{Body, Named, bad, time};
use super::route::{Access, Answer, Field, Kind, Route};
use super::streams;
use crate::app::App;
use crate::auth::Asked;
use crate::error::ApiError;

const HOLD: &[Field] = &[
    Field::new("id", Kind::Text, "its name among the holds of its stream, given once"),
    Field::new("start", Kind::Time, "the first moment that is held"),
    Field::new("end", Kind::Time, "the last moment that is held; may lie ahead"),
    Field::new("reason", Kind::Text, "why"),
    Field::new("set_by", Kind::Text, "the access key that set it"),
    Field::new("set", Kind::Time, "when"),
    Field::optional("cleared_by", Kind::Text, "the access key that cleared it"),
    Field::optional("cleared", Kind::Time, "when; none while it stands"),
];

static LIST: Route = Route {
    method: Method::GET,
    path: "/v1/streams/{name}/holds",
    summary: "Every hold that a stream has or had",
    access: Access::Caller,
    asked: Asked::own("ListHolds"),
    query: &[],
    body: None,
    answer: Answer::Json(
        200,
        &[Field::new(
            "holds",
            Kind::List(&Kind::Object(HOLD)),
            "in the order of their ids, cleared ones too",
        )],
    ),
    handler: || get(list),
};

static SHOW: Route = Route {
    method: Method::GET,
    path: "/v1/streams/{name}/holds/{id}",
    summary: "One hold, standing or cleared, and who set and cleared it",
    access: Access::Caller,
    asked: Asked::own("GetHold"),
    query: &[],
    body: None,
    answer: Answer::Json(200, HOLD),
    handler: || get(show),
};

static SET: Route = Route {
    method: Method::PUT,
    path: "/v1/streams/{name}/holds/{id}",
    summary: "Hold a span of time: whatever lies in it, by either clock, stays until the hold is cleared",
    access: Access::Administrator,
    asked: Asked::own("PutHold"),
    query: &[],
    body: Some(&[
        Field::new("start", Kind::Time, "the first moment that is held"),
        Field::new("end", Kind::Time, "the last moment that is held; may lie ahead"),
        Field::new("reason", Kind::Text, "why, in at most 1024 bytes"),
    ]),
    answer: Answer::Json(200, HOLD),
    handler: || put(set),
};

static CLEAR: Route = Route {
    method: Method::DELETE,
    path: "/v1/streams/{name}/holds/{id}",
    summary: "Clear a hold for good; what it was, and who cleared it, stays",
    access: Access::Administrator,
    asked: Asked::own("ClearHold"),
    query: &[],
    body: None,
    answer: Answer::Json(200, HOLD),
    handler: || delete(clear),
};

pub(super) static ROUTES: &[&Route] = &[&LIST, &SHOW, &SET, &CLEAR];

/// A hold as it is told.
#[derive(Serialize)]
struct Told {
    id: String,
    start: Timestamp,
    end: Timestamp,
    reason: String,
    set_by: String,
    set: Timestamp,
    cleared_by: Option<String>,
    cleared: Option<Timestamp>,
}

impl Told {
    fn of(hold: &Hold) -> Self {
        let (cleared_by, cleared) = hold.cleared.clone().map(|cleared| (cleared.by, cleared.at)).unzip();
        Self {
            id: hold.id.clone(),
            start: hold.start,
            end: hold.end,
            reason: hold.reason.clone(),
            set_by: hold.set_by.clone(),
            set: hold.set,
            cleared_by,
            cleared,
        }
    }
}

/// The hold that the path names.
#[derive(Deserialize)]
struct HoldPath {
    id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default, deserialize_with = "time")]
    start: Option<Timestamp>,
    #[serde(default, deserialize_with = "time")]
    end: Option<Timestamp>,
    reason: Option<String>,
}

async fn list(
    State(app): State<Arc<App>>,
    Caller(who): Caller,
    Named(name): Named,
    uri: Uri,
) -> Result<Response, ApiError> {
    LIST.params(&uri)?;
    let stream = streams::find(&app, &who, Action::Play, &name)?;
    let holds: Vec<_> = app.catalog.holds(stream.id).iter().map(|hold| Told::of(hold)).collect();
    Ok(Json(serde_json::json!({ "holds": holds })).into_response())
}

async fn show(
    State(app): State<Arc<App>>,
    Caller(who): Caller,
    Named(name): Named,
    Path(HoldPath { id }): Path<HoldPath>,
    uri: Uri,
) -> Result<Json<Told>, ApiError> {
    SHOW.params(&uri)?;
    let stream = streams::find(&app, &who, Action::Play, &name)?;
    let holds = app.catalog.holds(stream.id);
    let hold = holds.iter().find(|hold| hold.id == id);
    let absent = || ApiError::not_found(format!("there is no hold {id} on the stream {name}"));
    hold.map(|hold| Json(Told::of(hold))).ok_or_else(absent)
}

async fn set(
    State(app): State<Arc<App>>,
    Caller(who): Caller,
    Named(name): Named,
    Path(HoldPath { id }): Path<HoldPath>,
    uri: Uri,
    Body(wanted): Body<Wanted>,
) -> Result<Json<Told>, ApiError> {
    SET.params(&uri)?;
    let stream = streams::find(&app, &who, Action::Manage, &name)?;
    let start = wanted.start.ok_or_else(|| bad("start", "is needed: the first moment to hold"))?;
    let end = wanted.end.ok_or_else(|| bad("end", "is needed: the last moment to hold"))?;
    let reason = wanted.reason.ok_or_else(|| bad("reason", "is needed"))?;
    let hold = app.catalog.set_hold(stream.id, NewHold { id, start, end, reason }, &who).await?;
    // A sweep that began before may still remove what it found expired: once this one is done, none does.
    app.sweep().await?;
    Ok(Json(Told::of(&hold)))
}

async fn clear(
    State(app): State<Arc<App>>,
    Caller(who): Caller,
    Named(name): Named,
    Path(HoldPath { id }): Path<HoldPath>,
    uri: Uri,
) -> Result<Json<Told>, ApiError> {
    CLEAR.params(&uri)?;
    let stream = streams::find(&app, &who, Action::Manage, &name)?;
    Ok(Json(Told::of(&*app.catalog.clear_hold(stream.id, &id, &who).await?)))
}
