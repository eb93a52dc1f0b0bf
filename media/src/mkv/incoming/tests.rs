//! Streams in every form that producers write, in any portions.

use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;

use super::super::ebml::{id, put_binary, put_id, put_master, put_uint};
use super::super::write::put_ebml_header;
use super::*;
use crate::CodecId;

const LIMITS: ReaderLimits = ReaderLimits { cluster_bytes: 1000, tracks: 3 };
/// Sizes that are not known, in one byte and in eight.
const UNKNOWN: [&[u8]; 2] = [&[0xff], &[0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]];

/// An element whose size takes eight bytes, as the AWS producer SDKs write it.
fn put_wide(out: &mut BytesMut, element: u32, data: &[u8]) {
    put_id(out, element);
    out.put_u64(1 << 56 | data.len() as u64);
    out.put_slice(data);
}

fn header(scale: Option<u64>) -> BytesMut {
    let mut out = BytesMut::new();
    put_ebml_header(&mut out);
    put_id(&mut out, id::SEGMENT);
    out.put_u8(0xff);
    if let Some(scale) = scale {
        put_master(&mut out, id::INFO, |out| put_uint(out, id::TIMESTAMP_SCALE, scale));
    }
    put_master(&mut out, id::TRACKS, |out| {
        for (number, codec) in [(1, "V_VP8"), (7, "D_WEATHER/RAW")] {
            put_master(out, id::TRACK_ENTRY, |out| {
                put_uint(out, id::TRACK_NUMBER, number);
                put_binary(out, id::CODEC_ID, codec.as_bytes());
                put_uint(out, id::DEFAULT_DURATION, 40_000_000);
            });
        }
    });
    out
}

fn block(track: u8, time: i16, flags: u8, data: &[u8]) -> Vec<u8> {
    let [t0, t1] = time.to_be_bytes();
    [&[0x80 | track, t0, t1, flags], data].concat()
}

/// A SimpleBlock, or a BlockGroup.
fn put_frame(out: &mut BytesMut, group: bool, track: u8, time: i16, key: bool, data: &[u8]) {
    if !group {
        put_wide(out, id::SIMPLE_BLOCK, &block(track, time, if key { 0x80 } else { 0 }, data));
        return;
    }
    put_master(out, id::BLOCK_GROUP, |out| {
        put_binary(out, id::BLOCK, &block(track, time, 0, data));
        put_uint(out, id::BLOCK_DURATION, 33);
        if !key {
            put_binary(out, id::REFERENCE_BLOCK, &[0xff]);
        }
    });
}

fn put_tags(out: &mut BytesMut, tags: &[(&str, &str)]) {
    put_master(out, id::TAGS, |out| {
        for (name, value) in tags {
            put_master(out, id::TAG, |out| {
                put_master(out, id::SIMPLE_TAG, |out| {
                    put_binary(out, id::TAG_NAME, name.as_bytes());
                    put_binary(out, id::TAG_STRING, value.as_bytes());
                });
            });
        }
    });
}

/// A cluster with a frame of each kind, in one of four forms.
fn put_cluster(out: &mut BytesMut, time: u64, form: usize) {
    let mut inside = BytesMut::new();
    if form % 2 == 1 {
        put_binary(&mut inside, id::CRC_32, &[1, 2, 3, 4]);
    }
    put_wide(&mut inside, id::TIMESTAMP, &time.to_be_bytes());
    put_uint(&mut inside, id::POSITION, 0);
    put_binary(&mut inside, id::VOID, &[0; 3000]);
    put_frame(&mut inside, form == 3, 1, 0, true, b"picture");
    put_frame(&mut inside, form == 2, 1, -40, false, b"");
    put_frame(&mut inside, false, 7, 5, true, &[0, 0x1f, 0x43, 0xb6, 0x75]);
    put_id(out, id::CLUSTER);
    match UNKNOWN.get(form) {
        Some(size) => out.put_slice(size),
        None => out.put_u64(1 << 56 | inside.len() as u64),
    }
    out.put_slice(&inside);
}

fn stream(form: usize) -> Vec<u8> {
    let mut out = header(Some(1_000_000));
    put_binary(&mut out, id::SEEK_HEAD, &[0; 20]);
    put_tags(&mut out, &[("before", "1")]);
    put_cluster(&mut out, 7, form);
    put_tags(&mut out, &[("after", ""), ("AWS_KINESISVIDEO_END_OF_FRAGMENT", "")]);
    put_binary(&mut out, id::CUES, &[0; 5000]);
    put_cluster(&mut out, 2000, (form + 1) % 4);
    out.to_vec()
}

