use super::*;
use proptest::prelude::*;

/// x264, High, 642x362, 25 frames/s, three B-frames.
const HIGH: &[u8] =
    b"\x67\x64\x00\x1e\xac\xd9\x40\xa4\x2f\xe2\x24\xc0\x44\x00\x00\x03\x00\x04\x00\x00\x03\x00\xc8\x3c\x58\xb6\x58";
const HIGH_PPS: &[u8] = b"\x68\xeb\xe3\xcb\x22\xc0";
/// x264, Baseline, 1920x1080, 30000/1001 frames/s.
const BASELINE: &[u8] =
    b"\x67\x42\xc0\x28\xd9\x00\x78\x02\x27\xe5\xc0\x44\x00\x00\x0f\xa4\x00\x03\xa9\x80\x3c\x60\xc9\x20";

fn record(sps: &'static [u8]) -> Bytes {
    avcc(&[&Bytes::from_static(sps)], &[&Bytes::from_static(HIGH_PPS)]).unwrap()
}

#[test]
fn describes_high_profile() {
    let described = describe(&record(HIGH)).unwrap();
    assert_eq!(described.codec_string, "avc1.64001e");
    assert_eq!((described.width, described.height), (642, 362));
    assert_eq!((described.frame_rate, described.reorder_depth), (Some(25.0), 2));
}

#[test]
fn describes_baseline_profile() {
    let described = describe(&record(BASELINE)).unwrap();
    assert_eq!(described.codec_string, "avc1.42c028");
    assert_eq!((described.width, described.height), (1920, 1080));
    assert!((described.frame_rate.unwrap() - 29.97).abs() < 0.001);
    assert_eq!(described.reorder_depth, 0);
}

#[test]
fn a_set_cut_off_in_its_vui_still_tells_the_size() {
    let described = describe(&record(&HIGH[..14])).unwrap();
    assert_eq!((described.width, described.height, described.frame_rate), (642, 362, None));
}

#[test]
fn an_unreadable_set_still_makes_a_track() {
    let described = describe(&record(&HIGH[..5])).unwrap();
    assert_eq!((described.codec_string.as_str(), described.width), ("avc1.64001e", 0));
}

#[test]
fn a_picture_cropped_to_nothing_has_no_size() {
    // 16 x 16 pixels, of which the left 16 are cut off.
    assert_eq!(Sps::parse(b"\x67\x42\x00\x0a\xdd\xf1\x3d"), None);
}

#[test]
fn gives_the_sets_back() {
    let expected = [&[0, 0, 0, 27][..], HIGH, &[0, 0, 0, 6], HIGH_PPS].concat();
    assert_eq!(sets_in_band(&record(HIGH)).unwrap(), expected);
}

#[test]
fn reads_set_ids() {
    assert_eq!(set_id(SetKind::Sps, HIGH), Some(0));
    assert_eq!(set_id(SetKind::Pps, HIGH_PPS), Some(0));
    assert_eq!(set_id(SetKind::Pps, &[0x68, 0b0100_0000]), Some(1));
    assert_eq!(set_id(SetKind::Sps, &HIGH[..3]), None);
}

#[test]
fn tells_key_slices_from_the_rest() {
    assert_eq!(classify(&[0x65, 0x88]), NalKind::Slice { key: true, first: true });
    assert_eq!(classify(&[0x41, 0x1a]), NalKind::Slice { key: false, first: false });
    assert_eq!(classify(&[0x09, 0xf0]), NalKind::Delimiter);
    assert_eq!(classify(&[0x06]), NalKind::Other);
    assert_eq!(classify(&[]), NalKind::Other);
}

proptest! {
    #[test]
    fn any_bytes_parse_or_are_refused(bytes: Vec<u8>) {
        Sps::parse(&bytes);
        let _ = describe(&bytes);
        set_id(SetKind::Sps, &bytes);
        set_id(SetKind::Pps, &bytes);
        classify(&bytes);
        sets_in_band(&bytes);
    }

    #[test]
    fn mutated_sets_never_panic(at in 1..HIGH.len(), byte: u8, cut in 0..=HIGH.len()) {
        let mut sps = HIGH.to_vec();
        sps[at] = byte;
        Sps::parse(&sps);
        Sps::parse(&sps[..cut]);
    }
}
