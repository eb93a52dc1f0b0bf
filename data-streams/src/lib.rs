//! Data streams over the fragment log: shards, sequence numbers, positions, reading and retention.
//! Sees bytes, never video, and knows no wire form.
//!
//! What a call puts into one shard becomes one frame of the lane of its retention class
//! ([`RecordBatch`] is the stored form), acknowledged after the sync that all who wait share. The
//! frame's first sequence index is in its header, so that the index of a shard is a sorted list of
//! frames: those of segments that are being written one by one, those of complete segments by
//! segment. It is kept by following the log and comes back from the segments' footers.
//!
//! Invariants: a shard's numbers rise in the order of its frames in the log, so that who has read *n*
//! never finds *n* - 1 later; a number is never given twice, also after a restart or when everything
//! has expired; what has expired is not read; nothing is acknowledged that is not on disk.

mod footers;
mod hash;
mod index;
mod put;
mod read;
mod record;
mod retention;
mod sequence;
mod shard;
mod streams;
mod traffic;

pub use hash::{hash_key, shard_of};
pub use put::{NewRecord, Placed};
pub use read::{Batch, ReadLimits, ReadRecord, Start};
pub use record::{Record, RecordBatch, RecordError};
pub use retention::Swept;
pub use sequence::{SequenceError, SequenceNumber, ShardId, shard_id};
pub use streams::DataStreams;
pub use traffic::{Flow, Minute, Passed, SECONDS, Traffic};
