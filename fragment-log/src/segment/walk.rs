//! Walking a segment's batches, over damage.

use std::ops::Range;

use super::Segment;
use crate::LogError;
use crate::format::{BLOCK, BatchHead, Lsn, SegmentUuid};

/// What comes next in a segment.
#[derive(Debug)]
pub(crate) enum Step {
    /// A batch with a good head. Its frames are not looked at.
    Batch(BatchHead),
    /// Bytes that are no batch, in front of a good one.
    Gap {
        range: Range<u64>,
        /// Whether a later batch says that what was here had been on disk.
        vouched: bool,
    },
    /// Bytes after the last batch: reserved, torn, or a footer.
    Tail(Range<u64>),
}

/// Goes from batch to batch by their heads.
pub(crate) struct Walk<'a> {
    segment: &'a Segment,
    /// `None` until the first batch tells it, where the segment's own header is damaged.
    uuid: Option<SegmentUuid>,
    at: u64,
    end: u64,
    next: Lsn,
}

/// How much is read at a time in search of the next batch.
const SEARCH_BYTES: usize = 1024 * 1024;

impl<'a> Walk<'a> {
    /// Over the bytes of `segment` before `end`.
    pub(crate) fn new(segment: &'a Segment, uuid: Option<SegmentUuid>, end: u64) -> Self {
        Self { segment, uuid, at: BLOCK, end, next: Lsn(0) }
    }

    /// The next step; `None` after the tail.
    pub(crate) fn step(&mut self) -> Result<Option<Step>, LogError> {
        if self.at >= self.end {
            return Ok(None);
        }
        if let Some(head) = self.head_at(self.at)? {
            self.at += head.padded_bytes();
            self.next = head.next();
            self.uuid = Some(head.segment);
            return Ok(Some(Step::Batch(head)));
        }
        let from = self.at;
        match self.search()? {
            Some(head) => {
                self.at = head.offset;
                // Nothing was lost where the numbers go on, else the batch tells.
                let vouched = head.first == self.next || head.durable >= self.next;
                Ok(Some(Step::Gap { range: from..head.offset, vouched }))
            }
            None => {
                self.at = self.end;
                Ok(Some(Step::Tail(from..self.end)))
            }
        }
    }

    /// The good head at `offset` that belongs there and fits before the end.
    fn head_at(&self, offset: u64) -> Result<Option<BatchHead>, LogError> {
        let mut bytes = vec![0; BLOCK as usize];
        let read = self.segment.file.read_at(&mut bytes, offset).map_err(self.segment.reading())?;
        bytes.truncate(read);
        let Some(needed) = BatchHead::needed(&bytes) else { return Ok(None) };
        if needed as u64 > self.end - offset {
            return Ok(None);
        }
        if needed > bytes.len() {
            bytes.resize(needed, 0);
            self.segment.read(&mut bytes, offset)?;
        }
        Ok(BatchHead::parse(&bytes).ok().filter(|head| self.belongs(head, offset)))
    }

    fn belongs(&self, head: &BatchHead, offset: u64) -> bool {
        head.lane == self.segment.lane
            && head.offset == offset
            && self.uuid.is_none_or(|uuid| uuid == head.segment)
            && head.first >= self.next
            && head.padded_bytes() <= self.end - offset
    }

    /// The first good head after the current place.
    fn search(&self) -> Result<Option<BatchHead>, LogError> {
        let mut offset = self.at + BLOCK;
        let left = usize::try_from(self.end.saturating_sub(offset)).unwrap_or(SEARCH_BYTES);
        let mut chunk = vec![0; left.min(SEARCH_BYTES)];
        while offset < self.end {
            let read = self.segment.file.read_at(&mut chunk, offset).map_err(self.segment.reading())?;
            if read == 0 {
                break;
            }
            for (block, begin) in chunk[..read].chunks(BLOCK as usize).zip((offset..).step_by(BLOCK as usize))
            {
                if BatchHead::needed(block).is_some()
                    && begin < self.end
                    && let Some(head) = self.head_at(begin)?
                {
                    return Ok(Some(head));
                }
            }
            offset += read as u64;
        }
        Ok(None)
    }
}
