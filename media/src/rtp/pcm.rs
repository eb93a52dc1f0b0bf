//! Plain samples: PCMU, PCMA and L16 (RFC 3551 §4.5). A packet's samples are one frame.

use std::sync::Arc;

use super::announced::Announced;
use super::{AccessUnit, Format, Packet, PayloadFormat};
use crate::codec::pcm::sample_bytes;
use crate::{CodecId, MediaError, Track};

/// Depayloads one track of plain samples.
#[derive(Debug)]
pub(super) struct Pcm {
    track: Announced,
    /// Bytes of one sample of every channel.
    block: usize,
}

impl Pcm {
    pub(super) fn new(number: u8, codec: CodecId, format: &Format) -> Result<Self, MediaError> {
        let channels = format.channels.max(1);
        let track = Track::of_samples(number, codec, format.clock_rate, channels)?;
        let block = usize::from(sample_bytes(codec)) * usize::from(channels);
        Ok(Self { track: Announced::of(track), block })
    }
}

impl PayloadFormat for Pcm {
    fn push(&mut self, packet: &Packet, _lost: u16, out: &mut Vec<AccessUnit>) -> Result<(), MediaError> {
        if !packet.payload.len().is_multiple_of(self.block) {
            return Err(MediaError::Malformed {
                what: "audio payload (RFC 3551 §4.5)",
                why: "half a sample at its end",
            });
        }
        self.track.emit(packet.timestamp, true, packet.payload.clone(), out);
        Ok(())
    }

    fn track(&self) -> Option<&Arc<Track>> {
        self.track.get()
    }
}
