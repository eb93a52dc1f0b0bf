//! Which fragments of a stream are kept: the newest, as its retention says, and whatever a hold protects.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{PoisonError, RwLock};

use base::{FragmentMeta, FragmentNumber, StreamId, Timestamp};
use catalog::{Catalog, Stream};

use crate::query::cutoff;
use crate::timeline::REACH_MS;

/// What is kept of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Every fragment from this number on.
    pub from: FragmentNumber,
    /// And those that any part of these spans lies in, by either clock, in milliseconds since the epoch,
    /// inclusive.
    held: Vec<(i64, i64)>,
}

impl Kept {
    /// As the catalog and the floors say it now.
    pub(crate) fn of(stream: &Stream, catalog: &Catalog, floors: &Floors, now: Timestamp) -> Self {
        let from = cutoff(now, stream.retention).max(floors.of(stream.id));
        Self::standing(catalog, stream.id, from)
    }

    /// Everything from a number on, and what the standing holds of a stream protect.
    pub(crate) fn standing(catalog: &Catalog, stream: StreamId, from: FragmentNumber) -> Self {
        let standing = catalog.holds(stream).into_iter().filter(|hold| hold.stands());
        Self::new(from, standing.map(|hold| (hold.start.millis(), hold.end.millis())).collect())
    }

    pub(crate) fn new(from: FragmentNumber, held: Vec<(i64, i64)>) -> Self {
        Self { from, held }
    }

    /// Nothing.
    pub(crate) fn nothing() -> Self {
        Self::new(FragmentNumber::MAX, Vec::new())
    }

    /// No fragment below this is kept.
    pub(crate) fn lowest(&self) -> FragmentNumber {
        if self.held.is_empty() { self.from } else { FragmentNumber::MIN }
    }

    /// Whether anything is held.
    pub(crate) fn any_held(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether the holds are those of `other`.
    pub(crate) fn holds_same(&self, other: &Self) -> bool {
        self.held == other.held
    }

    /// Whether a fragment is kept.
    pub(crate) fn holds(&self, meta: &FragmentMeta) -> bool {
        self.holds_span(meta.number, meta.producer_timestamp, meta.duration_ms.into())
    }

    /// Whether a fragment may be kept that is as long as any.
    pub(crate) fn may_hold(&self, number: FragmentNumber, producer: Timestamp) -> bool {
        self.holds_span(number, producer, REACH_MS)
    }

    fn holds_span(&self, number: FragmentNumber, producer: Timestamp, duration_ms: i64) -> bool {
        let begins = [producer.millis(), i64::try_from(number.to_u64()).unwrap_or(i64::MAX)];
        let within = |&(start, end): &(i64, i64)| {
            begins.iter().any(|&at| at <= end && at.saturating_add(duration_ms) >= start)
        };
        number >= self.from || self.held.iter().any(within)
    }

    /// [`Self::holds`] as a condition on a row of `fragments`.
    pub(crate) fn condition(&self) -> String {
        let from = i64::try_from(self.from.to_u64()).unwrap_or(i64::MAX);
        if self.held.is_empty() {
            return format!("number >= {from}");
        }
        format!("(number >= {from} OR {})", self.held_condition())
    }

    /// The opposite of [`Self::condition`].
    pub(crate) fn gone_condition(&self) -> String {
        let from = i64::try_from(self.from.to_u64()).unwrap_or(i64::MAX);
        if self.held.is_empty() {
            return format!("number < {from}");
        }
        format!("(number < {from} AND NOT {})", self.held_condition())
    }

    /// Whether a row of `fragments` is held, as a condition.
    pub(crate) fn held_condition(&self) -> String {
        let mut text = "(0".to_owned();
        for (start, end) in &self.held {
            for begin in ["producer", "number"] {
                let _ = write!(text, " OR ({begin} <= {end} AND {begin} + duration >= {start})");
            }
        }
        text + ")"
    }
}

/// For each stream that is kept short of its time, the number below which its fragments are given up: by a
/// limit of bytes, or to make room. They only rise.
#[derive(Default)]
pub(crate) struct Floors(RwLock<HashMap<StreamId, FragmentNumber>>);

impl Floors {
    /// As they were raised before.
    pub(crate) fn from(floors: impl IntoIterator<Item = (StreamId, FragmentNumber)>) -> Self {
        Self(RwLock::new(floors.into_iter().collect()))
    }

    pub(crate) fn of(&self, stream: StreamId) -> FragmentNumber {
        let floors = self.0.read().unwrap_or_else(PoisonError::into_inner);
        floors.get(&stream).copied().unwrap_or(FragmentNumber::MIN)
    }

    pub(crate) fn raise(&self, stream: StreamId, to: FragmentNumber) {
        let mut floors = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let floor = floors.entry(stream).or_insert(FragmentNumber::MIN);
        *floor = to.max(*floor);
    }

    /// All of them.
    pub(crate) fn all(&self) -> HashMap<StreamId, FragmentNumber> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn forget(&self, stream: StreamId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&stream);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{NOON, entry};
    use proptest::prelude::*;
    use rusqlite::{Connection, params};

    proptest! {
        #[test]
        fn the_condition_says_what_holds_says(
            from in 0_i64..100, held in prop::collection::vec((0_i64..100, 0_i64..30), 0..5),
            number in 0_i64..100, skew in -40_i64..40, duration in 0_u32..10,
        ) {
            let held = held.into_iter().map(|(start, length)| (NOON + start, NOON + start + length)).collect();
            let kept = Kept::new(FragmentNumber::at(Timestamp::from_millis(NOON + from)), held);
            let mut meta = entry(1, NOON + number, NOON + number + skew, 1).meta;
            meta.duration_ms = duration;
            let sql = format!(
                "SELECT {} FROM (SELECT ?1 AS number, ?2 AS producer, ?3 AS duration)", kept.condition()
            );
            let row = params![NOON + number, NOON + number + skew, duration];
            let said: bool = Connection::open_in_memory().unwrap().query_row(&sql, row, |row| row.get(0)).unwrap();
            prop_assert_eq!(said, kept.holds(&meta));
            let sql = sql.replace(&kept.condition(), &kept.gone_condition());
            let gone: bool = Connection::open_in_memory().unwrap().query_row(&sql, row, |row| row.get(0)).unwrap();
            prop_assert_eq!(gone, !said);
            prop_assert!(!said || meta.number >= kept.lowest());
        }
    }

    #[test]
    fn as_many_holds_as_may_stand_make_a_condition() {
        let kept = Kept::new(FragmentNumber::MIN, (0..100).map(|at| (at, at)).collect());
        let sql =
            format!("SELECT {} FROM (SELECT 1 AS number, 1 AS producer, 1 AS duration)", kept.condition());
        let connection = Connection::open_in_memory().unwrap();
        assert!(connection.query_row(&sql, [], |row| row.get::<_, bool>(0)).unwrap());
    }
}
