//! Cuts frames into fragments. Sans-I/O: frames with their times go in, closed fragments come out, and
//! what an open one has so far when it is asked for.
//!
//! The *leading* track decides where fragments begin: the video track, or an audio track where there
//! is no video or it has fallen silent. Frames of the other tracks go into the fragment that is open
//! when they come, so that every track is stored without gap or overlap.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use base::Limits;
use media::mkv::MAX_FRAMES;
use media::rtp::AccessUnit;
use media::{DecodeOrder, Frame, Track};

use crate::TrackSource;
use crate::time::{micros, ticks_to_us};

/// A key frame this part of the target early still ends the fragment: cameras whose group of
/// pictures is as long as the target jitter around it.
const EARLY_DIVISOR: i64 = 16;

/// A closed fragment, or a part of one. Its times are still on the tracks' own clocks: they are named
/// later.
#[derive(Clone, Debug)]
pub(crate) struct Cut {
    /// Whether the fragment begins with it.
    pub(crate) begins: bool,
    /// Whether the fragment is closed with it; then it may have no frames, if it does not begin with it.
    pub(crate) ends: bool,
    /// In the order they came; ticks of their tracks, zero anywhere.
    pub(crate) frames: Vec<Frame>,
    /// The tracks that have frames in the fragment so far.
    pub(crate) tracks: Vec<Arc<Track>>,
    /// The numbers of all announced tracks, by index.
    pub(crate) numbers: Arc<[u8]>,
    /// Index of the track that leads.
    pub(crate) lead: usize,
    /// When its first frame arrived, monotonic.
    pub(crate) arrival: Duration,
    /// Its media timeline does not continue the previous fragment's.
    pub(crate) starts_run: bool,
    /// The leading track has other parameters than in the fragment before.
    pub(crate) parameters_changed: bool,
    /// Decoding may start with its first frame.
    pub(crate) starts_with_key: bool,
}

/// Cuts one publisher's frames into fragments.
#[derive(Debug)]
pub(crate) struct Fragmenter {
    target_us: i64,
    max_us: i64,
    most_bytes: usize,
    tracks: Vec<TrackState>,
    numbers: Arc<[u8]>,
    lead: usize,
    /// When the leading track had its last frame; before its first one, when any track had.
    lead_arrival_us: Option<i64>,
    open: Option<Open>,
    /// Where further fragments will begin: frames of the leading track that wait for their decode
    /// times.
    marks: VecDeque<Mark>,
    /// Bytes taken since the last mark.
    bytes: usize,
    /// The next key frame starts a run.
    restart: bool,
    /// The leading track's next frame starts a run, though it may be no key frame.
    resumes: bool,
    /// Since when the leading track has had frames without a key frame to start a run with.
    keyless_us: Option<i64>,
    emitted: Vec<Frame>,
}

/// One track's frames on their way into fragments.
#[derive(Debug)]
struct TrackState {
    source: TrackSource,
    /// Its parameters in the open fragment, and those of its next run where they differ.
    track: Option<Arc<Track>>,
    next: Option<Arc<Track>>,
    order: Option<DecodeOrder>,
    /// Frames that went into `order` and came out of it in this run.
    pushed: u64,
    emitted: u64,
    /// Its times started over: its frames are dropped until a run starts.
    waits: bool,
}

/// Where a fragment begins: with this frame of the leading track.
#[derive(Clone, Debug)]
struct Mark {
    /// Its place among the track's frames in this run.
    at: u64,
    ticks: i64,
    arrival: Duration,
    key: bool,
    starts_run: bool,
    /// The leading track's parameters from here on, where they change.
    parameters: Option<Arc<Track>>,
}

#[derive(Debug)]
struct Open {
    mark: Mark,
    /// Those that were not handed out as a part.
    frames: Vec<Frame>,
    /// The numbers of the tracks that have frames in the parts handed out; none before the first part.
    handed: Vec<u8>,
}

impl Open {
    fn new(mark: Mark) -> Self {
        Self { mark, frames: Vec::new(), handed: Vec::new() }
    }

    fn has(&self, track: u8) -> bool {
        self.handed.contains(&track) || self.frames.iter().any(|frame| frame.track == track)
    }
}

impl Fragmenter {
    /// For tracks as announced: at least one.
    pub(crate) fn new(tracks: &[TrackSource], limits: &Limits) -> Self {
        Self {
            target_us: micros(limits.fragment_target),
            max_us: micros(limits.fragment_max),
            most_bytes: limits.fragment_bytes,
            tracks: tracks.iter().map(|source| TrackState::new(*source)).collect(),
            numbers: tracks.iter().map(|source| source.number).collect(),
            lead: tracks.iter().position(|source| source.video).unwrap_or(0),
            lead_arrival_us: None,
            open: None,
            marks: VecDeque::new(),
            bytes: 0,
            restart: false,
            resumes: false,
            keyless_us: None,
            emitted: Vec::new(),
        }
    }

