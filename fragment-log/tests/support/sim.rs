//! A disk in memory that forgets what was not synced.
//!
//! Every file has the contents that a reader sees and the contents that are durable; so has every
//! folder. A crash keeps, per 512-byte sector that differs, the one or the other by the toss of a
//! coin, and of the changes of names that were not synced a prefix. `crash_at` counts down the
//! operations that change something: once it is used up, everything fails.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use fragment_log::DiskSpace;
use fragment_log::io::{File, Io};

const SECTOR: usize = 512;

/// The disk. Clones are the same disk.
#[derive(Clone, Default)]
pub struct SimIo(Arc<Mutex<Disk>>);

#[derive(Default)]
struct Disk {
    files: BTreeMap<PathBuf, Contents>,
    /// Names as they were at the last sync of their folder.
    durable_names: BTreeMap<PathBuf, Contents>,
    /// Changes of names since then, in order.
    pending: Vec<Change>,
    steps: u64,
    crash_at: Option<u64>,
    crashed: bool,
    locked: bool,
    /// Bytes that may still be allocated or written; `None` for as many as you like.
    space: Option<u64>,
    /// Fails the syncs of files from this one on (counted in [`Self::syncs`]).
    fail_sync_at: Option<u64>,
    syncs: u64,
    /// How long a sync takes.
    sync_delay: Duration,
    /// Says that it has synced, and has not.
    lies: bool,
}

type Contents = Arc<Mutex<Data>>;

#[derive(Clone, Default)]
struct Data {
    seen: Vec<u8>,
    durable: Vec<u8>,
}

enum Change {
    Create(PathBuf, Contents),
    Move(PathBuf, PathBuf),
    Unlink(PathBuf),
}

impl Change {
    fn dir(&self) -> Option<&Path> {
        let (Self::Create(path, _) | Self::Move(path, _) | Self::Unlink(path)) = self;
        path.parent()
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, Contents>) {
        match self {
            Self::Create(path, contents) => {
                names.insert(path.clone(), Arc::clone(contents));
            }
            Self::Move(from, to) => {
                if let Some(contents) = names.remove(from) {
                    names.insert(to.clone(), contents);
                }
            }
            Self::Unlink(path) => {
                names.remove(path);
            }
        }
    }
}

impl SimIo {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().expect("the disk does not panic")
    }

    /// Steps so far.
    pub fn steps(&self) -> u64 {
        self.disk().steps
    }

    /// Syncs of files so far.
    pub fn syncs(&self) -> u64 {
        self.disk().syncs
    }

    pub fn crash_at(&self, step: u64) {
        self.disk().crash_at = Some(step);
    }

    pub fn crashed(&self) -> bool {
        self.disk().crashed
    }

    /// Leaves this much space.
    pub fn set_space(&self, space: Option<u64>) {
        self.disk().space = space;
    }

    pub fn set_sync_delay(&self, delay: Duration) {
        self.disk().sync_delay = delay;
    }

    pub fn lie_about_syncs(&self) {
        self.disk().lies = true;
    }

    pub fn fail_next_sync(&self) {
        self.fail_sync_after(0);
    }

    /// Lets this many more syncs succeed.
    pub fn fail_sync_after(&self, more: u64) {
        let mut disk = self.disk();
        disk.fail_sync_at = Some(disk.syncs + more);
    }

    /// The disk as the next start finds it.
    pub fn reboot(&self, seed: u64) -> Self {
        let disk = self.disk();
        let mut coin = Coin(seed | 1);
        let mut names = disk.durable_names.clone();
        let kept = coin.below(disk.pending.len() + 1);
        disk.pending[..kept].iter().for_each(|change| change.apply(&mut names));
        let files: BTreeMap<PathBuf, Contents> = names
            .into_iter()
            .map(|(path, contents)| {
                let survived = survive(&lock(&contents), &mut coin);
                let data = Data { seen: survived.clone(), durable: survived };
                (path, Arc::new(Mutex::new(data)))
            })
            .collect();
        Self(Arc::new(Mutex::new(Disk { durable_names: files.clone(), files, ..Disk::default() })))
    }

    /// Every file and its contents, to compare two states.
    pub fn snapshot(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.disk().files.iter().map(|(path, data)| (path.clone(), lock(data).seen.clone())).collect()
    }
}

fn lock(contents: &Contents) -> MutexGuard<'_, Data> {
    contents.lock().expect("the disk does not panic")
}

fn survive(data: &Data, coin: &mut Coin) -> Vec<u8> {
    let longest = if coin.below(2) == 0 { data.durable.len() } else { data.seen.len() };
    let mut bytes = vec![0; longest];
    for (index, sector) in bytes.chunks_mut(SECTOR).enumerate() {
        let from = if coin.below(2) == 0 { &data.durable } else { &data.seen };
        let at = index * SECTOR;
        let have = from.len().saturating_sub(at).min(sector.len());
        if have > 0 {
            sector[..have].copy_from_slice(&from[at..at + have]);
        }
    }
    bytes
}

/// xorshift64*: the same seed, the same crash.
struct Coin(u64);

impl Coin {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let mixed = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(mixed).expect("31 bits fit") % limit
    }
}

impl Disk {
    /// Counts a step that changes something.
    fn step(&mut self) -> Result<()> {
        if self.crashed {
            return Err(Error::other("the power is off"));
        }
        self.steps += 1;
        if self.crash_at.is_some_and(|at| self.steps > at) {
            self.crashed = true;
            return Err(Error::other("the power is off"));
        }
        Ok(())
    }

