//! Real encoders in, real players out: what ffmpeg and MKVToolNix say of everything written here.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod recording;

use std::ops::Range;
use std::process::Command;
use std::sync::Arc;

use base::{ClockSource, FragmentMeta, FragmentNumber, RunId, Tags};
use bytes::Bytes;
use media::clip::{ClipLayout, cut};
use media::fmp4::{self, Part};
use media::mkv::{self, StoredFragment};
use media::{Frame, Track};
use recording::{ORIGIN, Recording, Source, assert_clean, pictures, run, text};

const B_FRAMES: [&str; 4] = ["-c:v", "libx264", "-bf", "3"];
const OPEN_GOP: [&str; 4] = ["-c:v", "libx265", "-x265-params", "log-level=none:open-gop=1:bframes=4"];
const BASELINE: [&str; 4] = ["-c:v", "libx264", "-profile:v", "baseline"];

fn meta(index: usize, tracks: &[Arc<Track>], frames: &[Frame], origin_shift_ms: u64) -> FragmentMeta {
    let number = FragmentNumber::at(ORIGIN + std::time::Duration::from_millis(1000 * index as u64));
    let start = |number| frames.iter().find(|frame| frame.track == number).map_or(0, |frame| frame.dts);
    FragmentMeta {
        number,
        producer_timestamp: ORIGIN,
        server_timestamp: number.server_timestamp(),
        duration_ms: 1000,
        size_bytes: 0,
        run_id: RunId(FragmentNumber::from_u64(origin_shift_ms)),
        run_origin: ORIGIN + std::time::Duration::from_millis(origin_shift_ms),
        media_sequence: index as u64,
        discontinuity_sequence: 0,
        starts_with_key: true,
        clock_source: ClockSource::Server,
        clock_offset_ms: None,
        clock_drift_ppm: None,
        server_clock_synced: None,
        decodes_from: None,
        tracks: tracks.iter().map(|track| track.meta(start(track.number), frames)).collect(),
        tags: Tags::new(),
    }
}

fn metas(recording: &Recording, run: u64) -> Vec<FragmentMeta> {
    let fragments = recording.fragments.iter().enumerate();
    fragments.map(|(i, frames)| meta(i, &recording.tracks, frames, run)).collect()
}

fn stored(recording: &Recording, index: usize) -> StoredFragment {
    StoredFragment { tracks: recording.tracks.clone(), frames: recording.fragments[index].clone() }
}

/// Stored files, delivered files and delivered files in a row: no complaint, and the same pictures.
fn check_matroska(source: &Source, recording: &Recording) {
    let mut delivered = Vec::new();
    for (i, meta) in metas(recording, 0).iter().enumerate() {
        let pieces = mkv::write_fragment(&recording.tracks, &recording.fragments[i], ORIGIN);
        let file: Bytes = pieces.concat().into();
        assert_eq!(mkv::read_fragment(&file).unwrap(), stored(recording, i));
        let path = source.write(&format!("{i}.mkv"), &pieces);
        assert_clean(&path);
        let info = text(&run(Command::new("mkvinfo").arg("-a").arg(&path))).to_lowercase();
        for complaint in ["warning", "error", "unknown element", "(void"] {
            assert!(!info.contains(complaint), "mkvinfo: {info}");
        }
        let pieces = mkv::delivery(&file, meta, 0).unwrap();
        if i == 0 {
            assert_clean(&source.write("first.mkv", &pieces));
        }
        delivered.extend(pieces);
    }
    // ffmpeg reads files in a row as well, but wonders at every further one.
    let path = source.write("delivered.mkv", &delivered);
    let probed = run(Command::new("ffprobe").args(["-v", "warning"]).arg(&path));
    let complaints = String::from_utf8(probed.stderr).unwrap();
    let expected = "Found unknown-length element with ID 0x18538067";
    assert!(complaints.lines().all(|line| line.contains(expected)), "ffprobe: {complaints}");
    assert_eq!(pictures(&path), source.pictures());
}

/// Init and media segments of all tracks together, and of each alone.
fn check_segments(source: &Source, recording: &Recording) {
    let all: Vec<_> = recording.tracks.iter().collect();
    for (name, tracks) in [("all.mp4", &all[..]), ("video.mp4", &all[..1]), ("audio.mp4", &all[1..])] {
        let init: Vec<&Track> = tracks.iter().map(|track| &***track).collect();
        let mut file = vec![fmp4::init_segment(&init).unwrap()];
        for (i, meta) in metas(recording, 0).iter().enumerate() {
            let fragment = stored(recording, i);
            let frames: Vec<_> = tracks.iter().map(|track| fragment.frames_of(track.number)).collect();
            let part = |(track, frames)| {
                let track: &Track = track;
                let meta = meta.tracks.iter().find(|meta| meta.number == track.number).unwrap();
                let base_decode_time = fmp4::base_decode_time(ORIGIN, track.timescale, meta.start);
                Part { track, base_decode_time, frames }
            };
            let parts: Vec<_> =
                init.iter().copied().zip(frames.iter().map(|frames| &frames[..])).map(part).collect();
            let segment = fmp4::media_segment(i as u32 + 1, &parts).unwrap();
            let counts = |part: &Part<'_>| {
                (part.frames.len() as u32, part.frames.iter().map(|frame| frame.data.len() as u64).sum())
            };
            let foreseen = fmp4::media_segment_size(&parts.iter().map(counts).collect::<Vec<_>>());
            assert_eq!(segment.concat().len() as u64, foreseen);
            file.extend(segment);
        }
        let path = source.write(name, &file);
        assert_clean(&path);
        if name != "audio.mp4" {
            assert_eq!(pictures(&path), source.pictures());
        }
    }
}

