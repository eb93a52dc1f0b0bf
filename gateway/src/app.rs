//! What every handler shares.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base::{Clock, Entropy, Limits};
use catalog::Catalog;
use data_streams::DataStreams;
use firehose::Deliveries;
use fragment_log::{Log, LogError};
use indexer::{IndexError, Indexer, Swept};
use ingest::onvif::Discovery;
use ingest::pull::Pullers;
use ingest::{Ingest, whip};
use playback::Playback;

use crate::metrics::Metrics;
use crate::native::SignInLinks;
use crate::seal::Sealer;
use crate::streams::RecordReader;
use crate::streams::subscriptions::Subscriptions;
use crate::webhooks::Webhooks;

/// The running installation: one per process, shared by all handlers as `State<Arc<App>>`.
pub struct App {
    /// The clock of the installation.
    pub clock: Arc<dyn Clock>,
    /// The randomness of the installation.
    pub entropy: Arc<dyn Entropy>,
    /// What a client may use.
    pub limits: Limits,
    /// The account in ARNs.
    pub account: String,
    /// The region in ARNs.
    pub region: String,
    /// What the listeners are called from outside.
    pub urls: BaseUrls,
    /// The truth.
    pub log: Arc<Log>,
    /// What exists and who may.
    pub catalog: Arc<Catalog>,
    /// Records.
    pub data_streams: Arc<DataStreams>,
    /// Records and fragments, read alike.
    pub records: Arc<RecordReader>,
    /// Delivery streams, running.
    pub deliveries: Arc<Deliveries>,
    /// Who is subscribed to which shard.
    pub subscriptions: Arc<Subscriptions>,
    /// Which fragments.
    pub indexer: Arc<Indexer>,
    /// Fragments in.
    pub ingest: Ingest,
    /// Fragments in from where sources say.
    pub pullers: Pullers,
    /// Which cameras there are on the local network.
    pub discovery: Discovery,
    /// Who is told of changes of streams' states.
    pub webhooks: Arc<Webhooks>,
    /// Publishers that come by WebRTC.
    pub whip: Arc<whip::Server>,
    /// How long streams that are made without a retention keep their footage.
    pub device_retention: Duration,
    /// Fragments out.
    pub playback: Arc<Playback>,
    /// One-time links that sign in.
    pub sign_in_links: SignInLinks,
    /// Values that clients carry and cannot forge.
    pub sealer: Sealer,
    /// The gateway's own counters.
    pub metrics: Metrics,
    /// Whether the server accepts work: false while it starts and drains.
    pub ready: AtomicBool,
}

impl App {
    /// Removes what is not kept any more and gives its space back.
    ///
    /// # Errors
    /// As [`Indexer::sweep`].
    pub async fn sweep(&self) -> Result<Swept, IndexError> {
        let swept = self.indexer.sweep().await?;
        self.metrics.disk.given_back_bytes.fetch_add(swept.bytes, Ordering::Relaxed);
        Ok(swept)
    }

    /// Removes the segments of records of which nothing is kept any more; tells whether there are more.
    ///
    /// # Errors
    /// As [`DataStreams::tidy`] and [`DataStreams::sweep`].
    pub async fn sweep_records(&self) -> Result<bool, LogError> {
        let streams = Arc::clone(&self.data_streams);
        // An error of the join: the runtime ends.
        tokio::task::spawn_blocking(move || streams.tidy()).await.unwrap_or(Ok(()))?;
        let swept = self.data_streams.sweep().await?;
        self.metrics.disk.given_back_bytes.fetch_add(swept.bytes, Ordering::Relaxed);
        Ok(swept.more)
    }

    /// Gives up the oldest footage that is not held, until so many bytes are given back or nothing is left.
    ///
    /// # Errors
    /// As [`Indexer::make_room`].
    pub async fn make_room(&self, bytes: u64) -> Result<Swept, IndexError> {
        let swept = self.indexer.make_room(bytes).await?;
        let disk = &self.metrics.disk;
        disk.given_back_bytes.fetch_add(swept.bytes, Ordering::Relaxed);
        disk.evicted_fragments.fetch_add(swept.fragments, Ordering::Relaxed);
        Ok(swept)
    }
}

/// The base URLs that answers carry, without a trailing slash. Never taken from a Host header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrls {
    /// `http://127.0.0.1:4567`
    pub http: String,
    /// `https://host.example:4568`
    pub https: String,
    /// `rtsp://host.example:8554`
    pub rtsp: String,
    /// `rtsps://host.example:8322`
    pub rtsps: String,
}

impl BaseUrls {
    /// The URL for a caller who came over this kind of connection.
    pub fn of(&self, arrival: &Arrival) -> &str {
        if arrival.tls { &self.https } else { &self.http }
    }
}

/// How a request came in: an extension of every request (`Extension<Arrival>`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The other end.
    pub peer: SocketAddr,
    /// Whether it came over TLS.
    pub tls: bool,
}
