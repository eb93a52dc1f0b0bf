//! A look at a camera before a stream is pulled from it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::routing::post;
use catalog::{Secret, SourceTransport};
use http::{Method, StatusCode, Uri};
use ingest::pull::{Probe, ProbeError};
use serde::Deserialize;

use super::caller::Caller;
use super::params::Body;
use super::route::{Access, Answer, Field, Kind, Route};
use super::source;
use crate::app::App;
use crate::auth::Asked;
use crate::error::ApiError;

const TRACK: &[Field] = &[
    Field::new("encoding", Kind::Text, "as the camera names it: H264"),
    Field::optional("codec", Kind::Text, "h264, h265 or aac, once parameter sets have come"),
    Field::optional("codec_string", Kind::Text, "RFC 6381"),
    Field::new("width", Kind::Number, "pixels; 0 for audio"),
    Field::new("height", Kind::Number, "pixels; 0 for audio"),
    Field::new("sample_rate", Kind::Number, "samples per second; 0 for video"),
    Field::new("channels", Kind::Number, "audio channels; 0 for video"),
    Field::optional("frame_rate", Kind::Number, "pictures or audio frames per second"),
    Field::optional("bitrate", Kind::Number, "bits per second"),
];

static PROBE: Route = Route {
    method: Method::POST,
    path: "/v1/probe",
    summary: "Look at a camera for up to ten seconds: what it offers and what it really sends",
    access: Access::Administrator,
    asked: Asked::own("Probe"),
    query: &[],
    body: Some(&[
        Field::new("url", Kind::Text, "as of a stream's source"),
        Field::optional("transport", source::TRANSPORT, "as of a stream's source"),
    ]),
    answer: Answer::Json(
        200,
        &[
            Field::new("url", Kind::Text, "without its credentials"),
            Field::new("transport", Kind::Text, "how packets came: tcp or udp"),
            Field::new("tracks", Kind::List(&Kind::Object(TRACK)), "what can be recorded"),
            Field::new("left_out", Kind::List(&Kind::Text), "what cannot, and why"),
            Field::optional(
                "first_key_frame_ms",
                Kind::Number,
                "from the start of play to the first video key frame",
            ),
            Field::optional("gop_seconds", Kind::Number, "from one video key frame to the next"),
            Field::new("clock_reports", Kind::Boolean, "whether the camera reports its clock"),
            Field::optional(
                "picture",
                Kind::Text,
                "a key frame as JPEG, in base64, where the build has GStreamer",
            ),
        ],
    ),
    handler: || post(probe),
};

pub(super) static ROUTES: &[&Route] = &[&PROBE];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    url: Secret,
    #[serde(default)]
    transport: SourceTransport,
}

async fn probe(
    State(app): State<Arc<App>>,
    Caller(who): Caller,
    uri: Uri,
    Body(wanted): Body<Wanted>,
) -> Result<Json<Probe>, ApiError> {
    PROBE.params(&uri)?;
    who.require_administrator()?;
    let url = source::check("url", &app, &wanted.url).await?;
    Ok(Json(app.pullers.probe(url, wanted.transport).await?))
}

impl From<ProbeError> for ApiError {
    fn from(error: ProbeError) -> Self {
        let message = error.to_string();
        match error {
            ProbeError::NotRtsp => Self::invalid(message),
            ProbeError::Busy(_) => Self::unavailable(message),
            ProbeError::Pull(_) | ProbeError::TooLong => {
                Self { status: StatusCode::BAD_GATEWAY, code: "camera", message }
            }
        }
    }
}
