//! Where the records of one shard are: its frames in the order of their numbers.
//!
//! Frames of segments that are being written stand here one by one. A complete segment stands here as
//! one entry for each run of frames, and its footer says the rest: what is kept in memory grows with
//! segments, not with records.

use std::collections::BTreeMap;
use std::ops::Range;

use base::Timestamp;
use fragment_log::format::{FRAME_HEADER_BYTES, TAG_BYTES};
use fragment_log::{FrameHeader, LaneId, Location};

/// One frame of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Index of its first record.
    pub first: u64,
    /// How many records.
    pub count: u32,
    /// When they arrived.
    pub time: Timestamp,
    pub location: Location,
}

impl Frame {
    pub fn of(header: &FrameHeader, location: Location) -> Self {
        Self { first: header.first_sequence, count: header.count, time: header.server_time, location }
    }

    /// The index after its last record.
    pub fn end(&self) -> u64 {
        self.first.saturating_add(u64::from(self.count))
    }

    /// Bytes of the records, lengths and keys included.
    pub fn payload_bytes(&self) -> usize {
        (self.location.len as usize).saturating_sub(FRAME_HEADER_BYTES + TAG_BYTES)
    }
}

/// Frames of one complete segment whose numbers follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub first: u64,
    /// The index after the last record.
    pub end: u64,
    pub last_time: Timestamp,
    /// Of its records, lengths and keys included.
    pub bytes: u64,
    pub lane: LaneId,
    pub segment: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Frame(Frame),
    Span(Span),
}

impl Piece {
    fn end(&self) -> u64 {
        match self {
            Self::Frame(frame) => frame.end(),
            Self::Span(span) => span.end,
        }
    }

    fn last_time(&self) -> Timestamp {
        match self {
            Self::Frame(frame) => frame.time,
            Self::Span(span) => span.last_time,
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Self::Frame(frame) => frame.payload_bytes() as u64,
            Self::Span(span) => span.bytes,
        }
    }

    fn segment(&self) -> (LaneId, u64) {
        match self {
            Self::Frame(frame) => (frame.location.lane, frame.location.segment),
            Self::Span(span) => (span.lane, span.segment),
        }
    }
}

/// What is to be read next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// These frames; never none.
    Frames(Vec<Frame>),
    /// Some of the frames of this span.
    Span(Span),
    /// Nothing more.
    End,
}

/// How much to look for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Want {
    pub records: usize,
    pub bytes: usize,
}

#[derive(Debug, Default)]
pub(crate) struct ShardIndex {
    pieces: BTreeMap<u64, Piece>,
}

impl ShardIndex {
    /// Takes the shard's next frame.
    pub fn push(&mut self, frame: Frame) {
        self.pieces.insert(frame.first, Piece::Frame(frame));
    }

    pub fn last_time(&self) -> Option<Timestamp> {
        self.pieces.last_key_value().map(|(_, piece)| piece.last_time())
    }

    /// What holds the first record at or after `from` that arrived at or after `horizon`, and what
    /// follows it, as much as is wanted and at least one frame.
    pub fn next(&self, from: u64, horizon: Timestamp, want: Want) -> Next {
        let before = self.pieces.range(..from).next_back().filter(|(_, piece)| piece.end() > from);
        let mut pieces = before.into_iter().chain(self.pieces.range(from..)).map(|(_, piece)| piece);
        let mut frames = Vec::new();
        let (mut records, mut bytes) = (0, 0);
        for piece in pieces.by_ref().filter(|piece| piece.last_time() >= horizon) {
            let frame = match piece {
                Piece::Span(span) if frames.is_empty() => return Next::Span(*span),
                Piece::Span(_) => break,
                Piece::Frame(frame) => frame,
            };
            bytes += frame.payload_bytes();
            if !frames.is_empty() && (records >= want.records || bytes > want.bytes) {
                break;
            }
            records += frame.end().saturating_sub(from.max(frame.first)) as usize;
            frames.push(*frame);
        }
        if frames.is_empty() { Next::End } else { Next::Frames(frames) }
    }

    /// Bytes of what begins with one of these records; a run of a complete segment counts as a whole.
    pub fn bytes(&self, records: Range<u64>) -> u64 {
        if records.is_empty() {
            return 0;
        }
        self.pieces.range(records).map(|(_, piece)| piece.bytes()).sum()
    }

