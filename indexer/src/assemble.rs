//! Puts fragments together from the log's frames: pieces of media, then the metadata that commits them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base::{FragmentMeta, FragmentNumber, StreamId, Tags, Timestamp};
use fragment_log::{Durable, FrameHeader, FrameKind, LaneId, Location, Lsn};

use crate::FragmentEntry;

/// Pieces whose commit has not come for so long by the server's clock belong to an append that failed.
const ORPHANED: Duration = Duration::from_mins(10);

/// A committed fragment on its way into the index.
#[derive(Debug)]
pub(crate) struct Fresh {
    /// Where its commit stands in the order of its lane.
    pub lsn: Lsn,
    pub entry: Arc<FragmentEntry>,
    pub tags: Tags,
}

/// What a commit has brought.
#[derive(Debug)]
pub(crate) enum Assembled {
    /// A whole fragment.
    Fragment(Arc<Fresh>),
    /// Frames that are not indexed, and take space.
    Unindexed(Unindexed),
}

/// The frames of a fragment that is not indexed.
#[derive(Debug)]
pub(crate) struct Unindexed {
    pub stream: StreamId,
    pub number: FragmentNumber,
    pub pieces: Vec<Location>,
    /// Whether they must stay: they are not understood, and what they hold may be wanted. Those of a
    /// deleted stream are not.
    pub wanted: bool,
}

/// The unfinished fragments of one lane.
#[derive(Default)]
pub(crate) struct Assembler {
    pending: HashMap<(StreamId, u64), Pieces>,
}

struct Pieces {
    first: Lsn,
    server_time: Timestamp,
    bytes: u64,
    locations: Vec<Location>,
}

impl Assembler {
    /// Takes the next frame of the lane. `exists` tells whether a stream is known.
    pub(crate) fn push(&mut self, frame: &Durable, exists: impl Fn(StreamId) -> bool) -> Option<Assembled> {
        match frame.header.kind {
            FrameKind::Media => {
                self.piece(frame);
                None
            }
            FrameKind::FragmentMeta => self.commit(frame, exists),
            FrameKind::Command | FrameKind::Records => None,
        }
    }

    /// The first frame that is still needed to put pending fragments together.
    pub(crate) fn oldest(&self) -> Option<Lsn> {
        self.pending.values().map(|pieces| pieces.first).min()
    }

    fn piece(&mut self, frame: &Durable) {
        let FrameHeader { stream, first_sequence, count, server_time, payload_bytes, .. } = frame.header;
        let id = (stream, first_sequence);
        if count == 0 {
            let (first, locations) = (frame.lsn, Vec::new());
            self.pending.insert(id, Pieces { first, server_time, bytes: 0, locations });
        }
        match self.pending.get_mut(&id) {
            Some(pieces) if pieces.locations.len() == count as usize => {
                pieces.bytes += u64::from(payload_bytes);
                pieces.locations.push(frame.location);
            }
            // A piece before this one is damaged: what is left is no fragment.
            Some(_) | None => drop(self.pending.remove(&id)),
        }
    }

    fn commit(&mut self, frame: &Durable, exists: impl Fn(StreamId) -> bool) -> Option<Assembled> {
        let FrameHeader { stream, first_sequence, server_time, .. } = frame.header;
        let pieces = self.pending.remove(&(stream, first_sequence));
        self.pending.retain(|_, pieces| server_time.since(pieces.server_time) < ORPHANED);
        let (bytes, pieces) = pieces.map_or_else(Default::default, |all| (all.bytes, all.locations));
        let number = FragmentNumber::from_u64(first_sequence);
        let unindexed = |mut pieces: Vec<Location>, wanted| {
            pieces.push(frame.location);
            Some(Assembled::Unindexed(Unindexed { stream, number, pieces, wanted }))
        };
        if !exists(stream) {
            return unindexed(pieces, false);
        }
        // Its text is checked once, not string by string.
        let json = frame.payload.as_ref().and_then(|json| std::str::from_utf8(json).ok());
        let meta = json.and_then(|json| serde_json::from_str::<FragmentMeta>(json).ok());
        let meta = meta
            .filter(|meta| meta.number.to_u64() == first_sequence && i64::try_from(first_sequence).is_ok());
        let Some(mut meta) = meta else {
            tracing::error!(
                %stream, fragment = first_sequence, lane = %frame.location.lane, segment = frame.location.segment,
                "this fragment's metadata does not read; its log segments are kept"
            );
            return unindexed(pieces, true);
        };
        if bytes != meta.size_bytes || pieces.is_empty() {
            tracing::warn!(
                %stream, fragment = %meta.number, has = bytes, needs = meta.size_bytes,
                "not indexed: pieces of this fragment are missing from the log"
            );
            return unindexed(pieces, false);
        }
        let tags = std::mem::take(&mut meta.tags);
        let entry =
            FragmentEntry { stream, meta, has_tags: !tags.is_empty(), pieces, commit: frame.location };
        Some(Assembled::Fragment(Arc::new(Fresh { lsn: frame.lsn, entry: Arc::new(entry), tags })))
    }
}

/// Whether fragments are found in a lane.
pub(crate) const fn has_fragments(lane: LaneId) -> bool {
    match lane {
        LaneId::Bulk(_) => true,
        LaneId::Control | LaneId::Records(_) => false,
    }
}
