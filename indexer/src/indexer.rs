//! The index's public face.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use base::{Clock, FragmentMeta, FragmentNumber, Page, StreamId, Tags, Timestamp};
use catalog::Catalog;
use fragment_log::{Follower, Log};
use tokio::sync::oneshot;

use crate::assemble::Fresh;
use crate::event::Numbers;
use crate::find::{Find, Visible};
use crate::intake::{Intake, Request};
use crate::kept::{Floors, Kept};
use crate::open::{self, Opened};
use crate::overlay::Overlay;
use crate::search::{Expression, Readers};
use crate::timeline::Timeline;
use crate::view::{self, Pool, Span};
use crate::{Bucket, FragmentEntry, Hit, IndexError, LaneSpace, Rebuilt, SearchQuery, Swept, Window};

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
    pub(crate) log: Arc<Log>,
    catalog: Arc<Catalog>,
    pub(crate) clock: Arc<dyn Clock>,
    overlay: Arc<Overlay>,
    floors: Arc<Floors>,
    space: Arc<Mutex<Vec<LaneSpace>>>,
    pub(crate) intake: Arc<Intake>,
    readers: Arc<Readers>,
    pub(crate) pool: Pool,
    pub(crate) event_numbers: Numbers,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// How far the views are behind the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexMetrics {
    /// Fragments that are found in memory and not yet in both views.
    pub waiting: usize,
    /// Lanes that were too fast to follow, and are read from the log again.
    pub lanes_behind: usize,
}

impl Indexer {
    /// Opens both views, brings them up to date from the log (rebuilds what is missing or damaged) and follows
    /// the log from here on. Call it before the first fragment is appended. Blocks on the disk.
    pub fn open(
        log: Arc<Log>,
        catalog: Arc<Catalog>,
        options: IndexerOptions,
    ) -> Result<Arc<Self>, IndexError> {
        let Opened { owner, tracks } =
            open::open(Arc::clone(&log), Arc::clone(&catalog), &options, &mut |_| {})?;
        let pool = Pool::new(options.dir.clone(), tracks);
        let (overlay, intake) = (Arc::clone(&owner.overlay), Arc::clone(&owner.intake));
        let (floors, space) = (Arc::clone(&owner.floors), Arc::clone(&owner.space));
        let readers = owner.search.readers();
        log.follow(Arc::clone(&intake) as Arc<dyn Follower>);
        let run = std::thread::Builder::new().name("indexer".into()).spawn(move || owner.run());
        let thread = run.map_err(|source| IndexError::Io { path: options.dir, source })?;
        let clock = options.clock;
        let thread = Mutex::new(Some(thread));
        let event_numbers = Numbers::default();
        Ok(Arc::new(Self {
            log,
            catalog,
            clock,
            overlay,
            floors,
            space,
            intake,
            readers,
            pool,
            event_numbers,
            thread,
        }))
    }

    /// Deletes both views and builds them again from the log. `progress` is called now and then. Blocks on the
    /// disk. The index must not be open.
    pub fn reindex(
        log: Arc<Log>,
        catalog: Arc<Catalog>,
        options: &IndexerOptions,
        progress: &mut dyn FnMut(Rebuilt),
    ) -> Result<Rebuilt, IndexError> {
        open::remove(&options.dir)?;
        let Opened { owner, .. } = open::open(log, catalog, options, progress)?;
        owner.search.close()?;
        Ok(owner.rebuilt)
    }

    /// How far the views are behind the log.
    pub fn metrics(&self) -> IndexMetrics {
        IndexMetrics { waiting: self.overlay.len(), lanes_behind: self.intake.lanes_behind() }
    }

    /// The stream's newest fragment that is within its retention.
    pub fn newest(&self, stream: StreamId) -> Option<Arc<FragmentEntry>> {
        let kept = self.kept(stream)?;
        self.last_recorded(stream).filter(|entry| kept.holds(&entry.meta))
    }

    /// The stream's fragment with the greatest number, also when its retention has ended: what the next one's
    /// numbers follow.
    pub fn last_recorded(&self, stream: StreamId) -> Option<Arc<FragmentEntry>> {
        self.overlay.newest(stream)
    }

