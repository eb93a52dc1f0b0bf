//! What the tests of this crate share, and tests of the views without a log.

mod assemble;
mod events;
mod floors;
mod follow;
mod forward;
mod model;
mod search;
mod space;
mod view;
mod world;

use std::sync::Arc;

use base::{ClockSource, FragmentMeta, FragmentNumber, RunId, StreamId, Tags, Timestamp, TrackMeta};
use fragment_log::{LaneId, Location, Lsn, RetentionClass};
use proptest::prelude::*;

use crate::FragmentEntry;
use crate::assemble::Fresh;

pub(crate) const NOON: i64 = 1_785_000_000_000;

pub(crate) fn track(number: u8, codec: &str) -> TrackMeta {
    TrackMeta {
        number,
        codec: codec.into(),
        codec_string: format!("{codec}.64001f"),
        timescale: 90_000,
        start: 0,
        duration: 180_000,
        frames: 60,
        bytes: 750_000,
        width: 1920,
        height: 1080,
        sample_rate: 0,
        channels: 0,
        init_id: u64::from(number) + codec.len() as u64,
    }
}

/// A fragment of two seconds whose frames lie in one log segment.
pub(crate) fn entry(stream: u64, number: i64, producer: i64, segment: u64) -> FragmentEntry {
    let at = FragmentNumber::at(Timestamp::from_millis(number));
    let lane = LaneId::Bulk(RetentionClass::Week);
    let place = |offset| Location { lane, segment, offset, len: 1000 };
    let offset = number.unsigned_abs() % 1_000_000;
    FragmentEntry {
        stream: StreamId(stream),
        meta: FragmentMeta {
            number: at,
            producer_timestamp: Timestamp::from_millis(producer),
            server_timestamp: at.server_timestamp(),
            duration_ms: 2000,
            size_bytes: 750_000,
            run_id: RunId(at),
            run_origin: Timestamp::from_millis(producer),
            media_sequence: 7,
            discontinuity_sequence: 1,
            starts_with_key: true,
            clock_source: ClockSource::Server,
            clock_offset_ms: None,
            clock_drift_ppm: None,
            server_clock_synced: None,
            decodes_from: None,
            tracks: vec![track(1, "h264")],
            tags: Tags::new(),
        },
        has_tags: false,
        pieces: vec![place(offset)],
        commit: place(offset + 1000),
    }
}

pub(crate) fn fresh(entry: FragmentEntry, lsn: u64, tags: &[(&str, &str)]) -> Arc<Fresh> {
    let tags: Tags = tags.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let entry = FragmentEntry { has_tags: !tags.is_empty(), ..entry };
    Arc::new(Fresh { lsn: Lsn(lsn), entry: Arc::new(entry), tags })
}

prop_compose! {
    fn any_location()(
        lane in 0_usize..5, segment in 0..i64::MAX.unsigned_abs(), offset: u64, len: u32,
    ) -> Location {
        Location { lane: LaneId::Bulk(RetentionClass::ALL[lane]), segment, offset, len }
    }
}

prop_compose! {
    fn any_track()(
        number: u8, codec in "[a-z0-9]{1,5}", timescale: u32, start: i64, duration: u64,
        (frames, bytes, width, height) in any::<(u32, u64, u32, u32)>(), sample_rate: u32, channels: u8, init_id: u64,
    ) -> TrackMeta {
        let codec_string = format!("{codec}.1");
        TrackMeta {
            number, codec, codec_string, timescale, start, duration, frames, bytes, width, height, sample_rate,
            channels, init_id,
        }
    }
}

fn any_time() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(Timestamp::from_millis)
}

fn any_source() -> impl Strategy<Value = ClockSource> {
    prop_oneof![
        Just(ClockSource::SenderReport),
        Just(ClockSource::Server),
        Just(ClockSource::PutMediaAbsolute),
        Just(ClockSource::PutMediaRelative),
    ]
}

prop_compose! {
    fn any_meta()(
        (number, run) in any::<(u64, u64)>(),
        (producer_timestamp, server_timestamp, run_origin) in (any_time(), any_time(), any_time()),
        (duration_ms, size_bytes) in (any::<u32>(), 0..i64::MAX.unsigned_abs()),
        (media_sequence, discontinuity_sequence, starts_with_key) in any::<(u64, u64, bool)>(),
        clock_source in any_source(),
        clock_offset_ms: Option<i64>,
        clock_drift_ppm: Option<i32>,
        server_clock_synced: Option<bool>,
        decodes_from: Option<u64>,
        tracks in prop::collection::vec(any_track(), 0..4),
    ) -> FragmentMeta {
        FragmentMeta {
            number: FragmentNumber::from_u64(number),
            producer_timestamp,
            server_timestamp,
            duration_ms,
            size_bytes,
            run_id: RunId(FragmentNumber::from_u64(run)),
            run_origin,
            media_sequence,
            discontinuity_sequence,
            starts_with_key,
            clock_source,
            clock_offset_ms,
            clock_drift_ppm,
            server_clock_synced,
            decodes_from: decodes_from.map(FragmentNumber::from_u64),
            tracks,
            tags: Tags::new(),
        }
    }
}

prop_compose! {
    /// Any entry that types allow.
    pub(crate) fn any_entry()(
        stream: u64, meta in any_meta(), has_tags: bool,
        pieces in prop::collection::vec(any_location(), 0..5), commit in any_location(),
    ) -> FragmentEntry {
        FragmentEntry { stream: StreamId(stream), meta, has_tags, pieces, commit }
    }
}
