//! Signed URLs: play one window of one stream without other credentials.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::routing::post;
use axum::{Extension, Json};
use base::{FragmentNumber, StreamId, Timestamp};
use catalog::Action;
use http::{Method, Uri};
use playback::{ClockKind, Window};
use serde::{Deserialize, Serialize};

use super::caller::Caller;
use super::hls::{LIVE_FRAGMENTS, require_footage};
use super::params::{self, Body, Named, bad};
use super::refusal::not_served;
use super::route::{Access, Answer, CLOCKS, Field, Kind, Route};
use super::streams;
use super::viewer::{Format, Grant};
use crate::app::{App, Arrival};
use crate::auth::Asked;
use crate::error::ApiError;

/// A week: as long as AWS's presigned URLs.
const LONGEST: u64 = 604_800;
const DEFAULT: u64 = 3600;

static SIGN: Route = Route {
    method: Method::POST,
    path: "/v1/streams/{name}/urls",
    summary: "Make a URL that plays one window of a stream without other credentials",
    access: Access::Caller,
    asked: Asked::own("CreateUrl"),
    query: &[],
    body: Some(&[
        Field::new(
            "format",
            Kind::Choice(&["hls", "clip", "image"]),
            "what it plays as; image is not served yet",
        ),
        Field::optional("start", Kind::Time, "of the window; an HLS URL without one is live only"),
        Field::optional("end", Kind::Time, "of the window; a clip's default is now"),
        Field::optional("clock", Kind::Choice(CLOCKS), "which time the window is in; default producer"),
        Field::optional("expires_in", Kind::Whole { least: 1, most: LONGEST }, "seconds; default 3600"),
    ]),
    answer: Answer::Json(
        200,
        &[
            Field::new("url", Kind::Text, "with its token in it"),
            Field::new("expires", Kind::Time, "until when it is good"),
        ],
    ),
    handler: || post(sign),
};

pub(super) static ROUTES: &[&Route] = &[&SIGN];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    format: String,
    #[serde(default, deserialize_with = "params::time")]
    start: Option<Timestamp>,
    #[serde(default, deserialize_with = "params::time")]
    end: Option<Timestamp>,
    clock: Option<String>,
    expires_in: Option<u64>,
}

#[derive(Serialize)]
struct Signed {
    url: String,
    expires: Timestamp,
}

async fn sign(
    State(app): State<Arc<App>>,
    Extension(arrival): Extension<Arrival>,
    Caller(who): Caller,
    Named(name): Named,
    uri: Uri,
    Body(wanted): Body<Wanted>,
) -> Result<Json<Signed>, ApiError> {
    SIGN.params(&uri)?;
    let stream = streams::find(&app, &who, Action::Play, &name)?;
    let format = match wanted.format.as_str() {
        "hls" => Format::Hls,
        "clip" => Format::Clip,
        "image" => return Err(not_served("format image")),
        _ => return Err(bad("format", "must be hls or clip")),
    };
    require_footage(&stream)?;
    let secs = wanted.expires_in.unwrap_or(DEFAULT);
    if !(1..=LONGEST).contains(&secs) {
        return Err(bad("expires_in", &format!("must be 1 to {LONGEST} seconds")));
    }
    let clock = wanted.clock.as_deref().map(params::clock).transpose()?.unwrap_or(ClockKind::Producer);
    let window = window(&app, format, params::window(clock, wanted.start, wanted.end)?)?;
    let from = oldest(&app, stream.id, window).await?;
    let expires = app.clock.now() + Duration::from_secs(secs);
    let token = Grant::new(stream.id, format, window, from, &who, expires).seal(&app);
    let file = match format {
        Format::Hls => "hls/index.m3u8",
        Format::Clip => "clip.mp4",
    };
    let base = app.urls.of(&arrival);
    let url = format!("{base}/v1/streams/{}/{file}?token={token}", stream.name);
    Ok(Json(Signed { url, expires }))
}

/// The window that the URL is for: a clip's is closed, so that it gives the same file for as long as it lasts.
fn window(app: &App, format: Format, window: Window) -> Result<Window, ApiError> {
    match format {
        Format::Hls => Ok(window),
        Format::Clip if window.start.is_none() => Err(bad("start", "a clip needs one")),
        Format::Clip => Ok(Window { end: window.end.or_else(|| Some(app.clock.now())), ..window }),
    }
}

/// A live URL opens what is live when it is made and what comes after, not the archive.
async fn oldest(app: &App, stream: StreamId, window: Window) -> Result<FragmentNumber, ApiError> {
    if window.start.is_some() || window.end.is_some() {
        return Ok(FragmentNumber::MIN);
    }
    let live = app.indexer.latest(stream, LIVE_FRAGMENTS).await?;
    Ok(live.first().map_or_else(|| FragmentNumber::at(app.clock.now()), |entry| entry.meta.number))
}
