//! Lanes: one thread that writes, syncs and acknowledges.

mod id;

pub use id::{LaneId, RetentionClass};

use std::time::Duration;

/// What a lane has done since the log was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneMetrics {
    /// The lane.
    pub lane: LaneId,
    /// Frames made durable.
    pub frames: u64,
    /// Their sealed bytes.
    pub bytes: u64,
    /// Batches written.
    pub batches: u64,
    /// Syncs of segment files.
    pub syncs: u64,
    /// Time spent in them.
    pub sync_time: Duration,
    /// Bytes that wait for the disk now.
    pub queued_bytes: u64,
    /// Appends refused because the disk was full.
    pub full: u64,
    /// Segments there are now.
    pub segments: u64,
    /// Whether a failed sync has stopped it.
    pub stopped: bool,
}
