//! The demo camera: a moving picture with the time burned in, H.264 and AAC by GStreamer, pushed to
//! the local RTSP port with a device credential like any camera's.
//!
//! [`picture`] tells how a program reads time and frame number from the pixels. The camera films only
//! while it is connected; a new connection begins with a key frame and a fresh media time.

mod camera;
mod client;
mod encoder;
mod font;
mod packets;
pub mod picture;
mod tone;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Entropy, StreamName};
use catalog::Secret;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};

use client::Client;
use encoder::Encoded;
use packets::Packetizer;

use crate::rtsp::stopped;
use crate::rtsp::wire::WireError;

const FRAME_RATE: u32 = 30;
const VIDEO: usize = 0;
const AUDIO: usize = 1;
/// AAC-LC, 48 kHz, one channel, as AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1).
const AAC_CONFIG: &str = "1188";
const REPORT_EVERY: Duration = Duration::from_secs(5);
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LAST_RETRY: Duration = Duration::from_secs(10);

/// Where the demo camera pushes to, and as whom.
#[derive(Clone, Debug)]
pub struct DemoCamera {
    /// The RTSP listener.
    pub server: SocketAddr,
    /// The stream.
    pub stream: StreamName,
    /// The device credential's username.
    pub username: String,
    /// The device credential's password.
    pub password: Secret,
}

/// Why the demo camera is not filming.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error("GStreamer: {0}")]
    Glib(#[from] gstreamer::glib::Error),
    #[error("GStreamer: {0}")]
    Bool(#[from] gstreamer::glib::BoolError),
    #[error("GStreamer: {0}")]
    State(#[from] gstreamer::StateChangeError),
    #[error("GStreamer: {0}")]
    Flow(#[from] gstreamer::FlowError),
    #[error("GStreamer has no {0}: install the packages that apt-packages.txt names")]
    Missing(String),
    #[error("GStreamer: {0}")]
    Pipeline(String),
    #[error("the encoder stopped")]
    Stopped,
    #[error("the task that starts the encoder failed: {0}")]
    Task(#[from] tokio::task::JoinError),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("the server answers {0}")]
    Wire(#[from] WireError),
    #[error("the server answers {status} {reason}")]
    Refused { status: u16, reason: String },
    #[error("the server closed the connection")]
    Closed,
    #[error("the server does not answer")]
    Silent,
}

/// Films and pushes until `shutdown` is true or its sender is gone; connects again for ever, at first
/// after 0.25 s, then less and less often, at last every 10 s.
pub async fn run(
    camera: DemoCamera,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    mut shutdown: watch::Receiver<bool>,
) {
    let mut pause = FIRST_RETRY;
    loop {
        let began = clock.monotonic();
        let Err(error) = push(&camera, &clock, &*entropy, &mut shutdown).await else { return };
        if clock.monotonic().saturating_sub(began) > LAST_RETRY {
            pause = FIRST_RETRY;
        }
        tracing::warn!(stream = %camera.stream, %error, retry_ms = pause.as_millis(), "demo camera");
        tokio::select! {
            () = stopped(&mut shutdown) => return,
            () = sleep(pause.mul_f64(jitter(&*entropy))) => {}
        }
        pause = (pause * 2).min(LAST_RETRY);
    }
}

/// From 0.75 to 1.25.
fn jitter(entropy: &dyn Entropy) -> f64 {
    0.75 + f64::from(entropy.bytes::<1>()[0]) / 510.0
}

/// One connection; returns `Ok` when told to stop.
async fn push(
    camera: &DemoCamera,
    clock: &Arc<dyn Clock>,
    entropy: &dyn Entropy,
    shutdown: &mut watch::Receiver<bool>,
) -> Result<(), DemoError> {
    let ssrc = || u32::from_be_bytes(entropy.bytes());
    let mut tracks =
        [Packetizer::new(96, 0, 90_000, ssrc()), Packetizer::new(97, 2, tone::SAMPLE_RATE, ssrc())];
    let controls: Vec<_> =
        tracks.iter().enumerate().map(|(index, track)| (format!("trackID={index}"), track.channel)).collect();
    let sdp = sdp();
    let mut client = tokio::select! {
        () = stopped(shutdown) => return Ok(()),
        client = Client::publish(camera, &sdp, &controls) => client?,
    };
    let (started, mut frames) = camera::start(Arc::clone(clock)).await?;
    tracing::info!(stream = %camera.stream, "demo camera filming");

    let mut reports = interval(REPORT_EVERY);
    reports.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut out = Vec::new();
    loop {
        out.clear();
        tokio::select! {
            () = stopped(shutdown) => return client.teardown().await,
            error = client.closed() => return Err(error),
            _ = reports.tick() => {
                let elapsed = u64::try_from((clock.monotonic() - started).as_nanos()).unwrap_or(0);
                tracks.iter().for_each(|track| track.sender_report(clock.now(), elapsed, &mut out));
            }
            received = take(&mut frames, &mut tracks, &mut out) => received?,
        }
        client.send(&out).await?;
    }
}

/// Puts the next frame into packets.
async fn take(
    frames: &mut mpsc::Receiver<Encoded>,
    tracks: &mut [Packetizer; 2],
    out: &mut Vec<u8>,
) -> Result<(), DemoError> {
    let Encoded { track, pts, data } = frames.recv().await.ok_or(DemoError::Stopped)?;
    let [video, audio] = tracks;
    if track == VIDEO {
        video.h264(&data, pts, out)
    } else {
        audio.aac(&data, pts, out)
    }
    Ok(())
}

/// The description of both tracks; H.264 parameter sets come in band.
fn sdp() -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=Millrace demo camera\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
         m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\n\
         a=control:trackID={VIDEO}\r\n\
         m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/{rate}/1\r\n\
         a=fmtp:97 streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;\
         indexdeltalength=3;config={AAC_CONFIG}\r\na=control:trackID={AUDIO}\r\n",
        rate = tone::SAMPLE_RATE,
    )
}

#[cfg(test)]
mod tests;
