//! AV1, VP9, Motion JPEG, Opus, G.711 and L16: real encoders in, and what ffmpeg says of what is written.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod packets;
#[expect(dead_code, reason = "the NAL units and AAC of the other tests")]
mod recording;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use base::{ClockSource, FragmentMeta, FragmentNumber, RunId, Tags};
use bytes::Bytes;
use media::clip::ClipLayout;
use media::fmp4::{self, Part};
use media::mkv::{self, StoredFragment};
use media::{CodecId, Frame, MediaError, Track};
use recording::{ORIGIN, Recording, Source, assert_clean, ffmpeg, pictures, run, text};

/// Real media and what became of it.
struct Case {
    source: Source,
    recording: Recording,
}

impl Case {
    /// Three seconds of picture and sound, a key picture a second.
    fn new(extension: &str, video: &[&str], encodings: [&str; 2], rate: u32, audio: &[&str]) -> Self {
        let source = Source::encode_as(extension, rate, &[video, audio].concat());
        let recording = packets::record(&source, encodings, rate);
        Self { source, recording }
    }

    fn tracks(&self) -> &[Arc<Track>] {
        &self.recording.tracks
    }

    fn metas(&self) -> Vec<FragmentMeta> {
        let fragments = self.recording.fragments.iter().enumerate();
        fragments.map(|(index, frames)| meta(index, self.tracks(), frames)).collect()
    }

    /// Stored, read back, delivered: the same pictures and the same sound.
    fn check_matroska(&self) {
        let mut delivered = Vec::new();
        for (frames, meta) in self.recording.fragments.iter().zip(self.metas()) {
            let pieces = mkv::write_fragment(self.tracks(), frames, ORIGIN);
            let file: Bytes = pieces.concat().into();
            let stored = StoredFragment { tracks: self.tracks().to_vec(), frames: frames.clone() };
            assert_eq!(mkv::read_fragment(&file).unwrap(), stored);
            let path = self.source.write("stored.mkv", &pieces);
            assert_clean(&path);
            let info = text(&run(Command::new("mkvinfo").arg("-a").arg(&path))).to_lowercase();
            assert!(!info.contains("warning") && !info.contains("unknown element"), "mkvinfo: {info}");
            delivered.extend(mkv::delivery(&file, &meta, 0).unwrap());
        }
        let path = self.source.write("delivered.mkv", &delivered);
        assert_eq!(pictures(&path), self.source.pictures());
        assert_eq!(sound(&path), sound(&self.source.file));
    }

    /// Init and media segments of these tracks.
    fn segments(&self, numbers: &[u8]) -> Result<Vec<Bytes>, MediaError> {
        let tracks: Vec<&Track> = self
            .tracks()
            .iter()
            .filter(|track| numbers.contains(&track.number))
            .map(|track| &**track)
            .collect();
        let mut file = vec![fmp4::init_segment(&tracks)?];
        for (index, meta) in self.metas().iter().enumerate() {
            let frames: Vec<Vec<Frame>> =
                tracks.iter().map(|track| self.frames_of(index, track.number)).collect();
            let parts = tracks.iter().zip(&frames).zip(&meta.tracks).map(|((track, frames), meta)| Part {
                track,
                base_decode_time: fmp4::base_decode_time(ORIGIN, track.timescale, meta.start),
                frames,
            });
            file.extend(fmp4::media_segment(index as u32 + 1, &parts.collect::<Vec<_>>())?);
        }
        Ok(file)
    }

    fn frames_of(&self, index: usize, number: u8) -> Vec<Frame> {
        self.recording.fragments[index].iter().filter(|frame| frame.track == number).cloned().collect()
    }

