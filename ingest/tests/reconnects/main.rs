//! Sessions that come and go leave nothing behind: no task, no file descriptor, no thread. In a process of its own, so
//! that nobody else's are counted. `make bench BENCH=reconnects` looks at the memory of ten thousand of them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../rtsp/hall.rs"]
mod hall;

use std::sync::Arc;
use std::time::Duration;

use base::{Limits, StreamName, SystemClock, SystemEntropy, TimestampSource};
use catalog::{NewSource, Secret, SourceTransport};
use fixtures::Camera;
use fixtures::rtsp::{Habits, Misdeed, Push, RtspCamera};
use hall::Hall;
use ingest::pull::{AddressRules, PullOptions, Pullers, Timing, tls};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

const CAMERAS: usize = 10;
const PUSHES: usize = 12;
const PULLS: u64 = 8;
const PICTURES: u64 = 4;

/// What is open in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Open {
    tasks: usize,
    files: usize,
}

impl Open {
    fn now() -> Self {
        let files = std::fs::read_dir("/proc/self/fd").unwrap().count();
        Self { tasks: Handle::current().metrics().num_alive_tasks(), files }
    }

    /// Now, but for what is just being closed.
    async fn when_settled() -> Self {
        sleep(Duration::from_millis(500)).await;
        Self::now()
    }

    /// Waits until no more is open than this.
    async fn is_back(self, after: &str) {
        for _ in 0..500 {
            let now = Self::now();
            if now.tasks <= self.tasks && now.files <= self.files {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("after {after} there is more open than before: {:?}, {self:?} before", Self::now());
    }
}

/// Sessions of every camera at once: every other one says goodbye, the others are cut off.
async fn push(urls: &[String], sessions: usize) {
    let film = Camera { audio: true, delay: Duration::ZERO, jitter: Duration::ZERO, ..Camera::default() };
    let mut cameras = JoinSet::new();
    for url in urls {
        let (push, film) = (Push::parse(url).unwrap(), film.clone());
        cameras.spawn(async move {
            for session in 0..sessions {
                if session % 2 == 0 {
                    assert_eq!(push.run(&film, Some(PICTURES)).await.unwrap(), PICTURES);
                } else {
                    timeout(Duration::from_millis(100), push.run(&film, None)).await.unwrap_err();
                    // Its stream is free again once what it recorded is stored.
                    sleep(Duration::from_millis(300)).await;
                }
            }
        });
    }
    cameras.join_all().await;
}

fn pullers(hall: &Hall) -> Pullers {
    let pause = Duration::from_millis(20);
    Pullers::new(PullOptions {
        ingest: hall.ingest.clone(),
        catalog: Arc::clone(&hall.catalog),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        limits: Arc::new(Limits::default()),
        rules: AddressRules { allow: Vec::new(), own: vec![hall.rtsp] },
        tls: tls::client_config(None).unwrap(),
        timing: Timing { first_retry: pause, last_retry: pause, spread: pause, ..Timing::default() },
    })
}

/// Pulls until each source has been connected to so many times more.
async fn pull(hall: &Hall, pullers: &Pullers, more: u64) {
    let (stop, told) = watch::channel(false);
    let running = tokio::spawn(pullers.clone().run(told));
    let streams: Vec<_> = hall.catalog.sources().borrow().keys().copied().collect();
    let again = || {
        streams.iter().all(|stream| pullers.health(*stream).is_some_and(|health| health.reconnects >= more))
    };
    for _ in 0..1500 {
        if again() {
            stop.send(true).unwrap();
            return running.await.unwrap();
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("the sources are not connected to again: {:?}", pullers.all());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_come_and_go_leave_nothing_behind() {
    let hall = Hall::open().await;
    let device = hall.device("*", "publish,create").await;
    let (user, password) = (device.username.as_str(), device.password.expose());
    let url = |at| format!("rtsp://{user}:{password}@{}/pushed-{at}", hall.rtsp);
    let urls: Vec<String> = (0..CAMERAS).map(url).collect();
    push(&urls, 2).await;
    let before = Open::when_settled().await;
    push(&urls, PUSHES).await;
    before.is_back("pushes").await;
    let stored: usize = (0..CAMERAS).map(|at| hall.fragments(&format!("pushed-{at}")).len()).sum();
    assert!(stored >= CAMERAS * (2 + PUSHES) / 2, "{stored} fragments: the sessions were none");

    let misdeed = Some((Duration::from_millis(100), Misdeed::Close));
    let camera = RtspCamera::start(Habits { misdeed, sessions: usize::MAX, ..Habits::default() }).await;
    for at in 0..CAMERAS {
        let name = StreamName::new(&format!("pulled-{at}")).unwrap();
        let stream = hall.catalog.stream_to_pull(&name).await.unwrap();
        let url = Secret::new(camera.url(""));
        let source = NewSource { url, transport: SourceTransport::Tcp, timestamps: TimestampSource::Auto };
        hall.catalog.set_source(stream.id, source).await.unwrap();
    }
    let pullers = pullers(&hall);
    pull(&hall, &pullers, 1).await;
    let before = Open::when_settled().await;
    pull(&hall, &pullers, PULLS).await;
    before.is_back("pulls").await;
    hall.close().await;
}
