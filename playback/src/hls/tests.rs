use std::fmt::Write as _;
use std::time::Duration;

use base::{ClockSource, FragmentMeta, FragmentNumber, RunId, Timestamp, TrackMeta};
use proptest::prelude::*;

use super::holes::fill_holes;
use super::multivariant::multivariant;
use super::*;
use crate::PlaybackError;
use indexer::ClockKind;

const NOON: i64 = 1_767_268_800_000;

struct Short;

impl Uris for Short {
    fn media_playlist(&self, out: &mut String, track: u8) {
        write!(out, "{track}.m3u8").unwrap();
    }

    fn init_segment(&self, out: &mut String, track: u8, init: InitRef) {
        write!(out, "{track}/{init}.mp4").unwrap();
    }

    fn media_segment(&self, out: &mut String, track: u8, number: FragmentNumber) {
        write!(out, "{track}/{}.m4s", number.to_u64() - NOON as u64).unwrap();
    }
}

fn video(start: i64, duration: u64) -> TrackMeta {
    TrackMeta {
        number: 1,
        codec: "h264".into(),
        codec_string: "avc1.64001f".into(),
        timescale: 90_000,
        start,
        duration,
        frames: 60,
        bytes: 250_000,
        width: 1280,
        height: 720,
        sample_rate: 0,
        channels: 0,
        init_id: 0xabc,
    }
}

fn audio(start: i64, frames: u32) -> TrackMeta {
    TrackMeta {
        number: 2,
        codec: "aac".into(),
        codec_string: "mp4a.40.2".into(),
        timescale: 48_000,
        start,
        duration: u64::from(frames) * 1024,
        frames,
        bytes: 32_000,
        width: 0,
        height: 0,
        sample_rate: 48_000,
        channels: 2,
        init_id: 0xdef,
    }
}

/// The `index`th two-second fragment of a run that began `run_ms` after noon.
fn fragment(run_ms: i64, index: i64) -> FragmentMeta {
    let at = Timestamp::from_millis(NOON + run_ms + index * 2000);
    FragmentMeta {
        number: FragmentNumber::at(at),
        producer_timestamp: at,
        server_timestamp: at + Duration::from_millis(40),
        duration_ms: 2000,
        size_bytes: 282_000,
        run_id: RunId(FragmentNumber::at(Timestamp::from_millis(NOON + run_ms))),
        run_origin: Timestamp::from_millis(NOON + run_ms),
        media_sequence: u64::try_from(index).unwrap(),
        discontinuity_sequence: 0,
        starts_with_key: true,
        clock_source: ClockSource::Server,
        clock_offset_ms: None,
        clock_drift_ppm: None,
        server_clock_synced: None,
        decodes_from: None,
        tracks: vec![video(index * 180_000, 180_000), audio(index * 96_256, 94)],
        tags: base::Tags::new(),
    }
}

fn playlist(fragments: &[FragmentMeta], complete: bool, mode: Discontinuities) -> MediaPlaylist {
    let segments: Vec<Segment> =
        fragments.iter().map(|meta| Segment::of(meta, 1, ClockKind::Producer)).collect();
    let segments = if complete { segments } else { fill_holes(&segments) };
    MediaPlaylist {
        track: 1,
        segments,
        extent: if complete { Extent::Complete } else { Extent::Sliding },
        target_secs: 2,
        discontinuities: mode,
        program_date_time: true,
    }
}

fn text(playlist: MediaPlaylist) -> String {
    playlist.pieces(Box::new(Short)).collect()
}

#[test]
fn a_closed_window_over_two_runs() {
    let mut second = fragment(60_000, 0);
    second.tracks[0].init_id = 0xdef;
    second.media_sequence = 9;
    second.discontinuity_sequence = 4;
    let mut first = fragment(0, 8);
    first.discontinuity_sequence = 3;
    let text = text(playlist(&[first, second], true, Discontinuities::OnDiscontinuity));
    let expected = "\
#EXTM3U
#EXT-X-VERSION:7
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-TARGETDURATION:2
#EXT-X-MEDIA-SEQUENCE:8
#EXT-X-DISCONTINUITY-SEQUENCE:3
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI=\"1/1767268800000-0000000000000abc.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T12:00:16.000Z
#EXTINF:2.000000,
1/16000.m4s
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI=\"1/1767268860000-0000000000000def.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T12:01:00.000Z
#EXTINF:2.000000,
1/60000.m4s
#EXT-X-ENDLIST
";
    assert_eq!(text, expected);
}

#[test]
fn a_live_playlist_fills_a_damaged_fragment_with_a_gap() {
    let text = text(playlist(&[fragment(0, 5), fragment(0, 7)], false, Discontinuities::OnDiscontinuity));
    let expected = "\
#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:2
#EXT-X-MEDIA-SEQUENCE:5
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI=\"1/1767268800000-0000000000000abc.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T12:00:10.000Z
#EXTINF:2.000000,
1/10000.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T12:00:12.000Z
#EXT-X-GAP
#EXTINF:2.000000,
1/10001.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T12:00:14.000Z
#EXTINF:2.000000,
1/14000.m4s
";
    assert_eq!(text, expected);
}

