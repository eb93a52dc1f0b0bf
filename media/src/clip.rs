//! A clip: many fragments as one seekable MP4 file, any byte range of which can be made on its own.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use base::{FragmentMeta, FragmentNumber, RunId, TrackMeta};
use bytes::Bytes;
use mp4_atom::{SegmentReference, Sidx};

use crate::fmp4::{Run, TrackBox, encode, media_segment_size, movie, segment};
use crate::mkv::StoredFragment;
use crate::ticks::scale;
use crate::{MediaError, Track};

/// The plan of a clip's file: ftyp, moov, sidx, then one moof and mdat per fragment. Offsets and
/// total size come from metadata alone; media is needed only for the ranges that are read.
///
/// The clip's time starts at zero. Within a run media time is kept as it is; a new run follows the
/// previous one without a gap. Where codec data change, so does the sample entry; as some players
/// (ffmpeg among them) never look at a second one, such a clip's fragments also begin with their
/// parameter sets in band.
#[derive(Clone, Debug)]
pub struct ClipLayout {
    head: Bytes,
    fragments: Vec<Planned>,
    /// Where each fragment begins in the file, and the file's end.
    offsets: Vec<u64>,
}

/// What is known of a fragment's bytes before its media are read.
#[derive(Clone, Debug)]
struct Planned {
    number: FragmentNumber,
    parts: Vec<PlannedPart>,
    starts_with_key: bool,
}

#[derive(Clone, Debug)]
struct PlannedPart {
    track: u8,
    description: u32,
    timescale: u32,
    base_decode_time: u64,
    duration: u64,
    frames: u32,
    bytes: u64,
    /// Parameter sets before the first frame.
    prefix: Bytes,
}

impl Planned {
    /// Bytes of the moof and mdat.
    fn size(&self) -> u64 {
        let count = |part: &PlannedPart| (part.frames, part.bytes + part.prefix.len() as u64);
        media_segment_size(&self.parts.iter().map(count).collect::<Vec<_>>())
    }
}

impl ClipLayout {
    /// Plans the clip of `fragments`, in the order given. `inits` holds a track for every different
    /// (number, init_id) that occurs in them. [`MediaError::TooLarge`] beyond 65,535 fragments or
    /// 2 GiB in one fragment.
    pub fn new(inits: &[Arc<Track>], fragments: &[FragmentMeta]) -> Result<Self, MediaError> {
        let mut timeline = Timeline::new(inits);
        let mut planned = fragments.iter().map(|meta| timeline.plan(meta)).collect::<Result<Vec<_>, _>>()?;
        timeline.put_sets_in_band(&mut planned);
        let sizes: Vec<u64> = planned.iter().map(Planned::size).collect();
        let head = Bytes::from(timeline.head(&planned, &sizes)?);
        let mut offsets = vec![head.len() as u64];
        for size in sizes {
            offsets.push(offsets[offsets.len() - 1] + size);
        }
        Ok(Self { head, fragments: planned, offsets })
    }

    /// Bytes of the whole file.
    pub fn total_bytes(&self) -> u64 {
        self.offsets[self.offsets.len() - 1]
    }

    /// The file's beginning, up to the first fragment.
    pub fn head(&self) -> &Bytes {
        &self.head
    }

    /// Where in the file the fragment of this index lies; empty at the file's end for an index
    /// beyond the last.
    pub fn span(&self, index: usize) -> Range<u64> {
        let offset = |index| self.offsets.get(index).copied().unwrap_or_else(|| self.total_bytes());
        offset(index)..offset(index.saturating_add(1))
    }

    /// The indexes of the fragments that a byte range of the file touches.
    pub fn locate(&self, range: &Range<u64>) -> Range<usize> {
        let ends = &self.offsets[1..];
        let starts = &self.offsets[..self.offsets.len() - 1];
        let first = ends.partition_point(|end| *end <= range.start);
        let last = starts.partition_point(|start| *start < range.end);
        if range.is_empty() { first..first } else { first..last.max(first) }
    }

