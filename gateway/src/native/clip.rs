//! Clips: a window as one MP4 file, by byte ranges (RFC 9110 §14).

use std::ops::Range;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base::{StreamName, Timestamp};
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    IF_RANGE, RANGE,
};
use http::{HeaderMap, HeaderName, Method, StatusCode, Uri};
use playback::{Clip, Window};

use super::hls::require_footage;
use super::media::sized;
use super::params::bad;
use super::route::{Access, Answer, CLOCK, END, Route, START, TOKEN};
use super::viewer::ClipViewer;
use crate::app::App;
use crate::auth::Asked;
use crate::error::ApiError;

static CLIP: Route = Route {
    method: Method::GET,
    path: "/v1/streams/{name}/clip.mp4",
    summary: "The whole fragments that start in a window, as one MP4 file; takes Range",
    access: Access::Viewer,
    asked: Asked::video("GetClip"),
    query: &[START, END, CLOCK, TOKEN],
    body: None,
    answer: Answer::Other(200, "video/mp4"),
    handler: || get(clip),
};

pub(super) static ROUTES: &[&Route] = &[&CLIP];

/// What a request asks of the file.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Whole,
    Part(Range<u64>),
    /// A range that begins beyond the end.
    Nothing,
}

async fn clip(
    State(app): State<Arc<App>>,
    ClipViewer(viewer): ClipViewer,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let window = viewer.window(&CLIP.params(&uri)?)?;
    require_footage(&viewer.stream)?;
    let start = window.start.ok_or_else(|| bad("start", "a clip needs one"))?;
    let end = window.end.unwrap_or_else(|| app.clock.now());
    let clip = app.playback.clip(viewer.stream.id, Window { end: Some(end), ..window }).await?;
    let answer = answer(&clip, &headers);
    Ok((file_headers(&viewer.stream.name, start, &clip), answer).into_response())
}

fn answer(clip: &Clip, headers: &HeaderMap) -> Response {
    let etag = format!("\"{}\"", clip.etag());
    let total = clip.total_bytes();
    let known = text(headers, &IF_NONE_MATCH);
    if known.is_some_and(|known| known == "*" || known.split(',').any(|tag| tag.trim() == etag)) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    match wanted(headers, &etag, total) {
        Wanted::Whole => sized(clip.bytes(0..total), total),
        Wanted::Part(range) => {
            let told = format!("bytes {}-{}/{total}", range.start, range.end - 1);
            let body = sized(clip.bytes(range.clone()), range.end - range.start);
            (StatusCode::PARTIAL_CONTENT, [(CONTENT_RANGE, told)], body).into_response()
        }
        Wanted::Nothing => {
            let told = format!("bytes */{total}");
            (StatusCode::RANGE_NOT_SATISFIABLE, [(CONTENT_RANGE, told)]).into_response()
        }
    }
}

/// One range is served; several, or what is no range, get the whole file (RFC 9110 §14.2).
fn wanted(headers: &HeaderMap, etag: &str, total: u64) -> Wanted {
    let changed = text(headers, &IF_RANGE).is_some_and(|tag| tag != etag);
    let range = text(headers, &RANGE).filter(|_| !changed).and_then(|range| range.strip_prefix("bytes="));
    let Some((first, last)) = range.and_then(|range| range.trim().split_once('-')) else {
        return Wanted::Whole;
    };
    let (first, last) = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => (first, last.min(total.saturating_sub(1))),
        (Ok(first), Err(_)) if last.is_empty() => (first, total.saturating_sub(1)),
        (Err(_), Ok(0)) if first.is_empty() => return Wanted::Nothing,
        (Err(_), Ok(suffix)) if first.is_empty() => (total.saturating_sub(suffix), total.saturating_sub(1)),
        (Ok(_), Ok(_)) | (Ok(_) | Err(_), Err(_)) | (Err(_), Ok(_)) => return Wanted::Whole,
    };
    if first >= total { Wanted::Nothing } else { Wanted::Part(first..last + 1) }
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn file_headers(name: &StreamName, start: Timestamp, clip: &Clip) -> [(HeaderName, String); 5] {
    let at: String = start.to_string().chars().filter(|c| !matches!(c, '-' | ':' | '.')).collect();
    [
        (CONTENT_TYPE, "video/mp4".to_owned()),
        (ACCEPT_RANGES, "bytes".to_owned()),
        (ETAG, format!("\"{}\"", clip.etag())),
        (CACHE_CONTROL, "private, no-cache".to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}_{at}.mp4\"")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(range: &str, if_range: Option<&str>) -> Wanted {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, range.parse().unwrap());
        if let Some(tag) = if_range {
            headers.insert(IF_RANGE, tag.parse().unwrap());
        }
        wanted(&headers, "\"e\"", 100)
    }

    #[test]
    fn ranges_are_those_of_rfc_9110() {
        for (range, expected) in [
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=10-19", Wanted::Part(10..20)),
            ("bytes=90-1000", Wanted::Part(90..100)),
            ("bytes=99-", Wanted::Part(99..100)),
            ("bytes=-5", Wanted::Part(95..100)),
            ("bytes=-500", Wanted::Part(0..100)),
            ("bytes=100-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=100-200", Wanted::Nothing),
            ("bytes=5-4", Wanted::Whole),
            ("bytes=0-1,5-6", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=x-y", Wanted::Whole),
            ("chapters=1-2", Wanted::Whole),
            ("bytes=0-99999999999999999999", Wanted::Whole),
        ] {
            assert_eq!(ask(range, None), expected, "{range}");
        }
    }

    #[test]
    fn a_range_of_another_version_gets_the_whole() {
        assert_eq!(ask("bytes=0-9", Some("\"e\"")), Wanted::Part(0..10));
        assert_eq!(ask("bytes=0-9", Some("\"other\"")), Wanted::Whole);
    }
}
