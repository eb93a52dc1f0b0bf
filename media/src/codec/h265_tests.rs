use super::*;
use proptest::prelude::*;

/// x265, Main, 642x362, 25 frames/s, open GOP with B-pyramid.
const VPS: &[u8] =
    b"\x40\x01\x0c\x01\xff\xff\x01\x60\x00\x00\x03\x00\x90\x00\x00\x03\x00\x00\x03\x00\x3f\x95\x98\x09";
const SPS: &[u8] = b"\x42\x01\x01\x01\x60\x00\x00\x03\x00\x90\x00\x00\x03\x00\x00\x03\x00\x3f\xa0\x05\x12\x01\x71\xc9\x26\x59\x59\xa4\x93\x2b\xc0\x5a\x02\x00\x00\x03\x00\x02\x00\x00\x03\x00\x32\x10";
const PPS: &[u8] = b"\x44\x01\xc1\x72\xb4\x62\x40";

fn record(sps: &'static [u8]) -> Option<Bytes> {
    hvcc(&[&Bytes::from_static(VPS)], &[&Bytes::from_static(sps)], &[&Bytes::from_static(PPS)])
}

#[test]
fn describes_main_profile() {
    let described = describe(&record(SPS).unwrap()).unwrap();
    assert_eq!(described.codec_string, "hvc1.1.6.L63.90");
    assert_eq!((described.width, described.height), (642, 362));
    assert_eq!((described.frame_rate, described.reorder_depth), (Some(25.0), 2));
}

#[test]
fn an_unreadable_set_still_makes_a_track_when_its_profile_is_there() {
    let described = describe(&record(&SPS[..20]).unwrap()).unwrap();
    assert_eq!((described.codec_string.as_str(), described.width), ("hvc1.1.6.L63.90", 0));
    assert_eq!(record(&SPS[..8]), None);
}

#[test]
fn a_picture_without_width_has_no_size() {
    let zero_by_sixteen = [&[1][..], &[0; 12], &[0xa8, 0x45, 0xfe]].concat();
    assert_eq!(Sps::parse(&zero_by_sixteen), None);
}

#[test]
fn gives_the_sets_back() {
    let expected = [&[0, 0, 0, 24][..], VPS, &[0, 0, 0, 44], SPS, &[0, 0, 0, 7], PPS].concat();
    assert_eq!(sets_in_band(&record(SPS).unwrap()).unwrap(), expected);
}

#[test]
fn reads_set_ids() {
    for (kind, set) in [(SetKind::Vps, VPS), (SetKind::Sps, SPS), (SetKind::Pps, PPS)] {
        assert_eq!(set_id(kind, set), Some(0), "{kind:?}");
    }
    assert_eq!(set_id(SetKind::Sps, &SPS[..6]), None);
}

#[test]
fn tells_key_slices_from_the_rest() {
    assert_eq!(classify(&[19 << 1, 1, 0x80]), NalKind::Slice { key: true, first: true });
    assert_eq!(classify(&[21 << 1, 1, 0x00]), NalKind::Slice { key: true, first: false });
    assert_eq!(classify(&[1 << 1, 1, 0x80]), NalKind::Slice { key: false, first: true });
    assert_eq!(classify(&[35 << 1, 1]), NalKind::Delimiter);
    assert_eq!(classify(&[39 << 1, 1]), NalKind::Other);
    assert_eq!(classify(&[]), NalKind::Other);
}

proptest! {
    #[test]
    fn any_bytes_parse_or_are_refused(bytes: Vec<u8>) {
        Sps::parse(&bytes);
        let _ = describe(&bytes);
        for kind in [SetKind::Vps, SetKind::Sps, SetKind::Pps] {
            set_id(kind, &bytes);
        }
        classify(&bytes);
        sets_in_band(&bytes);
    }

    #[test]
    fn mutated_sets_never_panic(at in 2..SPS.len(), byte: u8, cut in 2..=SPS.len()) {
        let mut sps = SPS.to_vec();
        sps[at] = byte;
        Sps::parse(&unescape(&sps[2..]));
        Sps::parse(&unescape(&sps[2..cut]));
    }
}
