//! The log's public face.

mod space;
mod submit;

pub use submit::Room;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use base::{Clock, Entropy, StreamId, SystemClock, SystemEntropy};
use bytes::Bytes;
use tokio::sync::watch;

use crate::format::{FrameHeader, Location, Lsn};
use crate::freed::{self, Freed};
use crate::io::{DiskIo, Io};
use crate::keys::{Keyring, MasterKey, Seal};
use crate::lane::{
    Finisher, Lane, LaneId, LaneMetrics, LaneState, LaneWriter, Place, SequenceMap, note_sequence,
};
use crate::layout::Layout;
use crate::read::Reader;
use crate::recovery::recover;
use crate::replay::{headers, replay, rows};
use crate::reserve::Reserve;
use crate::segment::Segment;
use crate::sequences::Sequences;
use crate::sync::RwLock;
use crate::tail::{Tail, TailRing};
use crate::verify::{Finding, Summary, Verify};
use crate::{Appended, Damage, Durable, Entry, Follower, LogError, SegmentInfo};

/// A segment takes at most such a part of the disk …
const SEGMENTS_OF_A_DISK: u64 = 64;
/// … unless that is less than this.
const LEAST_SEGMENT_BYTES: u64 = 1024 * 1024;
/// A bulk lane's segment takes so many times what another one's does.
const SMALLER: u64 = 4;
/// Space set aside: four thousand commands, or the footers of all lanes …
const RESERVE_BYTES: u64 = 16 * 1024 * 1024;
/// … and at most such a part of the disk.
const RESERVES_OF_A_DISK: u64 = 512;

/// How to open a log.
#[derive(Clone)]
pub struct Options {
    /// The data folder.
    pub dir: PathBuf,
    /// Size at which a bulk lane's segment is closed; other lanes close at a quarter of it. A small disk
    /// closes them sooner.
    pub segment_bytes: u64,
    /// Age at which a segment is closed.
    pub segment_age: Duration,
    /// Memory for the newest frames of the records lanes ([`Log::tail`]); 0 keeps none.
    pub tail_bytes: usize,
    /// How long a lane waits without appends before it writes its durable mark.
    pub mark_after: Duration,
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
    /// The defaults: segments of 256 MiB and one hour, 256 MiB of recent records in memory, marks after a
    /// second, the machine's clock, randomness and disk.
    pub fn new(dir: impl Into<PathBuf>, master: MasterKey) -> Self {
        Self {
            dir: dir.into(),
            segment_bytes: 256 * 1024 * 1024,
            segment_age: Duration::from_secs(60 * 60),
            tail_bytes: 256 * 1024 * 1024,
            mark_after: Duration::from_secs(1),
            master,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            io: Arc::new(DiskIo),
        }
    }
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
    /// Memory that recent records take ([`Log::tail`]).
    pub tail_bytes: u64,
}