fn read(stream: &[u8], portions: &[usize]) -> (Vec<Event>, Option<Violation>) {
    let (mut reader, mut events, mut rest) = (Reader::new(LIMITS), Vec::new(), stream);
    for portion in portions.iter().copied().chain([usize::MAX]) {
        let (next, later) = rest.split_at(portion.min(rest.len()));
        rest = later;
        reader.push(next);
        loop {
            match reader.next_event() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(violation) => return (events, Some(violation)),
            }
        }
        assert!(reader.waiting() < 70_000, "nothing is kept that is not needed");
    }
    match reader.finish() {
        Ok(last) => events.extend(last),
        Err(violation) => return (events, Some(violation)),
    }
    (events, None)
}

/// What is wrong with a stream.
fn refusal(stream: &[u8]) -> (ViolationKind, String) {
    let violation = read(stream, &[]).1.expect("a violation");
    (violation.kind, violation.to_string())
}

/// Times, frames and tags, without the bytes around them.
fn told(events: &[Event]) -> Vec<String> {
    let tell = |event: &Event| match event {
        Event::Header(header) => {
            let codecs: Vec<_> = header.tracks.iter().map(|track| track.codec_string.as_str()).collect();
            format!("header {codecs:?} {}", header.timescale())
        }
        Event::Cluster(time) => format!("cluster {time}"),
        Event::Block(Block { track, time, key, data, .. }) => format!("{track} {time} {key} {data:?}"),
        Event::ClusterEnd => "end".into(),
        Event::Tags(tags) => {
            tags.iter().map(|tag| format!("{}={}", tag.name, tag.value)).collect::<Vec<_>>().join(" ")
        }
    };
    events.iter().map(tell).collect()
}

