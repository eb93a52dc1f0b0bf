//! Encryption keys: the master key and those of streams change while the server runs.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use catalog::Action;
use fragment_log::{Log, LogError, MasterKey, MasterKeyPlace};
use http::{Method, Uri};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::caller::Caller;
use super::params::{Body, Named, bad};
use super::route::{Access, Answer, Field, Kind, Route};
use super::streams::find;
use crate::app::App;
use crate::auth::Asked;
use crate::error::ApiError;

const PLACES: &[&str] = &["file", "command", "caller"];

static ROTATE_MASTER: Route = Route {
    method: Method::POST,
    path: "/v1/master-key",
    summary: "Change the master key: the key table is wrapped anew, footage stays as it is",
    access: Access::Administrator,
    asked: Asked::own("RotateMasterKey"),
    query: &[],
    body: Some(&[Field::optional(
        "key",
        Kind::Text,
        "the new one, base64 of 32 bytes; without it one is made for the old one's file, or its command wraps anew",
    )]),
    answer: Answer::Json(
        200,
        &[
            Field::new("place", Kind::Choice(PLACES), "where the new one is: the next start looks there"),
            Field::optional("file", Kind::Text, "which file"),
        ],
    ),
    handler: || post(rotate_master),
};

static ROTATE_STREAM: Route = Route {
    method: Method::POST,
    path: "/v1/streams/{name}/key",
    summary: "Give a stream a new key for what it records from now on",
    access: Access::Administrator,
    asked: Asked::own("RotateStreamKey"),
    query: &[],
    body: None,
    answer: Answer::Json(200, &[Field::new("epoch", Kind::Number, "how many keys it has had")]),
    handler: || post(rotate_stream),
};

pub(super) static ROUTES: &[&Route] = &[&ROTATE_MASTER, &ROTATE_STREAM];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewMaster {
    key: Option<String>,
}

async fn rotate_master(
    State(app): State<Arc<App>>,
    Caller(who): Caller,
    uri: Uri,
    Body(new): Body<NewMaster>,
) -> Result<Response, ApiError> {
    ROTATE_MASTER.params(&uri)?;
    who.require_administrator()?;
    let parsed = new
        .key
        .map(|text| MasterKey::from_base64(&text).ok_or_else(|| bad("key", "is not the base64 of 32 bytes")));
    let next = parsed.transpose()?;
    let place = change(&app, move |log| log.keys().rotate_master_key(next)).await?;
    tracing::info!(?place, "the master key was changed");
    Ok(Json(master_key_place(&place)).into_response())
}

/// Where a master key is, as `POST /v1/master-key` answers.
pub fn master_key_place(place: &MasterKeyPlace) -> Value {
    match place {
        MasterKeyPlace::File(file) => json!({ "place": "file", "file": file }),
        MasterKeyPlace::Command => json!({ "place": "command" }),
        MasterKeyPlace::Caller => json!({ "place": "caller" }),
    }
}

async fn rotate_stream(
    State(app): State<Arc<App>>,
    Caller(who): Caller,
    Named(name): Named,
    uri: Uri,
) -> Result<Response, ApiError> {
    ROTATE_STREAM.params(&uri)?;
    let stream = find(&app, &who, Action::Manage, &name)?;
    let epoch = change(&app, move |log| log.keys().rotate_stream_key(stream.id)).await?;
    tracing::info!(stream = %name, epoch, "the stream's key was changed");
    Ok(Json(json!({ "epoch": epoch })).into_response())
}

/// Changes keys, which waits for the disk, and perhaps for a command.
async fn change<T: Send + 'static>(
    app: &Arc<App>,
    change: impl FnOnce(&Log) -> Result<T, LogError> + Send + 'static,
) -> Result<T, ApiError> {
    let log = Arc::clone(&app.log);
    let changed = spawn_blocking(move || change(&log)).await.map_err(|error| ApiError::internal(&error))?;
    changed.map_err(|error| match error {
        // An administrator can mend these, and only by what they say.
        LogError::MasterKey(_) | LogError::Io { .. } => ApiError::conflict(error.to_string()),
        error => error.into(),
    })
}
