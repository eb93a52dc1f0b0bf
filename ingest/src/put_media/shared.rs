//! What the PutMedia connections of one stream share: its numbers, and the order in which fragments are
//! stored.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::{FragmentMeta, FragmentNumber, StreamId, Timestamp};
use catalog::{Principal, Stream};
use fragment_log::LogError;
use media::live::LiveFragment;
use media::mkv::{Live as LiveHead, has_media};
use tokio::sync::Notify;
use tokio::time::sleep;

use super::Timecodes;
use super::cluster::{Begun, Cluster};
use super::refusal::{ErrorId, Refusal};
use super::timeline::Timeline;
use crate::health::{ClockHealth, Ended, Health, Stored};
use crate::ingest::Hold;
use crate::live::Live;
use crate::numbers::Numbers;
use crate::{Ingest, IngestError, stored};

/// A whole fragment waits so long for an earlier one of another connection to become whole.
const PATIENCE: Duration = Duration::from_secs(5);

/// The streams that PutMedia producers are connected to.
pub(crate) type PutStreams = Mutex<HashMap<StreamId, Arc<Shared>>>;

/// A stream that PutMedia producers are connected to.
pub(crate) struct Shared {
    ingest: Ingest,
    stream: Arc<Stream>,
    health: Arc<Health>,
    live: Arc<Live>,
    state: Mutex<State>,
    /// A fragment is not open any more.
    closed: Notify,
}

struct State {
    connections: usize,
    /// Held until the last connection has ended.
    hold: Option<Hold>,
    /// The number that was given last.
    given: Numbers,
    /// What the next fragment that is stored follows.
    timeline: Timeline,
    /// The latest producer time of all that was stored: what lies behind it may have been sent before.
    latest: Option<Timestamp>,
    open: BTreeMap<FragmentNumber, Open>,
}

/// A fragment that has a number and is not stored yet.
struct Open {
    connection: u64,
    producer: Timestamp,
    whole: bool,
}

/// A connection's place among those of the stream.
pub(super) struct Seat {
    pub(super) shared: Arc<Shared>,
    connection: u64,
}

/// A fragment's place in the order; given up when it is dropped.
pub(super) struct Turn {
    shared: Arc<Shared>,
    pub(super) number: FragmentNumber,
    pub(super) live: Arc<LiveFragment>,
}

impl Seat {
    /// Takes a seat. The stream is held from the first one on.
    ///
    /// # Errors
    /// [`IngestError::Connections`]; [`IngestError::Busy`] while another kind of publisher sends.
    pub(super) async fn take(
        ingest: &Ingest,
        stream: Arc<Stream>,
        peer: SocketAddr,
        connection: u64,
    ) -> Result<Self, IngestError> {
        match Self::enter(ingest, &stream, None, peer, connection) {
            Err(IngestError::Busy { .. }) => {}
            entered => return entered,
        }
        // A publisher of another kind that is stale gives way.
        let hold = ingest.hold(&stream, peer).await?;
        Self::enter(ingest, &stream, Some(hold), peer, connection)
    }

    /// Joins the stream's connections, or is the first of them.
    fn enter(
        ingest: &Ingest,
        stream: &Arc<Stream>,
        hold: Option<Hold>,
        peer: SocketAddr,
        connection: u64,
    ) -> Result<Self, IngestError> {
        let mut streams = lock(ingest.put_streams());
        let shared = match streams.get(&stream.id) {
            Some(shared) => Arc::clone(shared),
            None => {
                let hold = hold.map_or_else(|| ingest.try_hold(stream, peer), Ok)?;
                let shared = Arc::new(Shared::new(ingest, stream, hold, peer));
                streams.insert(stream.id, Arc::clone(&shared));
                shared
            }
        };
        let mut state = shared.state();
        let most = ingest.options().limits.put_media_connections;
        if state.connections >= most {
            return Err(IngestError::Connections { stream: stream.name.clone(), most });
        }
        state.connections += 1;
        drop(state);
        Ok(Self { shared, connection })
    }

    /// Numbers a fragment that begins. One of another connection that is not whole and does not begin before
    /// this one is given up: its producer has come back and sends it again.
    pub(super) fn begin(&self, begun: &Begun) -> Turn {
        let shared = &self.shared;
        let now = shared.ingest.options().clock.now();
        let mut state = shared.state();
        state.open.retain(|_, open| {
            open.whole || open.connection == self.connection || open.producer < begun.producer
        });
        let number = state.given.next(now);
        let open = Open { connection: self.connection, producer: begun.producer, whole: false };
        state.open.insert(number, open);
        drop(state);
        shared.closed.notify_waiters();
        let head = LiveHead {
            info: &begun.header.info,
            described: &begun.header.described,
            number,
            server_timestamp: number.server_timestamp(),
            producer_timestamp: begun.producer,
            tags: &begun.tags,
            timestamp: begun.timecode,
        };
        let live = Arc::new(LiveFragment::new(number, number.server_timestamp(), head.head()));
        shared.live.begin(Arc::clone(&live));
        Turn { shared: Arc::clone(shared), number, live }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let shared = &self.shared;
        // Whoever comes next finds either this stream's connections, or nobody holding it.
        let mut streams = lock(shared.ingest.put_streams());
        let mut state = shared.state();
        state.connections -= 1;
        if state.connections == 0 {
            streams.remove(&shared.stream.id);
            state.hold = None;
            shared.health.ended(shared.ingest.options().clock.now(), Ended::Disconnected);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.shared.state().open.remove(&self.number);
        self.shared.closed.notify_waiters();
        self.shared.live.abandon(&self.live);
    }
}

impl Turn {
    /// Takes a block of the open fragment.
    pub(super) fn block(&self, block: &media::mkv::Block) {
        let clock = &self.shared.ingest.options().clock;
        self.shared.health.frame(crate::time::micros(clock.monotonic()), block.key, false);
        self.live.push(block.element.clone());
        self.shared.live.ring();
    }

