//! The public face: who may publish what, one publisher per stream.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::{Clock, FragmentMeta, Limits, StreamId, StreamName};
use catalog::{Catalog, Principal, Stream};
use fragment_log::Log;

use crate::health::{Health, HealthBook};
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
    holders: Mutex<HashMap<StreamId, SocketAddr>>,
    health: HealthBook,
}

impl Ingest {
    /// Recording into a log.
    pub fn new(options: IngestOptions) -> Self {
        Self(Arc::new(Shared { options, holders: Mutex::default(), health: HealthBook::default() }))
    }

    /// Takes hold of a stream for a publisher; makes it, with the retention for devices, where there
    /// is none and the publisher may. The stream is free again once the recorder is gone and what it
    /// recorded is on disk. To be called within a tokio runtime.
    ///
    /// # Errors
    /// [`IngestError::Busy`] while another publisher holds the stream, [`IngestError::Catalog`] where
    /// this one may not publish to it.
    pub async fn publish(&self, name: &StreamName, by: &Publisher) -> Result<Recorder, IngestError> {
        let stream = self.0.options.catalog.stream_to_publish(name, &by.principal).await?;
        let hold = Hold::take(&self.0, &stream, by.peer)?;
        Ok(Recorder::new(self.clone(), hold, stream, by.principal.clone()))
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
    fn holders(&self) -> MutexGuard<'_, HashMap<StreamId, SocketAddr>> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream held by a publisher; dropping it frees the stream.
pub(crate) struct Hold {
    shared: Arc<Shared>,
    peer: SocketAddr,
    stream: StreamId,
}

impl Hold {
    /// Where the publisher sends from.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn take(shared: &Arc<Shared>, stream: &Stream, peer: SocketAddr) -> Result<Self, IngestError> {
        let mut holders = shared.holders();
        if let Some(holder) = holders.get(&stream.id) {
            return Err(IngestError::Busy { stream: stream.name.clone(), holder: *holder });
        }
        holders.insert(stream.id, peer);
        Ok(Self { shared: Arc::clone(shared), peer, stream: stream.id })
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.shared.holders().remove(&self.stream);
    }
}
