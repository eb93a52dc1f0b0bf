//! A look at a camera before it is recorded: what it offers, and what it really sends.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use media::CodecId;
use media::rtp::AccessUnit;
use serde::Serialize;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep_until, timeout};

use super::client::{Client, Wire};
use super::connect::{Connected, connect, encrypt};
use super::description::Description;
use super::dialogue::Dialogue;
#[cfg(feature = "gstreamer")]
use super::muxed::Demuxer;
#[cfg(feature = "gstreamer")]
use super::pipeline::Piece;
use super::seen::Seen;
use super::target::Target;
use super::{PullError, PullOptions};
use crate::depacketizer::Event;
use crate::rtsp::recording::{Link, Track};
use crate::rtsp::sdp::Section;
use crate::rtsp::socket::Socket;
use crate::rtsp::udp;
use crate::rtsp::wire::Incoming;

/// A probe takes this long at most.
const LIMIT: Duration = Duration::from_secs(10);
/// Of these, for saying goodbye.
const GOODBYE: Duration = Duration::from_millis(500);
/// Of these, for the picture, which only GStreamer can make.
const PICTURE: Duration = Duration::from_secs(if cfg!(feature = "gstreamer") { 3 } else { 0 });
/// The encoding of tracks that come in a transport stream.
const MUXED: &str = "MP2T";
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
        Ok((links, transport)) => {
            let watched = watched(&mut client, options, links, &description, until).await;
            watched.map(|watch| (watch, transport))
        }
        Err(error) => Err(error),
    };
    let _ = timeout(GOODBYE, client.request("TEARDOWN", &description.aggregate, &[])).await;
    let (watch, transport) = looked?;
    #[cfg(feature = "gstreamer")]
    let picture = watch.picture().await;
    #[cfg(not(feature = "gstreamer"))]
    let picture = None;
    let mut probe = Probe { picture, transport, url: target.url.to_string(), ..watch.tell().await };
    probe.left_out.splice(0..0, description.left_out);
    Ok(probe)
}

/// Lets the camera play, and watches it.
async fn watched<'o, S: Wire>(
    client: &mut Client<'_, S>,
    options: &'o PullOptions,
    links: Vec<Track>,
    description: &Description,
    until: Instant,
) -> Result<Watch<'o>, PullError> {
    let watch = Watch::new(options, links, description).await?;
    client.request("PLAY", &description.aggregate, &[("Range", "npt=0.000-")]).await?;
    watch.until(client, until).await
}

/// A camera that plays.
struct Watch<'o> {
    options: &'o PullOptions,
    links: Vec<Track>,
    seen: Vec<Seen>,
    left_out: Vec<String>,
    /// What takes a transport stream apart, where one is all that comes.
    #[cfg(feature = "gstreamer")]
    demuxer: Option<Demuxer>,
    began: Duration,
    first_key: Option<Duration>,
    reports: bool,
    events: Vec<Event>,
}

