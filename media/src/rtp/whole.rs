//! Frames that are of no use unless whole: what AV1, VP8, VP9 and Motion JPEG over RTP have in common.

use std::fmt::Debug;
use std::sync::Arc;

use base::Limits;
use bytes::{Bytes, BytesMut};

use super::announced::Announced;
use super::{AccessUnit, Format, Packet, PayloadFormat};
use crate::{CodecId, MediaError, Track};

/// How one payload format puts a frame together.
pub(super) trait Join: Debug + Default + Send + Sync {
    const CODEC: CodecId;

    /// Puts a packet's part behind those that `frame` holds. False where parts before it are missing.
    fn part(&mut self, packet: &Packet, frame: &mut BytesMut) -> Result<bool, MediaError>;

    /// Bytes of parts that are not in `frame` yet.
    fn held(&self) -> usize {
        0
    }

    /// The sample, and whether it is key, once no more parts come. `None` where some are missing.
    fn whole(&mut self, frame: BytesMut) -> Option<(Bytes, bool)>;

    /// Forgets the parts of a frame that is dropped.
    fn reset(&mut self);
}

/// Collects the packets of one timestamp. A frame that lacks a packet, breaks the format's rules or
/// grows too large is dropped as a whole; the rest of its packets are passed over.
#[derive(Debug)]
pub(super) struct WholeFrames<J> {
    number: u8,
    clock_rate: u32,
    max_bytes: usize,
    track: Announced,
    join: J,
    frame: BytesMut,
    /// Timestamp of the frame in hand.
    timestamp: Option<u32>,
    /// Timestamp of the frame that is being dropped.
    dropped: Option<u32>,
}

impl<J: Join> WholeFrames<J> {
    pub(super) fn new(number: u8, format: &Format, limits: &Limits) -> Self {
        Self {
            number,
            clock_rate: format.clock_rate,
            max_bytes: limits.frame_bytes,
            track: Announced::default(),
            join: J::default(),
            frame: BytesMut::new(),
            timestamp: None,
            dropped: None,
        }
    }

    fn part(&mut self, packet: &Packet) -> Result<bool, MediaError> {
        let complete = self.join.part(packet, &mut self.frame)?;
        if self.frame.len() + self.join.held() > self.max_bytes {
            return Err(MediaError::TooLarge { what: "frame", limit: self.max_bytes });
        }
        Ok(complete)
    }

    fn abandon(&mut self) {
        self.dropped = self.timestamp.take().or(self.dropped);
        self.frame.clear();
        self.join.reset();
    }

    /// Ends the frame in hand. Without a marker it may turn out to be incomplete.
    fn end(&mut self, out: &mut Vec<AccessUnit>) {
        let Some(timestamp) = self.timestamp.take() else { return };
        let whole = self.join.whole(self.frame.split());
        self.join.reset();
        let Some((data, key)) = whole else { return };
        let described = key.then(|| Track::of_key_frame(self.number, J::CODEC, self.clock_rate, &data));
        if let Some(track) = described.flatten() {
            self.track.set(track);
        }
        self.track.emit(timestamp, key, data, out);
    }
}

impl<J: Join> PayloadFormat for WholeFrames<J> {
    fn push(&mut self, packet: &Packet, lost: u16, out: &mut Vec<AccessUnit>) -> Result<(), MediaError> {
        if lost > 0 {
            self.abandon();
        } else if self.timestamp.is_some_and(|timestamp| timestamp != packet.timestamp) {
            self.end(out);
        }
        if self.dropped == Some(packet.timestamp) || packet.payload.is_empty() {
            return Ok(());
        }
        (self.timestamp, self.dropped) = (Some(packet.timestamp), None);
        let part = self.part(packet);
        match part {
            Ok(true) if packet.marker => self.end(out),
            Ok(true) => {}
            Ok(false) | Err(_) => self.abandon(),
        }
        part.map(drop)
    }

    fn finish(&mut self, out: &mut Vec<AccessUnit>) {
        self.end(out);
    }

    fn track(&self) -> Option<&Arc<Track>> {
        self.track.get()
    }
}
