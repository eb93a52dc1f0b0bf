//! Pictures out of NAL units: what H.264 and H.265 over RTP have in common.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use super::AccessUnit;
use crate::codec::{NalKind, ParameterSets, SetKind, h264, h265};
use crate::{CodecId, MediaError, Track};

/// Collects NAL units into access units, each NAL unit copied once, behind its length.
///
/// A unit ends with the marker or where the timestamp changes. Some senders set the marker also on
/// parameter sets or SEI: a marker without a slice before it ends nothing. Some set it on every
/// slice: once a picture goes on after its marker, markers are no longer believed.
#[derive(Debug)]
pub(super) struct Pictures {
    number: u8,
    codec: CodecId,
    clock_rate: u32,
    max_bytes: usize,
    sets: ParameterSets,
    /// Whether `sets` differ from what `track` says.
    sets_changed: bool,
    track: Option<Arc<Track>>,
    /// Whether `track` has gone out with a unit.
    announced: bool,
    unit: Option<Unit>,
    /// The unit's bytes so far.
    buffer: BytesMut,
    /// Where in `buffer` the NAL unit begins that comes in fragments.
    fragment: Option<usize>,
    /// Timestamp of the last unit that its marker ended.
    marked_end: Option<u32>,
    markers_lie: bool,
    /// Timestamp of a unit that is dropped because it is too large.
    oversized: Option<u32>,
}

/// Changed parameter sets that one unit may carry; real ones carry three.
const MAX_SETS_PER_UNIT: usize = 16;

/// The unit in hand.
#[derive(Debug)]
struct Unit {
    timestamp: u32,
    key: bool,
    slices: u32,
    damaged: bool,
    /// Packets are missing before this unit: its beginning may be among them.
    after_loss: bool,
    /// Parameter sets that came with this unit and changed something.
    new_sets: Vec<Bytes>,
}

impl Pictures {
    pub(super) fn new(number: u8, codec: CodecId, clock_rate: u32, max_bytes: usize) -> Self {
        Self {
            number,
            codec,
            clock_rate,
            max_bytes,
            sets: ParameterSets::default(),
            sets_changed: false,
            track: None,
            announced: false,
            unit: None,
            buffer: BytesMut::new(),
            fragment: None,
            marked_end: None,
            markers_lie: false,
            oversized: None,
        }
    }

    /// Takes a parameter set that the SDP gives.
    pub(super) fn out_of_band(&mut self, nal: &[u8]) {
        if let NalKind::ParameterSet(kind) = self.classify(nal) {
            self.sets_changed |= self.sets.insert(self.codec, kind, nal).is_some();
        }
        self.refresh_track();
    }

    pub(super) fn track(&self) -> Option<&Arc<Track>> {
        self.track.as_ref()
    }

    /// Begins a packet: ends the unit in hand where the timestamp says so. False where the packet
    /// belongs to a unit that is being dropped.
    pub(super) fn begin(&mut self, timestamp: u32, lost: u16, out: &mut Vec<AccessUnit>) -> bool {
        if self.oversized == Some(timestamp) {
            return false;
        }
        self.oversized = None;
        if lost > 0 {
            self.abandon_fragment();
            self.damage();
        }
        if self.unit.as_ref().is_some_and(|unit| unit.timestamp != timestamp) {
            self.finish(out);
        }
        self.unit.get_or_insert_with(|| Unit {
            timestamp,
            key: false,
            slices: 0,
            damaged: false,
            after_loss: lost > 0,
            new_sets: Vec::new(),
        });
        true
    }

    /// Ends a packet, which may have been `broken`.
    pub(super) fn end(&mut self, marker: bool, broken: bool, out: &mut Vec<AccessUnit>) {
        if broken {
            self.damage();
        }
        let Some(unit) = &self.unit else { return };
        if marker && unit.slices > 0 && !self.markers_lie {
            self.marked_end = Some(unit.timestamp);
            self.finish(out);
        }
    }

    /// Takes a whole NAL unit, or several that a sender has put behind start codes and calls one.
    pub(super) fn nal(&mut self, nal: &[u8]) -> Result<(), MediaError> {
        self.abandon_fragment();
        if !self.may_be_several(nal) {
            return self.single(nal);
        }
        start_coded(nal).try_for_each(|single| self.single(single))
    }

    /// Whether start codes within a NAL unit are what they seem. In a slice there is none, and SEI may
    /// carry anything.
    fn may_be_several(&self, nal: &[u8]) -> bool {
        let glues = matches!(self.classify(nal), NalKind::ParameterSet(_) | NalKind::Delimiter);
        glues || nal.starts_with(&[0, 0, 1]) || nal.starts_with(&[0, 0, 0, 1])
    }

    fn single(&mut self, nal: &[u8]) -> Result<(), MediaError> {
        match self.classify(nal) {
            _ if nal.is_empty() => {}
            NalKind::Slice { .. } | NalKind::Other => {
                let length = u32::try_from(nal.len()).unwrap_or(u32::MAX);
                let start = self.buffer.len();
                self.reserve(4 + nal.len())?;
                self.buffer.put_u32(length);
                self.buffer.put_slice(nal);
                self.stored(start);
            }
            NalKind::ParameterSet(kind) => self.parameter_set(kind, nal),
            NalKind::Delimiter => {}
        }
        Ok(())
    }

