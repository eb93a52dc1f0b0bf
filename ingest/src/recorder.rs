//! One publisher's recording: access units in, fragments out to the writer task.

mod assembler;
mod naming;
mod open_fragment;
mod throttle;
mod writer;

#[cfg(test)]
mod sync_tests;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use catalog::{Principal, Stream};
use media::rtp::{AccessUnit, SenderReport};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use crate::health::{Ended, Health};
use crate::ingest::Hold;
use crate::time::{ServerClock, micros};
use crate::{Ingest, IngestError, TimestampSource};
use assembler::Assembler;
use naming::Job;
use throttle::Throttle;
use writer::Writer;

/// How often the server's clock is held against the system's.
const OBSERVE_EVERY: Duration = Duration::from_secs(1);
/// Reading both of the system's clocks took longer than this: what they said does not belong together.
const OBSERVE_WITHIN: Duration = Duration::from_millis(5);
/// A part of a fragment waits beside the fragments of [`base::Limits::fragments_in_flight`], so that
/// journaling holds no publisher back.
const PARTS_IN_FLIGHT: usize = 1;

/// A track as the protocol announces it, before its first frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackSource {
    /// Its number, from 1: the same as in its access units' [`media::Track`].
    pub number: u8,
    /// Whether it is video: fragments are cut at its key frames.
    pub video: bool,
    /// Ticks per second of its RTP timestamps; not 0.
    pub clock_rate: u32,
}

/// Records one publisher. Takes access units in the order they arrive, from any protocol; `arrival`
/// is what [`base::Clock::monotonic`] said when the unit's first packet was read.
pub struct Recorder {
    stream: Arc<Stream>,
    ingest: Ingest,
    health: Arc<Health>,
    assembler: Assembler,
    timestamps: TimestampSource,
    /// When the system's clock was looked at last.
    observed: Duration,
    /// The second of the monotonic clock in which the open fragment was journaled last: the same for
    /// all recorders, so that many share one batch and one sync.
    journaled_sec: u64,
    /// Fragments on their way to the writer.
    named: VecDeque<Job>,
    writer: Option<WriterTask>,
    why_ended: Ended,
    told_restart: Throttle,
    superseded: Arc<Notify>,
}

struct WriterTask {
    jobs: mpsc::Sender<Job>,
    /// Whether a part is on its way to the disk. The next one waits for it.
    journaling: Arc<AtomicBool>,
    ended: JoinHandle<Result<(), IngestError>>,
}

impl Recorder {
    pub(crate) fn new(
        ingest: Ingest,
        hold: Hold,
        stream: Arc<Stream>,
        principal: Principal,
        timestamps: TimestampSource,
    ) -> Self {
        let health = ingest.health_of(stream.id);
        let clock = &ingest.options().clock;
        let (now, monotonic) = (clock.now(), clock.monotonic());
        health.connected(hold.peer(), now);
        let superseded = hold.superseded();
        let in_flight = ingest.options().limits.fragments_in_flight.max(1);
        let (jobs, incoming) = mpsc::channel(in_flight + PARTS_IN_FLIGHT);
        let journaling = Arc::new(AtomicBool::new(false));
        let writer = Writer::new(
            ingest.clone(),
            hold,
            Arc::clone(&stream),
            principal,
            Arc::clone(&health),
            Arc::clone(&journaling),
        );
        Self {
            assembler: assembler(&[], &ingest, timestamps),
            timestamps,
            observed: monotonic,
            journaled_sec: monotonic.as_secs(),
            named: VecDeque::new(),
            writer: Some(WriterTask { jobs, journaling, ended: tokio::spawn(writer.run(incoming)) }),
            why_ended: Ended::Disconnected,
            told_restart: Throttle::default(),
            superseded,
            stream,
            ingest,
            health,
        }
    }

    /// The stream being recorded.
    pub fn stream(&self) -> &Arc<Stream> {
        &self.stream
    }

    /// Resolves when another publisher takes the stream over, because nothing has come for long.
    pub async fn superseded(&self) {
        self.superseded.notified().await;
    }

    /// Announces the tracks, before their first frames.
    ///
    /// # Errors
    /// [`IngestError::Tracks`] for none, too many, one number twice, or a clock rate of 0.
    pub fn set_tracks(&mut self, tracks: &[TrackSource]) -> Result<(), IngestError> {
        let limits = &self.ingest.options().limits;
        let sound = |(index, track): (usize, &TrackSource)| {
            track.clock_rate > 0 && !tracks[..index].iter().any(|other| other.number == track.number)
        };
        if tracks.is_empty() || tracks.len() > limits.tracks || !tracks.iter().enumerate().all(sound) {
            let stream = self.stream.name.clone();
            return Err(IngestError::Tracks { stream, count: tracks.len(), most: limits.tracks });
        }
        self.assembler.end(&mut self.named);
        self.assembler = assembler(tracks, &self.ingest, self.timestamps);
        Ok(())
    }

    /// Takes a frame. Waits while [`base::Limits::fragments_in_flight`] fragments wait for the disk.
    /// Where its future is dropped before it is done, the frame is kept all the same.
    ///
    /// # Errors
    /// When recording cannot go on: [`IngestError::Deleted`], [`IngestError::Log`],
    /// [`IngestError::Catalog`] for a credential that was revoked meanwhile; and
    /// [`IngestError::UnknownTrack`]. A full disk is no error: fragments are dropped, and health says
    /// so, until there is space again.
    pub async fn access_unit(
        &mut self,
        track: u8,
        unit: AccessUnit,
        arrival: Duration,
    ) -> Result<(), IngestError> {
        let index = self.index(track)?;
        self.follow_wall_clock(arrival);
        let key = unit.key && self.assembler.tracks[index].video;
        self.health.frame(micros(arrival), key, unit.damaged);
        let taken = self.assembler.take(index, unit, arrival, &mut self.named);
        if let Some(why) = taken.restart
            && self.told_restart.admits(arrival)
        {
            tracing::info!(stream = %self.stream.name, track, ?why, "a track's times start over: a new run");
        }
        if !taken.kept {
            self.health.frames_dropped(1);
        }
        if !self.named.is_empty() {
            self.send().await?;
        }
        self.journal(arrival);
        Ok(())
    }