    /// The bytes of [`Self::span`], as a list of pieces. [`MediaError::Mismatch`] where the fragment
    /// is not the one that was planned.
    pub fn fragment_bytes(&self, index: usize, fragment: &StoredFragment) -> Result<Vec<Bytes>, MediaError> {
        let plan = self.fragments.get(index).ok_or(MediaError::Malformed {
            what: "clip",
            why: "asked for a fragment that is not part of it",
        })?;
        let mismatch = |why| MediaError::Mismatch { number: plan.number, why };
        let frames: Vec<_> = plan.parts.iter().map(|part| fragment.frames_of(part.track)).collect();
        let mut runs = Vec::with_capacity(plan.parts.len());
        for (part, frames) in plan.parts.iter().zip(&frames) {
            let track = fragment.track(part.track).ok_or_else(|| mismatch("a track is missing"))?;
            let bytes: u64 = frames.iter().map(|frame| frame.data.len() as u64).sum();
            if (frames.len(), bytes) != (part.frames as usize, part.bytes) {
                return Err(mismatch("other frames than counted"));
            }
            runs.push(Run {
                track_id: part.track.into(),
                description: part.description,
                base_decode_time: part.base_decode_time,
                from_timescale: track.timescale,
                to_timescale: part.timescale,
                prefix: part.prefix.clone(),
                frames,
            });
        }
        segment(u32::try_from(index + 1).unwrap_or(u32::MAX), &runs)
    }
}

/// Cuts a list of pieces that lies at `at` in a file down to what falls into `range` of the file.
pub fn cut(pieces: Vec<Bytes>, at: u64, range: &Range<u64>) -> Vec<Bytes> {
    let mut start = at;
    let mut kept = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let length = piece.len() as u64;
        let within = |position: u64| position.saturating_sub(start).min(length) as usize;
        let (from, to) = (within(range.start), within(range.end));
        start += length;
        if from < to {
            kept.push(piece.slice(from..to));
        }
    }
    kept
}

/// Nanoseconds per second: the clip's own clock, in which tracks of any timescale are lined up.
const CLIP_TIMESCALE: u32 = 1_000_000_000;

/// Where the planning of a clip stands.
struct Timeline<'a> {
    /// The tracks by number and init id.
    inits: BTreeMap<(u8, u64), &'a Arc<Track>>,
    /// The clip's tracks by number, with the init ids of their sample entries.
    tracks: BTreeMap<u8, (TrackBox<'a>, Vec<u64>)>,
    /// Where each track's next frame may be decoded at the earliest, in its ticks.
    ends: BTreeMap<u8, u64>,
    run: Option<RunId>,
    /// Clip time minus media time of the run, in nanoseconds.
    offset: i64,
}

impl<'a> Timeline<'a> {
    fn new(inits: &'a [Arc<Track>]) -> Self {
        Self {
            inits: inits.iter().map(|track| ((track.number, track.init_id()), track)).collect(),
            tracks: BTreeMap::new(),
            ends: BTreeMap::new(),
            run: None,
            offset: 0,
        }
    }

    fn plan(&mut self, meta: &FragmentMeta) -> Result<Planned, MediaError> {
        let with_frames = || meta.tracks.iter().filter(|track| track.frames > 0);
        if self.run != Some(meta.run_id) {
            let start = |track: &TrackMeta| scale(track.start, track.timescale.max(1), CLIP_TIMESCALE);
            let start = with_frames().map(start).min().unwrap_or(0);
            self.offset = self.end().saturating_sub(start);
            self.run = Some(meta.run_id);
        }
        let parts = with_frames().map(|track| self.part(meta.number, track)).collect::<Result<_, _>>()?;
        Ok(Planned { number: meta.number, parts, starts_with_key: meta.starts_with_key })
    }

    fn part(&mut self, number: FragmentNumber, meta: &TrackMeta) -> Result<PlannedPart, MediaError> {
        let init = self
            .inits
            .get(&(meta.number, meta.init_id))
            .copied()
            .ok_or(MediaError::Mismatch { number, why: "no track given for one of its init ids" })?;
        let (track, ids) = self
            .tracks
            .entry(meta.number)
            .or_insert_with(|| (TrackBox { timescale: init.timescale, entries: Vec::new() }, Vec::new()));
        let description = ids.iter().position(|id| *id == meta.init_id).unwrap_or_else(|| {
            ids.push(meta.init_id);
            track.entries.push(init);
            ids.len() - 1
        });
        let timescale = track.timescale;
        let ticks = |time| scale(time, init.timescale, timescale);
        let begin = ticks(meta.start).saturating_add(scale(self.offset, CLIP_TIMESCALE, timescale));
        // A fragment that begins before its predecessor ends is a fault in the recording; the file
        // must not go back in time for it.
        let begin = u64::try_from(begin).unwrap_or(0).max(self.ends.get(&meta.number).copied().unwrap_or(0));
        let duration = ticks(meta.start.saturating_add_unsigned(meta.duration)) - ticks(meta.start);
        let duration = u64::try_from(duration).unwrap_or(0);
        self.ends.insert(meta.number, begin.saturating_add(duration));
        Ok(PlannedPart {
            track: meta.number,
            description: u32::try_from(description + 1).unwrap_or(u32::MAX),
            timescale,
            base_decode_time: begin,
            duration,
            frames: meta.frames,
            bytes: meta.bytes,
            prefix: Bytes::new(),
        })
    }

