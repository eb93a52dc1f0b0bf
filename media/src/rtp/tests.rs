//! Payload formats against packets made here, and against anything at all.

use proptest::prelude::*;

use super::*;

const SPS: &[u8] =
    b"\x67\x64\x00\x1e\xac\xd9\x40\xa4\x2f\xe2\x24\xc0\x44\x00\x00\x03\x00\x04\x00\x00\x03\x00\xc8\x3c\x58\xb6\x58";
const PPS: &[u8] = b"\x68\xeb\xe3\xcb\x22\xc0";
const IDR: &[u8] = b"\x65\x88key picture";
const P: &[u8] = b"\x41\x9apredicted";
const P_SECOND_SLICE: &[u8] = b"\x41\x1apredicted";
const SEI: &[u8] = b"\x06\x05sei";

fn format(encoding: &str, fmtp: &str) -> Format {
    let clock_rate = if encoding.starts_with('H') { 90_000 } else { 48_000 };
    Format { encoding: encoding.into(), clock_rate, channels: 2, fmtp: fmtp.into() }
}

/// A track of packets going through a depayloader.
struct Feed {
    depayloader: Depayloader,
    units: Vec<AccessUnit>,
}

impl Feed {
    fn new(encoding: &str, fmtp: &str) -> Self {
        let depayloader = Depayloader::new(1, &format(encoding, fmtp), &Limits::default()).unwrap();
        Self { depayloader, units: Vec::new() }
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

    /// An H.264 key picture with its parameter sets, in one packet.
    fn key(&mut self, timestamp: u32) {
        self.send(timestamp, true, &stap_a(&[SPS, PPS, IDR]));
    }

    fn finish(mut self) -> Vec<AccessUnit> {
        self.depayloader.finish(&mut self.units);
        self.units
    }
}

fn stap_a(nals: &[&[u8]]) -> Vec<u8> {
    [&[0x78][..], &lengths16(nals)].concat()
}

fn lengths16(nals: &[&[u8]]) -> Vec<u8> {
    nals.iter().flat_map(|nal| [&u16::try_from(nal.len()).unwrap().to_be_bytes(), *nal].concat()).collect()
}

fn lengths32(nals: &[&[u8]]) -> Vec<u8> {
    nals.iter().flat_map(|nal| [&u32::try_from(nal.len()).unwrap().to_be_bytes(), *nal].concat()).collect()
}

/// FU-A packets of at most `size` bytes of the NAL unit each.
fn fu_a(nal: &[u8], size: usize) -> Vec<Vec<u8>> {
    let chunks: Vec<_> = nal[1..].chunks(size).collect();
    let flags = |i| if i == 0 { 0x80 } else { 0 } | if i + 1 == chunks.len() { 0x40 } else { 0 };
    let packet = |(i, chunk)| [&[nal[0] & 0xe0 | 28, flags(i) | nal[0] & 0x1f][..], chunk].concat();
    chunks.iter().copied().enumerate().map(packet).collect()
}

#[test]
fn an_aggregated_key_picture_brings_its_track() {
    let mut feed = Feed::new("H264", "");
    feed.key(9000);
    feed.send(12_000, true, P);
    let units = feed.finish();
    let track = units[0].track.as_ref().unwrap();
    assert_eq!((track.width, track.height, track.timescale), (642, 362, 90_000));
    assert_eq!((units[0].rtp_timestamp, units[0].key, units[0].damaged), (9000, true, false));
    assert_eq!(units[0].data, lengths32(&[IDR]), "no parameter sets in the sample");
    assert_eq!((units[1].key, &units[1].track), (false, &None));
}

#[test]
fn fragments_are_joined() {
    let mut feed = Feed::new("H264", "sprop-parameter-sets=Z2QAHqzZQKQv4iTARAAAAwAEAAADAMg8WLZY,aOvjyyLA");
    assert_eq!(feed.depayloader.track().unwrap().width, 642, "known from the SDP");
    let packets = fu_a(IDR, 4);
    for (i, packet) in packets.iter().enumerate() {
        feed.send(0, i + 1 == packets.len(), packet);
    }
    let units = feed.finish();
    assert_eq!((units.len(), &units[0].data[..], units[0].key), (1, &lengths32(&[IDR])[..], true));
    assert!(units[0].track.is_some());
}

#[test]
fn units_behind_start_codes_are_taken_apart_but_for_slices_and_sei() {
    let glued = [SPS, &[0, 0, 0, 1], PPS, &[0, 0, 1], IDR].concat();
    let signed = [SEI, &[0, 0, 0, 1], PPS].concat();
    for whole in [true, false] {
        let mut feed = Feed::new("H264", "");
        feed.send(0, false, &signed);
        let packets = if whole { vec![glued.clone()] } else { fu_a(&glued, 9) };
        for (i, packet) in packets.iter().enumerate() {
            feed.send(0, i + 1 == packets.len(), packet);
        }
        let units = feed.finish();
        assert_eq!((units.len(), &units[0].data[..]), (1, &lengths32(&[&signed, IDR])[..]));
        assert!(units[0].track.is_some() && units[0].key && !units[0].damaged);
    }
}

#[test]
fn units_before_the_parameter_sets_are_dropped() {
    let mut feed = Feed::new("H264", "");
    feed.send(0, true, P);
    feed.key(3000);
    assert_eq!(feed.finish().len(), 1);
}

#[test]
fn a_unit_also_ends_where_the_timestamp_changes() {
    let mut feed = Feed::new("H264", "");
    feed.send(0, false, &stap_a(&[SPS, PPS, IDR]));
    feed.send(3000, false, P);
    let units = feed.finish();
    assert_eq!(units.iter().map(|unit| unit.rtp_timestamp).collect::<Vec<_>>(), [0, 3000]);
}

#[test]
fn a_marker_on_parameter_sets_or_sei_ends_nothing() {
    let mut feed = Feed::new("H264", "");
    feed.send(0, true, SPS);
    feed.send(0, true, PPS);
    feed.send(0, true, SEI);
    feed.send(0, true, IDR);
    let units = feed.finish();
    assert_eq!((units.len(), &units[0].data[..]), (1, &lengths32(&[SEI, IDR])[..]));
    assert!(!units[0].damaged);
}

#[test]
fn markers_on_every_slice_are_seen_through() {
    let mut feed = Feed::new("H264", "");
    feed.key(0);
    for timestamp in [3000, 6000, 9000] {
        feed.send(timestamp, true, P);
        feed.send(timestamp, true, P_SECOND_SLICE);
    }
    let units = feed.finish();
    let whole = lengths32(&[P, P_SECOND_SLICE]);
    assert_eq!(units[units.len() - 2..].iter().map(|unit| &unit.data[..]).collect::<Vec<_>>(), [&whole; 2]);
    assert_eq!(units[1..].iter().map(|unit| unit.damaged).collect::<Vec<_>>(), [false, true, false, false]);
}

#[test]
fn a_lost_fragment_drops_its_nal_unit_and_marks_the_picture() {
    let mut feed = Feed::new("H264", "");
    feed.key(0);
    feed.send(3000, false, P);
    feed.send(3000, false, &fu_a(P_SECOND_SLICE, 4)[0]);
    feed.try_send(3000, true, 1, &fu_a(P_SECOND_SLICE, 4)[2]).unwrap();
    feed.send(6000, true, P);
    let units = feed.finish();
    assert_eq!((&units[1].data[..], units[1].damaged), (&lengths32(&[P])[..], true));
    assert!(!units[2].damaged);
}

#[test]
fn a_loss_between_pictures_marks_the_one_that_lacks_its_beginning() {
    let mut feed = Feed::new("H264", "");
    feed.key(0);
    feed.try_send(6000, true, 2, P).unwrap();
    feed.try_send(12_000, true, 2, P_SECOND_SLICE).unwrap();
    let units = feed.finish();
    assert_eq!(units.iter().map(|unit| unit.damaged).collect::<Vec<_>>(), [false, false, true]);
}

#[test]
fn changed_sets_make_a_new_track_at_a_key_picture_and_go_in_band_elsewhere() {
    let other = [&PPS[..PPS.len() - 1], &[0xc1]].concat();
    let mut feed = Feed::new("H264", "");
    feed.key(0);
    feed.send(3000, true, &stap_a(&[&other, P]));
    feed.key(6000);
    feed.send(9000, true, &stap_a(&[SPS, &other, IDR]));
    let units = feed.finish();
    assert_eq!(units[1].data, lengths32(&[&other, P]));
    assert_eq!(units.iter().map(|unit| unit.track.is_some()).collect::<Vec<_>>(), [true, false, false, true]);
}

#[test]
fn an_oversized_picture_is_told_once_and_dropped() {
    let limits = Limits { frame_bytes: 100, ..Limits::default() };
    let mut feed = Feed::new("H264", "");
    feed.depayloader = Depayloader::new(1, &format("H264", ""), &limits).unwrap();
    feed.key(0);
    let large = [P, &[1; 200]].concat();
    assert!(matches!(feed.try_send(3000, false, 0, &large), Err(MediaError::TooLarge { limit: 100, .. })));
    feed.send(3000, true, P_SECOND_SLICE);
    feed.send(6000, true, P);
    assert_eq!(feed.finish().iter().map(|unit| unit.rtp_timestamp).collect::<Vec<_>>(), [0, 6000]);
}

#[test]
fn h265_aggregates_and_fragments() {
    let fmtp = "sprop-vps=QAEMAf//AWAAAAMAkAAAAwAAAwA/lZgJ; \
                sprop-sps=QgEBAWAAAAMAkAAAAwAAAwA/oAUSAXHJJllZpJMrwFoCAAADAAIAAAMAMhA=; sprop-pps=RAHBcrRiQA==";
    let mut feed = Feed::new("H265", fmtp);
    assert_eq!(feed.depayloader.track().unwrap().codec_string, "hvc1.1.6.L63.90");
    let (cra, sei) = ([21 << 1, 1, 0x80, 9, 9, 9], [39 << 1, 1, 7]);
    feed.send(0, true, &[&[48 << 1, 1][..], &lengths16(&[&sei, &cra])].concat());
    feed.send(3000, false, &[49 << 1, 1, 0x80 | 1, 0x80, 5]);
    feed.send(3000, true, &[49 << 1, 1, 0x40 | 1, 6]);
    let units = feed.finish();
    assert_eq!((&units[0].data[..], units[0].key), (&lengths32(&[&sei, &cra])[..], true));
    assert_eq!((&units[1].data[..], units[1].key), (&lengths32(&[&[2, 1, 0x80, 5, 6]])[..], false));
}

#[test]
fn aac_packets_hold_several_units_a_frame_apart() {
    let mut feed =
        Feed::new("mpeg4-generic", "mode=AAC-hbr;sizeLength=13;indexLength=3;indexDeltaLength=3;config=1190");
    feed.send(u32::MAX, true, b"\x00\x20\x00\x18\x00\x10abcde");
    let units = feed.finish();
    let seen: Vec<_> = units.iter().map(|unit| (unit.rtp_timestamp, &unit.data[..], unit.key)).collect();
    assert_eq!(seen, [(u32::MAX, &b"abc"[..], true), (1023, &b"de"[..], true)]);
    assert_eq!(units[0].track.as_ref().unwrap().codec_string, "mp4a.40.2");
}

#[test]
fn aac_fragments_are_joined_or_dropped_whole() {
    let mut feed = Feed::new("MPEG4-GENERIC", "mode=AAC-hbr;config=1190");
    let fragment = |data: &[u8]| [b"\x00\x10\x00\x30", data].concat();
    feed.send(0, false, &fragment(b"abc"));
    feed.send(0, true, &fragment(b"def"));
    feed.try_send(1024, true, 1, &fragment(b"def")).unwrap();
    feed.send(2048, true, b"\x00\x10\x00\x10gh");
    let units = feed.finish();
    assert_eq!(units.iter().map(|unit| &unit.data[..]).collect::<Vec<_>>(), [&b"abcdef"[..], b"gh"]);
}

#[test]
fn what_is_not_spoken_is_named() {
    for (encoding, fmtp) in [
        ("MPV", ""),
        ("G722", ""),
        ("MPEG4-GENERIC", "mode=CELP-cbr"),
        ("MPEG4-GENERIC", "sizelength=0"),
        ("H265", "sprop-max-don-diff=2"),
        ("MP4A-LATM", "config=40002420"), // cpresent is 1 unless told otherwise
    ] {
        let refused = Depayloader::new(1, &format(encoding, fmtp), &Limits::default()).unwrap_err();
        assert!(matches!(refused, MediaError::Unsupported { .. }), "{encoding} {fmtp}: {refused}");
    }
    let mut feed = Feed::new("H264", "");
    assert!(matches!(feed.try_send(0, true, 0, &[26, 0, 0]), Err(MediaError::Unsupported { .. })));
    assert!(matches!(feed.try_send(0, true, 0, &[24, 0, 9, 1]), Err(MediaError::Malformed { .. })));
}

/// Packets that look enough like media to get somewhere.
fn packets() -> impl Strategy<Value = Vec<(u8, bool, bool, Vec<u8>)>> {
    let start = prop::sample::select(vec![
        stap_a(&[SPS, PPS, IDR]),
        SPS.to_vec(),
        PPS.to_vec(),
        vec![0x7c, 0x85],
        vec![0x7c, 0x05],
        vec![0x7c, 0x45],
        vec![49 << 1, 1, 0x93],
        vec![49 << 1, 1, 0x53],
        vec![48 << 1, 1, 0, 3],
        vec![0, 16, 0, 80],
        vec![],
    ]);
    let payload = (start, any::<Vec<u8>>()).prop_map(|(start, rest)| [start, rest].concat());
    prop::collection::vec((0u8..4, any::<bool>(), any::<bool>(), payload), 0..60)
}

proptest! {
    /// Whatever is sent: no panic, and every sample of pictures is a chain of whole NAL units.
    #[test]
    fn samples_are_well_formed_whatever_comes(h265: bool, packets in packets()) {
        let mut feed = Feed::new(if h265 { "H265" } else { "H264" }, "");
        for (timestamp, marker, lost, payload) in packets {
            let _ = feed.try_send(u32::from(timestamp), marker, lost.into(), &payload);
        }
        for unit in feed.finish() {
            let mut rest = &unit.data[..];
            while !rest.is_empty() {
                let (length, nals) = rest.split_first_chunk::<4>().unwrap();
                rest = &nals[usize::try_from(u32::from_be_bytes(*length)).unwrap()..];
            }
        }
    }

    #[test]
    fn audio_never_panics(fmtp in "(sizelength=[0-9]{1,2};|indexlength=[0-9]{1,2};|indexdeltalength=[0-9]{1,2};){0,3}", packets in packets()) {
        let Ok(mut depayloader) = Depayloader::new(1, &format("MPEG4-GENERIC", &fmtp), &Limits::default()) else {
            return Ok(());
        };
        let mut units = Vec::new();
        for (timestamp, marker, lost, payload) in packets {
            let payload = Bytes::from(payload);
            let packet =
                Packet { payload_type: 96, marker, sequence: 0, timestamp: timestamp.into(), ssrc: 0, payload };
            let _ = depayloader.push(&packet, lost.into(), &mut units);
        }
    }
}
