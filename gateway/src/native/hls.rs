//! HLS: live and any window of the past, one set of URIs for both.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base::{FragmentNumber, Timestamp};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{Method, Uri};
use playback::Window;
use playback::hls::{Discontinuities, InitRef, MOST_CHANGING, MOST_COMPLETE, Mode, Uris, View};

use super::media::{gathered, streamed};
use super::route::{Access, Answer, CLOCK, END, Route, START, TOKEN};
use super::viewer::HlsViewer;
use crate::app::App;
use crate::auth::Asked;
use crate::error::ApiError;

/// Fragments of a live playlist that begins at no time in particular.
pub(super) const LIVE_FRAGMENTS: usize = 6;

const PLAYLIST: &str = "application/vnd.apple.mpegurl";
const SEGMENT: &str = "video/mp4";

static INDEX: Route = Route {
    method: Method::GET,
    path: "/v1/streams/{name}/hls/index.m3u8",
    summary: "Play a stream by HLS: live without end, growing from start, complete with both",
    access: Access::Viewer,
    asked: Asked::video("GetHLSStreamingSessionURL"),
    query: &[START, END, CLOCK, TOKEN],
    body: None,
    answer: Answer::Other(200, PLAYLIST),
    handler: || get(index),
};

static MEDIA: Route = Route {
    method: Method::GET,
    path: "/v1/streams/{name}/hls/{track}/playlist.m3u8",
    summary: "The media playlist of one track, as index.m3u8 names it",
    access: Access::Viewer,
    asked: Asked::more_video("GetHLSStreamingSessionURL"),
    query: &[START, END, CLOCK, TOKEN],
    body: None,
    answer: Answer::Other(200, PLAYLIST),
    handler: || get(media),
};

static INIT: Route = Route {
    method: Method::GET,
    path: "/v1/streams/{name}/hls/{track}/init/{init}",
    summary: "An init segment, as EXT-X-MAP names it",
    access: Access::Viewer,
    asked: Asked::more_video("GetHLSStreamingSessionURL"),
    query: &[TOKEN],
    body: None,
    answer: Answer::Other(200, SEGMENT),
    handler: || get(init),
};

static FRAGMENT: Route = Route {
    method: Method::GET,
    path: "/v1/streams/{name}/hls/{track}/{segment}",
    summary: "A media segment, as the media playlist names it",
    access: Access::Viewer,
    asked: Asked::more_video("GetHLSStreamingSessionURL"),
    query: &[TOKEN],
    body: None,
    answer: Answer::Other(200, SEGMENT),
    handler: || get(fragment),
};

pub(super) static ROUTES: &[&Route] = &[&INDEX, &MEDIA, &INIT, &FRAGMENT];

/// How this API names the parts of a presentation.
struct Children {
    /// Of playlists: `?token=…`, or the window.
    playlist_query: String,
    /// Of segments: `?token=…` or nothing.
    segment_query: String,
}

impl Children {
    fn new(token: Option<String>, window: Window) -> Self {
        let Some(token) = token else {
            return Self { playlist_query: window_query(window), segment_query: String::new() };
        };
        let query = format!("?token={token}");
        Self { playlist_query: query.clone(), segment_query: query }
    }
}

impl Uris for Children {
    fn media_playlist(&self, out: &mut String, track: u8) {
        push(out, format_args!("{track}/playlist.m3u8{}", self.playlist_query));
    }

    fn init_segment(&self, out: &mut String, _track: u8, init: InitRef) {
        push(out, format_args!("init/{init}.mp4{}", self.segment_query));
    }

