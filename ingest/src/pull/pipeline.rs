//! GStreamer: a URL or a transport stream in, access units of its tracks out, never decoded.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use gstreamer::glib::WeakRef;
use gstreamer::prelude::*;
use gstreamer::{
    Buffer, BufferFlags, Caps, CapsRef, ClockTime, Element, ElementFactory, EventView, FlowError,
    FlowSuccess, Format, MessageView, Pad, PadProbeReturn, PadProbeType, Pipeline, Sample, State,
};
use gstreamer_app::{AppSink, AppSinkCallbacks, AppSrc};
use media::rtp::AccessUnit;
use media::{CodecId, Track};
use tokio::sync::mpsc;

use super::url::{Credentials, SourceUrl};

/// Ticks per second of video.
const VIDEO_RATE: u32 = 90_000;

/// What comes out, in order.
#[derive(Debug)]
pub(super) enum Piece {
    /// A frame of a track.
    Unit(u8, AccessUnit),
    /// A track that is not recorded, and why.
    LeftOut(String),
    /// All has come.
    End,
    /// GStreamer's words; they may name the URL.
    Failed(String),
}

/// Something that plays.
pub(super) struct Playback(Pipeline);

impl Playback {
    /// Starts playing a URL; what comes goes to `out`, which holds the source back when it is full. Blocks for
    /// moments.
    pub(super) fn start(url: SourceUrl, most: u8, out: &mpsc::Sender<Piece>) -> Result<Self, String> {
        let SourceUrl { credentials, request, .. } = url;
        // What lies ready, such as a file or the segments of HLS, would come all at once.
        let paced = request.starts_with("http");
        gstreamer::init().map_err(|error| error.to_string())?;
        let source = make("urisourcebin")?;
        source.set_property("uri", request);
        source.set_property("parse-streams", true);
        source.set_property("use-buffering", false);
        source.connect("source-setup", false, move |values| {
            let source = values.get(1)?.get::<Element>().ok()?;
            set_up(&source, credentials.as_ref());
            None
        });
        Self::of(&[source], paced, most, out)
    }

    /// Starts taking apart the transport stream that is given to the source. Blocks for moments.
    pub(super) fn demux(most: u8, out: &mpsc::Sender<Piece>) -> Result<(Self, AppSrc), String> {
        gstreamer::init().map_err(|error| error.to_string())?;
        let caps =
            Caps::builder("video/mpegts").field("systemstream", true).field("packetsize", 188_i32).build();
        // With times of arrival the demuxer follows the stream's clock as a receiver does: over its wraps and jumps.
        let source =
            AppSrc::builder().format(Format::Time).is_live(true).do_timestamp(true).caps(&caps).build();
        let playback = Self::of(&[source.clone().upcast(), make("tsdemux")?], false, most, out)?;
        Ok((playback, source))
    }

    /// Plays what the last one of the elements finds.
    fn of(elements: &[Element], paced: bool, most: u8, out: &mpsc::Sender<Piece>) -> Result<Self, String> {
        let playback = Self(Pipeline::new());
        playback.0.add_many(elements).map_err(|error| error.to_string())?;
        Element::link_many(elements).map_err(|error| error.to_string())?;
        let takes = Arc::new(Taking {
            pipeline: playback.0.downgrade(),
            paced,
            most,
            next: AtomicU8::new(1),
            out: out.clone(),
        });
        if let Some(last) = elements.last() {
            last.connect_pad_added(move |_, pad| takes.pad(pad));
        }
        let sender = out.clone();
        let bus = playback.0.bus().ok_or("a pipeline without a bus")?;
        bus.set_sync_handler(move |_, message| {
            let piece = match message.view() {
                MessageView::Eos(_) => Piece::End,
                MessageView::Error(error) => Piece::Failed(error.error().message().to_owned()),
                _ => return gstreamer::BusSyncReply::Drop,
            };
            let _ = sender.try_send(piece);
            gstreamer::BusSyncReply::Drop
        });
        playback.0.set_state(State::Playing).map_err(|_| "it cannot be played".to_owned())?;
        Ok(playback)
    }
}

impl Drop for Playback {
    fn drop(&mut self) {
        // Going down cannot be refused.
        let _ = self.0.set_state(State::Null);
    }
}

fn make(factory: &str) -> Result<Element, String> {
    let missing = |_| format!("GStreamer has no {factory}: install the packages that apt-packages.txt names");
    ElementFactory::make(factory).build().map_err(missing)
}

/// Signs in, and follows no redirection: the address that it leads to is checked by nobody.
fn set_up(source: &Element, credentials: Option<&Credentials>) {
    if source.has_property("automatic-redirect") {
        source.set_property("automatic-redirect", false);
    }
    if let Some(Credentials { username, password }) = credentials
        && source.has_property("user-id")
        && source.has_property("user-pw")
    {
        source.set_property("user-id", username.expose());
        source.set_property("user-pw", password.expose());
    }
}

/// How a codec is asked for: its parser, and the caps behind it.
fn wanted(caps: &CapsRef) -> Result<(CodecId, &'static str, &'static str), String> {
    let structure = caps.structure(0).ok_or("a track without a type")?;
    let version = structure.get::<i32>("mpegversion").unwrap_or(0);
    match structure.name().as_str() {
        "video/x-h264" => Ok((CodecId::H264, "h264parse", "video/x-h264,stream-format=avc,alignment=au")),
        "video/x-h265" => Ok((CodecId::H265, "h265parse", "video/x-h265,stream-format=hvc1,alignment=au")),
        "audio/mpeg" if matches!(version, 2 | 4) => {
            Ok((CodecId::Aac, "aacparse", "audio/mpeg,mpegversion=4,stream-format=raw"))
        }
        other => Err(format!("{other} is not recorded")),
    }
}

