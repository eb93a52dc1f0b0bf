//! Streams: what there is, how it does, making and deleting.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, put};
use base::{FragmentMeta, FragmentNumber, StreamName, Tags, Timestamp};
use catalog::{Action, NewStream, Stream};
use http::{Method, StatusCode, Uri};
use ingest::pull::PullHealth;
use ingest::{StreamHealth, StreamState};
use serde::{Deserialize, Serialize};

use super::caller::Caller;
use super::params::{Body, Named};
use super::route::{Access, Answer, Field, Kind, Route};
use super::source;
use crate::app::App;
use crate::auth::{Asked, Principal};
use crate::error::ApiError;

const STATES: &[&str] = &["live", "stale", "offline"];

const NEWEST: &[Field] = &[
    Field::new("fragment_number", Kind::Text, "47 digits"),
    Field::new("producer_timestamp", Kind::Time, "when its picture was made"),
    Field::new("server_timestamp", Kind::Time, "when it arrived"),
];

const SUMMARY: &[Field] = &[
    Field::new("name", Kind::Text, "the stream's name"),
    Field::new(
        "state",
        Kind::Choice(STATES),
        "whether a publisher sends (live), is silent (stale) or absent",
    ),
    Field::new(
        "codecs",
        Kind::List(&Kind::Text),
        "of the newest fragment: h264, h265, av1, vp9, vp8, mjpeg; aac, opus, pcmu, pcma, l16",
    ),
    Field::optional("width", Kind::Number, "pixels"),
    Field::optional("height", Kind::Number, "pixels"),
    Field::optional("frame_rate", Kind::Number, "pictures per second"),
    Field::optional("bitrate_bps", Kind::Number, "bits per second, all tracks"),
    Field::new("retention_hours", Kind::Number, "how long fragments are kept"),
    Field::optional("retention_bytes", Kind::Number, "how many stored bytes are kept at most"),
    Field::new("labels", Kind::Tags, "names and values that its fragments are found by"),
    Field::optional("last_fragment", Kind::Object(NEWEST), "the newest fragment"),
];

/// What a stream on its own has besides [`SUMMARY`].
const DETAIL: &[Field] = &[
    Field::new("arn", Kind::Text, "for AWS clients"),
    Field::new("created", Kind::Time, "when it was made"),
    Field::optional("last_key_frame", Kind::Time, "when the last key frame arrived"),
    Field::new("reconnects", Kind::Number, "sessions after the first since the server started"),
    Field::optional("clock_source", Kind::Text, "what producer times follow"),
    Field::optional("clock_offset_ms", Kind::Number, "camera's clock minus the server's"),
    Field::optional("clock_drift_ppm", Kind::Number, "how much too fast the camera's media clock runs"),
    Field::optional(
        "server_clock_synced",
        Kind::Boolean,
        "whether the server's clock is kept right (NTP), where the system tells",
    ),
    Field::optional("peer", Kind::Text, "where the publisher sends from"),
    Field::new("has_source", Kind::Boolean, "whether it is pulled, always or by a schedule"),
    Field::optional("source", Kind::Object(source::HEALTH), "how pulling from its source is doing"),
    Field::optional(
        "health",
        Kind::Object(&[]),
        "all that is known of its recording since the server started: packets lost, frames dropped, …",
    ),
];

static LIST: Route = Route {
    method: Method::GET,
    path: "/v1/streams",
    summary: "All streams that the caller may see, with their state",
    access: Access::Caller,
    asked: Asked::video("ListStreams"),
    query: &[],
    body: None,
    answer: Answer::Json(
        200,
        &[Field::new("streams", Kind::List(&Kind::Object(SUMMARY)), "in the order of their names")],
    ),
    handler: || get(list),
};

static SHOW: Route = Route {
    method: Method::GET,
    path: "/v1/streams/{name}",
    summary: "One stream and how its recording does",
    access: Access::Caller,
    asked: Asked::video("DescribeStream"),
    query: &[],
    body: None,
    answer: Answer::Joined(200, SUMMARY, DETAIL),
    handler: || get(show),
};

static CREATE: Route = Route {
    method: Method::PUT,
    path: "/v1/streams/{name}",
    summary: "Make a stream",
    access: Access::Administrator,
    asked: Asked::video("CreateStream"),
    query: &[],
    body: Some(&[
        Field::optional(
            "retention_hours",
            Kind::Whole { least: 0, most: 87_600 },
            "how long to keep fragments",
        ),
        Field::optional("labels", Kind::Tags, "names and values that its fragments are found by"),
    ]),
    answer: Answer::Joined(201, SUMMARY, DETAIL),
    handler: || put(create),
};

static DELETE: Route = Route {
    method: Method::DELETE,
    path: "/v1/streams/{name}",
    summary: "Delete a stream and everything in it, at once and for ever",
    access: Access::Administrator,
    asked: Asked::video("DeleteStream"),
    query: &[],
    body: None,
    answer: Answer::Empty(204),
    handler: || delete(remove),
};

pub(super) static ROUTES: &[&Route] = &[&LIST, &SHOW, &CREATE, &DELETE];

/// A stream in a list.
#[derive(Serialize)]
struct Summary {
    name: StreamName,
    state: StreamState,
    codecs: Vec<String>,
    width: Option<u32>,
    height: Option<u32>,
    frame_rate: Option<f64>,
    bitrate_bps: Option<u64>,
    retention_hours: u64,
    retention_bytes: Option<u64>,
    labels: Tags,
    last_fragment: Option<Newest>,
}

#[derive(Serialize)]
struct Newest {
    fragment_number: FragmentNumber,
    producer_timestamp: Timestamp,
    server_timestamp: Timestamp,
}

