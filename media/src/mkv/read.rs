//! A fragment out of a Matroska file.

use std::sync::Arc;

use bytes::Bytes;

use super::block::Block;
use super::ebml::{Element, Elements, id, malformed};
use super::entry::Entry;
use super::timing::{self, Timing};
use crate::{DecodeOrder, Frame, MediaError, Track};

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

fn track(entry: &Element, timing: Option<&Timing>) -> Result<Track, MediaError> {
    let entry = Entry::read(entry)?;
    let timescale = match timing {
        Some(timing) => {
            timing.timescale(entry.number).ok_or_else(|| malformed("a timing tag that lacks a track"))?
        }
        None => BLOCK_TIMESCALE,
    };
    entry.track(timescale)
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
            id::SIMPLE_BLOCK | id::BLOCK_GROUP if frames.len() == MAX_FRAMES => {
                return Err(MediaError::TooLarge { what: "cluster", limit: MAX_FRAMES });
            }
            id::SIMPLE_BLOCK | id::BLOCK_GROUP => frames.push(frame(&element, cluster_ms, tracks)?),
            _ => {}
        }
    }
    Ok(frames)
}

fn frame(element: &Element, cluster_ms: i64, tracks: &[Arc<Track>]) -> Result<Frame, MediaError> {
    let Block { track, time, key, data, .. } = Block::read(element)?;
    let number = u8::try_from(track).ok();
    let number = number.filter(|number| tracks.iter().any(|track| track.number == *number));
    let number = number.ok_or_else(|| malformed("a block of an unknown track"))?;
    let time = cluster_ms + i64::from(time);
    Ok(Frame { track: number, dts: time, pts: time, duration: 0, key, data })
}

/// Gives frames that have only presentation times, all of a fragment in the order of its blocks, decode
/// times and durations. The last frame of a track takes the duration of the one before; a lone one has none.
pub fn order_by_block_times(frames: &mut [Frame], tracks: &[Arc<Track>]) {
    for track in tracks {
        // All frames are there: none need be guessed at.
        let (mut order, mut timed) = (DecodeOrder::new(track.number, u8::MAX), Vec::new());
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
