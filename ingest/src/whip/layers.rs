//! The layers of one track: one, or with simulcast the same picture in several sizes. The largest
//! that comes is recorded; another one takes over at one of its key frames only.

use std::sync::Arc;
use std::time::Duration;

use base::Limits;
use media::rtp::{AccessUnit, Format, Packet, SenderReport};
use media::{MediaError, Track};
use str0m::media::Rid;

use super::offer::MAX_LAYERS;
use crate::depacketizer::{Depacketizer, Event, Patience};

/// Lost packets are asked for again, which takes a round trip or two.
const PATIENCE: Patience = Patience { packets: 512, time: Duration::from_millis(500) };
/// A layer that has sent nothing for this long is no more: browsers stop the large ones first when
/// the line gets narrow.
const SILENCE: Duration = Duration::from_secs(2);
/// A key frame is asked for at most this often.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// What is to be recorded of a layer's packets.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Output {
    /// A frame, with its time on the track's one timeline, and when its first packet arrived.
    Unit(AccessUnit, Duration),
    /// Packets that never came.
    Lost(u16),
    /// The timeline does not go on with what follows.
    TimesBroken,
}

/// All layers of one track.
#[derive(Debug)]
pub(super) struct Layers {
    number: u8,
    video: bool,
    format: Format,
    layers: Vec<Layer>,
    /// The one that is recorded.
    current: Option<usize>,
    /// When its last key frame arrived, and whether packets have been lost for good since.
    last_key: Duration,
    damaged: bool,
    events: Vec<Event>,
}

#[derive(Debug)]
struct Layer {
    rid: Option<Rid>,
    ssrc: u32,
    packets: Depacketizer,
    /// When its last packet arrived.
    heard: Duration,
    track: Option<Arc<Track>>,
    report: Option<SenderReport>,
    /// Its RTP timestamps minus the recorded ones.
    ahead: u32,
    /// When a key frame was asked for last.
    asked: Option<Duration>,
}

impl Layer {
    /// Pixels of its pictures; 0 before its first key frame.
    fn pixels(&self) -> u64 {
        self.track.as_ref().map_or(0, |track| u64::from(track.width) * u64::from(track.height))
    }

    fn is_heard(&self, now: Duration) -> bool {
        now.saturating_sub(self.heard) < SILENCE
    }
}

impl Layers {
    /// Of track `number`, packed as `format` says.
    pub(super) fn new(number: u8, video: bool, format: Format) -> Self {
        Self {
            number,
            video,
            format,
            layers: Vec::new(),
            current: None,
            last_key: Duration::ZERO,
            damaged: false,
            events: Vec::new(),
        }
    }

    /// The track's number in the stream.
    pub(super) fn number(&self) -> u8 {
        self.number
    }

    /// Ticks per second of its timestamps.
    pub(super) fn clock_rate(&self) -> u32 {
        self.format.clock_rate
    }

    /// Whether it is video.
    pub(super) fn is_video(&self) -> bool {
        self.video
    }

    /// Takes a packet of a layer and appends what is recorded of it. Layers beyond [`MAX_LAYERS`] are
    /// dropped.
    ///
    /// # Errors
    /// What was wrong with the packet; the track goes on.
    pub(super) fn packet(
        &mut self,
        rid: Option<Rid>,
        packet: Packet,
        arrival: Duration,
        limits: &Limits,
        out: &mut Vec<Output>,
    ) -> Result<(), MediaError> {
        let Some(index) = self.layer(rid, packet.ssrc, arrival, limits)? else { return Ok(()) };
        let mut events = std::mem::take(&mut self.events);
        let layer = &mut self.layers[index];
        layer.heard = arrival;
        if layer.ssrc != packet.ssrc {
            layer.ssrc = packet.ssrc;
            layer.report = None;
            layer.packets.change_source(&mut events);
        }
        let result = layer.packets.packet(packet, arrival, &mut events);
        for event in events.drain(..) {
            self.take(index, event, out);
        }
        self.events = events;
        result
    }

    /// Takes a sender report of a layer. Returned as one of the recorded timeline, where it is of that.
    pub(super) fn report(&mut self, rid: Option<Rid>, report: SenderReport) -> Option<SenderReport> {
        let index = self.layers.iter().position(|layer| layer.rid == rid)?;
        let layer = &mut self.layers[index];
        if layer.ssrc != report.ssrc {
            return None;
        }
        layer.report = Some(report);
        let rtp_timestamp = report.rtp_timestamp.wrapping_sub(layer.ahead);
        (self.current == Some(index)).then_some(SenderReport { rtp_timestamp, ..report })
    }

