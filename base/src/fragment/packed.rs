//! A fragment's metadata as the log seals it.
//!
//! ```text
//! byte      format, 2
//! byte      flags: 1 starts with a key frame, 2 has a clock offset, 4 has a clock drift, 8·n clock source,
//!           64 decodes from another fragment
//! byte      more flags: 1 the server's clock was kept right, 2 it was not; neither where that was not known
//! varint    number
//! zigzag    server timestamp - number
//! zigzag    producer timestamp - server timestamp
//! varint    duration   varint size
//! zigzag    number - run id   zigzag producer timestamp - run origin
//! varint    media sequence   varint discontinuity sequence
//! [zigzag   clock offset]   [zigzag clock drift]   [zigzag number - the fragment that it decodes from]
//! varint    tracks, then for each
//!   byte    number   text codec   text codec string   varint timescale
//!   zigzag  start   varint duration   varint frames   varint bytes
//!   varint  width   varint height   varint sample rate   byte channels
//!   u64     init id, low byte first
//! varint    tags, then for each: text name, text value
//! ```
//!
//! A text is its length as a varint, then UTF-8. Times are milliseconds since the epoch.
//! Format 1 is the same without the second byte of flags. Still older entries are JSON: no format is the byte
//! that JSON begins with.

use super::{ClockSource, FragmentMeta, FragmentNumber, RunId, TrackMeta};
use crate::varint::{VarintReader, put_varint, put_zigzag};
use crate::{Tags, Timestamp};

const FORMAT: u8 = 2;
/// Before there were more flags than fit into a byte.
const ONE_FLAGS_BYTE: u8 = 1;
/// An object begins with it.
const JSON: u8 = b'{';
const KEY: u8 = 1;
const OFFSET: u8 = 2;
const DRIFT: u8 = 4;
const SOURCE_SHIFT: u32 = 3;
const SOURCES: u8 = 7;
const DECODES_FROM: u8 = 64;
const SYNCED: u8 = 1;
const UNSYNCED: u8 = 2;
/// Tracks for which room is made before they are read.
const EXPECTED_TRACKS: u64 = 8;

impl FragmentMeta {
    /// As the log seals it.
    pub fn pack(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        let mut flags = self.clock_source.code() << SOURCE_SHIFT;
        flags |= if self.starts_with_key { KEY } else { 0 };
        flags |= if self.clock_offset_ms.is_some() { OFFSET } else { 0 };
        flags |= if self.clock_drift_ppm.is_some() { DRIFT } else { 0 };
        flags |= if self.decodes_from.is_some() { DECODES_FROM } else { 0 };
        out.extend([FORMAT, flags, synced_flags(self.server_clock_synced)]);
        let number = self.number.to_u64();
        let (server, producer) = (self.server_timestamp.millis(), self.producer_timestamp.millis());
        put_varint(&mut out, number);
        put_zigzag(&mut out, server.wrapping_sub(number.cast_signed()));
        put_zigzag(&mut out, producer.wrapping_sub(server));
        put_varint(&mut out, u64::from(self.duration_ms));
        put_varint(&mut out, self.size_bytes);
        put_zigzag(&mut out, number.wrapping_sub(self.run_id.0.to_u64()).cast_signed());
        put_zigzag(&mut out, producer.wrapping_sub(self.run_origin.millis()));
        put_varint(&mut out, self.media_sequence);
        put_varint(&mut out, self.discontinuity_sequence);
        if let Some(offset) = self.clock_offset_ms {
            put_zigzag(&mut out, offset);
        }
        if let Some(drift) = self.clock_drift_ppm {
            put_zigzag(&mut out, i64::from(drift));
        }
        if let Some(from) = self.decodes_from {
            put_zigzag(&mut out, number.wrapping_sub(from.to_u64()).cast_signed());
        }
        put_varint(&mut out, self.tracks.len() as u64);
        self.tracks.iter().for_each(|track| pack_track(track, &mut out));
        put_varint(&mut out, self.tags.len() as u64);
        for text in self.tags.iter().flat_map(|(name, value)| [name, value]) {
            put_text(&mut out, text);
        }
        out
    }

