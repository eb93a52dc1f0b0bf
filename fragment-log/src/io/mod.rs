//! The few file operations that the log needs, so that a simulated disk can stand in for a real one.

mod disk;

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::{DiskSpace, LogError};

pub use disk::DiskIo;

/// A disk: names and files.
///
/// Changes of names (create, rename, unlink) are durable only after [`Io::sync_dir`], contents only
/// after [`File::sync`].
pub trait Io: Send + Sync {
    /// Makes a folder and its parents, readable by the owner only. Those that it makes are durable.
    fn create_dir_all(&self, path: &Path) -> Result<()>;
    /// Names in a folder, in no order; empty where there is no such folder.
    fn list(&self, dir: &Path) -> Result<Vec<String>>;
    /// Makes an empty file for reading and writing, in place of any older one, readable by the owner only.
    fn create(&self, path: &Path) -> Result<Box<dyn File>>;
    /// Opens a file for reading and writing.
    fn open(&self, path: &Path) -> Result<Box<dyn File>>;
    /// Opens a file for reading.
    fn open_read(&self, path: &Path) -> Result<Box<dyn File>>;
    /// Gives a file another name in the same folder, in place of any older one.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;
    /// Removes a file's name.
    fn unlink(&self, path: &Path) -> Result<()>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, dir: &Path) -> Result<()>;
    /// How much space there is on the disk under a folder.
    fn space(&self, dir: &Path) -> Result<DiskSpace>;
    /// Takes the exclusive lock on a file, which holds until the result is dropped.
    /// [`std::io::ErrorKind::WouldBlock`] when another process has it.
    fn lock(&self, path: &Path) -> Result<Box<dyn Send + Sync>>;
}

/// An open file, addressed by offset, for many threads at once.
pub trait File: Send + Sync {
    /// Its length in bytes.
    fn size(&self) -> Result<u64>;
    /// Reads up to `into.len()` bytes at `offset`; fewer only at the end of the file.
    fn read_at(&self, into: &mut [u8], offset: u64) -> Result<usize>;
    /// Writes all of `parts`, one after the other, at `offset`.
    fn write_at(&self, parts: &[IoSlice<'_>], offset: u64) -> Result<()>;
    /// Reserves space for `len` bytes at `offset`, which read as zeros, and lengthens the file over them.
    fn allocate(&self, offset: u64, len: u64) -> Result<()>;
    /// Gives the space of `len` bytes at `offset` back: they read as zeros, the file keeps its length.
    /// [`ErrorKind::Unsupported`] where the file system cannot.
    fn punch(&self, offset: u64, len: u64) -> Result<()>;
    /// Cuts the file off at `len` bytes.
    fn truncate(&self, len: u64) -> Result<()>;
    /// Makes the contents durable.
    fn sync(&self) -> Result<()>;
}

/// The largest file that is read whole: a key table of six million keys.
const MAX_SMALL: u64 = 256 * 1024 * 1024;

/// Reads a whole small file; `None` where there is none.
pub(crate) fn read_small(io: &dyn Io, path: &Path) -> std::result::Result<Option<Vec<u8>>, LogError> {
    let read = || {
        let file = io.open_read(path)?;
        let size = file.size()?;
        if size > MAX_SMALL {
            return Err(Error::other(format!("it has {size} bytes: it is something else")));
        }
        let mut bytes = vec![0; usize::try_from(size).expect("it is at most 256 MiB")];
        let len = file.read_at(&mut bytes, 0)?;
        bytes.truncate(len);
        Ok(bytes)
    };
    match read() {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if Error::kind(&error) == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(LogError::io("read", path)(error)),
    }
}

/// Gives `path` the contents `bytes`, durably: after a crash it has the old contents or the new.
pub(crate) fn replace(io: &dyn Io, path: &Path, bytes: &[u8]) -> std::result::Result<(), LogError> {
    stage(io, path, bytes)?;
    publish(io, path)
}

/// The first half of [`replace`]: the new contents are durable beside `path`, which stays as it is.
pub(crate) fn stage(io: &dyn Io, path: &Path, bytes: &[u8]) -> std::result::Result<(), LogError> {
    let write = || {
        let file = io.create(&staged(path))?;
        file.write_at(&[IoSlice::new(bytes)], 0)?;
        file.sync()
    };
    write().map_err(LogError::io("write", path))
}

/// The second half of [`replace`]. Where it fails, `path` may have the old contents or the new.
pub(crate) fn publish(io: &dyn Io, path: &Path) -> std::result::Result<(), LogError> {
    let rename = || {
        io.rename(&staged(path), path)?;
        io.sync_dir(path.parent().unwrap_or(Path::new(".")))
    };
    rename().map_err(LogError::io("replace", path))
}

/// Takes back what [`stage`] has written.
pub(crate) fn unstage(io: &dyn Io, path: &Path) {
    let staged = staged(path);
    if let Err(error) = io.unlink(&staged) {
        tracing::warn!(file = %staged.display(), %error, "not removed");
    }
}

fn staged(path: &Path) -> PathBuf {
    path.with_added_extension("tmp")
}

/// Copies a range of `from` to the new file `to`, durably: after a crash it is whole or not there.
pub(crate) fn copy(
    io: &dyn Io,
    from: &dyn File,
    range: Range<u64>,
    to: &Path,
) -> std::result::Result<(), LogError> {
    const CHUNK: usize = 1024 * 1024;
    let partial = staged(to);
    let dir = to.parent().unwrap_or(Path::new("."));
    let write = || {
        let out = io.create(&partial)?;
        let mut chunk = vec![0; CHUNK];
        for at in range.clone().step_by(CHUNK) {
            let len = usize::try_from(range.end - at).map_or(CHUNK, |left| left.min(CHUNK));
            let read = from.read_at(&mut chunk[..len], at)?;
            out.write_at(&[IoSlice::new(&chunk[..read])], at - range.start)?;
        }
        out.sync()?;
        io.rename(&partial, to)?;
        io.sync_dir(dir)
    };
    write().map_err(LogError::io("write", to))
}
