//! How each stream's recording is doing.

mod book;

use std::net::SocketAddr;
use std::time::Duration;

use base::{ClockSource, FragmentNumber, Timestamp, TrackMeta};
use serde::Serialize;

pub(crate) use book::{Health, HealthBook, Stored};

/// A publisher that has sent no frame for this long is stale.
pub const STALE_AFTER: Duration = Duration::from_secs(5);

/// Whether a stream is being recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamState {
    /// A publisher is connected and sends frames.
    Live,
    /// A publisher is connected and has sent no frame for [`STALE_AFTER`].
    Stale,
    /// No publisher is connected.
    Offline,
}

/// Why a publisher's session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// It said goodbye (RTSP TEARDOWN, RFC 2326 §10.7).
    Teardown,
    /// The connection closed or broke.
    Disconnected,
    /// It sent nothing for too long.
    TimedOut,
    /// It sent what the protocol or the limits forbid.
    ProtocolError,
    /// The stream was deleted or could not be written.
    Refused,
    /// This server shuts down.
    Shutdown,
}

/// One track as it was recorded last.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrackHealth {
    /// Track number, from 1.
    pub number: u8,
    /// Short codec name: `h264`, `h265`, `aac`.
    pub codec: String,
    /// RFC 6381 codec string.
    pub codec_string: String,
    /// Picture width in pixels; 0 for audio.
    pub width: u32,
    /// Picture height in pixels; 0 for audio.
    pub height: u32,
    /// Samples per second; 0 for video.
    pub sample_rate: u32,
    /// Audio channels; 0 for video.
    pub channels: u8,
    /// Frames per second of the last fragment.
    pub frame_rate: f64,
    /// Bits per second of the last fragment.
    pub bitrate: u64,
}

/// The clock behind a stream's producer timestamps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ClockHealth {
    /// What the producer timestamps follow.
    pub source: ClockSource,
    /// Camera clock minus server clock in milliseconds, where the camera reports one.
    pub offset_ms: Option<i64>,
    /// How much faster than the server's the camera's media clock runs; known after two minutes.
    pub drift_ppm: Option<f64>,
    /// The camera reports a clock that is not believed (or, by setting, believed nevertheless).
    pub reports_untrusted: bool,
    /// A track's timestamps lie about its rate: its times follow arrival.
    pub rate_mismatch: bool,
    /// The tracks' reports disagree by more than 500 ms and were held to that.
    pub skew_clamped: bool,
    /// Whether the server's own clock was kept right (NTP) when the fragment began, where the system tells.
    pub server_synced: Option<bool>,
}

/// A stream's recording at a moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StreamHealth {
    /// Whether it is being recorded.
    pub state: StreamState,
    /// Where the publisher sends from, while one is connected.
    pub peer: Option<SocketAddr>,
    /// Since when it has been connected.
    pub connected: Option<Timestamp>,
    /// When the last frame arrived.
    pub last_frame: Option<Timestamp>,
    /// When the last video key frame arrived.
    pub last_key_frame: Option<Timestamp>,
    /// The tracks of the last fragment.
    pub tracks: Vec<TrackHealth>,
    /// Bits per second of the last fragment, all tracks.
    pub bitrate: u64,
    /// The last fragment that was stored.
    pub last_fragment: Option<FragmentNumber>,
    /// When it was on disk.
    pub last_ack: Option<Timestamp>,
    /// How long the disk took for it, in milliseconds.
    pub ack_ms: Option<u64>,
    /// How much of the open fragment is on disk already, in milliseconds.
    pub journaled_ms: Option<u32>,
    /// The clock of the last fragment.
    pub clock: Option<ClockHealth>,
    /// Sessions that began since this server started, after the first.
    pub reconnects: u64,
    /// When the last session ended, and why.
    pub last_end: Option<(Timestamp, Ended)>,
    /// Fragments stored since this server started.
    pub fragments: u64,
    /// Fragments dropped because the disk was full.
    pub fragments_dropped: u64,
    /// Whether the last fragment was dropped because the disk was full.
    pub disk_full: bool,
    /// Frames that arrived with parts missing; they are kept.
    pub frames_damaged: u64,
    /// Frames that could not be kept: before the first key frame, or while a track starts over.
    pub frames_dropped: u64,
    /// Packets that never arrived.
    pub packets_lost: u64,
    /// Key frames that the publisher was asked for: by WebRTC, and over RTSP where the camera offers feedback.
    pub key_frames_requested: u64,
    /// What the publisher offers and nobody records, such as `audio: G722`.
    pub not_recorded: Vec<String>,
}

impl TrackHealth {
    /// A track as a fragment has it.
    pub(crate) fn of(track: &TrackMeta) -> Self {
        let secs = track.duration as f64 / f64::from(track.timescale.max(1));
        let per_sec = |count: f64| if secs > 0.0 { count / secs } else { 0.0 };
        Self {
            number: track.number,
            codec: track.codec.clone(),
            codec_string: track.codec_string.clone(),
            width: track.width,
            height: track.height,
            sample_rate: track.sample_rate,
            channels: track.channels,
            frame_rate: per_sec(f64::from(track.frames)),
            bitrate: per_sec(track.bytes as f64 * 8.0) as u64,
        }
    }
}
