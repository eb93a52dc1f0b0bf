//! The crate's face: every delivery stream of the catalog, running.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::{Arn, Clock, Entropy, StreamId, Timestamp};
use catalog::{Catalog, Delivery, DeliverySource};
use futures::future::try_join_all;
use outbound::{Client, Url};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use crate::destination::{self, Destination, Services};
use crate::line::{Line, Shared};
use crate::room::Room;
use crate::source::{SourceStream, Streams};
use crate::status::{Board, LastError, OutletStatus};
use crate::store::{NoStore, ObjectStore};

/// Between two looks for a source that is gone.
const LOOK: Duration = Duration::from_secs(1);

/// What deliveries need of the server.
pub struct Options {
    /// Which delivery streams there are; their checkpoints.
    pub catalog: Arc<Catalog>,
    /// Where records come from.
    pub streams: Arc<dyn Streams>,
    /// Where objects go, if anywhere.
    pub store: Option<Arc<dyn ObjectStore>>,
    /// What reaches HTTP endpoints.
    pub client: Client,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where jitter comes from.
    pub entropy: Arc<dyn Entropy>,
    /// MiB that all shipments on their way may take together; a larger one goes alone.
    pub memory_mib: u32,
}

/// All delivery streams. Share it as `Arc<Deliveries>`.
pub struct Deliveries {
    shared: Arc<Shared>,
    has_store: bool,
    boards: Mutex<HashMap<(StreamId, u8), Arc<Board>>>,
}

impl Deliveries {
    /// Delivers nothing before [`Self::run`].
    pub fn new(options: Options) -> Arc<Self> {
        let Options { catalog, streams, store, client, clock, entropy, memory_mib } = options;
        let has_store = store.is_some();
        let store = store.unwrap_or_else(|| Arc::new(NoStore));
        let services = Arc::new(Services { clock: Arc::clone(&clock), store, client });
        let (memory, retries) = (Room::new(memory_mib), Room::new(memory_mib / 2));
        let shared = Shared { catalog, streams, clock, entropy, services, memory, retries };
        Arc::new(Self { shared: Arc::new(shared), has_store, boards: Mutex::default() })
    }

    /// Whether objects can be stored: every delivery stream needs that.
    pub fn has_store(&self) -> bool {
        self.has_store
    }

    /// Whether an HTTP endpoint at this URL may be delivered to, as far as the URL alone tells; names are looked
    /// up, and their addresses checked, with every connection.
    ///
    /// # Errors
    /// Why not, for people.
    pub fn check_endpoint(&self, url: &str) -> Result<(), String> {
        let url = Url::parse(url).map_err(|error| format!("The endpoint's URL {error}."))?;
        self.shared.services.client.check(&url).map_err(|error| error.to_string())
    }

    /// Runs every delivery stream that there is, and those that come, until told to stop. What is on its way
    /// then is delivered again after the next start, in its own place.
    pub async fn run(self: Arc<Self>, mut stopped: watch::Receiver<bool>) {
        let mut changes = self.shared.catalog.deliveries();
        let mut tasks = JoinSet::new();
        let mut running: HashMap<StreamId, AbortHandle> = HashMap::new();
        loop {
            let now = Arc::clone(&changes.borrow_and_update());
            let there: BTreeSet<_> = now.values().map(|delivery| delivery.id).collect();
            running.retain(|id, task| {
                let stays = there.contains(id);
                if !stays {
                    task.abort();
                }
                stays
            });
            self.boards().retain(|(id, _), _| there.contains(id));
            for id in there {
                let start = || tasks.spawn(Arc::clone(&self).deliver(id));
                running.entry(id).or_insert_with(start);
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                // An error means that the server is gone, too.
                _ = stopped.wait_for(|stop| *stop) => return,
                Some(ended) = tasks.join_next(), if !tasks.is_empty() => {
                    if let Err(error) = ended && error.is_panic() {
                        tracing::error!(%error, "a delivery stream's task panicked; it goes on after a restart");
                    }
                }
            }
        }
    }

