//! Pulling from cameras: DESCRIBE, SETUP and PLAY of RTSP (RFC 2326), over TCP, UDP or TLS.
//!
//! [`Pullers`] follows what the catalog says and keeps one task for each source: connect → [`client`]
//! (requests) → session (packets in, keep-alives out) → the same [`crate::rtsp`] pieces that take
//! pushed packets → [`crate::Recorder`]. A source is tried for ever.
//!
//! Other URLs are played by GStreamer, where the build has it: `pipeline`, `played`. It also takes apart the transport
//! streams that some cameras send over RTSP: `muxed`.
//!
//! Invariants: no address is connected to that the rules forbid, whatever its name pointed to before;
//! no answer, log line, error or `Debug` shows a credential; what a camera makes us hold is bounded.
//!
//! Not promised: multicast, SRTP, RTSP over HTTP, and codecs that [`media::rtp`] does not know.

pub mod challenge;
mod client;
mod connect;
pub mod description;
mod dialogue;
mod error;
mod health;
#[cfg(feature = "gstreamer")]
mod intake;
#[cfg(feature = "gstreamer")]
pub(crate) mod muxed;
#[cfg(feature = "gstreamer")]
mod picture;
#[cfg(feature = "gstreamer")]
mod pipeline;
#[cfg(feature = "gstreamer")]
mod played;
mod probe;
mod puller;
mod pullers;
mod schedule;
mod seen;
mod session;
mod target;
pub mod tls;
pub mod transport;
mod url;

use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Entropy, Limits};
use catalog::Catalog;

pub use error::PullError;
pub use health::{PullHealth, PullState};
pub use outbound::{AddressError, AddressRules, Network};
pub use probe::{Probe, ProbeError, ProbedTrack};
pub use pullers::Pullers;
pub use schedule::{Schedule, ScheduleError};
pub(crate) use url::Credentials;
pub use url::{SourceUrl, UrlError};

use crate::Ingest;

/// What pulling needs.
pub struct PullOptions {
    /// Where frames go.
    pub ingest: Ingest,
    /// Which sources there are.
    pub catalog: Arc<Catalog>,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where jitter and nonces come from.
    pub entropy: Arc<dyn Entropy>,
    /// What bounds a stream.
    pub limits: Arc<Limits>,
    /// Which addresses may be connected to.
    pub rules: AddressRules,
    /// How `rtsps` sources are believed.
    pub tls: Arc<rustls::ClientConfig>,
    /// How long things take.
    pub timing: Timing,
}

/// How long a puller waits for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// For a connection, and for each answer.
    pub answer: Duration,
    /// For the next packet of a session that plays.
    pub silence: Duration,
    /// Before the second attempt; doubles from there.
    pub first_retry: Duration,
    /// At most, before another attempt.
    pub last_retry: Duration,
    /// Before another attempt at what a person has to put right first; doubles from there.
    pub first_rare: Duration,
    /// At most, before another attempt at that.
    pub last_rare: Duration,
    /// Media has to come for this long before pauses begin anew.
    pub settled: Duration,
    /// Over which the first attempts at all sources of a start are spread, at most.
    pub spread: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(10),
            silence: Duration::from_secs(8),
            first_retry: Duration::from_millis(250),
            last_retry: Duration::from_secs(10),
            first_rare: Duration::from_secs(5),
            last_rare: Duration::from_secs(60),
            settled: Duration::from_secs(10),
            spread: Duration::from_secs(10),
        }
    }
}
