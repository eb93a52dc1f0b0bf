//! Mending a stopped data folder. Nothing is deleted: what is damaged is copied aside first.

use std::io::IoSlice;
use std::path::PathBuf;

use super::{Finding, Summary, Verify};
use crate::io::{copy, read_small, replace};
use crate::keys::Keyring;
use crate::layout::Layout;
use crate::recovery::recover;
use crate::segment::Segment;
use crate::{Damage, LaneId, LogError};

impl Verify {
    /// Checks a stopped data folder, copies every damaged range to a `.damaged` file beside its own,
    /// and makes whole what other bytes can make whole: footers from batches, segment headers from
    /// footers, a copy of the key table and a place of the superblock from the other one. Returns what
    /// a check finds afterwards. Blocks on the disk.
    ///
    /// # Errors
    /// [`LogError::Locked`] while a server has the folder, and those of [`Self::run`].
    pub fn repair(&self, each: &mut dyn FnMut(Finding<'_>)) -> Result<Summary, LogError> {
        let layout = self.layout()?;
        let _lock = layout.claim(&*self.io)?;
        let mut damages = Vec::new();
        self.run(&mut |finding| match finding {
            Finding::Damage(damage) => damages.push(damage),
            Finding::SetAside(_) => {}
            other => each(other),
        })?;
        for damage in damages {
            let copy = self.quarantine(&damage)?;
            each(Finding::Quarantined { damage, copy });
        }
        self.rebuild_key_table(&layout, each)?;
        if let Some(path) = layout.repair_superblock(&*self.io)? {
            each(Finding::Rebuilt(path));
        }
        for lane in LaneId::all() {
            self.rebuild_segments(&layout, lane, each)?;
        }
        self.run(&mut |finding| {
            if !matches!(finding, Finding::Progress(_)) {
                each(finding);
            }
        })
    }

    /// Copies what is damaged to a file beside its own, named after the place.
    fn quarantine(&self, damage: &Damage) -> Result<PathBuf, LogError> {
        let Damage { file, offset, bytes, .. } = damage;
        let stem = file.with_extension("");
        let name = match file.extension().filter(|end| *end != "seg") {
            // The two copies of the key table differ in what stands behind the dot.
            Some(end) => format!("{}.{}-{offset}.damaged", stem.display(), end.display()),
            None => format!("{}-{offset}.damaged", stem.display()),
        };
        let to = PathBuf::from(name);
        let from = self.io.open_read(file).map_err(LogError::io("open", file))?;
        copy(&*self.io, &*from, *offset..offset + bytes, &to)?;
        Ok(to)
    }

    /// Replaces a bad copy of the key table by a good one. With the master key opening does it; without
    /// it the checksum decides.
    fn rebuild_key_table(&self, layout: &Layout, each: &mut dyn FnMut(Finding<'_>)) -> Result<(), LogError> {
        let bad = Keyring::damages(&*self.io, &layout.keys())?;
        let [Damage { file, .. }] = bad.as_slice() else { return Ok(()) };
        let other = ["table.0", "table.1"].map(|name| layout.keys().join(name));
        let other = other.iter().find(|path| *path != file);
        let Some(good) = other.map(|path| read_small(&*self.io, path)).transpose()?.flatten() else {
            return Ok(());
        };
        replace(&*self.io, file, &good)?;
        each(Finding::Rebuilt(file.clone()));
        Ok(())
    }

    /// Gives every segment its header from its footer, or its footer from its batches.
    fn rebuild_segments(
        &self,
        layout: &Layout,
        lane: LaneId,
        each: &mut dyn FnMut(Finding<'_>),
    ) -> Result<(), LogError> {
        let mut unsealed = Vec::new();
        for number in layout.segments(&*self.io, lane)? {
            let segment = Segment::open(&*self.io, layout, lane, number)?;
            match segment.footer()? {
                Some((footer, _)) if segment.header()?.is_err() => {
                    let path = &segment.path;
                    let file = self.io.open(path).map_err(LogError::io("open", path))?;
                    let header = footer.segment.to_bytes();
                    let written = file.write_at(&[IoSlice::new(&header)], 0).and_then(|()| file.sync());
                    written.map_err(LogError::io("write", path))?;
                    each(Finding::Rebuilt(path.clone()));
                }
                Some(_) => {}
                None => unsealed.push(segment.path),
            }
        }
        if !unsealed.is_empty() {
            recover(&*self.io, layout, lane)?;
            unsealed.into_iter().for_each(|path| each(Finding::Rebuilt(path)));
        }
        Ok(())
    }
}