    /// What each outlet of a delivery stream has done since the server started.
    pub fn status(&self, delivery: &Delivery) -> Vec<OutletStatus> {
        (0..delivery.outlets()).map(|outlet| self.board(delivery.id, outlet).read()).collect()
    }

    /// One delivery stream, for as long as it is there.
    async fn deliver(self: Arc<Self>, id: StreamId) {
        while let Some(delivery) = self.shared.catalog.delivery_by_id(id) {
            match self.attach(&delivery) {
                Ok(lines) => match try_join_all(lines.into_iter().map(Line::run)).await {
                    // All have ended, with nothing on its way: the delivery stream was changed.
                    Ok(_) => continue,
                    Err(error) => self.tell(&delivery, &error.to_string()),
                },
                Err(why) => self.tell(&delivery, &why),
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// A line for each shard of the source and each outlet.
    fn attach(&self, delivery: &Arc<Delivery>) -> Result<Vec<Line>, String> {
        let source = self.source(delivery)?;
        let mut lines = Vec::new();
        for outlet in 0..delivery.outlets() {
            let destination = destination::of_outlet(delivery, outlet, &self.shared.services)?;
            for shard in &source.stream.shards {
                lines.push(self.line(delivery, (outlet, &destination), &source, shard.id));
            }
        }
        Ok(lines)
    }

    fn line(
        &self,
        delivery: &Arc<Delivery>,
        (outlet, destination): (u8, &Arc<dyn Destination>),
        source: &SourceStream,
        shard: u32,
    ) -> Line {
        let (next, arrived) = self.place(delivery, outlet, source, shard);
        let board = self.board(delivery.id, outlet);
        let place = (source.clone(), shard);
        Line::new(
            (Arc::clone(&self.shared), Arc::clone(delivery), board),
            (outlet, Arc::clone(destination)),
            place,
            next,
            arrived,
        )
    }

    /// Where a line goes on: after what it has delivered of this source, or where the delivery stream began to
    /// read it. A source that was made anew since is read from its beginning.
    fn place(&self, delivery: &Delivery, outlet: u8, source: &SourceStream, shard: u32) -> (u64, Timestamp) {
        let known = self.shared.catalog.checkpoint(delivery.id, outlet, shard);
        if let Some(checkpoint) = known.filter(|known| known.source == source.stream.id) {
            return (checkpoint.next, checkpoint.arrived);
        }
        let next = match &delivery.configuration.source {
            DeliverySource::Stream { stream, start, .. } if *stream == source.stream.id => {
                start.get(&shard).copied().unwrap_or(0)
            }
            DeliverySource::Stream { .. } | DeliverySource::DirectPut { .. } => 0,
        };
        (next, delivery.created)
    }

    fn source(&self, delivery: &Delivery) -> Result<SourceStream, String> {
        match &delivery.configuration.source {
            DeliverySource::DirectPut { .. } => {
                Ok(SourceStream { stream: Arc::new(delivery.records()), fragments: false })
            }
            DeliverySource::Stream { arn, .. } => {
                let parsed: Option<Arn> = arn.parse().ok();
                let found = parsed.and_then(|arn| self.shared.streams.find(&arn));
                found.ok_or_else(|| format!("the source stream {arn} does not exist"))
            }
        }
    }

    fn tell(&self, delivery: &Delivery, text: &str) {
        let at = self.shared.clock.now();
        let board = self.board(delivery.id, 0);
        if board.read().last_error.is_none_or(|last| last.text != text) {
            tracing::warn!(delivery_stream = %delivery.configuration.name, error = text, "nothing is delivered");
        }
        board.update(|status| status.last_error = Some(LastError { at, text: text.to_owned() }));
    }

    fn board(&self, delivery: StreamId, outlet: u8) -> Arc<Board> {
        Arc::clone(self.boards().entry((delivery, outlet)).or_default())
    }

    fn boards(&self) -> std::sync::MutexGuard<'_, HashMap<(StreamId, u8), Arc<Board>>> {
        self.boards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
