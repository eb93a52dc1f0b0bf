//! The log's public face.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Entropy, StreamId, SystemClock, SystemEntropy, Timestamp};
use bytes::Bytes;

use crate::LogError;
use crate::format::{FrameHeader, FrameKind, Location, Lsn};
use crate::io::{DiskIo, Io};
use crate::keys::{Keyring, MasterKey};
use crate::lane::{LaneId, LaneMetrics};

/// The stream whose key belongs to the installation itself: it exists from the first start and
/// cannot be destroyed. Commands that must outlive their stream are appended under it.
pub const INSTALLATION: StreamId = StreamId(0);

/// How to open a log.
#[derive(Clone)]
pub struct Options {
    /// The data folder.
    pub dir: PathBuf,
    /// Size at which a bulk lane's segment is closed; other lanes close at a quarter of it.
    pub segment_bytes: u64,
    /// Age at which a segment is closed.
    pub segment_age: Duration,
    /// Wraps the keys.
    pub master: MasterKey,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where keys and ids come from.
    pub entropy: Arc<dyn Entropy>,
    /// Where files are.
    pub io: Arc<dyn Io>,
}

impl Options {
    /// The defaults: segments of 256 MiB and one hour, the machine's clock, randomness and disk.
    pub fn new(dir: impl Into<PathBuf>, master: MasterKey) -> Self {
        Self {
            dir: dir.into(),
            segment_bytes: 256 * 1024 * 1024,
            segment_age: Duration::from_secs(60 * 60),
            master,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            io: Arc::new(DiskIo),
        }
    }
}

/// One thing to append; becomes one frame.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What the payload is.
    pub kind: FrameKind,
    /// The stream whose key seals it; [`INSTALLATION`] for what belongs to none.
    pub stream: StreamId,
    /// The shard of the stream; 0 for video.
    pub shard: u32,
    /// Number of the first record, or of the fragment.
    pub first_sequence: u64,
    /// Records in the payload; for media the piece's index.
    pub count: u32,
    /// When the server received it.
    pub server_time: Timestamp,
    /// When its producer made it.
    pub producer_time: Timestamp,
    /// The producer's own flags.
    pub flags: u8,
    /// The payload, in parts that are joined while sealing.
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
    /// The opened payload, for kinds that are metadata ([`FrameKind::is_metadata`]). `None` for the
    /// others, and where the stream's key was destroyed.
    pub payload: Option<Bytes>,
}

/// Someone who builds a view of the log.
pub trait Follower: Send + Sync {
    /// `frames` of `lane` are on disk, in order, each told once. Called on the lane's thread after
    /// the sync and before the producers are told: it must not block.
    fn durable(&self, lane: LaneId, frames: &[Durable]);
}

/// One segment file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its lane.
    pub lane: LaneId,
    /// Its number within the lane, increasing.
    pub segment: u64,
    /// The first place in the lane's order that it may hold.
    pub first: Lsn,
    /// The last place it holds; less than `first` where it holds none.
    pub last: Lsn,
    /// Bytes in use.
    pub bytes: u64,
    /// When it was begun.
    pub created: Timestamp,
    /// Whether it is complete, so that it may be removed.
    pub sealed: bool,
}

/// What all lanes have done since the log was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogMetrics {
    /// Each lane that there is.
    pub lanes: Vec<LaneMetrics>,
    /// Damaged places found when the log was opened.
    pub damages: u64,
    /// Torn tails set aside when the log was opened.
    pub torn_tails: u64,
}

/// Stored bytes that fail their checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The damaged file.
    pub file: PathBuf,
    /// The first damaged byte, as near as is known.
    pub offset: u64,
    /// How many bytes cannot be trusted.
    pub bytes: u64,
    /// Whose data, where that could still be read.
    pub stream: Option<StreamId>,
    /// Its server time, where that could still be read.
    pub time: Option<Timestamp>,
    /// Which check failed.
    pub what: &'static str,
}

/// What [`Log::verify`] has looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Segment files read.
    pub segments: u64,
    /// Frames checked.
    pub frames: u64,
    /// Bytes checked.
    pub bytes: u64,
    /// Frames that no key opens, because their stream was deleted. Not damage.
    pub shredded: u64,
    /// Damaged places reported.
    pub damages: u64,
    /// Unfinished ends of segments: what a running server is writing, or a crash has left. Not damage.
    pub torn_tails: u64,
}

/// An open log.
pub struct Log {
    keys: Keyring,
}

impl Log {
    /// Opens the data folder, makes it where there is none, and recovers every lane.
    pub fn open(options: Options) -> Result<Self, LogError> {
        todo!("open {}", options.dir.display())
    }

    /// Tells `follower` of every frame from now on. Call it before the first append.
    pub fn follow(&self, follower: Arc<dyn Follower>) {
        drop(follower);
        todo!("follow")
    }

    /// The lane's durable frames from `from` on, in order. Reads the payloads of metadata only.
    /// Blocks on the disk. Damaged frames are left out (and told by [`Self::damages`]).
    pub fn replay(
        &self,
        lane: LaneId,
        from: Lsn,
        each: &mut dyn FnMut(Durable) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        let _ = (from, each);
        todo!("replay {lane}")
    }

    /// Seals the entries and appends them, in order and together. Resolves when they are on disk and
    /// all followers have seen them. Waits while too much else waits for the disk.
    pub async fn append(&self, lane: LaneId, entries: Vec<Entry>) -> Result<Appended, LogError> {
        todo!("append {} to {lane}", entries.len())
    }

    /// The payload of one frame, verified and opened.
    pub async fn read(&self, at: &Location) -> Result<Bytes, LogError> {
        todo!("read {at:?}")
    }

    /// The payloads of several frames, verified, opened and joined.
    pub async fn read_all(&self, pieces: &[Location]) -> Result<Bytes, LogError> {
        todo!("read {pieces:?}")
    }

    /// The greatest sequence number that any stored frame of the shard takes.
    pub fn last_sequence(&self, stream: StreamId, shard: u32) -> Option<u64> {
        todo!("last of {stream} {shard}")
    }

    /// The lanes that hold anything.
    pub fn lanes(&self) -> Vec<LaneId> {
        todo!("lanes")
    }

    /// The last place in the lane's order that is on disk; 0 where there is none.
    pub fn durable(&self, lane: LaneId) -> Lsn {
        todo!("durable of {lane}")
    }

    /// All segment files, by lane and number.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        todo!("segments")
    }

    /// Unlinks a sealed segment and gives its space back. Blocks on the disk.
    pub fn remove_segment(&self, lane: LaneId, segment: u64) -> Result<(), LogError> {
        todo!("remove {segment} of {lane}")
    }

    /// The keys.
    pub fn keys(&self) -> &Keyring {
        &self.keys
    }

    /// Counters of all lanes.
    pub fn metrics(&self) -> LogMetrics {
        todo!("metrics")
    }

    /// The damaged places found when the log was opened.
    pub fn damages(&self) -> Vec<Damage> {
        todo!("damages")
    }

    /// Seals every lane's segment and stops its thread. Appends fail afterwards; reads go on. Blocks
    /// on the disk. Dropping the log does the same.
    pub fn close(&self) {
        todo!("close")
    }

    /// Checks every stored byte of a data folder, also beside a running server. With the master key
    /// each frame is opened, too; without it checksums alone decide.
    pub fn verify(
        dir: &Path,
        master: Option<&MasterKey>,
        report: &mut dyn FnMut(Damage),
    ) -> Result<Summary, LogError> {
        let _ = (master, report);
        todo!("verify {}", dir.display())
    }
}
