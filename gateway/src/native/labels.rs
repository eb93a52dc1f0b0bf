//! Labels of a stream: what all its fragments are found by.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::routing::{get, put};
use base::Tags;
use catalog::Action;
use http::{Method, Uri};

use super::caller::Caller;
use super::params::{Body, Named};
use super::route::{Access, Answer, Route};
use super::streams;
use crate::app::App;
use crate::auth::Asked;
use crate::error::ApiError;

static SHOW: Route = Route {
    method: Method::GET,
    path: "/v1/streams/{name}/labels",
    summary: "A stream's labels",
    access: Access::Caller,
    asked: Asked::own("GetLabels"),
    query: &[],
    body: None,
    answer: Answer::Tags(200),
    handler: || get(show),
};

static REPLACE: Route = Route {
    method: Method::PUT,
    path: "/v1/streams/{name}/labels",
    summary: "Replace a stream's labels; older fragments are found by them too",
    access: Access::Administrator,
    asked: Asked::own("PutLabels"),
    query: &[],
    body: Some(&[]),
    answer: Answer::Tags(200),
    handler: || put(replace),
};

pub(super) static ROUTES: &[&Route] = &[&SHOW, &REPLACE];

async fn show(
    State(app): State<Arc<App>>,
    Caller(who): Caller,
    Named(name): Named,
    uri: Uri,
) -> Result<Json<Tags>, ApiError> {
    SHOW.params(&uri)?;
    let stream = streams::find(&app, &who, Action::Play, &name)?;
    Ok(Json(stream.labels.clone()))
}

async fn replace(
    State(app): State<Arc<App>>,
    Caller(who): Caller,
    Named(name): Named,
    uri: Uri,
    Body(labels): Body<Tags>,
) -> Result<Json<Tags>, ApiError> {
    REPLACE.params(&uri)?;
    let stream = streams::find(&app, &who, Action::Manage, &name)?;
    let stream = app.catalog.set_labels(stream.id, labels).await?;
    Ok(Json(stream.labels.clone()))
}
