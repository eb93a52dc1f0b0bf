//! The packets of one source, put in order and made into access units: what RTSP push and WHIP share.

use std::collections::VecDeque;
use std::time::Duration;

use base::Limits;
use media::MediaError;
use media::rtp::{AccessUnit, Depayloader, Format, Packet, ReorderBuffer, Sequenced};

/// Access units whose arrival is remembered while their packets wait for others.
const ARRIVALS: usize = 16;

/// How late packets are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patience {
    /// Packets that may wait behind a gap.
    pub(crate) packets: usize,
    /// How long they may wait.
    pub(crate) time: Duration,
}

/// What comes out of a track, in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    /// A frame, and when its first packet arrived (monotonic).
    Unit(AccessUnit, Duration),
    /// Packets that never came.
    Lost(u16),
    /// Another source sends from here on.
    SourceChanged,
}

/// RTP packets of one source in, access units out.
#[derive(Debug)]
pub(crate) struct Depacketizer {
    patience: Patience,
    reorder: ReorderBuffer,
    depayloader: Depayloader,
    /// Since when packets have waited behind a gap.
    waiting: Option<Duration>,
    /// RTP timestamps lately seen for the first time, and when; newest last.
    arrivals: VecDeque<(u32, Duration)>,
    sequenced: Vec<Sequenced>,
    units: Vec<AccessUnit>,
}

impl Depacketizer {
    /// For track `number`, packed as `format` says.
    ///
    /// # Errors
    /// [`MediaError::Unsupported`] names a codec that is not spoken.
    pub(crate) fn new(
        number: u8,
        format: &Format,
        patience: Patience,
        limits: &Limits,
    ) -> Result<Self, MediaError> {
        Ok(Self::of(Depayloader::new(number, format, limits)?, patience))
    }

    /// For a transport stream: as [`Depayloader::transport_stream`].
    pub(crate) fn transport_stream(patience: Patience) -> Self {
        Self::of(Depayloader::transport_stream(), patience)
    }

    fn of(depayloader: Depayloader, patience: Patience) -> Self {
        Self {
            patience,
            reorder: ReorderBuffer::new(patience.packets),
            depayloader,
            waiting: None,
            arrivals: VecDeque::with_capacity(ARRIVALS),
            sequenced: Vec::new(),
            units: Vec::new(),
        }
    }

    /// Takes a packet that arrived at `arrival` (monotonic) and appends what it completes to `events`.
    ///
    /// # Errors
    /// What was wrong with the packet, or with one that waited for it; the track goes on.
    pub(crate) fn packet(
        &mut self,
        packet: Packet,
        arrival: Duration,
        events: &mut Vec<Event>,
    ) -> Result<(), MediaError> {
        self.note_arrival(packet.timestamp, arrival);
        self.reorder.push(packet, &mut self.sequenced);
        if self.reorder.is_waiting() {
            let since = *self.waiting.get_or_insert(arrival);
            if arrival.saturating_sub(since) >= self.patience.time {
                self.reorder.skip_gap(&mut self.sequenced);
                self.waiting = None;
            }
        } else {
            self.waiting = None;
        }
        self.depayload(events)
    }

    /// Gives up waiting for late packets, at the end of the source.
    pub(crate) fn finish(&mut self, events: &mut Vec<Event>) {
        self.reorder.finish(&mut self.sequenced);
        // What is wrong with the last packets is of no more use to anyone.
        let _ = self.depayload(events);
        self.depayloader.finish(&mut self.units);
        self.hand_over(events);
    }

    /// Ends the source, and makes ready for another one whose sequence numbers go their own way.
    pub(crate) fn change_source(&mut self, events: &mut Vec<Event>) {
        self.finish(events);
        self.reorder = ReorderBuffer::new(self.patience.packets);
        self.waiting = None;
        self.arrivals.clear();
        events.push(Event::SourceChanged);
    }

    fn note_arrival(&mut self, timestamp: u32, arrival: Duration) {
        if self.arrivals.iter().rev().any(|(known, _)| *known == timestamp) {
            return;
        }
        if self.arrivals.len() >= ARRIVALS {
            self.arrivals.pop_front();
        }
        self.arrivals.push_back((timestamp, arrival));
    }

    /// Depayloads all packets whose turn has come; the first error is returned after the last one.
    fn depayload(&mut self, events: &mut Vec<Event>) -> Result<(), MediaError> {
        let mut result = Ok(());
        for Sequenced { packet, lost } in self.sequenced.drain(..) {
            if lost > 0 {
                events.push(Event::Lost(lost));
            }
            result = result.and(self.depayloader.push(&packet, lost, &mut self.units));
        }
        self.hand_over(events);
        result
    }

    fn hand_over(&mut self, events: &mut Vec<Event>) {
        let Self { arrivals, units, .. } = self;
        let newest = arrivals.back().map_or(Duration::ZERO, |(_, arrival)| *arrival);
        events.extend(units.drain(..).map(|unit| {
            let own = arrivals.iter().rev().find(|(timestamp, _)| *timestamp == unit.rtp_timestamp);
            // Audio units behind the first of a packet have no packet of their own.
            let arrival = own.map_or(newest, |(_, arrival)| *arrival);
            Event::Unit(unit, arrival)
        }));
    }
}