    /// Takes a frame of the track at `index`, presented at `ticks`. Fragments that end with it are
    /// appended to `out`. Returns whether the frame was kept: those that cannot be decoded (no
    /// parameter sets or key frame yet) or placed are dropped.
    pub(crate) fn push(
        &mut self,
        index: usize,
        ticks: i64,
        unit: AccessUnit,
        arrival: Duration,
        out: &mut Vec<Cut>,
    ) -> bool {
        self.choose_lead(index, unit.key, arrival, out);
        let parameters = unit.track.clone().and_then(|track| self.adopt(index, track, out));
        if self.tracks[index].track.is_none() {
            return false;
        }
        // Tiny frames cost more than they are, so that a fragment never has too many; by half, as frames
        // of other tracks that wait for their decode times are counted in the fragment before.
        let cost = unit.data.len() + size_of::<Frame>().max(self.most_bytes / (MAX_FRAMES / 2));
        let kept = if index == self.lead {
            self.lead_frame(ticks, unit.key, cost, parameters, arrival, out)
        } else {
            self.open.is_some() && !self.tracks[index].waits && self.bytes + cost <= self.most_bytes
        };
        if kept {
            self.bytes += cost;
            self.tracks[index].push(ticks, unit, &mut self.emitted);
            self.place(index, out);
        }
        kept
    }

    /// Index of the track that leads.
    pub(crate) fn lead(&self) -> usize {
        self.lead
    }

    /// Closes the open fragment; the next frame that may starts a run.
    pub(crate) fn end_run(&mut self, out: &mut Vec<Cut>) {
        for index in 0..self.tracks.len() {
            self.tracks[index].finish(&mut self.emitted);
            self.place(index, out);
        }
        self.marks.clear();
        self.close(None, out);
    }

    /// Hands out what came into the open fragment since its last part. `None` where nothing came, or no
    /// frame of the leading track did yet, by which the fragment is named.
    pub(crate) fn part(&mut self) -> Option<Cut> {
        let mut open = self.open.take()?;
        let led = self.tracks[self.lead].emitted > open.mark.at;
        let part = (led && !open.frames.is_empty()).then(|| self.cut(&mut open, false));
        if let Some(part) = &part {
            open.handed = part.tracks.iter().map(|track| track.number).collect();
        }
        self.open = Some(open);
        part
    }

    /// The times of a track start over here. A new run starts: at once where the track leads, else
    /// with the next key frame, until which the track's frames are dropped. A track that starts over
    /// within a run's first fragment only loses what it had there (unless a part was handed out), so
    /// that a camera that restarts all its tracks makes one run.
    pub(crate) fn restart_track(&mut self, index: usize, out: &mut Vec<Cut>) {
        if index == self.lead {
            self.resumes = self.open.is_some();
            return self.end_run(out);
        }
        self.tracks[index].finish(&mut self.emitted);
        self.place(index, out);
        let Some(open) = &mut self.open else { return };
        if open.mark.starts_run && open.handed.is_empty() {
            let number = self.tracks[index].source.number;
            open.frames.retain(|frame| frame.track != number);
        } else {
            self.tracks[index].waits = true;
            self.restart = true;
        }
    }

    /// A run starts with the next key frame.
    pub(crate) fn restart_at_key(&mut self) {
        self.restart = self.open.is_some();
    }

    /// Lets an audio track lead once the video track has sent nothing for as long as a fragment may
    /// be, and the video track again from its next key frame on. Either starts a run.
    fn choose_lead(&mut self, index: usize, key: bool, arrival: Duration, out: &mut Vec<Cut>) {
        let arrival_us = micros(arrival);
        let since_us = *self.lead_arrival_us.get_or_insert(arrival_us);
        let (leads_video, video) = (self.tracks[self.lead].source.video, self.tracks[index].source.video);
        let silent = leads_video && !video && arrival_us - since_us > self.max_us;
        if index != self.lead && (silent || (video && key && !leads_video)) {
            self.end_run(out);
            self.lead = index;
        }
        if index == self.lead {
            self.lead_arrival_us = Some(arrival_us);
        }
    }

    /// Takes over parameter sets. Returns them where the leading track changes them within a run: a
    /// fragment begins with them. Any other change is a start over.
    fn adopt(&mut self, index: usize, track: Arc<Track>, out: &mut Vec<Cut>) -> Option<Arc<Track>> {
        let leads = index == self.lead;
        let marked = self.marks.iter().rev().filter(|_| leads).find_map(|mark| mark.parameters.as_ref());
        let state = &self.tracks[index];
        let known = marked.or(state.next.as_ref()).or(state.track.as_ref());
        if known.is_some_and(|known| known.init_id() == track.init_id()) {
            return None;
        }
        let alike = |known: &Arc<Track>| known.codec == track.codec && known.timescale == track.timescale;
        if leads && self.open.is_some() && known.is_some_and(alike) {
            return Some(track);
        }
        if known.is_some() {
            self.restart_track(index, out);
        }
        let state = &mut self.tracks[index];
        let slot = if state.waits { &mut state.next } else { &mut state.track };
        *slot = Some(track);
        None
    }

