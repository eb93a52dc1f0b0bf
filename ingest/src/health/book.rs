//! Where recorders write and others read how streams are doing.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::{Clock, FragmentMeta, FragmentNumber, StreamId, Timestamp};

use super::{ClockHealth, Ended, STALE_AFTER, StreamHealth, StreamState, TrackHealth};

/// Every stream that was published to since the start and still exists.
#[derive(Default)]
pub(crate) struct HealthBook(Mutex<HashMap<StreamId, Arc<Health>>>);

impl HealthBook {
    /// The stream's health. Where it has none yet, one is made, and those of streams that `exists`
    /// does not know any more are dropped.
    pub(crate) fn of(&self, stream: StreamId, exists: impl Fn(StreamId) -> bool) -> Arc<Health> {
        let mut book = lock(&self.0);
        if !book.contains_key(&stream) {
            book.retain(|id, _| exists(*id));
        }
        Arc::clone(book.entry(stream).or_default())
    }

    pub(crate) fn get(&self, stream: StreamId) -> Option<Arc<Health>> {
        lock(&self.0).get(&stream).cloned()
    }
}

/// One stream's health. What changes with every frame is atomic; the rest is locked once a fragment.
#[derive(Default)]
pub(crate) struct Health {
    /// Monotonic arrival of the last frame and the last video key frame, in microseconds; 0 for none.
    last_frame_us: AtomicI64,
    last_key_us: AtomicI64,
    frames_damaged: AtomicU64,
    frames_dropped: AtomicU64,
    packets_lost: AtomicU64,
    key_frames_requested: AtomicU64,
    slow: Mutex<Slow>,
}

/// What changes with a fragment or a session.
#[derive(Default)]
struct Slow {
    publisher: Option<(SocketAddr, Timestamp)>,
    sessions: u64,
    last_end: Option<(Timestamp, Ended)>,
    tracks: Vec<TrackHealth>,
    bitrate: u64,
    clock: Option<ClockHealth>,
    stored: Option<Stored>,
    journaled_ms: Option<u32>,
    fragments: u64,
    fragments_dropped: u64,
    disk_full: bool,
    not_recorded: Vec<String>,
}

/// A fragment that is on disk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stored {
    pub(crate) number: FragmentNumber,
    pub(crate) acked: Timestamp,
    pub(crate) took: Duration,
}

impl Health {
    pub(crate) fn connected(&self, peer: SocketAddr, now: Timestamp) {
        let mut slow = lock(&self.slow);
        slow.publisher = Some((peer, now));
        slow.journaled_ms = None;
        slow.sessions += 1;
        slow.not_recorded = Vec::new();
    }

    pub(crate) fn ended(&self, now: Timestamp, why: Ended) {
        let mut slow = lock(&self.slow);
        slow.publisher = None;
        slow.last_end = Some((now, why));
    }

    /// A frame arrived; `key` for a video key frame.
    pub(crate) fn frame(&self, arrival_us: i64, key: bool, damaged: bool) {
        self.last_frame_us.store(arrival_us.max(1), Ordering::Relaxed);
        if key {
            self.last_key_us.store(arrival_us.max(1), Ordering::Relaxed);
        }
        if damaged {
            self.frames_damaged.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn frames_dropped(&self, count: u64) {
        self.frames_dropped.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn packets_lost(&self, count: u64) {
        self.packets_lost.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn key_frame_requested(&self) {
        self.key_frames_requested.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn not_recorded(&self, tracks: Vec<String>) {
        lock(&self.slow).not_recorded = tracks;
    }

    /// A fragment was closed.
    pub(crate) fn fragment(&self, meta: &FragmentMeta, clock: ClockHealth) {
        let tracks: Vec<_> = meta.tracks.iter().map(TrackHealth::of).collect();
        let mut slow = lock(&self.slow);
        slow.bitrate = tracks.iter().map(|track| track.bitrate).sum();
        slow.tracks = tracks;
        slow.clock = Some(clock);
    }

    /// A fragment is on disk.
    pub(crate) fn stored(&self, stored: Stored) {
        let mut slow = lock(&self.slow);
        slow.stored = Some(stored);
        slow.journaled_ms = None;
        slow.fragments += 1;
        slow.disk_full = false;
    }

    /// So much of the open fragment is on disk.
    pub(crate) fn journaled(&self, millis: u32) {
        lock(&self.slow).journaled_ms = Some(millis);
    }

    /// A fragment was dropped because the disk is full.
    pub(crate) fn dropped(&self) {
        let mut slow = lock(&self.slow);
        slow.journaled_ms = None;
        slow.fragments_dropped += 1;
        slow.disk_full = true;
    }

    pub(crate) fn read(&self, clock: &dyn Clock) -> StreamHealth {
        let (now, monotonic) = (clock.now(), clock.monotonic());
        let ago = |at: &AtomicI64| {
            let at = u64::try_from(at.load(Ordering::Relaxed)).ok().filter(|at| *at > 0)?;
            Some(monotonic.saturating_sub(Duration::from_micros(at)))
        };
        let (frame, key) = (ago(&self.last_frame_us), ago(&self.last_key_us));
        let slow = lock(&self.slow);
        let state = match (slow.publisher, frame) {
            (None, _) => StreamState::Offline,
            (Some(_), Some(ago)) if ago < STALE_AFTER => StreamState::Live,
            (Some(_), Some(_) | None) => StreamState::Stale,
        };
        StreamHealth {
            state,
            peer: slow.publisher.map(|(peer, _)| peer),
            connected: slow.publisher.map(|(_, since)| since),
            last_frame: frame.map(|ago| now - ago),
            last_key_frame: key.map(|ago| now - ago),
            tracks: slow.tracks.clone(),
            bitrate: slow.bitrate,
            last_fragment: slow.stored.map(|stored| stored.number),
            last_ack: slow.stored.map(|stored| stored.acked),
            ack_ms: slow.stored.map(|stored| u64::try_from(stored.took.as_millis()).unwrap_or(u64::MAX)),
            journaled_ms: slow.journaled_ms,
            clock: slow.clock,
            reconnects: slow.sessions.saturating_sub(1),
            last_end: slow.last_end,
            fragments: slow.fragments,
            fragments_dropped: slow.fragments_dropped,
            disk_full: slow.disk_full,
            frames_damaged: self.frames_damaged.load(Ordering::Relaxed),
            frames_dropped: self.frames_dropped.load(Ordering::Relaxed),
            packets_lost: self.packets_lost.load(Ordering::Relaxed),
            key_frames_requested: self.key_frames_requested.load(Ordering::Relaxed),
            not_recorded: slow.not_recorded.clone(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