    /// Takes the first fragment of a NAL unit whose header is `header`.
    pub(super) fn first_fragment(&mut self, header: &[u8], payload: &[u8]) -> Result<(), MediaError> {
        self.abandon_fragment();
        let start = self.buffer.len();
        self.reserve(4 + header.len() + payload.len())?;
        self.buffer.put_u32(0); // the length, once it is known
        self.buffer.put_slice(header);
        self.buffer.put_slice(payload);
        self.fragment = Some(start);
        Ok(())
    }

    /// Takes another fragment; one whose beginning is missing damages the unit.
    pub(super) fn next_fragment(&mut self, payload: &[u8]) -> Result<(), MediaError> {
        if self.fragment.is_none() {
            self.damage();
            return Ok(());
        }
        self.reserve(payload.len())?;
        self.buffer.put_slice(payload);
        Ok(())
    }

    /// The fragments taken so far are the whole NAL unit.
    pub(super) fn last_fragment(&mut self) -> Result<(), MediaError> {
        let Some(start) = self.fragment.take() else { return Ok(()) };
        let nal = &self.buffer[start + 4..];
        if self.may_be_several(nal) {
            let whole = self.buffer.split_off(start);
            return self.nal(&whole[4..]);
        }
        let length = u32::try_from(nal.len()).unwrap_or(u32::MAX);
        self.buffer[start..start + 4].copy_from_slice(&length.to_be_bytes());
        self.stored(start);
        Ok(())
    }

    /// Ends the unit in hand. One without slices leaves nothing but its parameter sets.
    pub(super) fn finish(&mut self, out: &mut Vec<AccessUnit>) {
        self.abandon_fragment();
        let Some(unit) = self.unit.take().filter(|unit| unit.slices > 0) else {
            self.buffer.clear();
            return;
        };
        let mut data = self.buffer.split().freeze();
        if self.sets_changed && (unit.key || self.track.is_none()) {
            self.refresh_track();
        } else if !unit.new_sets.is_empty() {
            data = with_sets(&unit.new_sets, &data);
        }
        let Some(track) = &self.track else { return };
        let track = (!self.announced).then(|| track.clone());
        self.announced = true;
        out.push(AccessUnit {
            rtp_timestamp: unit.timestamp,
            key: unit.key,
            data,
            track,
            damaged: unit.damaged,
        });
    }

    /// Drops what has come of a NAL unit whose rest is missing.
    fn abandon_fragment(&mut self) {
        if let Some(start) = self.fragment.take() {
            self.buffer.truncate(start);
            self.damage();
        }
    }

    fn damage(&mut self) {
        if let Some(unit) = &mut self.unit {
            unit.damaged = true;
        }
    }

    fn classify(&self, nal: &[u8]) -> NalKind {
        match self.codec {
            CodecId::H264 => h264::classify(nal),
            CodecId::H265 => h265::classify(nal),
            _ => NalKind::Delimiter, // no NAL units
        }
    }

    /// Makes sure that the unit may grow by `more` bytes; drops it where it may not.
    fn reserve(&mut self, more: usize) -> Result<(), MediaError> {
        if self.buffer.len() + more > self.max_bytes {
            self.oversized = self.unit.take().map(|unit| unit.timestamp);
            self.buffer.clear();
            self.fragment = None;
            return Err(MediaError::TooLarge { what: "frame", limit: self.max_bytes });
        }
        self.buffer.reserve(more);
        Ok(())
    }

    /// Counts the NAL unit that has just been stored at `start` of the buffer.
    fn stored(&mut self, start: usize) {
        let NalKind::Slice { key, first } = self.classify(&self.buffer[start + 4..]) else { return };
        let Some(unit) = &mut self.unit else { return };
        if unit.slices == 0 && !first {
            unit.damaged |= unit.after_loss;
            if self.marked_end == Some(unit.timestamp) {
                self.markers_lie = true;
                unit.damaged = true;
            }
        }
        unit.slices += 1;
        unit.key |= key;
    }

    fn parameter_set(&mut self, kind: SetKind, nal: &[u8]) {
        let Some(set) = self.sets.insert(self.codec, kind, nal) else { return };
        self.sets_changed = true;
        if let Some(unit) = &mut self.unit
            && unit.new_sets.len() < MAX_SETS_PER_UNIT
        {
            unit.new_sets.push(set.clone());
        }
    }

    /// Makes the track that the newest parameter sets describe.
    fn refresh_track(&mut self) {
        let Some(private) = self.sets.private(self.codec) else { return };
        self.sets_changed = false;
        if self.track.as_ref().is_some_and(|track| track.private == private) {
            return;
        }
        if let Ok(track) = Track::new(self.number, self.codec, self.clock_rate, private) {
            self.track = Some(Arc::new(track));
            self.announced = false;
        }
    }
}

/// The NAL units between start codes (H.264 and H.265, annex B).
fn start_coded(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let at = bytes.windows(3).position(|three| three == [0, 0, 1]);
        let (nal, rest) = match at {
            Some(at) => (&bytes[..at], &bytes[at + 3..]),
            None if bytes.is_empty() => return None,
            None => (bytes, &[][..]),
        };
        bytes = rest;
        // A start code may have a zero before it.
        Some(nal.strip_suffix(&[0]).filter(|_| at.is_some()).unwrap_or(nal))
    })
    .filter(|nal| !nal.is_empty())
}

/// A unit that is not a key picture cannot begin a new track: sets that change with it go in band.
fn with_sets(sets: &[Bytes], data: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(data.len() + sets.iter().map(|set| 4 + set.len()).sum::<usize>());
    for set in sets {
        out.put_u32(u32::try_from(set.len()).unwrap_or(u32::MAX));
        out.put_slice(set);
    }
    out.put_slice(data);
    out.freeze()
}
