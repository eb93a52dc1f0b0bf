//! The AAC encoder of GStreamer's libav plugin.

use std::sync::OnceLock;

use gstreamer::prelude::*;
use gstreamer::{Buffer, ClockTime, ElementFactory, MessageView, Pipeline, State, parse};
use gstreamer_app::{AppSink, AppSrc};

const ENCODER: &str = "avenc_aac";

/// Longer than any fragment takes on any machine.
const PATIENCE: ClockTime = ClockTime::from_seconds(30);

/// Why there is no encoder; `None` where there is one.
pub(super) fn missing() -> Option<&'static str> {
    static MISSING: OnceLock<bool> = OnceLock::new();
    MISSING.get_or_init(|| gstreamer::init().is_err() || ElementFactory::find(ENCODER).is_none()).then_some(
        "browsers do not play it, and GStreamer's avenc_aac, which makes AAC of it, is not installed: install \
         gstreamer1.0-libav, or take it as Matroska (GetMediaForFragmentList)",
    )
}

/// The access units of AAC-LC for these samples, channels interleaved: one for every 1024 begun, and one
/// before them. Unit `i` is made of the samples from `1024 (i - 1)` to `1024 (i + 1)`. The same samples make
/// the same units. Blocks.
pub(super) fn encode(sample_rate: u32, channels: u8, samples: &[i16]) -> Result<Vec<Vec<u8>>, String> {
    if let Some(why) = missing() {
        return Err(why.into());
    }
    let bit_rate = (4 * sample_rate).min(96_000) * u32::from(channels);
    let description = format!(
        "appsrc name=in format=time \
         caps=audio/x-raw,format=S16LE,rate={sample_rate},channels={channels},layout=interleaved \
         ! audioconvert ! {ENCODER} bitrate={bit_rate} \
         ! audio/mpeg,mpegversion=4,stream-format=raw ! appsink name=out sync=false"
    );
    let running = Running::start(&description).map_err(|error| error.to_string())?;
    running.feed(samples).map_err(|error| error.to_string())?;
    running.units()
}

/// A pipeline, which goes down when it is dropped.
struct Running(Pipeline);

impl Running {
    fn start(description: &str) -> Result<Self, gstreamer::glib::BoolError> {
        let element = parse::launch(description).map_err(|error| gstreamer::glib::bool_error!("{error}"))?;
        let pipeline = element.downcast::<Pipeline>();
        let running = Self(pipeline.map_err(|_| gstreamer::glib::bool_error!("not a pipeline"))?);
        running.0.set_state(State::Playing).map_err(|error| gstreamer::glib::bool_error!("{error}"))?;
        Ok(running)
    }

    fn feed(&self, samples: &[i16]) -> Result<(), gstreamer::FlowError> {
        let input = self.0.by_name("in").and_then(|element| element.downcast::<AppSrc>().ok());
        let input = input.ok_or(gstreamer::FlowError::Error)?;
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let mut buffer = Buffer::from_mut_slice(bytes);
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(ClockTime::ZERO);
        }
        input.push_buffer(buffer)?;
        input.end_of_stream().map(drop)
    }

    fn units(&self) -> Result<Vec<Vec<u8>>, String> {
        let output = self.0.by_name("out").and_then(|element| element.downcast::<AppSink>().ok());
        let output = output.ok_or("no sink")?;
        let mut units = Vec::new();
        while let Some(sample) = output.try_pull_sample(PATIENCE) {
            let map = sample.buffer().and_then(|buffer| buffer.map_readable().ok());
            units.push(map.ok_or("a buffer that cannot be read")?.to_vec());
        }
        if output.is_eos() { Ok(units) } else { Err(self.trouble()) }
    }

    /// What went wrong inside the pipeline.
    fn trouble(&self) -> String {
        while let Some(message) = self.0.bus().and_then(|bus| bus.pop()) {
            if let MessageView::Error(error) = message.view() {
                return error.error().to_string();
            }
        }
        format!("{ENCODER} does not come to an end")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Going down cannot be refused.
        let _ = self.0.set_state(State::Null);
    }
}
