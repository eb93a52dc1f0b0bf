//! The public face: who may publish what, one publisher per stream.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::{Clock, FragmentMeta, FragmentNumber, Limits, StreamId, StreamName, Timestamp};
use bytes::Bytes;
use catalog::{Catalog, CatalogError, Principal, Stream};
use fragment_log::Log;
use tokio::sync::{Notify, mpsc};
use tokio::time::sleep;

use crate::health::{Health, HealthBook, STALE_AFTER, StreamState};
use crate::live::Live;
use crate::put_media::{Ack, PutSession, PutStreams, Timecodes};
use crate::{IngestError, Recorder, StreamHealth, TimestampSource};

/// Where a stream's numbers go on after a restart or a reconnect. The indexer knows.
pub trait Resume: Send + Sync {
    /// The newest fragment of the stream that is on disk.
    fn last(&self, stream: StreamId) -> Option<FragmentMeta>;

    /// The fragments of the stream on disk that were made at exactly this time: by one of them a producer's
    /// fragment is known that is sent again.
    fn made_at(
        &self,
        _stream: StreamId,
        _producer: Timestamp,
    ) -> Pin<Box<dyn Future<Output = Vec<StoredFile>> + Send + '_>> {
        Box::pin(std::future::ready(Vec::new()))
    }
}

/// A fragment on disk: its number and its Matroska file.
pub type StoredFile = (FragmentNumber, Bytes);

/// What recording needs.
pub struct IngestOptions {
    /// Where fragments go.
    pub log: Arc<Log>,
    /// Which streams there are and who may publish to them.
    pub catalog: Arc<Catalog>,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Sizes and times that bound a publisher.
    pub limits: Arc<Limits>,
    /// Where numbers go on.
    pub resume: Arc<dyn Resume>,
    /// Which clock names producer timestamps of who pushes, where the stream does not say.
    pub timestamps: TimestampSource,
}

/// Who wants to publish.
#[derive(Clone, Debug)]
pub struct Publisher {
    /// Where it sends from.
    pub peer: SocketAddr,
    /// Its credential.
    pub principal: Principal,
}

/// Recording, for all protocols. Cheap to clone: clones share everything.
#[derive(Clone)]
pub struct Ingest(Arc<Shared>);

/// What all recorders share.
struct Shared {
    options: IngestOptions,
    /// The publisher of each stream that has one.
    holders: Mutex<HashMap<StreamId, Holder>>,
    health: HealthBook,
    put_streams: PutStreams,
    /// PutMedia connections so far.
    connections: AtomicU64,
    live: Mutex<HashMap<StreamId, Arc<Live>>>,
}

/// Who publishes to a stream.
struct Holder {
    peer: SocketAddr,
    /// Told when another publisher takes the stream over.
    superseded: Arc<Notify>,
}

/// How long a publisher waits for a stale one to store what it has and let go.
const TAKE_OVER: Duration = Duration::from_secs(5);
const TAKE_OVER_TRIES: u32 = 100;

impl Ingest {
    /// Recording into a log.
    pub fn new(options: IngestOptions) -> Self {
        Self(Arc::new(Shared {
            options,
            holders: Mutex::default(),
            health: HealthBook::default(),
            put_streams: PutStreams::default(),
            connections: AtomicU64::new(0),
            live: Mutex::default(),
        }))
    }

    /// Takes hold of a stream for a publisher; makes it, with the retention for devices, where there
    /// is none and the publisher may. The stream is free again once the recorder is gone and what it
    /// recorded is on disk. A publisher that is stale ([`crate::STALE_AFTER`]) gives way: a camera that
    /// lost its power comes back before its old connection has timed out. To be called within a tokio
    /// runtime.
    ///
    /// # Errors
    /// [`IngestError::Busy`] while another publisher sends to the stream, [`IngestError::Catalog`] where
    /// this one may not publish to it.
    pub async fn publish(&self, name: &StreamName, by: &Publisher) -> Result<Recorder, IngestError> {
        let stream = self.0.options.catalog.stream_to_publish(name, &by.principal).await?;
        let hold = self.hold(&stream, by.peer).await?;
        let timestamps = stream.timestamps.unwrap_or(self.0.options.timestamps);
        Ok(Recorder::new(self.clone(), hold, stream, by.principal.clone(), timestamps))
    }

    /// Takes hold of a stream for its source at `peer`, as [`Self::publish`] does for a publisher.
    ///
    /// # Errors
    /// [`IngestError::Busy`], and [`IngestError::Catalog`] where there is no such stream.
    pub(crate) async fn pull(
        &self,
        name: &StreamName,
        peer: SocketAddr,
        timestamps: TimestampSource,
    ) -> Result<Recorder, IngestError> {
        let stream = self.0.options.catalog.stream_to_publish(name, &Principal::Source).await?;
        let hold = self.hold(&stream, peer).await?;
        Ok(Recorder::new(self.clone(), hold, stream, Principal::Source, timestamps))
    }

