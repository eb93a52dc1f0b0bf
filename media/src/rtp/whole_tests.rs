//! AV1, VP8, VP9, Motion JPEG and the plain audio formats against packets made here, and against anything at all.

use proptest::prelude::*;

use super::*;

/// A track of packets going through a depayloader.
struct Feed {
    depayloader: Depayloader,
    units: Vec<AccessUnit>,
}

fn format(encoding: &str, clock_rate: u32, channels: u8, fmtp: &str) -> Format {
    Format { encoding: encoding.into(), clock_rate, channels, fmtp: fmtp.into() }
}

impl Feed {
    fn new(encoding: &str) -> Self {
        Self::of(&format(encoding, 90_000, 0, ""), &Limits::default())
    }

    fn of(format: &Format, limits: &Limits) -> Self {
        Self { depayloader: Depayloader::new(1, format, limits).unwrap(), units: Vec::new() }
    }

    fn try_send(
        &mut self,
        timestamp: u32,
        marker: bool,
        lost: u16,
        payload: &[u8],
    ) -> Result<(), MediaError> {
        let payload = Bytes::copy_from_slice(payload);
        let packet = Packet { payload_type: 96, marker, sequence: 0, timestamp, ssrc: 0, payload };
        self.depayloader.push(&packet, lost, &mut self.units)
    }

    fn send(&mut self, timestamp: u32, marker: bool, payload: &[u8]) {
        self.try_send(timestamp, marker, 0, payload).unwrap();
    }

    fn finish(mut self) -> Vec<AccessUnit> {
        self.depayloader.finish(&mut self.units);
        self.units
    }
}

fn times(units: &[AccessUnit]) -> Vec<u32> {
    units.iter().map(|unit| unit.rtp_timestamp).collect()
}

/// libaom: 322x242, without its size.
const SEQUENCE: &[u8] = b"\x08\0\0\0\x04\x3d\x07\xc4\xda\xf9\0\x40";
const KEY_FRAME: &[u8] = b"\x30\x10key";
const INTER_FRAME: &[u8] = b"\x30\x20inter";
const TILE_GROUP: &[u8] = b"\x20tiles";

/// Elements behind their lengths, as a packet whose count is 0 carries them.
fn elements(flags: u8, units: &[&[u8]]) -> Vec<u8> {
    let lengths = units.iter().flat_map(|unit| [&[u8::try_from(unit.len()).unwrap()], *unit].concat());
    [flags].into_iter().chain(lengths).collect()
}

#[test]
fn av1_units_come_with_their_sizes() {
    let mut feed = Feed::new("AV1");
    feed.send(0, true, &elements(0, &[INTER_FRAME])); // nothing to decode it from
    feed.send(3000, true, &elements(0x08, &[b"\x10", SEQUENCE, KEY_FRAME, b"\x78padding"]));
    feed.send(6000, true, &[b"\x10", INTER_FRAME].concat()); // W = 1: no length
    feed.send(9000, true, &[&b"\x20\x07"[..], INTER_FRAME, TILE_GROUP].concat()); // W = 2
    let units = feed.finish();
    let track = units[0].track.as_ref().unwrap();
    assert_eq!((track.codec_string.as_str(), track.width, track.height), ("av01.0.00M.08", 322, 242));
    let key = [b"\x0a\x0b", &SEQUENCE[1..], b"\x32\x04\x10key"].concat();
    assert_eq!((times(&units), &units[0].data[..], units[0].key), (vec![3000, 6000, 9000], &key[..], true));
    assert_eq!((&units[1].data[..], units[1].key), (&b"\x32\x06\x20inter"[..], false));
    assert_eq!(units[2].data[..], b"\x32\x06\x20inter\x22\x05tiles"[..]);
}

#[test]
fn av1_fragments_are_joined_or_dropped_whole() {
    let mut feed = Feed::new("AV1");
    feed.send(0, true, &elements(0, &[SEQUENCE, KEY_FRAME]));
    feed.send(3000, false, b"\x50\x30\x20in"); // Y
    feed.send(3000, true, b"\x90ter"); // Z
    feed.send(6000, false, b"\x50\x30\x20in");
    feed.try_send(6000, true, 1, b"\x90r").unwrap();
    feed.try_send(9000, true, 2, &elements(0, &[TILE_GROUP])).unwrap();
    feed.send(12_000, false, b"\x50\x30\x20in");
    feed.send(15_000, true, &elements(0, &[INTER_FRAME]));
    let units = feed.finish();
    assert_eq!(times(&units), [0, 3000, 15_000]);
    assert_eq!(units[1].data, b"\x32\x06\x20inter".as_slice());
}

#[test]
fn an_av1_key_frame_without_its_sequence_header_gets_the_last_one() {
    let mut feed = Feed::new("AV1");
    feed.send(0, true, &elements(0, &[SEQUENCE, KEY_FRAME]));
    feed.send(3000, true, &elements(0, &[KEY_FRAME]));
    let units = feed.finish();
    assert_eq!((&units[0].data, &units[1].track), (&units[1].data, &None));
}

