//! The way to a disk that is written past the page cache: it takes whole blocks from memory that
//! begins on a block. Parts of any size are gathered in such memory and written as it fills.

use std::io::{IoSlice, Result};

use crate::format::BLOCK;
use crate::io::File;

const ALIGN: usize = BLOCK as usize;
/// The most that is written at a time: with more, disks get no faster.
const CHUNK: usize = 2 * 1024 * 1024;

/// Memory that begins on a block. One copy, which costs a tenth of writing past the page cache what
/// was sealed elsewhere, and less than a third of what the page cache's own copy costs.
#[derive(Default)]
pub(super) struct Staging {
    bytes: Vec<u8>,
    /// Where in `bytes` the first block begins.
    start: usize,
}

/// Parts on their way to one place of a file.
pub(super) struct Passage<'a> {
    file: &'a dyn File,
    chunk: &'a mut [u8],
    filled: usize,
    /// Where the chunk goes.
    at: u64,
}

impl Staging {
    /// Begins to write at `offset` of `file`; `total` is the bytes of all parts that will come.
    pub(super) fn begin<'a>(&'a mut self, file: &'a dyn File, offset: u64, total: usize) -> Passage<'a> {
        Passage { file, chunk: self.chunk(total), filled: 0, at: offset }
    }

    /// Aligned memory for as much of `total` bytes as is written at a time.
    fn chunk(&mut self, total: usize) -> &mut [u8] {
        let len = total.next_multiple_of(ALIGN).min(CHUNK);
        if self.bytes.len() < self.start + len {
            self.bytes = vec![0; len + ALIGN];
            self.start = self.bytes.as_ptr().align_offset(ALIGN).min(ALIGN);
        }
        &mut self.bytes[self.start..self.start + len]
    }
}

impl Passage<'_> {
    /// Writes the next part, or keeps it until the chunk is full.
    pub(super) fn push(&mut self, mut part: &[u8]) -> Result<()> {
        while !part.is_empty() {
            if self.filled == self.chunk.len() {
                self.file.write_at(&[IoSlice::new(self.chunk)], self.at)?;
                self.at += self.filled as u64;
                self.filled = 0;
            }
            let (now, later) = part.split_at(part.len().min(self.chunk.len() - self.filled));
            self.chunk[self.filled..self.filled + now.len()].copy_from_slice(now);
            self.filled += now.len();
            part = later;
        }
        Ok(())
    }

    /// Writes what is kept, with zeros up to the next block.
    pub(super) fn finish(self) -> Result<()> {
        let end = self.filled.next_multiple_of(ALIGN);
        self.chunk[self.filled..end].fill(0);
        self.file.write_at(&[IoSlice::new(&self.chunk[..end])], self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::{DiskIo, Io};
    use proptest::prelude::*;

    #[test]
    fn memory_begins_on_a_block() {
        let mut staging = Staging::default();
        for total in [1, 5000, CHUNK, 3 * CHUNK] {
            let chunk = staging.chunk(total);
            assert_eq!((chunk.as_ptr() as usize % ALIGN, chunk.len() % ALIGN), (0, 0));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn parts_are_written_in_order_and_padded(sizes in prop::collection::vec(0..900_000_usize, 1..8)) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("file");
            let file = DiskIo.create(&path).unwrap();
            let parts: Vec<Vec<u8>> = sizes.iter().zip(1..).map(|(&size, fill)| vec![fill; size]).collect();
            let mut staging = Staging::default();
            let total = sizes.iter().sum();
            let mut passage = staging.begin(&*file, BLOCK, total);
            parts.iter().for_each(|part| passage.push(part).unwrap());
            passage.finish().unwrap();
            let stored = std::fs::read(&path).unwrap();
            prop_assert_eq!(stored.len(), ALIGN + total.next_multiple_of(ALIGN));
            prop_assert!(stored[ALIGN..ALIGN + total] == parts.concat());
            prop_assert!(stored[ALIGN + total..].iter().all(|&byte| byte == 0));
        }
    }
}