    /// Reads what [`Self::pack`] made, or metadata as JSON.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn unpack(packed: &[u8]) -> Result<Self, &'static str> {
        let mut reader = VarintReader::new(packed);
        let format = reader.byte()?;
        match format {
            FORMAT | ONE_FLAGS_BYTE => {}
            JSON => return serde_json::from_slice(packed).map_err(|_| "JSON that does not read"),
            _ => return Err("unknown format"),
        }
        let meta = read(format, &mut reader)?;
        if reader.rest().is_empty() { Ok(meta) } else { Err("more than there should be") }
    }
}

fn read(format: u8, reader: &mut VarintReader<'_>) -> Result<FragmentMeta, &'static str> {
    let flags = reader.byte()?;
    let more = if format == ONE_FLAGS_BYTE { 0 } else { reader.byte()? };
    let number = reader.varint()?;
    let server = reader.zigzag()?.wrapping_add(number.cast_signed());
    let producer = reader.zigzag()?.wrapping_add(server);
    let mut meta = FragmentMeta {
        number: FragmentNumber::from_u64(number),
        producer_timestamp: Timestamp::from_millis(producer),
        server_timestamp: Timestamp::from_millis(server),
        duration_ms: reader.varint32()?,
        size_bytes: reader.varint()?,
        run_id: RunId(FragmentNumber::from_u64(number.wrapping_sub(reader.zigzag()?.cast_unsigned()))),
        run_origin: Timestamp::from_millis(producer.wrapping_sub(reader.zigzag()?)),
        media_sequence: reader.varint()?,
        discontinuity_sequence: reader.varint()?,
        starts_with_key: flags & KEY != 0,
        clock_source: ClockSource::from_code(flags >> SOURCE_SHIFT & SOURCES)
            .ok_or("unknown clock source")?,
        clock_offset_ms: if flags & OFFSET != 0 { Some(reader.zigzag()?) } else { None },
        clock_drift_ppm: if flags & DRIFT != 0 { Some(read_drift(reader)?) } else { None },
        server_clock_synced: synced(more)?,
        decodes_from: if flags & DECODES_FROM != 0 {
            Some(FragmentNumber::from_u64(number.wrapping_sub(reader.zigzag()?.cast_unsigned())))
        } else {
            None
        },
        tracks: Vec::new(),
        tags: Tags::new(),
    };
    let tracks = reader.varint()?;
    meta.tracks.reserve_exact(usize::try_from(tracks.min(EXPECTED_TRACKS)).unwrap_or_default());
    for _ in 0..tracks {
        meta.tracks.push(read_track(reader)?);
    }
    for _ in 0..reader.varint()? {
        let name = read_text(reader)?;
        meta.tags.insert(name, read_text(reader)?);
    }
    Ok(meta)
}

fn synced_flags(synced: Option<bool>) -> u8 {
    synced.map_or(0, |synced| if synced { SYNCED } else { UNSYNCED })
}

fn synced(flags: u8) -> Result<Option<bool>, &'static str> {
    match flags {
        0 => Ok(None),
        SYNCED => Ok(Some(true)),
        UNSYNCED => Ok(Some(false)),
        _ => Err("unknown flags"),
    }
}