    /// The last `limit` fragments of a stream, by number.
    pub async fn latest(&self, stream: StreamId, limit: usize) -> Result<Vec<FragmentEntry>, IndexError> {
        let Some(kept) = self.kept(stream) else {
            return Ok(Vec::new());
        };
        let fresh = self.overlay.from(stream, kept.lowest());
        let asked = kept.clone();
        let stored = self
            .pool
            .run(move |connection, tracks| view::latest(connection, tracks, stream, &asked, limit))
            .await?;
        let mut merged = merged(stored, &fresh, |meta| kept.holds(meta));
        let surplus = merged.len().saturating_sub(limit);
        Ok(merged.split_off(surplus))
    }

    /// The fragments of a stream that start in the window, by number: those after `after`, at most `limit`.
    pub async fn range(
        &self,
        stream: StreamId,
        window: Window,
        after: Option<FragmentNumber>,
        limit: usize,
    ) -> Result<Vec<FragmentEntry>, IndexError> {
        let Some(kept) = self.kept(stream) else {
            return Ok(Vec::new());
        };
        let next = after.map(|after| FragmentNumber::from_u64(after.to_u64().saturating_add(1)));
        let from = next.map_or(kept.lowest(), |next| next.max(kept.lowest()));
        let asked = kept.clone();
        // The overlay first: what leaves it while the view is read is in the view.
        let fresh = self.overlay.from(stream, from);
        let stored = self
            .pool
            .run(move |connection, tracks| {
                view::range(connection, tracks, stream, &window, &asked, from, limit)
            })
            .await?;
        let mut merged = merged(stored, &fresh, |meta| window.holds(meta) && kept.holds(meta));
        merged.truncate(limit);
        Ok(merged)
    }

    /// The fragments of these numbers, in the order asked; `None` where there is none (any more).
    pub async fn by_numbers(
        &self,
        stream: StreamId,
        numbers: &[FragmentNumber],
    ) -> Result<Vec<Option<FragmentEntry>>, IndexError> {
        let Some(kept) = self.kept(stream) else {
            return Ok(vec![None; numbers.len()]);
        };
        let fresh = |number: &FragmentNumber| {
            let found = self.overlay.get(stream, *number)?;
            kept.holds(&found.entry.meta).then(|| found.entry.as_ref().clone())
        };
        let mut found: Vec<_> = numbers.iter().map(fresh).collect();
        let places = found.iter().zip(numbers).enumerate();
        let missing: Vec<_> = places
            .filter(|(_, (entry, number))| entry.is_none() && **number >= kept.lowest())
            .map(|(place, (_, number))| (place, *number))
            .collect();
        if !missing.is_empty() {
            let stored = self.stored(stream, missing).await?;
            for (place, entry) in stored {
                found[place] = entry.filter(|entry| kept.holds(&entry.meta));
            }
        }
        Ok(found)
    }

    async fn stored(
        &self,
        stream: StreamId,
        numbers: Vec<(usize, FragmentNumber)>,
    ) -> Result<Vec<(usize, Option<FragmentEntry>)>, IndexError> {
        let read = self.pool.run(move |connection, tracks| {
            let one = |(place, number)| Ok((place, view::fragment(connection, tracks, stream, number)?));
            numbers.into_iter().map(one).collect()
        });
        read.await
    }

    /// Fragments of many streams, by the window's time, then stream, then number.
    ///
    /// # Errors
    /// [`IndexError::Query`] names what is wrong with `q`; [`IndexError::Cursor`]; [`IndexError::Invalid`] where
    /// `limit` is 0.
    pub async fn search(&self, query: SearchQuery) -> Result<Page<Hit>, IndexError> {
        if query.limit == 0 {
            return Err(IndexError::Invalid("limit must be at least 1"));
        }
        let expression = query.q.as_deref().map(Expression::parse).transpose()?;
        let find = Find {
            streams: self.visible(&query),
            window: query.window,
            expression: expression.filter(|expression| *expression != Expression::All),
            limit: query.limit,
            after: Find::cursor(query.cursor.as_deref())?,
            overlay: Arc::clone(&self.overlay),
            readers: Arc::clone(&self.readers),
        };
        self.pool.run(move |connection, tracks| find.run(connection, tracks)).await
    }