    fn media_segment(&self, out: &mut String, _track: u8, number: FragmentNumber) {
        push(out, format_args!("{number}.m4s{}", self.segment_query));
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes any text");
}

/// A window as query parameters, in the words of [`super::params::Params::window`].
fn window_query(window: Window) -> String {
    let clock = match window.clock {
        playback::ClockKind::Producer => None,
        playback::ClockKind::Server => Some("clock=server".to_owned()),
    };
    let start = window.start.map(|at| format!("start={at}"));
    let end = window.end.map(|at| format!("end={at}"));
    let pairs: Vec<String> = [start, end, clock].into_iter().flatten().collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

/// What to list: a window that is over is complete, any other grows.
fn view(window: Window, now: Timestamp) -> View {
    let (mode, max_fragments) = match (window.start, window.end) {
        (_, Some(end)) if end <= now => (Mode::OnDemand(window), MOST_COMPLETE),
        (Some(_), Some(_) | None) => (Mode::Live(window), MOST_CHANGING),
        (None, Some(_) | None) => (Mode::Live(window), LIVE_FRAGMENTS),
    };
    View { mode, max_fragments, discontinuities: Discontinuities::OnDiscontinuity, program_date_time: true }
}

/// Refuses a stream that keeps nothing: there can be no footage.
pub(super) fn require_footage(stream: &catalog::Stream) -> Result<(), ApiError> {
    if stream.retention.is_zero() {
        let name = &stream.name;
        return Err(ApiError::conflict(format!(
            "stream {name} keeps nothing: its retention is 0; raise it (UpdateDataRetention)"
        )));
    }
    Ok(())
}

async fn index(
    State(app): State<Arc<App>>,
    HlsViewer(viewer): HlsViewer,
    uri: Uri,
) -> Result<Response, ApiError> {
    let window = viewer.window(&INDEX.params(&uri)?)?;
    require_footage(&viewer.stream)?;
    let children = Children::new(viewer.playlist_token(&app, window), window);
    let text = app.playback.multivariant(viewer.stream.id, &view(window, app.clock.now()), &children).await?;
    Ok((playlist_headers(), text).into_response())
}

async fn media(
    State(app): State<Arc<App>>,
    HlsViewer(viewer): HlsViewer,
    Path((_, track)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let window = viewer.window(&MEDIA.params(&uri)?)?;
    let children = Box::new(Children::new(viewer.playlist_token(&app, window), window));
    let view = view(window, app.clock.now());
    let pieces = app.playback.media_playlist(viewer.stream.id, number(&track)?, &view, children).await?;
    Ok((playlist_headers(), streamed(pieces)).into_response())
}

async fn init(
    State(app): State<Arc<App>>,
    HlsViewer(viewer): HlsViewer,
    Path((_, track, name)): Path<(String, String, String)>,
    uri: Uri,
) -> Result<Response, ApiError> {
    INIT.params(&uri)?;
    let init: Option<InitRef> = name.strip_suffix(".mp4").and_then(|name| name.parse().ok());
    let init = init.ok_or_else(no_such_segment)?;
    let bytes = app.playback.init_segment(viewer.stream.id, number(&track)?, init).await?;
    Ok(segment(vec![bytes]))
}

async fn fragment(
    State(app): State<Arc<App>>,
    HlsViewer(viewer): HlsViewer,
    Path((_, track, name)): Path<(String, String, String)>,
    uri: Uri,
) -> Result<Response, ApiError> {
    FRAGMENT.params(&uri)?;
    let fragment = name.strip_suffix(".m4s").and_then(|number| FragmentNumber::parse(number).ok());
    let fragment = fragment.ok_or_else(no_such_segment)?;
    viewer.require(&app, fragment).await?;
    let pieces = app.playback.media_segment(viewer.stream.id, number(&track)?, fragment).await?;
    Ok(segment(pieces))
}

/// Segments never change; they are private to whoever may play the stream.
fn segment(pieces: Vec<bytes::Bytes>) -> Response {
    let headers = [(CONTENT_TYPE, SEGMENT), (CACHE_CONTROL, "private, max-age=3600, immutable")];
    (headers, gathered(pieces)).into_response()
}

fn playlist_headers() -> [(http::HeaderName, &'static str); 2] {
    [(CONTENT_TYPE, PLAYLIST), (CACHE_CONTROL, "no-cache")]
}

fn number(track: &str) -> Result<u8, ApiError> {
    track.parse().map_err(|_| ApiError::not_found(format!("there is no track {track:.40}")))
}

fn no_such_segment() -> ApiError {
    ApiError::not_found("there is no such segment: take its address from the playlist")
}

#[cfg(test)]
mod tests {
    use super::*;
    use playback::ClockKind;

    fn at(secs: i64) -> Option<Timestamp> {
        Some(Timestamp::from_millis(secs * 1000))
    }

    #[test]
    fn a_window_that_is_over_is_complete_and_any_other_grows() {
        let view = |start, end| view(Window { clock: ClockKind::Producer, start, end }, at(100).unwrap());
        assert!(matches!(view(at(1), at(100)).mode, Mode::OnDemand(_)));
        assert!(matches!(view(None, at(99)).mode, Mode::OnDemand(_)));
        assert!(matches!(view(at(1), at(101)).mode, Mode::Live(_)));
        assert_eq!(view(at(1), None).max_fragments, MOST_CHANGING);
        assert_eq!(view(None, None).max_fragments, LIVE_FRAGMENTS);
    }

    #[test]
    fn children_repeat_the_window_or_carry_the_token() {
        let window = Window { clock: ClockKind::Server, start: at(0), end: None };
        let mut out = String::new();
        Children::new(None, window).media_playlist(&mut out, 2);
        assert_eq!(out, "2/playlist.m3u8?start=1970-01-01T00:00:00.000Z&clock=server");
        out.clear();
        Children::new(Some("abc".into()), window).media_segment(&mut out, 2, FragmentNumber::MIN);
        assert!(out.ends_with("00000.m4s?token=abc"), "{out}");
    }
}
