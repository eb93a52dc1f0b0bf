use super::*;
use bytes::Bytes;
use media::CodecId;

/// Sequence parameter sets of two sizes, and a picture parameter set for both.
const LARGE: &[u8] = &[
    0x67, 0x42, 0xc0, 0x0a, 0xd9, 0x07, 0x3e, 0x22, 0x20, 0x00, 0x00, 0x03, 0x00, 0x20, 0x00, 0x00, 0x07,
    0x91, 0xe2, 0xc5, 0xcb, 0x20,
];
const PPS: &[u8] = &[0x68, 0xcb, 0x83, 0xcb, 0x20];
const IDR: &[u8] = &[0x65, 0x88, 0x84, 0x0a];
const PICTURE: &[u8] = &[0x41, 0x9a, 0x24, 0x6c];

fn small() -> Bytes {
    let track = fixtures::h264_track(0);
    let length = usize::from(u16::from_be_bytes([track.private[6], track.private[7]]));
    track.private.slice(8..8 + length)
}

fn layers() -> Layers {
    let format = Format {
        encoding: "H264".into(),
        clock_rate: 90_000,
        channels: 0,
        fmtp: "packetization-mode=1".into(),
    };
    Layers::new(1, true, format)
}

/// One layer of a browser.
struct Sender {
    rid: Option<Rid>,
    ssrc: u32,
    sequence: u16,
    sps: Bytes,
}

impl Sender {
    fn new(rid: &str, ssrc: u32, sps: impl Into<Bytes>) -> Self {
        Self { rid: Some(rid.into()), ssrc, sequence: 100, sps: sps.into() }
    }

    fn send(&mut self, to: &mut Layers, key: bool, timestamp: u32, at_ms: u64) -> Vec<Output> {
        let nals: Vec<Bytes> = if key {
            vec![self.sps.clone(), Bytes::from_static(PPS), Bytes::from_static(IDR)]
        } else {
            vec![Bytes::from_static(PICTURE)]
        };
        let (mut out, count) = (Vec::new(), nals.len());
        for (index, payload) in nals.into_iter().enumerate() {
            self.sequence = self.sequence.wrapping_add(1);
            let packet = Packet {
                payload_type: 96,
                marker: index + 1 == count,
                sequence: self.sequence,
                timestamp,
                ssrc: self.ssrc,
                payload,
            };
            let arrival = Duration::from_millis(at_ms);
            to.packet(self.rid, packet, arrival, &Limits::default(), &mut out).unwrap();
        }
        out
    }

    fn report(&self, to: &mut Layers, ntp_ms: u64, rtp_timestamp: u32) -> Option<SenderReport> {
        let ntp = ((4_000_000_000 + ntp_ms / 1000) << 32) | (((ntp_ms % 1000) << 32) / 1000);
        to.report(self.rid, SenderReport { ssrc: self.ssrc, ntp, rtp_timestamp })
    }
}

/// What was recorded: timestamps, with the widths that apply from there on.
fn recorded(outputs: &[Output]) -> Vec<(u32, Option<u32>)> {
    let unit = |output: &Output| match output {
        Output::Unit(unit, _) => Some((unit.rtp_timestamp, unit.track.as_ref().map(|track| track.width))),
        Output::Lost(_) | Output::TimesBroken => None,
    };
    outputs.iter().filter_map(unit).collect()
}

fn due(layers: &mut Layers, at_ms: u64) -> Vec<Option<Rid>> {
    let mut due = Vec::new();
    layers.key_frames_due(Duration::from_millis(at_ms), Duration::from_secs(2), &mut due);
    due
}

#[test]
fn the_sizes_of_this_test_differ() {
    let width = |sps: &[u8]| {
        let mut sender = Sender::new("x", 1, sps.to_vec());
        let out = sender.send(&mut layers(), true, 0, 0);
        let Some(Output::Unit(unit, _)) = out.first() else { panic!("{out:?}") };
        let track = unit.track.as_ref().unwrap();
        assert_eq!(track.codec, CodecId::H264);
        track.width
    };
    assert!(width(LARGE) > width(&small()), "{} {}", width(LARGE), width(&small()));
}

