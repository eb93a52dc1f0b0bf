//! The plan against what it plans.

use base::{ClockSource, Tags, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::{CodecId, Frame};

fn track(number: u8, timescale: u32) -> Arc<Track> {
    Arc::new(Track::new(number, CodecId::Aac, timescale, Bytes::from_static(&[0x12, 0x10])).unwrap())
}

/// A fragment of one second in two tracks that starts at `start` seconds of run `run`.
fn fragment(tracks: &[Arc<Track>], run: u64, start: i64) -> (FragmentMeta, StoredFragment) {
    let frame = |track: &Arc<Track>, i: i64| Frame {
        track: track.number,
        dts: start * i64::from(track.timescale) + i * i64::from(track.timescale / 2),
        pts: start * i64::from(track.timescale) + i * i64::from(track.timescale / 2),
        duration: track.timescale / 2,
        key: true,
        data: Bytes::from(vec![track.number; 10 + usize::try_from(start).unwrap_or(0) % 7]),
    };
    let frames: Vec<_> = tracks.iter().flat_map(|track| [frame(track, 0), frame(track, 1)]).collect();
    let at = |track: &Arc<Track>| start * i64::from(track.timescale);
    let meta = FragmentMeta {
        number: FragmentNumber::from_u64(run * 1000 + start.unsigned_abs()),
        producer_timestamp: Timestamp::default(),
        server_timestamp: Timestamp::default(),
        duration_ms: 1000,
        size_bytes: 0,
        run_id: RunId(FragmentNumber::from_u64(run)),
        run_origin: Timestamp::default(),
        media_sequence: 0,
        discontinuity_sequence: 0,
        starts_with_key: true,
        clock_source: ClockSource::Server,
        clock_offset_ms: None,
        clock_drift_ppm: None,
        server_clock_synced: None,
        decodes_from: None,
        tracks: tracks.iter().map(|track| track.meta(at(track), &frames)).collect(),
        tags: Tags::new(),
    };
    (meta, StoredFragment { tracks: tracks.to_vec(), frames })
}

fn decode_times(layout: &ClipLayout, track: u8) -> Vec<u64> {
    let parts = layout.fragments.iter().flat_map(|plan| &plan.parts);
    parts.filter(|part| part.track == track).map(|part| part.base_decode_time).collect()
}

#[test]
fn runs_follow_one_another_without_a_gap_and_gaps_within_a_run_stay() {
    let tracks = [track(1, 90_000), track(2, 44_100)];
    let metas: Vec<_> =
        [(1, 500), (1, 502), (2, 7), (1, 0)].map(|(run, start)| fragment(&tracks, run, start).0).into();
    let layout = ClipLayout::new(&tracks, &metas).unwrap();
    assert_eq!(decode_times(&layout, 1), [0, 180_000, 270_000, 360_000]);
    assert_eq!(decode_times(&layout, 2), [0, 88_200, 132_300, 176_400]);
}

#[test]
fn time_never_goes_back_within_a_run() {
    let tracks = [track(1, 90_000)];
    let metas: Vec<_> = [5, 5, 4].map(|start| fragment(&tracks, 1, start).0).into();
    let layout = ClipLayout::new(&tracks, &metas).unwrap();
    assert_eq!(decode_times(&layout, 1), [0, 90_000, 180_000]);
}

#[test]
fn another_clock_rate_is_scaled_to_the_first() {
    let (slow, fast) = (track(1, 44_100), track(1, 48_000));
    let (a, b) = (fragment(std::slice::from_ref(&slow), 1, 3), fragment(std::slice::from_ref(&fast), 2, 3));
    let layout = ClipLayout::new(&[slow, fast], &[a.0, b.0]).unwrap();
    assert_eq!(decode_times(&layout, 1), [0, 44_100]);
    let bytes = layout.fragment_bytes(1, &b.1).unwrap().concat();
    let durations = &bytes[8 + 16 + 8 + 20 + 20 + 20..];
    assert_eq!(durations[..4], 22_050u32.to_be_bytes());
}

#[test]
fn what_does_not_fit_the_plan_is_refused() {
    let tracks = [track(1, 90_000)];
    let (meta, stored) = fragment(&tracks, 1, 0);
    let missing = ClipLayout::new(&[], std::slice::from_ref(&meta));
    assert!(matches!(missing, Err(MediaError::Mismatch { .. })));
    let layout = ClipLayout::new(&tracks, &[meta]).unwrap();
    let fewer = StoredFragment { frames: stored.frames[1..].to_vec(), ..stored.clone() };
    assert!(matches!(layout.fragment_bytes(0, &fewer), Err(MediaError::Mismatch { .. })));
    assert!(layout.fragment_bytes(1, &stored).is_err());
}

#[test]
fn a_clip_of_nothing_is_an_empty_movie() {
    let layout = ClipLayout::new(&[], &[]).unwrap();
    assert_eq!(layout.total_bytes(), layout.head().len() as u64);
    assert_eq!(layout.locate(&(0..10)), 0..0);
}

proptest! {
    /// Any range of the file is the same bytes as in the whole file.
    #[test]
    fn ranges_are_cut_from_one_file(starts in prop::collection::vec(0i64..50, 1..12), from: prop::sample::Index, to: prop::sample::Index) {
        let tracks = [track(1, 90_000), track(2, 44_100)];
        let (metas, stored): (Vec<_>, Vec<_>) = starts.iter().map(|start| fragment(&tracks, 1, *start)).unzip();
        let layout = ClipLayout::new(&tracks, &metas).unwrap();
        let read = |range: &Range<u64>| {
            let mut pieces = cut(vec![layout.head().clone()], 0, range);
            for index in layout.locate(range) {
                let bytes = layout.fragment_bytes(index, &stored[index]).unwrap();
                let cut = cut(bytes, layout.span(index).start, range);
                prop_assert!(!cut.is_empty(), "nothing is read in vain");
                pieces.extend(cut);
            }
            Ok(pieces.concat())
        };
        let whole = read(&(0..layout.total_bytes()))?;
        prop_assert_eq!(whole.len() as u64, layout.total_bytes());
        let (from, to) = (from.index(whole.len()), to.index(whole.len() + 1));
        let expected = whole.get(from..to).unwrap_or_default();
        prop_assert_eq!(&read(&(from as u64..to as u64))?[..], expected);
    }
}
