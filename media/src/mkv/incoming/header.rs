//! What stands before the first cluster.

use std::sync::Arc;

use bytes::Bytes;

use super::super::ebml::{Element, Elements, id, malformed};
use super::super::entry::Entry;
use super::super::write::info;
use crate::{MediaError, Track};

/// TimestampScale where Info does not say it: a millisecond, in nanoseconds (RFC 9559 §5.1.2.9).
const MILLISECOND_NS: u64 = 1_000_000;
const SECOND_NS: u64 = 1_000_000_000;
/// The finest ticks that are kept: a microsecond.
const FINEST: u64 = 1_000_000;

/// Tracks and times of a stream, and the elements that say so, as they came.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// The Info element.
    pub info: Bytes,
    /// The Tracks element.
    pub described: Bytes,
    /// Nanoseconds of one unit of the clusters' and blocks' times; not 0.
    pub timestamp_scale_ns: u64,
    /// The tracks, timed in ticks that hold every time of the stream exactly, or in microseconds.
    pub tracks: Vec<Arc<Track>>,
    /// How long a frame of each track is shown, in ticks, where that is said; else 0.
    pub frame_durations: Vec<u32>,
}

impl Header {
    pub(super) fn read(info_element: Option<Bytes>, described: &Element) -> Result<Self, MediaError> {
        let info = info_element.unwrap_or_else(|| info(0).freeze());
        let timestamp_scale_ns = timestamp_scale(&info)?;
        let timescale = timescale(timestamp_scale_ns);
        let (mut tracks, mut frame_durations) = (Vec::new(), Vec::new());
        for element in described.children() {
            let element = element?;
            if element.id != id::TRACK_ENTRY {
                continue;
            }
            let entry = Entry::read(&element)?;
            let track = entry.track(timescale)?;
            if tracks.iter().any(|known: &Arc<Track>| known.number == track.number) {
                return Err(malformed("two tracks of one number"));
            }
            tracks.push(Arc::new(track));
            let ticks = u128::from(entry.default_duration_ns) * u128::from(timescale) / u128::from(SECOND_NS);
            frame_durations.push(u32::try_from(ticks).unwrap_or(0));
        }
        if tracks.is_empty() {
            return Err(malformed("no track in Tracks"));
        }
        Ok(Self { info, described: described.whole.clone(), timestamp_scale_ns, tracks, frame_durations })
    }

    /// Ticks per second of all tracks.
    pub fn timescale(&self) -> u32 {
        timescale(self.timestamp_scale_ns)
    }

    /// A time of the stream in ticks; `None` beyond the range of time.
    pub fn ticks(&self, time: i128) -> Option<i64> {
        let ns = time.checked_mul(self.timestamp_scale_ns.into())?;
        let scaled = ns.checked_mul(self.timescale().into())?;
        let second = i128::from(SECOND_NS);
        i64::try_from((scaled + second / 2).div_euclid(second)).ok()
    }
}

/// Ticks per second in which whole units of the scale are whole.
fn timescale(scale_ns: u64) -> u32 {
    let exact = SECOND_NS / scale_ns;
    let sound = SECOND_NS.is_multiple_of(scale_ns) && exact <= FINEST;
    u32::try_from(if sound { exact } else { FINEST }).unwrap_or(1)
}

fn timestamp_scale(info: &Bytes) -> Result<u64, MediaError> {
    let info = Elements::new(info.clone()).next().transpose()?;
    for element in info.iter().flat_map(Element::children) {
        let element = element?;
        if element.id == id::TIMESTAMP_SCALE {
            let scale = element.uint()?;
            return if scale == 0 { Err(malformed("a TimestampScale of 0")) } else { Ok(scale) };
        }
    }
    Ok(MILLISECOND_NS)
}

/// Whether the EBML header is of a file that is read here.
pub(super) fn check_ebml(header: &Element) -> Result<(), MediaError> {
    for element in header.children() {
        let element = element?;
        match element.id {
            // Some producers pad it with NULs, which EBML allows.
            id::DOC_TYPE => {
                let text = element.data.split(|byte| *byte == 0).next().unwrap_or_default();
                if text != b"matroska" && text != b"webm" {
                    return Err(malformed("a DocType that is neither matroska nor webm"));
                }
            }
            id::EBML_READ_VERSION if element.uint()? > 1 => return Err(malformed("EBML of another version")),
            id::EBML_MAX_ID_LENGTH if element.uint()? > 4 => {
                return Err(malformed("element ids of more than 4 bytes"));
            }
            id::EBML_MAX_SIZE_LENGTH if element.uint()? > 8 => {
                return Err(malformed("element sizes of more than 8 bytes"));
            }
            _ => {}
        }
    }
    Ok(())
}
