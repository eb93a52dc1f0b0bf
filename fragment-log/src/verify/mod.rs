//! Checking every stored byte, and mending what can be mended.

mod look;
mod repair;

use std::path::PathBuf;
use std::sync::Arc;

use base::SystemEntropy;

use crate::io::{DiskIo, Io};
use crate::keys::Keyring;
use crate::layout::Layout;
use crate::segment::Segment;
use crate::sequences;
use crate::{Damage, LaneId, LogError, MasterKey};
use look::{Look, Part, look_at};

/// What a check has looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Segment files read.
    pub segments: u64,
    /// Frames checked.
    pub frames: u64,
    /// Bytes checked.
    pub bytes: u64,
    /// Frames that no key opens, because their stream was deleted. Not damage.
    pub shredded: u64,
    /// Frames whose space was given back. Not damage.
    pub freed: u64,
    /// Damaged places reported.
    pub damages: u64,
    /// Unfinished ends of segments: what a running server is writing, or a crash has left. Not damage.
    pub torn_tails: u64,
    /// Unfinished ends that earlier starts have set aside in files of their own. Not damage.
    pub set_aside: u64,
}

/// How far a check has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Segment files read.
    pub segments: u64,
    /// Segment files that there were when it began.
    pub of_segments: u64,
    /// Bytes of them read.
    pub bytes: u64,
    /// Bytes of them that there were when it began.
    pub of_bytes: u64,
}

/// What a check tells while it runs.
#[derive(Debug)]
pub enum Finding<'a> {
    /// Bytes that fail their checks.
    Damage(Damage),
    /// An unfinished end that an earlier start has set aside.
    SetAside(PathBuf),
    /// The opened payload of a command, the control lane's first of all: it tells the names of streams.
    Command(&'a [u8]),
    /// After every batch.
    Progress(Progress),
    /// The file was made whole again from other bytes.
    Rebuilt(PathBuf),
    /// The damaged bytes were copied to the file `copy`, before anything else was done.
    Quarantined {
        /// What is damaged.
        damage: Damage,
        /// Where its bytes are now, too.
        copy: PathBuf,
    },
}

/// What to check.
#[derive(Clone)]
pub struct Verify {
    /// The data folder.
    pub dir: PathBuf,
    /// Opens the frames; without it checksums alone decide.
    pub master: Option<MasterKey>,
    /// Where files are.
    pub io: Arc<dyn Io>,
}

impl Verify {
    /// Checks a data folder on the machine's disk.
    pub fn new(dir: impl Into<PathBuf>, master: Option<MasterKey>) -> Self {
        Self { dir: dir.into(), master, io: Arc::new(DiskIo) }
    }

    /// Reads every stored byte once, also beside a running server. Blocks on the disk.
    ///
    /// # Errors
    /// [`LogError::Format`] where there is no data folder of this version, [`LogError::MasterKey`]
    /// with the wrong master key, [`LogError::Io`] where files cannot be read. Damage is no error.
    pub fn run(&self, each: &mut dyn FnMut(Finding<'_>)) -> Result<Summary, LogError> {
        let io = &*self.io;
        let layout = self.layout()?;
        let open = |master: &MasterKey| {
            let entropy = Arc::new(SystemEntropy);
            Keyring::open_to_read(Arc::clone(&self.io), &layout.keys(), master.clone(), entropy)
        };
        let keys = match self.master.as_ref().map(open).transpose() {
            // Both copies of the table are damaged, which is told below.
            Err(LogError::Corrupt { .. }) => None,
            keys => keys?,
        };
        let mut check = Check { summary: Summary::default(), progress: expected(io, &layout)?, each };
        check.damages(Keyring::damages(io, &layout.keys())?);
        check.damages(layout.superblock_damages(io)?);
        check.damages(sequences::read(io, &layout)?.err().into_iter().collect());
        for lane in LaneId::all() {
            for number in layout.segments(io, lane)? {
                let before = check.progress.bytes;
                let look = look_at(io, &layout, keys.as_ref(), (lane, number), &mut |part| check.part(part));
                match look {
                    Ok(look) => check.segment(look, before),
                    // A running server's retention was quicker.
                    Err(LogError::Gone(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            for file in layout.torn_tails(io, lane)? {
                check.summary.set_aside += 1;
                (check.each)(Finding::SetAside(file));
            }
        }
        Ok(check.summary)
    }

    fn layout(&self) -> Result<Layout, LogError> {
        let layout = Layout::new(&self.dir);
        if !layout.check_version(&*self.io)? {
            return Err(LogError::Format { file: self.dir.join("format"), found: String::new() });
        }
        Ok(layout)
    }
}

/// How much there is to read.
fn expected(io: &dyn Io, layout: &Layout) -> Result<Progress, LogError> {
    let mut expected = Progress::default();
    for lane in LaneId::all() {
        for number in layout.segments(io, lane)? {
            match Segment::open(io, layout, lane, number) {
                Ok(segment) => expected.of_bytes += segment.size()?,
                Err(LogError::Gone(_)) => continue,
                Err(error) => return Err(error),
            }
            expected.of_segments += 1;
        }
    }
    Ok(expected)
}

/// A check as it runs.
struct Check<'a> {
    summary: Summary,
    progress: Progress,
    each: &'a mut dyn FnMut(Finding<'_>),
}

impl Check<'_> {
    fn damages(&mut self, damages: Vec<Damage>) {
        self.summary.damages += damages.len() as u64;
        damages.into_iter().for_each(|damage| (self.each)(Finding::Damage(damage)));
    }

    fn part(&mut self, part: Part<'_>) {
        match part {
            Part::Batch(bytes) => {
                self.progress.bytes = (self.progress.bytes + bytes).min(self.progress.of_bytes);
                (self.each)(Finding::Progress(self.progress));
            }
            Part::Command(payload) => (self.each)(Finding::Command(payload)),
        }
    }

    /// Takes note of a whole segment; `before` is how far the check had come when it was begun.
    fn segment(&mut self, look: Look, before: u64) {
        self.summary.segments += 1;
        self.summary.frames += look.frames;
        self.summary.bytes += look.bytes;
        self.summary.shredded += look.shredded;
        self.summary.freed += look.freed;
        self.summary.torn_tails += u64::from(look.torn);
        self.progress.segments += 1;
        self.progress.bytes = (before + look.bytes).min(self.progress.of_bytes);
        (self.each)(Finding::Progress(self.progress));
        self.damages(look.damages);
    }
}
