//! Corrections of a stream's clocks: by how much the times of a run are wrong, found out after it was stored.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use base::{FragmentNumber, RunId, Timestamp};
use catalog::{Action, ClockCorrection, NewClockCorrection};
use http::{Method, Uri};
use serde::{Deserialize, Serialize};

use super::caller::Caller;
use super::params::{Body, Named, bad};
use super::route::{Access, Answer, Field, Kind, Route};
use super::streams;
use crate::app::App;
use crate::auth::Asked;
use crate::error::ApiError;

const CORRECTION: &[Field] = &[
    Field::new("run_id", Kind::Text, "the run, as its fragments name it"),
    Field::new("delta_ms", Kind::Number, "to be added to its producer times; 0 takes a correction back"),
    Field::new("reason", Kind::Text, "why"),
    Field::new("set_by", Kind::Text, "the access key that noted it, or millrace"),
    Field::new("set", Kind::Time, "when"),
];

static LIST: Route = Route {
    method: Method::GET,
    path: "/v1/streams/{name}/clock-corrections",
    summary: "What is known of wrong clocks of a stream's runs",
    access: Access::Caller,
    asked: Asked::own("ListClockCorrections"),
    query: &[],
    body: None,
    answer: Answer::Json(
        200,
        &[Field::new("clock_corrections", Kind::List(&Kind::Object(CORRECTION)), "in the order of runs")],
    ),
    handler: || get(list),
};

static SET: Route = Route {
    method: Method::PUT,
    path: "/v1/streams/{name}/clock-corrections/{run_id}",
    summary: "Note by how much the times of a run are wrong; nothing that is stored changes",
    access: Access::Administrator,
    asked: Asked::own("PutClockCorrection"),
    query: &[],
    body: Some(&[
        Field::new("delta_ms", Kind::Number, "whole milliseconds to be added to its producer times"),
        Field::new("reason", Kind::Text, "why, in at most 1024 bytes"),
    ]),
    answer: Answer::Json(200, CORRECTION),
    handler: || put(set),
};

pub(super) static ROUTES: &[&Route] = &[&LIST, &SET];

/// A correction as it is told.
#[derive(Serialize)]
struct Told {
    run_id: RunId,
    delta_ms: i64,
    reason: String,
    set_by: String,
    set: Timestamp,
}

impl Told {
    fn of(correction: &ClockCorrection) -> Self {
        let ClockCorrection { run, delta_ms, reason, set_by, set, .. } = correction.clone();
        Self { run_id: run, delta_ms, reason, set_by, set }
    }
}

/// The run that the path names.
#[derive(Deserialize)]
struct RunPath {
    run_id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    delta_ms: Option<i64>,
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
    let all = app.catalog.clock_corrections(stream.id);
    let all: Vec<_> = all.iter().map(|correction| Told::of(correction)).collect();
    Ok(Json(serde_json::json!({ "clock_corrections": all })).into_response())
}

async fn set(
    State(app): State<Arc<App>>,
    Caller(who): Caller,
    Named(name): Named,
    Path(RunPath { run_id }): Path<RunPath>,
    uri: Uri,
    Body(wanted): Body<Wanted>,
) -> Result<Json<Told>, ApiError> {
    SET.params(&uri)?;
    let stream = streams::find(&app, &who, Action::Manage, &name)?;
    let run = FragmentNumber::parse(&run_id).map_err(|error| bad("run_id", &error.to_string()))?;
    let delta_ms = wanted.delta_ms.ok_or_else(|| bad("delta_ms", "is needed: whole milliseconds"))?;
    let reason = wanted.reason.ok_or_else(|| bad("reason", "is needed"))?;
    let correction = NewClockCorrection { run: RunId(run), delta_ms, reason };
    Ok(Json(Told::of(&*app.catalog.correct_clock(stream.id, correction, who.name()).await?)))
}