    /// Gives the fragments of tracks with more than one sample entry their parameter sets.
    fn put_sets_in_band(&self, fragments: &mut [Planned]) {
        let changing = self.tracks.iter().filter(|(_, (track, _))| track.entries.len() > 1);
        for (number, (track, _)) in changing {
            let sets: Vec<_> =
                track.entries.iter().map(|entry| entry.codec.sets_in_band(&entry.private)).collect();
            let parts = fragments.iter_mut().flat_map(|plan| &mut plan.parts);
            for part in parts.filter(|part| part.track == *number) {
                part.prefix = sets[part.description as usize - 1].clone();
            }
        }
    }

    /// The clip's end so far, in nanoseconds.
    fn end(&self) -> i64 {
        let end = |(number, end): (&u8, &u64)| {
            let timescale = self.tracks.get(number).map_or(1, |(track, _)| track.timescale);
            scale(i64::try_from(*end).unwrap_or(i64::MAX), timescale, CLIP_TIMESCALE)
        };
        self.ends.iter().map(end).max().unwrap_or(0)
    }

    /// ftyp, moov and sidx.
    fn head(&self, fragments: &[Planned], sizes: &[u64]) -> Result<Vec<u8>, MediaError> {
        if fragments.len() > usize::from(u16::MAX) {
            return Err(MediaError::TooLarge { what: "clip (in fragments)", limit: u16::MAX.into() });
        }
        let tracks: Vec<_> = self.tracks.values().map(|(track, _)| track).collect();
        let duration_ms = u64::try_from(self.end() / 1_000_000).unwrap_or(0);
        let mut head = movie(&tracks, Some(duration_ms))?;
        let reference = tracks.iter().find(|track| track.entries[0].is_video()).or(tracks.first());
        if let Some(track) = reference {
            encode(&mut head, &index(track, fragments, sizes)?)?;
        }
        Ok(head)
    }
}

/// The segment index (ISO/IEC 14496-12 §8.16.3), by the times of `track`.
fn index(track: &TrackBox<'_>, fragments: &[Planned], sizes: &[u64]) -> Result<Sidx, MediaError> {
    let number = track.entries[0].number;
    // Where each fragment begins, and the last one's end; one without this track takes no time.
    let mut starts: Vec<u64> = Vec::with_capacity(fragments.len() + 1);
    let mut end = 0;
    for plan in fragments {
        let part = plan.parts.iter().find(|part| part.track == number);
        starts.push(part.map_or(end, |part| part.base_decode_time));
        end = part.map_or(end, |part| part.base_decode_time + part.duration);
    }
    starts.push(end);
    let too_large = MediaError::TooLarge { what: "fragment", limit: (1 << 31) - 1 };
    let mut references = Vec::with_capacity(fragments.len());
    for ((plan, size), times) in fragments.iter().zip(sizes).zip(starts.windows(2)) {
        let size = u32::try_from(*size).ok().filter(|size| *size < 1 << 31);
        references.push(SegmentReference {
            reference_type: false,
            referenced_size: size.ok_or_else(|| too_large.clone())?,
            subsegment_duration: u32::try_from(times[1] - times[0]).unwrap_or(u32::MAX),
            starts_with_sap: plan.starts_with_key,
            sap_type: u8::from(plan.starts_with_key),
            sap_delta_time: 0,
        });
    }
    Ok(Sidx {
        reference_id: number.into(),
        timescale: track.timescale,
        earliest_presentation_time: starts[0],
        first_offset: 0,
        references,
    })
}

#[cfg(test)]
#[path = "clip_tests.rs"]
mod tests;
