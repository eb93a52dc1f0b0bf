//! A segment without a footer: a crash, a full disk or damage has taken it. Its frames are found by
//! walking its batches; what is torn at the end is set aside; then it gets its footer.

use std::io::IoSlice;
use std::ops::Range;

use base::Timestamp;

use crate::format::{
    BLOCK, BatchHead, FRAME_HEADER_BYTES, Footer, Lsn, SegmentHeader, TAG_BYTES, check_frame,
};
use crate::io::{File, Io, copy};
use crate::layout::Layout;
use crate::segment::{Segment, Step, Walk, seal_file, unlink};
use crate::{Damage, LogError};

/// What became of the segment.
pub(super) struct Rebuilt {
    pub(super) footer: Footer,
    pub(super) bytes: u64,
    pub(super) damages: Vec<Damage>,
    pub(super) torn: bool,
}

/// What a walk over the segment has found.
struct Survey {
    header: Option<SegmentHeader>,
    batches: Vec<BatchHead>,
    gaps: Vec<Range<u64>>,
    /// Good bytes that nothing later vouches for.
    unvouched: Vec<Range<u64>>,
    /// Where trust ends: everything from here on was never acknowledged.
    end: u64,
    size: u64,
}

/// No frame is shorter, so this bounds how many a range of lost bytes may have held.
const MIN_FRAME_BYTES: u64 = (FRAME_HEADER_BYTES + TAG_BYTES) as u64;

/// Rebuilds the segment. `vouched` is the last place that a later segment says was on disk. `None`
/// where the file holds nothing but a torn beginning, which is then set aside as a whole.
pub(super) fn rebuild(
    io: &dyn Io,
    layout: &Layout,
    segment: &Segment,
    vouched: Lsn,
) -> Result<Option<Rebuilt>, LogError> {
    let survey = survey(segment, vouched)?;
    let Some(header) = survey.header.or_else(|| survey.stand_in(segment)) else {
        set_aside(io, layout, segment, 0..survey.size)?;
        unlink(io, &segment.path)?;
        return Ok(None);
    };
    let mut damages: Vec<Damage> = survey.gaps.iter().map(|gap| Damage::gap(segment, gap.clone())).collect();
    if survey.header.is_none() {
        damages.push(Damage::plain(&segment.path, 0..BLOCK, "the segment header is damaged"));
    }
    let mut rows = Vec::new();
    for batch in &survey.batches {
        for (row, (_, offset, slot)) in segment.rows(batch).zip(batch.places()) {
            match row {
                Ok(row) => rows.push(row),
                Err(LogError::Corrupt { what, .. }) => {
                    let range = offset..offset + u64::from(slot.len);
                    damages.push(Damage::plain(&segment.path, range, what));
                }
                Err(error) => return Err(error),
            }
        }
    }
    damages.iter().for_each(Damage::log);
    finish(io, layout, segment, &survey, Footer { segment: header, next: survey.next(header), rows }, damages)
        .map(Some)
}

/// Sets the torn end aside and seals what is in front of it.
fn finish(
    io: &dyn Io,
    layout: &Layout,
    segment: &Segment,
    survey: &Survey,
    footer: Footer,
    damages: Vec<Damage>,
) -> Result<Rebuilt, LogError> {
    let seal = || {
        let torn = set_aside(io, layout, segment, survey.end..survey.size)?;
        let file = io.open(&segment.path).map_err(LogError::io("open", &segment.path))?;
        // After a failed sync they may stand in the system's cache and nowhere else.
        for range in &survey.unvouched {
            write_again(&*file, segment, range)?;
        }
        seal_file(&*file, &segment.path, &footer, survey.end)?;
        Ok(torn)
    };
    match seal() {
        Ok(torn) => Ok(Rebuilt { footer, bytes: segment.size()?, damages, torn }),
        // A server must start on a full disk. The next start does this again.
        Err(error @ LogError::Full { .. }) => {
            tracing::warn!(file = %segment.path.display(), %error, "segment left without a footer");
            Ok(Rebuilt { footer, bytes: survey.end, damages, torn: false })
        }
        Err(error) => Err(error),
    }
}

