//! The search view: one tantivy index per month of server time, under `DATA/index/search/`.
//!
//! A commit of tantivy costs 10 to 20 ms however little it holds, far more than a fragment may. So commits are rare,
//! and what they lack is searched in the overlay: fresher than any commit interval, at no cost per fragment.

mod collect;
mod described;
mod expression;
mod month;
mod overlapping;
mod schema;
mod settled;
mod terms;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use base::{FragmentNumber, Timestamp};
use fragment_log::{LaneId, Lsn};
use tantivy::query::{BooleanQuery, Occur, Query, RangeQuery};
use tantivy::{IndexReader, TantivyError, Term};

pub(crate) use collect::First;
pub(crate) use expression::Expression;
pub(crate) use month::MonthId;
pub(crate) use words::{Blinder, contains, words};

use crate::ClockKind;
use crate::IndexError;
use crate::assemble::Fresh;
use crate::event::Spans;
use crate::find::Key;
use month::{Month, end, folder};
use schema::Fields;
use terms::Translator;

/// The folder's name under `DATA/index/`.
pub(crate) const FOLDER: &str = "search";
/// Up to so many streams a query names them; beyond, hits of others are passed over.
const NAMED_STREAMS: usize = 64;

/// The only writer of the search view.
pub(crate) struct Search {
    dir: PathBuf,
    months: BTreeMap<MonthId, Month>,
    dirty: BTreeSet<MonthId>,
    readers: Arc<Readers>,
}

/// What queries read.
pub(crate) struct Readers {
    blinder: Blinder,
    fields: Fields,
    months: RwLock<BTreeMap<MonthId, Committed>>,
}

#[derive(Clone)]
struct Committed {
    reader: IndexReader,
    producer: (i64, i64),
}

/// A log segment that is gone, and the numbers of the fragments that lay in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GoneSegment {
    pub lane: LaneId,
    pub segment: u64,
    pub first: FragmentNumber,
    pub last: FragmentNumber,
}

impl Search {
    /// Opens the view, or makes it where there is none.
    ///
    /// # Errors
    /// Also where it is damaged: then the folder must be removed and filled again.
    pub(crate) fn open(dir: &Path, blinder: Blinder) -> Result<Self, TantivyError> {
        std::fs::create_dir_all(dir)?;
        let mut months = BTreeMap::new();
        for file in std::fs::read_dir(dir)? {
            if let Some(id) = file?.file_name().to_str().and_then(MonthId::parse) {
                months.insert(id, Month::open(&folder(dir, id))?);
            }
        }
        let committed = months.iter().map(|(id, month)| (*id, Committed::of(month))).collect();
        let readers = Readers { blinder, fields: schema::schema().1, months: RwLock::new(committed) };
        Ok(Self { dir: dir.to_owned(), months, dirty: BTreeSet::new(), readers: Arc::new(readers) })
    }

    pub(crate) fn readers(&self) -> Arc<Readers> {
        Arc::clone(&self.readers)
    }

    /// Takes fragments in, which the next commit makes durable and found.
    ///
    /// # Errors
    /// What was taken in since the last commit is lost then.
    pub(crate) fn add(&mut self, fragments: &[Arc<Fresh>]) -> Result<(), TantivyError> {
        let readers = self.readers();
        for fresh in fragments {
            let month = self.open_month(MonthId::of(fresh.entry.meta.number))?;
            month.add(fresh, &readers.blinder)?;
        }
        Ok(())
    }

    /// Brings fragments in and those of removed log segments out, durably. `positions` tells up to where each
    /// lane is complete with them. After an error the same call may be made again.
    pub(crate) fn commit(
        &mut self,
        fragments: &[Arc<Fresh>],
        gone: &[GoneSegment],
        positions: &[(LaneId, Lsn)],
    ) -> Result<(), TantivyError> {
        let result = self.try_commit(fragments, gone, positions);
        if result.is_err() {
            // Half of it may wait in a writer, or its threads have ended: begin anew from what is on disk.
            for id in std::mem::take(&mut self.dirty) {
                self.months.remove(&id);
            }
        }
        result
    }

    fn try_commit(
        &mut self,
        fragments: &[Arc<Fresh>],
        gone: &[GoneSegment],
        positions: &[(LaneId, Lsn)],
    ) -> Result<(), TantivyError> {
        let readers = self.readers();
        self.add(fragments)?;
        for GoneSegment { lane, segment, first, last } in gone {
            let held: Vec<_> =
                self.months.range(MonthId::of(*first)..=MonthId::of(*last)).map(|(id, _)| *id).collect();
            for id in held {
                self.open_month(id)?.delete_segment(*lane, *segment)?;
            }
        }
        let newest = self.months.keys().next_back().copied();
        for id in self.dirty.clone() {
            let month = self.open_month(id)?;
            month.commit(positions)?;
            let committed = Committed::of(month);
            if Some(id) != newest {
                month.rest()?;
            }
            readers.months_mut().insert(id, committed);
            self.dirty.remove(&id);
        }
        Ok(())
    }