    /// The fragment is whole.
    ///
    /// # Errors
    /// [`ErrorId::StreamRead`] where it was given up meanwhile.
    pub(super) fn whole(&self) -> Result<(), Refusal> {
        let mut state = self.shared.state();
        let Some(open) = state.open.get_mut(&self.number) else {
            let text =
                "another connection sends this fragment again, or one after it: this connection was too slow";
            return Err(Refusal::new(ErrorId::StreamRead, text));
        };
        open.whole = true;
        Ok(())
    }

    /// Stores the fragment, once those before it are stored or given up. Gives the number under which it is
    /// on disk: an earlier one where it was sent before; none where the stream keeps nothing.
    ///
    /// # Errors
    /// [`Refusal`]: it is not stored.
    pub(super) async fn store(
        &self,
        cluster: &Cluster,
        timecodes: Timecodes,
        principal: &Principal,
    ) -> Result<Option<FragmentNumber>, Refusal> {
        self.first().await;
        let shared = &self.shared;
        let stream = shared.ingest.permitted(&shared.stream, principal)?;
        if let Some(number) = shared.sent_before(cluster).await {
            // Who watches goes on from the one that is stored.
            shared.live.abandon(&self.live);
            return Ok(Some(number));
        }
        let synced = shared.ingest.options().clock.synchronized();
        let (meta, file, timeline) = shared.state().timeline.place(self.number, cluster, timecodes, synced);
        shared.health.fragment(&meta, clock(&meta));
        let lane = stored::lane(&stream);
        if let Some(lane) = lane {
            let options = shared.ingest.options();
            let began = options.clock.monotonic();
            let entries = stored::entries(stream.id, &meta, file);
            if let Err(source) = options.log.append(lane, entries).await {
                return Err(shared.not_stored(source).into());
            }
            let took = options.clock.monotonic().saturating_sub(began);
            shared.health.stored(Stored { number: self.number, acked: options.clock.now(), took });
        }
        let mut state = shared.state();
        state.latest = state.latest.max(Some(meta.producer_timestamp));
        state.timeline = timeline;
        drop(state);
        shared.live.complete(&self.live, cluster.late.clone(), lane.is_some());
        Ok(lane.map(|_| self.number))
    }

    /// Resolves when no earlier fragment is open. Those that are not whole after a while are given up.
    async fn first(&self) {
        let mut patience = pin!(sleep(PATIENCE));
        let mut patient = true;
        loop {
            let closed = self.shared.closed.notified();
            if self.shared.state().open.first_key_value().is_none_or(|(first, _)| *first >= self.number) {
                return;
            }
            tokio::select! {
                () = closed => {}
                () = &mut patience, if patient => {
                    patient = false;
                    self.shared.state().open.retain(|number, open| *number >= self.number || open.whole);
                }
            }
        }
    }
}

impl Shared {
    fn new(ingest: &Ingest, stream: &Arc<Stream>, hold: Hold, peer: SocketAddr) -> Self {
        let options = ingest.options();
        let health = ingest.health_of(stream.id);
        health.connected(peer, options.clock.now());
        let numbers = Numbers::resume(ingest, stream);
        let state = State {
            connections: 0,
            hold: Some(hold),
            given: numbers.clone(),
            timeline: Timeline::new(numbers),
            latest: options.resume.last(stream.id).map(|meta| meta.producer_timestamp),
            open: BTreeMap::new(),
        };
        Self {
            ingest: ingest.clone(),
            live: ingest.live(stream.id),
            stream: Arc::clone(stream),
            health,
            state: Mutex::new(state),
            closed: Notify::new(),
        }
    }

    pub(super) fn stream(&self) -> &Arc<Stream> {
        &self.stream
    }

    /// The number of a stored fragment that is this one, byte for byte, at the same time.
    async fn sent_before(&self, cluster: &Cluster) -> Option<FragmentNumber> {
        let producer = cluster.begun.producer;
        if self.state().latest.is_none_or(|latest| latest < producer) {
            return None;
        }
        let received = cluster.received();
        let found = self.ingest.options().resume.made_at(self.stream.id, producer).await;
        found.into_iter().find(|(_, file)| has_media(file, &received)).map(|(number, _)| number)
    }

    fn not_stored(&self, source: LogError) -> IngestError {
        let stream = self.stream.name.clone();
        match source {
            LogError::NoKey(_) => IngestError::Deleted(stream),
            LogError::Full { .. } => {
                self.health.dropped();
                IngestError::Log { stream, source }
            }
            source => IngestError::Log { stream, source },
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// A producer's clock, of which nothing else is known.
fn clock(meta: &FragmentMeta) -> ClockHealth {
    ClockHealth {
        source: meta.clock_source,
        offset_ms: None,
        drift_ppm: None,
        reports_untrusted: false,
        rate_mismatch: false,
        skew_clamped: false,
        server_synced: meta.server_clock_synced,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
