//! Sequences go on from where they were, also once retention has taken every frame of a shard.
//!
//! What the stored frames do not tell any more stands in a note. It is on disk before the segment goes
//! that held the shard's last frame; for a shard that is still written nothing needs to be noted.

use std::sync::{Mutex, MutexGuard, PoisonError};

use base::StreamId;

use crate::format::{FormatError, SequenceNote};
use crate::io::{Io, read_small, replace};
use crate::layout::Layout;
use crate::{Damage, LogError};

/// The last numbers of shards whose last frame has gone: what the note on disk says.
#[derive(Default)]
pub(crate) struct Sequences(Mutex<SequenceNote>);

impl Sequences {
    /// Takes the note as it is found. One that is damaged counts for nothing.
    pub(crate) fn load(io: &dyn Io, layout: &Layout) -> Result<(Self, Option<Damage>), LogError> {
        let (note, damage) = match read(io, layout)? {
            Ok(note) => (note, None),
            Err(damage) => (SequenceNote::default(), Some(damage)),
        };
        damage.iter().for_each(Damage::log);
        Ok((Self(Mutex::new(note)), damage))
    }

    pub(crate) fn last(&self, stream: StreamId, shard: u32) -> Option<u64> {
        self.lock().last.get(&(stream, shard)).copied()
    }

    /// Notes the numbers durably, besides those that are noted already and whose streams still `exist`.
    pub(crate) fn keep(
        &self,
        io: &dyn Io,
        layout: &Layout,
        numbers: impl Iterator<Item = ((StreamId, u32), u64)>,
        exists: impl Fn(StreamId) -> bool,
    ) -> Result<(), LogError> {
        let mut noted = self.lock();
        let newer = |(shard, last): &((StreamId, u32), u64)| {
            exists(shard.0) && noted.last.get(shard).is_none_or(|noted| noted < last)
        };
        let newer: Vec<_> = numbers.filter(newer).collect();
        if newer.is_empty() {
            return Ok(());
        }
        let mut note = noted.clone();
        note.last.extend(newer);
        note.last.retain(|(stream, _), _| exists(*stream));
        replace(io, &layout.sequences(), &note.to_bytes())?;
        *noted = note;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, SequenceNote> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the note says; nothing where there is none.
pub(crate) fn read(io: &dyn Io, layout: &Layout) -> Result<Result<SequenceNote, Damage>, LogError> {
    let path = layout.sequences();
    let Some(bytes) = read_small(io, &path)? else { return Ok(Ok(SequenceNote::default())) };
    let damaged = |FormatError(what)| Damage::plain(&path, 0..bytes.len() as u64, what);
    Ok(SequenceNote::parse(&bytes).map_err(damaged))
}
