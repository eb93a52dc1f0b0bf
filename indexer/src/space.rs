//! How much space fragments take, for those who watch it.

use std::collections::{BTreeMap, HashMap};
use std::sync::PoisonError;
use std::time::Duration;

use base::{FragmentNumber, StreamId};
use fragment_log::LaneId;

use crate::kept::Kept;
use crate::owner::Owner;
use crate::view;
use crate::{FragmentEntry, IndexError, LaneSpace};

/// What is held is looked at so often, and whenever holds change.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Rows read at a time.
const ROWS: usize = 1_000;

/// What evidence holds protect, as it was when it was looked at.
#[derive(Default)]
pub(crate) struct HeldSpace {
    looked: Duration,
    streams: Vec<(StreamId, Kept)>,
    bytes: HashMap<StreamId, i64>,
    lanes: BTreeMap<LaneId, u64>,
    /// The least number of a held fragment.
    pub earliest: Option<FragmentNumber>,
}

impl HeldSpace {
    /// The held bytes of a stream.
    pub(crate) fn of(&self, stream: StreamId) -> i64 {
        self.bytes.get(&stream).copied().unwrap_or(0)
    }

    fn add(&mut self, entry: &FragmentEntry) {
        for at in entry.places() {
            *self.lanes.entry(at.lane).or_default() += u64::from(at.len);
        }
        *self.bytes.entry(entry.stream).or_default() +=
            i64::try_from(entry.stored_bytes()).unwrap_or(i64::MAX);
        let number = entry.meta.number;
        self.earliest = Some(self.earliest.map_or(number, |earliest| earliest.min(number)));
    }
}

impl Owner {
    /// Makes known what the lanes hold now.
    pub(crate) fn tell_space(&mut self) -> Result<(), IndexError> {
        let mut lanes: BTreeMap<LaneId, LaneSpace> = BTreeMap::new();
        for ((lane, _), used) in &self.writer.usage().segments {
            let held = self.held.lanes.get(lane).copied().unwrap_or(0);
            let nothing = LaneSpace { lane: *lane, live: 0, dead: 0, held };
            let space = lanes.entry(*lane).or_insert(nothing);
            space.live += u64::try_from(used.live).unwrap_or(0);
            space.dead += u64::try_from(used.dead).unwrap_or(0);
        }
        *self.space.lock().unwrap_or_else(PoisonError::into_inner) = lanes.into_values().collect();
        Ok(())
    }

    pub(crate) fn look_at_held(&mut self) -> Result<(), IndexError> {
        let catalog = self.catalog.streams();
        let kept = |id| Kept::standing(&self.catalog, id, FragmentNumber::MAX);
        let streams: Vec<_> = catalog.values().map(|stream| (stream.id, kept(stream.id))).collect();
        let streams: Vec<_> = streams.into_iter().filter(|(_, kept)| kept.any_held()).collect();
        let since = self.clock.monotonic().saturating_sub(self.held.looked);
        if streams == self.held.streams && (streams.is_empty() || since < LOOK_EVERY) {
            return Ok(());
        }
        let mut held = HeldSpace { looked: self.clock.monotonic(), ..HeldSpace::default() };
        for (stream, kept) in &streams {
            let mut after = FragmentNumber::MIN;
            loop {
                let connection = self.writer.connection();
                let some = view::held(connection, self.writer.tracks(), *stream, kept, after, ROWS)?;
                for entry in &some {
                    held.add(entry);
                    after = entry.meta.number;
                }
                if some.len() < ROWS {
                    break;
                }
            }
        }
        self.held = HeldSpace { streams, ..held };
        Ok(())
    }
}