impl<'o> Watch<'o> {
    async fn new(
        options: &'o PullOptions,
        links: Vec<Track>,
        description: &Description,
    ) -> Result<Self, PullError> {
        let seen = |(number, section): &(u8, Section)| {
            Seen::new(*number, &section.format.encoding, section.video, section.format.clock_rate)
        };
        let mut watch = Self {
            options,
            links,
            seen: description.tracks.iter().map(seen).collect(),
            left_out: Vec::new(),
            #[cfg(feature = "gstreamer")]
            demuxer: None,
            began: Duration::ZERO,
            first_key: None,
            reports: false,
            events: Vec::new(),
        };
        #[cfg(feature = "gstreamer")]
        if description.is_muxed() {
            watch.demuxer = Some(Demuxer::start(options.limits.tracks).await?);
            watch.seen.clear();
        }
        watch.began = options.clock.monotonic();
        Ok(watch)
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
            let pairs = self.links.iter().filter_map(|track| match &track.link {
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
        self.seen.iter().any(|seen| seen.units > 0)
    }

    /// Two key frames, some of every track, and the clock's report or long enough to expect one.
    fn knows_all(&self) -> bool {
        let watched = self.options.clock.monotonic().saturating_sub(self.began);
        self.has_any() && self.seen.iter().all(Seen::is_enough) && (self.reports || watched >= REPORTS)
    }

    fn interleaved(&mut self, channel: u8, payload: Bytes) {
        let place = |(at, track): (usize, &Track)| match track.link {
            Link::Interleaved(rtp, _) if rtp == channel => Some((at, false)),
            Link::Interleaved(_, rtcp) if rtcp == channel => Some((at, true)),
            Link::Interleaved(..) | Link::Udp(_) => None,
        };
        if let Some((at, rtcp)) = self.links.iter().enumerate().find_map(place) {
            self.take(at, rtcp, payload);
        }
    }

    fn datagrams(&mut self, buffer: &mut BytesMut) {
        for at in 0..self.links.len() {
            let Some(Track { link: Link::Udp(pair), .. }) = self.links.get_mut(at) else { continue };
            if let Some(datagram) = pair.try_receive(buffer) {
                self.take(at, datagram.rtcp, datagram.payload);
            }
        }
    }

    fn take(&mut self, at: usize, rtcp: bool, payload: Bytes) {
        let now = self.options.clock.monotonic();
        let Some(Track { inbound, .. }) = self.links.get_mut(at) else { return };
        let number = inbound.number;
        if rtcp {
            let reported = inbound.rtcp(&payload, now).is_some();
            // The timestamps of a transport stream are of its packets, not of its frames.
            #[cfg(feature = "gstreamer")]
            let reported = reported && self.demuxer.is_none();
            self.reports |= reported;
            return;
        }
        // A packet that makes no sense is one less that tells something.
        let _ = inbound.rtp(payload, now, &mut self.events);
        for event in std::mem::take(&mut self.events) {
            if let Event::Unit(unit, arrival) = event {
                self.unit(number, unit, arrival);
            }
        }
    }

    #[cfg(not(feature = "gstreamer"))]
    fn unit(&mut self, number: u8, unit: AccessUnit, arrival: Duration) {
        self.see(number, &unit, arrival);
    }

    #[cfg(feature = "gstreamer")]
    fn unit(&mut self, number: u8, unit: AccessUnit, arrival: Duration) {
        let Some(demuxer) = &mut self.demuxer else { return self.see(number, &unit, arrival) };
        // One that cannot be taken apart is one of which nothing is seen.
        let _ = demuxer.push(unit.data);
        for piece in std::iter::from_fn(|| demuxer.next()).collect::<Vec<_>>() {
            match piece {
                Piece::Unit(number, unit) => self.see(number, &unit, arrival),
                Piece::LeftOut(why) => self.left_out.push(why),
                Piece::End | Piece::Failed(_) => {}
            }
        }
    }

    fn see(&mut self, number: u8, unit: &AccessUnit, arrival: Duration) {
        if !self.seen.iter().any(|seen| seen.number == number)
            && let Some(track) = &unit.track
        {
            self.seen.push(Seen::new(number, MUXED, track.codec != CodecId::Aac, track.timescale));
        }
        let Some(seen) = self.seen.iter_mut().find(|seen| seen.number == number) else { return };
        seen.take(unit);
        if unit.key && seen.video {
            self.first_key = self.first_key.or(Some(arrival));
        }
    }

    /// The last key frame of the picture.
    #[cfg(feature = "gstreamer")]
    async fn picture(&self) -> Option<String> {
        use base64::Engine;
        let Seen { track, key_frame, .. } = self.seen.iter().find(|seen| seen.video)?;
        let (track, key_frame) = (track.clone()?, key_frame.clone()?);
        let jpeg = tokio::task::spawn_blocking(move || super::picture::jpeg(&track, key_frame)).await.ok()?;
        Some(base64::engine::general_purpose::STANDARD.encode(jpeg?))
    }

    /// What was seen; where and how is for the caller to add.
    async fn tell(self) -> Probe {
        #[cfg(feature = "gstreamer")]
        if let Some(demuxer) = self.demuxer {
            demuxer.close().await;
        }
        let first_key = self.first_key.map(|at| at.saturating_sub(self.began).as_millis());
        Probe {
            url: String::new(),
            transport: "",
            left_out: self.left_out,
            first_key_frame_ms: first_key.map(|ms| u64::try_from(ms).unwrap_or(u64::MAX)),
            gop_seconds: self.seen.iter().find_map(Seen::gop_seconds),
            clock_reports: self.reports,
            picture: None,
            tracks: self.seen.into_iter().map(Seen::tell).collect(),
        }
    }
}