#[test]
fn a_larger_layer_takes_over_at_its_key_frame_on_the_same_timeline() {
    let mut layers = layers();
    let (mut low, mut high) = (Sender::new("l", 1, small()), Sender::new("h", 2, LARGE));
    assert_eq!(recorded(&low.send(&mut layers, true, 1000, 0)).len(), 1);
    assert_eq!(high.send(&mut layers, false, 500_000, 10), [], "nothing before its key frame");
    assert_eq!(low.report(&mut layers, 0, 1000).map(|report| report.rtp_timestamp), Some(1000));
    assert_eq!(high.report(&mut layers, 10, 500_900), None, "not of the recorded timeline");
    assert_eq!(recorded(&low.send(&mut layers, false, 4600, 40)), [(4600, None)]);

    let taken = high.send(&mut layers, true, 507_200, 80);
    // 80 ms after the low layer's first picture, by the reports of both.
    let Some((timestamp, Some(_))) = recorded(&taken).first().copied() else { panic!("{taken:?}") };
    assert!(timestamp.abs_diff(1000 + 7200) <= 1, "{timestamp}");
    assert!(!taken.contains(&Output::TimesBroken));
    assert_eq!(recorded(&low.send(&mut layers, true, 8200, 80)), [], "one layer at a time");
    let told = high.report(&mut layers, 1010, 590_900).unwrap();
    assert!(told.rtp_timestamp.abs_diff(1000 + 90_900) <= 1, "{}", told.rtp_timestamp);
}

#[test]
fn without_reports_a_run_ends_where_the_layer_changes() {
    let mut layers = layers();
    let (mut low, mut high) = (Sender::new("l", 1, small()), Sender::new("h", 2, LARGE));
    low.send(&mut layers, true, 1000, 0);
    let taken = high.send(&mut layers, true, 507_200, 80);
    assert_eq!(taken.first(), Some(&Output::TimesBroken));
    assert_eq!(recorded(&taken).first().map(|(timestamp, _)| *timestamp), Some(507_200));
}

#[test]
fn a_smaller_layer_takes_over_from_one_that_has_stopped() {
    let mut layers = layers();
    let (mut low, mut high) = (Sender::new("l", 1, small()), Sender::new("h", 2, LARGE));
    high.send(&mut layers, true, 0, 0);
    assert_eq!(recorded(&low.send(&mut layers, true, 0, 1000)), []);
    assert_eq!(recorded(&low.send(&mut layers, false, 200_000, 2200)), [], "at a key frame only");
    assert_eq!(due(&mut layers, 2200), [low.rid], "which is asked for");
    assert_eq!(recorded(&low.send(&mut layers, true, 210_000, 2300)).len(), 1);
}

#[test]
fn key_frames_are_asked_for_when_the_last_is_old_and_once_a_second() {
    let mut layers = layers();
    let mut only = Sender::new("x", 1, small());
    only.rid = None;
    only.send(&mut layers, false, 0, 0);
    assert_eq!(due(&mut layers, 0), [None], "nothing can be recorded yet");
    assert_eq!(due(&mut layers, 500), []);
    assert_eq!(due(&mut layers, 1000), [None]);
    only.send(&mut layers, true, 100_000, 1100);
    assert_eq!(due(&mut layers, 3000), [], "1.9 s old");
    only.send(&mut layers, false, 280_000, 3100);
    assert_eq!((due(&mut layers, 3100), due(&mut layers, 3200)), (vec![None], vec![]));
    assert_eq!(due(&mut layers, 9000), [], "who sends nothing is asked nothing");
}

#[test]
fn damage_asks_for_a_key_frame_at_once() {
    let mut layers = layers();
    let mut only = Sender::new("x", 1, small());
    only.send(&mut layers, true, 0, 0);
    only.sequence += 1; // one packet is lost and does not come back
    let mut out = only.send(&mut layers, false, 3600, 40);
    out.extend(only.send(&mut layers, false, 48_600, 600));
    out.extend(only.send(&mut layers, false, 52_200, 640));
    assert!(out.contains(&Output::Lost(1)), "{out:?}");
    assert_eq!(due(&mut layers, 700), [only.rid]);
}

#[test]
fn another_source_ends_the_run_and_layers_are_bounded() {
    let mut layers = layers();
    let mut first = Sender::new("x", 1, small());
    first.send(&mut layers, true, 0, 0);
    let mut second = Sender { ssrc: 9, sequence: 40_000, ..Sender::new("x", 1, small()) };
    let out = second.send(&mut layers, true, 77, 40);
    assert_eq!(out.first(), Some(&Output::TimesBroken));
    for number in 0..100 {
        Sender::new(&format!("r{number}"), number, small()).send(&mut layers, true, 0, 100);
    }
    assert_eq!(layers.layers.len(), MAX_LAYERS);
}