/// An open log.
pub struct Log {
    lanes: Vec<Lane>,
    seal: Seal,
    reader: Reader,
    sequences: Sequences,
    place: Arc<Place>,
    damages: Vec<Damage>,
    torn_tails: u64,
    /// Whether what is left of the disk is kept for the control lane.
    short: AtomicBool,
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
        let Options { dir, segment_bytes, segment_age, tail_bytes, mark_after, master, clock, entropy, io } =
            options;
        let layout = Layout::new(&dir);
        let lock = layout.claim(&*io)?;
        let writer = layout.begin_start(&*io, &*clock, &*entropy)?;
        let fresh = !layout.holds_data(&*io)?;
        let keys =
            Keyring::open(Arc::clone(&io), &layout.keys(), master, Arc::clone(&entropy), writer, fresh)?;
        let keys = Arc::new(keys);
        let total = freed::space(&*io, &layout.log())?.total;
        // So that on a small disk there is always an old segment that can make room.
        let segment_bytes = segment_bytes.min((total / SEGMENTS_OF_A_DISK).max(LEAST_SEGMENT_BYTES));
        let reserve_bytes = RESERVE_BYTES.min(segment_bytes / SMALLER * 2).min(total / RESERVES_OF_A_DISK);
        let place = Arc::new(Place {
            io: Arc::clone(&io),
            reserve: Reserve::open(Arc::clone(&io), layout.reserve(), reserve_bytes)?,
            layout: layout.clone(),
            clock,
            entropy,
            segment_age,
            mark_after,
            followers: RwLock::default(),
            tail: TailRing::new(tail_bytes),
        });
        let (sequences, damage) = Sequences::load(&*io, &layout)?;
        let mut log = Self {
            lanes: Vec::new(),
            seal: Seal::new(Arc::clone(&keys)),
            reader: Reader { io, layout, keys, freed: Arc::new(Freed::default()) },
            sequences,
            place,
            damages: damage.into_iter().collect(),
            torn_tails: 0,
            short: AtomicBool::new(false),
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
        let Reader { io, layout, freed, .. } = &self.reader;
        self.damages.extend(freed.load(&**io, layout, id)?);
        let segment_bytes = match id {
            LaneId::Bulk(_) => bulk_segment_bytes,
            LaneId::Control | LaneId::Records(_) => bulk_segment_bytes / SMALLER,
        };
        self.place.tail.begin(id, found.durable);
        let state = Arc::new(LaneState::new(id, found.durable, found.segments, found.sequences));
        self.lanes.push(Lane::new(LaneWriter {
            finisher: Finisher::new(Arc::clone(&state), Arc::clone(&self.place)),
            state,
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
    /// Freed frames are left out; damaged ones, too, and logged. Blocks on the disk.
    pub fn replay(
        &self,
        lane: LaneId,
        from: Lsn,
        each: &mut dyn FnMut(Durable) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        let segments: Vec<SegmentInfo> = self.state(lane).segments().values().cloned().collect();
        replay(&self.reader, &segments, from, each)
    }

    /// The durable frames of a records lane from `from` on, from memory: at most `max_bytes` bytes of
    /// payload, but at least one frame. Takes no disk and no key, and never holds up the lane. Who follows
    /// one shard of many reads by its own index instead: [`Self::read`] answers from the same memory. Other
    /// lanes have no tail: there everything but the end is [`Tail::Behind`].
    pub fn tail(&self, lane: LaneId, from: Lsn, max_bytes: usize) -> Tail {
        let Some(mut tail) = self.place.tail.read(lane, from, max_bytes) else {
            let first = Lsn(self.durable(lane).0 + 1);
            let (frames, next) = (Vec::new(), from);
            return if from < first { Tail::Behind { first } } else { Tail::Frames { frames, next } };
        };
        if let Tail::Frames { frames, .. } = &mut tail {
            frames.retain(|frame| !self.reader.freed.holds(&frame.location));
            for frame in frames.iter_mut().filter(|frame| !self.keys().has_stream_key(frame.header.stream)) {
                frame.payload = None;
            }
        }
        tail
    }

    /// Tells when more of a lane is on disk: the last place, once [`Self::tail`] has it, all followers
    /// have seen it and its producers were told.
    pub fn watch(&self, lane: LaneId) -> watch::Receiver<Lsn> {
        self.state(lane).watch()
    }

    /// Seals the entries and appends them, in order and in one batch. Resolves when they are on disk
    /// and all followers have seen them; waits while too much else waits for the disk. An append
    /// that is dropped, or fails with [`LogError::Stopped`] or [`LogError::Io`], may be in the log
    /// all the same after a restart.
    ///
    /// # Errors
    /// [`LogError::Full`]: nothing was kept; try again when there is space. [`LogError::NoKey`]: a
    /// stream has no key. [`LogError::TooLarge`]: more than
    /// [`crate::MAX_APPEND_BYTES`], [`crate::MAX_APPEND_ENTRIES`] or [`crate::MAX_ENTRY_BYTES`]. [`LogError::Stopped`]: the lane has failed.
    pub async fn append(&self, lane: LaneId, entries: Vec<Entry>) -> Result<Appended, LogError> {
        if entries.is_empty() {
            self.check_room(lane)?;
            self.state(lane).check_running()?;
            let last = self.durable(lane);
            return Ok(Appended { first: last, last, locations: Vec::new(), bytes: 0 });
        }
        let room = self.reserve(lane, &entries).await?;
        self.submit(room, entries)?.wait().await
    }

    /// The payload of one frame, verified and opened, or from memory as it was sealed.
    ///
    /// # Errors
    /// [`LogError::Gone`]: its segment was removed, or it was freed. [`LogError::NoKey`]: its stream was deleted.
    /// [`LogError::Corrupt`]: the stored bytes are damaged.
    pub async fn read(&self, at: &Location) -> Result<Bytes, LogError> {
        match self.recent(at)? {
            Some(payload) => Ok(payload),
            None => self.read_all(std::slice::from_ref(at)).await,
        }
    }

    /// The payload of a frame that is in memory.
    fn recent(&self, at: &Location) -> Result<Option<Bytes>, LogError> {
        let Some(frame) = self.place.tail.find(at) else { return Ok(None) };
        if self.reader.freed.holds(at) {
            return Err(LogError::Gone(*at));
        }
        if !self.keys().has_stream_key(frame.header.stream) {
            return Err(LogError::NoKey(frame.header.stream));
        }
        Ok(frame.payload)
    }

    /// The payloads of several frames, verified, opened and joined in one buffer. Fails like
    /// [`Self::read`] if any of them does.
    pub async fn read_all(&self, pieces: &[Location]) -> Result<Bytes, LogError> {
        let reader = self.reader.clone();
        let pieces = pieces.to_vec();
        let read = tokio::task::spawn_blocking(move || reader.joined(&pieces));
        read.await.unwrap_or_else(|error| Err(self.not_read(error)))
    }

    /// The payload of each frame, verified and opened: for catching up with frames of one shard, in order.
    /// Those that lie close together are read in one piece, which their payloads share for as long as one
    /// of them is held, so take a few megabytes at a time. One that cannot be read, as in [`Self::read`],
    /// does not keep the others from being read.
    pub async fn read_run(&self, frames: &[Location]) -> Vec<Result<Bytes, LogError>> {
        let recent: Vec<_> = frames.iter().map_while(|at| self.recent(at).transpose()).collect();
        if recent.len() == frames.len() {
            return recent;
        }
        let (reader, frames) = (self.reader.clone(), frames.to_vec());
        let count = frames.len();
        let read = tokio::task::spawn_blocking(move || reader.run(&frames));
        read.await.unwrap_or_else(|error| vec![Err(self.not_read(error)); count])
    }

    fn not_read(&self, error: tokio::task::JoinError) -> LogError {
        let source = Arc::new(std::io::Error::other(error));
        LogError::Io { doing: "read", path: self.reader.layout.log(), source }
    }

    /// The greatest sequence number that a frame of the shard has taken, in any lane, also where retention
    /// has taken the frame since. `None` for a shard without any, and once the stream's key was destroyed
    /// and its last segment has gone.
    pub fn last_sequence(&self, stream: StreamId, shard: u32) -> Option<u64> {
        let stored = self.lanes.iter().filter_map(|lane| lane.state.last_sequence(stream, shard));
        stored.chain(self.sequences.last(stream, shard)).max()
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

    /// The frames of a complete segment that are not freed, in order. Empty where the segment has no
    /// footer. Reads the footer alone; blocks on the disk.
    ///
    /// # Errors
    /// [`LogError::Gone`]: the segment was removed.
    pub fn frames(&self, lane: LaneId, segment: u64) -> Result<Vec<(FrameHeader, Location)>, LogError> {
        let Reader { io, layout, freed, .. } = &self.reader;
        freed::frames(&Segment::open(&**io, layout, lane, segment)?, freed)
    }

    /// The frames of any segment that are durable and not freed, in order. Reads no payload; blocks on the
    /// disk.
    ///
    /// # Errors
    /// [`LogError::Gone`]: the segment was removed.
    pub fn headers(&self, lane: LaneId, segment: u64) -> Result<Vec<(FrameHeader, Location)>, LogError> {
        let info = self.state(lane).segments().get(&segment).cloned();
        info.map_or(Ok(Vec::new()), |info| headers(&self.reader, &info))
    }

    /// Frees frames of a complete segment, as [`Self::frames`] gives them: from now on they read as
    /// [`LogError::Gone`], and the whole blocks inside their payloads go back to the file system. Gives
    /// the bytes of these; `None` where the file system has no holes. Freeing again does no harm.
    /// Blocks on the disk.
    ///
    /// # Errors
    /// [`LogError::InUse`] while the segment is being written, [`LogError::Gone`] once it was removed,
    /// [`LogError::Full`] where the note of what is freed finds no space.
    pub fn punch(&self, lane: LaneId, segment: u64, frames: &[Location]) -> Result<Option<u64>, LogError> {
        let sealed = self.state(lane).segments().get(&segment).map(|info| info.sealed);
        if sealed == Some(false) {
            return Err(LogError::InUse { lane, segment });
        }
        let Reader { io, layout, freed, .. } = &self.reader;
        let segment = Segment::open(&**io, layout, lane, segment)?;
        self.place.reserve.rescue(|| freed::punch(&**io, layout, freed, &segment, frames))
    }

    pub(crate) fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Unlinks a complete segment and gives its space back. A segment that is gone already is no
    /// error. Blocks on the disk and behind the lane's appends.
    ///
    /// # Errors
    /// [`LogError::InUse`] while the segment is being written.
    pub fn remove_segment(&self, lane: LaneId, segment: u64) -> Result<(), LogError> {
        self.keep_sequences(lane, segment)?;
        self.lanes[lane.index()].remove(segment)?;
        drop(self.place.tail.forget(lane, segment));
        let Reader { io, layout, freed, .. } = &self.reader;
        freed.forget(&**io, layout, lane, segment)
    }

    /// Notes the numbers of shards whose last frame is in a segment that is to go.
    fn keep_sequences(&self, lane: LaneId, segment: u64) -> Result<(), LogError> {
        let state = self.state(lane);
        let info = state.segments().get(&segment).filter(|info| info.sealed).cloned();
        let Some(info) = info.filter(|_| lane != LaneId::Control) else { return Ok(()) };
        let Reader { io, layout, keys, .. } = &self.reader;
        let mut last = SequenceMap::new();
        let rows = rows(&Segment::open(&**io, layout, lane, segment)?, &info)?;
        rows.iter().for_each(|row| note_sequence(&mut last, &row.header));
        last.retain(|&(stream, shard), last| state.last_sequence(stream, shard) == Some(*last));
        let exists = |stream| keys.has_stream_key(stream);
        let keep = || self.sequences.keep(&**io, layout, last.iter().map(|(&at, &last)| (at, last)), exists);
        self.place.reserve.rescue(keep)
    }

    /// The keys.
    pub fn keys(&self) -> &Keyring {
        &self.reader.keys
    }

    /// Counters of the lanes that hold anything.
    pub fn metrics(&self) -> LogMetrics {
        let used = self.lanes.iter().map(|lane| lane.state.metrics()).filter(|lane| lane.segments > 0);
        LogMetrics {
            lanes: used.collect(),
            damages: self.damages.len() as u64,
            torn_tails: self.torn_tails,
            tail_bytes: self.place.tail.bytes() as u64,
        }
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
        Verify::new(dir, master.cloned()).run(&mut |finding| {
            if let Finding::Damage(damage) = finding {
                report(damage);
            }
        })
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
