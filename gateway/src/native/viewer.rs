//! Who watches: a caller who may play the stream, or the holder of a signed URL for it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::response::{IntoResponse, Response};
use base::{FragmentMeta, FragmentNumber, StreamId, Timestamp};
use catalog::{Action, Stream};
use http::header::AUTHORIZATION;
use http::request::Parts;
use playback::{ClockKind, Window};
use serde::{Deserialize, Serialize};

use super::params::{self, Named, Params};
use super::{caller, streams};
use crate::app::App;
use crate::auth::{Asked, Principal};
use crate::error::ApiError;
use crate::seal::Purpose;

/// How long the token lasts that a playlist carries for a caller who signs each request.
const PLAYLIST_TOKEN: Duration = Duration::from_hours(12);

/// What a signed URL is for. Tokens of one do not open the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    Hls,
    Clip,
}

impl Format {
    /// What a policy has to allow.
    const fn asked(self) -> Asked {
        let operation = match self {
            Self::Hls => "GetHLSStreamingSessionURL",
            Self::Clip => "GetClip",
        };
        Asked { goes_on: true, ..Asked::new("kinesisvideo", operation) }
    }
}

/// What a signed URL grants. Sealed into its token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Grant {
    #[serde(rename = "s")]
    stream: StreamId,
    #[serde(rename = "f")]
    format: Format,
    /// Start and end of the window, in milliseconds since the epoch.
    #[serde(rename = "w")]
    bounds: (Option<i64>, Option<i64>),
    /// Whether they are server times.
    #[serde(rename = "c")]
    server_clock: bool,
    /// The oldest fragment it opens, whatever the window: of a live URL, the oldest that was live.
    #[serde(rename = "n")]
    from: FragmentNumber,
    /// Whose credential it stands on.
    #[serde(rename = "b")]
    by: String,
    /// When it ends, in milliseconds since the epoch.
    #[serde(rename = "e")]
    expires: i64,
}

impl Grant {
    /// What `by` grants until `expires`.
    pub(super) fn new(
        stream: StreamId,
        format: Format,
        window: Window,
        from: FragmentNumber,
        by: &Principal,
        expires: Timestamp,
    ) -> Self {
        Self {
            stream,
            format,
            bounds: (window.start.map(Timestamp::millis), window.end.map(Timestamp::millis)),
            server_clock: window.clock == ClockKind::Server,
            from,
            by: by.name().to_owned(),
            expires: expires.millis(),
        }
    }

    fn window(&self) -> Window {
        let clock = if self.server_clock { ClockKind::Server } else { ClockKind::Producer };
        let (start, end) = self.bounds;
        Window { clock, start: start.map(Timestamp::from_millis), end: end.map(Timestamp::from_millis) }
    }

    /// The token that a URL carries.
    pub(super) fn seal(&self, app: &App) -> String {
        app.sealer.seal(Purpose::SignedUrl, self)
    }

    /// The grant in a token, if it is good for this and whoever gave it still may.
    fn open(app: &App, token: &str, stream: &Stream, format: Format) -> Option<Self> {
        let grant: Self = app.sealer.open(Purpose::SignedUrl, token)?;
        let may = || {
            let key = app.catalog.access_key(&grant.by).map(catalog::Principal::AccessKey);
            let device = || app.catalog.device_by_username(&grant.by).map(catalog::Principal::Device);
            let by = key.or_else(device).map(|by| Principal::behind_url(by, &app.catalog, format.asked()));
            by.is_some_and(|by| by.may(Action::Play, &stream.name))
        };
        let fits = grant.stream == stream.id && grant.format == format;
        (fits && grant.expires > app.clock.now().millis() && may()).then_some(grant)
    }

    /// Whether it opens this fragment.
    fn covers(&self, meta: &FragmentMeta) -> bool {
        let window = self.window();
        let at = match window.clock {
            ClockKind::Producer => meta.producer_timestamp,
            ClockKind::Server => meta.server_timestamp,
        };
        let within = window.start.is_none_or(|start| start <= at) && window.end.is_none_or(|end| at <= end);
        within && meta.number >= self.from
    }
}

