//! The running server: from a configuration to listeners, and back to nothing.
//!
//! Start: log → catalog → what a crash left open → index → ingest → listeners → `addresses.json` → ready. Stop: no new work,
//! open fragments closed and stored, views written, exit.

mod deliveries;
#[cfg(feature = "gstreamer")]
mod demo;
mod discovery;
mod error;
mod http;
mod listeners;
mod pull;
mod space;
mod storage;
#[cfg(test)]
mod tests;
pub mod tls;
mod webrtc;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base::{Clock, Entropy, FragmentMeta, StreamId, StreamName, Timestamp};
use catalog::NewSource;
use fragment_log::Log;
use indexer::{ClockKind, Indexer, Window};
use ingest::pull::{AddressRules, PullOptions, Pullers, Timing};
use ingest::{Ingest, IngestOptions, Resume, StoredFile, rtsp, whip};
use playback::Playback;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::app::App;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::native::SignInLinks;
use crate::router::router;
use crate::seal::Sealer;
use crate::streams::{FragmentReads, RecordReader};
use crate::webhooks::{self, Webhook, Webhooks};

use self::deliveries::Reach;
use self::http::HttpServer;
pub use error::ServerError;
use listeners::Listeners;
use tls::Certificates;

pub use listeners::Addresses;
use storage::Storage;

pub use storage::{index_dir, master_key, open_catalog, open_log};

/// The file in the data folder that says where the server listens.
pub const ADDRESSES: &str = "addresses.json";
/// All that is open may take this long to end, so that the process is gone within ten seconds.
const DRAIN: Duration = Duration::from_secs(8);

/// A server that accepts work.
pub struct Server {
    app: Arc<App>,
    addresses: Addresses,
    addresses_file: PathBuf,
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Server {
    /// Opens the data folder and the listeners.
    ///
    /// # Errors
    /// [`ServerError`]: what could not be opened, and what to do.
    pub async fn start(
        config: Config,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, ServerError> {
        let storage = storage::open(&config, &clock, &entropy).await?;
        let addresses_file = config.data.join(ADDRESSES);
        // One that a crash has left behind would name a server that is gone.
        match std::fs::remove_file(&addresses_file) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(ServerError::File { path: addresses_file, source: error });
            }
            Ok(()) | Err(_) => {}
        }
        let (listeners, udp) = Listeners::bind(&config).await?;
        let addresses = listeners.addresses().map_err(ServerError::file(&config.data))?;
        let names = tls::names(&config);
        let certificates = Certificates::load(&config, &names, &*clock)?;
        let tls = pull::tls(&config)?;
        let reach = deliveries::reach(&config).await?;
        let app = assemble(&config, storage, &addresses, (udp, tls, reach), (clock, entropy))?;
        let (stop, stopped) = watch::channel(false);
        let keep = space::Keep { floor: config.free_floor, reserve: config.reserve };
        #[cfg_attr(not(feature = "gstreamer"), expect(unused_mut, reason = "only the demo adds to them"))]
        let mut tasks = spawn(&app, listeners, certificates, keep, &stopped);
        #[cfg(feature = "gstreamer")]
        if config.demo {
            tasks.spawn(demo::camera(&app, &addresses, stopped).await?);
        }
        addresses.write(&addresses_file)?;
        app.ready.store(true, Ordering::Release);
        Ok(Self { app, addresses, addresses_file, tasks, stop })
    }

    /// Pulls from the sources of a configuration file that was read again.
    pub fn configure_sources(&self, sources: BTreeMap<StreamName, NewSource>) {
        self.app.pullers.configure(sources);
    }

    /// Posts to the webhooks of a configuration file that was read again.
    pub fn configure_webhooks(&self, webhooks: Vec<Webhook>) {
        self.app.webhooks.configure(webhooks);
    }

    /// Where it listens.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// What clients call it.
    pub fn url(&self) -> &str {
        &self.app.urls.http
    }

    /// A one-time link that signs the holder of the root key in.
    pub fn sign_in_link(&self) -> Option<String> {
        let app = &self.app;
        let keys = app.catalog.access_keys();
        let root = keys.iter().find(|key| key.root && key.revoked.is_none())?;
        let path = app.sign_in_links.make(&*app.clock, &*app.entropy, &root.id);
        Some(format!("{}{path}", app.urls.http))
    }

    /// Stops: takes no new work, ends what is open, writes what is in memory.
    pub async fn stop(mut self) {
        self.app.ready.store(false, Ordering::Release);
        self.stop.send_replace(true);
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, ended).await.is_err() {
            tracing::warn!(open = self.tasks.len(), "not everything ended in time: closing all the same");
            self.tasks.abort_all();
        }
        let (indexer, log) = (Arc::clone(&self.app.indexer), Arc::clone(&self.app.log));
        let closed = tokio::task::spawn_blocking(move || {
            indexer.close();
            log.close();
        });
        if let Err(error) = closed.await {
            tracing::error!(%error, "closing the data folder failed");
        }
        if let Err(error) = std::fs::remove_file(&self.addresses_file) {
            tracing::warn!(%error, path = %self.addresses_file.display(), "not removed");
        }
    }
}

/// Where numbers go on after a restart, and what a producer has sent before.
struct Recorded {
    indexer: Arc<Indexer>,
    log: Arc<Log>,
}

/// Fragments that are made in one millisecond and looked at.
const AT_ONCE: usize = 8;

impl Resume for Recorded {
    fn last(&self, stream: StreamId) -> Option<FragmentMeta> {
        self.indexer.last_recorded(stream).map(|entry| entry.meta.clone())
    }