    /// Takes a PutMedia connection of a producer who may publish to the stream; acknowledgements go to
    /// `acks`. To be called within a tokio runtime.
    ///
    /// # Errors
    /// [`IngestError::Connections`] beyond [`Limits::put_media_connections`]; [`IngestError::Busy`] while
    /// another kind of publisher sends to the stream.
    pub async fn put_media(
        &self,
        stream: Arc<Stream>,
        by: Publisher,
        timecodes: Timecodes,
        acks: mpsc::Sender<Ack>,
    ) -> Result<PutSession, IngestError> {
        let connection = self.0.connections.fetch_add(1, Ordering::Relaxed);
        PutSession::open(self, stream, by, timecodes, acks, connection).await
    }

    /// The stream's live window.
    pub fn live(&self, stream: StreamId) -> Arc<Live> {
        let mut windows = self.0.live.lock().unwrap_or_else(PoisonError::into_inner);
        if !windows.contains_key(&stream) {
            let catalog = &self.0.options.catalog;
            windows.retain(|id, _| catalog.stream_by_id(*id).is_some());
        }
        Arc::clone(windows.entry(stream).or_default())
    }

    pub(crate) fn put_streams(&self) -> &PutStreams {
        &self.0.put_streams
    }

    /// Takes hold of a stream for a publisher.
    ///
    /// # Errors
    /// [`IngestError::Busy`].
    pub(crate) fn try_hold(&self, stream: &Stream, peer: SocketAddr) -> Result<Hold, IngestError> {
        Hold::take(&self.0, stream, peer)
    }

    /// The same, and a stale publisher gives way.
    pub(crate) async fn hold(&self, stream: &Stream, peer: SocketAddr) -> Result<Hold, IngestError> {
        let mut told = false;
        for _ in 0..TAKE_OVER_TRIES {
            match Hold::take(&self.0, stream, peer) {
                Err(IngestError::Busy { holder, .. }) if told || self.is_stale(stream.id) => {
                    if !told {
                        tracing::info!(stream = %stream.name, %peer, old = %holder, "a stale publisher gives way");
                        self.0.supersede(stream.id);
                    }
                    told = true;
                    sleep(TAKE_OVER / TAKE_OVER_TRIES).await;
                }
                taken => return taken,
            }
        }
        Hold::take(&self.0, stream, peer)
    }

    /// Whether the stream's publisher has had its time to send a frame, and has not.
    fn is_stale(&self, stream: StreamId) -> bool {
        let now = self.0.options.clock.now();
        self.health(stream).is_some_and(|health| {
            let settled = health.connected.is_some_and(|since| now.since(since) >= STALE_AFTER);
            health.state == StreamState::Stale && settled
        })
    }

    /// How the stream's recording is doing; `None` where nothing was published to it since the start.
    pub fn health(&self, stream: StreamId) -> Option<StreamHealth> {
        self.0.health.get(stream).map(|health| health.read(self.0.options.clock.as_ref()))
    }

    pub(crate) fn health_of(&self, stream: StreamId) -> Arc<Health> {
        let catalog = &self.0.options.catalog;
        self.0.health.of(stream, |id| catalog.stream_by_id(id).is_some())
    }

    /// The stream as it is now, where it still is and may be published to.
    ///
    /// # Errors
    /// [`IngestError::Deleted`]; [`IngestError::Catalog`] for a credential that was revoked meanwhile.
    pub(crate) fn permitted(
        &self,
        stream: &Stream,
        principal: &Principal,
    ) -> Result<Arc<Stream>, IngestError> {
        let catalog = &self.0.options.catalog;
        let found =
            catalog.stream_by_id(stream.id).ok_or_else(|| IngestError::Deleted(stream.name.clone()))?;
        if catalog.stands(principal) {
            return Ok(found);
        }
        let (who, stream) = (principal.name().to_owned(), stream.name.clone());
        Err(CatalogError::NotAllowed { who, what: "publish to", stream }.into())
    }

    pub(crate) fn options(&self) -> &IngestOptions {
        &self.0.options
    }
}

impl Shared {
    fn holders(&self) -> MutexGuard<'_, HashMap<StreamId, Holder>> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn supersede(&self, stream: StreamId) {
        if let Some(holder) = self.holders().get(&stream) {
            holder.superseded.notify_one();
        }
    }
}

/// A stream held by a publisher; dropping it frees the stream.
pub(crate) struct Hold {
    shared: Arc<Shared>,
    peer: SocketAddr,
    stream: StreamId,
    superseded: Arc<Notify>,
}

impl Hold {
    /// Where the publisher sends from.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Told when another publisher takes the stream over.
    pub(crate) fn superseded(&self) -> Arc<Notify> {
        Arc::clone(&self.superseded)
    }

    fn take(shared: &Arc<Shared>, stream: &Stream, peer: SocketAddr) -> Result<Self, IngestError> {
        let mut holders = shared.holders();
        if let Some(holder) = holders.get(&stream.id) {
            return Err(IngestError::Busy { stream: stream.name.clone(), holder: holder.peer });
        }
        let superseded = Arc::new(Notify::new());
        holders.insert(stream.id, Holder { peer, superseded: Arc::clone(&superseded) });
        Ok(Self { shared: Arc::clone(shared), peer, stream: stream.id, superseded })
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.shared.holders().remove(&self.stream);
    }
}
