//! `/metrics`, in the text format of Prometheus.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::fmt::{Display, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ::firehose::OutletStatus;
use fragment_log::LaneMetrics;
use http::StatusCode;
use indexer::LaneSpace;
use ingest::pull::PullState;
use ingest::{StreamHealth, StreamState};

use crate::app::App;
use crate::aws::{self, Entry};
use crate::webhooks::Counts;

/// Counters of the gateway itself.
#[derive(Debug)]
pub struct Metrics {
    /// One for each served AWS operation, in the order of the lists.
    operations: Vec<Answers>,
    /// Connections that are open, by listener.
    pub connections: Connections,
    /// The disk under the data folder.
    pub disk: Disk,
    /// Fragments that were open in a crash and were closed when the server started.
    recovered_fragments: u64,
}

/// Answers of an operation, by whose doing they are.
#[derive(Debug, Default)]
struct Answers {
    good: AtomicU64,
    client_error: AtomicU64,
    server_error: AtomicU64,
}

/// Open connections, by listener.
#[derive(Debug, Default)]
pub struct Connections {
    /// HTTP.
    pub http: AtomicU64,
    /// HTTPS.
    pub https: AtomicU64,
}

/// The disk under the data folder, as it was looked at last, in bytes.
#[derive(Debug, Default)]
pub struct Disk {
    /// Of the file system.
    pub total: AtomicU64,
    /// That may still be taken.
    pub available: AtomicU64,
    /// Below which the oldest footage goes.
    pub floor: AtomicU64,
    /// Below which no new data is taken.
    pub reserve: AtomicU64,
    /// Given back since the start.
    pub given_back_bytes: AtomicU64,
    /// Fragments that went to make room.
    pub evicted_fragments: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Metrics {
    /// Of a server that has just started, and closed so many fragments that were open in a crash.
    pub fn new(recovered_fragments: u64) -> Self {
        let operations = aws::operations().map(|_| Answers::default()).collect();
        let (connections, disk) = (Connections::default(), Disk::default());
        Self { operations, connections, disk, recovered_fragments }
    }

    /// Counts an answer of an AWS operation.
    pub fn operation(&self, counted: &Entry, status: StatusCode) {
        let same = |entry: &Entry| (entry.service, entry.name) == (counted.service, counted.name);
        let Some(at) = aws::operations().position(same) else { return };
        let answers = &self.operations[at];
        let counter = if status.is_server_error() {
            &answers.server_error
        } else if status.is_client_error() {
            &answers.client_error
        } else {
            &answers.good
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// The page.
pub fn page(app: &App) -> String {
    let mut page = Page::default();
    page.family("millrace_build_info", "gauge", "The version that runs.");
    page.sample("millrace_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    streams(&mut page, app);
    recordings(&mut page, app);
    sources(&mut page, app);
    webhooks(&mut page, app);
    clock(&mut page, app);
    gateway(&mut page, &app.metrics);
    page.family("millrace_webrtc_sessions", "gauge", "Open WebRTC sessions, half-made ones included.");
    page.sample("millrace_webrtc_sessions", &[], app.whip.open());
    deliveries(&mut page, app);
    log(&mut page, app);
    index(&mut page, app);
    space(&mut page, app);
    page.0
}

fn streams(page: &mut Page, app: &App) {
    let (mut live, mut stale, mut offline) = (0_u64, 0_u64, 0_u64);
    for stream in app.catalog.streams().values() {
        match app.ingest.health(stream.id).map(|health| health.state) {
            Some(StreamState::Live) => live += 1,
            Some(StreamState::Stale) => stale += 1,
            Some(StreamState::Offline) | None => offline += 1,
        }
    }
    page.family("millrace_streams", "gauge", "Video streams of the account, by what their publishers do.");
    for (state, count) in [("live", live), ("stale", stale), ("offline", offline)] {
        page.sample("millrace_streams", &[("state", state)], count);
    }
}

fn sources(page: &mut Page, app: &App) {
    let sources = app.pullers.all();
    let streams = app.catalog.streams();
    let pulled: Vec<_> = streams
        .values()
        .filter_map(|stream| Some((stream.name.as_str(), sources.get(&stream.id)?)))
        .collect();
    page.family("millrace_source_up", "gauge", "1 for a source whose media comes in.");
    for (stream, health) in &pulled {
        let up = health.state == PullState::Online;
        page.sample("millrace_source_up", &[("stream", stream)], u8::from(up));
    }
    page.family(
        "millrace_source_reconnects_total",
        "counter",
        "Connections after the first that brought media.",
    );
    for (stream, health) in &pulled {
        page.sample("millrace_source_reconnects_total", &[("stream", stream)], health.reconnects);
    }
    page.family("millrace_source_failures", "gauge", "Failed attempts since media came in last.");
    for (stream, health) in &pulled {
        page.sample("millrace_source_failures", &[("stream", stream)], health.failures);
    }
}

fn webhooks(page: &mut Page, app: &App) {
    let figures = app.webhooks.figures();
    page.family("millrace_webhook_events_total", "counter", "Events of webhooks that are done with.");
    for (number, figures) in (1..).zip(&figures) {
        let Counts { delivered, failed, dropped, .. } = figures.counts;
        for (outcome, count) in [("delivered", delivered), ("failed", failed), ("dropped", dropped)] {
            let number = u32::to_string(&number);
            let labels = [("webhook", number.as_str()), ("url", &figures.url), ("outcome", outcome)];
            page.sample("millrace_webhook_events_total", &labels, count);
        }
    }
    page.family("millrace_webhook_waiting_events", "gauge", "Events that wait to be posted.");
    for (number, figures) in (1..).zip(&figures) {
        let number = u32::to_string(&number);
        let labels = [("webhook", number.as_str()), ("url", &figures.url)];
        page.sample("millrace_webhook_waiting_events", &labels, figures.counts.waiting);
    }
}

/// What is known of every stream that was recorded since the start.
fn recordings(page: &mut Page, app: &App) {
    let streams = app.catalog.streams();
    let known: Vec<_> = streams
        .values()
        .filter_map(|stream| Some((stream.name.as_str(), app.ingest.health(stream.id)?)))
        .collect();
    let now = app.clock.now();
    let mut each = |name: &str, kind: &str, help: &str, value: &dyn Fn(&StreamHealth) -> Option<f64>| {
        page.family(name, kind, help);
        for (stream, health) in &known {
            if let Some(value) = value(health) {
                page.sample(name, &[("stream", stream)], value);
            }
        }
    };
    let rate = |health: &StreamHealth| {
        health.tracks.iter().find(|track| track.width > 0).map(|track| track.frame_rate)
    };
    let key = |health: &StreamHealth| health.last_key_frame.map(|at| now.since(at).as_secs_f64());
    let offset = |health: &StreamHealth| {
        let ms = health.clock?.offset_ms?;
        Some(f64::from(i32::try_from(ms).unwrap_or(if ms < 0 { i32::MIN } else { i32::MAX })) / 1000.0)
    };
    let lost = |count: u64| Some(exact(count));
    each("millrace_stream_up", "gauge", "1 for a stream whose publisher sends frames.", &|h| {
        Some(f64::from(u8::from(h.state == StreamState::Live)))
    });
    each("millrace_stream_reconnects_total", "counter", "Publishers' sessions after the first.", &|h| {
        lost(h.reconnects)
    });
    each("millrace_stream_frames_damaged_total", "counter", "Frames with parts missing, kept.", &|h| {
        lost(h.frames_damaged)
    });
    each("millrace_stream_frames_dropped_total", "counter", "Frames that could not be kept.", &|h| {
        lost(h.frames_dropped)
    });
    each("millrace_stream_fragments_dropped_total", "counter", "Fragments that a full disk took.", &|h| {
        lost(h.fragments_dropped)
    });
    each("millrace_stream_bitrate_bps", "gauge", "Bits per second of the last fragment.", &|h| {
        Some(exact(h.bitrate))
    });
    each("millrace_stream_frame_rate", "gauge", "Pictures per second of the last fragment.", &rate);
    each("millrace_stream_key_frame_age_seconds", "gauge", "Since the last video key frame.", &key);
    each("millrace_stream_packets_lost_total", "counter", "Packets that never came.", &|h| {
        Some(exact(h.packets_lost))
    });
    each("millrace_stream_clock_offset_seconds", "gauge", "Camera's clock minus the server's.", &offset);
}

/// What each outlet of a delivery stream does.
fn deliveries(page: &mut Page, app: &App) {
    let all = Arc::clone(&app.catalog.deliveries().borrow());
    let known: Vec<_> = all
        .values()
        .flat_map(|delivery| {
            let outlets = app.deliveries.status(delivery).into_iter().zip(["destination", "backup"]);
            outlets.map(|(status, outlet)| (delivery.configuration.name.as_str(), outlet, status))
        })
        .collect();
    let now = app.clock.now();
    let mut each = |name: &str, kind: &str, help: &str, value: &dyn Fn(&OutletStatus) -> f64| {
        page.family(name, kind, help);
        for (delivery, outlet, status) in &known {
            page.sample(name, &[("delivery", delivery), ("outlet", outlet)], value(status));
        }
    };
    each(
        "millrace_delivery_lag_seconds",
        "gauge",
        "Since the oldest record that waits arrived.",
        &|status| status.waiting_since.map_or(0.0, |since| now.since(since).as_secs_f64()),
    );
    each("millrace_deliveries_total", "counter", "Objects or requests that were taken.", &|status| {
        exact(status.deliveries)
    });
    each("millrace_delivered_records_total", "counter", "Records in them.", &|s| exact(s.records));
    each("millrace_delivered_bytes_total", "counter", "Bytes of their data.", &|s| exact(s.bytes));
    each("millrace_delivery_failures_total", "counter", "Attempts that failed.", &|s| exact(s.failures));
    let help = "Records stored under the error prefix instead.";
    each("millrace_delivery_failed_records_total", "counter", help, &|s| exact(s.failed_records));
    let help = "Records that expired before they were delivered.";
    each("millrace_delivery_expired_records_total", "counter", help, &|s| exact(s.expired_records));
}

/// Whether the system's clock is kept right; nothing where the system does not tell.
fn clock(page: &mut Page, app: &App) {
    if let Some(synchronized) = app.clock.synchronized() {
        page.family(
            "millrace_clock_synchronized",
            "gauge",
            "1 where something keeps the system's clock right.",
        );
        page.sample("millrace_clock_synchronized", &[], u8::from(synchronized));
    }
}

fn gateway(page: &mut Page, metrics: &Metrics) {
    page.family("millrace_connections", "gauge", "Open connections.");
    for (listener, count) in [("http", &metrics.connections.http), ("https", &metrics.connections.https)] {
        let count = count.load(Ordering::Relaxed);
        page.sample("millrace_connections", &[("listener", listener)], count);
    }
    page.family("millrace_aws_requests_total", "counter", "Answers of AWS operations.");
    for (entry, answers) in aws::operations().zip(&metrics.operations) {
        for (outcome, count) in [
            ("ok", &answers.good),
            ("client_error", &answers.client_error),
            ("server_error", &answers.server_error),
        ] {
            let labels = [("service", entry.service), ("operation", entry.name), ("outcome", outcome)];
            page.sample("millrace_aws_requests_total", &labels, count.load(Ordering::Relaxed));
        }
    }
}

fn log(page: &mut Page, app: &App) {
    let metrics = app.log.metrics();
    page.family("millrace_log_damages", "gauge", "Damaged places found when the log was opened.");
    page.sample("millrace_log_damages", &[], metrics.damages);
    page.family("millrace_log_torn_tails", "gauge", "Torn tails set aside when the log was opened.");
    page.sample("millrace_log_torn_tails", &[], metrics.torn_tails);
    page.family("millrace_log_tail_bytes", "gauge", "Memory that the newest records take.");
    page.sample("millrace_log_tail_bytes", &[], metrics.tail_bytes);
    let help =
        "Fragments that were open in a crash, and were closed at the start as far as they were journaled.";
    page.family("millrace_recovered_fragments", "gauge", help);
    page.sample("millrace_recovered_fragments", &[], app.metrics.recovered_fragments);
    let mut lanes = |name: &str, kind: &str, help: &str, value: fn(&LaneMetrics) -> f64| {
        page.family(name, kind, help);
        for lane in &metrics.lanes {
            page.sample(name, &[("lane", &lane.lane.to_string())], value(lane));
        }
    };
    lanes("millrace_log_frames_total", "counter", "Frames made durable.", |l| exact(l.frames));
    lanes("millrace_log_bytes_total", "counter", "Sealed bytes made durable.", |l| exact(l.bytes));
    lanes("millrace_log_batches_total", "counter", "Batches written.", |l| exact(l.batches));
    lanes("millrace_log_syncs_total", "counter", "Syncs of segment files.", |l| exact(l.syncs));
    lanes("millrace_log_sync_seconds_total", "counter", "Time spent in syncs.", |l| {
        l.sync_time.as_secs_f64()
    });
    lanes("millrace_log_queued_bytes", "gauge", "Bytes that wait for the disk.", |l| exact(l.queued_bytes));
    lanes("millrace_log_full_total", "counter", "Appends refused by a full disk.", |l| exact(l.full));
    lanes("millrace_log_segments", "gauge", "Segment files.", |l| exact(l.segments));
    lanes("millrace_log_stopped", "gauge", "1 for a lane that a failed sync has stopped.", |l| {
        f64::from(u8::from(l.stopped))
    });
}

fn index(page: &mut Page, app: &App) {
    let metrics = app.indexer.metrics();
    let waiting = "Fragments found in memory that are not yet in both views on disk.";
    page.family("millrace_index_waiting_fragments", "gauge", waiting);
    page.sample("millrace_index_waiting_fragments", &[], metrics.waiting);
    let behind = "Lanes that the index could not follow and reads from the log again.";
    page.family("millrace_index_lanes_behind", "gauge", behind);
    page.sample("millrace_index_lanes_behind", &[], metrics.lanes_behind);
}

fn space(page: &mut Page, app: &App) {
    let disk = &app.metrics.disk;
    page.family("millrace_disk_bytes", "gauge", "The file system of the data folder.");
    for (state, bytes) in [
        ("total", &disk.total),
        ("available", &disk.available),
        ("floor", &disk.floor),
        ("reserve", &disk.reserve),
    ] {
        page.sample("millrace_disk_bytes", &[("state", state)], bytes.load(Ordering::Relaxed));
    }
    let help =
        "Bytes of fragments: kept (live), of them under evidence holds (held), not needed any more (dead).";
    page.family("millrace_fragment_bytes", "gauge", help);
    for LaneSpace { lane, live, dead, held } in app.indexer.space() {
        for (state, bytes) in [("live", live), ("held", held), ("dead", dead)] {
            let labels = [("lane", lane.to_string()), ("state", state.to_owned())];
            let labels = labels.each_ref().map(|(name, value)| (*name, value.as_str()));
            page.sample("millrace_fragment_bytes", &labels, bytes);
        }
    }
    for (name, help, count) in [
        ("millrace_given_back_bytes_total", "Bytes given back to the file system.", &disk.given_back_bytes),
        ("millrace_evicted_fragments_total", "Fragments that went to make room.", &disk.evicted_fragments),
    ] {
        page.family(name, "counter", help);
        page.sample(name, &[], count.load(Ordering::Relaxed));
    }
}

/// Counts stay exact up to 2^53, as every reader of the format takes them.
#[expect(clippy::cast_precision_loss, reason = "the format's readers hold doubles")]
fn exact(count: u64) -> f64 {
    count as f64
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (at, (label, value)) in labels.iter().enumerate() {
            let open = if at == 0 { '{' } else { ',' };
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{open}{label}=\"{value}\"");
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{close} {value}");
    }
}
