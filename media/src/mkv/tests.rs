//! Files written and read back.

use std::sync::Arc;

use base::{ClockSource, FragmentMeta, FragmentNumber, RunId, Tags, Timestamp};
use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{CodecId, Frame, MediaError, Track};

const ORIGIN: Timestamp = Timestamp::from_millis(1_763_880_000_000);

fn tracks() -> Vec<Arc<Track>> {
    let avcc = b"\x01\x64\x00\x1e\xff\xe1\x00\x1b\x67\x64\x00\x1e\xac\xd9\x40\xa4\x2f\xe2\x24\xc0\x44\x00\x00\x03\x00\x04\x00\x00\x03\x00\xc8\x3c\x58\xb6\x58\x01\x00\x06\x68\xeb\xe3\xcb\x22\xc0\xfd\xf8\xf8\x00";
    let he_aac = b"\x2b\x11\x88\x00";
    vec![
        Arc::new(Track::new(1, CodecId::H264, 90_000, Bytes::from_static(avcc)).unwrap()),
        Arc::new(Track::new(2, CodecId::Aac, 48_000, Bytes::from_static(he_aac)).unwrap()),
    ]
}

fn frame(track: u8, dts: i64, pts: i64, duration: u32, data: Bytes) -> Frame {
    Frame { track, dts, pts, duration, key: dts % 2 == 0, data }
}

fn frames() -> impl Strategy<Value = Vec<Frame>> {
    let time = 0i64..2_000_000;
    let data =
        prop_oneof![prop::collection::vec(any::<u8>(), 0..40), Just(vec![7; 130]), Just(vec![7; 20_000])];
    let frame = (1u8..3, time.clone(), time, 0u32..10_000, data)
        .prop_map(|(track, dts, pts, duration, data)| frame(track, dts, pts, duration, data.into()));
    prop::collection::vec(frame, 0..30)
}

fn file(frames: &[Frame]) -> Bytes {
    write_fragment(&tracks(), frames, ORIGIN).concat().into()
}

fn meta() -> FragmentMeta {
    FragmentMeta {
        number: FragmentNumber::from_u64(1_763_880_000_005),
        producer_timestamp: ORIGIN,
        server_timestamp: Timestamp::from_millis(1_763_880_000_005),
        duration_ms: 2000,
        size_bytes: 0,
        run_id: RunId(FragmentNumber::MIN),
        run_origin: ORIGIN,
        media_sequence: 0,
        discontinuity_sequence: 0,
        starts_with_key: true,
        clock_source: ClockSource::Server,
        clock_offset_ms: None,
        clock_drift_ppm: None,
        server_clock_synced: None,
        decodes_from: None,
        tracks: Vec::new(),
        tags: Tags::from([("door".to_owned(), "open".to_owned())]),
    }
}

/// What players see agrees with the exact times, to the millisecond.
fn block_times_are_the_frames_times(file: &Bytes, frames: &[Frame]) {
    let delivered = delivery(file, &meta(), 0).unwrap().concat();
    let seen = read_fragment(&delivered.into()).unwrap();
    for (seen, frame) in seen.frames.iter().zip(frames) {
        let exact = frame.pts * 1000 / timescale(frame);
        assert!((seen.pts - ORIGIN.millis() - exact).abs() <= 1, "{} {exact}", seen.pts);
    }
}

fn timescale(frame: &Frame) -> i64 {
    if frame.track == 1 { 90_000 } else { 48_000 }
}

#[test]
fn frames_come_back_as_slices_of_the_file() {
    let data = Bytes::from_static(b"some coded picture");
    let pieces = write_fragment(&tracks(), &[frame(1, 0, 0, 3000, data.clone())], ORIGIN);
    assert_eq!(pieces[2].as_ptr(), data.as_ptr(), "written without a copy");
    let file: Bytes = pieces.concat().into();
    let stored = read_fragment(&file).unwrap();
    assert!(file.as_ptr_range().contains(&stored.frames[0].data.as_ptr()), "read without a copy");
}

#[test]
fn without_the_timing_tag_the_blocks_tell_the_time() {
    let order = [(0, 0), (3600, 10_800), (7200, 3600), (10_800, 7200)];
    let frames: Vec<_> =
        order.iter().map(|(dts, pts)| frame(1, *dts, *pts, 3600, Bytes::from_static(b"x"))).collect();
    let bytes = delivery(&file(&frames), &meta(), 0).unwrap().concat();
    let stored = read_fragment(&bytes.into()).unwrap();
    let times: Vec<_> = stored
        .frames
        .iter()
        .map(|f| (f.dts - ORIGIN.millis(), f.pts - ORIGIN.millis(), f.duration))
        .collect();
    assert_eq!(times, [(0, 0, 40), (40, 120, 40), (80, 40, 40), (120, 80, 40)]);
    assert_eq!((stored.tracks[0].timescale, stored.tracks[0].width), (1000, 642));
}