    /// Removes the months that end before everything expired.
    pub(crate) fn drop_months(&mut self, before: Timestamp) -> Result<(), TantivyError> {
        let expired: Vec<_> = self.months.keys().copied().filter(|id| end(*id) <= before).collect();
        for id in expired {
            self.readers.months_mut().remove(&id);
            if let Some(mut month) = self.months.remove(&id) {
                month.rest()?;
            }
            std::fs::remove_dir_all(folder(&self.dir, id))?;
        }
        Ok(())
    }

    /// Ends the threads that write.
    pub(crate) fn close(mut self) -> Result<(), TantivyError> {
        self.months.values_mut().try_for_each(Month::rest)
    }

    /// The month, which will be part of the next commit.
    fn open_month(&mut self, id: MonthId) -> Result<&mut Month, TantivyError> {
        self.dirty.insert(id);
        match self.months.entry(id) {
            std::collections::btree_map::Entry::Occupied(month) => Ok(month.into_mut()),
            std::collections::btree_map::Entry::Vacant(place) => {
                Ok(place.insert(Month::open(&folder(&self.dir, id))?))
            }
        }
    }
}

impl Committed {
    fn of(month: &Month) -> Self {
        Self { reader: month.reader.clone(), producer: month.payload.producer }
    }
}

impl Readers {
    /// The first keys of fragments that the expression finds, in order. `labelled` gives the streams whose
    /// labels a leaf of the expression asks for, `overlapped` the times at which events make it hold.
    pub(crate) fn find(
        &self,
        expression: &Expression,
        first: &First,
        labelled: &dyn Fn(&Expression) -> Vec<u64>,
        overlapped: &dyn Fn(&Expression) -> Option<Arc<Spans>>,
    ) -> Result<Vec<Key>, IndexError> {
        let mut keys = Vec::new();
        for committed in self.months_of(first) {
            let searcher = committed.reader.searcher();
            let (fields, blinder) = (&self.fields, &self.blinder);
            let translator = Translator { searcher: &searcher, fields, blinder, labelled, overlapped };
            let mut clauses = vec![(Occur::Must, translator.query(expression)?)];
            if first.visible.len() <= NAMED_STREAMS {
                clauses.push((Occur::Must, translator.streams(first.visible.keys().copied().collect())));
            }
            clauses.extend(self.window(first).map(|query| (Occur::Must, query)));
            keys.extend(searcher.search(&BooleanQuery::new(clauses), first)?);
        }
        keys.sort_unstable();
        keys.dedup();
        keys.truncate(first.limit);
        Ok(keys)
    }

    /// Makes the words that events are found by.
    pub(crate) fn blinder(&self) -> &Blinder {
        &self.blinder
    }

    /// The window as a query, where it has a bound.
    fn window(&self, first: &First) -> Option<Box<dyn Query>> {
        let window = &first.window;
        let after = first.after.map(|key| key.time);
        let start = window.start.map(Timestamp::millis).max(after);
        let end = window.end.map(Timestamp::millis);
        let term = |at: i64| match window.clock {
            ClockKind::Producer => Term::from_field_i64(self.fields.producer, at),
            ClockKind::Server => Term::from_field_u64(self.fields.number, u64::try_from(at).unwrap_or(0)),
        };
        let bound = |at: Option<i64>| at.map_or(Bound::Unbounded, |at| Bound::Included(term(at)));
        (start.is_some() || end.is_some())
            .then(|| Box::new(RangeQuery::new(bound(start), bound(end))) as Box<dyn Query>)
    }

    /// The months that the window touches.
    fn months_of(&self, first: &First) -> Vec<Committed> {
        let (start, end) = first.window.bounds();
        let month = |at: i64| MonthId::of(FragmentNumber::at(Timestamp::from_millis(at)));
        let months = self.months.read().unwrap_or_else(PoisonError::into_inner);
        let touched = months.iter().filter(|(id, committed)| match first.window.clock {
            ClockKind::Producer => committed.producer.0 <= end && committed.producer.1 >= start,
            ClockKind::Server => (month(start)..=month(end)).contains(*id),
        });
        touched.map(|(_, committed)| committed.clone()).collect()
    }

    fn months_mut(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<MonthId, Committed>> {
        self.months.write().unwrap_or_else(PoisonError::into_inner)
    }
}
