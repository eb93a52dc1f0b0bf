//! The packed part of a row: all of a fragment's metadata that no query compares.
//!
//! ```text
//! byte      format, 2
//! byte      flags: 1 starts with a key frame, 2 has tags, 4 has a clock offset, 8·n clock source (n to 7),
//!           64 has a clock drift, 128 decodes from another fragment
//! byte      more flags: 1 the server's clock was kept right, 2 it was not; neither where that was not known
//! zigzag    server timestamp - number
//! varint    number - run id
//! zigzag    producer timestamp - run origin
//! varint    media sequence
//! varint    discontinuity sequence
//! [zigzag   clock offset]   [zigzag clock drift]   [zigzag number - the fragment that it decodes from]
//! varint    tracks, then for each
//!   varint  description (row of `tracks`)   zigzag start - run offset of the fragment
//!   varint  duration   varint frames   varint bytes
//! varint    locations, the commit last, then for each
//!   byte    lane   zigzag segment - last segment   zigzag offset - end of the last   varint length
//! ```
//!
//! Format 1 is the same without the second byte of flags. Varints are LEB128 (7 bits a byte, low first); zigzag maps signed numbers to them.

use base::{
    ClockSource, FragmentMeta, FragmentNumber, RunId, StreamId, Tags, Timestamp, TrackMeta, VarintReader,
    put_varint, put_zigzag,
};
use fragment_log::{LaneId, Location};

use crate::{FragmentEntry, IndexError};

const FORMAT: u8 = 2;
/// Before there were more flags than fit into a byte.
const ONE_FLAGS_BYTE: u8 = 1;
const KEY: u8 = 1;
const TAGS: u8 = 2;
const OFFSET: u8 = 4;
const SOURCE_SHIFT: u32 = 3;
const SOURCES: u8 = 7;
const DRIFT: u8 = 64;
const DECODES_FROM: u8 = 128;
const SYNCED: u8 = 1;
const UNSYNCED: u8 = 2;

/// The columns of a row besides the packed part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Columns {
    pub stream: StreamId,
    pub number: FragmentNumber,
    pub producer_ms: i64,
    pub duration_ms: u32,
    pub size_bytes: u64,
}

impl Columns {
    pub(crate) fn of(entry: &FragmentEntry) -> Self {
        let FragmentEntry { stream, meta, .. } = entry;
        Self {
            stream: *stream,
            number: meta.number,
            producer_ms: meta.producer_timestamp.millis(),
            duration_ms: meta.duration_ms,
            size_bytes: meta.size_bytes,
        }
    }
}

/// Packs what the columns do not say. `track` gives the row of a track's description.
pub(crate) fn pack<E>(
    entry: &FragmentEntry,
    out: &mut Vec<u8>,
    mut track: impl FnMut(&TrackMeta) -> Result<u64, E>,
) -> Result<(), E> {
    let meta = &entry.meta;
    let number = meta.number.to_u64();
    let mut flags = meta.clock_source.code() << SOURCE_SHIFT;
    flags |= if meta.starts_with_key { KEY } else { 0 };
    flags |= if entry.has_tags { TAGS } else { 0 };
    flags |= if meta.clock_offset_ms.is_some() { OFFSET } else { 0 };
    flags |= if meta.clock_drift_ppm.is_some() { DRIFT } else { 0 };
    flags |= if meta.decodes_from.is_some() { DECODES_FROM } else { 0 };
    let synced = meta.server_clock_synced.map_or(0, |synced| if synced { SYNCED } else { UNSYNCED });
    out.extend([FORMAT, flags, synced]);
    put_zigzag(out, meta.server_timestamp.millis().wrapping_sub(number.cast_signed()));
    put_varint(out, number.wrapping_sub(meta.run_id.0.to_u64()));
    put_zigzag(out, meta.producer_timestamp.millis() - meta.run_origin.millis());
    put_varint(out, meta.media_sequence);
    put_varint(out, meta.discontinuity_sequence);
    if let Some(offset) = meta.clock_offset_ms {
        put_zigzag(out, offset);
    }
    if let Some(drift) = meta.clock_drift_ppm {
        put_zigzag(out, i64::from(drift));
    }
    if let Some(from) = meta.decodes_from {
        put_zigzag(out, number.wrapping_sub(from.to_u64()).cast_signed());
    }
    put_varint(out, meta.tracks.len() as u64);
    for one in &meta.tracks {
        put_varint(out, track(one)?);
        put_zigzag(out, one.start.wrapping_sub(expected_start(meta, one.timescale)));
        put_varint(out, one.duration);
        put_varint(out, u64::from(one.frames));
        put_varint(out, one.bytes);
    }
    pack_locations(entry, out);
    Ok(())
}

/// A track without what changes from fragment to fragment.
pub(crate) fn describe(track: &TrackMeta) -> TrackMeta {
    TrackMeta { start: 0, duration: 0, frames: 0, bytes: 0, ..track.clone() }
}

/// Where a track of this scale starts when nothing drifts: keeps the stored difference small.
fn expected_start(meta: &FragmentMeta, timescale: u32) -> i64 {
    let into_run = meta.producer_timestamp.millis() - meta.run_origin.millis();
    into_run.wrapping_mul(i64::from(timescale)) / 1000
}

fn pack_locations(entry: &FragmentEntry, out: &mut Vec<u8>) {
    put_varint(out, entry.pieces.len() as u64 + 1);
    let (mut segment, mut end) = (0_u64, 0_u64);
    for at in entry.pieces.iter().chain([&entry.commit]) {
        out.push(at.lane.code());
        put_zigzag(out, at.segment.wrapping_sub(segment).cast_signed());
        put_zigzag(out, at.offset.wrapping_sub(end).cast_signed());
        put_varint(out, u64::from(at.len));
        segment = at.segment;
        end = at.offset.wrapping_add(u64::from(at.len));
    }
}