    fn take_space(&mut self, bytes: u64) -> Result<()> {
        match &mut self.space {
            None => Ok(()),
            Some(space) if *space >= bytes => {
                *space -= bytes;
                Ok(())
            }
            Some(_) => Err(Error::from(ErrorKind::StorageFull)),
        }
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.files);
        self.pending.push(change);
    }
}

impl Io for SimIo {
    fn create_dir_all(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>> {
        let disk = self.disk();
        let inside = disk.files.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect())
    }

    fn create(&self, path: &Path) -> Result<Box<dyn File>> {
        let mut disk = self.disk();
        disk.step()?;
        let contents = Contents::default();
        disk.change(Change::Create(path.to_owned(), Arc::clone(&contents)));
        Ok(Box::new(SimFile { disk: self.clone(), contents }))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn File>> {
        let disk = self.disk();
        let contents = Arc::clone(disk.files.get(path).ok_or(ErrorKind::NotFound)?);
        Ok(Box::new(SimFile { disk: self.clone(), contents }))
    }

    fn open_read(&self, path: &Path) -> Result<Box<dyn File>> {
        self.open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let mut disk = self.disk();
        disk.step()?;
        disk.change(Change::Move(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn unlink(&self, path: &Path) -> Result<()> {
        let mut disk = self.disk();
        disk.step()?;
        let freed = disk.files.get(path).map_or(0, |contents| lock(contents).seen.len() as u64);
        disk.change(Change::Unlink(path.to_owned()));
        if let Some(space) = &mut disk.space {
            *space += freed;
        }
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        let mut disk = self.disk();
        disk.step()?;
        let (done, pending) =
            std::mem::take(&mut disk.pending).into_iter().partition(|change| change.dir() == Some(dir));
        disk.pending = pending;
        let done: Vec<Change> = done;
        done.iter().for_each(|change| change.apply(&mut disk.durable_names));
        Ok(())
    }

    fn space(&self, _: &Path) -> Result<DiskSpace> {
        Ok(DiskSpace { total: u64::MAX, available: self.disk().space.unwrap_or(u64::MAX) })
    }

    fn lock(&self, _: &Path) -> Result<Box<dyn Send + Sync>> {
        let mut disk = self.disk();
        if disk.locked {
            return Err(ErrorKind::WouldBlock.into());
        }
        disk.locked = true;
        Ok(Box::new(Lock(self.clone())))
    }
}

struct Lock(SimIo);

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.disk().locked = false;
    }
}

struct SimFile {
    disk: SimIo,
    contents: Contents,
}

impl SimFile {
    fn lengthen(data: &mut Data, end: u64) -> u64 {
        let end = usize::try_from(end).expect("test files are small");
        let grown = end.saturating_sub(data.seen.len());
        if grown > 0 {
            data.seen.resize(end, 0);
        }
        grown as u64
    }
}

impl File for SimFile {
    fn size(&self) -> Result<u64> {
        Ok(lock(&self.contents).seen.len() as u64)
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> Result<usize> {
        let data = lock(&self.contents);
        let from = usize::try_from(offset).expect("test files are small").min(data.seen.len());
        let len = into.len().min(data.seen.len() - from);
        into[..len].copy_from_slice(&data.seen[from..from + len]);
        Ok(len)
    }

    fn write_at(&self, parts: &[IoSlice<'_>], offset: u64) -> Result<()> {
        let mut disk = self.disk.disk();
        disk.step()?;
        let mut data = lock(&self.contents);
        let parts: Vec<&[u8]> = parts.iter().map(|part| &**part).collect();
        let bytes = parts.concat();
        let end = offset + bytes.len() as u64;
        disk.take_space(end.saturating_sub(data.seen.len() as u64))?;
        Self::lengthen(&mut data, end);
        let at = usize::try_from(offset).expect("test files are small");
        data.seen[at..at + bytes.len()].copy_from_slice(&bytes);
        Ok(())
    }

    fn allocate(&self, offset: u64, len: u64) -> Result<()> {
        let mut disk = self.disk.disk();
        disk.step()?;
        let mut data = lock(&self.contents);
        disk.take_space((offset + len).saturating_sub(data.seen.len() as u64))?;
        Self::lengthen(&mut data, offset + len);
        Ok(())
    }

    fn punch(&self, offset: u64, len: u64) -> Result<()> {
        let mut disk = self.disk.disk();
        disk.step()?;
        let mut data = lock(&self.contents);
        let size = data.seen.len();
        let bounded = |at: u64| usize::try_from(at).expect("test files are small").min(size);
        data.seen[bounded(offset)..bounded(offset + len)].fill(0);
        Ok(())
    }

    fn truncate(&self, len: u64) -> Result<()> {
        let mut disk = self.disk.disk();
        disk.step()?;
        let mut data = lock(&self.contents);
        let before = data.seen.len() as u64;
        data.seen.truncate(usize::try_from(len).expect("test files are small"));
        if let Some(space) = &mut disk.space {
            *space += before.saturating_sub(len);
        }
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        let delay = self.disk.disk().sync_delay;
        std::thread::sleep(delay);
        let mut disk = self.disk.disk();
        disk.step()?;
        disk.syncs += 1;
        if disk.fail_sync_at.is_some_and(|at| disk.syncs > at) {
            return Err(Error::other("the disk has failed"));
        }
        if !disk.lies {
            let mut data = lock(&self.contents);
            data.durable = data.seen.clone();
        }
        Ok(())
    }
}
