//! Secrets that hold the URL of a camera, for AWS clients to name by ARN: written, never read back.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, put};
use axum::{Json, extract::rejection::PathRejection};
use base::Timestamp;
use catalog::{MediaSecret, Secret};
use http::{Method, StatusCode, Uri};
use serde::{Deserialize, Serialize};

use super::caller::Caller;
use super::params::{Body, bad};
use super::route::{Access, Answer, Field, Kind, Route};
use super::source;
use crate::app::App;
use crate::auth::Asked;
use crate::error::ApiError;

const SECRET: &[Field] = &[
    Field::new("name", Kind::Text, "the secret's name"),
    Field::new("arn", Kind::Text, "what StartEdgeConfigurationUpdate takes as MediaUriSecretArn"),
    Field::new("created", Kind::Time, "when it was made"),
    Field::new("changed", Kind::Time, "when its URL was set last"),
];

static LIST: Route = Route {
    method: Method::GET,
    path: "/v1/secrets",
    summary: "The secrets there are, without what is in them",
    access: Access::Administrator,
    asked: Asked::own("ListSecrets"),
    query: &[],
    body: None,
    answer: Answer::Json(
        200,
        &[Field::new("secrets", Kind::List(&Kind::Object(SECRET)), "in the order of their names")],
    ),
    handler: || get(list),
};

static REPLACE: Route = Route {
    method: Method::PUT,
    path: "/v1/secrets/{name}",
    summary: "Keep the URL of a camera as a secret; edge configurations that name it follow at once",
    access: Access::Administrator,
    asked: Asked::own("PutSecret"),
    query: &[],
    body: Some(&[Field::new("MediaURI", Kind::Text, "the URL, as of a stream's source")]),
    answer: Answer::Json(200, SECRET),
    handler: || put(replace),
};

static REMOVE: Route = Route {
    method: Method::DELETE,
    path: "/v1/secrets/{name}",
    summary: "Forget a secret that no edge configuration names",
    access: Access::Administrator,
    asked: Asked::own("DeleteSecret"),
    query: &[],
    body: None,
    answer: Answer::Empty(204),
    handler: || delete(remove),
};

pub(super) static ROUTES: &[&Route] = &[&LIST, &REPLACE, &REMOVE];

/// As AWS's edge agent has it in Secrets Manager.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(rename = "MediaURI")]
    media_uri: Secret,
}

#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    arn: &'a str,
    created: Timestamp,
    changed: Timestamp,
}

impl<'a> Shown<'a> {
    fn of(secret: &'a MediaSecret) -> Self {
        let MediaSecret { name, arn, created, changed, .. } = secret;
        Self { name, arn, created: *created, changed: *changed }
    }
}

type Name = Result<Path<String>, PathRejection>;

fn name(path: Name) -> Result<String, ApiError> {
    path.map(|Path(name)| name).map_err(|error| bad("name", &error.body_text()))
}

async fn list(State(app): State<Arc<App>>, Caller(who): Caller, uri: Uri) -> Result<Response, ApiError> {
    LIST.params(&uri)?;
    who.require_administrator()?;
    let secrets = app.catalog.media_secrets();
    let shown: Vec<_> = secrets.iter().map(|secret| Shown::of(secret)).collect();
    Ok(Json(serde_json::json!({ "secrets": shown })).into_response())
}

async fn replace(
    State(app): State<Arc<App>>,
    Caller(who): Caller,
    path: Name,
    uri: Uri,
    Body(Wanted { media_uri }): Body<Wanted>,
) -> Result<Response, ApiError> {
    REPLACE.params(&uri)?;
    who.require_administrator()?;
    source::check("MediaURI", &app, &media_uri).await?;
    let secret = app.catalog.set_media_secret(name(path)?, media_uri).await?;
    Ok(Json(Shown::of(&secret)).into_response())
}

async fn remove(
    State(app): State<Arc<App>>,
    Caller(who): Caller,
    path: Name,
    uri: Uri,
) -> Result<Response, ApiError> {
    REMOVE.params(&uri)?;
    who.require_administrator()?;
    app.catalog.remove_media_secret(&name(path)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
