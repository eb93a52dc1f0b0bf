//! What every handler shares.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use base::{Clock, Entropy, Limits};
use catalog::Catalog;
use fragment_log::Log;
use indexer::Indexer;
use ingest::Ingest;
use playback::Playback;

use crate::metrics::Metrics;
use crate::native::SignInLinks;
use crate::seal::Sealer;

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
    /// Which fragments.
    pub indexer: Arc<Indexer>,
    /// Fragments in.
    pub ingest: Ingest,
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
