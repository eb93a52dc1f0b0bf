//! PutMedia: fragments that a producer has made, over connections of its own.
//!
//! bytes → [`cluster`] (a cluster is a fragment) → [`session`] (one connection: numbers and acknowledgements)
//! → [`shared`] (one stream: order among connections, what was sent again) → fragment log.
//!
//! Invariants: PERSISTED is told of what is on disk and of nothing else; fragments of a stream are stored in
//! the order of their numbers, whichever connection they come by; a fragment of which the end never came is
//! not stored; one that is sent again, the same bytes at the same time, is kept once.

mod ack;
mod cluster;
mod refusal;
mod session;
mod shared;
mod timeline;

pub use ack::Ack;
pub use refusal::{ErrorId, Refusal};
pub use session::{Ending, PutSession, Stop};
pub(crate) use shared::PutStreams;

use base::Timestamp;

/// What a producer's cluster times count from (`FragmentTimecodeType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timecodes {
    /// The epoch.
    Absolute,
    /// This moment (`ProducerStartTimestamp`).
    Relative(Timestamp),
}
