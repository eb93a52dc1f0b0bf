//! Media in: protocols, the time rule, fragments, and how they reach the log.
//!
//! Cameras push to [`rtsp`], or are pulled from by [`pull`]. What a producer has cut into fragments itself
//! comes in by [`put_media`] and is stored as it came.
//!
//! protocol → access unit → [`Recorder`] (time rule, fragmenter) → writer task → fragment log.
//! Nothing after the protocol knows which one it was. The time rule and the fragmenter are sans-I/O:
//! frames and times go in, fragments come out, the open one part by part. One writer task per publisher
//! numbers the fragments and appends them, so that reading goes on while the disk syncs. What a crash
//! left open is closed at the next start ([`recover`]).
//!
//! Invariants: one publisher per stream; fragment numbers strictly increase; within a run each
//! track's fragments follow each other without gap or overlap; a closed fragment is never changed.
//!
//! Not promised: the last second of a fragment that is still open when the process dies, nor the first two
//! of a run.

#[cfg(feature = "gstreamer")]
pub mod demo;
mod depacketizer;
mod error;
mod fragmenter;
mod health;
mod ingest;
mod live;
mod numbers;
pub mod onvif;
pub mod pull;
pub mod put_media;
mod recorder;
mod recovery;
pub mod rtsp;
mod stored;
mod time;
pub mod whip;

pub use error::IngestError;
pub use health::{ClockHealth, Ended, STALE_AFTER, StreamHealth, StreamState, TrackHealth};
pub use ingest::{Ingest, IngestOptions, Publisher, Resume, StoredFile};
pub use live::Live;
pub use recorder::{Recorder, TrackSource};
pub use recovery::recover;
pub use time::TimestampSource;
