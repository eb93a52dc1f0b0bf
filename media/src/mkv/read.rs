//! A fragment out of a Matroska file.

use std::sync::Arc;

use bytes::Bytes;

use super::ebml::{Element, Elements, id, malformed, vint};
use super::timing::{self, Timing};
use super::write::codec_name;
use crate::codec::pcm;
use crate::{CodecId, DecodeOrder, Frame, MediaError, Track};

/// A fragment read back.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredFragment {
    /// The tracks, as in the file.
    pub tracks: Vec<Arc<Track>>,
    /// All frames, as stored; their data are slices of the file.
    pub frames: Vec<Frame>,
}

impl StoredFragment {
    /// The track of a number.
    pub fn track(&self, number: u8) -> Option<&Arc<Track>> {
        self.tracks.iter().find(|track| track.number == number)
    }

    /// The frames of one track, in decoding order. Cheap: the data are shared.
    pub fn frames_of(&self, number: u8) -> Vec<Frame> {
        self.frames.iter().filter(|frame| frame.track == number).cloned().collect()
    }
}

/// The most frames that are read from one fragment: more than one of the longest duration and highest
/// rates has.
pub const MAX_FRAMES: usize = 1 << 16;
/// More tracks than any stream may have.
const MAX_TRACKS: usize = 16;
/// Ticks per second of files without exact times: Matroska's milliseconds.
const BLOCK_TIMESCALE: u32 = 1000;

/// Reads a fragment. Times are the exact ones where the file carries them, else the blocks'
/// milliseconds since the epoch.
pub fn read_fragment(file: &Bytes) -> Result<StoredFragment, MediaError> {
    let sections = Sections::find(file)?;
    let timing = sections.timing()?;
    let mut tracks = Vec::new();
    for element in sections.tracks.children() {
        let element = element?;
        if element.id == id::TRACK_ENTRY {
            if tracks.len() == MAX_TRACKS {
                return Err(MediaError::TooLarge { what: "track list", limit: MAX_TRACKS });
            }
            tracks.push(Arc::new(track(&element, timing.as_ref())?));
        }
    }
    let mut frames = blocks(&sections.cluster, &tracks)?;
    match timing {
        Some(timing) => timing.apply(&mut frames)?,
        None => order_by_block_times(&mut frames, &tracks),
    }
    Ok(StoredFragment { tracks, frames })
}

/// The level-1 elements of a fragment's file.
pub(super) struct Sections {
    pub(super) info: Element,
    pub(super) tracks: Element,
    pub(super) cluster: Element,
    tags: Vec<Element>,
}

impl Sections {
    pub(super) fn find(file: &Bytes) -> Result<Self, MediaError> {
        let mut top = Elements::new(file.clone());
        if top.next().transpose()?.is_none_or(|header| header.id != id::EBML) {
            return Err(malformed("no EBML header"));
        }
        let segment = top.next().transpose()?.filter(|segment| segment.id == id::SEGMENT);
        let segment = segment.ok_or_else(|| malformed("no Segment after the EBML header"))?;
        let (mut info, mut tracks, mut cluster, mut tags) = (None, None, None, Vec::new());
        for element in segment.children() {
            let element = element?;
            let place = match element.id {
                id::INFO => &mut info,
                id::TRACKS => &mut tracks,
                id::CLUSTER => &mut cluster,
                id::TAGS => {
                    tags.push(element);
                    continue;
                }
                _ => continue, // Void, SeekHead, Cues and what else a file may hold
            };
            if place.replace(element).is_some() {
                return Err(malformed("more than one Info, Tracks or Cluster"));
            }
        }
        let (Some(info), Some(tracks), Some(cluster)) = (info, tracks, cluster) else {
            return Err(malformed("Info, Tracks or Cluster is missing"));
        };
        Ok(Self { info, tracks, cluster, tags })
    }

    /// The timing tag, where there is one.
    fn timing(&self) -> Result<Option<Timing>, MediaError> {
        for tags in &self.tags {
            for tag in tags.children() {
                for simple in tag?.children() {
                    if let Some(binary) = timing_tag(&simple?)? {
                        return Timing::read(binary).map(Some);
                    }
                }
            }
        }
        Ok(None)
    }
}

/// The value of a SimpleTag that is the timing tag.
fn timing_tag(simple: &Element) -> Result<Option<Bytes>, MediaError> {
    let (mut named, mut value) = (false, None);
    for child in simple.children() {
        let child = child?;
        match child.id {
            id::TAG_NAME => named = child.data == timing::TAG,
            id::TAG_BINARY => value = Some(child.data),
            _ => {}
        }
    }
    Ok(value.filter(|_| named && simple.id == id::SIMPLE_TAG))
}

/// A TrackEntry, as far as it matters here.
#[derive(Default)]
struct Entry {
    number: Option<u8>,
    codec_id: Bytes,
    private: Bytes,
    width: u32,
    height: u32,
    sampling_frequency: f64,
    channels: u8,
    bit_depth: u64,
}

impl Entry {
    fn read(entry: &Element) -> Result<Self, MediaError> {
        let mut read = Self { channels: 1, ..Self::default() };
        for element in entry.children() {
            let element = element?;
            match element.id {
                id::TRACK_NUMBER => read.number = u8::try_from(element.uint()?).ok(),
                id::CODEC_ID => read.codec_id = element.data,
                id::CODEC_PRIVATE => read.private = element.data,
                id::VIDEO | id::AUDIO => read.settings(&element)?,
                _ => {}
            }
        }
        Ok(read)
    }