#[test]
fn discontinuity_modes_of_aws() {
    let fragments = [fragment(0, 5), fragment(0, 6), fragment(0, 7)];
    let always = text(playlist(&fragments, false, Discontinuities::Always));
    assert!(always.contains("#EXT-X-DISCONTINUITY-SEQUENCE:5\n"), "{always}");
    assert_eq!(always.matches("#EXT-X-DISCONTINUITY\n").count(), 2);
    let never = text(playlist(&[fragment(0, 5), fragment(60_000, 6)], false, Discontinuities::Never));
    assert_eq!(never.matches("#EXT-X-DISCONTINUITY\n").count(), 0);
    assert_eq!(never.matches("#EXT-X-MAP").count(), 1, "both runs share it");
}

#[test]
fn a_missing_track_is_a_gap_and_a_late_one_is_dated_later() {
    let mut fragment = fragment(0, 1);
    assert_eq!(Segment::of(&fragment, 2, ClockKind::Producer).at.millis(), NOON + 2005);
    assert_eq!(Segment::of(&fragment, 1, ClockKind::Server).at.millis(), NOON + 2040);
    fragment.tracks.pop();
    let segment = Segment::of(&fragment, 2, ClockKind::Producer);
    assert_eq!((segment.init(), segment.duration_us), (None, 2_000_000));
}

#[test]
fn a_source_without_key_frames_makes_no_promise() {
    let mut fragment = fragment(0, 1);
    fragment.starts_with_key = false;
    let text = text(playlist(&[fragment], false, Discontinuities::Never));
    assert!(!text.contains("INDEPENDENT"), "{text}");
}

#[test]
fn a_video_variant_with_its_audio() {
    let expected = "\
#EXTM3U
#EXT-X-VERSION:7
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"track 2\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"2\",URI=\"2.m3u8\"
#EXT-X-STREAM-INF:BANDWIDTH=1138778,AVERAGE-BANDWIDTH=1138778,CODECS=\"avc1.64001f,mp4a.40.2\",\
RESOLUTION=1280x720,FRAME-RATE=30.000,AUDIO=\"audio\"
1.m3u8
";
    let fragments = [fragment(0, 0), fragment(0, 1)];
    assert_eq!(multivariant(fragments.iter(), &Short).unwrap(), expected);
}

#[test]
fn one_kind_of_track_alone() {
    let (mut picture, mut sound) = (fragment(0, 0), fragment(0, 0));
    picture.tracks.remove(1);
    sound.tracks.remove(0);
    let picture = multivariant([picture].iter(), &Short).unwrap();
    assert!(!picture.contains("AUDIO") && picture.ends_with("\n1.m3u8\n"), "{picture}");
    let sound = multivariant([sound].iter(), &Short).unwrap();
    assert!(sound.contains("CODECS=\"mp4a.40.2\"\n2.m3u8\n") && !sound.contains("MEDIA"), "{sound}");
    let mut nothing = fragment(0, 0);
    nothing.tracks.clear();
    assert!(matches!(multivariant([nothing].iter(), &Short), Err(PlaybackError::NoFragments)));
}

#[test]
fn audio_that_is_not_played_is_left_out_by_name() {
    let mut odd = fragment(0, 0);
    odd.tracks[1].codec = "l16".into();
    odd.tracks[1].channels = 6;
    crate::playable(&odd).unwrap();
    let text = multivariant([odd.clone()].iter(), &Short).unwrap();
    assert!(
        text.contains("# left out: track 2 is l16: ") && text.contains("CODECS=\"avc1.64001f\""),
        "{text}"
    );
    assert!(!text.contains("2.m3u8"), "{text}");
    odd.tracks.remove(0);
    assert!(matches!(crate::playable(&odd), Err(PlaybackError::Unplayable { track: 2, .. })));
    assert!(matches!(multivariant([odd].iter(), &Short), Err(PlaybackError::Unplayable { track: 2, .. })));
}

#[test]
fn video_that_is_not_played_is_refused_by_name() {
    let mut jpeg = fragment(0, 0);
    jpeg.tracks[0].codec = "mjpeg".into();
    let refused = multivariant([jpeg.clone()].iter(), &Short).unwrap_err().to_string();
    assert!(refused.starts_with("track 1 is mjpeg: ") && refused.contains("H.264"), "{refused}");
    assert!(crate::playable(&jpeg).is_err());
    jpeg.tracks.push(TrackMeta { number: 3, ..video(0, 180_000) });
    crate::playable(&jpeg).unwrap();
    let text = multivariant([jpeg].iter(), &Short).unwrap();
    assert!(text.ends_with("\n3.m3u8\n"), "{text}");
}