fn survey(segment: &Segment, vouched: Lsn) -> Result<Survey, LogError> {
    let size = segment.size()?;
    let header = segment.header()?.ok();
    let mut walk = Walk::new(segment, header.map(|header| header.uuid), size);
    let mut found =
        Survey { header, batches: Vec::new(), gaps: Vec::new(), unvouched: Vec::new(), end: size, size };
    while let Some(step) = walk.step()? {
        match step {
            Step::Batch(head) => found.batches.push(head),
            Step::Gap { range, vouched: true } => found.gaps.push(range),
            Step::Gap { range, vouched: false } | Step::Tail(range) => {
                found.end = range.start;
                break;
            }
        }
    }
    // Only sealing leaves a size between blocks, and only synced segments are sealed.
    let was_sealed = !size.is_multiple_of(BLOCK);
    let durable = found.batches.iter().map(|batch| batch.durable).max().unwrap_or_default().max(vouched);
    let doubtful = |batch: &&BatchHead| !was_sealed && batch.next() > Lsn(durable.0 + 1);
    for batch in found.batches.iter().filter(doubtful) {
        if !whole(segment, batch)? {
            found.end = batch.offset;
            break;
        }
        found.unvouched.push(batch.offset..batch.offset + batch.padded_bytes());
    }
    found.unvouched.extend(header.map(|_| 0..BLOCK));
    let end = found.end;
    found.batches.retain(|batch| batch.offset < end);
    found.gaps.retain(|gap| gap.start < end);
    Ok(found)
}

impl Survey {
    /// A header for a segment whose own is damaged, from its first batch.
    fn stand_in(&self, segment: &Segment) -> Option<SegmentHeader> {
        let batch = self.batches.first()?;
        let row = segment.rows(batch).find_map(Result::ok);
        Some(SegmentHeader {
            lane: batch.lane,
            uuid: batch.segment,
            number: segment.number,
            first: batch.first,
            durable: batch.durable,
            created: row.map_or(Timestamp::default(), |row| row.header.server_time),
        })
    }

    /// The place after the segment. Where an end was lost it jumps over every place that may have
    /// been there, so that no place is ever given twice, whatever the disk has done.
    fn next(&self, header: SegmentHeader) -> Lsn {
        let last = self.batches.last().map_or(header.first, BatchHead::next);
        Lsn(last.0 + (self.size - self.end) / MIN_FRAME_BYTES)
    }
}

/// Whether every frame of the batch has its checksum.
fn whole(segment: &Segment, batch: &BatchHead) -> Result<bool, LogError> {
    let mut frame = Vec::new();
    for (_, offset, slot) in batch.places() {
        frame.resize(slot.len as usize, 0);
        segment.read(&mut frame, offset)?;
        if check_frame(&frame, slot).is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Writes what is read in `range`, so that the next sync keeps it.
fn write_again(file: &dyn File, segment: &Segment, range: &Range<u64>) -> Result<(), LogError> {
    let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap_or(usize::MAX)];
    segment.read(&mut bytes, range.start)?;
    file.write_at(&[IoSlice::new(&bytes)], range.start).map_err(LogError::io("write", &segment.path))
}

/// Copies `range` of the segment, without the zeros at its end, to a file of its own. Returns whether
/// there was anything.
fn set_aside(io: &dyn Io, layout: &Layout, segment: &Segment, range: Range<u64>) -> Result<bool, LogError> {
    let torn = layout.torn(segment.lane, segment.number, range.start);
    let len = used(segment, &range)?;
    let done = io.open_read(&torn).is_ok();
    if len > 0 && !done {
        tracing::warn!(file = %torn.display(), bytes = len, "unfinished end of a segment set aside");
        copy(io, &*segment.file, range.start..range.start + len, &torn)?;
    }
    Ok(len > 0)
}

const CHUNK: usize = 1024 * 1024;

/// Bytes of `range` up to the last one that is not zero.
fn used(segment: &Segment, range: &Range<u64>) -> Result<u64, LogError> {
    let mut used = 0;
    let mut chunk = vec![0; CHUNK];
    let mut at = range.start;
    while at < range.end {
        let read = segment.file.read_at(&mut chunk, at).map_err(segment.reading())?;
        if read == 0 {
            break;
        }
        if let Some(last) = chunk[..read].iter().rposition(|&byte| byte != 0) {
            used = at + last as u64 + 1 - range.start;
        }
        at += read as u64;
    }
    Ok(used)
}
