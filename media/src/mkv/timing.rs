//! The exact times of a fragment's frames, which Matroska's milliseconds cannot say.
//!
//! The binary value of the SimpleTag `MILLRACE_TIMING`, format 1:
//!
//! ```text
//! 1 byte    format: 1
//! varint    number of tracks, then for each
//!   varint    track number
//!   varint    ticks per second
//! varint    number of frames, then for each, in the order of the blocks
//!   zigzag    decode time - end of the track's previous frame (of the first: decode time)
//!   zigzag    presentation time - decode time
//!   zigzag    duration - duration of the track's previous frame (of the first: duration)
//! ```
//!
//! A varint is little-endian base 128 (7 bits a byte, the highest bit set on all but the last); a
//! zigzag is a varint of 0, -1, 1, -2, … numbered from 0. Times are ticks since the start of the run.
//! Three bytes a frame where the rate is even.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::ebml::malformed;
use crate::{Frame, MediaError, Track};

/// The tag's name.
pub(super) const TAG: &str = "MILLRACE_TIMING";

const FORMAT: u8 = 1;

/// A tag's content, the frames' times still encoded.
#[derive(Clone, Debug)]
pub(super) struct Timing {
    /// Track numbers and ticks per second.
    timescales: Vec<(u8, u32)>,
    frames: u64,
    times: Bytes,
}

/// Writes a tag's content, frame by frame.
#[derive(Debug, Default)]
pub(super) struct TimingWriter {
    frames: u64,
    times: BytesMut,
    previous: Previous,
}

impl TimingWriter {
    /// Takes the next frame.
    pub(super) fn push(&mut self, frame: &Frame) {
        let Frame { track, dts, pts, duration, .. } = frame;
        let (end, last_duration) = self.previous.replace(*track, *dts, *duration);
        put_zigzag(&mut self.times, dts.wrapping_sub(end));
        put_zigzag(&mut self.times, pts.wrapping_sub(*dts));
        put_zigzag(&mut self.times, i64::from(*duration) - i64::from(last_duration));
        self.frames += 1;
    }

    /// The content for the frames so far, which are all of these tracks.
    pub(super) fn tag(&self, tracks: &[Arc<Track>]) -> Bytes {
        let mut out = BytesMut::with_capacity(32 + self.times.len());
        out.put_u8(FORMAT);
        put_varint(&mut out, tracks.len() as u64);
        for track in tracks {
            put_varint(&mut out, track.number.into());
            put_varint(&mut out, track.timescale.into());
        }
        put_varint(&mut out, self.frames);
        out.put_slice(&self.times);
        out.freeze()
    }
}

impl Timing {
    /// Reads the tag's content up to the frames.
    pub(super) fn read(mut tag: Bytes) -> Result<Self, MediaError> {
        if tag.try_get_u8() != Ok(FORMAT) {
            return Err(malformed("a timing tag of an unknown format"));
        }
        let tracks = get_varint(&mut tag)?;
        let mut timescales = Vec::new();
        for _ in 0..tracks.min(u64::from(u8::MAX)) {
            let number = u8::try_from(get_varint(&mut tag)?);
            let timescale = u32::try_from(get_varint(&mut tag)?);
            let (Ok(number), Ok(timescale @ 1..)) = (number, timescale) else {
                return Err(malformed("a timing tag with an impossible track"));
            };
            timescales.push((number, timescale));
        }
        let frames = get_varint(&mut tag)?;
        Ok(Self { timescales, frames, times: tag })
    }

    /// Ticks per second of a track.
    pub(super) fn timescale(&self, number: u8) -> Option<u32> {
        self.timescales.iter().find(|(known, _)| *known == number).map(|(_, timescale)| *timescale)
    }

