//! A look around for cameras on the local network.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use catalog::Secret;
use http::{Method, Uri};
use ingest::onvif::{DiscoveryError, Login};
use serde::Deserialize;

use super::caller::Caller;
use super::params::{Body, bad};
use super::route::{Access, Answer, Field, Kind, Route};
use crate::app::App;
use crate::auth::Asked;
use crate::error::ApiError;

/// How long cameras have to answer, in seconds.
const WAIT: u64 = 3;
const LONGEST: u64 = 10;
/// Bytes of a user name, and of a password.
const CREDENTIAL_BYTES: usize = 256;

const PROFILE: &[Field] = &[
    Field::new("name", Kind::Text, "the profile's name"),
    Field::new("token", Kind::Text, "how the camera knows it"),
    Field::optional("encoding", Kind::Text, "H264, H265, JPEG, …"),
    Field::optional("width", Kind::Number, "pixels"),
    Field::optional("height", Kind::Number, "pixels"),
    Field::optional("frame_rate", Kind::Number, "pictures per second, at most"),
    Field::optional("url", Kind::Text, "what a source's url can be, without user and password"),
];

const CAMERA: &[Field] = &[
    Field::new("address", Kind::Text, "the address that it answered from"),
    Field::optional("name", Kind::Text, "what it calls itself"),
    Field::optional("manufacturer", Kind::Text, "who made it"),
    Field::optional("model", Kind::Text, "its model"),
    Field::optional("location", Kind::Text, "where it is, as somebody told it"),
    Field::new("profiles", Kind::List(&Kind::Object(PROFILE)), "what it can send"),
    Field::new("credentials_wanted", Kind::Boolean, "whether it tells more to who signs in as another user"),
    Field::optional("trouble", Kind::Text, "why it did not tell everything"),
];

static DISCOVER: Route = Route {
    method: Method::POST,
    path: "/v1/discover",
    summary: "Look for ONVIF cameras on the local network, and ask them for the URLs of their streams",
    access: Access::Administrator,
    asked: Asked::own("Discover"),
    query: &[],
    body: Some(&[
        Field::optional("username", Kind::Text, "to sign in with at every camera that answers"),
        Field::optional("password", Kind::Text, "sent as a digest only"),
        Field::optional(
            "wait_seconds",
            Kind::Whole { least: 1, most: LONGEST },
            "how long cameras have to answer; 3 is the default",
        ),
    ]),
    answer: Answer::Json(
        200,
        &[Field::new("cameras", Kind::List(&Kind::Object(CAMERA)), "in the order of their addresses")],
    ),
    handler: || post(discover),
};

pub(super) static ROUTES: &[&Route] = &[&DISCOVER];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    username: Option<String>,
    password: Option<Secret>,
    wait_seconds: Option<u64>,
}

impl Wanted {
    fn login(username: Option<String>, password: Option<Secret>) -> Result<Option<Login>, ApiError> {
        let login = match (username, password) {
            (None, None) => return Ok(None),
            (None, Some(_)) => return Err(bad("username", "is missing, where there is a password")),
            (Some(username), password) => {
                Login { username, password: password.unwrap_or_else(|| Secret::new("")) }
            }
        };
        for (name, text) in [("username", login.username.as_str()), ("password", login.password.expose())] {
            if text.len() > CREDENTIAL_BYTES || text.chars().any(char::is_control) {
                return Err(bad(name, &format!("must be up to {CREDENTIAL_BYTES} bytes of text")));
            }
        }
        Ok(Some(login))
    }
}

async fn discover(
    State(app): State<Arc<App>>,
    Caller(who): Caller,
    uri: Uri,
    Body(Wanted { username, password, wait_seconds }): Body<Wanted>,
) -> Result<Response, ApiError> {
    DISCOVER.params(&uri)?;
    who.require_administrator()?;
    let wait = wait_seconds.unwrap_or(WAIT);
    if !(1..=LONGEST).contains(&wait) {
        return Err(bad("wait_seconds", &format!("must be a whole number from 1 to {LONGEST}")));
    }
    let login = Wanted::login(username, password)?;
    let cameras = app.discovery.find(Duration::from_secs(wait), login).await?;
    Ok(Json(serde_json::json!({ "cameras": cameras })).into_response())
}

impl From<DiscoveryError> for ApiError {
    fn from(error: DiscoveryError) -> Self {
        match error {
            DiscoveryError::Busy | DiscoveryError::Network(_) => Self::unavailable(error.to_string()),
        }
    }
}
