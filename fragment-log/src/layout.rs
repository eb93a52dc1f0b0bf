//! The data folder: where things are, its format, its lock, and who writes to it.

use std::io::{ErrorKind, IoSlice};
use std::path::{Path, PathBuf};

use base::{Clock, Entropy};

use crate::format::{BLOCK, FormatError, Superblock, WriterId};
use crate::io::{Io, read_small, replace};
use crate::{Damage, LaneId, LogError};

const VERSION: &str = "millrace-data 1\n";
const SEGMENT: &str = ".seg";
const FREED: &str = ".freed";
/// The superblock alternates between two places, so that one is whole at any time.
const SUPERBLOCK_SLOTS: u64 = 2;

/// Paths under the data folder.
#[derive(Clone, Debug)]
pub(crate) struct Layout(PathBuf);

impl Layout {
    pub(crate) fn new(root: &Path) -> Self {
        Self(root.to_owned())
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    /// Space set aside.
    pub(crate) fn reserve(&self) -> PathBuf {
        self.log().join("reserve")
    }

    /// The note of the sequences that no frame tells of any more.
    pub(crate) fn sequences(&self) -> PathBuf {
        self.log().join("sequences")
    }

    pub(crate) fn lane(&self, lane: LaneId) -> PathBuf {
        self.log().join(lane.to_string())
    }

    pub(crate) fn segment(&self, lane: LaneId, number: u64) -> PathBuf {
        self.lane(lane).join(format!("{number:020}.seg"))
    }

    /// The note of a segment's freed frames.
    pub(crate) fn freed(&self, lane: LaneId, number: u64) -> PathBuf {
        self.lane(lane).join(format!("{number:020}{FREED}"))
    }

    /// Where the bytes go that were found after the last good batch of a segment.
    pub(crate) fn torn(&self, lane: LaneId, number: u64, offset: u64) -> PathBuf {
        self.lane(lane).join(format!("{number:020}-{offset}.torn"))
    }

    /// Makes the folders and takes the lock, which holds until the result is dropped.
    pub(crate) fn claim(&self, io: &dyn Io) -> Result<Box<dyn Send + Sync>, LogError> {
        for dir in [&self.0, &self.keys(), &self.log()] {
            io.create_dir_all(dir).map_err(LogError::io("create", dir))?;
        }
        let path = self.0.join("lock");
        let lock = io.lock(&path).map_err(|error| match error.kind() {
            ErrorKind::WouldBlock => LogError::Locked(self.0.clone()),
            _ => LogError::io("lock", &path)(error),
        })?;
        if !self.check_version(io)? {
            replace(io, &self.version(), VERSION.as_bytes())?;
        }
        Ok(lock)
    }

    /// Whether the folder tells its format; an error where it is another one.
    pub(crate) fn check_version(&self, io: &dyn Io) -> Result<bool, LogError> {
        let file = self.version();
        match read_small(io, &file)? {
            None => Ok(false),
            Some(found) if found == VERSION.as_bytes() => Ok(true),
            Some(found) => {
                let found = String::from_utf8_lossy(&found).trim().chars().take(40).collect();
                Err(LogError::Format { file, found })
            }
        }
    }

    fn version(&self) -> PathBuf {
        self.0.join("format")
    }

    /// The numbers of a lane's segments, in order.
    pub(crate) fn segments(&self, io: &dyn Io, lane: LaneId) -> Result<Vec<u64>, LogError> {
        self.numbers(io, lane, SEGMENT)
    }

    /// The numbers of a lane's segments that have a note of freed frames, in order.
    pub(crate) fn freed_notes(&self, io: &dyn Io, lane: LaneId) -> Result<Vec<u64>, LogError> {
        self.numbers(io, lane, FREED)
    }

    fn numbers(&self, io: &dyn Io, lane: LaneId, ending: &str) -> Result<Vec<u64>, LogError> {
        let names = self.names(io, lane)?;
        let parsed = names.iter().filter_map(|name| parse_name(name));
        let mut numbers: Vec<u64> =
            parsed.filter(|(_, rest)| *rest == ending).map(|(number, _)| number).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// A segment number that no file of the lane has had.
    pub(crate) fn unused_segment(&self, io: &dyn Io, lane: LaneId) -> Result<u64, LogError> {
        let names = self.names(io, lane)?;
        let last = names.iter().filter_map(|name| parse_name(name)).map(|(number, _)| number).max();
        Ok(last.map_or(1, |last| last + 1))
    }

    /// The unfinished ends of the lane's segments that were set aside.
    pub(crate) fn torn_tails(&self, io: &dyn Io, lane: LaneId) -> Result<Vec<PathBuf>, LogError> {
        let names = self.names(io, lane)?.into_iter().filter(|name| name.ends_with(".torn"));
        let mut files: Vec<PathBuf> = names.map(|name| self.lane(lane).join(name)).collect();
        files.sort();
        Ok(files)
    }

    fn names(&self, io: &dyn Io, lane: LaneId) -> Result<Vec<String>, LogError> {
        let dir = self.lane(lane);
        io.list(&dir).map_err(LogError::io("list", &dir))
    }

    /// Whether any lane holds a file.
    pub(crate) fn holds_data(&self, io: &dyn Io) -> Result<bool, LogError> {
        for lane in LaneId::all() {
            if !self.names(io, lane)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The places of the superblock that hold something else.
    pub(crate) fn superblock_damages(&self, io: &dyn Io) -> Result<Vec<Damage>, LogError> {
        let path = self.superblock();
        let Some(bytes) = read_small(io, &path)? else { return Ok(Vec::new()) };
        let slots = bytes.chunks(BLOCK as usize).zip((0..).step_by(BLOCK as usize));
        let damages =
            slots.filter(|(slot, _)| slot.iter().any(|&byte| byte != 0)).filter_map(|(slot, at)| {
                let FormatError(what) = Superblock::check(slot).err()?;
                Some(Damage::plain(&path, at..at + slot.len() as u64, what))
            });
        Ok(damages.collect())
    }

    /// Writes the good place of the superblock over a damaged one. The path, where there was one.
    pub(crate) fn repair_superblock(&self, io: &dyn Io) -> Result<Option<PathBuf>, LogError> {
        let path = self.superblock();
        let damaged = self.superblock_damages(io)?;
        let Some(bytes) = read_small(io, &path)? else { return Ok(None) };
        let good = bytes.chunks(BLOCK as usize).find_map(|place| Superblock::parse(place).ok());
        let (Some(good), [damage]) = (good, damaged.as_slice()) else { return Ok(None) };
        let mut place = good.to_bytes().to_vec();
        place.resize(usize::try_from(damage.bytes).unwrap_or(place.len()), 0);
        let write = || {
            let file = io.open(&path)?;
            file.write_at(&[IoSlice::new(&place)], damage.offset)?;
            file.sync()
        };
        write().map_err(LogError::io("write", &path))?;
        Ok(Some(path))
    }

    fn superblock(&self) -> PathBuf {
        self.0.join("superblock")
    }

    /// Gives this start its writer id and makes it durable. Takes no new space after the first
    /// start, so that a server starts on a full disk.
    pub(crate) fn begin_start(
        &self,
        io: &dyn Io,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
    ) -> Result<WriterId, LogError> {
        let path = self.superblock();
        let old = read_small(io, &path)?;
        let last = (0..SUPERBLOCK_SLOTS as usize)
            .filter_map(|slot| old.as_ref()?.get(slot * BLOCK as usize..))
            .filter_map(|bytes| Superblock::parse(bytes).ok())
            .map(|block| block.starts)
            .max()
            .unwrap_or(0);
        let block = Superblock { starts: last + 1, writer: WriterId(entropy.bytes()), started: clock.now() };
        let offset = block.starts % SUPERBLOCK_SLOTS * BLOCK;
        let write = || {
            let file = if old.is_some() { io.open(&path) } else { io.create(&path) }?;
            file.write_at(&[IoSlice::new(&block.to_bytes())], offset)?;
            file.sync()?;
            io.sync_dir(&self.0)
        };
        write().map_err(LogError::io("write", &path))?;
        Ok(block.writer)
    }
}

/// The segment number that a file's name begins with, and the rest of the name.
fn parse_name(name: &str) -> Option<(u64, &str)> {
    let number = name.get(..20)?.parse().ok()?;
    Some((number, &name[20..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::DiskIo;
    use base::{SystemClock, SystemEntropy};

    #[test]
    fn names_lead_back_to_numbers() {
        let layout = Layout::new(Path::new("/data"));
        let name = |path: PathBuf| path.file_name().expect("it has one").to_string_lossy().into_owned();
        assert_eq!(parse_name(&name(layout.segment(LaneId::Control, 42))), Some((42, SEGMENT)));
        assert_eq!(parse_name(&name(layout.torn(LaneId::Control, 42, 8192))), Some((42, "-8192.torn")));
        assert_eq!(parse_name(&name(layout.freed(LaneId::Control, 42))), Some((42, FREED)));
        assert_eq!(parse_name("lost+found"), None);
        assert_eq!(parse_name("ääääääääääääää"), None);
    }

    #[test]
    fn one_process_at_a_time_and_one_format() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let lock = layout.claim(&DiskIo).unwrap();
        assert!(matches!(layout.claim(&DiskIo), Err(LogError::Locked(_))));
        drop(lock);
        std::fs::write(dir.path().join("format"), "millrace-data 9\n").unwrap();
        let error = layout.claim(&DiskIo).err().expect("format 9 is from the future");
        assert!(error.to_string().contains("millrace-data 9"), "{error}");
    }

    #[test]
    fn every_start_has_its_own_writer_id_and_takes_no_more_space() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let mut seen = Vec::new();
        for _ in 0..5 {
            let writer = layout.begin_start(&DiskIo, &SystemClock, &SystemEntropy).unwrap();
            assert!(!seen.contains(&writer));
            seen.push(writer);
        }
        let bytes = std::fs::read(dir.path().join("superblock")).unwrap();
        assert!(bytes.len() as u64 <= SUPERBLOCK_SLOTS * BLOCK);
        assert_eq!(Superblock::parse(&bytes[BLOCK as usize..]).unwrap().starts, 5);
    }
}