    fn made_at(
        &self,
        stream: StreamId,
        producer: Timestamp,
    ) -> Pin<Box<dyn Future<Output = Vec<StoredFile>> + Send + '_>> {
        Box::pin(async move {
            let window = Window { clock: ClockKind::Producer, start: Some(producer), end: Some(producer) };
            let found = self.indexer.range(stream, window, None, AT_ONCE).await.unwrap_or_default();
            let mut files = Vec::new();
            for entry in found {
                // One that does not read is no reason to keep nothing.
                if let Ok(file) = self.log.read_all(&entry.pieces).await {
                    files.push((entry.meta.number, file));
                }
            }
            files
        })
    }
}

fn assemble(
    config: &Config,
    storage: Storage,
    addresses: &Addresses,
    (udp, tls, reach): (UdpSocket, Arc<rustls::ClientConfig>, Reach),
    (clock, entropy): (Arc<dyn Clock>, Arc<dyn Entropy>),
) -> Result<Arc<App>, ServerError> {
    let Storage { log, catalog, data_streams, indexer, recovered } = storage;
    let limits = Arc::new(config.limits.clone());
    let ingest = Ingest::new(IngestOptions {
        log: Arc::clone(&log),
        catalog: Arc::clone(&catalog),
        clock: Arc::clone(&clock),
        limits: Arc::clone(&limits),
        resume: Arc::new(Recorded { indexer: Arc::clone(&indexer), log: Arc::clone(&log) }),
        timestamps: config.timestamps,
    });
    let options = whip::Options {
        ingest: ingest.clone(),
        catalog: Arc::clone(&catalog),
        clock: Arc::clone(&clock),
        entropy: Arc::clone(&entropy),
        limits: Arc::clone(&limits),
    };
    let whip = webrtc::server(config, addresses.webrtc, udp, options)?;
    let rules = AddressRules { allow: config.pull_allow.clone(), own: addresses.all().to_vec() };
    let own = (Arc::clone(&clock), Arc::clone(&entropy));
    let discovery = discovery::discovery(config, rules.clone(), Arc::clone(&tls), own);
    let pullers = Pullers::new(PullOptions {
        ingest: ingest.clone(),
        catalog: Arc::clone(&catalog),
        clock: Arc::clone(&clock),
        entropy: Arc::clone(&entropy),
        limits,
        rules,
        tls,
        timing: Timing::default(),
    });
    pullers.configure(config.sources.clone());
    let records = Arc::new(RecordReader {
        catalog: Arc::clone(&catalog),
        data_streams: Arc::clone(&data_streams),
        indexer: Arc::clone(&indexer),
        clock: Arc::clone(&clock),
        fragment_reads: FragmentReads::default(),
        ingest: ingest.clone(),
    });
    let deliveries = reach.deliveries(config, &records, &entropy);
    Ok(Arc::new(App {
        discovery,
        webhooks: webhooks(config, &clock, &entropy),
        whip,
        playback: Arc::new(Playback::new(Arc::clone(&log), Arc::clone(&indexer), Arc::clone(&clock))),
        sealer: Sealer::new(Arc::clone(&log)),
        clock,
        entropy,
        limits: config.limits.clone(),
        account: config.account.0.clone(),
        region: config.region.0.clone(),
        urls: listeners::base_urls(config, addresses),
        log,
        catalog,
        data_streams,
        records,
        deliveries,
        subscriptions: Arc::default(),
        indexer,
        ingest,
        pullers,
        device_retention: config.device_retention,
        metrics: Metrics::new(recovered),
        sign_in_links: SignInLinks::default(),
        ready: AtomicBool::new(false),
    }))
}

fn webhooks(config: &Config, clock: &Arc<dyn Clock>, entropy: &Arc<dyn Entropy>) -> Arc<Webhooks> {
    let rules = AddressRules { allow: config.outbound_allow.clone(), own: Vec::new() };
    let client = outbound::Client::new(rules, webhooks::TIMEOUT);
    Webhooks::new(client, Arc::clone(clock), Arc::clone(entropy), config.webhooks.clone())
}

/// Starts everything that runs until the server stops.
fn spawn(
    app: &Arc<App>,
    listeners: Listeners,
    certificates: Certificates,
    keep: space::Keep,
    stopped: &watch::Receiver<bool>,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let Listeners { http, https, rtsp, rtsps, webrtc } = listeners;
    let router = router(Arc::clone(app));
    let server = HttpServer::new(router.clone(), Arc::clone(app), None);
    tasks.spawn(server.serve(http, stopped.clone()));
    let server = HttpServer::new(router, Arc::clone(app), Some(certificates.http));
    tasks.spawn(server.serve(https, stopped.clone()));

    let limits = Arc::new(app.limits.clone());
    let (clock, entropy) = (Arc::clone(&app.clock), Arc::clone(&app.entropy));
    let server = rtsp::Server::new(app.ingest.clone(), Arc::clone(&app.catalog), clock, entropy, limits);
    let server = Arc::new(server);
    tasks.spawn(Arc::clone(&server).serve(rtsp, None, stopped.clone()));
    tasks.spawn(server.serve(rtsps, Some(certificates.rtsp), stopped.clone()));

    tasks.spawn(app.pullers.clone().run(stopped.clone()));
    tasks.spawn(Arc::clone(&app.webhooks).run(Arc::clone(app), stopped.clone()));
    tasks.spawn(Arc::clone(&app.deliveries).run(stopped.clone()));
    tasks.spawn(Arc::clone(&app.whip).serve(webrtc, stopped.clone()));
    tasks.spawn(space::keep(Arc::clone(app), keep, stopped.clone()));
    tasks
}

/// Resolves when the server stops.
async fn told_to_stop(stopped: &mut watch::Receiver<bool>) {
    // An error means that its sender is gone: time to stop, too.
    let _ = stopped.wait_for(|stop| *stop).await;
}
