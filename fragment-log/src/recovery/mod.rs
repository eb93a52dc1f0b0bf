//! Opening a lane: what is there, what a crash has left, where writing goes on.

mod rebuild;

use std::collections::BTreeMap;

use crate::format::{Footer, Lsn};
use crate::io::Io;
use crate::lane::{SequenceMap, note_sequence};
use crate::layout::Layout;
use crate::segment::Segment;
use crate::{Damage, LaneId, LogError, SegmentInfo};

/// A lane as it was found.
#[derive(Default)]
pub(crate) struct Recovered {
    pub(crate) segments: BTreeMap<u64, SegmentInfo>,
    pub(crate) sequences: SequenceMap,
    /// The last place that is known to be on disk.
    pub(crate) durable: Lsn,
    /// The place that the next frame takes.
    pub(crate) next: Lsn,
    /// The number that the next segment takes.
    pub(crate) next_segment: u64,
    pub(crate) damages: Vec<Damage>,
    pub(crate) torn_tails: u64,
}

/// Reads the footers of the lane's segments, and rebuilds those that have none.
pub(crate) fn recover(io: &dyn Io, layout: &Layout, lane: LaneId) -> Result<Recovered, LogError> {
    let numbers = layout.segments(io, lane)?;
    let mut found =
        Recovered { next: Lsn(1), next_segment: layout.unused_segment(io, lane)?, ..Recovered::default() };
    for (place, &number) in numbers.iter().enumerate() {
        let segment = Segment::open(io, layout, lane, number)?;
        if let Some((footer, _)) = segment.footer()? {
            found.take(&footer, segment.size()?);
            continue;
        }
        // What a later segment says was on disk when it was begun, this one must still have.
        let vouched = match numbers.get(place + 1) {
            Some(&after) => Segment::open(io, layout, lane, after)?.header()?.map_or(Lsn(0), |h| h.durable),
            None => Lsn(0),
        };
        if let Some(rebuilt) = rebuild::rebuild(io, layout, &segment, vouched)? {
            found.damages.extend(rebuilt.damages);
            found.torn_tails += u64::from(rebuilt.torn);
            found.take(&rebuilt.footer, rebuilt.bytes);
        }
    }
    Ok(found)
}

impl Recovered {
    /// Takes note of a complete segment.
    fn take(&mut self, footer: &Footer, bytes: u64) {
        let last = footer.rows.last().map(|row| row.lsn);
        let info = SegmentInfo {
            lane: footer.segment.lane,
            segment: footer.segment.number,
            first: footer.segment.first,
            last: last.unwrap_or(Lsn(footer.segment.first.0.saturating_sub(1))),
            bytes,
            created: footer.segment.created,
            sealed: true,
        };
        for row in &footer.rows {
            note_sequence(&mut self.sequences, &row.header);
        }
        self.durable = self.durable.max(footer.segment.durable).max(last.unwrap_or_default());
        self.next = self.next.max(footer.next);
        self.segments.insert(info.segment, info);
    }
}
