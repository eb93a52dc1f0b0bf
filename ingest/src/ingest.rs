//! The public face: who may publish what, one publisher per stream.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::{Clock, FragmentMeta, Limits, StreamId, StreamName};
use catalog::{Catalog, Principal, Stream};
use fragment_log::Log;
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::health::{Health, HealthBook, STALE_AFTER, StreamState};
use crate::{IngestError, Recorder, StreamHealth, TimestampSource};

/// Where a stream's numbers go on after a restart or a reconnect. The indexer knows.
pub trait Resume: Send + Sync {
    /// The newest fragment of the stream that is on disk.
    fn last(&self, stream: StreamId) -> Option<FragmentMeta>;
}

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
    /// Which clock names producer timestamps.
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
        Self(Arc::new(Shared { options, holders: Mutex::default(), health: HealthBook::default() }))
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
        let timestamps = self.0.options.timestamps;
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

    async fn hold(&self, stream: &Stream, peer: SocketAddr) -> Result<Hold, IngestError> {
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
