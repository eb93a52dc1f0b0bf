//! Credentials: access keys for API clients, device credentials for cameras and players.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use catalog::{Allow, Catalog, Policy, Secret, StreamGlob};
use http::{Method, StatusCode, Uri};
use serde::Deserialize;
use serde_json::{Value, json};

use super::caller::Caller;
use super::params::{Body, bad};
use super::route::{Access, Answer, Field, Kind, Route};
use crate::app::App;
use crate::auth::Asked;
use crate::error::ApiError;

const RIGHTS: &[&str] = &["publish", "play", "create"];

const STATEMENT: &[Field] = &[
    Field::optional("Sid", Kind::Text, "a name"),
    Field::new("Effect", Kind::Choice(&["Allow", "Deny"]), "what it says"),
    Field::new("Action", Kind::List(&Kind::Text), "SERVICE:OPERATION, with * and ?; one may stand alone"),
    Field::new("Resource", Kind::List(&Kind::Text), "ARNs, with * and ?; one may stand alone"),
];

const POLICY: &[Field] = &[
    Field::optional("Version", Kind::Text, "2012-10-17"),
    Field::optional("Id", Kind::Text, "a name"),
    Field::new("Statement", Kind::List(&Kind::Object(STATEMENT)), "as AWS IAM writes them"),
];

const KEY: &[Field] = &[
    Field::new("access_key_id", Kind::Text, "its id"),
    Field::new("root", Kind::Boolean, "whether it is the one in DATA/credentials"),
    Field::new("created", Kind::Time, "when it was made"),
    Field::optional("revoked", Kind::Time, "since when it is good no more"),
    Field::optional("policy", Kind::Object(POLICY), "what it may do; everything, where there is none"),
];

const DEVICE: &[Field] = &[
    Field::new("username", Kind::Text, "for RTSP"),
    Field::new("stream", Kind::Text, "pattern of the streams it is for"),
    Field::new("allow", Kind::List(&Kind::Choice(RIGHTS)), "what it may"),
    Field::new("created", Kind::Time, "when it was made"),
    Field::optional("revoked", Kind::Time, "since when it is good no more"),
];

static LIST: Route = Route {
    method: Method::GET,
    path: "/v1/keys",
    summary: "All credentials, without their secrets",
    access: Access::Administrator,
    asked: Asked::own("ListKeys"),
    query: &[],
    body: None,
    answer: Answer::Json(
        200,
        &[
            Field::new("access_keys", Kind::List(&Kind::Object(KEY)), "of API clients"),
            Field::new("devices", Kind::List(&Kind::Object(DEVICE)), "of cameras and players"),
        ],
    ),
    handler: || get(list),
};

static CREATE: Route = Route {
    method: Method::POST,
    path: "/v1/keys",
    summary: "Make an access key; its secret is told once",
    access: Access::Administrator,
    asked: Asked::own("CreateKey"),
    query: &[],
    body: Some(&[
        Field::optional("access_key_id", Kind::Text, "a chosen id, with secret_access_key"),
        Field::optional("secret_access_key", Kind::Text, "a chosen secret, with access_key_id"),
        Field::optional("policy", Kind::Object(POLICY), "what it may do; everything, where there is none"),
    ]),
    answer: Answer::Json(
        201,
        &[
            Field::new("access_key_id", Kind::Text, "its id"),
            Field::new("secret_access_key", Kind::Text, "its secret"),
        ],
    ),
    handler: || post(create),
};

static REVOKE: Route = Route {
    method: Method::DELETE,
    path: "/v1/keys/{id}",
    summary: "Revoke an access key by its id, or a device credential by its username",
    access: Access::Administrator,
    asked: Asked::own("RevokeKey"),
    query: &[],
    body: None,
    answer: Answer::Empty(204),
    handler: || delete(revoke),
};

