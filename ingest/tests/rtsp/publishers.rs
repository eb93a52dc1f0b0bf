//! What real publishers push arrives whole.

use std::process::{Output, Stdio};
use std::time::Duration;

use media::mkv::read_fragment;
use tokio::process::Command;

use crate::hall::{Hall, Stored};

const SECONDS: u32 = 5;
const FRAME_RATE: u32 = 15;

/// Pictures and a tone for [`SECONDS`], in `codec` with a key frame every second, and AAC.
fn ffmpeg(codec: &[&str], output: &[&str]) -> Command {
    ffmpeg_with(codec, &["-c:a", "aac"], output)
}

/// The same with another tone.
fn ffmpeg_with(codec: &[&str], audio: &[&str], output: &[&str]) -> Command {
    let size = format!("testsrc2=size=320x240:rate={FRAME_RATE}");
    let mut command = Command::new("ffmpeg");
    command.args([
        "-v",
        "error",
        "-re",
        "-f",
        "lavfi",
        "-i",
        &size,
        "-f",
        "lavfi",
        "-i",
        "sine=sample_rate=48000",
    ]);
    command.args(["-g", "15", "-pix_fmt", "yuv420p", "-t", &SECONDS.to_string()]).args(codec).args(audio);
    command.args(["-f", "rtsp"]).args(output).kill_on_drop(true);
    command
}

const H264: &[&str] = &["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency"];
const H264_B_FRAMES: &[&str] = &["-c:v", "libx264", "-preset", "veryfast", "-bf", "2"];
const H265: &[&str] =
    &["-c:v", "libx265", "-preset", "ultrafast", "-tune", "zerolatency", "-x265-params", "log-level=none"];

/// Pictures and a tone by GStreamer, without end.
fn gstreamer(location: &str, settings: &str) -> Command {
    let pipeline = format!(
        "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate={FRAME_RATE}/1 \
         ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! h264parse ! sink.sink_0 \
         audiotestsrc is-live=true ! audio/x-raw,rate=48000,channels=1 \
         ! audioconvert ! avenc_aac ! aacparse ! sink.sink_1 \
         rtspclientsink name=sink location={location} {settings}",
    );
    let mut command = Command::new("gst-launch-1.0");
    command.arg("-q").args(pipeline.split_whitespace()).kill_on_drop(true);
    command
}

async fn run(mut command: Command) -> Output {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, command.output()).await.expect("the publisher ends").unwrap()
}

fn ok(output: &Output) {
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", said(&output.stdout), said(&output.stderr));
}

/// The frames of each codec over all fragments, with their times in milliseconds.
async fn frames(hall: &Hall, fragments: &[Stored], codec: &str) -> Vec<(i64, bool)> {
    let mut found = Vec::new();
    for stored in fragments {
        let fragment = read_fragment(&hall.log.read_all(&stored.pieces).await.unwrap()).unwrap();
        for frame in &fragment.frames {
            let track = fragment.tracks.iter().find(|track| track.number == frame.track).unwrap();
            if track.codec.name() == codec {
                found.push((frame.pts * 1000 / i64::from(track.timescale), frame.key));
            }
        }
    }
    found
}

/// Whether what was pushed for `seconds` at least is there: every picture at its time, and its sound.
async fn check(hall: &Hall, stream: &str, codec: &str, seconds: u32) {
    let health = hall.ended(stream).await;
    let fragments = hall.fragments(stream);
    assert!(fragments.len() >= 2, "{} fragments", fragments.len());
    assert!(fragments.iter().all(|stored| stored.meta.starts_with_key));
    assert!(fragments.iter().all(|stored| stored.meta.run_id == fragments[0].meta.run_id), "one run");

    let mut pictures = frames(hall, &fragments, codec).await;
    let expected = seconds * FRAME_RATE;
    assert!(pictures.len() as u32 >= expected, "{} of {expected} pictures", pictures.len());
    assert!(pictures[0].1, "begins with a key frame");
    pictures.sort_unstable();
    for two in pictures.windows(2) {
        let step = two[1].0 - two[0].0;
        assert!((66..=67).contains(&step), "pictures are {step} ms apart at {}", two[0].0);
    }
    if fragments[0].meta.tracks.iter().any(|track| track.codec == "aac") {
        let sounds = frames(hall, &fragments, "aac").await;
        let expected = seconds * 48_000 / 1024;
        assert!(sounds.len() as u32 + 12 >= expected, "{} of {expected} sounds", sounds.len());
    }
    assert_eq!(health.packets_lost, 0);
    assert_eq!(health.frames_damaged, 0);
}

struct Case {
    stream: &'static str,
    codec: &'static str,
    secure: bool,
}

impl Case {
    async fn url(&self, hall: &Hall) -> String {
        let device = hall.device(self.stream, "publish,create").await;
        let (scheme, at) = if self.secure { ("rtsps", hall.rtsps) } else { ("rtsp", hall.rtsp) };
        format!("{scheme}://{}:{}@{at}/{}", device.username, device.password.expose(), self.stream)
    }
}

async fn push_with_ffmpeg(case: Case, codec: &[&str], transport: &str) {
    let hall = Hall::open().await;
    let url = case.url(&hall).await;
    ok(&run(ffmpeg(codec, &["-rtsp_transport", transport, &url])).await);
    check(&hall, case.stream, case.codec, SECONDS).await;
    hall.close().await;
}

