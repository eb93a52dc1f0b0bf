//! The log's public face.

use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use base::{Clock, Entropy, StreamId, SystemClock, SystemEntropy, Timestamp};
use bytes::Bytes;

use crate::format::{FRAME_HEADER_BYTES, FrameHeader, FrameKind, Location, Lsn, TAG_BYTES};
use crate::io::{DiskIo, Io};
use crate::keys::{Keyring, MasterKey, Seal};
use crate::lane::{BUDGET_BYTES, Lane, LaneId, LaneMetrics, LaneState, LaneWriter, Place};
use crate::layout::Layout;
use crate::read::Reader;
use crate::recovery::recover;
use crate::replay::replay;
use crate::verify::verify;
use crate::{Damage, LogError};

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
    lanes: Vec<Lane>,
    seal: Seal,
    reader: Reader,
    place: Arc<Place>,
    damages: Vec<Damage>,
    torn_tails: u64,
    _lock: Box<dyn Send + Sync>,
}

impl Log {
    /// Opens the data folder, makes it where there is none, and recovers every lane. Blocks on the
    /// disk.
    ///
    /// # Errors
    /// [`LogError::Locked`] while another process has it, [`LogError::MasterKey`] with the wrong
    /// master key, [`LogError::Format`] where another version wrote it.
    pub fn open(options: Options) -> Result<Self, LogError> {
        let Options { dir, segment_bytes, segment_age, master, clock, entropy, io } = options;
        let layout = Layout::new(&dir);
        let lock = layout.claim(&*io)?;
        let writer = layout.begin_start(&*io, &*clock, &*entropy)?;
        let fresh = !layout.holds_data(&*io)?;
        let keys =
            Keyring::open(Arc::clone(&io), &layout.keys(), master, Arc::clone(&entropy), writer, fresh)?;
        let keys = Arc::new(keys);
        let place = Arc::new(Place {
            io: Arc::clone(&io),
            layout: layout.clone(),
            clock,
            entropy,
            segment_age,
            followers: RwLock::default(),
        });
        let mut log = Self {
            lanes: Vec::new(),
            seal: Seal::new(Arc::clone(&keys)),
            reader: Reader { io, layout, keys },
            place,
            damages: Vec::new(),
            torn_tails: 0,
            _lock: lock,
        };
        for id in LaneId::all() {
            log.open_lane(id, segment_bytes)?;
        }
        Ok(log)
    }

    fn open_lane(&mut self, id: LaneId, bulk_segment_bytes: u64) -> Result<(), LogError> {
        let found = recover(&*self.reader.io, &self.reader.layout, id)?;
        self.damages.extend(found.damages);
        self.torn_tails += found.torn_tails;
        let segment_bytes = match id {
            LaneId::Bulk(_) => bulk_segment_bytes,
            LaneId::Control | LaneId::Records(_) => bulk_segment_bytes / 4,
        };
        self.lanes.push(Lane::new(LaneWriter {
            state: Arc::new(LaneState::new(id, found.durable, found.segments, found.sequences)),
            place: Arc::clone(&self.place),
            segment_bytes,
            next: found.next,
            next_segment: found.next_segment,
            active: None,
        }));
        Ok(())
    }

    /// Tells `follower` of every frame from now on. Call it before the first append.
    pub fn follow(&self, follower: Arc<dyn Follower>) {
        self.place.followers.write().expect("a follower does not panic").push(follower);
    }

    /// The lane's durable frames from `from` on, in order. Reads the payloads of metadata only.
    /// Damaged frames are left out and logged. Blocks on the disk.
    pub fn replay(
        &self,
        lane: LaneId,
        from: Lsn,
        each: &mut dyn FnMut(Durable) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        let segments: Vec<SegmentInfo> = self.state(lane).segments().values().cloned().collect();
        replay(&self.reader, &segments, from, each)
    }