static CREATE_DEVICE: Route = Route {
    method: Method::POST,
    path: "/v1/devices",
    summary: "Make a credential for a camera or a player; it is told once",
    access: Access::Administrator,
    asked: Asked::own("CreateDevice"),
    query: &[],
    body: Some(&[
        Field::new("stream", Kind::Text, "pattern of the streams it is for: * ? [abc]"),
        Field::new(
            "allow",
            Kind::List(&Kind::Choice(RIGHTS)),
            "what it may; create lets the first push make the stream",
        ),
    ]),
    answer: Answer::Json(
        201,
        &[
            Field::new("username", Kind::Text, "for RTSP"),
            Field::new("password", Kind::Text, "for RTSP"),
            Field::new("token", Kind::Text, "bearer token for HTTP"),
        ],
    ),
    handler: || post(create_device),
};

pub(super) static ROUTES: &[&Route] = &[&LIST, &CREATE, &REVOKE, &CREATE_DEVICE];

async fn list(State(app): State<Arc<App>>, Caller(who): Caller, uri: Uri) -> Result<Response, ApiError> {
    LIST.params(&uri)?;
    who.require_administrator()?;
    Ok(Json(credentials(&app.catalog)).into_response())
}

/// All credentials without their secrets, as `GET /v1/keys` answers.
pub fn credentials(catalog: &Catalog) -> Value {
    let keys = catalog.access_keys();
    let keys = keys.iter().map(|key| {
        json!({
            "access_key_id": key.id,
            "root": key.root,
            "created": key.created,
            "revoked": key.revoked,
            "policy": key.policy,
        })
    });
    let devices = catalog.devices();
    let devices = devices.iter().map(|device| {
        json!({
            "username": device.username,
            "stream": device.streams.to_string(),
            "allow": device.allow.to_string().split(',').filter(|right| !right.is_empty()).collect::<Vec<_>>(),
            "created": device.created,
            "revoked": device.revoked,
        })
    });
    let (keys, devices): (Vec<_>, Vec<_>) = (keys.collect(), devices.collect());
    json!({ "access_keys": keys, "devices": devices })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Chosen {
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    policy: Option<Value>,
}

async fn create(
    State(app): State<Arc<App>>,
    Caller(who): Caller,
    uri: Uri,
    Body(Chosen { access_key_id, secret_access_key, policy }): Body<Chosen>,
) -> Result<Response, ApiError> {
    CREATE.params(&uri)?;
    who.require_administrator()?;
    let policy = policy.map(|json| Policy::parse(&json.to_string())).transpose()?;
    let chosen = match (access_key_id, secret_access_key) {
        (None, None) => None,
        (Some(id), Some(secret)) => Some((id, Secret::new(secret))),
        (Some(_), None) => return Err(bad("secret_access_key", "goes with a chosen access_key_id")),
        (None, Some(_)) => return Err(bad("access_key_id", "goes with a chosen secret_access_key")),
    };
    let key = app.catalog.create_access_key(chosen, policy).await?;
    let told = json!({ "access_key_id": key.id, "secret_access_key": key.secret.expose() });
    Ok((StatusCode::CREATED, Json(told)).into_response())
}

async fn revoke(
    State(app): State<Arc<App>>,
    Caller(who): Caller,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, ApiError> {
    REVOKE.params(&uri)?;
    who.require_administrator()?;
    if app.catalog.device_by_username(&id).is_some() {
        app.catalog.revoke_device(&id).await?;
    } else {
        app.catalog.revoke_access_key(&id).await?;
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewDevice {
    stream: String,
    allow: Vec<String>,
}

async fn create_device(
    State(app): State<Arc<App>>,
    Caller(who): Caller,
    uri: Uri,
    Body(wanted): Body<NewDevice>,
) -> Result<Response, ApiError> {
    CREATE_DEVICE.params(&uri)?;
    who.require_administrator()?;
    let streams = StreamGlob::new(&wanted.stream).map_err(|error| bad("stream", &error.to_string()))?;
    let allow: Allow =
        wanted.allow.join(",").parse().map_err(|_| bad("allow", "takes publish, play, create"))?;
    let made = app.catalog.create_device(streams, allow).await?;
    let told = json!({
        "username": made.username,
        "password": made.password.expose(),
        "token": made.token.expose(),
    });
    Ok((StatusCode::CREATED, Json(told)).into_response())
}
