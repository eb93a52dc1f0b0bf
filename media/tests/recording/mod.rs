//! Real media: made by ffmpeg, sent through RTP packets made here, cut into fragments.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use base::{Limits, Timestamp};
use bytes::Bytes;
use media::rtp::{AccessUnit, Depayloader, Format, Packet};
use media::{DecodeOrder, Frame, Track, Unwrapper};

pub const ORIGIN: Timestamp = Timestamp::from_millis(1_763_880_000_000);

/// A file that ffmpeg encoded, and the folder it lies in.
pub struct Source {
    folder: tempfile::TempDir,
    pub file: PathBuf,
}

/// A recording as ingest makes it: tracks and fragments cut at key frames.
pub struct Recording {
    pub tracks: Vec<Arc<Track>>,
    pub fragments: Vec<Vec<Frame>>,
}

/// Runs a program that must succeed.
pub fn run(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

pub fn ffmpeg() -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-xerror", "-y"]);
    command
}

/// What a program prints that is to be text.
pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

impl Source {
    /// Three seconds of a moving test picture with sound, a key picture a second.
    pub fn encode(video: &[&str]) -> Self {
        Self::encode_as("mp4", 48_000, &[video, &["-c:a", "aac"]].concat())
    }

    /// The same in other codecs, with sound of `rate` samples a second.
    pub fn encode_as(extension: &str, rate: u32, codecs: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(format!("source.{extension}"));
        let sine = format!("sine=r={rate}:d=3");
        let inputs = ["-f", "lavfi", "-i", "testsrc2=s=322x242:r=25:d=3", "-f", "lavfi", "-i", &sine];
        let mut command = ffmpeg();
        command.args(inputs).args(["-pix_fmt", "yuv420p", "-g", "25", "-video_track_timescale", "90000"]);
        run(command.args(codecs).arg(&file));
        Self { folder, file }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, pieces: &[Bytes]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, pieces.concat()).unwrap();
        path
    }

    /// The file's pictures as they come out of a decoder.
    pub fn pictures(&self) -> Vec<String> {
        pictures(&self.file)
    }

    /// Presentation times of the packets of a stream, in decoding order, in its ticks.
    fn times(&self, stream: &str) -> Vec<i64> {
        let mut probe = Command::new("ffprobe");
        probe.args([
            "-v",
            "error",
            "-select_streams",
            stream,
            "-show_entries",
            "packet=pts",
            "-of",
            "csv=p=0",
        ]);
        let output = text(&run(probe.arg(&self.file)));
        output.lines().map(|line| line.trim_end_matches(',').parse().unwrap()).collect()
    }

    /// The video's access units, each a list of NAL units.
    fn access_units(&self, encoding: &str) -> Vec<Vec<Vec<u8>>> {
        let (filter, muxer, delimiter) = match encoding {
            "H264" => ("h264_mp4toannexb,h264_metadata=aud=insert", "h264", 0x09),
            _ => ("hevc_mp4toannexb,hevc_metadata=aud=insert", "hevc", 0x46),
        };
        let copy = ["-c", "copy", "-bsf:v", filter, "-f", muxer, "-"];
        let stream = run(ffmpeg().arg("-i").arg(&self.file).arg("-an").args(copy)).stdout;
        let mut units: Vec<Vec<Vec<u8>>> = Vec::new();
        for nal in nal_units(&stream) {
            if nal[0] == delimiter {
                units.push(Vec::new());
            }
            units.last_mut().expect("the stream begins with a delimiter").push(nal);
        }
        units
    }

    /// The raw AAC frames.
    fn audio(&self) -> Vec<Vec<u8>> {
        let adts =
            run(ffmpeg().arg("-i").arg(&self.file).args(["-vn", "-c", "copy", "-f", "adts", "-"])).stdout;
        let (mut rest, mut frames) = (&adts[..], Vec::new());
        while rest.len() > 7 {
            let length =
                usize::from(rest[3] & 3) << 11 | usize::from(rest[4]) << 3 | usize::from(rest[5]) >> 5;
            frames.push(rest[7..length].to_vec());
            rest = &rest[length..];
        }
        frames
    }

    /// The whole way from RTP packets to fragments.
    pub fn record(&self, encoding: &str) -> Recording {
        let pictures = self.access_units(encoding);
        let times = self.times("v");
        assert_eq!(pictures.len(), times.len());
        let mut video = Sender::new(1, encoding, 90_000, "");
        for (nals, time) in pictures.iter().zip(times) {
            video.picture(nals, u32::try_from(time + 1000).unwrap().wrapping_sub(5000), encoding);
        }
        let mut audio = Sender::new(2, "MPEG4-GENERIC", 48_000, "mode=AAC-hbr; config=1188");
        for (i, frames) in self.audio().chunks(3).enumerate() {
            audio.sound(frames, u32::try_from(i * 3 * 1024).unwrap());
        }
        let (video_track, video) = video.frames();
        let (audio_track, audio) = audio.frames();
        Recording { tracks: vec![video_track, audio_track], fragments: cut(video, audio, 48_000) }
    }
}

/// Pictures of a file as they come out of a decoder: their checksums, in the order they are shown.
pub fn pictures(file: &Path) -> Vec<String> {
    let decode = ["-map", "0:v", "-fps_mode", "passthrough", "-copyts", "-f", "framemd5", "-"];
    let output = run(ffmpeg().arg("-i").arg(file).args(decode)).stdout;
    let output = String::from_utf8(output).unwrap();
    output
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.rsplit(',').next().unwrap().trim().to_owned())
        .collect()
}

