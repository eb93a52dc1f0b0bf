//! What a probe has seen of one track.

use std::sync::Arc;

#[cfg(feature = "gstreamer")]
use bytes::Bytes;
use media::Track;
use media::rtp::AccessUnit;

use super::ProbedTrack;

/// What has come of one track.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The track's number in the stream, from 1.
    pub(super) number: u8,
    /// The encoding's name in the SDP.
    pub(super) encoding: String,
    pub(super) video: bool,
    /// Ticks per second of its timestamps.
    pub(super) clock_rate: u32,
    pub(super) track: Option<Arc<Track>>,
    first: Option<u32>,
    /// Ticks from the first unit to the one farthest behind it.
    span: u32,
    pub(super) units: u32,
    /// Of all units but the last one, of which the span tells nothing.
    bytes: u64,
    last_bytes: u64,
    key: Option<u32>,
    gop: Option<u32>,
    #[cfg(feature = "gstreamer")]
    pub(super) key_frame: Option<Bytes>,
}

impl Seen {
    pub(super) fn new(number: u8, encoding: &str, video: bool, clock_rate: u32) -> Self {
        Self { number, encoding: encoding.to_owned(), video, clock_rate, ..Self::default() }
    }

    pub(super) fn take(&mut self, unit: &AccessUnit) {
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

    /// Whether more would tell nothing new: of video, two key frames came.
    pub(super) fn is_enough(&self) -> bool {
        self.units > 1 && self.span > 0 && (self.gop.is_some() || !self.video)
    }

    /// From one video key frame to the next, in seconds.
    pub(super) fn gop_seconds(&self) -> Option<f64> {
        let ticks = self.gop.filter(|_| self.video)?;
        Some(f64::from(ticks) / f64::from(self.clock_rate))
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate for people; bytes of ten seconds"
    )]
    pub(super) fn tell(self) -> ProbedTrack {
        let seconds = (self.span > 0).then(|| f64::from(self.span) / f64::from(self.clock_rate));
        let media = self.track.as_deref();
        ProbedTrack {
            codec: media.map(|media| media.codec.name().to_owned()),
            codec_string: media.map(|media| media.codec_string.clone()),
            width: media.map_or(0, |media| media.width),
            height: media.map_or(0, |media| media.height),
            sample_rate: media.map_or(0, |media| media.sample_rate),
            channels: media.map_or(0, |media| media.channels),
            frame_rate: seconds.map(|seconds| (f64::from(self.units - 1) / seconds * 100.0).round() / 100.0),
            bitrate: seconds.map(|seconds| (self.bytes as f64 * 8.0 / seconds) as u64),
            encoding: self.encoding,
        }
    }
}
