//! What is known about a fragment: the entry that the log seals, the index answers with, and
//! `fragments.{name}` hands out.

mod packed;

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text::Text;
use crate::{Tags, Timestamp};

/// A fragment's number within its stream: strictly increasing, through restarts and clock steps.
///
/// It is the fragment's server timestamp in milliseconds since the epoch, so that a range of server
/// times is a range of numbers; a fragment that would share or precede its predecessor's millisecond
/// takes the next one. Clients see 47 decimal digits, as AWS writes them, which sort as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FragmentNumber(u64);

/// Before the 20 digits that differ; makes the 47 digits of AWS's fragment numbers.
const PREFIX: &str = "913438523331814323900000000";
const DIGITS: usize = 47;

/// Not a fragment number of this installation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a fragment number: 47 digits, as ListFragments gives them")]
pub struct FragmentNumberError(String);

impl FragmentNumber {
    /// The smallest number.
    pub const MIN: Self = Self(0);
    /// The largest number.
    pub const MAX: Self = Self(u64::MAX);

    /// From the 64 bits that the log's frame header carries.
    pub const fn from_u64(bits: u64) -> Self {
        Self(bits)
    }

    /// The 64 bits that the log's frame header carries.
    pub const fn to_u64(self) -> u64 {
        self.0
    }

    /// The number of a fragment that arrived at `at` and has no predecessor near it.
    pub fn at(at: Timestamp) -> Self {
        Self(u64::try_from(at.millis()).unwrap_or(0))
    }

    /// The number for a fragment that arrives at `now`, after `last`.
    pub fn next(last: Option<Self>, now: Timestamp) -> Self {
        let fresh = Self::at(now);
        match last {
            Some(last) if last >= fresh => Self(last.0.saturating_add(1)),
            _ => fresh,
        }
    }

    /// The server timestamp in the number.
    pub fn server_timestamp(self) -> Timestamp {
        Timestamp::from_millis(i64::try_from(self.0).unwrap_or(i64::MAX))
    }

    /// Reads the 47 digits.
    pub fn parse(text: &str) -> Result<Self, FragmentNumberError> {
        text.strip_prefix(PREFIX)
            .filter(|rest| text.len() == DIGITS && rest.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|rest| rest.parse().ok())
            .map(Self)
            .ok_or_else(|| FragmentNumberError(text.chars().take(140).collect()))
    }
}

impl fmt::Display for FragmentNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{:020}", self.0)
    }
}

/// The 47 digits, as text: never a JSON number.
impl Serialize for FragmentNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FragmentNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Text(text) = Text::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// One unbroken media timeline: changes whenever time or codecs jump. The number of the run's first
/// fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub FragmentNumber);

/// Where a fragment's producer timestamp comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockSource {
    /// The camera's RTCP sender reports (RFC 3550 §6.4.1), trusted.
    SenderReport,
    /// This server's clock, following the least-delayed frame.
    Server,
    /// Absolute cluster times of PutMedia.
    PutMediaAbsolute,
    /// The start time of PutMedia and relative cluster times.
    PutMediaRelative,
}

impl ClockSource {
    /// As a number of at most 4 bits, on disk.
    pub const fn code(self) -> u8 {
        match self {
            Self::SenderReport => 0,
            Self::Server => 1,
            Self::PutMediaAbsolute => 2,
            Self::PutMediaRelative => 3,
        }
    }

    /// What [`Self::code`] gave.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::SenderReport),
            1 => Some(Self::Server),
            2 => Some(Self::PutMediaAbsolute),
            3 => Some(Self::PutMediaRelative),
            _ => None,
        }
    }
}

/// Which clock names a stream's producer timestamps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimestampSource {
    /// The camera's sender reports while they are trusted, else the server's clock.
    #[default]
    Auto,
    /// The camera's sender reports, even when they look wrong; health says so.
    Camera,
    /// The server's clock, whatever the camera reports.
    Server,
}

