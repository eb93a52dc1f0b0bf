//! MPEG transport streams in RTP (RFC 2250 §2): their packets as they are, several in each payload.

use std::sync::Arc;

use super::{AccessUnit, Packet, PayloadFormat};
use crate::{MediaError, Track};

/// Hands on what each RTP packet carries. Whoever takes the stream apart finds its frames and its losses.
#[derive(Debug)]
pub(super) struct TransportStream;

impl PayloadFormat for TransportStream {
    fn push(&mut self, packet: &Packet, lost: u16, out: &mut Vec<AccessUnit>) -> Result<(), MediaError> {
        out.push(AccessUnit {
            rtp_timestamp: packet.timestamp,
            key: false,
            data: packet.payload.clone(),
            track: None,
            damaged: lost > 0,
        });
        Ok(())
    }

    fn track(&self) -> Option<&Arc<Track>> {
        None
    }
}