/// libvpx: profile 0, 640x360.
const VP9_KEY: &[u8] = b"\x82\x49\x83\x42\x00\x27\xf0\x16\x70\x00key";
const VP9_INTER: &[u8] = b"\x86\x00inter";

fn vp9(descriptor: &[u8], frame: &[u8]) -> Vec<u8> {
    [descriptor, frame].concat()
}

#[test]
fn vp9_frames_are_joined() {
    let mut feed = Feed::new("VP9");
    feed.send(0, true, &vp9(b"\x0c", VP9_INTER));
    feed.send(3000, false, &vp9(b"\x88\x80\x01", &VP9_KEY[..5]));
    feed.send(3000, true, &vp9(b"\x84\x80\x01", &VP9_KEY[5..]));
    feed.send(6000, false, &vp9(b"\x0c", VP9_INTER)); // ends without its marker
    feed.send(9000, true, &vp9(b"\x0c", VP9_INTER));
    let units = feed.finish();
    let track = units[0].track.as_ref().unwrap();
    assert_eq!((track.codec_string.as_str(), track.width, track.height), ("vp09.00.21.08", 640, 360));
    assert_eq!((times(&units), &units[0].data[..], units[0].key), (vec![3000, 6000, 9000], VP9_KEY, true));
    assert_eq!((&units[1].data[..], units[1].key), (VP9_INTER, false));
}

#[test]
fn vp9_frames_that_lack_a_part_are_dropped() {
    let mut feed = Feed::new("VP9");
    feed.send(0, true, &vp9(b"\x0c", VP9_KEY));
    feed.send(3000, false, &vp9(b"\x08", VP9_INTER));
    feed.try_send(3000, true, 1, &vp9(b"\x04", VP9_INTER)).unwrap();
    feed.try_send(6000, true, 1, &vp9(b"\x04", VP9_INTER)).unwrap(); // its beginning is lost
    feed.send(9000, false, &vp9(b"\x08", VP9_INTER)); // its end never comes
    feed.send(12_000, false, &vp9(b"\x2c\x02\x01", VP9_INTER));
    feed.send(12_000, true, &vp9(b"\x2c\x03\x01", VP9_INTER)); // another layer
    feed.try_send(15_000, true, 1, &vp9(b"\x2c\x03\x01", VP9_INTER)).unwrap(); // the lower one is lost
    let units = feed.finish();
    assert_eq!(times(&units), [0, 12_000]);
    assert_eq!(units[1].data[..], [VP9_INTER, VP9_INTER, b"\xc1\x07\x07\xc1"].concat());
}

const VP8_KEY: &[u8] = b"\x10\x02\x00\x9d\x01\x2a\x40\x01\xf0\x00key";

#[test]
fn vp8_frames_are_joined_or_dropped_whole() {
    let mut feed = Feed::new("VP8");
    feed.send(0, false, &[b"\x90\x80\x85\x01", &VP8_KEY[..11]].concat());
    feed.send(0, true, &[b"\x80\x80\x85\x01", &VP8_KEY[11..]].concat());
    feed.send(3000, false, b"\x10\x11inter"); // ends without its marker
    feed.send(6000, false, b"\x10\x11in");
    feed.try_send(6000, true, 1, b"\x00er").unwrap();
    feed.try_send(9000, true, 1, b"\x00er").unwrap(); // its beginning is lost
    feed.send(12_000, true, b"\x10\x11inter");
    let units = feed.finish();
    let track = units[0].track.as_ref().unwrap();
    assert_eq!((track.codec_string.as_str(), track.width, track.height), ("vp8", 320, 240));
    assert_eq!((times(&units), &units[0].data[..], units[0].key), (vec![0, 3000, 12_000], VP8_KEY, true));
    assert_eq!((&units[1].data[..], units[1].key), (&b"\x11inter"[..], false));
}

/// Type 1 (4:2:0), 320x240.
fn jpeg(offset: u8, q: u8, rest: &[u8]) -> Vec<u8> {
    [&[0, 0, 0, offset, 1, q, 40, 30][..], rest].concat()
}

#[test]
fn jpegs_get_their_headers_back() {
    let mut feed = Feed::new("JPEG");
    feed.send(0, false, &jpeg(0, 50, b"scan"));
    feed.send(0, true, &jpeg(4, 50, b"data\xff\xd9"));
    let units = feed.finish();
    let track = units[0].track.as_ref().unwrap();
    assert_eq!((track.codec_string.as_str(), track.width, track.height), ("mp4v.6C", 320, 240));
    let file = &units[0].data;
    assert!(file.starts_with(b"\xff\xd8\xff\xdb\0\x43\0\x10\x0b\x0c") && file.ends_with(b"scandata\xff\xd9"));
    assert!(units[0].key);
}

