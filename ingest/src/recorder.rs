//! One publisher's recording: access units in, fragments out to the writer task.

mod naming;
mod writer;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use catalog::Stream;
use media::rtp::{AccessUnit, SenderReport};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::fragmenter::{Cut, Fragmenter};
use crate::health::{Ended, Health};
use crate::ingest::Hold;
use crate::time::{Restart, RunClock, ServerClock, TrackClock, micros};
use crate::{Ingest, IngestError};
use naming::{Job, name};
use writer::Writer;

/// How often the server's clock is held against the system's.
const OBSERVE_EVERY: Duration = Duration::from_secs(1);
/// Reading both of the system's clocks took longer than this: what they said does not belong together.
const OBSERVE_WITHIN: Duration = Duration::from_millis(5);
/// For so long the least-delayed frame is sought before a first fragment is named by it: cameras
/// begin with a burst of frames that are old already.
const HOLD_BACK_US: i64 = 2_000_000;

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
    tracks: Vec<TrackSource>,
    clocks: Vec<TrackClock>,
    fragmenter: Fragmenter,
    run: RunClock,
    server: ServerClock,
    observed: Duration,
    newest: Duration,
    /// Fragments just closed; closed and not named yet; named and not handed to the writer yet.
    cuts: Vec<Cut>,
    held: VecDeque<Cut>,
    named: VecDeque<Job>,
    writer: Option<(mpsc::Sender<Job>, JoinHandle<Result<(), IngestError>>)>,
    why_ended: Ended,
}

impl Recorder {
    pub(crate) fn new(ingest: Ingest, hold: Hold, stream: Arc<Stream>, health: Arc<Health>) -> Self {
        let options = ingest.options();
        let (now, monotonic) = (options.clock.now(), options.clock.monotonic());
        health.connected(hold.peer(), now);
        let (sender, jobs) = mpsc::channel(options.limits.fragments_in_flight.max(1));
        let writer = Writer::new(ingest.clone(), hold, Arc::clone(&stream), Arc::clone(&health));
        Self {
            tracks: Vec::new(),
            clocks: Vec::new(),
            fragmenter: Fragmenter::new(&[], &options.limits),
            run: RunClock::new(options.timestamps),
            server: ServerClock::new(now, monotonic),
            observed: monotonic,
            newest: monotonic,
            cuts: Vec::new(),
            held: VecDeque::new(),
            named: VecDeque::new(),
            writer: Some((sender, tokio::spawn(writer.run(jobs)))),
            why_ended: Ended::Disconnected,
            stream,
            ingest,
            health,
        }
    }

    /// The stream being recorded.
    pub fn stream(&self) -> &Arc<Stream> {
        &self.stream
    }

    /// Announces the tracks, before their first frames.
    ///
    /// # Errors
    /// [`IngestError::Tracks`] for none, too many, one number twice, or a clock rate of 0.
    pub fn set_tracks(&mut self, tracks: &[TrackSource]) -> Result<(), IngestError> {
        let limits = Arc::clone(&self.ingest.options().limits);
        let sound = |(index, track): (usize, &TrackSource)| {
            track.clock_rate > 0 && !tracks[..index].iter().any(|other| other.number == track.number)
        };
        if tracks.is_empty() || tracks.len() > limits.tracks || !tracks.iter().enumerate().all(sound) {
            let stream = self.stream.name.clone();
            return Err(IngestError::Tracks { stream, count: tracks.len(), most: limits.tracks });
        }
        self.fragmenter.end_run(&mut self.cuts);
        self.name_cuts(true);
        self.fragmenter = Fragmenter::new(tracks, &limits);
        self.clocks = tracks.iter().map(|track| TrackClock::new(track.clock_rate, track.video)).collect();
        self.tracks = tracks.to_vec();
        Ok(())
    }

    /// Takes a frame. Waits while [`base::Limits::fragments_in_flight`] fragments wait for the disk.
    /// Where its future is dropped before it is done, the frame is kept all the same.
    ///
    /// # Errors
    /// [`IngestError::Deleted`] and [`IngestError::Log`] when recording cannot go on,
    /// [`IngestError::UnknownTrack`]. A full disk is no error: fragments are dropped, and health says
    /// so, until there is space again.
    pub async fn access_unit(
        &mut self,
        track: u8,
        unit: AccessUnit,
        arrival: Duration,
    ) -> Result<(), IngestError> {
        let index = self.index(track)?;
        self.newest = self.newest.max(arrival);
        self.follow_wall_clock();
        let arriving = self.clocks[index].arriving(unit.rtp_timestamp, arrival);
        if let Some(why) = arriving.restart() {
            self.restart(index, why);
            self.clocks[index].start_over(&arriving);
        }
        let ticks = self.clocks[index].stamp(&arriving, arrival);
        self.health.frame(micros(arrival), unit.key && self.tracks[index].video, unit.damaged);
        if !self.fragmenter.push(index, ticks, unit, arrival, &mut self.cuts) {
            self.health.frames_dropped(1);
        }
        self.name_cuts(false);
        if self.named.is_empty() { Ok(()) } else { self.send().await }
    }

