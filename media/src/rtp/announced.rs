//! The track of a payload format, and whether the units that came out have told it.

use std::sync::Arc;

use bytes::Bytes;

use super::AccessUnit;
use crate::Track;

/// A track that goes out with the first unit it applies to.
#[derive(Debug, Default)]
pub(super) struct Announced {
    track: Option<Arc<Track>>,
    told: bool,
}

impl Announced {
    /// A track that is known from the beginning.
    pub(super) fn of(track: Track) -> Self {
        Self { track: Some(Arc::new(track)), told: false }
    }

    pub(super) fn get(&self) -> Option<&Arc<Track>> {
        self.track.as_ref()
    }

    /// The track from the next unit on; nothing changes where it is the one already known.
    pub(super) fn set(&mut self, track: Track) {
        if self.track.as_ref().is_none_or(|known| **known != track) {
            *self = Self::of(track);
        }
    }

    /// Appends an undamaged unit, unless it is empty or the track is not known yet.
    pub(super) fn emit(&mut self, rtp_timestamp: u32, key: bool, data: Bytes, out: &mut Vec<AccessUnit>) {
        let Some(track) = self.track.as_ref().filter(|_| !data.is_empty()) else { return };
        let track = (!self.told).then(|| Arc::clone(track));
        self.told = true;
        out.push(AccessUnit { rtp_timestamp, key, data, track, damaged: false });
    }
}
