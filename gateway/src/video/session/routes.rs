//! The paths of a session: `/hls/v1/…`, each with the token in its query.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base::FragmentNumber;
use bytes::Bytes;
use futures::stream;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use playback::hls::{InitRef, Mode, Uris};
use serde::Deserialize;

use super::Session;
use crate::app::App;
use crate::auth::AuthError;
use crate::exception::Exception;

const PLAYLIST: &str = "application/vnd.apple.mpegurl";
const MP4: &str = "video/mp4";
/// A player that comes back within the session need not fetch a segment twice.
const SEGMENT_CACHING: &str = "private, max-age=3600";

/// The paths; `router` mounts them without its authentication layer: the token is the credential.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/hls/v1/getHLSMasterPlaylist.m3u8", get(master_playlist))
        .route("/hls/v1/getHLSMediaPlaylist.m3u8", get(media_playlist))
        .route("/hls/v1/getMP4InitFragment.mp4", get(init_fragment))
        .route("/hls/v1/getMP4MediaFragment.mp4", get(media_fragment))
}

/// A session whose token opened and which stands, with its token for the playlists' URIs.
struct Open {
    session: Session,
    token: String,
}

#[derive(Deserialize)]
struct Token {
    #[serde(rename = "SessionToken")]
    token: Option<String>,
}

impl FromRequestParts<Arc<App>> for Open {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        let refuse = |why| AuthError::Token(why).into_response();
        let token = Query::<Token>::try_from_uri(&parts.uri).ok().and_then(|query| query.0.token);
        let token = token.ok_or_else(|| refuse("The SessionToken is missing."))?;
        let session = Session::open(&app.sealer, &token)
            .ok_or_else(|| refuse("The SessionToken is invalid: ask for a new session URL."))?;
        if session.expires <= app.clock.now() {
            return Err(refuse("The SessionToken is expired: ask for a new session URL."));
        }
        if app.catalog.access_key(&session.access_key_id).is_none() {
            return Err(refuse("The access key of this session was revoked."));
        }
        if app.catalog.stream_by_id(session.stream).is_none() {
            return Err(Exception::no_stream().into_response());
        }
        Ok(Self { session, token })
    }
}

struct SessionUris {
    token: String,
}

impl Uris for SessionUris {
    fn media_playlist(&self, out: &mut String, track: u8) {
        let _ = write!(out, "getHLSMediaPlaylist.m3u8?SessionToken={}&TrackNumber={track}", self.token);
    }

    fn init_segment(&self, out: &mut String, track: u8, init: InitRef) {
        let token = &self.token;
        let _ = write!(
            out,
            "getMP4InitFragment.mp4?SessionToken={token}&TrackNumber={track}&SequenceNumber={init}"
        );
    }

    fn media_segment(&self, out: &mut String, track: u8, number: FragmentNumber) {
        let token = &self.token;
        let _ = write!(
            out,
            "getMP4MediaFragment.mp4?FragmentNumber={number}&SessionToken={token}&TrackNumber={track}"
        );
    }
}

async fn master_playlist(State(app): State<Arc<App>>, open: Open) -> Result<Response, Exception> {
    let Open { session, token } = open;
    let text = app.playback.multivariant(session.stream, &session.view, &SessionUris { token }).await?;
    Ok(playlist(&session, Body::from(text)))
}

#[derive(Deserialize)]
struct Track {
    #[serde(rename = "TrackNumber")]
    number: u8,
}

async fn media_playlist(
    State(app): State<Arc<App>>,
    open: Open,
    Query(track): Query<Track>,
) -> Result<Response, Exception> {
    let Open { session, token } = open;
    let uris = Box::new(SessionUris { token });
    let bytes = app.playback.media_playlist(session.stream, track.number, &session.view, uris).await?;
    Ok(playlist(&session, Body::from_stream(bytes)))
}

fn playlist(session: &Session, body: Body) -> Response {
    let caching = match session.view.mode {
        Mode::Live(_) | Mode::Replay { .. } => "no-store",
        Mode::OnDemand(_) => "private, max-age=60",
    };
    ([(CONTENT_TYPE, PLAYLIST), (CACHE_CONTROL, caching)], body).into_response()
}

#[derive(Deserialize)]
struct Init {
    #[serde(rename = "TrackNumber")]
    track: u8,
    #[serde(rename = "SequenceNumber")]
    init: String,
}

async fn init_fragment(
    State(app): State<Arc<App>>,
    open: Open,
    Query(Init { track, init }): Query<Init>,
) -> Result<Response, Exception> {
    let init: InitRef =
        init.parse().map_err(|_| Exception::invalid("SequenceNumber is not of a playlist."))?;
    let bytes = app.playback.init_segment(open.session.stream, track, init).await?;
    Ok(([(CONTENT_TYPE, MP4), (CACHE_CONTROL, SEGMENT_CACHING)], bytes).into_response())
}

#[derive(Deserialize)]
struct Media {
    #[serde(rename = "TrackNumber")]
    track: u8,
    #[serde(rename = "FragmentNumber")]
    number: String,
}

async fn media_fragment(
    State(app): State<Arc<App>>,
    open: Open,
    Query(Media { track, number }): Query<Media>,
) -> Result<Response, Exception> {
    let number = FragmentNumber::parse(&number)
        .map_err(|_| Exception::invalid("FragmentNumber is not of a playlist."))?;
    let parts = app.playback.media_segment(open.session.stream, track, number).await?;
    let length: usize = parts.iter().map(Bytes::len).sum();
    let body = Body::from_stream(stream::iter(parts.into_iter().map(Ok::<_, std::io::Error>)));
    let headers = [
        (CONTENT_TYPE, MP4.to_owned()),
        (CACHE_CONTROL, SEGMENT_CACHING.to_owned()),
        (CONTENT_LENGTH, length.to_string()),
    ];
    Ok((headers, body).into_response())
}