    fn visible(&self, query: &SearchQuery) -> BTreeMap<StreamId, Visible> {
        let now = self.clock.now();
        let streams = self.catalog.streams_matching(&query.streams);
        let visible = streams.into_iter().map(|stream| {
            let kept = Kept::of(&stream, &self.catalog, &self.floors, now);
            (stream.id, Visible { stream, kept })
        });
        visible.collect()
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
        let mut timeline = Timeline::new(start, end, buckets)?;
        let Some(kept) = self.kept(stream) else {
            return Ok(timeline.finish());
        };
        let bounds = timeline.bounds();
        let mut fresh = BTreeMap::new();
        for one in self.overlay.from(stream, kept.lowest()) {
            let span = Span::of(&one.entry.meta);
            if kept.holds(&one.entry.meta) && (bounds.0..=bounds.1).contains(&span.producer_ms) {
                fresh.insert((span.producer_ms, span.number), span);
            }
        }
        let read = self.pool.run(move |connection, _| {
            view::spans(connection, stream, bounds, &kept, |span| {
                let later = fresh.split_off(&(span.producer_ms, span.number));
                std::mem::replace(&mut fresh, later).values().for_each(|earlier| timeline.add(earlier));
                fresh.remove(&(span.producer_ms, span.number));
                timeline.add(&span);
            })?;
            fresh.values().for_each(|last| timeline.add(last));
            Ok(timeline.finish())
        });
        read.await
    }

    /// A fragment's own tags, from its sealed metadata in the log.
    pub async fn tags(&self, entry: &FragmentEntry) -> Result<Tags, IndexError> {
        if !entry.has_tags {
            return Ok(Tags::new());
        }
        if let Some(fresh) = self.overlay.get(entry.stream, entry.meta.number) {
            return Ok(fresh.tags.clone());
        }
        let packed = self.log.read(&entry.commit).await?;
        let meta = FragmentMeta::unpack(&packed).map_err(|_| IndexError::Row {
            stream: entry.stream.0,
            number: entry.meta.number.to_u64(),
            what: "its metadata in the log does not read",
        })?;
        Ok(meta.tags)
    }

    /// Removes what has expired or is more than a stream's limit of bytes, and gives the space back: whole log
    /// segments that hold nothing needed, and what is not needed in others. Bounded work: call it every few
    /// seconds, again at once where [`Swept::more`] says so.
    pub async fn sweep(&self) -> Result<Swept, IndexError> {
        let (answer, swept) = oneshot::channel();
        self.intake.request(Request::Sweep(answer))?;
        swept.await.map_err(|_| IndexError::Stopped)?
    }

    /// Gives up the oldest footage of all streams that is not held, until at least `bytes` bytes of the disk
    /// are given back. [`Swept::bytes`] tells how many were: fewer where the rest is held or being written.
    pub async fn make_room(&self, bytes: u64) -> Result<Swept, IndexError> {
        let (answer, swept) = oneshot::channel();
        self.intake.request(Request::MakeRoom(bytes, answer))?;
        swept.await.map_err(|_| IndexError::Stopped)?
    }

    /// What the lanes of fragments hold, as the last sweep found it.
    pub fn space(&self) -> Vec<LaneSpace> {
        self.space.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Brings everything into the views on disk.
    pub async fn flush(&self) -> Result<(), IndexError> {
        let (answer, flushed) = oneshot::channel();
        self.intake.request(Request::Flush(answer))?;
        flushed.await.map_err(|_| IndexError::Stopped)?
    }

    /// Writes what is in memory and stops the index's thread. Queries go on; new fragments are no longer taken.
    /// Blocks on the disk. Dropping the index does the same.
    pub fn close(&self) {
        self.intake.stop();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!(
                "the index's thread has panicked: what it lacks is read from the log at the next start"
            );
        }
    }

    /// What is kept of a stream; `None` where there is no such stream.
    pub(crate) fn kept(&self, stream: StreamId) -> Option<Kept> {
        let stream = self.catalog.stream_by_id(stream)?;
        Some(Kept::of(&stream, &self.catalog, &self.floors, self.clock.now()))
    }
}

impl Drop for Indexer {
    fn drop(&mut self) {
        self.close();
    }
}

/// Stored entries and those of the overlay that `holds` takes, both by number: each once, by number.
fn merged(
    stored: Vec<FragmentEntry>,
    fresh: &[Arc<Fresh>],
    holds: impl Fn(&FragmentMeta) -> bool,
) -> Vec<FragmentEntry> {
    let mut fresh = fresh.iter().map(|fresh| &fresh.entry).filter(|entry| holds(&entry.meta)).peekable();
    let mut merged = Vec::with_capacity(stored.len());
    for entry in stored {
        while let Some(first) = fresh.next_if(|first| first.meta.number <= entry.meta.number) {
            if first.meta.number < entry.meta.number {
                merged.push(first.as_ref().clone());
            }
        }
        merged.push(entry);
    }
    merged.extend(fresh.map(|entry| entry.as_ref().clone()));
    merged
}
