//! Keeps the first hits in the order of time, stream, number.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tantivy::collector::{Collector, SegmentCollector};
use tantivy::columnar::ColumnValues;
use tantivy::{DocId, Score, SegmentOrdinal, SegmentReader};

use super::schema::{NUMBER, PRODUCER, STREAM};
use crate::find::Key;
use crate::{ClockKind, Window};

/// The first keys of a window after a place, of streams that may be seen.
pub(crate) struct First {
    pub window: Window,
    pub after: Option<Key>,
    pub limit: usize,
    /// For each stream that may be seen, the number below which its fragments are expired.
    pub visible: Arc<HashMap<u64, u64>>,
}

/// The work on one segment of the index.
pub(crate) struct FirstOfSegment {
    clock: ClockKind,
    bounds: (i64, i64),
    after: Option<Key>,
    limit: usize,
    visible: Arc<HashMap<u64, u64>>,
    stream: Arc<dyn ColumnValues<u64>>,
    number: Arc<dyn ColumnValues<u64>>,
    producer: Arc<dyn ColumnValues<i64>>,
    /// A set: a fragment that has moved in the log is there twice, until its old place is gone.
    first: BTreeSet<Key>,
}

impl Collector for First {
    type Fruit = Vec<Key>;
    type Child = FirstOfSegment;

    fn for_segment(&self, _: SegmentOrdinal, segment: &SegmentReader) -> tantivy::Result<FirstOfSegment> {
        let columns = segment.fast_fields();
        Ok(FirstOfSegment {
            clock: self.window.clock,
            bounds: self.window.bounds(),
            after: self.after,
            limit: self.limit,
            visible: Arc::clone(&self.visible),
            stream: columns.column_first_or_default(STREAM)?,
            number: columns.column_first_or_default(NUMBER)?,
            producer: columns.column_first_or_default(PRODUCER)?,
            first: BTreeSet::new(),
        })
    }

    fn requires_scoring(&self) -> bool {
        false
    }

    fn merge_fruits(&self, fruits: Vec<Vec<Key>>) -> tantivy::Result<Vec<Key>> {
        let mut all: Vec<_> = fruits.into_iter().flatten().collect();
        all.sort_unstable();
        all.dedup();
        all.truncate(self.limit);
        Ok(all)
    }
}

impl SegmentCollector for FirstOfSegment {
    type Fruit = Vec<Key>;

    fn collect(&mut self, doc: DocId, _: Score) {
        let time = match self.clock {
            ClockKind::Producer => self.producer.get_val(doc),
            ClockKind::Server => i64::try_from(self.number.get_val(doc)).unwrap_or(i64::MAX),
        };
        let full = self.first.len() >= self.limit;
        let late = |last: &Key| full && time > last.time;
        // Most documents of a wide query end here, with one column read.
        if time < self.bounds.0 || time > self.bounds.1 || self.first.last().is_some_and(late) {
            return;
        }
        let number = self.number.get_val(doc);
        let key = Key { time, stream: self.stream.get_val(doc), number };
        if self.after.is_some_and(|after| key <= after)
            || full && self.first.last().is_some_and(|last| key >= *last)
            || self.visible.get(&key.stream).is_none_or(|cutoff| number < *cutoff)
        {
            return;
        }
        if self.first.insert(key) && full {
            self.first.pop_last();
        }
    }

    fn harvest(self) -> Vec<Key> {
        self.first.into_iter().collect()
    }
}