/// The clip's bytes in a range, as a server answers.
fn range(layout: &ClipLayout, recording: &Recording, range: Range<u64>) -> Vec<Bytes> {
    let mut pieces = cut(vec![layout.head().clone()], 0, &range);
    for index in layout.locate(&range) {
        let bytes = layout.fragment_bytes(index, &stored(recording, index)).unwrap();
        pieces.extend(cut(bytes, layout.span(index).start, &range));
    }
    pieces
}

fn check_clip(source: &Source, recording: &Recording) {
    let layout = ClipLayout::new(&recording.tracks, &metas(recording, 0)).unwrap();
    let whole = range(&layout, recording, 0..layout.total_bytes());
    let bytes = whole.concat();
    assert_eq!(bytes.len() as u64, layout.total_bytes());
    for (from, to) in
        [(0, 10), (5, 5), (100, 20_000), (layout.head().len(), bytes.len()), (bytes.len() - 1, bytes.len())]
    {
        assert_eq!(range(&layout, recording, from as u64..to as u64).concat(), bytes[from..to]);
    }
    let path = source.write("clip.mp4", &whole);
    assert_clean(&path);
    assert_eq!(pictures(&path), source.pictures());
    let mut probe = Command::new("ffprobe");
    probe.args(["-v", "error", "-show_entries", "format=start_time,duration", "-of", "csv=p=0"]);
    let times = text(&run(probe.arg(&path)));
    let times: Vec<f64> = times.trim().split(',').map(|time| time.parse().unwrap()).collect();
    assert!(times[0] < 0.1 && (2.9..3.2).contains(&times[1]), "start and duration: {times:?}");
}

fn check(encoder: &[&str], encoding: &str, codec_string: &str) {
    let source = Source::encode(encoder);
    let recording = source.record(encoding);
    let video = &recording.tracks[0];
    assert_eq!((video.codec_string.as_str(), video.width, video.height), (codec_string, 322, 242));
    assert_eq!((video.frame_rate, recording.fragments.len()), (Some(25.0), 3));
    check_matroska(&source, &recording);
    check_segments(&source, &recording);
    check_clip(&source, &recording);
}

#[test]
fn h264_with_b_frames_and_aac() {
    check(&B_FRAMES, "H264", "avc1.64000d");
}

#[test]
fn h265_with_open_groups_of_pictures_and_aac() {
    check(&OPEN_GOP, "H265", "hvc1.1.6.L60.90");
}

/// Another codec configuration and another clock: the clip has both sample entries and no gap.
#[test]
fn a_clip_across_a_change_of_codec_data() {
    let (first, second) = (Source::encode(&B_FRAMES), Source::encode(&BASELINE));
    let recordings = [first.record("H264"), second.record("H264")];
    let mut plan = metas(&recordings[0], 0);
    plan.extend(metas(&recordings[1], 3_600_000));
    let tracks: Vec<_> = recordings.iter().flat_map(|recording| recording.tracks.clone()).collect();
    let layout = ClipLayout::new(&tracks, &plan).unwrap();
    let mut file = vec![layout.head().clone()];
    for i in 0..plan.len() {
        file.extend(layout.fragment_bytes(i, &stored(&recordings[i / 3], i % 3)).unwrap());
    }
    let wrong = layout.fragment_bytes(0, &stored(&recordings[1], 0));
    assert!(matches!(wrong, Err(media::MediaError::Mismatch { .. })));
    let path = first.write("clip.mp4", &file);
    assert_eq!(pictures(&path), [first.pictures(), second.pictures()].concat());
}

/// Another MP4 reader than ffmpeg's finds the tracks, the segments and the samples' sizes. (It takes
/// the offsets of samples in segments for zero, so their bytes are left to ffmpeg.)
#[test]
fn the_mp4_crate_reads_the_clip_back() {
    let source = Source::encode(&B_FRAMES);
    let recording = source.record("H264");
    let layout = ClipLayout::new(&recording.tracks, &metas(&recording, 0)).unwrap();
    let bytes = range(&layout, &recording, 0..layout.total_bytes()).concat();
    let size = bytes.len() as u64;
    let reader = mp4::Mp4Reader::read_header(std::io::Cursor::new(bytes), size).unwrap();
    let video = &reader.tracks()[&1];
    assert_eq!((video.width(), video.height(), video.timescale()), (322, 242, 90_000));
    assert_eq!((video.sequence_parameter_set().is_ok(), video.sample_count()), (true, 75));
    let sound = &reader.tracks()[&2];
    assert_eq!((sound.timescale(), sound.sample_freq_index().unwrap().freq()), (48_000, 48_000));
    assert_eq!(reader.moofs.len(), recording.fragments.len());
    for (moof, fragment) in reader.moofs.iter().zip(&recording.fragments) {
        for traf in &moof.trafs {
            let frames = fragment.iter().filter(|frame| u32::from(frame.track) == traf.tfhd.track_id);
            let frames: Vec<_> = frames.collect();
            assert_eq!(traf.tfdt.as_ref().unwrap().base_media_decode_time, frames[0].dts.unsigned_abs());
            let sizes: Vec<_> = frames.iter().map(|frame| frame.data.len() as u32).collect();
            assert_eq!(traf.trun.as_ref().unwrap().sample_sizes, sizes);
        }
    }
}