    /// Decides whether a fragment begins with this frame of the leading track. Returns whether the
    /// frame can be kept.
    fn lead_frame(
        &mut self,
        ticks: i64,
        key: bool,
        cost: usize,
        parameters: Option<Arc<Track>>,
        arrival: Duration,
        out: &mut Vec<Cut>,
    ) -> bool {
        if self.restart && key {
            self.end_run(out);
        }
        let at = self.tracks[self.lead].pushed;
        let mark = Mark { at, ticks, arrival, key, starts_run: false, parameters };
        if self.open.is_none() {
            return self.start_run(mark);
        }
        if self.begins(&mark, cost) {
            self.bytes = 0;
            self.marks.push_back(mark);
        }
        true
    }

    /// Starts a run with a key frame; without one only where none came for as long as a fragment may
    /// be, or the pictures before the jump are there to decode from.
    fn start_run(&mut self, mark: Mark) -> bool {
        let arrival_us = micros(mark.arrival);
        let waited_us = arrival_us - *self.keyless_us.get_or_insert(arrival_us);
        if !mark.key && !self.resumes && waited_us < self.max_us {
            return false;
        }
        self.keyless_us = None;
        for track in &mut self.tracks {
            track.start_run();
        }
        (self.restart, self.resumes, self.bytes) = (false, false, 0);
        self.open = Some(Open::new(Mark { at: 0, starts_run: true, ..mark }));
        true
    }

    fn begins(&self, mark: &Mark, cost: usize) -> bool {
        let Some(last) = self.marks.back().or(self.open.as_ref().map(|open| &open.mark)) else { return true };
        let clock_rate = self.tracks[self.lead].source.clock_rate;
        let media_us = ticks_to_us(mark.ticks.saturating_sub(last.ticks), clock_rate);
        let arrival_us = micros(mark.arrival) - micros(last.arrival);
        let due = media_us >= self.target_us - self.target_us / EARLY_DIVISOR || !last.key;
        let overdue = media_us >= self.max_us || arrival_us >= 2 * self.max_us;
        (mark.key && due) || overdue || mark.parameters.is_some() || self.bytes + cost > self.most_bytes
    }

    /// Puts the frames whose decode times are known by now into their fragments.
    fn place(&mut self, index: usize, out: &mut Vec<Cut>) {
        let mut emitted = std::mem::take(&mut self.emitted);
        for frame in emitted.drain(..) {
            if index == self.lead {
                self.turn(out);
            }
            self.tracks[index].emitted += 1;
            if let Some(open) = &mut self.open {
                open.frames.push(frame);
            }
        }
        self.emitted = emitted;
        self.turn(out);
    }

    /// Closes the open fragment once the leading track's next frame begins another one.
    fn turn(&mut self, out: &mut Vec<Cut>) {
        let emitted = self.tracks[self.lead].emitted;
        if let Some(mark) = self.marks.pop_front_if(|mark| mark.at <= emitted) {
            self.close(Some(mark), out);
        }
    }

    /// Hands the open fragment out and opens the next one.
    fn close(&mut self, next: Option<Mark>, out: &mut Vec<Cut>) {
        if let Some(mut open) = std::mem::replace(&mut self.open, next.map(Open::new))
            && !(open.frames.is_empty() && open.handed.is_empty())
        {
            out.push(self.cut(&mut open, true));
        }
        if let Some(parameters) = self.open.as_ref().and_then(|open| open.mark.parameters.clone()) {
            self.tracks[self.lead].track = Some(parameters);
        }
    }

    /// Takes the frames that the open fragment has.
    fn cut(&self, open: &mut Open, ends: bool) -> Cut {
        let present = self.tracks.iter().filter(|state| open.has(state.source.number));
        let tracks = present.filter_map(|state| state.track.clone()).collect();
        let mark = &open.mark;
        Cut {
            begins: open.handed.is_empty(),
            ends,
            frames: std::mem::take(&mut open.frames),
            tracks,
            numbers: Arc::clone(&self.numbers),
            lead: self.lead,
            arrival: mark.arrival,
            starts_run: mark.starts_run,
            parameters_changed: mark.parameters.is_some(),
            starts_with_key: mark.key,
        }
    }
}

impl TrackState {
    fn new(source: TrackSource) -> Self {
        Self { source, track: None, next: None, order: None, pushed: 0, emitted: 0, waits: false }
    }

    fn push(&mut self, ticks: i64, unit: AccessUnit, emitted: &mut Vec<Frame>) {
        let depth = self.track.as_ref().map_or(0, |track| track.reorder_depth);
        let order = self.order.get_or_insert_with(|| DecodeOrder::new(self.source.number, depth));
        order.push(ticks, unit.key, unit.data, emitted);
        self.pushed += 1;
    }

    fn finish(&mut self, emitted: &mut Vec<Frame>) {
        if let Some(mut order) = self.order.take() {
            order.finish(emitted);
        }
    }

    fn start_run(&mut self) {
        (self.order, self.pushed, self.emitted, self.waits) = (None, 0, 0, false);
        self.track = self.next.take().or(self.track.take());
    }
}