    /// Puts runs of frames of a complete segment in one entry each; their numbers follow one another. `footer` has the shard's frames as
    /// the segment's footer tells them, in order: what it lacks stays as it is.
    pub fn complete(&mut self, footer: &[Frame]) {
        let (Some(from), Some(to)) = (footer.first(), footer.last()) else { return };
        let (lane, segment) = (from.location.lane, from.location.segment);
        let firsts: Vec<u64> = self.pieces.range(from.first..=to.first).map(|(first, _)| *first).collect();
        let mut run: Option<Span> = None;
        for first in firsts {
            let known = footer.binary_search_by_key(&first, |frame| frame.first);
            let joins = match self.pieces.get(&first) {
                Some(Piece::Frame(frame)) if known.is_ok_and(|place| footer[place] == *frame) => Some(*frame),
                Some(Piece::Frame(_) | Piece::Span(_)) | None => None,
            };
            let Some(frame) = joins else { continue };
            self.pieces.remove(&first);
            // With numbers between, the frames that have them may be in another lane, also unknown yet.
            if let Some(span) = run.as_mut().filter(|span| span.end == first) {
                (span.end, span.last_time) = (frame.end(), frame.time);
                span.bytes += frame.payload_bytes() as u64;
            } else {
                let (end, last_time, bytes) = (frame.end(), frame.time, frame.payload_bytes() as u64);
                let ended = run.replace(Span { first, end, last_time, bytes, lane, segment });
                self.pieces.extend(ended.map(|span| (span.first, Piece::Span(span))));
            }
        }
        self.pieces.extend(run.map(|span| (span.first, Piece::Span(span))));
    }

    /// Forgets what is in a segment.
    pub fn remove(&mut self, lane: LaneId, segment: u64) {
        self.pieces.retain(|_, piece| piece.segment() != (lane, segment));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fragment_log::RetentionClass;
    use proptest::prelude::*;

    const LANE: LaneId = LaneId::Records(RetentionClass::Day);

    fn frame(first: u64, count: u32, segment: u64) -> Frame {
        let location = Location { lane: LANE, segment, offset: first, len: 96 + 10 * count };
        let time = Timestamp::from_millis(i64::try_from(first).unwrap());
        Frame { first, count, time, location }
    }

    const ALL: Want = Want { records: usize::MAX, bytes: usize::MAX };

    fn always() -> Timestamp {
        Timestamp::from_millis(0)
    }

    #[test]
    fn a_frame_is_found_by_each_of_its_records() {
        let mut index = ShardIndex::default();
        index.push(frame(1, 3, 0));
        index.push(frame(6, 2, 0));
        let firsts = |from| match index.next(from, always(), ALL) {
            Next::Frames(frames) => frames.iter().map(|frame| frame.first).collect(),
            Next::Span(_) | Next::End => Vec::new(),
        };
        assert_eq!(firsts(0), [1, 6]);
        assert_eq!(firsts(3), [1, 6]);
        assert_eq!(firsts(4), [6], "no record has the numbers between");
        assert_eq!(firsts(7), [6]);
        assert!(firsts(8).is_empty());
    }

    #[test]
    fn expired_frames_and_unwanted_ones_are_left_out() {
        let mut index = ShardIndex::default();
        (0..5).for_each(|n| index.push(frame(1 + n * 10, 10, 0)));
        let horizon = Timestamp::from_millis(21);
        let few = Want { records: 15, bytes: usize::MAX };
        assert_eq!(index.next(0, horizon, few), Next::Frames(vec![frame(21, 10, 0), frame(31, 10, 0)]));
        let small = Want { records: usize::MAX, bytes: 1 };
        assert_eq!(index.next(45, always(), small), Next::Frames(vec![frame(41, 10, 0)]));
    }

    #[test]
    fn bytes_are_the_same_frame_by_frame_and_in_runs() {
        let mut index = ShardIndex::default();
        (0..5).for_each(|n| index.push(frame(1 + n * 10, 10, 0)));
        assert_eq!((index.bytes(0..100), index.bytes(11..31), index.bytes(7..7)), (500, 200, 0));
        index.complete(&(0..5).map(|n| frame(1 + n * 10, 10, 0)).collect::<Vec<_>>());
        assert_eq!((index.bytes(0..100), index.bytes(2..100)), (500, 0), "it began before");
    }

    #[test]
    fn what_the_footer_lacks_stays_as_it_is() {
        let mut index = ShardIndex::default();
        (1..5).for_each(|n| index.push(frame(n, 1, 0)));
        index.complete(&[frame(1, 1, 0), frame(2, 1, 0), frame(4, 1, 0)]);
        assert_eq!(index.next(3, always(), ALL), Next::Frames(vec![frame(3, 1, 0)]));
        assert!(matches!(index.next(1, always(), ALL), Next::Span(Span { first: 1, end: 3, .. })));
    }

    proptest! {
        #[test]
        fn completing_and_removing_segments_loses_nothing_else(
            segments in proptest::collection::vec(0u64..4, 1..30), complete in 0u64..4, gone in 0u64..4,
        ) {
            let mut index = ShardIndex::default();
            for (n, segment) in segments.iter().enumerate() {
                index.push(frame(1 + n as u64, 1, *segment));
            }
            let footer = (1..).zip(&segments).filter(|(_, segment)| **segment == complete);
            index.complete(&footer.map(|(first, segment)| frame(first, 1, *segment)).collect::<Vec<_>>());
            index.remove(LANE, gone);
            for (n, segment) in segments.iter().enumerate() {
                let at = 1 + n as u64;
                let found = match index.next(at, always(), Want { records: 1, bytes: 1 }) {
                    Next::Frames(frames) => frames[0].first == at,
                    Next::Span(span) => (span.first..span.end).contains(&at),
                    Next::End => false,
                };
                prop_assert_eq!(found, *segment != gone, "{}", at);
            }
        }
    }
}