/// Every player's complaint about a file: there must be none.
pub fn assert_clean(file: &Path) {
    let probed = run(Command::new("ffprobe").args(["-v", "warning", "-show_packets"]).arg(file));
    assert_eq!(String::from_utf8_lossy(&probed.stderr), "", "ffprobe of {}", file.display());
    let decoded = run(ffmpeg().arg("-i").arg(file).args(["-f", "null", "-"]));
    assert_eq!(text(&decoded), "", "ffmpeg of {}", file.display());
}

fn nal_units(annex_b: &[u8]) -> Vec<Vec<u8>> {
    let starts: Vec<usize> =
        (0..annex_b.len().saturating_sub(2)).filter(|at| annex_b[*at..].starts_with(&[0, 0, 1])).collect();
    let ends = starts.iter().skip(1).copied().chain([annex_b.len()]);
    let nal = |(start, end): (&usize, usize)| {
        let nal = &annex_b[start + 3..end];
        nal[..nal.iter().rposition(|byte| *byte != 0).unwrap() + 1].to_vec()
    };
    starts.iter().zip(ends).map(nal).collect()
}

/// One track on its way through RTP.
pub struct Sender {
    depayloader: Depayloader,
    units: Vec<AccessUnit>,
}

pub const PACKET_BYTES: usize = 1200;

impl Sender {
    pub fn new(number: u8, encoding: &str, clock_rate: u32, fmtp: &str) -> Self {
        let format = Format { encoding: encoding.into(), clock_rate, channels: 1, fmtp: fmtp.into() };
        Self {
            depayloader: Depayloader::new(number, &format, &Limits::default()).unwrap(),
            units: Vec::new(),
        }
    }

    pub fn send(&mut self, timestamp: u32, marker: bool, payload: Vec<u8>) {
        let packet =
            Packet { payload_type: 96, marker, sequence: 0, timestamp, ssrc: 0, payload: payload.into() };
        self.depayloader.push(&packet, 0, &mut self.units).unwrap();
    }

    /// Small NAL units as they are, large ones in fragments.
    fn picture(&mut self, nals: &[Vec<u8>], timestamp: u32, encoding: &str) {
        for (i, nal) in nals.iter().enumerate() {
            let last = i + 1 == nals.len();
            if nal.len() <= PACKET_BYTES {
                self.send(timestamp, last, nal.clone());
                continue;
            }
            let header = if encoding == "H264" { 1 } else { 2 };
            let chunks: Vec<_> = nal[header..].chunks(PACKET_BYTES).collect();
            for (j, chunk) in chunks.iter().enumerate() {
                let flags = if j == 0 { 0x80 } else { 0 } | if j + 1 == chunks.len() { 0x40 } else { 0 };
                let headers = match encoding {
                    "H264" => vec![nal[0] & 0xe0 | 28, flags | nal[0] & 0x1f],
                    _ => vec![nal[0] & 0x81 | 49 << 1, nal[1], flags | nal[0] >> 1 & 0x3f],
                };
                self.send(timestamp, last && j + 1 == chunks.len(), [&headers, *chunk].concat());
            }
        }
    }

    /// Several frames behind their AU headers.
    fn sound(&mut self, frames: &[Vec<u8>], timestamp: u32) {
        let mut payload = u16::try_from(frames.len() * 16).unwrap().to_be_bytes().to_vec();
        for frame in frames {
            payload.extend(u16::try_from(frame.len() << 3).unwrap().to_be_bytes());
        }
        payload.extend(frames.concat());
        self.send(timestamp, true, payload);
    }

    /// The track and its frames with all their times.
    pub fn frames(mut self) -> (Arc<Track>, Vec<Frame>) {
        self.depayloader.finish(&mut self.units);
        let track = self.depayloader.track().unwrap().clone();
        let mut unwrapper = Unwrapper::new(track.timescale, track.is_video());
        let (mut order, mut frames) = (DecodeOrder::new(track.number, track.reorder_depth), Vec::new());
        for unit in self.units {
            assert!(!unit.damaged);
            let time = unwrapper.unwrap(unit.rtp_timestamp);
            assert_eq!(time.jump, None);
            order.push(time.ticks, unit.key, unit.data, &mut frames);
        }
        order.finish(&mut frames);
        (track, frames)
    }
}

/// Fragments of half a second at least that begin at key pictures, the sound of the same time with them.
pub fn cut(video: Vec<Frame>, audio: Vec<Frame>, audio_rate: u32) -> Vec<Vec<Frame>> {
    let mut fragments: BTreeMap<i64, Vec<Frame>> = BTreeMap::new();
    for frame in video {
        let due = fragments.last_key_value().is_none_or(|(begun, _)| frame.dts - begun >= 45_000);
        if frame.key && due {
            fragments.insert(frame.dts, Vec::new());
        }
        fragments.last_entry().expect("the first picture is key").get_mut().push(frame);
    }
    for frame in audio {
        let time = frame.dts * 90_000 / i64::from(audio_rate);
        fragments.range_mut(..=time).next_back().expect("starts at zero").1.push(frame);
    }
    fragments.into_values().collect()
}