/// Someone who may watch the stream that the path names.
pub(super) struct Viewer {
    pub(super) stream: Arc<Stream>,
    /// What the token grants, where one stands for credentials.
    grant: Option<(Grant, String)>,
    /// Who signed the request, where nothing but its signature tells: a player cannot sign the next one.
    signer: Option<Principal>,
}

impl Viewer {
    /// Finds out, from the parts of a request whose path begins with `/v1/streams/{name}`.
    ///
    /// # Errors
    /// An answer: 403 for a token or credentials that are not good for it, 401 where a browser should sign
    /// in, 404 for a stream that does not exist (told only to those with credentials).
    async fn find(parts: &mut Parts, app: &Arc<App>, format: Format) -> Result<Self, Response> {
        let Named(name) = Named::from_request_parts(parts, app).await.map_err(IntoResponse::into_response)?;
        if let Some(token) = params::token(&parts.uri) {
            let stream = app.catalog.stream(&name);
            let grant = stream.as_ref().and_then(|stream| Grant::open(app, &token, stream, format));
            return match stream.zip(grant) {
                Some((stream, grant)) => Ok(Self { stream, grant: Some((grant, token)), signer: None }),
                None => Err(ApiError::forbidden(
                    "this signed URL has expired, is not whole, or is not for this: ask for a new one",
                )
                .into_response()),
            };
        }
        let found = <Principal as OptionalFromRequestParts<_>>::from_request_parts(parts, app).await;
        let principal = match found {
            Ok(Some(principal)) => principal,
            Ok(None) => return Err(caller::unsigned(parts)),
            Err(refused) => return Err(refused.into_response()),
        };
        let stream =
            streams::find(app, &principal, Action::Play, &name).map_err(IntoResponse::into_response)?;
        Ok(Self { stream, grant: None, signer: is_signed(parts).then_some(principal) })
    }

    /// The window to show: the token's, else the query's.
    pub(super) fn window(&self, params: &Params) -> Result<Window, ApiError> {
        match &self.grant {
            Some((grant, _)) => Ok(grant.window()),
            None => params.window(),
        }
    }

    /// The token that the URIs in a playlist of this window carry: the one it was asked with, or a new one
    /// for a caller who signed the request, since a player cannot sign the next.
    pub(super) fn playlist_token(&self, app: &App, window: Window) -> Option<String> {
        if let Some((_, token)) = &self.grant {
            return Some(token.clone());
        }
        let signer = self.signer.as_ref()?;
        let expires = app.clock.now() + PLAYLIST_TOKEN;
        let from = FragmentNumber::MIN;
        Some(Grant::new(self.stream.id, Format::Hls, window, from, signer, expires).seal(app))
    }

    /// Refuses a fragment that the token does not open.
    pub(super) async fn require(&self, app: &App, number: FragmentNumber) -> Result<(), ApiError> {
        let Some((grant, _)) = &self.grant else { return Ok(()) };
        let found = app.indexer.by_numbers(self.stream.id, &[number]).await?;
        match found.first() {
            Some(Some(entry)) if !grant.covers(&entry.meta) => {
                Err(ApiError::forbidden("this signed URL is not for that time"))
            }
            // Whatever is not there is answered by what looks for it.
            Some(Some(_) | None) | None => Ok(()),
        }
    }
}

/// A viewer of `…/hls/…`.
pub(super) struct HlsViewer(pub(super) Viewer);

impl FromRequestParts<Arc<App>> for HlsViewer {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        Viewer::find(parts, app, Format::Hls).await.map(Self)
    }
}

/// A viewer of `…/clip.mp4`.
pub(super) struct ClipViewer(pub(super) Viewer);

impl FromRequestParts<Arc<App>> for ClipViewer {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        Viewer::find(parts, app, Format::Clip).await.map(Self)
    }
}

/// Whether the request carries a signature (SigV4), in its header or its query.
fn is_signed(parts: &Parts) -> bool {
    let header = parts.headers.get(AUTHORIZATION).is_some_and(|value| value.as_bytes().starts_with(b"AWS4-"));
    let mut query = parts.uri.query().unwrap_or("").split('&');
    header || query.any(|pair| pair.starts_with("X-Amz-Signature="))
}
