//! Moving frames out of segments that hold little else that is needed: where a file system has no holes,
//! only whole segments give their space back.

use crate::entry::MAX_APPEND_BYTES;
use crate::format::{FormatError, FrameHeader, FrameSlot};
use crate::keys::{OpenError, Sealed, is_told};
use crate::read::Reader;
use crate::segment::Segment;
use crate::{Appended, Location, Log, LogError};

impl Log {
    /// Appends frames of one lane to it once more, in this order and in one batch: checked, and then byte for
    /// byte as they were sealed. Followers are told of them like of any others. The old frames stay until
    /// their segment is removed; until then, and after a crash, both are there and say the same.
    ///
    /// It must not hold up those who append: hand over a few megabytes at a time. `None`, and nothing done,
    /// while more waits for the lane's disk than may. Blocks on the disk, so not within a runtime.
    ///
    /// # Errors
    /// As [`Self::read`], and as [`Self::append`]; [`LogError::TooLarge`] for more than one append takes.
    pub fn copy_forward(&self, frames: &[Location]) -> Result<Option<Appended>, LogError> {
        let Some(first) = frames.first() else { return Ok(None) };
        if let Some(stray) = frames.iter().find(|at| at.lane != first.lane) {
            return Err(LogError::Gone(*stray));
        }
        let size = frames.iter().map(|at| at.len as usize).sum();
        if size > MAX_APPEND_BYTES {
            return Err(LogError::TooLarge { size, unit: "bytes", limit: MAX_APPEND_BYTES });
        }
        let Some((lane, permit)) = self.room_now(first.lane, size)? else { return Ok(None) };
        let sealed = frames.iter().map(|at| self.reader().sealed(at)).collect::<Result<_, _>>()?;
        lane.append_blocking(sealed, permit).map(Some)
    }
}

impl Reader {
    /// A frame as it is stored, and found good.
    fn sealed(&self, at: &Location) -> Result<Sealed, LogError> {
        let segment = Segment::open(&*self.io, &self.layout, at.lane, at.segment)?;
        if self.freed.holds(at) {
            return Err(LogError::Gone(*at));
        }
        let mut bytes = vec![0; at.len as usize];
        segment.read(&mut bytes, at.offset)?;
        let header = FrameHeader::parse(&bytes).map_err(segment.corrupt(at.offset))?;
        if header.frame_bytes() != u64::from(at.len) {
            let what = FormatError("the frame has another length than was noted");
            return Err(segment.corrupt(at.offset)(what));
        }
        let mut opened = bytes.clone();
        match self.keys.open_frame(&header, &mut opened) {
            Ok(()) => {}
            Err(OpenError::NoKey) => return Err(LogError::NoKey(header.stream)),
            Err(OpenError::Broken) => {
                return Err(segment.corrupt(at.offset)(FormatError("the seal is broken")));
            }
        }
        opened.truncate(header.payload_bytes as usize);
        let slot = FrameSlot { len: at.len, crc: crc32c::crc32c(&bytes) };
        Ok(Sealed { header, bytes, slot, told: is_told(header.kind).then(|| opened.into()) })
    }
}