/// A stream on its own.
#[derive(Serialize)]
struct Detail {
    #[serde(flatten)]
    summary: Summary,
    arn: String,
    created: Timestamp,
    /// Everything else that is known of its recording since the server started.
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<StreamHealth>,
    last_key_frame: Option<Timestamp>,
    reconnects: u64,
    clock_source: Option<base::ClockSource>,
    clock_offset_ms: Option<i64>,
    clock_drift_ppm: Option<i32>,
    server_clock_synced: Option<bool>,
    peer: Option<String>,
    has_source: bool,
    source: Option<PullHealth>,
}

/// The stream of this name, for someone who may do this. Whether it exists is told only to them.
pub(super) fn find(
    app: &App,
    principal: &Principal,
    action: Action,
    name: &StreamName,
) -> Result<Arc<Stream>, ApiError> {
    principal.require(action, name)?;
    app.catalog.stream(name).ok_or_else(|| ApiError::not_found(format!("there is no stream {name}")))
}

async fn list(State(app): State<Arc<App>>, Caller(who): Caller, uri: Uri) -> Result<Response, ApiError> {
    LIST.params(&uri)?;
    let streams = app.catalog.streams();
    let visible = streams.values().filter(|stream| who.may(Action::Play, &stream.name));
    let streams: Vec<Summary> = visible.map(|stream| summary(&app, stream)).collect();
    Ok(Json(serde_json::json!({ "streams": streams })).into_response())
}

async fn show(
    State(app): State<Arc<App>>,
    Caller(who): Caller,
    Named(name): Named,
    uri: Uri,
) -> Result<Response, ApiError> {
    SHOW.params(&uri)?;
    let stream = find(&app, &who, Action::Play, &name)?;
    Ok(Json(detail(&app, &stream)).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    retention_hours: Option<u64>,
    #[serde(default)]
    labels: Tags,
}

async fn create(
    State(app): State<Arc<App>>,
    Caller(who): Caller,
    Named(name): Named,
    uri: Uri,
    Body(wanted): Body<Create>,
) -> Result<Response, ApiError> {
    CREATE.params(&uri)?;
    who.require(Action::Manage, &name)?;
    let retention = match wanted.retention_hours {
        Some(hours) => Duration::from_secs(hours.saturating_mul(3600)),
        None => app.device_retention,
    };
    let new = NewStream { labels: wanted.labels, ..NewStream::new(name, retention) };
    let stream = app.catalog.create_stream(new).await?;
    Ok((StatusCode::CREATED, Json(detail(&app, &stream))).into_response())
}

async fn remove(
    State(app): State<Arc<App>>,
    Caller(who): Caller,
    Named(name): Named,
    uri: Uri,
) -> Result<Response, ApiError> {
    DELETE.params(&uri)?;
    let stream = find(&app, &who, Action::Manage, &name)?;
    app.catalog.delete_stream(stream.id, None).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn summary(app: &App, stream: &Stream) -> Summary {
    let newest = app.indexer.newest(stream.id);
    let meta = newest.as_ref().map(|entry| &entry.meta);
    let video = meta.and_then(FragmentMeta::video);
    Summary {
        name: stream.name.clone(),
        state: app.ingest.health(stream.id).map_or(StreamState::Offline, |health| health.state),
        codecs: meta.map_or_else(Vec::new, |meta| meta.tracks.iter().map(|one| one.codec.clone()).collect()),
        width: video.map(|track| track.width),
        height: video.map(|track| track.height),
        frame_rate: video.and_then(frame_rate),
        bitrate_bps: meta.and_then(bitrate),
        retention_hours: stream.retention.as_secs() / 3600,
        retention_bytes: stream.retention_bytes,
        labels: stream.labels.clone(),
        last_fragment: meta.map(|meta| Newest {
            fragment_number: meta.number,
            producer_timestamp: meta.producer_timestamp,
            server_timestamp: meta.server_timestamp,
        }),
    }
}

fn detail(app: &App, stream: &Stream) -> Detail {
    let health = app.ingest.health(stream.id);
    let newest = app.indexer.newest(stream.id);
    let meta = newest.as_ref().map(|entry| &entry.meta);
    Detail {
        summary: summary(app, stream),
        arn: stream.arn.to_string(),
        created: stream.created,
        last_key_frame: health.as_ref().and_then(|health| health.last_key_frame),
        reconnects: health.as_ref().map_or(0, |health| health.reconnects),
        clock_source: meta.map(|meta| meta.clock_source),
        clock_offset_ms: meta.and_then(|meta| meta.clock_offset_ms),
        clock_drift_ppm: meta.and_then(|meta| meta.clock_drift_ppm),
        server_clock_synced: app.clock.synchronized(),
        peer: health.as_ref().and_then(|health| health.peer).map(|peer| peer.to_string()),
        health,
        has_source: source::exists(app, stream),
        source: app.pullers.health(stream.id),
    }
}

/// Frames per second, to the hundredth.
fn frame_rate(track: &base::TrackMeta) -> Option<f64> {
    let ticks = u32::try_from(track.duration).ok().filter(|ticks| *ticks > 0)?;
    let rate = f64::from(track.frames) * f64::from(track.timescale) / f64::from(ticks);
    Some((rate * 100.0).round() / 100.0)
}

fn bitrate(meta: &FragmentMeta) -> Option<u64> {
    let bytes: u64 = meta.tracks.iter().map(|track| track.bytes).sum();
    bytes.saturating_mul(8000).checked_div(u64::from(meta.duration_ms))
}
