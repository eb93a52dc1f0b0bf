//! Segment files: written front to back by one lane, read by anyone.

mod staging;
mod walk;
mod writer;

pub(crate) use walk::{Step, Walk};
pub(crate) use writer::{SegmentWriter, seal_file};

use std::path::{Path, PathBuf};

use base::Timestamp;

use crate::format::{
    BLOCK, BatchHead, FRAME_HEADER_BYTES, Footer, FooterRow, FormatError, FrameHeader, Lsn, SegmentHeader,
    TRAILER_BYTES, footer_range,
};
use crate::io::{File, Io};
use crate::layout::Layout;
use crate::{LaneId, Location, LogError};

/// One segment file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its lane.
    pub lane: LaneId,
    /// Its number within the lane, increasing.
    pub segment: u64,
    /// The first place in the lane's order that it may hold.
    pub first: Lsn,
    /// The last place it holds; less than `first` where it holds none.
    pub last: Lsn,
    /// Bytes in use.
    pub bytes: u64,
    /// When it was begun.
    pub created: Timestamp,
    /// Whether it is complete, so that it may be removed.
    pub sealed: bool,
}

/// A segment file that is open for reading.
pub(crate) struct Segment {
    pub(crate) lane: LaneId,
    pub(crate) number: u64,
    pub(crate) path: PathBuf,
    pub(crate) file: Box<dyn File>,
}

impl Segment {
    /// [`LogError::Gone`] where there is no such file.
    pub(crate) fn open(io: &dyn Io, layout: &Layout, lane: LaneId, number: u64) -> Result<Self, LogError> {
        let path = layout.segment(lane, number);
        match io.open_read(&path) {
            Ok(file) => Ok(Self { lane, number, path, file }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(LogError::Gone(Location { lane, segment: number, offset: 0, len: 0 }))
            }
            Err(error) => Err(LogError::io("open", &path)(error)),
        }
    }

    pub(crate) fn size(&self) -> Result<u64, LogError> {
        self.file.size().map_err(self.reading())
    }

    /// Fills `into` from `offset` on; the file must be long enough.
    pub(crate) fn read(&self, into: &mut [u8], offset: u64) -> Result<(), LogError> {
        let read = self.file.read_at(into, offset).map_err(self.reading())?;
        if read < into.len() {
            return Err(self.corrupt(offset)(FormatError("the file ends too early")));
        }
        Ok(())
    }

    /// The segment's first block.
    pub(crate) fn header(&self) -> Result<Result<SegmentHeader, FormatError>, LogError> {
        let mut block = vec![0; BLOCK as usize];
        let read = self.file.read_at(&mut block, 0).map_err(self.reading())?;
        Ok(SegmentHeader::parse(&block[..read]).and_then(|header| self.check_mine(header)))
    }

    /// The footer and its offset. `None` in a segment that was not sealed, or where the footer is
    /// damaged.
    pub(crate) fn footer(&self) -> Result<Option<(Footer, u64)>, LogError> {
        let size = self.size()?;
        let Some(at) = size.checked_sub(TRAILER_BYTES as u64) else { return Ok(None) };
        let mut trailer = [0; TRAILER_BYTES];
        self.read(&mut trailer, at)?;
        let Some((offset, len)) = footer_range(&trailer, size) else { return Ok(None) };
        let mut bytes = vec![0; len];
        self.read(&mut bytes, offset)?;
        let footer = Footer::parse(&bytes).and_then(|footer| {
            self.check_mine(footer.segment)?;
            Ok((footer, offset))
        });
        Ok(footer.ok())
    }

    /// The headers of a batch's frames, each read and checked on its own.
    pub(crate) fn rows<'a>(
        &'a self,
        batch: &'a BatchHead,
    ) -> impl Iterator<Item = Result<FooterRow, LogError>> + 'a {
        batch.places().map(|(lsn, offset, slot)| {
            let mut bytes = [0; FRAME_HEADER_BYTES];
            self.read(&mut bytes, offset)?;
            let header = FrameHeader::parse(&bytes).map_err(self.corrupt(offset))?;
            if header.frame_bytes() != u64::from(slot.len) {
                let what = FormatError("the frame's length contradicts its batch");
                return Err(self.corrupt(offset)(what));
            }
            Ok(FooterRow { lsn, offset, header })
        })
    }

    /// Where a row's frame is.
    pub(crate) fn location(&self, row: &FooterRow) -> Location {
        let len = u32::try_from(row.header.frame_bytes()).unwrap_or(u32::MAX);
        Location { lane: self.lane, segment: self.number, offset: row.offset, len }
    }

    pub(crate) fn corrupt(&self, offset: u64) -> impl FnOnce(FormatError) -> LogError {
        LogError::corrupt(&self.path, offset)
    }

    pub(crate) fn reading(&self) -> impl FnOnce(std::io::Error) -> LogError {
        LogError::io("read", &self.path)
    }

    fn check_mine(&self, header: SegmentHeader) -> Result<SegmentHeader, FormatError> {
        if header.lane != self.lane || header.number != self.number {
            return Err(FormatError("the segment belongs under another name"));
        }
        Ok(header)
    }
}

/// Unlinks a file durably.
pub(crate) fn unlink(io: &dyn Io, path: &Path) -> Result<(), LogError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    io.unlink(path).map_err(LogError::io("remove", path))?;
    io.sync_dir(dir).map_err(LogError::io("sync", dir))
}