#[test]
fn every_form_of_a_stream_tells_the_same() {
    let cluster = [r#"1 0 true b"picture""#, r#"1 -40 false b"""#, r#"7 5 true b"\0\x1fC\xb6u""#, "end"];
    let mut expected = vec!["before=1", r#"header ["vp8", "D_WEATHER/RAW"] 1000"#, "cluster 7"];
    expected.extend(cluster);
    expected.extend(["after= AWS_KINESISVIDEO_END_OF_FRAGMENT=", "cluster 2000"]);
    expected.extend(cluster);
    for form in 0..4 {
        let (events, violation) = read(&stream(form), &[]);
        assert_eq!((told(&events), violation), (expected.iter().map(|&text| text.into()).collect(), None));
    }
}

#[test]
fn the_header_is_kept_as_it_came() {
    let bytes = stream(0);
    let (events, _) = read(&bytes, &[]);
    let Event::Header(header) = &events[1] else { panic!("{:?}", events[1]) };
    let position = |part: &Bytes| bytes.windows(part.len()).position(|window| window == &part[..]);
    assert!(position(&header.info) < position(&header.described));
    assert_eq!(header.frame_durations, [40, 40]);
    assert_eq!((header.tracks[1].codec, header.tracks[1].number), (CodecId::Other, 7));
}

#[test]
fn times_are_kept_in_ticks_that_hold_them() {
    let with = |scale| {
        let mut bytes = header(scale);
        put_cluster(&mut bytes, 3, 0);
        let (events, _) = read(&bytes, &[]);
        let Some(Event::Header(header)) = events.into_iter().next() else { panic!("no header") };
        (header.timescale(), header.ticks(3).unwrap())
    };
    assert_eq!(with(None), (1000, 3), "Matroska's default");
    assert_eq!(with(Some(100_000)), (10_000, 3));
    assert_eq!(with(Some(1)), (1_000_000, 0), "no finer than microseconds");
    assert_eq!(with(Some(22_676)), (1_000_000, 68), "a sample of 44.1 kHz");
}

#[test]
fn what_is_not_taken_is_named_with_its_place() {
    let malformed = |stream: &[u8], why: &str| {
        let (kind, text) = refusal(stream);
        assert!(kind == ViolationKind::Malformed && text.contains(why), "{text}");
    };
    malformed(b"garbage, and no Matroska", "no EBML header");
    malformed(&[stream(0), stream(0)].concat(), "more than one Segment");
    let (events, _) = read(&[&stream(3)[..], &stream(3)].concat(), &[]);
    assert_eq!(events.last(), Some(&Event::ClusterEnd), "what was whole before is told");
    malformed(&stream(2)[..2000], "ends within a Cluster");
    let with = |fill: &dyn Fn(&mut BytesMut)| {
        let mut out = header(None);
        put_id(&mut out, id::CLUSTER);
        out.put_u8(0xff);
        fill(&mut out);
        out
    };
    let timed = |fill: &dyn Fn(&mut BytesMut)| {
        with(&|out| {
            put_uint(out, id::TIMESTAMP, 1);
            fill(out);
        })
    };
    malformed(&timed(&|out| put_binary(out, id::SIMPLE_BLOCK, &block(1, 0, 0x02, b"x"))), "lacing");
    malformed(&timed(&|out| put_binary(out, id::ENCRYPTED_BLOCK, b"x")), "EncryptedBlock");
    malformed(&timed(&|out| put_binary(out, 0x4444, b"x")), "0x4444");
    malformed(&timed(&|out| put_uint(out, id::TIMESTAMP, 1)), "two Timestamps");
    malformed(&with(&|out| put_frame(out, false, 1, 0, true, b"x")), "before its Cluster's Timestamp");
    let (kind, text) = refusal(&timed(&|out| put_frame(out, false, 2, 0, true, b"x")));
    assert!(kind == ViolationKind::UnknownTrack && text.contains("track 2"), "{text}");
    let long = "n".repeat(129);
    assert_eq!(refusal(&timed(&|out| put_tags(out, &[(&long, "")]))).0, ViolationKind::Tags);
    let offset = read(&timed(&|out| put_binary(out, 0x4444, b"x")), &[]).1.unwrap().offset;
    assert_eq!(offset, timed(&|_| {}).len() as u64);
}

#[test]
fn a_cluster_may_have_so_many_bytes_and_not_one_more() {
    let with = |sizes: &[usize]| {
        let mut out = header(None);
        put_id(&mut out, id::CLUSTER);
        out.put_u8(0xff);
        put_uint(&mut out, id::TIMESTAMP, 1);
        sizes.iter().for_each(|size| put_frame(&mut out, false, 1, 0, true, &vec![9; *size]));
        out
    };
    assert_eq!(read(&with(&[1000]), &[]).1, None);
    assert_eq!(read(&with(&[600, 400]), &[]).1, None);
    for sizes in [&[1001][..], &[600, 401]] {
        let (kind, text) = refusal(&with(sizes));
        assert!(kind == ViolationKind::TooLarge && text.contains("more than 1000 bytes"), "{text}");
    }
    // Told by the size alone: the rest is not waited for.
    let mut endless = with(&[]);
    put_id(&mut endless, id::SIMPLE_BLOCK);
    endless.put_u64(1 << 56 | 1 << 40);
    assert_eq!(refusal(&endless).0, ViolationKind::TooLarge);
}

#[test]
fn tracks_are_counted_and_must_be_plain() {
    let with = |count: u64, secret: bool| {
        let mut out = BytesMut::new();
        put_ebml_header(&mut out);
        put_wide(&mut out, id::SEGMENT, &{
            let mut inside = BytesMut::new();
            put_master(&mut inside, id::TRACKS, |out| {
                for number in 1..=count {
                    put_master(out, id::TRACK_ENTRY, |out| {
                        put_uint(out, id::TRACK_NUMBER, number);
                        put_binary(out, id::CODEC_ID, b"D_ANY");
                        if secret {
                            put_binary(out, id::CONTENT_ENCODINGS, b"");
                        }
                    });
                }
            });
            put_cluster(&mut inside, 0, 2);
            inside
        });
        out
    };
    assert_eq!(refusal(&with(4, false)).0, ViolationKind::TooManyTracks);
    let (kind, text) = refusal(&with(1, true));
    assert!(kind == ViolationKind::Malformed && text.contains("neither encrypted"), "{text}");
    assert_eq!(refusal(&with(0, false)).0, ViolationKind::Malformed);
    assert_eq!(refusal(&with(2, false)).0, ViolationKind::UnknownTrack, "there is no track 7");
}

#[test]
fn a_file_that_tells_its_sizes_ends_where_it_says() {
    let mut out = BytesMut::new();
    put_ebml_header(&mut out);
    let whole = header(None);
    let at = whole.windows(4).position(|window| window == 0x1853_8067_u32.to_be_bytes()).unwrap();
    let mut inside = BytesMut::from(&whole[at + 5..]);
    put_cluster(&mut inside, 0, 1);
    put_wide(&mut out, id::SEGMENT, &inside);
    let (events, violation) = read(&out, &[]);
    assert_eq!((events.last(), violation), (Some(&Event::ClusterEnd), None));
    out.put_slice(b"more");
    assert_eq!(refusal(&out).0, ViolationKind::Malformed);
}

proptest! {
    #[test]
    fn portions_make_no_difference(form in 0usize..4, portions in prop::collection::vec(1usize..400, 0..60)) {
        let stream = stream(form);
        prop_assert_eq!(read(&stream, &portions), read(&stream, &[]));
    }

    #[test]
    fn changed_streams_are_read_or_refused(
        form in 0usize..4,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        portions in prop::collection::vec(1usize..900, 0..8),
    ) {
        let mut stream = stream(form);
        for (at, byte) in changes {
            let at = at.index(stream.len());
            stream[at] = byte;
        }
        let (events, violation) = read(&stream, &portions);
        prop_assert_eq!((&events, &violation), (&read(&stream, &[]).0, &read(&stream, &[]).1));
        let clusters = events.iter().filter(|event| matches!(event, Event::Cluster(_))).count();
        let ends = events.iter().filter(|event| **event == Event::ClusterEnd).count();
        prop_assert!(clusters == ends || violation.is_some() && clusters == ends + 1);
    }
}
