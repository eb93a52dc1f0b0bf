//! Opus payloads (RFC 7587): one Opus packet in each.

use std::sync::Arc;

use super::announced::Announced;
use super::{AccessUnit, Format, Packet, PayloadFormat};
use crate::codec::opus::SAMPLE_RATE;
use crate::{CodecId, MediaError, Track};

/// Depayloads one Opus track.
#[derive(Debug)]
pub(super) struct Opus {
    track: Announced,
}

impl Opus {
    /// A decoder makes stereo of mono packets, but not the other way round: only a sender that promises
    /// mono is taken for mono.
    pub(super) fn new(number: u8, format: &Format) -> Result<Self, MediaError> {
        if format.clock_rate != SAMPLE_RATE {
            return Err(MediaError::Malformed {
                what: "Opus format (RFC 7587 §7)",
                why: "a clock rate other than 48000",
            });
        }
        let channels = if format.number("sprop-stereo") == Some(0) { 1 } else { 2 };
        let track = Track::of_samples(number, CodecId::Opus, SAMPLE_RATE, channels)?;
        Ok(Self { track: Announced::of(track) })
    }
}

impl PayloadFormat for Opus {
    fn push(&mut self, packet: &Packet, _lost: u16, out: &mut Vec<AccessUnit>) -> Result<(), MediaError> {
        self.track.emit(packet.timestamp, true, packet.payload.clone(), out);
        Ok(())
    }

    fn track(&self) -> Option<&Arc<Track>> {
        self.track.get()
    }
}