    /// Takes an RTCP sender report of a track. One for a track that was not announced is ignored.
    pub fn sender_report(&mut self, track: u8, report: &SenderReport, arrival: Duration) {
        if let Ok(index) = self.index(track) {
            self.assembler.sender_report(index, report, arrival);
        }
    }

    /// Another synchronization source sends the track's packets from here on (RFC 3550 §8): its times
    /// have nothing to do with the old one's.
    ///
    /// # Errors
    /// [`IngestError::UnknownTrack`].
    pub fn source_changed(&mut self, track: u8) -> Result<(), IngestError> {
        let index = self.index(track)?;
        self.assembler.source_changed(index, &mut self.named);
        Ok(())
    }

    /// Counts packets that never arrived.
    pub fn packets_lost(&self, count: u64) {
        self.health.packets_lost(count);
    }

    /// Counts a key frame that the publisher was asked for.
    pub fn key_frame_requested(&self) {
        self.health.key_frame_requested();
    }

    /// Says which tracks the publisher offers and nobody records, in a few words each.
    pub fn not_recorded(&self, tracks: Vec<String>) {
        self.health.not_recorded(tracks);
    }

    /// Ends the recording: closes the open fragment and waits until all is on disk. Dropping the
    /// recorder closes it, too, but then nobody hears how that went.
    ///
    /// # Errors
    /// As [`Self::access_unit`], when the last fragments are not on disk.
    pub async fn finish(mut self, why: Ended) -> Result<(), IngestError> {
        self.why_ended = why;
        self.assembler.end(&mut self.named);
        self.send().await?;
        self.written().await
    }

    fn index(&self, track: u8) -> Result<usize, IngestError> {
        let unknown = || IngestError::UnknownTrack { stream: self.stream.name.clone(), number: track };
        self.assembler.tracks.iter().position(|source| source.number == track).ok_or_else(unknown)
    }

    /// Looks once a second whether the system's clock still agrees.
    fn follow_wall_clock(&mut self, arrival: Duration) {
        if arrival.saturating_sub(self.observed) < OBSERVE_EVERY {
            return;
        }
        self.observed = arrival;
        let clock = &self.ingest.options().clock;
        let (before, now, after) = (clock.monotonic(), clock.now(), clock.monotonic());
        if after.saturating_sub(before) > OBSERVE_WITHIN {
            return;
        }
        if let Some(step_ms) = self.assembler.wall_clock(now, before, clock.synchronized()) {
            tracing::warn!(
                target: "audit",
                stream = %self.stream.name,
                step_ms,
                "the system's clock stepped: a run starts with the next key frame"
            );
        }
    }

    /// Once a second, hands the writer what came into the open fragment, so that a crash loses no more
    /// than that. Where the disk is behind, it waits with the fragment.
    fn journal(&mut self, arrival: Duration) {
        let Some(WriterTask { jobs, journaling, .. }) = &self.writer else { return };
        if arrival.as_secs() <= self.journaled_sec || journaling.load(Ordering::Acquire) {
            return;
        }
        if let Ok(place) = jobs.try_reserve()
            && let Some(part) = self.assembler.part()
        {
            self.journaled_sec = arrival.as_secs();
            journaling.store(true, Ordering::Release);
            place.send(part);
        }
    }

    /// Hands what is named to the writer.
    async fn send(&mut self) -> Result<(), IngestError> {
        while let Some(writer) = &self.writer {
            if self.named.is_empty() {
                return Ok(());
            }
            let Ok(permit) = writer.jobs.reserve().await else { break };
            if let Some(job) = self.named.pop_front() {
                permit.send(job);
            }
        }
        self.written().await
    }

    /// Waits until the writer is done, and asks how it went.
    async fn written(&mut self) -> Result<(), IngestError> {
        let deleted = || IngestError::Deleted(self.stream.name.clone());
        let Some(WriterTask { jobs, ended, .. }) = self.writer.take() else { return Err(deleted()) };
        drop(jobs);
        ended.await.unwrap_or_else(|_| Err(deleted()))
    }
}

/// The open fragment of a recorder that is dropped is closed and stored.
impl Drop for Recorder {
    fn drop(&mut self) {
        self.assembler.end(&mut self.named);
        if let Some(WriterTask { jobs, .. }) = self.writer.take() {
            let lost = self.named.drain(..).filter_map(|job| jobs.try_send(job).err()).count();
            if lost > 0 {
                tracing::warn!(stream = %self.stream.name, fragments = lost, "the disk was too slow for the last fragments of a publisher that vanished");
            }
        }
        self.health.ended(self.ingest.options().clock.now(), self.why_ended);
    }
}

fn assembler(tracks: &[TrackSource], ingest: &Ingest, timestamps: TimestampSource) -> Assembler {
    let options = ingest.options();
    let mut server = ServerClock::new(options.clock.now(), options.clock.monotonic());
    server.set_synchronized(options.clock.synchronized());
    Assembler::new(tracks, &options.limits, timestamps, server)
}
