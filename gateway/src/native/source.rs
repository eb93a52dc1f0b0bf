//! The source of a stream: where its media is pulled from, and how that goes.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, put};
use base::{StreamName, Timestamp, TimestampSource};
use catalog::{Action, Edge, NewSource, Secret, Source, SourceTransport, Stream};
use http::{Method, StatusCode, Uri};
use ingest::pull::{PullHealth, SourceUrl};
use serde::{Deserialize, Serialize};

use super::caller::Caller;
use super::params::{Body, Named, bad};
use super::route::{Access, Answer, Field, Kind, Route};
use super::streams;
use crate::app::App;
use crate::auth::Asked;
use crate::error::ApiError;

/// How packets come.
pub(super) const TRANSPORT: Kind = Kind::Choice(&["auto", "tcp", "udp"]);
const TIMESTAMPS: Kind = Kind::Choice(&["auto", "camera", "server"]);

const WANTED: &[Field] = &[
    Field::new(
        "url",
        Kind::Text,
        "rtsp:// or rtsps://USER:PASSWORD@HOST:PORT/PATH, with / in the password as %2F, and % as %25; http, https, \
         rtmp, rtmps or srt where the build has GStreamer",
    ),
    Field::optional(
        "transport",
        TRANSPORT,
        "how packets come; auto, the default, is TCP, and UDP where that is refused",
    ),
    Field::optional("timestamps", TIMESTAMPS, "which clock names producer timestamps; auto is the default"),
];

/// How pulling is doing.
pub(super) const HEALTH: &[Field] = &[
    Field::new("state", Kind::Choice(&["connecting", "online", "waiting"]), "where the source stands"),
    Field::new("since", Kind::Time, "since when"),
    Field::optional("reason", Kind::Text, "why the last connection failed or ended"),
    Field::new(
        "action_needed",
        Kind::Boolean,
        "whether somebody has to put something right first, such as the password",
    ),
    Field::optional("next_try", Kind::Time, "when the next attempt is made, while waiting"),
    Field::new("failures", Kind::Number, "attempts that failed since media came in last"),
    Field::new("reconnects", Kind::Number, "connections after the first that brought media"),
    Field::optional("transport", Kind::Text, "how media comes, while online: tcp, udp or gstreamer"),
    Field::new("left_out", Kind::List(&Kind::Text), "what of the camera's offer is not recorded, and why"),
];

/// A source of an edge configuration.
const EDGE: &[Field] = &[
    Field::new("secret_arn", Kind::Text, "the secret that the URL is in"),
    Field::optional(
        "schedule",
        Kind::Text,
        "when recordings start, as a cron expression in UTC; always without it",
    ),
    Field::optional("duration_seconds", Kind::Number, "how long each goes on"),
];

const SOURCE: &[Field] = &[
    Field::new("stream", Kind::Text, "the stream that is recorded"),
    Field::new("url", Kind::Text, "the source's URL, without its credentials"),
    Field::new("transport", TRANSPORT, "how packets are asked for"),
    Field::new("timestamps", TIMESTAMPS, "which clock names producer timestamps"),
    Field::new(
        "owner",
        Kind::Choice(&["api", "edge", "file"]),
        "who says so: this API, an edge configuration (AWS API), or the configuration file",
    ),
    Field::optional("edge", Kind::Object(EDGE), "what the edge configuration says"),
    Field::optional("set", Kind::Time, "when it was set, by the API"),
    Field::optional("health", Kind::Object(HEALTH), "how pulling is doing"),
];

static SHOW: Route = Route {
    method: Method::GET,
    path: "/v1/streams/{name}/source",
    summary: "Where a stream is pulled from, and how that goes",
    access: Access::Administrator,
    asked: Asked::own("GetSource"),
    query: &[],
    body: None,
    answer: Answer::Json(200, SOURCE),
    handler: || get(show),
};

static REPLACE: Route = Route {
    method: Method::PUT,
    path: "/v1/streams/{name}/source",
    summary: "Pull a stream from a camera, in place of the source that it may have; makes the stream where there is none",
    access: Access::Administrator,
    asked: Asked::own("PutSource"),
    query: &[],
    body: Some(WANTED),
    answer: Answer::Json(200, SOURCE),
    handler: || put(replace),
};

static REMOVE: Route = Route {
    method: Method::DELETE,
    path: "/v1/streams/{name}/source",
    summary: "Pull a stream no more; what was recorded stays",
    access: Access::Administrator,
    asked: Asked::own("DeleteSource"),
    query: &[],
    body: None,
    answer: Answer::Empty(204),
    handler: || delete(remove),
};

