//! Which fragments: the log's follower that answers by number, by time, by tag, over many streams.
//!
//! Two views of the log, both rebuildable from it and both under `DATA/index/`: a *sorted view* in SQLite
//! (`fragments.sqlite`) for everything about one stream, and a *search view* in tantivy (`search/YYYY-MM/`) for
//! expressions over tags, labels and codecs. An overlay in memory holds what neither has yet, so that a
//! fragment is found by every query as soon as it is acknowledged.
//!
//! Invariants: an acknowledged fragment is found until its retention ends, and not after; both views can be
//! deleted at any time without changing an answer; a log segment is removed only when nothing in it is
//! within its retention; lanes of the log never wait for this crate; no tag value is in a file in the clear.
//!
//! Not promised: prefix, range or pattern search over values, which are blinded; an order of hits other
//! than time; that a fragment whose stream was deleted is still answered while a query runs.

mod error;
mod query;

pub use error::IndexError;
pub use query::{Bucket, ClockKind, FragmentEntry, Hit, Rebuilt, SearchQuery, Swept, Window};

use std::path::PathBuf;
use std::sync::Arc;

use base::{Clock, FragmentNumber, Page, StreamId, Tags, Timestamp};
use catalog::Catalog;
use fragment_log::Log;

/// How to open the index.
#[derive(Clone)]
pub struct IndexerOptions {
    /// `DATA/index`.
    pub dir: PathBuf,
    /// Tells what is expired.
    pub clock: Arc<dyn Clock>,
}

/// The index of one installation.
pub struct Indexer {
    _face: (),
}

impl Indexer {
    /// Opens both views, brings them up to date from the log (rebuilds what is missing or damaged) and follows
    /// the log from here on. Call it before the first fragment is appended. Blocks on the disk.
    pub fn open(
        log: Arc<Log>,
        catalog: Arc<Catalog>,
        options: IndexerOptions,
    ) -> Result<Arc<Self>, IndexError> {
        todo!("open {} {:p} {:p}", options.dir.display(), log, catalog)
    }

    /// Deletes both views and builds them again from the log. `progress` is called now and then. Blocks on the
    /// disk. The index must not be open.
    pub fn reindex(
        log: Arc<Log>,
        catalog: Arc<Catalog>,
        options: IndexerOptions,
        progress: &mut dyn FnMut(Rebuilt),
    ) -> Result<Rebuilt, IndexError> {
        progress(Rebuilt::default());
        todo!("reindex {} {:p} {:p}", options.dir.display(), log, catalog)
    }

    /// The stream's newest fragment that is within its retention.
    pub fn newest(&self, stream: StreamId) -> Option<Arc<FragmentEntry>> {
        todo!("{stream}")
    }

    /// The stream's fragment with the greatest number, also when its retention has ended: what the next one's
    /// numbers follow.
    pub fn last_recorded(&self, stream: StreamId) -> Option<Arc<FragmentEntry>> {
        todo!("{stream}")
    }

    /// The last `limit` fragments of a stream, by number.
    pub async fn latest(&self, stream: StreamId, limit: usize) -> Result<Vec<FragmentEntry>, IndexError> {
        todo!("{stream} {limit}")
    }

    /// The fragments of a stream that start in the window, by number: those after `after`, at most `limit`.
    pub async fn range(
        &self,
        stream: StreamId,
        window: Window,
        after: Option<FragmentNumber>,
        limit: usize,
    ) -> Result<Vec<FragmentEntry>, IndexError> {
        todo!("{stream} {window:?} {after:?} {limit}")
    }

    /// The fragments of these numbers, in the order asked; `None` where there is none (any more).
    pub async fn by_numbers(
        &self,
        stream: StreamId,
        numbers: &[FragmentNumber],
    ) -> Result<Vec<Option<FragmentEntry>>, IndexError> {
        todo!("{stream} {numbers:?}")
    }

    /// Fragments of many streams, by the window's time, then stream, then number.
    ///
    /// # Errors
    /// [`IndexError::Query`] names what is wrong with `q`; [`IndexError::Cursor`].
    pub async fn search(&self, query: SearchQuery) -> Result<Page<Hit>, IndexError> {
        todo!("{query:?}")
    }

    /// How much of each part of a time span is covered, by producer time.
    ///
    /// # Errors
    /// [`IndexError::Invalid`] where `end` is not after `start`, or `buckets` is not 1 to 10,000.
    pub async fn timeline(
        &self,
        stream: StreamId,
        start: Timestamp,
        end: Timestamp,
        buckets: usize,
    ) -> Result<Vec<Bucket>, IndexError> {
        todo!("{stream} {start} {end} {buckets}")
    }

    /// A fragment's own tags, from its sealed metadata in the log.
    pub async fn tags(&self, entry: &FragmentEntry) -> Result<Tags, IndexError> {
        todo!("{entry:?}")
    }

    /// Removes what has expired and gives log segments back that hold nothing needed. Bounded work: call it
    /// every few seconds, again at once where [`Swept::more`] says so.
    pub async fn sweep(&self) -> Result<Swept, IndexError> {
        todo!("sweep")
    }

    /// Writes what is in memory, stops the index's thread. Queries go on; new fragments are no longer taken.
    /// Blocks on the disk. Dropping the index does the same.
    pub fn close(&self) {
        todo!("close")
    }
}
