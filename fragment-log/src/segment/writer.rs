//! Writing one segment, front to back.

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::staging::Staging;
use crate::LogError;
use crate::format::{BLOCK, BatchHead, Footer, FooterRow, FrameSlot, Lsn, SegmentHeader};
use crate::io::{File, Io};
use crate::reserve::Reserve;

/// What is reserved first. From then on as much again as there is, so that neither a short segment nor a
/// small disk pays for a whole segment at once, and a busy lane seldom waits for the file system.
const FIRST_ALLOCATED: u64 = 16 * 1024 * 1024;

/// The segment that a lane writes.
pub(crate) struct SegmentWriter {
    pub(crate) header: SegmentHeader,
    /// Where the next batch goes.
    pub(crate) end: u64,
    /// Frames that are on disk.
    pub(crate) rows: Vec<FooterRow>,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn File>,
    allocated: u64,
    /// More is reserved only as it is written: the last batch and the footer.
    segment_bytes: u64,
    staging: Staging,
}

impl SegmentWriter {
    /// Begins a segment in the empty `file`: header and name are on disk afterwards.
    pub(crate) fn begin(
        io: &dyn Io,
        path: &Path,
        file: Box<dyn File>,
        header: SegmentHeader,
        segment_bytes: u64,
    ) -> Result<Self, LogError> {
        let mut writer = Self {
            header,
            end: BLOCK,
            rows: Vec::new(),
            path: path.to_owned(),
            file: file.into(),
            allocated: 0,
            segment_bytes: segment_bytes.next_multiple_of(BLOCK),
            staging: Staging::default(),
        };
        writer.allocate(BLOCK)?;
        writer.begin_file().map_err(LogError::io("write", path))?;
        writer.sync()?;
        let dir = path.parent().unwrap_or(Path::new("."));
        io.sync_dir(dir).map_err(LogError::io("sync", dir))?;
        Ok(writer)
    }

    fn begin_file(&mut self) -> std::io::Result<()> {
        let mut passage = self.staging.begin(&*self.file, 0, BLOCK as usize);
        passage.push(&self.header.to_bytes())?;
        passage.finish()
    }

    /// The head of the batch that would be written next.
    pub(crate) fn head(&self, first: Lsn, durable: Lsn, frames: Vec<FrameSlot>) -> BatchHead {
        let SegmentHeader { lane, uuid, .. } = self.header;
        BatchHead { lane, segment: uuid, offset: self.end, first, durable, frames }
    }

    /// Writes a batch at the end. After an error the end is where it was, and what was half written
    /// is overwritten by the next batch.
    pub(crate) fn write<'a>(
        &mut self,
        head: &BatchHead,
        mut frames: impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), LogError> {
        self.allocate(self.end + head.padded_bytes())?;
        let total = usize::try_from(head.bytes()).expect("a batch is in memory");
        let mut passage = self.staging.begin(&*self.file, self.end, total);
        let write = || {
            passage.push(&head.to_bytes())?;
            frames.try_for_each(|frame| passage.push(frame))?;
            passage.finish()
        };
        write().map_err(LogError::io("write", &self.path))?;
        self.end += head.padded_bytes();
        Ok(())
    }

    /// Makes everything written durable.
    pub(crate) fn sync(&self) -> Result<(), LogError> {
        self.file.sync().map_err(LogError::io("sync", &self.path))
    }

    /// Completes the segment with its footer and gives unused space back. `next` is the place after
    /// its last frame.
    pub(crate) fn seal(self, next: Lsn, reserve: &Reserve) -> Result<(), LogError> {
        let footer = Footer { segment: self.header, next, rows: self.rows };
        reserve.rescue(|| seal_file(&*self.file, &self.path, &footer, self.end))
    }

    fn allocate(&mut self, end: u64) -> Result<(), LogError> {
        if end <= self.allocated {
            return Ok(());
        }
        let doubled = self.allocated + self.allocated.max(FIRST_ALLOCATED);
        let stepped = doubled.min(self.segment_bytes).max(end);
        let reserve = |until: u64| self.file.allocate(self.allocated, until - self.allocated);
        self.allocated = match reserve(stepped).map_err(LogError::io("write", &self.path)) {
            Ok(()) => stepped,
            Err(LogError::Full { .. }) => {
                reserve(end).map_err(LogError::io("write", &self.path))?;
                end
            }
            Err(error) => return Err(error),
        };
        Ok(())
    }
}

/// Puts the footer at `end`, cuts the file off after it, and makes both durable.
pub(crate) fn seal_file(file: &dyn File, path: &Path, footer: &Footer, end: u64) -> Result<(), LogError> {
    let bytes = footer.to_bytes(end);
    let write = || {
        file.write_at(&[IoSlice::new(&bytes)], end)?;
        file.truncate(end + bytes.len() as u64)?;
        file.sync()
    };
    write().map_err(LogError::io("seal", path))
}