pub(super) static ROUTES: &[&Route] = &[&SHOW, &REPLACE, &REMOVE];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    url: Secret,
    #[serde(default)]
    transport: SourceTransport,
    #[serde(default)]
    timestamps: TimestampSource,
}

#[derive(Serialize)]
struct Shown {
    stream: StreamName,
    url: String,
    transport: SourceTransport,
    timestamps: TimestampSource,
    owner: &'static str,
    set: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    edge: Option<ShownEdge>,
    health: Option<PullHealth>,
}

#[derive(Serialize)]
struct ShownEdge {
    secret_arn: String,
    schedule: Option<String>,
    duration_seconds: Option<u32>,
}

impl From<&Edge> for ShownEdge {
    fn from(edge: &Edge) -> Self {
        let schedule = edge.schedule.as_ref();
        Self {
            secret_arn: edge.secret_arn.clone(),
            schedule: schedule.map(|schedule| schedule.expression.clone()),
            duration_seconds: schedule.map(|schedule| schedule.duration_secs),
        }
    }
}

/// Whether a stream has a source, in the configuration file or in the catalog.
pub(super) fn exists(app: &App, stream: &Stream) -> bool {
    app.pullers.configured(&stream.name).is_some() || app.catalog.source(stream.id).is_some()
}

async fn show(
    State(app): State<Arc<App>>,
    Caller(who): Caller,
    Named(name): Named,
    uri: Uri,
) -> Result<Response, ApiError> {
    SHOW.params(&uri)?;
    let stream = streams::find(&app, &who, Action::Manage, &name)?;
    if let Some(source) = app.pullers.configured(&name) {
        return Ok(shown(&app, &stream, &source, ("file", None, None)));
    }
    let none = || ApiError::not_found(format!("the stream {name} has no source"));
    let source = app.catalog.source(stream.id).ok_or_else(none)?;
    Ok(stored(&app, &stream, &source))
}

async fn replace(
    State(app): State<Arc<App>>,
    Caller(who): Caller,
    Named(name): Named,
    uri: Uri,
    Body(wanted): Body<Wanted>,
) -> Result<Response, ApiError> {
    REPLACE.params(&uri)?;
    who.require(Action::Manage, &name)?;
    check_owner(&app, &name)?;
    let Wanted { url, transport, timestamps } = wanted;
    check("url", &app, &url).await?;
    let stream = app.catalog.stream_to_pull(&name).await?;
    let source = app.catalog.set_source(stream.id, NewSource { url, transport, timestamps }).await?;
    Ok(stored(&app, &stream, &source))
}

async fn remove(
    State(app): State<Arc<App>>,
    Caller(who): Caller,
    Named(name): Named,
    uri: Uri,
) -> Result<Response, ApiError> {
    REMOVE.params(&uri)?;
    let stream = streams::find(&app, &who, Action::Manage, &name)?;
    check_owner(&app, &name)?;
    app.catalog.remove_source(stream.id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Whether a URL, called `what`, may be pulled from, as far as can be said now: its addresses are looked at again with
/// every connection.
pub(super) async fn check(what: &str, app: &App, url: &Secret) -> Result<SourceUrl, ApiError> {
    let url = SourceUrl::parse(url.expose()).map_err(|error| bad(what, &error.to_string()))?;
    app.pullers.check(&url).await.map_err(|error| bad(what, &error.to_string()))?;
    Ok(url)
}

/// Whether the API may change the stream's source.
fn check_owner(app: &App, name: &StreamName) -> Result<(), ApiError> {
    if app.pullers.configured(name).is_none() {
        return Ok(());
    }
    Err(ApiError::conflict(format!(
        "the configuration file says where {name} is pulled from: change its [[sources]] and send SIGHUP"
    )))
}

fn stored(app: &App, stream: &Stream, source: &Source) -> Response {
    let Source { url, transport, timestamps, set, edge, .. } = source.clone();
    let owner = if edge.is_some() { "edge" } else { "api" };
    shown(app, stream, &NewSource { url, transport, timestamps }, (owner, Some(set), edge))
}

fn shown(
    app: &App,
    stream: &Stream,
    source: &NewSource,
    (owner, set, edge): (&'static str, Option<Timestamp>, Option<Edge>),
) -> Response {
    // One that was taken can be read; what cannot is not shown, since it may hold anything.
    let url = SourceUrl::parse(source.url.expose());
    let url = url.map_or_else(|error| error.to_string(), |url| url.to_string());
    let NewSource { transport, timestamps, .. } = *source;
    let health = app.pullers.health(stream.id);
    let stream = stream.name.clone();
    let edge = edge.as_ref().map(ShownEdge::from);
    Json(Shown { stream, url, transport, timestamps, owner, set, edge, health }).into_response()
}