/// How tracks are taken.
struct Taking {
    pipeline: WeakRef<Pipeline>,
    /// Whether frames come no earlier than they are due.
    paced: bool,
    most: u8,
    /// The number of the next track.
    next: AtomicU8,
    out: mpsc::Sender<Piece>,
}

impl Taking {
    /// Takes a new track once its caps are known, which is before its first buffer.
    fn pad(self: &Arc<Self>, pad: &Pad) {
        if let Some(caps) = pad.current_caps() {
            return self.tell(self.take(pad, &caps));
        }
        let taking = Arc::clone(self);
        pad.add_probe(PadProbeType::EVENT_DOWNSTREAM, move |pad, info| {
            match info.event().map(|event| event.view()) {
                Some(EventView::Caps(event)) => {
                    taking.tell(taking.take(pad, event.caps()));
                    PadProbeReturn::Remove
                }
                _ => PadProbeReturn::Ok,
            }
        });
    }

    fn tell(&self, taken: Result<(), String>) {
        if let Err(why) = taken {
            let _ = self.out.blocking_send(Piece::LeftOut(why));
        }
    }

    /// Puts a parser and a sink behind a track, or what costs nothing.
    fn take(&self, pad: &Pad, caps: &CapsRef) -> Result<(), String> {
        let Some(pipeline) = self.pipeline.upgrade() else { return Ok(()) };
        let fail = |error: &dyn std::fmt::Display| format!("a track cannot be taken: {error}");
        let chosen = match wanted(caps) {
            Ok(_) if self.next.load(Ordering::Relaxed) > self.most => {
                Err(format!("a stream has at most {} tracks", self.most))
            }
            chosen => chosen,
        };
        let chain = match &chosen {
            Ok((codec, parser, caps)) => {
                let caps = caps.parse::<Caps>().map_err(|error| fail(&error))?;
                let sink = AppSink::builder().caps(&caps).sync(self.paced).max_buffers(8).build();
                deliver(&sink, self.next.fetch_add(1, Ordering::Relaxed), *codec, self.out.clone());
                vec![make(parser)?, sink.upcast()]
            }
            Err(_) => vec![make("fakesink")?],
        };
        pipeline.add_many(&chain).map_err(|error| fail(&error))?;
        Element::link_many(&chain).map_err(|error| fail(&error))?;
        for element in &chain {
            element.sync_state_with_parent().map_err(|error| fail(&error))?;
        }
        let first = chain.first().and_then(|first| first.static_pad("sink"));
        pad.link(&first.ok_or_else(|| fail(&"no pad"))?).map_err(|error| fail(&error))?;
        chosen.map(drop)
    }
}

/// Sends what arrives at a sink.
fn deliver(sink: &AppSink, number: u8, codec: CodecId, out: mpsc::Sender<Piece>) {
    let known: Mutex<Option<Arc<Track>>> = Mutex::default();
    let on_sample = move |sink: &AppSink| {
        let sample = sink.pull_sample().map_err(|_| FlowError::Eos)?;
        let mut known = known.lock().map_err(|_| FlowError::Error)?;
        let Some(unit) = unit(&sample, number, codec, &mut known) else { return Ok(FlowSuccess::Ok) };
        // The receiver is gone when the session ends.
        out.blocking_send(Piece::Unit(number, unit)).map(|()| FlowSuccess::Ok).map_err(|_| FlowError::Eos)
    };
    sink.set_callbacks(AppSinkCallbacks::builder().new_sample(on_sample).build());
}

/// A sample as an access unit; `None` where it has no time or its track cannot be described.
fn unit(sample: &Sample, number: u8, codec: CodecId, known: &mut Option<Arc<Track>>) -> Option<AccessUnit> {
    let buffer = sample.buffer()?;
    let segment = sample.segment()?.downcast_ref::<ClockTime>()?;
    let time = segment.to_running_time(buffer.pts())?;
    let structure = sample.caps()?.structure(0)?;
    let private = structure.get::<Buffer>("codec_data").ok()?;
    let private = private.map_readable().ok()?;
    let rate = match codec {
        CodecId::Aac => u32::try_from(structure.get::<i32>("rate").ok()?).ok().filter(|rate| *rate > 0)?,
        _ => VIDEO_RATE,
    };
    let changed = known.as_ref().is_none_or(|track| track.private != private.as_slice());
    if changed {
        let private = Bytes::copy_from_slice(private.as_slice());
        *known = Some(Arc::new(Track::new(number, codec, rate, private).ok()?));
    }
    #[expect(clippy::cast_possible_truncation, reason = "RTP time counts modulo 2^32")]
    let rtp_timestamp =
        ((u128::from(time.nseconds()) * u128::from(rate) + 500_000_000) / 1_000_000_000) as u32;
    Some(AccessUnit {
        rtp_timestamp,
        key: !buffer.flags().contains(BufferFlags::DELTA_UNIT),
        data: Bytes::copy_from_slice(buffer.map_readable().ok()?.as_slice()),
        track: known.clone().filter(|_| changed),
        damaged: buffer.flags().contains(BufferFlags::CORRUPTED),
    })
}