    /// Takes an RTCP sender report of a track. One for a track that was not announced is ignored.
    pub fn sender_report(&mut self, track: u8, report: &SenderReport, arrival: Duration) {
        if let Ok(index) = self.index(track) {
            self.clocks[index].sender_report(report, arrival);
        }
    }

    /// Another synchronization source sends the track's packets from here on (RFC 3550 §8): its times
    /// have nothing to do with the old one's.
    ///
    /// # Errors
    /// [`IngestError::UnknownTrack`].
    pub fn source_changed(&mut self, track: u8) -> Result<(), IngestError> {
        let index = self.index(track)?;
        self.restart(index, Restart::SourceChanged);
        self.clocks[index].source_changed();
        Ok(())
    }

    /// Counts packets that never arrived.
    pub fn packets_lost(&self, count: u64) {
        self.health.packets_lost(count);
    }

    /// Ends the recording: closes the open fragment and waits until all is on disk. Dropping the
    /// recorder closes it, too, but then nobody hears how that went.
    ///
    /// # Errors
    /// [`IngestError::Deleted`] and [`IngestError::Log`] when the last fragments are not on disk.
    pub async fn finish(mut self, why: Ended) -> Result<(), IngestError> {
        self.why_ended = why;
        self.fragmenter.end_run(&mut self.cuts);
        self.name_cuts(true);
        self.send().await?;
        self.written().await
    }

    fn index(&self, track: u8) -> Result<usize, IngestError> {
        let unknown = || IngestError::UnknownTrack { stream: self.stream.name.clone(), number: track };
        self.tracks.iter().position(|source| source.number == track).ok_or_else(unknown)
    }

    /// Looks once a second whether the system's clock still agrees. A step is never applied to what
    /// is recorded already: a run starts with the next key frame.
    fn follow_wall_clock(&mut self) {
        if self.newest.saturating_sub(self.observed) < OBSERVE_EVERY {
            return;
        }
        let clock = &self.ingest.options().clock;
        let (before, now, after) = (clock.monotonic(), clock.now(), clock.monotonic());
        self.observed = self.newest;
        if after.saturating_sub(before) > OBSERVE_WITHIN {
            return;
        }
        if let Some(step_ms) = self.server.observe(now, before) {
            tracing::warn!(target: "audit", stream = %self.stream.name, step_ms, "the system's clock stepped: a new run starts");
            self.fragmenter.restart_at_key();
        }
    }

    /// A track's times do not go on: what there is is named by the times so far.
    fn restart(&mut self, index: usize, why: Restart) {
        tracing::info!(stream = %self.stream.name, track = self.tracks[index].number, ?why, "a track's times start over");
        self.fragmenter.restart_track(index, &mut self.cuts);
        self.name_cuts(true);
    }

    /// Names what was closed: with `all` everything, else what the time rule does not hold back yet.
    fn name_cuts(&mut self, all: bool) {
        if self.cuts.is_empty() && self.held.is_empty() {
            return;
        }
        self.held.extend(self.cuts.drain(..));
        let most_held = self.ingest.options().limits.fragments_in_flight;
        while let Some(cut) =
            self.held.pop_front_if(|cut| all || self.clocks[cut.lead].age_us(self.newest) >= HOLD_BACK_US)
        {
            self.named.extend(name(cut, &mut self.run, &mut self.clocks, &self.server, self.newest));
        }
        if self.held.len() > most_held {
            self.name_cuts(true);
        }
    }

    /// Hands what is named to the writer.
    async fn send(&mut self) -> Result<(), IngestError> {
        while let Some((sender, _)) = &self.writer {
            if self.named.is_empty() {
                return Ok(());
            }
            let Ok(permit) = sender.reserve().await else { break };
            self.named.pop_front().map(|job| permit.send(job));
        }
        self.written().await
    }

    /// Waits until the writer is done, and asks how it went.
    async fn written(&mut self) -> Result<(), IngestError> {
        let deleted = || IngestError::Deleted(self.stream.name.clone());
        let Some((sender, writer)) = self.writer.take() else { return Err(deleted()) };
        drop(sender);
        writer.await.unwrap_or_else(|_| Err(deleted()))
    }
}

/// The open fragment of a recorder that is dropped is closed and stored.
impl Drop for Recorder {
    fn drop(&mut self) {
        self.fragmenter.end_run(&mut self.cuts);
        self.name_cuts(true);
        if let Some((sender, _)) = self.writer.take() {
            let lost = self.named.drain(..).filter_map(|job| sender.try_send(job).err()).count();
            if lost > 0 {
                tracing::warn!(stream = %self.stream.name, fragments = lost, "the disk was too slow for the last fragments of a publisher that vanished");
            }
        }
        self.health.ended(self.ingest.options().clock.now(), self.why_ended);
    }
}
