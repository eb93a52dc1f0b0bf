//! Giving back the space of single frames in segments that must stay.
//!
//! First the note beside the segment says durably which frames are freed, then their bytes go. A crash
//! in between leaves frames that are noted and still whole: nobody reads them either way, and giving
//! them back again does no harm.

use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError, RwLock, RwLockWriteGuard};

use crate::format::{BLOCK, FRAME_HEADER_BYTES, FormatError, FreedNote};
use crate::io::{Io, read_small, replace};
use crate::layout::Layout;
use crate::segment::{Segment, unlink};
use crate::{Damage, FrameHeader, LaneId, Location, LogError};

/// The freed frames of one segment: length by offset.
type Frames = BTreeMap<u64, u32>;

/// Which frames of which segments are freed: what the notes on disk say.
#[derive(Default)]
pub(crate) struct Freed {
    notes: RwLock<HashMap<(LaneId, u64), Frames>>,
    /// One note is written at a time.
    writing: Mutex<()>,
}

impl Freed {
    /// Takes the notes of a lane, as it is found. A note without its segment is removed: a crash came
    /// between the two.
    pub(crate) fn load(&self, io: &dyn Io, layout: &Layout, lane: LaneId) -> Result<Vec<Damage>, LogError> {
        let mut damages = Vec::new();
        let segments = layout.segments(io, lane)?;
        for number in layout.freed_notes(io, lane)? {
            if segments.binary_search(&number).is_err() {
                unlink(io, &layout.freed(lane, number))?;
                continue;
            }
            match read(io, layout, lane, number)? {
                Ok(frames) => drop(self.notes_mut().insert((lane, number), frames)),
                Err(damage) => {
                    damage.log();
                    damages.push(damage);
                }
            }
        }
        Ok(damages)
    }

    /// Whether the frame is freed.
    pub(crate) fn holds(&self, at: &Location) -> bool {
        let notes = self.notes.read().unwrap_or_else(PoisonError::into_inner);
        notes.get(&(at.lane, at.segment)).is_some_and(|frames| frames.contains_key(&at.offset))
    }

    /// Notes `frames` of a segment durably, besides those that are noted already.
    fn note(
        &self,
        io: &dyn Io,
        layout: &Layout,
        (lane, segment): (LaneId, u64),
        frames: &[Location],
    ) -> Result<(), LogError> {
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let noted = self.notes.read().unwrap_or_else(PoisonError::into_inner).get(&(lane, segment)).cloned();
        let mut note = FreedNote { lane, segment, frames: noted.unwrap_or_default() };
        note.frames.extend(frames.iter().map(|at| (at.offset, at.len)));
        replace(io, &layout.freed(lane, segment), &note.to_bytes())?;
        self.notes_mut().insert((lane, segment), note.frames);
        Ok(())
    }

    /// Forgets a segment that was removed, and its note.
    pub(crate) fn forget(
        &self,
        io: &dyn Io,
        layout: &Layout,
        lane: LaneId,
        segment: u64,
    ) -> Result<(), LogError> {
        match self.notes_mut().remove(&(lane, segment)) {
            Some(_) => unlink(io, &layout.freed(lane, segment)),
            None => Ok(()),
        }
    }

    fn notes_mut(&self) -> RwLockWriteGuard<'_, HashMap<(LaneId, u64), Frames>> {
        self.notes.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the note of a segment says; nothing where there is none.
pub(crate) fn read(
    io: &dyn Io,
    layout: &Layout,
    lane: LaneId,
    number: u64,
) -> Result<Result<Frames, Damage>, LogError> {
    let path = layout.freed(lane, number);
    let Some(bytes) = read_small(io, &path)? else { return Ok(Ok(Frames::new())) };
    let mine = |note: FreedNote| {
        let same = (note.lane, note.segment) == (lane, number);
        same.then_some(note.frames).ok_or(FormatError("the note belongs to another segment"))
    };
    let damaged = |FormatError(what)| Damage::plain(&path, 0..bytes.len() as u64, what);
    Ok(FreedNote::parse(&bytes).and_then(mine).map_err(damaged))
}

/// The frames of a segment that are not freed, in order. Empty where its footer cannot be read: such
/// a segment is walked when the log is opened next, and needs all of its bytes for that.
pub(crate) fn frames(segment: &Segment, freed: &Freed) -> Result<Vec<(FrameHeader, Location)>, LogError> {
    let Some((footer, _)) = segment.footer()? else { return Ok(Vec::new()) };
    let all = footer.rows.iter().map(|row| (row.header, segment.location(row)));
    Ok(all.filter(|(_, at)| !freed.holds(at)).collect())
}

/// Frees `frames` of a complete segment: notes them, then punches the blocks that lie wholly inside
/// their payloads. Gives the bytes of those blocks; `None` where the file system has no holes.
pub(crate) fn punch(
    io: &dyn Io,
    layout: &Layout,
    freed: &Freed,
    segment: &Segment,
    frames: &[Location],
) -> Result<Option<u64>, LogError> {
    freed.note(io, layout, (segment.lane, segment.number), frames)?;
    let file = io.open(&segment.path).map_err(LogError::io("open", &segment.path))?;
    let mut bytes = 0;
    for hole in frames.iter().filter_map(hole) {
        match file.punch(hole.start, hole.end - hole.start) {
            Ok(()) => bytes += hole.end - hole.start,
            Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(None),
            Err(error) => return Err(LogError::io("free space in", &segment.path)(error)),
        }
    }
    file.sync().map_err(LogError::io("sync", &segment.path))?;
    Ok(Some(bytes))
}

/// The whole blocks inside a frame, behind its header.
fn hole(at: &Location) -> Option<Range<u64>> {
    let start = (at.offset + FRAME_HEADER_BYTES as u64).next_multiple_of(BLOCK);
    let end = (at.offset + u64::from(at.len)) / BLOCK * BLOCK;
    (start < end).then_some(start..end)
}

/// How much space a disk has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    /// Bytes of the file system.
    pub total: u64,
    /// Bytes of it that this process may still take.
    pub available: u64,
}

/// The space of the disk under a folder.
pub(crate) fn space(io: &dyn Io, dir: &Path) -> Result<DiskSpace, LogError> {
    io.space(dir).map_err(LogError::io("look at the space under", dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: u64, len: u32) -> Location {
        Location { lane: LaneId::Control, segment: 1, offset, len }
    }

    #[test]
    fn a_hole_leaves_the_header_and_the_neighbours() {
        assert_eq!(hole(&at(4096, 4096)), None, "the header lies in the only block");
        assert_eq!(hole(&at(4016, 8192)), Some(4096..8192));
        assert_eq!(hole(&at(4017, 8192)), None, "no block is wholly its own");
        assert_eq!(hole(&at(4096, 96)), None);
        assert_eq!(hole(&at(10_000, 100_000)), Some(12_288..106_496));
    }
}
