//! Sources that GStreamer plays or takes apart: MPEG-TS over HTTP and in RTSP, SRT.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use catalog::SourceTransport;
use fixtures::rtsp::{Habits, Login, RtspCamera, Transcript};
use ingest::pull::{PullState, SourceUrl};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::hall::acceptor;
use crate::pull::Pulling;

/// So many seconds of picture and tone in a transport stream, by ffmpeg.
async fn transport_stream(seconds: u64, audio: &[&str]) -> Vec<u8> {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25", "-f", "lavfi"]);
    command.args(["-i", "sine=sample_rate=48000", "-c:v", "libx264", "-preset", "ultrafast", "-g", "25"]);
    command.args(["-pix_fmt", "yuv420p", "-t", &seconds.to_string()]).args(audio).args(["-f", "mpegts", "-"]);
    let made = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let made = tokio::time::timeout(Duration::from_secs(60), made).await.unwrap().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    made.stdout
}

/// Answers every request with `answer`.
async fn serve(listener: TcpListener, head: &'static str, body: Vec<u8>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).await;
        let head = format!("{head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transport_stream_is_recorded_until_its_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/live.ts", listener.local_addr().unwrap());
    let body = transport_stream(4, &["-c:a", "aac"]).await;
    let server = tokio::spawn(serve(listener, "HTTP/1.1 200 OK\r\nContent-Type: video/mp2t", body));
    let pulling = Pulling::start().await;
    pulling.set(&url, SourceTransport::Auto).await;
    pulling.until_waiting("come to its end").await;
    pulling.until("all of it", |pulling| pulling.fragments() >= 4).await;
    let fragments = pulling.hall.fragments("door");
    let first: Vec<_> = fragments.iter().filter(|f| f.meta.run_id == fragments[0].meta.run_id).collect();
    let codecs: Vec<_> = first[0].meta.tracks.iter().map(|track| track.codec.as_str()).collect();
    assert!(codecs.contains(&"h264") && codecs.contains(&"aac"), "{codecs:?} {:?}", pulling.health());
    let frames: u32 = first.iter().map(|stored| stored.meta.video().unwrap().frames).sum();
    assert!((99..=100).contains(&frames), "{frames} of 100 pictures");
    let milliseconds: u32 = first.iter().map(|stored| stored.meta.duration_ms).sum();
    assert!((3900..=4100).contains(&milliseconds), "{milliseconds} ms");
    pulling.close().await;
    server.abort();
}

/// A camera's transcript: a transport stream in RTP packets of seven of its own each (RFC 2250), in its own time.
fn over_rtsp(stream: &[u8], length: Duration) -> Transcript {
    let packets = stream.chunks(7 * 188);
    let count = packets.len() as u64;
    let mut text = "# MPEG-TS over RTSP\n\n> DESCRIBE\n< RTSP/1.0 200 OK\n< CSeq: {cseq}\n\
        < Content-Type: application/sdp\n< Content-Length: {length}\n<\n< v=0\n< o=- 0 0 IN IP4 127.0.0.1\n< s=-\n\
        < c=IN IP4 0.0.0.0\n< t=0 0\n< m=video 0 RTP/AVP 33\n< a=control:track1\n\n> PLAY\n"
        .to_owned();
    for (packet, index) in packets.zip(0..) {
        let at = |index: u64| index * length.as_millis() as u64 / count;
        let hex: String = packet.iter().map(|byte| format!("{byte:02x}")).collect();
        text += &format!("* wait {}\n* video pt=33 at={} hex:{hex}\n", at(index + 1) - at(index), at(index));
    }
    Transcript::parse(&text).unwrap()
}

/// Longer than a probe looks.
const MUXED: Duration = Duration::from_secs(9);

