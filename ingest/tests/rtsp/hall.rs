//! A running server on loopback ports, with a log in a temporary folder, and what it recorded.

#![allow(dead_code, reason = "RTSP's tests and WebRTC's use different parts of it")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::{Clock, FragmentMeta, Limits, StreamId, StreamName, SystemClock, SystemEntropy};
use catalog::{Allow, Catalog, CatalogOptions, DeviceCredential, StreamGlob};
use fragment_log::{Durable, Follower, FrameKind, LaneId, Location, Log, MasterKey, Options};
use ingest::rtsp::Server;
use ingest::{Ingest, IngestOptions, Resume, TimestampSource, whip};
use tempfile::TempDir;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// One stored fragment: its metadata and its media's pieces.
#[derive(Clone)]
pub struct Stored {
    pub stream: StreamId,
    pub meta: FragmentMeta,
    pub pieces: Vec<Location>,
}

/// Notes what becomes durable; also tells where numbers go on.
#[derive(Default)]
struct Notes {
    fragments: Mutex<Vec<Stored>>,
    pieces: Mutex<Vec<(StreamId, u64, u32, Location)>>,
}

impl Follower for Notes {
    fn durable(&self, _: LaneId, frames: &[Durable]) {
        for Durable { header, location, payload, .. } in frames {
            let mut pieces = self.pieces.lock().unwrap();
            match header.kind {
                FrameKind::Media => {
                    pieces.push((header.stream, header.first_sequence, header.count, *location));
                }
                FrameKind::FragmentMeta => {
                    let meta = FragmentMeta::unpack(payload.as_ref().unwrap()).unwrap();
                    let own = |(stream, number, ..): &(StreamId, u64, u32, Location)| {
                        *stream == header.stream && *number == header.first_sequence
                    };
                    let mut own: Vec<_> = pieces.extract_if(.., |piece| own(piece)).collect();
                    own.sort_by_key(|(_, _, index, _)| *index);
                    let pieces = own.into_iter().map(|(.., at)| at).collect();
                    self.fragments.lock().unwrap().push(Stored { stream: header.stream, meta, pieces });
                }
                _ => {}
            }
        }
    }
}

impl Resume for Notes {
    fn last(&self, stream: StreamId) -> Option<FragmentMeta> {
        let fragments = self.fragments.lock().unwrap();
        fragments.iter().rev().find(|stored| stored.stream == stream).map(|stored| stored.meta.clone())
    }
}

/// The server and all behind it.
pub struct Hall {
    pub rtsp: SocketAddr,
    pub rtsps: SocketAddr,
    pub webrtc: SocketAddr,
    pub whip: Arc<whip::Server>,
    pub catalog: Arc<Catalog>,
    pub ingest: Ingest,
    pub log: Arc<Log>,
    notes: Arc<Notes>,
    stop: watch::Sender<bool>,
    listeners: Vec<JoinHandle<()>>,
    _folder: TempDir,
}

impl Hall {
    pub async fn open() -> Self {
        Self::with(Limits::default()).await
    }

    pub async fn with(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
        let master = MasterKey::create(&folder.path().join("master.key"), &SystemEntropy).unwrap();
        let log = Arc::new(Log::open(Options::new(folder.path().join("data"), master)).unwrap());
        let notes = Arc::new(Notes::default());
        log.follow(notes.clone());
        let catalog = Catalog::open(
            log.clone(),
            CatalogOptions {
                dir: folder.path().join("data/index"),
                account: "000000000000".into(),
                region: "us-east-1".into(),
                clock: clock.clone(),
                entropy: entropy.clone(),
                limits: limits.clone(),
                device_retention: Duration::from_hours(1),
            },
        )
        .unwrap();
        let limits = Arc::new(limits);
        let ingest = Ingest::new(IngestOptions {
            log: log.clone(),
            catalog: catalog.clone(),
            clock: clock.clone(),
            limits: limits.clone(),
            resume: notes.clone(),
            timestamps: TimestampSource::Auto,
        });
        let options = whip::Options {
            ingest: ingest.clone(),
            catalog: catalog.clone(),
            clock: clock.clone(),
            entropy: entropy.clone(),
            limits: limits.clone(),
        };
        let server = Arc::new(Server::new(ingest.clone(), catalog.clone(), clock, entropy, limits));
        let (stop, shutdown) = watch::channel(false);
        let mut listeners = Vec::new();
        let mut addresses = Vec::new();
        for tls in [None, Some(acceptor())] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            addresses.push(listener.local_addr().unwrap());
            listeners.push(tokio::spawn(server.clone().serve(listener, tls, shutdown.clone())));
        }
        let (rtsp, rtsps) = (addresses[0], addresses[1]);
        let (tcp, udp) = pair().await;
        let webrtc = tcp.local_addr().unwrap();
        let whip = whip::Server::new(options, udp, &[webrtc.ip()]).unwrap();
        listeners.push(tokio::spawn(whip.clone().serve(tcp, shutdown)));
        Self { rtsp, rtsps, webrtc, whip, catalog, ingest, log, notes, stop, listeners, _folder: folder }
    }

    /// A credential for the streams of this pattern.
    pub async fn device(&self, pattern: &str, allow: &str) -> DeviceCredential {
        let allow: Allow = allow.parse().unwrap();
        self.catalog.create_device(StreamGlob::new(pattern).unwrap(), allow).await.unwrap()
    }

    /// The fragments of a stream so far, in order.
    pub fn fragments(&self, stream: &str) -> Vec<Stored> {
        let name = StreamName::new(stream).unwrap();
        let Some(stream) = self.catalog.stream(&name) else { return Vec::new() };
        let fragments = self.notes.fragments.lock().unwrap();
        fragments.iter().filter(|stored| stored.stream == stream.id).cloned().collect()
    }

    /// Waits until nobody publishes to the stream any more.
    pub async fn ended(&self, stream: &str) -> ingest::StreamHealth {
        self.wait(stream, |health| health.state == ingest::StreamState::Offline).await
    }

    /// Waits until frames of the stream arrive.
    pub async fn live(&self, stream: &str) -> ingest::StreamHealth {
        self.wait(stream, |health| health.last_frame.is_some()).await
    }

    async fn wait(&self, stream: &str, is: impl Fn(&ingest::StreamHealth) -> bool) -> ingest::StreamHealth {
        let name = StreamName::new(stream).unwrap();
        let start = SystemClock.monotonic();
        loop {
            let found = self.catalog.stream(&name).and_then(|stream| self.ingest.health(stream.id));
            match found {
                Some(health) if is(&health) => return health,
                other if SystemClock.monotonic() - start > Duration::from_secs(30) => panic!("{other:?}"),
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Stops the server and waits until every connection has ended.
    pub async fn close(self) {
        self.stop.send(true).unwrap();
        for listener in self.listeners {
            tokio::time::timeout(Duration::from_secs(10), listener).await.unwrap().unwrap();
        }
    }
}

/// One free number for both protocols.
async fn pair() -> (TcpListener, UdpSocket) {
    for _ in 0..32 {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
            return (tcp, udp);
        }
    }
    panic!("no number is free for both UDP and TCP");
}

pub fn acceptor() -> TlsAcceptor {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}
