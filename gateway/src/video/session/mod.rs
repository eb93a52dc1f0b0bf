//! Playback sessions: what GetHLSStreamingSessionURL promises and the paths under `/hls/v1` serve.
//!
//! A session is a sealed token in the URL; the server keeps nothing. Every URI in a playlist carries it.
//!
//! <https://docs.aws.amazon.com/kinesisvideostreams/latest/dg/how-hls.html>

mod routes;

use base::{StreamId, Timestamp};
use playback::hls::{Discontinuities, Mode, View};
use playback::{ClockKind, Window};
use serde::{Deserialize, Serialize};

use crate::seal::{Purpose, Sealer};

pub use routes::routes;

/// Everything about a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Which stream.
    pub stream: StreamId,
    /// The access key that it stands on: it ends when that is revoked.
    pub access_key_id: String,
    /// When it ends.
    pub expires: Timestamp,
    /// What is played, and how.
    pub view: View,
}

/// The URL that begins a session.
pub fn url(sealer: &Sealer, base: &str, session: &Session) -> String {
    format!("{base}/hls/v1/getHLSMasterPlaylist.m3u8?SessionToken={}", session.token(sealer))
}

impl Session {
    fn token(&self, sealer: &Sealer) -> String {
        sealer.seal(Purpose::PlaybackSession, &Sealed::from(self))
    }

    fn open(sealer: &Sealer, token: &str) -> Option<Self> {
        let sealed: Sealed = sealer.open(Purpose::PlaybackSession, token)?;
        Some(sealed.into())
    }
}

/// A session as it is sealed: short names, since every URI of a playlist repeats the token.
#[derive(Serialize, Deserialize)]
struct Sealed {
    #[serde(rename = "s")]
    stream: StreamId,
    #[serde(rename = "k")]
    access_key_id: String,
    #[serde(rename = "x")]
    expires_ms: i64,
    #[serde(rename = "m")]
    mode: SealedMode,
    #[serde(rename = "p", default, skip_serializing_if = "std::ops::Not::not")]
    by_producer: bool,
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    start_ms: Option<i64>,
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    end_ms: Option<i64>,
    #[serde(rename = "n")]
    max_fragments: usize,
    #[serde(rename = "d")]
    discontinuities: SealedDiscontinuities,
    #[serde(rename = "t", default, skip_serializing_if = "std::ops::Not::not")]
    program_date_time: bool,
}

#[derive(Serialize, Deserialize)]
enum SealedMode {
    #[serde(rename = "l")]
    Live,
    /// With the time the session began, in milliseconds.
    #[serde(rename = "r")]
    Replay(i64),
    #[serde(rename = "o")]
    OnDemand,
}

#[derive(Serialize, Deserialize)]
enum SealedDiscontinuities {
    #[serde(rename = "a")]
    Always,
    #[serde(rename = "n")]
    Never,
    #[serde(rename = "o")]
    OnDiscontinuity,
}

impl From<&Session> for Sealed {
    fn from(session: &Session) -> Self {
        let (window, mode) = match session.view.mode {
            Mode::Live(window) => (window, SealedMode::Live),
            Mode::Replay { window, began } => (window, SealedMode::Replay(began.millis())),
            Mode::OnDemand(window) => (window, SealedMode::OnDemand),
        };
        Self {
            stream: session.stream,
            access_key_id: session.access_key_id.clone(),
            expires_ms: session.expires.millis(),
            mode,
            by_producer: window.clock == ClockKind::Producer,
            start_ms: window.start.map(Timestamp::millis),
            end_ms: window.end.map(Timestamp::millis),
            max_fragments: session.view.max_fragments,
            discontinuities: match session.view.discontinuities {
                Discontinuities::Always => SealedDiscontinuities::Always,
                Discontinuities::Never => SealedDiscontinuities::Never,
                Discontinuities::OnDiscontinuity => SealedDiscontinuities::OnDiscontinuity,
            },
            program_date_time: session.view.program_date_time,
        }
    }
}

impl From<Sealed> for Session {
    fn from(sealed: Sealed) -> Self {
        let window = Window {
            clock: if sealed.by_producer { ClockKind::Producer } else { ClockKind::Server },
            start: sealed.start_ms.map(Timestamp::from_millis),
            end: sealed.end_ms.map(Timestamp::from_millis),
        };
        let mode = match sealed.mode {
            SealedMode::Live => Mode::Live(window),
            SealedMode::Replay(began) => Mode::Replay { window, began: Timestamp::from_millis(began) },
            SealedMode::OnDemand => Mode::OnDemand(window),
        };
        let discontinuities = match sealed.discontinuities {
            SealedDiscontinuities::Always => Discontinuities::Always,
            SealedDiscontinuities::Never => Discontinuities::Never,
            SealedDiscontinuities::OnDiscontinuity => Discontinuities::OnDiscontinuity,
        };
        Self {
            stream: sealed.stream,
            access_key_id: sealed.access_key_id,
            expires: Timestamp::from_millis(sealed.expires_ms),
            view: View {
                mode,
                max_fragments: sealed.max_fragments,
                discontinuities,
                program_date_time: sealed.program_date_time,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_comes_back() {
        let at = Timestamp::from_millis;
        let server = Window { clock: ClockKind::Server, start: Some(at(1)), end: None };
        let producer = Window { clock: ClockKind::Producer, start: Some(at(1)), end: Some(at(2)) };
        for (mode, discontinuities) in [
            (Mode::Live(server), Discontinuities::Always),
            (Mode::Replay { window: server, began: at(9) }, Discontinuities::OnDiscontinuity),
            (Mode::OnDemand(producer), Discontinuities::Never),
        ] {
            let view = View { mode, max_fragments: 7, discontinuities, program_date_time: true };
            let (stream, access_key_id) = (StreamId(3), "AKIA".to_owned());
            let session = Session { stream, access_key_id, expires: at(5), view };
            let text = serde_json::to_string(&Sealed::from(&session)).unwrap();
            let sealed: Sealed = serde_json::from_str(&text).unwrap();
            assert_eq!(Session::from(sealed), session, "{text}");
        }
    }
}
