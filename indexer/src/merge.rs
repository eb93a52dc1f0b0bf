//! The fragments of many streams in one order, read from the sorted view as far as needed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use base::{FragmentNumber, StreamId};
use rusqlite::Connection;

use crate::find::{Key, Visible};
use crate::kept::Kept;
use crate::view::Keys;
use crate::{IndexError, Window};

/// Most keys read of one stream at once.
const CHUNK: usize = 256;

/// A merge of sorted streams.
pub(crate) struct Merge<'m> {
    keys: Keys<'m>,
    streams: Vec<Source>,
    /// The next key of each stream that has one, with its place in `streams`.
    heads: BinaryHeap<Reverse<(Key, usize)>>,
}

struct Source {
    stream: StreamId,
    kept: Kept,
    /// Read, behind the head.
    read: VecDeque<(i64, FragmentNumber)>,
    /// How many to read next; 0 where no more come.
    chunk: usize,
}

impl<'m> Merge<'m> {
    /// Begins after a place.
    pub(crate) fn new(
        connection: &'m Connection,
        streams: &BTreeMap<StreamId, Visible>,
        window: Window,
        after: Option<Key>,
    ) -> Result<Self, IndexError> {
        let keys = Keys::new(connection, window)?;
        let mut merge = Self { keys, streams: Vec::new(), heads: BinaryHeap::new() };
        for (stream, visible) in streams {
            // Many streams: each gives few. One stream: it gives all.
            let chunk = (CHUNK / streams.len()).max(1);
            let source = Source { stream: *stream, kept: visible.kept.clone(), read: VecDeque::new(), chunk };
            merge.streams.push(source);
            merge.advance(
                merge.streams.len() - 1,
                after.map_or((i64::MIN, i64::MAX), |key| begin(key, *stream)),
            )?;
        }
        Ok(merge)
    }

    /// The next keys.
    pub(crate) fn take(mut self, count: usize) -> Result<Vec<Key>, IndexError> {
        let mut keys = Vec::new();
        while keys.len() < count
            && let Some(Reverse((key, place))) = self.heads.pop()
        {
            keys.push(key);
            self.advance(place, (key.time, key.number.cast_signed()))?;
        }
        Ok(keys)
    }

    /// Makes the first key of a stream after `after` its head.
    fn advance(&mut self, place: usize, after: (i64, i64)) -> Result<(), IndexError> {
        let source = &mut self.streams[place];
        if source.read.is_empty() && source.chunk > 0 {
            let chunk = source.chunk;
            source.read = self.keys.read(source.stream, after, &source.kept, chunk)?;
            source.chunk = if source.read.len() < chunk { 0 } else { (2 * chunk).min(CHUNK) };
        }
        if let Some((time, number)) = source.read.pop_front() {
            let key = Key { time, stream: source.stream.0, number: number.to_u64() };
            self.heads.push(Reverse((key, place)));
        }
        Ok(())
    }
}

/// After which time and number a stream goes on, when all streams go on after `key`.
fn begin(key: Key, stream: StreamId) -> (i64, i64) {
    match stream.0.cmp(&key.stream) {
        std::cmp::Ordering::Less => (key.time, i64::MAX),
        std::cmp::Ordering::Equal => (key.time, key.number.cast_signed()),
        std::cmp::Ordering::Greater => (key.time, -1),
    }
}