    /// Gives the frames, which know their track, their times.
    pub(super) fn apply(mut self, frames: &mut [Frame]) -> Result<(), MediaError> {
        if self.frames != frames.len() as u64 {
            return Err(malformed("a timing tag for another number of frames"));
        }
        let mut previous = Previous::default();
        for frame in frames {
            let (end, last_duration) = previous.last(frame.track);
            let beyond = || malformed("a timing tag beyond the range of time");
            frame.dts = end.checked_add(get_zigzag(&mut self.times)?).ok_or_else(beyond)?;
            frame.pts = frame.dts.checked_add(get_zigzag(&mut self.times)?).ok_or_else(beyond)?;
            let duration = i64::from(last_duration).checked_add(get_zigzag(&mut self.times)?);
            frame.duration = duration.and_then(|ticks| u32::try_from(ticks).ok()).ok_or_else(beyond)?;
            previous.replace(frame.track, frame.dts, frame.duration);
        }
        Ok(())
    }
}

/// End and duration of each track's previous frame.
#[derive(Debug, Default)]
struct Previous(Vec<(u8, i64, u32)>);

impl Previous {
    fn last(&self, track: u8) -> (i64, u32) {
        let found = self.0.iter().find(|(known, ..)| *known == track);
        found.map_or((0, 0), |(_, end, duration)| (*end, *duration))
    }

    /// Notes a frame and gives what was there before.
    fn replace(&mut self, track: u8, dts: i64, duration: u32) -> (i64, u32) {
        let last = self.last(track);
        let next = (track, dts.wrapping_add(i64::from(duration)), duration);
        match self.0.iter_mut().find(|(known, ..)| *known == track) {
            Some(entry) => *entry = next,
            None => self.0.push(next),
        }
        last
    }
}

fn put_varint(out: &mut BytesMut, mut value: u64) {
    while value > 0x7f {
        out.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

fn get_varint(from: &mut Bytes) -> Result<u64, MediaError> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = from.try_get_u8().map_err(|_| malformed("a timing tag that is cut off"))?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(malformed("a timing tag with a number of more than 64 bits"))
}

fn put_zigzag(out: &mut BytesMut, value: i64) {
    put_varint(out, (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned());
}

fn get_zigzag(from: &mut Bytes) -> Result<i64, MediaError> {
    let value = get_varint(from)?;
    Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CodecId;
    use proptest::prelude::*;

    fn track() -> Arc<Track> {
        Arc::new(Track::new(1, CodecId::Aac, 44_100, Bytes::from_static(&[0x12, 0x10])).unwrap())
    }

    fn write(tracks: &[Arc<Track>], frames: &[Frame]) -> Bytes {
        let mut writer = TimingWriter::default();
        frames.iter().for_each(|frame| writer.push(frame));
        writer.tag(tracks)
    }

    fn frames() -> impl Strategy<Value = Vec<Frame>> {
        let time = -(1i64 << 60)..1 << 60;
        let frame = (1u8..4, time.clone(), time, any::<u32>()).prop_map(|(track, dts, pts, duration)| {
            Frame { track, dts, pts, duration, key: true, data: Bytes::new() }
        });
        prop::collection::vec(frame, 0..40)
    }

    #[test]
    fn an_even_rate_takes_three_bytes_a_frame() {
        let frame = |i: i64| Frame {
            track: 1,
            dts: i * 1024,
            pts: i * 1024,
            duration: 1024,
            key: true,
            data: Bytes::new(),
        };
        let frames: Vec<_> = (0..100).map(frame).collect();
        assert!(write(&[track()], &frames).len() < 320);
    }

    proptest! {
        #[test]
        fn times_round_trip(frames in frames()) {
            let timing = Timing::read(write(&[track()], &frames)).unwrap();
            prop_assert_eq!((timing.timescale(1), timing.timescale(2)), (Some(44_100), None));
            let mut read = frames.clone();
            for frame in &mut read {
                (frame.dts, frame.pts, frame.duration) = (0, 0, 0);
            }
            timing.apply(&mut read).unwrap();
            prop_assert_eq!(read, frames);
        }

        #[test]
        fn any_bytes_are_read_or_refused(mut bytes: Vec<u8>, mut frames in frames(), at: usize, byte: u8) {
            if let Ok(timing) = Timing::read(bytes.clone().into()) {
                let _ = timing.apply(&mut frames);
            }
            bytes = write(&[track()], &frames).into();
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Ok(timing) = Timing::read(bytes.into()) {
                let _ = timing.apply(&mut frames);
            }
        }
    }
}
