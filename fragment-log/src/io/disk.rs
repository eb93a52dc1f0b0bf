//! The machine's own file system.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::fs::{FallocateFlags, FlockOperation, OFlags};
use rustix::io::Errno;

use super::{File, Io};
use crate::DiskSpace;
use crate::format::BLOCK;

/// The machine's own file system. What is written in whole blocks from memory that begins on a block
/// goes past the page cache where the file system allows it; all else, and all reading, through it.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskIo;

/// The most buffers that one `pwritev` takes (`IOV_MAX`).
const MAX_PARTS: usize = 1024;

/// A program that its last holder was starting, such as a KMS's, has the lock too, until it runs.
const LOCK_TRIES: u32 = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

impl Io for DiskIo {
    fn create_dir_all(&self, path: &Path) -> Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        parent.map_or(Ok(()), |parent| self.create_dir_all(parent))?;
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            Ok(()) | Err(_) => self.sync_dir(parent.unwrap_or(Path::new("."))),
        }
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>> {
        match fs::read_dir(dir) {
            Ok(entries) => {
                entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn create(&self, path: &Path) -> Result<Box<dyn File>> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)?;
        let direct = OpenOptions::new().write(true).custom_flags(direct_flag()).open(path).ok();
        Ok(Box::new(DiskFile { file, direct, refused: AtomicBool::new(false) }))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn File>> {
        Ok(Box::new(DiskFile::cached(OpenOptions::new().read(true).write(true).open(path)?)))
    }

    fn open_read(&self, path: &Path) -> Result<Box<dyn File>> {
        Ok(Box::new(DiskFile::cached(fs::File::open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        fs::rename(from, to)
    }

    fn unlink(&self, path: &Path) -> Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        fs::File::open(dir)?.sync_all()
    }

    fn space(&self, dir: &Path) -> Result<DiskSpace> {
        let found = rustix::fs::statvfs(dir)?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Ok(DiskSpace { total: bytes(found.f_blocks), available: bytes(found.f_bavail) })
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Send + Sync>> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let mut tries = 1..LOCK_TRIES;
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) if tries.next().is_some() => std::thread::sleep(LOCK_PAUSE),
                locked => return Ok(locked.map(|()| Box::new(file))?),
            }
        }
    }
}

/// An open file of the machine.
struct DiskFile {
    file: fs::File,
    /// The same file, written past the page cache.
    direct: Option<fs::File>,
    /// Whether the file system took the flag at opening and then no write.
    refused: AtomicBool,
}

fn direct_flag() -> i32 {
    OFlags::DIRECT.bits().cast_signed()
}

impl DiskFile {
    fn cached(file: fs::File) -> Self {
        Self { file, direct: None, refused: AtomicBool::new(false) }
    }

    /// The way past the page cache, for parts that may take it.
    fn direct(&self, parts: &[IoSlice<'_>], offset: u64) -> Option<&fs::File> {
        let whole = |part: &IoSlice<'_>| {
            part.len().is_multiple_of(BLOCK as usize) && part.as_ptr().addr().is_multiple_of(BLOCK as usize)
        };
        let fits = offset.is_multiple_of(BLOCK) && parts.iter().all(whole);
        self.direct.as_ref().filter(|_| fits && !self.refused.load(Ordering::Relaxed))
    }
}

impl File for DiskFile {
    fn size(&self) -> Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> Result<usize> {
        let mut read = 0;
        while read < into.len() {
            match self.file.read_at(&mut into[read..], offset + read as u64) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    fn write_at(&self, parts: &[IoSlice<'_>], offset: u64) -> Result<()> {
        let mut parts = parts.to_vec();
        let mut left = parts.as_mut_slice();
        let mut offset = offset;
        // Also drops leading empty buffers, for which the system would answer 0.
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            let some = &left[..left.len().min(MAX_PARTS)];
            let direct = self.direct(some, offset);
            match rustix::io::pwritev(direct.unwrap_or(&self.file), some, offset) {
                Ok(0) => return Err(Error::from(ErrorKind::WriteZero)),
                Ok(written) => {
                    offset += written as u64;
                    IoSlice::advance_slices(&mut left, written);
                }
                Err(Errno::INTR) => {}
                Err(Errno::INVAL) if direct.is_some() => self.refused.store(true, Ordering::Relaxed),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// A file system that cannot reserve space (`EOPNOTSUPP`) gives it when it is written.
    fn allocate(&self, offset: u64, len: u64) -> Result<()> {
        match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), offset, len) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn punch(&self, offset: u64, len: u64) -> Result<()> {
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(&self.file, hole, offset, len) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Err(ErrorKind::Unsupported.into()),
            Err(error) => Err(error.into()),
        }
    }

    fn truncate(&self, len: u64) -> Result<()> {
        self.file.set_len(len)
    }

    fn sync(&self) -> Result<()> {
        self.file.sync_data()
    }
}