#[cfg(feature = "gstreamer")]
#[test]
fn g711_is_announced_as_aac() {
    let mut camera = fragment(0, 1);
    let start = 16_000;
    camera.tracks[1] = TrackMeta {
        codec: "pcmu".into(),
        codec_string: "ulaw".into(),
        timescale: 8000,
        start,
        duration: 16_000,
        sample_rate: 8000,
        channels: 1,
        ..audio(0, 100)
    };
    let text = multivariant([camera.clone()].iter(), &Short).unwrap();
    assert!(text.contains("CODECS=\"avc1.64001f,mp4a.40.2\"") && !text.contains("left out"), "{text}");
    // Frames 14 to 29 of 1024 samples: the 16 whose last sample lies in the fragment.
    let segment = Segment::of(&camera, 2, ClockKind::Producer);
    assert_eq!(segment.duration_us, 16 * 128_000);
    assert_eq!(segment.at.millis(), NOON + 2000 - (start - 14 * 1024) / 8);
}

#[test]
fn an_init_reference_reads_back() {
    let init = InitRef { run: RunId(FragmentNumber::from_u64(17)), init_id: u64::MAX };
    assert_eq!(init.to_string().parse(), Ok(init));
    for bad in ["", "-", "1", "x-1", "1-x", "99999999999999999999-1"] {
        assert_eq!(bad.parse::<InitRef>(), Err(InitRefError), "{bad}");
    }
}

/// What a client derives from a playlist: (media sequence, discontinuity sequence, EXTINF text) by URI.
fn derived(text: &str) -> Vec<(String, u64, u64, String)> {
    let number = |line: &str| line.split(':').nth(1).unwrap().parse::<u64>().unwrap();
    let (mut sequence, mut discontinuity, mut extinf) = (0, 0, String::new());
    let mut out = Vec::new();
    for line in text.lines() {
        if line.starts_with("#EXT-X-MEDIA-SEQUENCE") {
            sequence = number(line);
        } else if line.starts_with("#EXT-X-DISCONTINUITY-SEQUENCE") {
            discontinuity = number(line);
        } else if line == "#EXT-X-DISCONTINUITY" {
            discontinuity += 1;
        } else if line.starts_with("#EXTINF") {
            extinf = line.to_owned();
        } else if !line.starts_with('#') {
            out.push((line.to_owned(), sequence, discontinuity, extinf.clone()));
            sequence += 1;
        }
    }
    out
}

prop_compose! {
    /// A stream's history: durations, new runs, fragments that were lost.
    fn history()(steps in prop::collection::vec((1u64..400_000, 0u8..10), 2..60)) -> Vec<FragmentMeta> {
        let (mut run_ms, mut start, mut discontinuity) = (0, 0, 0);
        let mut out = Vec::new();
        for (index, (duration, chance)) in steps.into_iter().enumerate() {
            if chance == 0 {
                run_ms += start / 90 + 5000;
                (start, discontinuity) = (0, discontinuity + 1);
            }
            let mut one = fragment(run_ms, 0);
            one.number = FragmentNumber::from_u64(NOON as u64 + 1000 * index as u64);
            one.producer_timestamp = Timestamp::from_millis(NOON + run_ms + start / 90);
            one.media_sequence = index as u64;
            one.discontinuity_sequence = discontinuity;
            one.tracks = vec![video(start, duration)];
            start += i64::try_from(duration).unwrap();
            if chance != 1 {
                out.push(one);
            }
        }
        out
    }
}

proptest! {
    #[test]
    fn sums_of_extinf_do_not_drift(
        timescale in prop::sample::select(vec![1u32, 1000, 8000, 44_100, 48_000, 90_000, 600_000]),
        durations in prop::collection::vec(0u64..10_000_000, 1..200),
        origin in -1_000_000i64..1_000_000_000,
    ) {
        let mut start = origin;
        let mut sum_us = 0u64;
        for duration in &durations {
            let mut meta = fragment(0, 0);
            meta.tracks = vec![TrackMeta { timescale, ..video(start, *duration) }];
            sum_us += Segment::of(&meta, 1, ClockKind::Producer).duration_us;
            start += i64::try_from(*duration).unwrap();
        }
        let exact = durations.iter().sum::<u64>() as f64 * 1e6 / f64::from(timescale);
        prop_assert!((sum_us as f64 - exact).abs() <= 1.0 + exact * 1e-12, "{sum_us} against {exact}");
    }

    #[test]
    fn a_segment_keeps_its_numbers_and_duration_while_the_window_slides(
        history in history(),
        window in 1usize..8,
    ) {
        let mode = Discontinuities::OnDiscontinuity;
        let mut known: std::collections::HashMap<String, (u64, u64, String)> = Default::default();
        for end in 1..=history.len() {
            let shown = &history[end.saturating_sub(window)..end];
            for (uri, sequence, discontinuity, extinf) in derived(&text(playlist(shown, false, mode))) {
                let now = (sequence, discontinuity, extinf);
                let before = known.entry(uri).or_insert_with(|| now.clone());
                prop_assert_eq!(&*before, &now);
            }
        }
        for one in &history {
            let uri = format!("1/{}.m4s", one.number.to_u64() - NOON as u64);
            let (sequence, discontinuity, _) = &known[&uri];
            prop_assert_eq!((*sequence, *discontinuity), (one.media_sequence, one.discontinuity_sequence));
        }
    }

    #[test]
    fn any_init_reference_parses_or_is_refused(text in ".{0,40}") {
        let _ = text.parse::<InitRef>();
    }
}