/// Has signed-in clients only, and sends the stream once.
fn muxed_camera(stream: &[u8]) -> Habits {
    let transcript = Some(Arc::new(over_rtsp(stream, MUXED)));
    let challenges = vec!["Digest realm=\"cam\", nonce=\"n1\"".to_owned()];
    let login = Some(Login { user: "admin".into(), password: "p@ss".into(), challenges });
    Habits { transcript, login, ..Habits::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transport_stream_over_rtsp_is_taken_apart_also_encrypted() {
    let stream = transport_stream(MUXED.as_secs(), &["-c:a", "aac"]).await;
    for secure in [false, true] {
        let habits = muxed_camera(&stream);
        let camera = match secure {
            true => RtspCamera::encrypted(habits, acceptor()).await,
            false => RtspCamera::start(habits).await,
        };
        let scheme = if secure { "rtsps:" } else { "rtsp:" };
        let pulling = Pulling::start().await;
        pulling.set(&camera.url("admin:p%40ss@").replace("rtsp:", scheme), SourceTransport::Auto).await;
        pulling.until("fragments", |pulling| pulling.fragments() >= 3).await;
        let health = pulling.health().unwrap();
        assert_eq!(
            (health.state, health.transport, &health.left_out[..]),
            (PullState::Online, Some("tcp"), &[][..])
        );
        let fragments = pulling.hall.fragments("door");
        assert!(fragments.iter().all(|stored| stored.meta.run_id == fragments[0].meta.run_id), "one run");
        let tracks = fragments.iter().flat_map(|stored| &stored.meta.tracks);
        let codecs: BTreeSet<_> = tracks.map(|track| track.codec.as_str()).collect();
        assert_eq!(codecs, BTreeSet::from(["aac", "h264"]), "{health:?}");
        assert!(fragments[0].meta.starts_with_key && fragments[0].meta.video().unwrap().width == 320);
        pulling.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_looks_into_a_transport_stream() {
    let stream = transport_stream(MUXED.as_secs(), &["-c:a", "aac"]).await;
    let camera = RtspCamera::encrypted(muxed_camera(&stream), acceptor()).await;
    let pulling = Pulling::start().await;
    let url = SourceUrl::parse(&camera.url("admin:p%40ss@").replace("rtsp:", "rtsps:")).unwrap();
    let probe = pulling.pullers.probe(url, SourceTransport::Auto).await.unwrap();
    let by_codec =
        |name: &str| probe.tracks.iter().find(|track| track.codec.as_deref() == Some(name)).unwrap();
    let (picture, sound) = (by_codec("h264"), by_codec("aac"));
    assert_eq!((picture.encoding.as_str(), picture.width, picture.height), ("MP2T", 320, 240));
    assert_eq!((sound.sample_rate, probe.transport, probe.clock_reports), (48_000, "tcp", false));
    assert!(picture.frame_rate.is_some_and(|rate| (23.0..27.0).contains(&rate)), "{probe:?}");
    assert!(probe.gop_seconds.is_some_and(|gop| (0.9..1.1).contains(&gop)), "{probe:?}");
    assert!(probe.picture.as_ref().is_some_and(|picture| picture.starts_with("/9j/")), "{probe:?}");
    pulling.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_recorded_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/live.ts", listener.local_addr().unwrap());
    let body = transport_stream(4, &["-c:a", "mp2"]).await;
    let server = tokio::spawn(serve(listener, "HTTP/1.1 200 OK\r\nContent-Type: video/mp2t", body));
    let pulling = Pulling::start().await;
    pulling.set(&url, SourceTransport::Auto).await;
    let named = |text: &String| text.contains("audio/mpeg");
    let left_out =
        |pulling: &Pulling| pulling.health().is_some_and(|health| health.left_out.iter().any(named));
    pulling.until("what is left out", left_out).await;
    pulling.until("the picture", |pulling| pulling.fragments() >= 1).await;
    pulling.close().await;
    server.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn redirections_are_not_followed() {
    let (first, second) =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let url = format!("http://{}/live.ts", first.local_addr().unwrap());
    let head = format!("HTTP/1.1 302 Found\r\nLocation: http://{}/x", second.local_addr().unwrap());
    let server = tokio::spawn(serve(first, head.leak(), Vec::new()));
    let pulling = Pulling::start().await;
    pulling.set(&url, SourceTransport::Auto).await;
    pulling
        .until("a failure", |pulling| {
            pulling.health().is_some_and(|health| health.state == PullState::Waiting && health.failures >= 2)
        })
        .await;
    let asked = tokio::time::timeout(Duration::from_millis(200), second.accept()).await;
    assert!(asked.is_err(), "the second server was asked");
    pulling.close().await;
    server.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn srt_is_recorded_while_it_comes() {
    // Held, so that none of the server's own listeners gets this number: it would refuse to pull from there.
    let held = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let free = held.local_addr().unwrap();
    let pipeline = format!(
        "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=25/1 \
         ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 bitrate=300 ! h264parse config-interval=-1 ! mux. \
         audiotestsrc is-live=true ! audio/x-raw,rate=48000,channels=1 ! audioconvert ! avenc_aac ! aacparse ! mux. \
         mpegtsmux alignment=7 name=mux ! srtsink uri=srt://{free}?mode=listener wait-for-connection=false"
    );
    let mut camera = Command::new("gst-launch-1.0");
    camera.arg("-q").args(pipeline.split_whitespace()).stdin(Stdio::null()).kill_on_drop(true);
    let mut camera = camera.spawn().unwrap();
    let pulling = Pulling::start().await;
    pulling.set(&format!("srt://{free}"), SourceTransport::Auto).await;
    pulling.until("fragments", |pulling| pulling.fragments() >= 4).await;
    let health = pulling.health().unwrap();
    assert_eq!((health.state, health.transport), (PullState::Online, Some("gstreamer")));
    let codecs: Vec<_> =
        pulling.hall.fragments("door")[1].meta.tracks.iter().map(|t| t.codec.clone()).collect();
    assert_eq!(codecs.len(), 2, "{codecs:?} {health:?}");
    camera.kill().await.unwrap();
    pulling.until("the end", |pulling| pulling.health().unwrap().state == PullState::Waiting).await;
    pulling.close().await;
}