/// Reads a row back. `track` gives the description kept under a number.
pub(crate) fn unpack<'t>(
    columns: &Columns,
    packed: &[u8],
    track: impl Fn(u64) -> Option<&'t TrackMeta>,
) -> Result<FragmentEntry, IndexError> {
    let bad = |what| IndexError::Row { stream: columns.stream.0, number: columns.number.to_u64(), what };
    read(columns, &mut VarintReader::new(packed), track).map_err(bad)
}

fn read<'t>(
    columns: &Columns,
    reader: &mut VarintReader<'_>,
    track: impl Fn(u64) -> Option<&'t TrackMeta>,
) -> Result<FragmentEntry, &'static str> {
    let format = reader.byte()?;
    if format != FORMAT && format != ONE_FLAGS_BYTE {
        return Err("unknown format");
    }
    let flags = reader.byte()?;
    let server_clock_synced = match if format == FORMAT { reader.byte()? } else { 0 } {
        0 => None,
        SYNCED => Some(true),
        UNSYNCED => Some(false),
        _ => return Err("unknown flags"),
    };
    let number = columns.number.to_u64();
    let producer_timestamp = Timestamp::from_millis(columns.producer_ms);
    let server_timestamp = Timestamp::from_millis(reader.zigzag()?.wrapping_add(number.cast_signed()));
    let run_id = RunId(FragmentNumber::from_u64(number.wrapping_sub(reader.varint()?)));
    let run_origin = Timestamp::from_millis(columns.producer_ms.wrapping_sub(reader.zigzag()?));
    let mut meta = FragmentMeta {
        number: columns.number,
        producer_timestamp,
        server_timestamp,
        duration_ms: columns.duration_ms,
        size_bytes: columns.size_bytes,
        run_id,
        run_origin,
        media_sequence: reader.varint()?,
        discontinuity_sequence: reader.varint()?,
        starts_with_key: flags & KEY != 0,
        clock_source: ClockSource::from_code(flags >> SOURCE_SHIFT & SOURCES)
            .ok_or("unknown clock source")?,
        clock_offset_ms: if flags & OFFSET != 0 { Some(reader.zigzag()?) } else { None },
        clock_drift_ppm: if flags & DRIFT != 0 { Some(read_drift(reader)?) } else { None },
        server_clock_synced,
        decodes_from: if flags & DECODES_FROM != 0 {
            Some(FragmentNumber::from_u64(number.wrapping_sub(reader.zigzag()?.cast_unsigned())))
        } else {
            None
        },
        tracks: Vec::new(),
        tags: Tags::new(),
    };
    for _ in 0..reader.varint()? {
        let described = track(reader.varint()?).ok_or("unknown track description")?;
        let expected = expected_start(&meta, described.timescale);
        meta.tracks.push(TrackMeta {
            start: reader.zigzag()?.wrapping_add(expected),
            duration: reader.varint()?,
            frames: reader.varint32()?,
            bytes: reader.varint()?,
            ..described.clone()
        });
    }
    let mut pieces = read_locations(reader)?;
    let commit = pieces.pop().ok_or("no locations")?;
    Ok(FragmentEntry { stream: columns.stream, meta, has_tags: flags & TAGS != 0, pieces, commit })
}

fn read_drift(reader: &mut VarintReader<'_>) -> Result<i32, &'static str> {
    i32::try_from(reader.zigzag()?).map_err(|_| "a drift too large")
}

fn read_locations(reader: &mut VarintReader<'_>) -> Result<Vec<Location>, &'static str> {
    let mut locations = Vec::new();
    let (mut segment, mut end) = (0_u64, 0_u64);
    for _ in 0..reader.varint()? {
        let lane = LaneId::from_code(reader.byte()?).ok_or("unknown lane")?;
        segment = segment.wrapping_add(reader.zigzag()?.cast_unsigned());
        let offset = end.wrapping_add(reader.zigzag()?.cast_unsigned());
        let len = reader.varint32()?;
        end = offset.wrapping_add(u64::from(len));
        locations.push(Location { lane, segment, offset, len });
    }
    Ok(locations)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::any_entry;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_round_trip(entry in any_entry()) {
            let mut described = Vec::new();
            let mut packed = Vec::new();
            pack(&entry, &mut packed, |track| {
                described.push(describe(track));
                Ok::<_, IndexError>(described.len() as u64 - 1)
            }).unwrap();
            let find = |id: u64| described.get(usize::try_from(id).unwrap());
            let read = unpack(&Columns::of(&entry), &packed, find).unwrap();
            prop_assert_eq!(&read, &entry);
            packed[0] = ONE_FLAGS_BYTE;
            packed.remove(2);
            let mut older = entry;
            older.meta.server_clock_synced = None;
            let read = unpack(&Columns::of(&older), &packed, find).unwrap();
            prop_assert_eq!(read, older);
        }

        #[test]
        fn any_bytes_read_or_are_refused(columns in any::<(u64, u64, i64)>(), packed: Vec<u8>) {
            let columns = Columns {
                stream: StreamId(columns.0),
                number: FragmentNumber::from_u64(columns.1),
                producer_ms: Timestamp::from_millis(columns.2).millis(),
                duration_ms: 0,
                size_bytes: 0,
            };
            let _ = unpack(&columns, &packed, |_| None);
        }
    }
}
