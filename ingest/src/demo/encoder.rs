//! GStreamer: raw pictures and samples in, H.264 and AAC out.

use bytes::Bytes;
use gstreamer::prelude::*;
use gstreamer::{
    Buffer, ClockTime, ElementFactory, FlowError, FlowSuccess, MessageView, Pipeline, State, parse,
};
use gstreamer_app::{AppSink, AppSinkCallbacks, AppSrc};
use tokio::sync::mpsc;

use super::picture::{HEIGHT, WIDTH};
use super::tone::SAMPLE_RATE;
use super::{AUDIO, DemoError, FRAME_RATE, VIDEO};

/// A frame between two key frames at most: 2 s.
const KEY_INTERVAL: u32 = 2 * FRAME_RATE;

/// An encoded frame.
#[derive(Clone, Debug)]
pub(super) struct Encoded {
    /// [`VIDEO`] or [`AUDIO`].
    pub(super) track: usize,
    /// Nanoseconds since the encoder was started.
    pub(super) pts: u64,
    /// H.264 in the byte-stream format of annex B, or a raw AAC access unit.
    pub(super) data: Bytes,
}

/// A running pipeline.
pub(super) struct Encoder {
    pipeline: Pipeline,
    video: AppSrc,
    audio: AppSrc,
}

impl Encoder {
    /// Starts encoding; what comes out goes to `frames`, which holds the encoder back when it is full.
    ///
    /// # Errors
    /// When GStreamer, an encoder or a plugin is not there.
    pub(super) fn start(frames: &mpsc::Sender<Encoded>) -> Result<Self, DemoError> {
        gstreamer::init()?;
        let description = format!(
            "appsrc name=video-in format=time is-live=true max-buffers=8 leaky-type=downstream \
             caps=video/x-raw,format=I420,width={WIDTH},height={HEIGHT},framerate={FRAME_RATE}/1,colorimetry=bt709 \
             ! {video} ! video/x-h264,stream-format=byte-stream,alignment=au \
             ! appsink name=video-out sync=false \
             appsrc name=audio-in format=time is-live=true max-buffers=32 leaky-type=downstream \
             caps=audio/x-raw,format=S16LE,rate={SAMPLE_RATE},channels=1,layout=interleaved \
             ! audioconvert ! {audio} ! audio/mpeg,mpegversion=4,stream-format=raw \
             ! appsink name=audio-out sync=false",
            video = first_of(&[
                (
                    "x264enc",
                    format!(
                        "x264enc tune=zerolatency speed-preset=superfast bitrate=2000 threads=1 key-int-max={KEY_INTERVAL}"
                    )
                ),
                (
                    "openh264enc",
                    format!("openh264enc complexity=low bitrate=2000000 gop-size={KEY_INTERVAL}")
                ),
            ])?,
            audio = first_of(&[
                ("voaacenc", "voaacenc bitrate=64000".to_owned()),
                ("avenc_aac", "avenc_aac bitrate=64000".to_owned()),
            ])?,
        );
        let pipeline = parse::launch(&description)?
            .downcast::<Pipeline>()
            .map_err(|_| DemoError::Pipeline("the description is not a pipeline".into()))?;
        for (name, track) in [("video-out", VIDEO), ("audio-out", AUDIO)] {
            deliver(&element::<AppSink>(&pipeline, name)?, track, frames.clone());
        }
        let (video, audio) = (element(&pipeline, "video-in")?, element(&pipeline, "audio-in")?);
        let encoder = Self { pipeline, video, audio };
        encoder.pipeline.set_state(State::Playing)?;
        Ok(encoder)
    }

    /// Encodes a picture that `draw` makes, shown at `pts` nanoseconds.
    pub(super) fn picture(
        &self,
        pts: u64,
        bytes: usize,
        draw: impl FnOnce(&mut [u8]),
    ) -> Result<(), DemoError> {
        let mut buffer = Buffer::with_size(bytes)?;
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(ClockTime::from_nseconds(pts));
            draw(buffer.map_writable()?.as_mut_slice());
        }
        self.video.push_buffer(buffer).map(drop).map_err(DemoError::from)
    }

    /// Encodes samples that are heard from `pts` nanoseconds on.
    pub(super) fn samples(&self, pts: u64, samples: Vec<u8>) -> Result<(), DemoError> {
        let mut buffer = Buffer::from_mut_slice(samples);
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(ClockTime::from_nseconds(pts));
        }
        self.audio.push_buffer(buffer).map(drop).map_err(DemoError::from)
    }

    /// What went wrong inside the pipeline, if anything did.
    pub(super) fn check(&self) -> Result<(), DemoError> {
        while let Some(message) = self.pipeline.bus().and_then(|bus| bus.pop()) {
            if let MessageView::Error(error) = message.view() {
                return Err(DemoError::Pipeline(error.error().to_string()));
            }
        }
        Ok(())
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // Going down cannot be refused.
        let _ = self.pipeline.set_state(State::Null);
    }
}

/// The description of the first element that is installed.
fn first_of(choices: &[(&'static str, String)]) -> Result<String, DemoError> {
    let installed = choices.iter().find(|(name, _)| ElementFactory::find(name).is_some());
    let names = || choices.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" or ");
    installed.map(|(_, description)| description.clone()).ok_or_else(|| DemoError::Missing(names()))
}

fn element<T: IsA<gstreamer::Element>>(pipeline: &Pipeline, name: &str) -> Result<T, DemoError> {
    let found = pipeline.by_name(name).and_then(|element| element.downcast().ok());
    found.ok_or_else(|| DemoError::Missing(name.to_owned()))
}

/// Sends what arrives at a sink.
fn deliver(sink: &AppSink, track: usize, frames: mpsc::Sender<Encoded>) {
    let on_sample = move |sink: &AppSink| {
        let sample = sink.pull_sample().map_err(|_| FlowError::Eos)?;
        let (Some(buffer), Some(segment)) = (sample.buffer(), sample.segment()) else {
            return Ok(FlowSuccess::Ok);
        };
        // x264enc begins at 1000 h; running time begins at zero.
        let time =
            segment.downcast_ref::<ClockTime>().and_then(|segment| segment.to_running_time(buffer.pts()));
        let Some(time) = time else { return Ok(FlowSuccess::Ok) };
        let map = buffer.map_readable().map_err(|_| FlowError::Error)?;
        let data = Bytes::copy_from_slice(map.as_slice());
        // The receiver is gone when the camera stops.
        let sent = frames.blocking_send(Encoded { track, pts: time.nseconds(), data });
        sent.map(|()| FlowSuccess::Ok).map_err(|_| FlowError::Eos)
    };
    sink.set_callbacks(AppSinkCallbacks::builder().new_sample(on_sample).build());
}
