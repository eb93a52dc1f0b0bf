//! The few file operations that the log needs, so that a simulated disk can stand in for a real one.

mod disk;

use std::io::{IoSlice, Result};
use std::path::Path;

pub use disk::DiskIo;

/// A disk: names and files.
///
/// Changes of names (create, rename, unlink) are durable only after [`Io::sync_dir`], contents only
/// after [`File::sync`].
pub trait Io: Send + Sync {
    /// Makes a folder and its parents, readable by the owner only.
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
    /// Cuts the file off at `len` bytes.
    fn truncate(&self, len: u64) -> Result<()>;
    /// Makes the contents durable.
    fn sync(&self) -> Result<()>;
}