/// rtspclientsink 1.22 may hang or fail at the end of a stream. It is stopped as users stop it.
async fn push_with_gstreamer(case: Case, settings: &str) {
    let hall = Hall::open().await;
    let url = case.url(&hall).await;
    let mut publisher = gstreamer(&url, settings).stdin(Stdio::null()).spawn().unwrap();
    hall.live(case.stream).await;
    tokio::time::sleep(Duration::from_secs(SECONDS.into())).await;
    publisher.kill().await.unwrap();
    check(&hall, case.stream, case.codec, SECONDS - 2).await;
    hall.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_over_tcp() {
    push_with_ffmpeg(Case { stream: "tcp", codec: "h264", secure: false }, H264, "tcp").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_over_udp() {
    push_with_ffmpeg(Case { stream: "udp", codec: "h264", secure: false }, H264, "udp").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_over_tls() {
    push_with_ffmpeg(Case { stream: "tls", codec: "h264", secure: true }, H264, "tcp").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_with_b_frames() {
    push_with_ffmpeg(Case { stream: "b", codec: "h264", secure: false }, H264_B_FRAMES, "tcp").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_with_h265() {
    push_with_ffmpeg(Case { stream: "hevc", codec: "h265", secure: false }, H265, "tcp").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rtspclientsink_over_tcp() {
    push_with_gstreamer(Case { stream: "gst-tcp", codec: "h264", secure: false }, "protocols=tcp").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rtspclientsink_over_udp() {
    push_with_gstreamer(Case { stream: "gst-udp", codec: "h264", secure: false }, "protocols=udp").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rtspclientsink_over_tls() {
    let case = Case { stream: "gst-tls", codec: "h264", secure: true };
    push_with_gstreamer(case, "protocols=tcp tls-validation-flags=0").await;
}

/// Pushes what no test above does, and checks how the index describes its sound.
async fn push_other_codecs(
    stream: &'static str,
    codec: &'static str,
    video: &[&str],
    audio: &[&str],
    sound: &str,
) {
    let hall = Hall::open().await;
    let url = Case { stream, codec, secure: false }.url(&hall).await;
    ok(&run(ffmpeg_with(video, audio, &["-rtsp_transport", "tcp", &url])).await);
    check(&hall, stream, codec, SECONDS).await;
    let fragments = hall.fragments(stream);
    let [picture, track] = fragments[0].meta.tracks.as_slice() else { panic!("two tracks") };
    assert_eq!((picture.width, picture.height), (320, 240));
    assert_eq!(format!("{} {} {}", track.codec, track.sample_rate, track.channels), sound);
    let total: u64 = fragments.iter().map(|stored| stored.meta.tracks[1].duration).sum();
    let expected = u64::from(SECONDS * track.sample_rate);
    assert!(total.abs_diff(expected) < u64::from(track.sample_rate) / 4, "{total} of {expected} samples");
    hall.close().await;
}

/// Without the look-ahead, whose pictures all come at once at the end.
const VP9: &[&str] =
    &["-c:v", "libvpx-vp9", "-deadline", "realtime", "-lag-in-frames", "0", "-strict", "experimental"];
const MJPEG: &[&str] =
    &["-c:v", "mjpeg", "-huffman", "default", "-force_duplicated_matrix", "1", "-pix_fmt", "yuvj420p"];

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_with_vp9_and_opus() {
    push_other_codecs("vp9", "vp9", VP9, &["-c:a", "libopus"], "opus 48000 2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_with_motion_jpeg_and_mu_law() {
    push_other_codecs("jpeg", "mjpeg", MJPEG, &["-c:a", "pcm_mulaw", "-ar", "8000"], "pcmu 8000 1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_with_a_law() {
    push_other_codecs("alaw", "h264", H264, &["-c:a", "pcm_alaw", "-ar", "8000"], "pcma 8000 1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_with_plain_samples() {
    let audio = ["-c:a", "pcm_s16be", "-ar", "44100", "-ac", "2"];
    push_other_codecs("l16", "h264", H264, &audio, "l16 44100 2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unsupported_codecs_are_named() {
    let hall = Hall::open().await;
    let device = hall.device("*", "publish,create").await;
    let url = format!("rtsp://{}:{}@{}/odd", device.username, device.password.expose(), hall.rtsp);
    for (codec, audio, named) in [
        (&["-c:v", "mpeg4"][..], &["-c:a", "aac"][..], "MP4V-ES"),
        (H264, &["-c:a", "g722", "-ar", "16000"], "G722"),
    ] {
        let output = run(ffmpeg_with(codec, audio, &["-rtsp_transport", "tcp", &url])).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("415") && said.contains(named), "{said}");
    }
    assert!(hall.catalog.stream(&"odd".to_owned().try_into().unwrap()).is_none(), "no stream is made");
    hall.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_publisher_is_refused_and_the_first_goes_on() {
    let hall = Hall::open().await;
    let case = Case { stream: "busy", codec: "h264", secure: false };
    let url = case.url(&hall).await;
    let first = tokio::spawn(run(ffmpeg(H264, &["-rtsp_transport", "tcp", &url])));
    hall.live("busy").await;
    let second = run(ffmpeg(H264, &["-rtsp_transport", "tcp", &url])).await;
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && said.contains("453") && said.contains("being published"), "{said}");
    ok(&first.await.unwrap());
    check(&hall, "busy", "h264", SECONDS).await;
    hall.close().await;
}
