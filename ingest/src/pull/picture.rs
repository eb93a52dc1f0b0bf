//! One key frame as a JPEG, decoded by GStreamer.

use bytes::Bytes;
use gstreamer::prelude::*;
use gstreamer::{Buffer, Caps, ClockTime, Pipeline, State, parse};
use gstreamer_app::{AppSink, AppSrc};
use media::{CodecId, Track};

/// A picture takes this long at most.
const LIMIT: ClockTime = ClockTime::from_seconds(3);
/// Pictures are this wide at most, in pixels.
const WIDTH: u32 = 640;
/// More bytes than a JPEG of that width has.
const MOST: usize = 1 << 20;

/// Decodes a key frame; `None` where the codec is not video, the plugins are not there, or it takes too
/// long. Blocks meanwhile.
pub(super) fn jpeg(track: &Track, key_frame: Bytes) -> Option<Bytes> {
    let (kind, format) = match track.codec {
        CodecId::H264 => ("video/x-h264", "avc"),
        CodecId::H265 => ("video/x-h265", "hvc1"),
        _ => return None,
    };
    gstreamer::init().ok()?;
    let description = format!(
        "appsrc name=in format=time ! decodebin ! videoconvert ! videoscale add-borders=false \
         ! video/x-raw,width=[1,{WIDTH}],pixel-aspect-ratio=1/1 ! jpegenc quality=80 ! appsink name=out sync=false"
    );
    let pipeline = parse::launch(&description).ok()?.downcast::<Pipeline>().ok()?;
    let source: AppSrc = pipeline.by_name("in")?.downcast().ok()?;
    let sink: AppSink = pipeline.by_name("out")?.downcast().ok()?;
    let caps = Caps::builder(kind)
        .field("stream-format", format)
        .field("alignment", "au")
        .field("codec_data", Buffer::from_slice(track.private.clone()));
    source.set_caps(Some(&caps.build()));
    let _down = Down(&pipeline);
    pipeline.set_state(State::Playing).ok()?;
    let mut buffer = Buffer::from_slice(key_frame);
    buffer.get_mut()?.set_pts(ClockTime::ZERO);
    source.push_buffer(buffer).ok()?;
    source.end_of_stream().ok()?;
    let sample = sink.try_pull_sample(LIMIT)?;
    let picture = sample.buffer()?.map_readable().ok()?;
    (picture.len() <= MOST).then(|| Bytes::copy_from_slice(picture.as_slice()))
}

/// Takes the pipeline down, whatever became of it.
struct Down<'p>(&'p Pipeline);

impl Drop for Down<'_> {
    fn drop(&mut self) {
        // Going down cannot be refused.
        let _ = self.0.set_state(State::Null);
    }
}
