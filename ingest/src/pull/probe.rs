//! A look at a camera before it is recorded: what it offers, and what it really sends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use media::Track as MediaTrack;
use media::rtp::AccessUnit;
use serde::Serialize;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep_until, timeout};

use super::client::{Client, Wire};
use super::connect::{Connected, connect, encrypt};
use super::dialogue::Dialogue;
use super::target::Target;
use super::{PullError, PullOptions};
use crate::depacketizer::Event;
use crate::rtsp::recording::{Link, Track};
use crate::rtsp::socket::Socket;
use crate::rtsp::udp;
use crate::rtsp::wire::Incoming;

/// A probe takes this long at most.
const LIMIT: Duration = Duration::from_secs(10);
/// Of these, for saying goodbye.
const GOODBYE: Duration = Duration::from_millis(500);
/// Of these, for the picture, which only GStreamer can make.
const PICTURE: Duration = Duration::from_secs(if cfg!(feature = "gstreamer") { 3 } else { 0 });
/// How long clock reports are waited for, once all else is known.
const REPORTS: Duration = Duration::from_secs(6);

/// What a camera offers and sends. Shows no credentials.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Probe {
    /// Where it is.
    pub url: String,
    /// How packets came: `tcp` or `udp`.
    pub transport: &'static str,
    /// What can be recorded.
    pub tracks: Vec<ProbedTrack>,
    /// What cannot, and why.
    pub left_out: Vec<String>,
    /// From the first packet of the connection to the first video key frame, in milliseconds.
    pub first_key_frame_ms: Option<u64>,
    /// From one video key frame to the next, in seconds, where two came.
    pub gop_seconds: Option<f64>,
    /// Whether the camera reports its clock (RTCP sender reports).
    pub clock_reports: bool,
    /// A key frame as JPEG, in base64; only where the build has GStreamer.
    pub picture: Option<String>,
}

/// One track as it came.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProbedTrack {
    /// The encoding's name in the SDP: `H264`.
    pub encoding: String,
    /// Short codec name, once parameter sets have come: `h264`, `h265`, `aac`.
    pub codec: Option<String>,
    /// RFC 6381 codec string.
    pub codec_string: Option<String>,
    /// Picture width in pixels; 0 for audio.
    pub width: u32,
    /// Picture height in pixels; 0 for audio.
    pub height: u32,
    /// Samples per second; 0 for video.
    pub sample_rate: u32,
    /// Audio channels; 0 for video.
    pub channels: u8,
    /// Access units per second, by their timestamps.
    pub frame_rate: Option<f64>,
    /// Bits per second, by the timestamps.
    pub bitrate: Option<u64>,
}

/// Why a camera cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The camera, or the way to it.
    #[error(transparent)]
    Pull(#[from] PullError),
    /// Only RTSP is looked at.
    #[error("only rtsp:// and rtsps:// sources can be probed: set this one and look at its health")]
    NotRtsp,
    /// It took too long.
    #[error("the camera took longer than {} s", LIMIT.as_secs())]
    TooLong,
    /// Others are being looked at.
    #[error("{0} cameras are being probed, as many as may: try again")]
    Busy(usize),
}

/// What has come of one track.
#[derive(Debug, Default)]
struct Seen {
    track: Option<Arc<MediaTrack>>,
    first: Option<u32>,
    /// Ticks from the first unit to the one farthest behind it.
    span: u32,
    units: u32,
    /// Of all units but the last one, of which the span tells nothing.
    bytes: u64,
    last_bytes: u64,
    key: Option<u32>,
    gop: Option<u32>,
    #[cfg(feature = "gstreamer")]
    key_frame: Option<Bytes>,
}

impl Seen {
    fn take(&mut self, unit: &AccessUnit) {
        self.track = unit.track.clone().or_else(|| self.track.take());
        let first = *self.first.get_or_insert(unit.rtp_timestamp);
        let ahead = unit.rtp_timestamp.wrapping_sub(first);
        if ahead <= u32::MAX / 2 {
            self.span = self.span.max(ahead);
        }
        self.units += 1;
        self.bytes += self.last_bytes;
        self.last_bytes = u64::try_from(unit.data.len()).unwrap_or(u64::MAX);
        if unit.key {
            let since = self.key.replace(unit.rtp_timestamp).map(|key| unit.rtp_timestamp.wrapping_sub(key));
            self.gop = self.gop.or(since);
            #[cfg(feature = "gstreamer")]
            if !unit.damaged {
                self.key_frame = Some(unit.data.clone());
            }
        }
    }

