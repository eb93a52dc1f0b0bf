//! What the views on disk do not have yet, in memory: an acknowledged fragment is found at once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use base::{FragmentNumber, StreamId};

use crate::FragmentEntry;
use crate::assemble::Fresh;

/// Fragments that are acknowledged and not yet in both views, and every stream's newest.
///
/// Readers look here before they look at a view: a fragment leaves only after it got there.
#[derive(Default)]
pub(crate) struct Overlay(RwLock<HashMap<StreamId, Recent>>);

#[derive(Default)]
struct Recent {
    newest: Option<Arc<FragmentEntry>>,
    fresh: BTreeMap<FragmentNumber, Arc<Fresh>>,
}

impl Overlay {
    /// A fragment was committed.
    pub(crate) fn insert(&self, fresh: &Arc<Fresh>) {
        let mut streams = self.write();
        let recent = streams.entry(fresh.entry.stream).or_default();
        recent.advance(&fresh.entry);
        recent.fresh.insert(fresh.entry.meta.number, Arc::clone(fresh));
    }

    /// A fragment is in the views already.
    pub(crate) fn seen(&self, entry: FragmentEntry) {
        self.write().entry(entry.stream).or_default().advance(&Arc::new(entry));
    }

    /// These are in both views now.
    pub(crate) fn settle(&self, settled: &[Arc<Fresh>]) {
        let mut streams = self.write();
        for fresh in settled {
            if let Some(recent) = streams.get_mut(&fresh.entry.stream) {
                recent.fresh.remove(&fresh.entry.meta.number);
            }
        }
    }

    /// Forgets a stream.
    pub(crate) fn forget(&self, stream: StreamId) {
        self.write().remove(&stream);
    }

    /// The streams that have or had fragments.
    pub(crate) fn streams(&self) -> Vec<StreamId> {
        self.read().keys().copied().collect()
    }

    /// The fragment with the greatest number that the stream ever had.
    pub(crate) fn newest(&self, stream: StreamId) -> Option<Arc<FragmentEntry>> {
        self.read().get(&stream)?.newest.clone()
    }

    /// One fragment.
    pub(crate) fn get(&self, stream: StreamId, number: FragmentNumber) -> Option<Arc<Fresh>> {
        self.read().get(&stream)?.fresh.get(&number).cloned()
    }

    /// A stream's fragments from a number on, by number.
    pub(crate) fn from(&self, stream: StreamId, from: FragmentNumber) -> Vec<Arc<Fresh>> {
        let streams = self.read();
        let fresh = streams.get(&stream).map(|recent| recent.fresh.range(from..));
        fresh.into_iter().flatten().map(|(_, fresh)| Arc::clone(fresh)).collect()
    }

    /// How many fragments are here.
    pub(crate) fn len(&self) -> usize {
        self.read().values().map(|recent| recent.fresh.len()).sum()
    }

    /// Every fragment here, in no order.
    pub(crate) fn all(&self) -> Vec<Arc<Fresh>> {
        self.read().values().flat_map(|recent| recent.fresh.values().cloned()).collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<StreamId, Recent>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<StreamId, Recent>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recent {
    fn advance(&mut self, entry: &Arc<FragmentEntry>) {
        if self.newest.as_ref().is_none_or(|newest| newest.meta.number <= entry.meta.number) {
            self.newest = Some(Arc::clone(entry));
        }
    }
}
