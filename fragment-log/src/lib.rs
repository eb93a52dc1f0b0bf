//! The fragment log: durable, encrypted, append-only, on one machine.
//!
//! The log sees bytes, never video. Producers hand in [`Entry`]s; each becomes one sealed *frame*
//! in a *lane*. A lane is an ordered sequence of segment files with one writer thread, which writes
//! what waits as one *batch* and syncs once for all of it. An append is acknowledged after that sync
//! and after every [`Follower`] has seen it.
//!
//! Layers, each in its own folder and testable alone: [`io`] (files) → [`format`](mod@format) (stored forms) →
//! `keys` (sealing) → `lane` (writing) → `recovery`, `replay`, `read`, `tail` and `verify` (reading). Every
//! stored byte is drawn in `docs/fragment-log-format.md`.
//!
//! Invariants: nothing is acknowledged that is not on disk; a nonce is used once per key; bytes
//! that fail their checks are never served; what cannot be read is set aside and told, not deleted.
//!
//! Not promised: order between lanes; protection against someone who can write the disk *and* roll
//! it back to an older state.

mod damage;
mod entry;
mod error;
pub mod format;
mod forward;
mod freed;
pub mod io;
mod keys;
mod lane;
mod layout;
mod log;
mod read;
mod recovery;
mod replay;
mod reserve;
mod segment;
mod sequences;
mod sync;
mod tail;
mod verify;

pub use damage::Damage;
pub use entry::{
    Appended, Durable, Entry, Follower, INSTALLATION, MAX_APPEND_BYTES, MAX_APPEND_ENTRIES, MAX_ENTRY_BYTES,
};

pub use error::LogError;
pub use format::{FrameHeader, FrameKind, Location, Lsn};
pub use freed::DiskSpace;
pub use keys::{Keyring, MasterKey, MasterKeyPlace, RestoredKeys};
pub use lane::{LaneId, LaneMetrics, RetentionClass, Submitted};
pub use log::{Log, LogMetrics, Options, Room};
pub use segment::SegmentInfo;
pub use tail::Tail;
pub use verify::{Finding, Progress, Summary, Verify};