    fn seconds(&self, clock_rate: u32) -> Option<f64> {
        (self.span > 0).then(|| f64::from(self.span) / f64::from(clock_rate))
    }
}

/// Looks at a camera.
///
/// # Errors
/// [`ProbeError::Pull`], [`ProbeError::TooLong`].
pub(super) async fn probe(options: &PullOptions, target: &Target) -> Result<Probe, ProbeError> {
    if target.url.is_played() {
        return Err(ProbeError::NotRtsp);
    }
    let until = Instant::now() + LIMIT - GOODBYE - PICTURE;
    let look = async {
        let url = &target.url;
        let patience = options.timing.answer;
        let Connected { stream, local, peer } = connect(url, &options.rules, patience).await?;
        if url.secure {
            let stream = encrypt(stream, url, &options.tls, patience).await?;
            Box::pin(look(options, target, stream, (local, peer), until)).await
        } else {
            Box::pin(look(options, target, Socket::new(stream), (local, peer), until)).await
        }
    };
    timeout(LIMIT, look).await.map_err(|_| ProbeError::TooLong)?.map_err(ProbeError::Pull)
}

async fn look(
    options: &PullOptions,
    target: &Target,
    stream: impl Wire,
    (local, peer): (SocketAddr, SocketAddr),
    until: Instant,
) -> Result<Probe, PullError> {
    let credentials = target.url.credentials.as_ref();
    let mut client = Client::new(stream, credentials, &*options.entropy, options.timing.answer);
    let mut dialogue = Dialogue { client: &mut client, local, peer, options, target };
    let description = dialogue.describe().await?;
    let set_up = dialogue.set_up(&description).await;
    let looked = match set_up {
        Ok((tracks, transport)) => {
            let range = [("Range", "npt=0.000-")];
            match client.request("PLAY", &description.aggregate, &range).await {
                Ok(_) => {
                    let watch = Watch::new(options, tracks);
                    watch.until(&mut client, until).await.map(|watch| (watch, transport))
                }
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(error),
    };
    let _ = timeout(GOODBYE, client.request("TEARDOWN", &description.aggregate, &[])).await;
    let (watch, transport) = looked?;
    let encodings = description.tracks.into_iter().map(|(_, section)| section.format.encoding);
    #[cfg(feature = "gstreamer")]
    let picture = watch.picture().await;
    #[cfg(not(feature = "gstreamer"))]
    let picture = None;
    let mut probe = Probe { picture, ..watch.tell(encodings) };
    (probe.url, probe.transport, probe.left_out) = (target.url.to_string(), transport, description.left_out);
    Ok(probe)
}

/// A camera that plays.
struct Watch<'o> {
    options: &'o PullOptions,
    tracks: Vec<(Track, Seen)>,
    began: Duration,
    first_key: Option<Duration>,
    reports: bool,
    events: Vec<Event>,
}

impl<'o> Watch<'o> {
    fn new(options: &'o PullOptions, tracks: Vec<Track>) -> Self {
        let tracks = tracks.into_iter().map(|track| (track, Seen::default())).collect();
        let began = options.clock.monotonic();
        Self { options, tracks, began, first_key: None, reports: false, events: Vec::new() }
    }

    /// Watches until all is known, at most until then; a camera that hangs up earlier is an error only
    /// where nothing came.
    async fn until<S: Wire>(mut self, client: &mut Client<'_, S>, until: Instant) -> Result<Self, PullError> {
        let mut datagrams = BytesMut::new();
        for (channel, payload) in std::mem::take(&mut client.early) {
            self.interleaved(channel, payload);
        }
        while !self.knows_all() {
            while let Some(incoming) = client.framer.pop()? {
                match incoming {
                    Incoming::Packet { channel, payload } => self.interleaved(channel, payload),
                    Incoming::Request(request) => client.answer(&request).await?,
                    Incoming::Response(_) => {}
                }
            }
            let pairs = self.tracks.iter().filter_map(|(track, _)| match &track.link {
                Link::Udp(pair) => Some(pair),
                Link::Interleaved(..) => None,
            });
            tokio::select! {
                () = sleep_until(until) => break,
                () = udp::readable(pairs) => self.datagrams(&mut datagrams),
                read = client.stream.read_buf(client.framer.space()) => match read {
                    Ok(1..) => {}
                    Ok(_) | Err(_) if self.has_any() => break,
                    Ok(_) => return Err(PullError::Closed),
                    Err(error) => return Err(PullError::Broken(error)),
                },
            }
        }
        if self.has_any() { Ok(self) } else { Err(PullError::Silent(LIMIT)) }
    }

    fn has_any(&self) -> bool {
        self.tracks.iter().any(|(_, seen)| seen.units > 0)
    }

    /// Two key frames, some of every track, and the clock's report or long enough to expect one.
    fn knows_all(&self) -> bool {
        let watched = self.options.clock.monotonic().saturating_sub(self.began);
        let enough = |(track, seen): &(Track, Seen)| {
            seen.units > 1 && (seen.gop.is_some() || !track.inbound.video) && seen.span > 0
        };
        self.tracks.iter().all(enough) && (self.reports || watched >= REPORTS)
    }

    fn interleaved(&mut self, channel: u8, payload: Bytes) {
        let place = |(at, (track, _)): (usize, &(Track, Seen))| match track.link {
            Link::Interleaved(rtp, _) if rtp == channel => Some((at, false)),
            Link::Interleaved(_, rtcp) if rtcp == channel => Some((at, true)),
            Link::Interleaved(..) | Link::Udp(_) => None,
        };
        if let Some((at, rtcp)) = self.tracks.iter().enumerate().find_map(place) {
            self.take(at, rtcp, payload);
        }
    }

    fn datagrams(&mut self, buffer: &mut BytesMut) {
        for at in 0..self.tracks.len() {
            let Some((Track { link: Link::Udp(pair), .. }, _)) = self.tracks.get_mut(at) else { continue };
            if let Some(datagram) = pair.try_receive(buffer) {
                self.take(at, datagram.rtcp, datagram.payload);
            }
        }
    }

    fn take(&mut self, at: usize, rtcp: bool, payload: Bytes) {
        let now = self.options.clock.monotonic();
        let Some((track, seen)) = self.tracks.get_mut(at) else { return };
        if rtcp {
            self.reports |= track.inbound.rtcp(&payload, now).is_some();
            return;
        }
        // A packet that makes no sense is one less that tells something.
        let _ = track.inbound.rtp(payload, now, &mut self.events);
        for event in self.events.drain(..) {
            if let Event::Unit(unit, arrival) = event {
                seen.take(&unit);
                if unit.key && track.inbound.video {
                    self.first_key = self.first_key.or(Some(arrival));
                }
            }
        }
    }

    /// The last key frame of the picture.
    #[cfg(feature = "gstreamer")]
    async fn picture(&self) -> Option<String> {
        use base64::Engine;
        let video = |(track, _): &&(Track, Seen)| track.inbound.video;
        let (_, Seen { track, key_frame, .. }) = self.tracks.iter().find(video)?;
        let (track, key_frame) = (track.clone()?, key_frame.clone()?);
        let jpeg = tokio::task::spawn_blocking(move || super::picture::jpeg(&track, key_frame)).await.ok()?;
        Some(base64::engine::general_purpose::STANDARD.encode(jpeg?))
    }

    /// What was seen; where and how is for the caller to add.
    fn tell(self, encodings: impl Iterator<Item = String>) -> Probe {
        let gop = |(track, seen): &(Track, Seen)| {
            let ticks = seen.gop.filter(|_| track.inbound.video)?;
            Some(f64::from(ticks) / f64::from(track.inbound.clock_rate))
        };
        let first_key = self.first_key.map(|at| at.saturating_sub(self.began).as_millis());
        Probe {
            url: String::new(),
            transport: "",
            left_out: Vec::new(),
            first_key_frame_ms: first_key.map(|ms| u64::try_from(ms).unwrap_or(u64::MAX)),
            gop_seconds: self.tracks.iter().find_map(gop),
            clock_reports: self.reports,
            picture: None,
            tracks: self.tracks.iter().zip(encodings).map(probed).collect(),
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate for people; bytes of ten seconds"
)]
fn probed(((track, seen), encoding): (&(Track, Seen), String)) -> ProbedTrack {
    let seconds = seen.seconds(track.inbound.clock_rate);
    let media = seen.track.as_deref();
    ProbedTrack {
        encoding,
        codec: media.map(|media| media.codec.name().to_owned()),
        codec_string: media.map(|media| media.codec_string.clone()),
        width: media.map_or(0, |media| media.width),
        height: media.map_or(0, |media| media.height),
        sample_rate: media.map_or(0, |media| media.sample_rate),
        channels: media.map_or(0, |media| media.channels),
        frame_rate: seconds.map(|seconds| (f64::from(seen.units - 1) / seconds * 100.0).round() / 100.0),
        bitrate: seconds.map(|seconds| (seen.bytes as f64 * 8.0 / seconds) as u64),
    }
}