#[test]
fn delivery_carries_the_tags_that_clients_parse() {
    let file = file(&[frame(1, 0, 0, 3000, Bytes::from_static(b"picture"))]);
    let delivered = delivery(&file, &meta(), 1234).unwrap();
    assert!(file.as_ptr_range().contains(&delivered[4].as_ptr()), "the cluster is not copied");
    let text = String::from_utf8_lossy(&delivered.concat()).into_owned();
    let order = [
        "AWS_KINESISVIDEO_FRAGMENT_NUMBER",
        "91343852333181432390000000000000001763880000005",
        "AWS_KINESISVIDEO_SERVER_TIMESTAMP",
        "1763880000.005",
        "AWS_KINESISVIDEO_PRODUCER_TIMESTAMP",
        "1763880000.000",
        "door",
        "open",
        "picture",
        "AWS_KINESISVIDEO_MILLIS_BEHIND_NOW",
        "1234",
        "AWS_KINESISVIDEO_CONTINUATION_TOKEN",
        "91343852333181432390000000000000001763880000005",
    ];
    let mut from = 0;
    for expected in order {
        from += text[from..].find(expected).unwrap_or_else(|| panic!("{expected} in order")) + expected.len();
    }
    assert!(!text.contains("MILLRACE_TIMING"));
}

#[test]
fn refuses_files_that_lie() {
    let good = file(&[frame(1, 0, 0, 3000, Bytes::from_static(b"picture"))]);
    assert!(read_fragment(&good.slice(..good.len() - 1)).is_err(), "cut off");
    assert!(read_fragment(&good.slice(1..)).is_err(), "no header");
    assert!(matches!(read_fragment(&Bytes::new()), Err(MediaError::Malformed { .. })));
    let mut unknown_track = good.to_vec();
    let block = unknown_track.windows(2).position(|pair| pair == [0xa3, 0x8b]).unwrap();
    unknown_track[block + 2] = 0x85;
    assert!(read_fragment(&unknown_track.into()).is_err());
}

/// The header of a stream, the time and the blocks of its only cluster.
fn received(stream: &[u8]) -> (Header, u64, Vec<Bytes>) {
    let mut reader = Reader::new(ReaderLimits { cluster_bytes: 1 << 20, tracks: 3 });
    reader.push(stream);
    let (mut header, mut timestamp, mut blocks) = (None, 0, Vec::new());
    while let Some(event) = reader.next_event().unwrap() {
        match event {
            Event::Header(found) => header = Some(found),
            Event::Cluster(time) => timestamp = time,
            Event::Block(block) => blocks.push(block.element),
            Event::ClusterEnd | Event::Tags(_) => {}
        }
    }
    (header.unwrap(), timestamp, blocks)
}

#[test]
fn what_a_live_reader_gets_reads_back() {
    let file = file(&[frame(1, 0, 0, 3000, Bytes::from_static(b"picture"))]);
    let (header, timestamp, blocks) = received(&file);
    let meta = meta();
    let live = Live {
        info: &header.info,
        described: &header.described,
        number: meta.number,
        server_timestamp: meta.server_timestamp,
        producer_timestamp: meta.producer_timestamp,
        tags: &meta.tags,
        timestamp,
    };
    let tail = [closing(meta.number, 0, &Tags::new()), failure(meta.number, 4000, "GONE", false)].concat();
    let bytes = [&live.head()[..], &blocks.concat(), &tail].concat();
    let (same, time, again) = received(&[&live.head()[..], &blocks.concat(), &tail[..40]].concat());
    assert_eq!((same.tracks, time, again), (header.tracks, timestamp, blocks));
    assert!(bytes.windows(4).any(|text| text == b"GONE"));
}

proptest! {
    #[test]
    fn received_clusters_round_trip(frames in frames()) {
        let (header, timestamp, blocks) = received(&file(&frames));
        let received = Received { header: &header, timestamp, blocks: &blocks };
        let file: Bytes = received.file(&frames).concat().into();
        let stored = read_fragment(&file).unwrap();
        prop_assert_eq!(&stored.frames, &frames);
        prop_assert_eq!(&stored.tracks, &header.tracks);
        prop_assert!(has_media(&file, &received));
        let more = Received { timestamp: timestamp + 1, ..received };
        prop_assert!(!has_media(&file, &more));
        if let Some((_, fewer)) = blocks.split_last() {
            let fewer = Received { blocks: fewer, ..received };
            prop_assert!(!has_media(&file, &fewer));
        }
    }

    #[test]
    fn fragments_round_trip(frames in frames()) {
        let stored = read_fragment(&file(&frames)).unwrap();
        prop_assert_eq!(stored, StoredFragment { tracks: tracks(), frames });
    }

    #[test]
    fn a_file_written_in_parts_reads_back_like_one_written_whole(
        mut frames in frames(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
    ) {
        // Within the time that blocks can tell.
        frames.iter_mut().for_each(|frame| frame.pts %= 900_000);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(frames.len() + 1)).collect();
        cuts.sort_unstable();
        let (mut written, mut blocks, mut from) = (FragmentWriter::new(ORIGIN), Vec::new(), 0);
        for to in cuts.into_iter().chain([frames.len()]) {
            blocks.extend(written.blocks(&tracks(), &frames[from..to]).concat());
            from = to;
            // As it would be if it ended here.
            let FileEnds { head, tail } = written.ends(&tracks());
            prop_assert_eq!(written.blocks_bytes(), blocks.len() as u64);
            let so_far: Bytes = [&head[..], &blocks, &tail].concat().into();
            let stored = read_fragment(&so_far).unwrap();
            prop_assert_eq!(&stored.frames[..], &frames[..to]);
            prop_assert_eq!(stored.tracks, tracks());
            block_times_are_the_frames_times(&so_far, &frames[..to]);
        }
    }

    #[test]
    fn mutated_files_are_read_or_refused(frames in frames(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = file(&frames).to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let bytes = bytes.into();
        let _ = read_fragment(&bytes);
        let _ = delivery(&bytes, &meta(), 0);
    }
}
