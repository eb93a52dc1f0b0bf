//! What goes into the log and what comes out of it.

use base::{StreamId, Timestamp};
use bytes::Bytes;

use crate::LogError;
use crate::format::{FRAME_HEADER_BYTES, FrameHeader, FrameKind, Location, Lsn, TAG_BYTES};
use crate::lane::{BUDGET_BYTES, LaneId};

/// The stream whose key belongs to the installation itself: it exists from the first start and
/// cannot be destroyed. Commands that must outlive their stream are appended under it.
pub const INSTALLATION: StreamId = StreamId(0);

/// The most payload that one entry takes. Media and records are better cut at 1 MiB, so that one
/// append does not hold up the others.
pub const MAX_ENTRY_BYTES: usize = 16 * 1024 * 1024;
/// The most sealed bytes that one append takes: all that may wait for a lane's disk at a time.
pub const MAX_APPEND_BYTES: usize = BUDGET_BYTES;
/// The most entries that one append takes.
pub const MAX_APPEND_ENTRIES: usize = 4096;

/// One thing to append; becomes one frame.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What the payload is.
    pub kind: FrameKind,
    /// The stream whose key seals it; [`INSTALLATION`] for what belongs to none.
    pub stream: StreamId,
    /// The shard of the stream; 0 for video, 1 for its events.
    pub shard: u32,
    /// Number of the first record, of the fragment, or of the event.
    pub first_sequence: u64,
    /// Records in the payload; for media the piece's index, else how many pieces there are before it.
    pub count: u32,
    /// When the server received it.
    pub server_time: Timestamp,
    /// When its producer made it.
    pub producer_time: Timestamp,
    /// The producer's own flags.
    pub flags: u8,
    /// The payload, in parts that are joined while sealing. Records stay in memory for a while: a single
    /// part is kept as it is, with all of the buffer that it may be a slice of.
    pub payload: Vec<Bytes>,
}

/// What an append did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Place of the first frame in the lane's order.
    pub first: Lsn,
    /// Place of the last frame.
    pub last: Lsn,
    /// Where each entry's frame is, in the order of the entries.
    pub locations: Vec<Location>,
    /// Sealed bytes of all frames.
    pub bytes: u64,
}

/// A frame that is on disk.
#[derive(Clone, Debug)]
pub struct Durable {
    /// Its place in the lane's order.
    pub lsn: Lsn,
    /// Its clear part.
    pub header: FrameHeader,
    /// Where it is.
    pub location: Location,
    /// The payload in the clear, for kinds that are metadata ([`FrameKind::is_metadata`]), and, where it
    /// comes from memory ([`Follower`], [`crate::Tail`]), for records. `None` for the others, and where the
    /// stream's key was destroyed.
    pub payload: Option<Bytes>,
}

/// Someone who builds a view of the log.
pub trait Follower: Send + Sync {
    /// `frames` of `lane` are on disk, in order, each told once. Called on the lane's thread after
    /// the sync and before the producers are told: it must not block.
    fn durable(&self, lane: LaneId, frames: &[Durable]);
}

/// The sealed size of all entries, within the limits of one append.
pub(crate) fn sealed_bytes(entries: &[Entry]) -> Result<u32, LogError> {
    let within = |size: usize, unit, limit| {
        if size > limit { Err(LogError::TooLarge { size, unit, limit }) } else { Ok(()) }
    };
    within(entries.len(), "entries", MAX_APPEND_ENTRIES)?;
    let mut total = 0_usize;
    for entry in entries {
        let payload = entry.payload.iter().map(Bytes::len).fold(0, usize::saturating_add);
        within(payload, "bytes in one entry", MAX_ENTRY_BYTES)?;
        total += FRAME_HEADER_BYTES + payload + TAG_BYTES;
    }
    within(total, "bytes", MAX_APPEND_BYTES)?;
    Ok(u32::try_from(total).expect("the limit of one append is below 4 GiB"))
}
