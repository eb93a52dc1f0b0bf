//! The whole API over a data folder with footage in it, without a socket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use ::firehose::{Deliveries, Failure, Object, ObjectStore};
use axum::Router;
use axum::body::Body;
use base::{Clock, Entropy, FragmentMeta, Limits, StreamId, SystemEntropy};
use bytes::Bytes;
use catalog::{Catalog, CatalogOptions};
use data_streams::DataStreams;
use fixtures::{Clip, FakeClock};
use fragment_log::{Entry, FrameKind, LaneId, Log, MasterKey, Options, RetentionClass};
use futures::future::BoxFuture;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use indexer::{Indexer, IndexerOptions};
use ingest::onvif::{Discovery, DiscoveryOptions};
use ingest::pull::{AddressRules, PullOptions, Pullers, Timing, tls};
use ingest::{Ingest, IngestOptions, Resume, TimestampSource, whip};
use playback::Playback;
use serde_json::Value;

use crate::app::{App, Arrival, BaseUrls};
use crate::auth::sigv4::signer::{Credentials, Scope, sign};
use crate::metrics::Metrics;
use crate::native::SignInLinks;
use crate::router::router;
use crate::seal::Sealer;
use crate::streams::{FragmentReads, RecordReader};
use crate::webhooks::Webhooks;

/// Base64 of 32 bytes.
const MASTER: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
const RETENTION: Duration = Duration::from_hours(240);
const HOST: &str = "127.0.0.1:4567";

pub(crate) struct World {
    pub(crate) app: Arc<App>,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) root: Credentials,
    router: Router,
    _dir: tempfile::TempDir,
}

/// Nothing is recorded here: there is nothing to go on from.
struct Afresh;

impl Resume for Afresh {
    fn last(&self, _: StreamId) -> Option<FragmentMeta> {
        None
    }
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    /// What an error says.
    pub(crate) fn refusal(&self) -> String {
        self.json()["error"]["message"].as_str().unwrap().to_owned()
    }
}