/// What is known about one track of a fragment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackMeta {
    /// The Matroska track number, from 1.
    pub number: u8,
    /// Short codec name: `h264`, `h265`, `aac`, …
    pub codec: String,
    /// RFC 6381 codec string: `avc1.64001f`, `mp4a.40.2`, …
    pub codec_string: String,
    /// Ticks per second of `start` and `duration`.
    pub timescale: u32,
    /// Media time of the first frame since the start of the run, in ticks.
    pub start: i64,
    /// Sum of the frame durations, in ticks, exact.
    pub duration: u64,
    /// Frames of this track in the fragment.
    pub frames: u32,
    /// Bytes of all its frames together.
    pub bytes: u64,
    /// Picture width in pixels; 0 for audio.
    #[serde(default)]
    pub width: u32,
    /// Picture height in pixels; 0 for audio.
    #[serde(default)]
    pub height: u32,
    /// Samples per second; 0 for video.
    #[serde(default)]
    pub sample_rate: u32,
    /// Audio channels; 0 for video.
    #[serde(default)]
    pub channels: u8,
    /// Changes when the init segment must change: a hash of codec and codec private data.
    pub init_id: u64,
}

/// Everything known about one fragment besides its media and its place on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FragmentMeta {
    /// The fragment's number; carries the server timestamp.
    #[serde(rename = "fragment_number")]
    pub number: FragmentNumber,
    /// When the first frame was made, after the time rule (`docs/time.md`).
    pub producer_timestamp: Timestamp,
    /// When its first packet arrived; strictly increasing within a stream.
    pub server_timestamp: Timestamp,
    /// How long it plays: the longest video track, else the longest track.
    pub duration_ms: u32,
    /// Bytes of the Matroska file.
    pub size_bytes: u64,
    /// The run it belongs to.
    pub run_id: RunId,
    /// Producer time at which the run's media time is zero.
    pub run_origin: Timestamp,
    /// HLS media sequence number within the stream (RFC 8216 §4.3.3.2).
    pub media_sequence: u64,
    /// HLS discontinuity sequence number within the stream (RFC 8216 §4.3.3.3).
    pub discontinuity_sequence: u64,
    /// Whether it begins with a key frame.
    pub starts_with_key: bool,
    /// What the producer timestamp follows.
    pub clock_source: ClockSource,
    /// Camera clock minus server clock, where the camera reports one.
    #[serde(default)]
    pub clock_offset_ms: Option<i64>,
    /// How much faster than the server's the camera's media clock runs, in parts per million; known once frames
    /// have been coming for two minutes.
    #[serde(default)]
    pub clock_drift_ppm: Option<i32>,
    /// Whether the server's clock was kept right when the fragment began (NTP), where the system tells.
    #[serde(default)]
    pub server_clock_synced: Option<bool>,
    /// The fragment whose key frame decoding has to begin with, where this one does not start with one and there
    /// is any.
    #[serde(default)]
    pub decodes_from: Option<FragmentNumber>,
    /// The tracks, by number.
    pub tracks: Vec<TrackMeta>,
    /// The fragment's own tags.
    #[serde(default)]
    pub tags: Tags,
}

impl FragmentMeta {
    /// Producer time at which the fragment ends.
    pub fn producer_end(&self) -> Timestamp {
        Timestamp::from_millis(self.producer_timestamp.millis() + i64::from(self.duration_ms))
    }

    /// The first video track.
    pub fn video(&self) -> Option<&TrackMeta> {
        self.tracks.iter().find(|track| track.width > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_grow_through_a_clock_that_steps_back() {
        let noon = Timestamp::from_millis(1_700_000_000_000);
        let first = FragmentNumber::next(None, noon);
        let second = FragmentNumber::next(Some(first), Timestamp::from_millis(1_600_000_000_000));
        let third = FragmentNumber::next(Some(second), noon);
        assert!(first < second && second < third);
        assert_eq!(first.server_timestamp(), noon);
    }

    proptest! {
        #[test]
        fn digits_round_trip_and_sort_as_text(a: u64, b: u64) {
            let (a, b) = (FragmentNumber::from_u64(a), FragmentNumber::from_u64(b));
            prop_assert_eq!(a.to_string().len(), DIGITS);
            prop_assert_eq!(FragmentNumber::parse(&a.to_string()), Ok(a));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }

        #[test]
        fn any_text_parses_or_is_refused(text in "[0-9]{0,60}") {
            let _ = FragmentNumber::parse(&text);
        }
    }
}