    /// The layers that should send a key frame now, each asked at most once a second: the recorded
    /// one when its last is `target` old, or packets were lost; a larger one, so that it takes over.
    pub(super) fn key_frames_due(&mut self, now: Duration, target: Duration, due: &mut Vec<Option<Rid>>) {
        if !self.video {
            return;
        }
        let old = now.saturating_sub(self.last_key) >= target || self.damaged;
        let lasting = self.current.map(|current| &self.layers[current]).filter(|layer| layer.is_heard(now));
        let pixels = lasting.map(Layer::pixels);
        for (index, layer) in self.layers.iter_mut().enumerate().filter(|(_, layer)| layer.is_heard(now)) {
            let better = pixels.is_none_or(|pixels| layer.track.is_none() || layer.pixels() > pixels);
            let wanted = if self.current == Some(index) { old } else { better };
            let asked_lately = layer.asked.is_some_and(|asked| now.saturating_sub(asked) < ASK_EVERY);
            if wanted && !asked_lately {
                layer.asked = Some(now);
                due.push(layer.rid);
            }
        }
    }

    /// Gives up waiting for late packets, at the end of the source.
    pub(super) fn finish(&mut self, out: &mut Vec<Output>) {
        let mut events = Vec::new();
        if let Some(current) = self.current {
            self.layers[current].packets.finish(&mut events);
            for event in events {
                self.take(current, event, out);
            }
        }
    }

    /// The place of a layer, which is made where it is new.
    fn layer(
        &mut self,
        rid: Option<Rid>,
        ssrc: u32,
        now: Duration,
        limits: &Limits,
    ) -> Result<Option<usize>, MediaError> {
        let known = self.layers.iter().position(|layer| layer.rid == rid);
        if known.is_some() || self.layers.len() >= MAX_LAYERS {
            return Ok(known);
        }
        let packets = Depacketizer::new(self.number, &self.format, PATIENCE, limits)?;
        let (track, report, asked) = (None, None, None);
        self.layers.push(Layer { rid, ssrc, packets, heard: now, track, report, ahead: 0, asked });
        Ok(Some(self.layers.len() - 1))
    }

    fn take(&mut self, index: usize, event: Event, out: &mut Vec<Output>) {
        let is_current = self.current == Some(index);
        match event {
            Event::Unit(unit, arrival) => self.unit(index, unit, arrival, out),
            Event::Lost(count) if is_current => {
                self.damaged = true;
                out.push(Output::Lost(count));
            }
            Event::SourceChanged if is_current => out.push(Output::TimesBroken),
            Event::Lost(_) | Event::SourceChanged => {}
        }
    }

    fn unit(&mut self, index: usize, mut unit: AccessUnit, arrival: Duration, out: &mut Vec<Output>) {
        if let Some(track) = &unit.track {
            self.layers[index].track = Some(Arc::clone(track));
        }
        if self.current != Some(index) {
            if !unit.key || !self.is_preferred(index, arrival) {
                return;
            }
            if let Some(old) = self.current.replace(index)
                && !self.align(old, index)
            {
                out.push(Output::TimesBroken);
            }
            unit.track.clone_from(&self.layers[index].track);
        }
        if unit.key {
            (self.last_key, self.damaged) = (arrival, false);
        }
        self.damaged |= unit.damaged;
        unit.rtp_timestamp = unit.rtp_timestamp.wrapping_sub(self.layers[index].ahead);
        out.push(Output::Unit(unit, arrival));
    }

    /// Whether a layer is to be recorded instead of the current one.
    fn is_preferred(&self, index: usize, now: Duration) -> bool {
        self.current.is_none_or(|current| {
            let current = &self.layers[current];
            !current.is_heard(now) || self.layers[index].pixels() > current.pixels()
        })
    }

    /// Puts the timestamps of layer `new` on the timeline that `old` is on. Each layer counts from a
    /// number of its own, but all report by the same clock (RFC 3550 §6.4.1). False where a report of
    /// either is missing.
    fn align(&mut self, old: usize, new: usize) -> bool {
        let (Some(of_old), Some(of_new)) = (self.layers[old].report, self.layers[new].report) else {
            self.layers[new].ahead = 0;
            return false;
        };
        let between = i128::from(of_new.ntp.wrapping_sub(of_old.ntp).cast_signed());
        let ticks = (between * i128::from(self.format.clock_rate)) >> 32;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "RTP time counts modulo 2^32"
        )]
        let then = of_old.rtp_timestamp.wrapping_add(ticks as u32);
        self.layers[new].ahead = of_new.rtp_timestamp.wrapping_sub(then).wrapping_add(self.layers[old].ahead);
        true
    }
}

#[cfg(test)]
#[path = "layers_tests.rs"]
mod tests;
