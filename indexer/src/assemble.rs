//! Puts fragments together from the log's frames: pieces of media, then the metadata that commits them.
//!
//! The pieces come in any order, with those of other fragments between them, and over as many batches and
//! segments as a fragment is open for: the first piece of one that was journaled comes last.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base::{FragmentMeta, FragmentNumber, StreamId, Tags, Timestamp};
use fragment_log::{Durable, FrameKind, LaneId, Location, Lsn};

use crate::FragmentEntry;
use crate::event::Note;

/// Pieces that are not added to for so long, by the server's clock, belong to a fragment that was given up.
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

/// Frames that are no fragment in the index.
#[derive(Debug)]
pub(crate) struct Unindexed {
    pub stream: StreamId,
    pub number: FragmentNumber,
    pub pieces: Vec<Location>,
    pub is: Is,
}

/// What such frames are.
#[derive(Debug)]
pub(crate) enum Is {
    /// Of no use: of a deleted stream, or with pieces missing.
    Unwanted,
    /// Not understood: they must stay, as what they hold may be wanted.
    Unknown,
    /// One that tells of an event.
    Event(Note),
}

/// The unfinished fragments of one lane.
#[derive(Default)]
pub(crate) struct Assembler {
    pending: HashMap<(StreamId, u64), Pieces>,
    /// When orphans were looked for last, by the server times of commits.
    looked: Timestamp,
    /// Commits before this were dealt with before: what they lack stands where nobody reads again.
    known: Lsn,
}

/// What there is of a fragment.
struct Pieces {
    first: Lsn,
    /// With their indexes, as they came.
    pieces: Vec<(u32, Piece)>,
    /// Whether any came since orphans were looked for.
    grew: bool,
}

#[derive(Clone, Copy)]
struct Piece {
    bytes: u32,
    at: Location,
}

impl Assembler {
    /// For a lane that is read again, and whose commits before `known` were dealt with.
    pub(crate) fn knowing(known: Lsn) -> Self {
        Self { known, ..Self::default() }
    }

    /// Takes the next frame of the lane. `exists` tells whether a stream is known.
    pub(crate) fn push(&mut self, frame: &Durable, exists: impl Fn(StreamId) -> bool) -> Option<Assembled> {
        match frame.header.kind {
            FrameKind::Media => {
                self.piece(frame);
                None
            }
            FrameKind::FragmentMeta => self.commit(frame, exists),
            FrameKind::Event => Some(Assembled::Unindexed(event(frame, exists))),
            FrameKind::Command | FrameKind::Records | FrameKind::FragmentPart => None,
        }
    }

    /// The first frame that is still needed to put pending fragments together.
    pub(crate) fn oldest(&self) -> Option<Lsn> {
        self.pending.values().map(|pieces| pieces.first).min()
    }

    fn piece(&mut self, frame: &Durable) {
        let header = &frame.header;
        let nothing = || Pieces { first: frame.lsn, pieces: Vec::new(), grew: true };
        let of = self.pending.entry((header.stream, header.first_sequence)).or_insert_with(nothing);
        of.grew = true;
        of.pieces.push((header.count, Piece { bytes: header.payload_bytes, at: frame.location }));
    }

    /// Gives up what was not added to between the last two times that this was done. A step of the clock
    /// alone orphans nothing: an open fragment is added to every second.
    fn give_up_orphans(&mut self, now: Timestamp) {
        self.looked = self.looked.min(now);
        if now.since(self.looked) >= ORPHANED {
            self.looked = now;
            self.pending.retain(|_, pieces| std::mem::take(&mut pieces.grew));
        }
    }

    fn commit(&mut self, frame: &Durable, exists: impl Fn(StreamId) -> bool) -> Option<Assembled> {
        let (stream, first_sequence) = (frame.header.stream, frame.header.first_sequence);
        let pieces = self.pending.remove(&(stream, first_sequence));
        self.give_up_orphans(frame.header.server_time);
        let (bytes, pieces) = pieces.map(Pieces::in_order).unwrap_or_default();
        let number = FragmentNumber::from_u64(first_sequence);
        let unindexed = |mut pieces: Vec<Location>, is| {
            pieces.push(frame.location);
            Some(Assembled::Unindexed(Unindexed { stream, number, pieces, is }))
        };
        if !exists(stream) {
            return unindexed(pieces, Is::Unwanted);
        }
        let meta = frame.payload.as_ref().and_then(|packed| FragmentMeta::unpack(packed).ok());
        let meta = meta
            .filter(|meta| meta.number.to_u64() == first_sequence && i64::try_from(first_sequence).is_ok());
        let Some(mut meta) = meta else {
            tracing::error!(
                %stream, fragment = first_sequence, lane = %frame.location.lane, segment = frame.location.segment,
                "this fragment's metadata does not read; its log segments are kept"
            );
            return unindexed(pieces, Is::Unknown);
        };
        let whole = bytes == Some(meta.size_bytes) && !pieces.is_empty();
        if !whole && frame.lsn < self.known {
            return None;
        }
        if !whole {
            tracing::warn!(
                %stream, fragment = %meta.number, has = bytes, needs = meta.size_bytes,
                "not indexed: pieces of this fragment are missing from the log"
            );
            return unindexed(pieces, Is::Unwanted);
        }
        let tags = std::mem::take(&mut meta.tags);
        let entry =
            FragmentEntry { stream, meta, has_tags: !tags.is_empty(), pieces, commit: frame.location };
        Some(Assembled::Fragment(Arc::new(Fresh { lsn: frame.lsn, entry: Arc::new(entry), tags })))
    }
}

/// A frame that tells of an event.
fn event(frame: &Durable, exists: impl Fn(StreamId) -> bool) -> Unindexed {
    let (stream, number) = (frame.header.stream, FragmentNumber::from_u64(frame.header.first_sequence));
    let note = frame.payload.as_ref().and_then(|json| Note::decode(json));
    let is = match note {
        _ if !exists(stream) => Is::Unwanted,
        Some(note) => Is::Event(note),
        None => {
            let (lane, segment) = (frame.location.lane, frame.location.segment);
            tracing::error!(%stream, event = number.to_u64(), %lane, segment, "this event does not read; its log segment is kept");
            Is::Unknown
        }
    };
    Unindexed { stream, number, pieces: vec![frame.location], is }
}

impl Pieces {
    /// Where they are, by index, and how many bytes they have; `None` if one is missing or there twice.
    fn in_order(mut self) -> (Option<u64>, Vec<Location>) {
        self.pieces.sort_unstable_by_key(|(index, _)| *index);
        let whole = (0..).zip(&self.pieces).all(|(place, (index, _))| place == *index);
        let bytes = self.pieces.iter().map(|(_, piece)| u64::from(piece.bytes)).sum();
        (whole.then_some(bytes), self.pieces.into_iter().map(|(_, piece)| piece.at).collect())
    }
}

/// Whether fragments are found in a lane.
pub(crate) const fn has_fragments(lane: LaneId) -> bool {
    match lane {
        LaneId::Bulk(_) => true,
        LaneId::Control | LaneId::Records(_) => false,
    }
}