fn read_drift(reader: &mut VarintReader<'_>) -> Result<i32, &'static str> {
    i32::try_from(reader.zigzag()?).map_err(|_| "a drift too large")
}

fn pack_track(track: &TrackMeta, out: &mut Vec<u8>) {
    out.push(track.number);
    put_text(out, &track.codec);
    put_text(out, &track.codec_string);
    put_varint(out, u64::from(track.timescale));
    put_zigzag(out, track.start);
    put_varint(out, track.duration);
    put_varint(out, u64::from(track.frames));
    put_varint(out, track.bytes);
    for number in [track.width, track.height, track.sample_rate] {
        put_varint(out, u64::from(number));
    }
    out.push(track.channels);
    out.extend(track.init_id.to_le_bytes());
}

fn read_track(reader: &mut VarintReader<'_>) -> Result<TrackMeta, &'static str> {
    Ok(TrackMeta {
        number: reader.byte()?,
        codec: read_text(reader)?,
        codec_string: read_text(reader)?,
        timescale: reader.varint32()?,
        start: reader.zigzag()?,
        duration: reader.varint()?,
        frames: reader.varint32()?,
        bytes: reader.varint()?,
        width: reader.varint32()?,
        height: reader.varint32()?,
        sample_rate: reader.varint32()?,
        channels: reader.byte()?,
        init_id: {
            let (bytes, _) = reader.bytes(8)?.split_first_chunk().ok_or("cut short")?;
            u64::from_le_bytes(*bytes)
        },
    })
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend(text.as_bytes());
}

fn read_text(reader: &mut VarintReader<'_>) -> Result<String, &'static str> {
    let len = usize::try_from(reader.varint()?).map_err(|_| "cut short")?;
    Ok(std::str::from_utf8(reader.bytes(len)?).map_err(|_| "no UTF-8")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    prop_compose! {
        fn any_track()(
            number: u8, codec: String, codec_string: String, timescale: u32, start: i64, duration: u64,
            frames: u32, bytes: u64, size: (u32, u32), sample_rate: u32, channels: u8, init_id: u64,
        ) -> TrackMeta {
            let (width, height) = size;
            TrackMeta {
                number, codec, codec_string, timescale, start, duration, frames, bytes, width, height,
                sample_rate, channels, init_id,
            }
        }
    }

    prop_compose! {
        fn any_meta()(
            numbers: (u64, u64, u64, u64), times: (i64, i64, i64), duration_ms: u32, size_bytes: u64,
            starts_with_key: bool, source in 0_u8..4, clock_offset_ms: Option<i64>,
            clock_drift_ppm: Option<i32>, server_clock_synced: Option<bool>, decodes_from: Option<u64>,
            tracks in prop::collection::vec(any_track(), 0..4),
            tags in prop::collection::btree_map(any::<String>(), any::<String>(), 0..4),
        ) -> FragmentMeta {
            FragmentMeta {
                number: FragmentNumber::from_u64(numbers.0),
                producer_timestamp: Timestamp::from_millis(times.0),
                server_timestamp: Timestamp::from_millis(times.1),
                run_origin: Timestamp::from_millis(times.2),
                duration_ms, size_bytes, starts_with_key, clock_offset_ms, clock_drift_ppm,
                server_clock_synced,
                tracks, tags,
                decodes_from: decodes_from.map(FragmentNumber::from_u64),
                run_id: RunId(FragmentNumber::from_u64(numbers.1)),
                media_sequence: numbers.2,
                discontinuity_sequence: numbers.3,
                clock_source: ClockSource::from_code(source).unwrap(),
            }
        }
    }

    proptest! {
        #[test]
        fn metadata_round_trips(meta in any_meta()) {
            let packed = meta.pack();
            prop_assert_eq!(FragmentMeta::unpack(&packed), Ok(meta.clone()));
            prop_assert_eq!(FragmentMeta::unpack(&serde_json::to_vec(&meta).unwrap()), Ok(meta));
            for cut in 0..packed.len() {
                prop_assert!(FragmentMeta::unpack(&packed[..cut]).is_err(), "cut at {}", cut);
            }
            let longer = [&packed[..], &[0]].concat();
            prop_assert_eq!(FragmentMeta::unpack(&longer), Err("more than there should be"));
        }

        #[test]
        fn entries_of_format_1_are_read(meta in any_meta()) {
            let meta = FragmentMeta { server_clock_synced: None, ..meta };
            let mut packed = meta.pack();
            packed[0] = ONE_FLAGS_BYTE;
            packed.remove(2);
            prop_assert_eq!(FragmentMeta::unpack(&packed), Ok(meta));
        }

        #[test]
        fn any_bytes_read_or_are_refused(mut bytes: Vec<u8>) {
            let _ = FragmentMeta::unpack(&bytes);
            bytes.insert(0, FORMAT);
            let _ = FragmentMeta::unpack(&bytes);
        }
    }
}
