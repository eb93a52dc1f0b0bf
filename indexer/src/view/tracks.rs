//! Static track descriptions: what all fragments of a run share, kept once.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use base::TrackMeta;
use rusqlite::Connection;

use crate::IndexError;
use crate::row::describe;

/// All descriptions of the file, in memory: as many as there were different camera settings.
#[derive(Default)]
pub(crate) struct Tracks(RwLock<Known>);

/// The descriptions, by row and by what they describe.
#[derive(Default)]
pub(crate) struct Known {
    by_id: HashMap<u64, TrackMeta>,
    by_init: HashMap<(u64, u8), Vec<u64>>,
}

impl Known {
    /// The description kept under a row number.
    pub(crate) fn get(&self, id: u64) -> Option<&TrackMeta> {
        self.by_id.get(&id)
    }

    fn find(&self, track: &TrackMeta) -> Option<u64> {
        let ids = self.by_init.get(&(track.init_id, track.number))?;
        ids.iter().copied().find(|id| self.get(*id).is_some_and(|known| same(known, track)))
    }

    fn insert(&mut self, id: u64, description: TrackMeta) {
        self.by_init.entry((description.init_id, description.number)).or_default().push(id);
        self.by_id.insert(id, description);
    }
}

impl Tracks {
    /// Reads the table.
    pub(crate) fn load(connection: &Connection) -> Result<Self, IndexError> {
        let mut known = Known::default();
        let mut statement = connection.prepare("SELECT id, described FROM tracks")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let id = row.get::<_, i64>(0)?.cast_unsigned();
            let description = serde_json::from_str(&row.get::<_, String>(1)?).map_err(|_| {
                IndexError::Row { stream: 0, number: id, what: "a track description does not read" }
            })?;
            known.insert(id, description);
        }
        Ok(Self(RwLock::new(known)))
    }

    /// For reading rows.
    pub(crate) fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The row of a track's description. A new one is written at once, in a transaction of its own where
    /// none is open, so that a number given out is never given again.
    pub(super) fn id(&self, connection: &Connection, track: &TrackMeta) -> Result<u64, IndexError> {
        if let Some(id) = self.known().find(track) {
            return Ok(id);
        }
        let description = describe(track);
        let text = serde_json::to_string(&description).expect("a track description is plain data");
        connection.execute("INSERT INTO tracks (described) VALUES (?1)", [text])?;
        let id = connection.last_insert_rowid().cast_unsigned();
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(id, description);
        Ok(id)
    }
}

/// Whether a track is described so.
fn same(description: &TrackMeta, track: &TrackMeta) -> bool {
    let TrackMeta {
        number,
        codec,
        codec_string,
        timescale,
        start: _,
        duration: _,
        frames: _,
        bytes: _,
        width,
        height,
        sample_rate,
        channels,
        init_id,
    } = track;
    (*number, *timescale, *width, *height, *sample_rate, *channels, *init_id)
        == (
            description.number,
            description.timescale,
            description.width,
            description.height,
            description.sample_rate,
            description.channels,
            description.init_id,
        )
        && *codec == description.codec
        && *codec_string == description.codec_string
}
