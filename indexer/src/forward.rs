//! Where the file system has no holes: what is needed of a segment that holds little else is copied to the
//! end of its lane, so that the segment can go as a whole.
//!
//! First the copy is durable, then the rows that name it, then the segment goes. A crash in between leaves
//! two copies that say the same: either row is right, and the segment is taken up again.

use std::collections::{BTreeSet, HashSet};

use base::{FragmentNumber, StreamId};
use fragment_log::{FrameHeader, Location, LogError, SegmentInfo};

use crate::owner::Owner;
use crate::view::{self, Used};
use crate::{FragmentEntry, IndexError};

/// What one sweep copies at most, so that copying never takes much of the disk's time.
const BYTES: u64 = 32 * 1024 * 1024;

/// What may still be copied, and what was.
#[derive(Default)]
pub(crate) struct Forward {
    left: u64,
    /// Their rows may come once more by way of the log, however old they are.
    streams: HashSet<StreamId>,
}

impl Owner {
    /// A new sweep begins.
    pub(crate) fn begin_copying(&mut self) {
        self.forward.left = BYTES;
        for stream in self.forward.streams.drain() {
            self.oldest.remove(&stream);
        }
    }

    /// Copies what is needed of a segment, where that is less than half of it and `worth` bytes come back by
    /// it. Gives how many bytes it copied; afterwards the segment may hold nothing that is needed.
    pub(crate) fn copy_forward(
        &mut self,
        info: &SegmentInfo,
        used: &Used,
        worth: i64,
    ) -> Result<u64, IndexError> {
        let bytes = i64::try_from(info.bytes).unwrap_or(i64::MAX);
        if used.live > bytes / 2 || bytes - used.live < worth || self.forward.left == 0 {
            return Ok(0);
        }
        let frames = self.log.frames(info.lane, info.segment)?;
        let Some(fragments) = self.fragments_in(info, &frames)? else { return Ok(0) };
        let (mut moved, mut result) = (Vec::new(), Ok(()));
        for old in fragments {
            // One that is larger than all of it goes first, alone.
            if old.stored_bytes() > self.forward.left && self.forward.left < BYTES {
                self.forward.left = 0;
                break;
            }
            match self.copy(&old) {
                Ok(Some(new)) => {
                    self.forward.left = self.forward.left.saturating_sub(new.stored_bytes());
                    moved.push((old, new));
                }
                Ok(None) => break,
                Err(error @ (LogError::Corrupt { .. } | LogError::TooLarge { .. })) => {
                    let (stream, fragment) = (old.stream, old.meta.number);
                    tracing::warn!(%stream, %fragment, %error, "not copied: its log segment stays");
                }
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        self.writer.moved(&moved)?;
        match result {
            // There is no room to copy to until something else has gone.
            Ok(()) | Err(LogError::Full { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        self.forward.streams.extend(moved.iter().map(|(old, _)| old.stream));
        let fragments: u64 = moved.iter().map(|(_, new)| new.stored_bytes()).sum();
        Ok(fragments + self.copy_events(&frames)?)
    }

    /// Copies the events among these frames, as many as may be copied at once.
    fn copy_events(&mut self, frames: &[(FrameHeader, Location)]) -> Result<u64, IndexError> {
        let mut events = self.writer.event_frames(frames)?;
        let mut bytes = 0;
        events.retain(|(_, at)| {
            bytes += u64::from(at.len);
            bytes <= self.forward.left
        });
        let places: Vec<_> = events.iter().map(|(_, at)| *at).collect();
        let appended = match self.log.copy_forward(&places) {
            Ok(Some(appended)) => appended,
            Ok(None) | Err(LogError::Full { .. }) => return Ok(0),
            Err(error @ LogError::Corrupt { .. }) => {
                tracing::warn!(%error, "events not copied: their log segment stays");
                return Ok(0);
            }
            Err(error) => return Err(error.into()),
        };
        let moved: Vec<_> = events.into_iter().zip(appended.locations).collect();
        self.writer.moved_events(&moved)?;
        self.forward.left = self.forward.left.saturating_sub(appended.bytes);
        Ok(appended.bytes)
    }

    fn copy(&self, old: &FragmentEntry) -> Result<Option<FragmentEntry>, LogError> {
        let places: Vec<_> = old.places().copied().collect();
        let Some(mut appended) = self.log.copy_forward(&places)? else { return Ok(None) };
        let commit = appended.locations.pop();
        Ok(commit.map(|commit| FragmentEntry { pieces: appended.locations, commit, ..old.clone() }))
    }

    /// The fragments that lie in a segment, also in part. `None` where it holds what is kept and is no fragment.
    fn fragments_in(
        &self,
        info: &SegmentInfo,
        frames: &[(FrameHeader, Location)],
    ) -> Result<Option<Vec<FragmentEntry>>, IndexError> {
        let numbers: BTreeSet<_> =
            frames.iter().map(|(header, _)| (header.stream, header.first_sequence)).collect();
        let mut fragments = Vec::new();
        for (stream, number) in numbers {
            let number = FragmentNumber::from_u64(number);
            if self.writer.is_unindexed(stream, number)? {
                return Ok(None);
            }
            let (connection, tracks) = (self.writer.connection(), self.writer.tracks());
            let found = view::fragment(connection, tracks, stream, number)?;
            let here = |entry: &FragmentEntry| {
                entry.places().any(|at| (at.lane, at.segment) == (info.lane, info.segment))
            };
            fragments.extend(found.filter(here));
        }
        Ok(Some(fragments))
    }
}