    /// The elements of Video or Audio.
    fn settings(&mut self, settings: &Element) -> Result<(), MediaError> {
        for element in settings.children() {
            let element = element?;
            match element.id {
                id::PIXEL_WIDTH => self.width = u32::try_from(element.uint()?).unwrap_or(0),
                id::PIXEL_HEIGHT => self.height = u32::try_from(element.uint()?).unwrap_or(0),
                id::SAMPLING_FREQUENCY => self.sampling_frequency = element.float()?,
                id::CHANNELS => self.channels = u8::try_from(element.uint()?).unwrap_or(0),
                id::BIT_DEPTH => self.bit_depth = element.uint()?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Which codec it is, and its private data.
    fn codec(&self) -> Result<(CodecId, Bytes), MediaError> {
        let named = CodecId::ALL.into_iter().filter(|codec| codec_name(*codec).as_bytes() == self.codec_id);
        let either_law = |codec: &CodecId| match codec {
            CodecId::Pcmu | CodecId::Pcma => pcm::is_private_of(*codec, &self.private),
            _ => true,
        };
        let codec = named.into_iter().find(either_law);
        match codec.ok_or_else(|| malformed("a track of a codec that is not recorded here"))? {
            CodecId::L16 if self.bit_depth != 16 => Err(malformed("plain samples of other than 16 bits")),
            // A rate that is no number becomes 0, which is refused.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
            CodecId::L16 => {
                let rate = self.sampling_frequency as u32;
                Ok((CodecId::L16, pcm::private(CodecId::L16, rate, self.channels)))
            }
            codec @ (CodecId::Vp8 | CodecId::Mjpeg) => Ok((codec, Bytes::new())),
            codec => Ok((codec, self.private.clone())),
        }
    }
}

fn track(entry: &Element, timing: Option<&Timing>) -> Result<Track, MediaError> {
    let entry = Entry::read(entry)?;
    let number = entry.number.ok_or_else(|| malformed("a track without a number from 1 to 255"))?;
    let (codec, private) = entry.codec()?;
    let timescale = match timing {
        Some(timing) => {
            timing.timescale(number).ok_or_else(|| malformed("a timing tag that lacks a track"))?
        }
        None => BLOCK_TIMESCALE,
    };
    let mut track = Track::new(number, codec, timescale, private)?;
    if track.width == 0 && codec.is_video() {
        (track.width, track.height) = (entry.width, entry.height);
    }
    Ok(track)
}

/// The frames of a cluster, timed by their blocks.
fn blocks(cluster: &Element, tracks: &[Arc<Track>]) -> Result<Vec<Frame>, MediaError> {
    let (mut frames, mut cluster_ms) = (Vec::new(), 0);
    for element in cluster.children() {
        let element = element?;
        match element.id {
            id::TIMESTAMP => {
                let time = i64::try_from(element.uint()?).ok().filter(|time| *time < i64::MAX / 2);
                cluster_ms = time.ok_or_else(|| malformed("a cluster beyond the range of time"))?;
            }
            id::SIMPLE_BLOCK if frames.len() == MAX_FRAMES => {
                return Err(MediaError::TooLarge { what: "cluster", limit: MAX_FRAMES });
            }
            id::SIMPLE_BLOCK => frames.push(block(element.data, cluster_ms, tracks)?),
            _ => {}
        }
    }
    Ok(frames)
}

/// One SimpleBlock (RFC 9559 §10.2).
fn block(mut data: Bytes, cluster_ms: i64, tracks: &[Arc<Track>]) -> Result<Frame, MediaError> {
    let (number, length) = vint(&data, 2)?;
    let number = u8::try_from(number & !(1 << (7 * length))).ok();
    let number = number.filter(|number| tracks.iter().any(|track| track.number == *number));
    let number = number.ok_or_else(|| malformed("a block of an unknown track"))?;
    let Some(&[t0, t1, flags]) = data.get(length..).and_then(<[u8]>::first_chunk) else {
        return Err(malformed("a block that is cut off"));
    };
    if flags & 0x06 != 0 {
        return Err(malformed("a block with lacing"));
    }
    let time = cluster_ms + i64::from(i16::from_be_bytes([t0, t1]));
    let data = data.split_off(length + 3);
    Ok(Frame { track: number, dts: time, pts: time, duration: 0, key: flags & 0x80 != 0, data })
}

/// Gives frames that have only their blocks' times decode times and durations.
fn order_by_block_times(frames: &mut [Frame], tracks: &[Arc<Track>]) {
    for track in tracks {
        let (mut order, mut timed) = (DecodeOrder::new(track.number, track.reorder_depth), Vec::new());
        for frame in frames.iter().filter(|frame| frame.track == track.number) {
            order.push(frame.pts, frame.key, frame.data.clone(), &mut timed);
        }
        order.finish(&mut timed);
        let untimed = frames.iter_mut().filter(|frame| frame.track == track.number);
        for (frame, timed) in untimed.zip(timed) {
            *frame = timed;
        }
    }
}
