//! From access units to named fragments. Sans-I/O: times come in as arguments.

use std::collections::VecDeque;
use std::time::Duration;

use base::{Limits, Timestamp};
use media::rtp::{AccessUnit, SenderReport};

use super::naming::{Job, name};
use crate::fragmenter::{Cut, Fragmenter};
use crate::time::{Named, Restart, RunClock, ServerClock, TrackClock};
use crate::{TimestampSource, TrackSource};

/// For so long the least-delayed frame is sought before a first fragment is named by it: cameras
/// begin with a burst of frames that are old already.
const HOLD_BACK_US: i64 = 2_000_000;

/// One publisher's tracks: their clocks, the fragmenter, and the fragments that are not named yet.
pub(super) struct Assembler {
    pub(super) tracks: Vec<TrackSource>,
    clocks: Vec<TrackClock>,
    fragmenter: Fragmenter,
    run: RunClock,
    server: ServerClock,
    /// Arrival of the newest frame.
    newest: Duration,
    /// Fragments just closed, and those that wait for their names.
    cuts: Vec<Cut>,
    held: VecDeque<Cut>,
    /// What the open fragment was named, and its server time, once a part of it was handed out.
    open: Option<(Named, Timestamp)>,
    /// When the server's clock was set after nothing had kept it right, and by how many milliseconds; until the run
    /// begins that is named by the new time.
    set: Option<(Duration, i64)>,
    /// A publisher that sends a file as fast as it can is not held back beyond so many bytes.
    most_held_bytes: usize,
}

/// What became of an access unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// Whether it is part of a fragment.
    pub(super) kept: bool,
    /// Set where the track's times start over with it.
    pub(super) restart: Option<Restart>,
}

impl Assembler {
    /// For tracks as announced: at least one.
    pub(super) fn new(
        tracks: &[TrackSource],
        limits: &Limits,
        timestamps: TimestampSource,
        server: ServerClock,
    ) -> Self {
        Self {
            tracks: tracks.to_vec(),
            clocks: tracks.iter().map(|track| TrackClock::new(track.clock_rate, track.video)).collect(),
            fragmenter: Fragmenter::new(tracks, limits),
            run: RunClock::new(timestamps),
            server,
            newest: Duration::ZERO,
            cuts: Vec::new(),
            held: VecDeque::new(),
            open: None,
            set: None,
            most_held_bytes: limits.fragment_bytes,
        }
    }

    /// Takes a frame of the track at `index`. Fragments that are closed and named with it go to `out`.
    pub(super) fn take(
        &mut self,
        index: usize,
        unit: AccessUnit,
        arrival: Duration,
        out: &mut VecDeque<Job>,
    ) -> Taken {
        self.newest = self.newest.max(arrival);
        let arriving = self.clocks[index].arriving(unit.rtp_timestamp, arrival);
        if arriving.restart().is_some() {
            self.restart(index, out);
            self.clocks[index].start_over(&arriving);
        }
        let ticks = self.clocks[index].stamp(&arriving, arrival);
        let kept = self.fragmenter.push(index, ticks, unit, arrival, &mut self.cuts);
        self.name(false, out);
        Taken { kept, restart: arriving.restart() }
    }

    /// What came into the open fragment since its last part. `None` where nothing came, or the fragment
    /// cannot be named yet.
    pub(super) fn part(&mut self) -> Option<Job> {
        let known = self.clocks.get(self.fragmenter.lead())?.age_us(self.newest) >= HOLD_BACK_US;
        if !known || !self.held.is_empty() {
            return None;
        }
        let part = self.fragmenter.part()?;
        self.named(part)
    }

    /// Takes a sender report of the track at `index`.
    pub(super) fn sender_report(&mut self, index: usize, report: &SenderReport, arrival: Duration) {
        self.clocks[index].sender_report(report, arrival);
    }

    /// Another source sends the packets of the track at `index` from here on.
    pub(super) fn source_changed(&mut self, index: usize, out: &mut VecDeque<Job>) {
        self.restart(index, out);
        self.clocks[index].source_changed();
    }

    /// The system's wall clock said `now` at `monotonic`, and whether it is kept right. A step, in milliseconds, is
    /// returned; it is never applied to what arrived before: a run starts with the next key frame.
    pub(super) fn wall_clock(
        &mut self,
        now: Timestamp,
        monotonic: Duration,
        synchronized: Option<bool>,
    ) -> Option<i64> {
        let before = self.server.synchronized();
        self.server.set_synchronized(synchronized);
        let step_ms = self.server.observe(now, monotonic)?;
        if before == Some(false) {
            let earlier_ms = self.set.map_or(0, |(_, ms)| ms);
            self.set = Some((monotonic, earlier_ms.saturating_add(step_ms)));
        }
        self.fragmenter.restart_at_key();
        Some(step_ms)
    }

    /// Closes the open fragment and names all there is.
    pub(super) fn end(&mut self, out: &mut VecDeque<Job>) {
        self.fragmenter.end_run(&mut self.cuts);
        self.name(true, out);
    }

    /// A track's times do not go on: what there is is named by the times so far.
    fn restart(&mut self, index: usize, out: &mut VecDeque<Job>) {
        self.fragmenter.restart_track(index, &mut self.cuts);
        self.name(true, out);
    }

    /// Names what was closed: with `all` everything, else what need not be held back any more.
    fn name(&mut self, all: bool, out: &mut VecDeque<Job>) {
        if self.cuts.is_empty() && self.held.is_empty() {
            return;
        }
        self.held.extend(self.cuts.drain(..));
        let full = held_bytes(&self.held) > self.most_held_bytes;
        while let Some(cut) = self.held.front() {
            let known = !cut.begins || self.clocks[cut.lead].age_us(self.newest) >= HOLD_BACK_US;
            if !(all || known || full) {
                return;
            }
            let named = self.held.pop_front().and_then(|cut| self.named(cut));
            out.extend(named);
        }
    }

    fn named(&mut self, cut: Cut) -> Option<Job> {
        let arrival = cut.arrival;
        let job = name(cut, &mut self.open, &mut self.run, &mut self.clocks, &self.server, self.newest)?;
        let begins = job.begins && job.named.starts_run;
        let set = self.set.take_if(|(at, _)| begins && arrival >= *at);
        Some(Job { corrects_ms: set.map(|(_, ms)| ms), ..job })
    }
}

fn held_bytes(held: &VecDeque<Cut>) -> usize {
    held.iter().flat_map(|cut| &cut.frames).map(|frame| frame.data.len()).sum()
}