    fn check_mp4(&self) {
        let path = self.source.write("segments.mp4", &self.segments(&[1, 2]).unwrap());
        assert_clean(&path);
        assert_eq!(pictures(&path), self.source.pictures());
        let layout = ClipLayout::new(self.tracks(), &self.metas()).unwrap();
        let mut clip = vec![layout.head().clone()];
        for (index, frames) in self.recording.fragments.iter().enumerate() {
            let stored = StoredFragment { tracks: self.tracks().to_vec(), frames: frames.clone() };
            clip.extend(layout.fragment_bytes(index, &stored).unwrap());
        }
        assert_eq!(clip.concat().len() as u64, layout.total_bytes());
        let path = self.source.write("clip.mp4", &clip);
        assert_clean(&path);
        assert_eq!(pictures(&path), self.source.pictures());
        assert_eq!(sound(&path), sound(&self.source.file));
    }

    fn check_not_in_mp4(&self, codec: CodecId) {
        let number = self.tracks().iter().find(|track| track.codec == codec).unwrap().number;
        assert_eq!(self.segments(&[number]).unwrap_err(), MediaError::NotInMp4 { codec });
    }
}

fn meta(index: usize, tracks: &[Arc<Track>], frames: &[Frame]) -> FragmentMeta {
    let number = FragmentNumber::at(ORIGIN + std::time::Duration::from_millis(1000 * index as u64));
    let start = |number| frames.iter().find(|frame| frame.track == number).map_or(0, |frame| frame.dts);
    FragmentMeta {
        number,
        producer_timestamp: ORIGIN,
        server_timestamp: number.server_timestamp(),
        duration_ms: 1000,
        size_bytes: 0,
        run_id: RunId(FragmentNumber::MIN),
        run_origin: ORIGIN,
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

/// Checksum of a file's coded sound.
fn sound(file: &Path) -> String {
    let copy = ["-map", "0:a", "-c", "copy", "-f", "md5", "-"];
    String::from_utf8(run(ffmpeg().arg("-i").arg(file).args(copy)).stdout).unwrap()
}

const AV1: [&str; 8] = ["-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-keyint_min", "25"];
const VP9: [&str; 6] = ["-c:v", "libvpx-vp9", "-deadline", "good", "-cpu-used", "5"];
const MJPEG: [&str; 8] = ["-c:v", "mjpeg", "-huffman", "default", "-pix_fmt", "yuvj420p", "-s", "320x240"];

#[test]
fn av1_and_opus() {
    let case = Case::new("mp4", &AV1, ["AV1", "OPUS"], 48_000, &["-c:a", "libopus"]);
    let [video, audio] = case.tracks() else { panic!() };
    assert_eq!((video.codec_string.as_str(), video.width, video.height), ("av01.0.00M.08", 322, 242));
    assert_eq!((audio.codec_string.as_str(), audio.sample_rate), ("opus", 48_000));
    case.check_matroska();
    case.check_mp4();
}

#[test]
fn vp9_and_opus() {
    let case = Case::new("mp4", &VP9, ["VP9", "OPUS"], 48_000, &["-c:a", "libopus"]);
    let [video, _] = case.tracks() else { panic!() };
    assert_eq!((video.codec_string.as_str(), video.width, video.height), ("vp09.00.20.08", 322, 242));
    case.check_matroska();
    case.check_mp4();
}

#[test]
fn motion_jpeg_and_g711() {
    for (encoding, codec, encoder) in
        [("PCMU", CodecId::Pcmu, "pcm_mulaw"), ("PCMA", CodecId::Pcma, "pcm_alaw")]
    {
        let case = Case::new("mov", &MJPEG, ["JPEG", encoding], 8000, &["-c:a", encoder]);
        let [video, audio] = case.tracks() else { panic!() };
        assert_eq!((video.codec_string.as_str(), video.width, video.height), ("mp4v.6C", 320, 240));
        assert_eq!((audio.sample_rate, audio.channels), (8000, 1));
        case.check_matroska();
        case.check_not_in_mp4(CodecId::Mjpeg);
        case.check_not_in_mp4(codec);
    }
}

#[test]
fn motion_jpeg_and_plain_samples() {
    let case = Case::new("mov", &MJPEG, ["JPEG", "L16"], 44_100, &["-c:a", "pcm_s16be"]);
    assert_eq!(case.tracks()[1].codec_string, "twos");
    case.check_matroska();
    case.check_not_in_mp4(CodecId::L16);
}