    /// Seals the entries and appends them, in order and in one batch. Resolves when they are on disk
    /// and all followers have seen them; waits while too much else waits for the disk. An append
    /// that is dropped, or fails with [`LogError::Stopped`] or [`LogError::Io`], may be in the log
    /// all the same after a restart.
    ///
    /// # Errors
    /// [`LogError::Full`]: nothing was kept; try again when there is space. [`LogError::NoKey`]: a
    /// stream has no key. [`LogError::TooLarge`]: more than [`MAX_APPEND_BYTES`],
    /// [`MAX_APPEND_ENTRIES`] or [`MAX_ENTRY_BYTES`]. [`LogError::Stopped`]: the lane has failed.
    pub async fn append(&self, lane: LaneId, entries: Vec<Entry>) -> Result<Appended, LogError> {
        let lane = &self.lanes[lane.index()];
        lane.state.check_running()?;
        if entries.is_empty() {
            let last = lane.state.durable();
            return Ok(Appended { first: last, last, locations: Vec::new(), bytes: 0 });
        }
        let bytes = sealed_bytes(&entries)?;
        let budget = Arc::clone(&lane.state.budget);
        let permit = budget.acquire_many_owned(bytes).await.expect("nobody closes the budget");
        let frames = entries.into_iter().map(|entry| self.seal.seal(entry)).collect::<Result<_, _>>()?;
        lane.append(frames, permit).await
    }

    /// The payload of one frame, verified and opened.
    ///
    /// # Errors
    /// [`LogError::Gone`]: its segment was removed. [`LogError::NoKey`]: its stream was deleted.
    /// [`LogError::Corrupt`]: the stored bytes are damaged.
    pub async fn read(&self, at: &Location) -> Result<Bytes, LogError> {
        self.read_all(std::slice::from_ref(at)).await
    }

    /// The payloads of several frames, verified, opened and joined in one buffer. Fails like
    /// [`Self::read`] if any of them does.
    pub async fn read_all(&self, pieces: &[Location]) -> Result<Bytes, LogError> {
        let reader = self.reader.clone();
        let pieces = pieces.to_vec();
        let read = tokio::task::spawn_blocking(move || reader.joined(&pieces));
        read.await.unwrap_or_else(|error| {
            let source = Arc::new(std::io::Error::other(error));
            Err(LogError::Io { doing: "read", path: self.reader.layout.log(), source })
        })
    }

    /// The greatest sequence number that any stored frame of the shard takes, in any lane.
    pub fn last_sequence(&self, stream: StreamId, shard: u32) -> Option<u64> {
        self.lanes.iter().filter_map(|lane| lane.state.last_sequence(stream, shard)).max()
    }

    /// The lanes that hold anything.
    pub fn lanes(&self) -> Vec<LaneId> {
        let used = self.lanes.iter().filter(|lane| !lane.state.segments().is_empty());
        used.map(|lane| lane.state.id).collect()
    }

    /// The last place in the lane's order that is on disk; 0 where there is none.
    pub fn durable(&self, lane: LaneId) -> Lsn {
        self.state(lane).durable()
    }

    /// All segment files, by lane and number.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        let all = |lane: &Lane| lane.state.segments().values().cloned().collect::<Vec<_>>();
        self.lanes.iter().flat_map(all).collect()
    }

    /// Unlinks a complete segment and gives its space back. A segment that is gone already is no
    /// error. Blocks on the disk and behind the lane's appends.
    ///
    /// # Errors
    /// [`LogError::InUse`] while the segment is being written.
    pub fn remove_segment(&self, lane: LaneId, segment: u64) -> Result<(), LogError> {
        self.lanes[lane.index()].remove(segment)
    }

    /// The keys.
    pub fn keys(&self) -> &Keyring {
        &self.reader.keys
    }

    /// Counters of the lanes that hold anything.
    pub fn metrics(&self) -> LogMetrics {
        let used = self.lanes.iter().map(|lane| lane.state.metrics()).filter(|lane| lane.segments > 0);
        LogMetrics { lanes: used.collect(), damages: self.damages.len() as u64, torn_tails: self.torn_tails }
    }

    /// The damaged places found when the log was opened.
    pub fn damages(&self) -> &[Damage] {
        &self.damages
    }

    /// Finishes the appends that wait, seals every lane's segment and stops its thread. Appends fail
    /// afterwards; reads go on. Blocks on the disk. Dropping the log does the same.
    pub fn close(&self) {
        self.lanes.iter().for_each(Lane::close);
    }

    /// Checks every stored byte of a data folder, also beside a running server. With the master key
    /// each frame is opened, too; without it checksums alone decide. Blocks on the disk.
    pub fn verify(
        dir: &Path,
        master: Option<&MasterKey>,
        report: &mut dyn FnMut(Damage),
    ) -> Result<Summary, LogError> {
        verify(dir, master, report)
    }

    fn state(&self, lane: LaneId) -> &LaneState {
        &self.lanes[lane.index()].state
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.close();
    }
}

/// The sealed size of all entries, within the limits of one append.
fn sealed_bytes(entries: &[Entry]) -> Result<u32, LogError> {
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