#[test]
fn jpeg_tables_are_kept_for_those_that_name_them() {
    let tables = [&b"\0\0\0\x80"[..], &[9; 128]].concat();
    let mut feed = Feed::new("JPEG");
    assert!(feed.try_send(0, true, 0, &jpeg(0, 200, b"\0\0\0\0scan")).is_err(), "no tables yet");
    feed.send(3000, true, &jpeg(0, 200, &[&tables[..], b"one"].concat()));
    feed.send(6000, true, &jpeg(0, 200, b"\0\0\0\0two"));
    let units = feed.finish();

    assert_eq!(times(&units), [3000, 6000]);
    assert_eq!(units[0].data.len(), units[1].data.len());
    assert!(units[1].data.ends_with(b"two\xff\xd9"));
    assert_eq!(units[0].data[..200], units[1].data[..200]);
}

#[test]
fn jpegs_that_lack_a_part_are_dropped() {
    let mut feed = Feed::new("JPEG");
    feed.send(0, false, &jpeg(0, 50, b"scan"));
    feed.try_send(0, true, 1, &jpeg(8, 50, b"data")).unwrap();
    feed.try_send(3000, true, 1, &jpeg(4, 50, b"data")).unwrap();
    feed.send(6000, true, &jpeg(0, 50, b"scan"));
    assert_eq!(times(&feed.finish()), [6000]);
    let mut feed = Feed::new("JPEG");
    for (timestamp, payload, why) in [
        (0, &[0, 0, 0, 0, 1, 50, 0, 30][..], "too wide"),
        (1, &[0, 0, 0, 0, 2, 50, 40, 30], "another type"),
        (2, &[0, 0, 0, 0, 65, 50, 40, 30, 0], "cut off"),
        (3, &[0, 0, 0, 0, 1, 255, 40, 30, 0, 0, 0, 65, 1], "cut off"),
    ] {
        assert!(feed.try_send(timestamp, true, 0, payload).is_err(), "{why}");
    }
}

#[test]
fn audio_packets_are_units() {
    for (encoding, clock_rate, channels, fmtp, codec_string, stored_channels) in [
        ("opus", 48_000, 2, "", "opus", 2),
        ("opus", 48_000, 2, "sprop-stereo=0", "opus", 1),
        ("PCMU", 8000, 0, "", "ulaw", 1),
        ("pcma", 16_000, 1, "", "alaw", 1),
        ("L16", 44_100, 2, "", "twos", 2),
    ] {
        let mut feed = Feed::of(&format(encoding, clock_rate, channels, fmtp), &Limits::default());
        feed.send(160, true, b"samples!");
        feed.send(320, false, b"");
        feed.send(480, false, b"samples.");
        let units = feed.finish();
        let track = units[0].track.as_ref().unwrap();
        assert_eq!((track.codec_string.as_str(), track.channels), (codec_string, stored_channels));
        assert_eq!((track.sample_rate, track.timescale), (clock_rate, clock_rate));
        assert_eq!(
            (times(&units), &units[1].data[..], units[1].key),
            (vec![160, 480], &b"samples."[..], true)
        );
    }
    let mut feed = Feed::of(&format("L16", 44_100, 2, ""), &Limits::default());
    assert!(feed.try_send(0, true, 0, b"abc").is_err());
    assert!(Depayloader::new(1, &format("opus", 90_000, 2, ""), &Limits::default()).is_err());
}

/// What a format is sent: beginnings that get somewhere, then anything.
fn packets() -> impl Strategy<Value = Vec<(u8, bool, bool, Vec<u8>)>> {
    let start = prop::sample::select(vec![
        elements(0, &[SEQUENCE, KEY_FRAME]),
        vec![0x50, 0x30, 0x20],
        vec![0xd0],
        vec![0x90],
        vp9(b"\x08", VP9_KEY),
        vp9(b"\x0c", VP9_INTER),
        [b"\x10", VP8_KEY].concat(),
        vec![0x00],
        vec![0x2e, 0x02, 0x01, 0xf8],
        jpeg(0, 50, b""),
        jpeg(0, 255, b"\0\x03\x01\0"),
        jpeg(4, 50, b""),
        vec![],
    ]);
    let payload = (start, any::<Vec<u8>>()).prop_map(|(start, rest)| [start, rest].concat());
    prop::collection::vec((0u8..4, any::<bool>(), any::<bool>(), payload), 0..60)
}

proptest! {
    /// Whatever is sent: no panic, no sample beyond the limit, a track before the first sample.
    #[test]
    fn frames_stay_within_limits_whatever_comes(encoding in prop::sample::select(vec!["AV1", "VP8", "VP9", "JPEG"]), packets in packets()) {
        let limits = Limits { frame_bytes: 1000, ..Limits::default() };
        let mut feed = Feed::of(&format(encoding, 90_000, 0, ""), &limits);
        for (timestamp, marker, lost, payload) in packets {
            let _ = feed.try_send(timestamp.into(), marker, lost.into(), &payload);
        }
        let units = feed.finish();
        prop_assert!(units.first().is_none_or(|unit| unit.track.is_some() && unit.key));
        prop_assert!(units.iter().all(|unit| !unit.data.is_empty() && unit.data.len() < 1000 + 100));
    }
}