impl World {
    /// With a stream `door`, in it the first `fragments` of the default clip, and as much time gone by.
    pub(crate) async fn with(fragments: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(FakeClock::default());
        let app = open(dir.path(), Arc::clone(&clock) as Arc<dyn Clock>);
        let key = app.catalog.create_access_key(None, None).await.unwrap();
        let root = Credentials { access_key_id: key.id.clone(), secret: key.secret.expose().to_owned() };
        let router = router(Arc::clone(&app));
        let world = Self { app, clock, root, router, _dir: dir };
        let made = world.signed(Method::PUT, "/v1/streams/door", r#"{"retention_hours": 240}"#).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
        let id = world.app.catalog.streams().values().next().unwrap().id;
        for index in 0..fragments {
            world.record(id, index).await;
        }
        world.clock.advance(Duration::from_secs(2 * fragments + 1));
        world
    }

    async fn record(&self, stream: StreamId, index: u64) {
        let (meta, file) = Clip::default().fragment(index);
        let entry = |kind, count, payload| Entry {
            kind,
            stream,
            shard: 0,
            first_sequence: meta.number.to_u64(),
            count,
            server_time: meta.server_timestamp,
            producer_time: meta.producer_timestamp,
            flags: 0,
            payload,
        };
        let commit = Bytes::from(meta.pack());
        let entries = vec![entry(FrameKind::Media, 0, file), entry(FrameKind::FragmentMeta, 1, vec![commit])];
        let lane = LaneId::Bulk(RetentionClass::class_for(RETENTION));
        self.app.log.append(lane, entries).await.unwrap();
    }

    /// Sends a request over HTTP as it is.
    pub(crate) async fn send(&self, mut request: Request<Body>) -> Answer {
        let peer: SocketAddr = "127.0.0.1:50000".parse().unwrap();
        request.extensions_mut().insert(Arrival { peer, tls: false });
        let answer = TowerToHyperService::new(self.router.clone()).call(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// Signed with the access key.
    pub(crate) async fn signed(&self, method: Method, path: &str, body: &str) -> Answer {
        let builder = Request::builder().method(method).uri(path).header("host", HOST);
        let (mut parts, ()) = builder.body(()).unwrap().into_parts();
        let scope = Scope { region: "us-east-1", service: "kinesisvideo" };
        sign(&mut parts, body.as_bytes(), &self.root, scope, self.clock.now());
        self.send(Request::from_parts(parts, Body::from(body.to_owned()))).await
    }

    /// An operation of Kinesis Data Streams, in JSON 1.1.
    pub(crate) async fn kinesis(&self, operation: &str, input: &Value) -> Answer {
        self.target("kinesis", &format!("Kinesis_20131202.{operation}"), input).await
    }

    /// An operation of Firehose, in JSON 1.1.
    pub(crate) async fn firehose(&self, operation: &str, input: &Value) -> Answer {
        self.target("firehose", &format!("Firehose_20150804.{operation}"), input).await
    }

    async fn target(&self, service: &str, target: &str, input: &Value) -> Answer {
        let builder = Request::post("/").header("host", HOST);
        let builder = builder.header("x-amz-target", target);
        let (mut parts, ()) =
            builder.header("content-type", "application/x-amz-json-1.1").body(()).unwrap().into_parts();
        let (body, scope) = (input.to_string(), Scope { region: "us-east-1", service });
        sign(&mut parts, body.as_bytes(), &self.root, scope, self.clock.now());
        self.send(Request::from_parts(parts, Body::from(body))).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.signed(Method::GET, path, "").await
    }

    /// Without a signature, with these headers.
    pub(crate) async fn plain(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let builder = Request::builder().method(method).uri(path).header("host", HOST);
        let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
        self.send(builder.body(Body::empty()).unwrap()).await
    }

    /// With a device's bearer token, `Bearer …`.
    pub(crate) async fn device(&self, method: Method, path: &str, token: &str, body: &str) -> Answer {
        let builder = Request::builder().method(method).uri(path).header("host", HOST);
        let request = builder.header("authorization", token).body(Body::from(body.to_owned()));
        self.send(request.unwrap()).await
    }

    /// Makes a signed URL and gives what follows the host.
    pub(crate) async fn url(&self, body: &str) -> String {
        let answer = self.signed(Method::POST, "/v1/streams/door/urls", body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        let url = answer.json()["url"].as_str().unwrap().to_owned();
        url.strip_prefix(&format!("http://{HOST}")).unwrap().to_owned()
    }
}

fn reader(
    catalog: &Arc<Catalog>,
    data_streams: &Arc<DataStreams>,
    indexer: &Arc<Indexer>,
    clock: &Arc<dyn Clock>,
    ingest: &Ingest,
) -> Arc<RecordReader> {
    Arc::new(RecordReader {
        catalog: Arc::clone(catalog),
        data_streams: Arc::clone(data_streams),
        indexer: Arc::clone(indexer),
        clock: Arc::clone(clock),
        fragment_reads: FragmentReads::default(),
        ingest: ingest.clone(),
    })
}

/// They do not run.
fn deliveries(records: &Arc<RecordReader>, entropy: &Arc<dyn Entropy>) -> Arc<Deliveries> {
    let only_loopback = AddressRules { allow: vec!["127.0.0.0/8".parse().unwrap()], own: Vec::new() };
    Deliveries::new(::firehose::Options {
        catalog: Arc::clone(&records.catalog),
        streams: Arc::clone(records) as _,
        store: Some(Arc::default() as Arc<Objects>),
        client: outbound::Client::new(only_loopback, Duration::from_secs(10)),
        clock: Arc::clone(&records.clock),
        entropy: Arc::clone(entropy),
        memory_mib: 64,
    })
}

/// A store that keeps everything.
#[derive(Default)]
struct Objects;

impl ObjectStore for Objects {
    fn put<'a>(&'a self, _: &'a str, _: Object) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async { Ok(()) })
    }
}

/// A free port for media, of which none comes here.
fn port() -> tokio::net::UdpSocket {
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.set_nonblocking(true).unwrap();
    tokio::net::UdpSocket::from_std(udp).unwrap()
}

/// A port that is let go again.
fn silent_address() -> SocketAddr {
    std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// What speaks to others: nobody answers here.
fn outbound(clock: &Arc<dyn Clock>, entropy: &Arc<dyn Entropy>) -> (Discovery, Arc<Webhooks>) {
    let client = outbound::Client::new(AddressRules::default(), Duration::from_secs(10));
    let discovery = Discovery::new(DiscoveryOptions {
        // Nobody answers there.
        to: silent_address(),
        interfaces: Vec::new(),
        client: client.clone(),
        clock: Arc::clone(clock),
        entropy: Arc::clone(entropy),
    });
    let webhooks = Webhooks::new(client, Arc::clone(clock), Arc::clone(entropy), Vec::new());
    (discovery, webhooks)
}

fn urls() -> BaseUrls {
    BaseUrls {
        http: format!("http://{HOST}"),
        https: "https://127.0.0.1:4568".into(),
        rtsp: "rtsp://127.0.0.1:8554".into(),
        rtsps: "rtsps://127.0.0.1:8322".into(),
    }
}

fn open_log(dir: &std::path::Path, clock: &Arc<dyn Clock>) -> Arc<Log> {
    let master = MasterKey::from_base64(MASTER).unwrap();
    Arc::new(Log::open(Options { clock: Arc::clone(clock), ..Options::new(dir, master) }).unwrap())
}

fn open(dir: &std::path::Path, clock: Arc<dyn Clock>) -> Arc<App> {
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let log = open_log(dir, &clock);
    let options = CatalogOptions {
        dir: dir.join("index"),
        account: "000000000000".into(),
        region: "us-east-1".into(),
        clock: Arc::clone(&clock),
        entropy: Arc::clone(&entropy),
        limits: Limits::default(),
        device_retention: RETENTION,
    };
    let catalog = Catalog::open(Arc::clone(&log), options).unwrap();
    let data_streams = DataStreams::open(Arc::clone(&log), Arc::clone(&catalog), Arc::clone(&clock)).unwrap();
    let options = IndexerOptions { dir: dir.join("index"), clock: Arc::clone(&clock) };
    let indexer = Indexer::open(Arc::clone(&log), Arc::clone(&catalog), options).unwrap();
    let ingest = Ingest::new(IngestOptions {
        log: Arc::clone(&log),
        catalog: Arc::clone(&catalog),
        clock: Arc::clone(&clock),
        limits: Arc::new(Limits::default()),
        resume: Arc::new(Afresh),
        timestamps: TimestampSource::default(),
    });
    let options = whip::Options {
        ingest: ingest.clone(),
        catalog: Arc::clone(&catalog),
        clock: Arc::clone(&clock),
        entropy: Arc::clone(&entropy),
        limits: Arc::new(Limits::default()),
    };
    let pullers = Pullers::new(PullOptions {
        ingest: ingest.clone(),
        catalog: Arc::clone(&catalog),
        clock: Arc::clone(&clock),
        entropy: Arc::clone(&entropy),
        limits: Arc::new(Limits::default()),
        rules: AddressRules { allow: Vec::new(), own: vec!["127.0.0.1:8554".parse().unwrap()] },
        tls: tls::client_config(None).unwrap(),
        timing: Timing::default(),
    });
    let (discovery, webhooks) = outbound(&clock, &entropy);
    let records = reader(&catalog, &data_streams, &indexer, &clock, &ingest);
    Arc::new(App {
        discovery,
        webhooks,
        deliveries: deliveries(&records, &entropy),
        whip: whip::Server::new(options, port(), &["127.0.0.1".parse().unwrap()]).unwrap(),
        playback: Arc::new(Playback::new(Arc::clone(&log), Arc::clone(&indexer), Arc::clone(&clock))),
        sealer: Sealer::new(Arc::clone(&log)),
        clock,
        entropy,
        limits: Limits::default(),
        account: "000000000000".into(),
        region: "us-east-1".into(),
        urls: urls(),
        log,
        catalog,
        data_streams,
        records,
        subscriptions: Arc::default(),
        indexer,
        ingest,
        pullers,
        device_retention: RETENTION,
        metrics: Metrics::default(),
        sign_in_links: SignInLinks::default(),
        ready: AtomicBool::new(true),
    })
}
