//! Cameras that are pulled from: good ones, and each of the bad habits that are known.

use std::sync::Arc;
use std::time::Duration;

use base::{Limits, StreamName, SystemClock, SystemEntropy, TimestampSource};
use catalog::{NewSource, Secret, SourceTransport};
use fixtures::Fault;
use fixtures::rtsp::{AUDIO_SECTION, Habits, Login, Misdeed, ParameterSets, RtspCamera, video_section};
use ingest::pull::{AddressRules, PullHealth, PullOptions, PullState, Pullers, SourceUrl, Timing, tls};
use ingest::{Ended, StreamHealth};
use media::CodecId;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::hall::{Hall, acceptor};

const FRAGMENT: Duration = Duration::from_millis(300);

/// Fast, so that a test need not wait.
const TIMING: Timing = Timing {
    answer: Duration::from_secs(2),
    silence: Duration::from_secs(3),
    first_retry: Duration::from_millis(20),
    last_retry: Duration::from_millis(200),
    first_rare: Duration::from_secs(60),
    last_rare: Duration::from_secs(60),
    settled: Duration::from_secs(1),
    spread: Duration::from_secs(1),
};

/// A hall whose pullers run.
pub struct Pulling {
    pub hall: Hall,
    pub pullers: Pullers,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Pulling {
    pub async fn start() -> Self {
        Self::within(Limits::default()).await
    }

    pub async fn within(limits: Limits) -> Self {
        let hall = Hall::with(Limits { fragment_target: FRAGMENT, ..limits }).await;
        let pullers = Pullers::new(PullOptions {
            ingest: hall.ingest.clone(),
            catalog: Arc::clone(&hall.catalog),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            limits: Arc::new(Limits { fragment_target: FRAGMENT, ..Limits::default() }),
            rules: AddressRules { allow: Vec::new(), own: vec![hall.rtsp] },
            tls: tls::client_config(None).unwrap(),
            timing: TIMING,
        });
        let (stop, told) = watch::channel(false);
        let task = tokio::spawn(pullers.clone().run(told));
        Self { hall, pullers, stop, task }
    }

    /// With a camera that is pulled from as the stream `door`.
    pub async fn from(habits: Habits) -> (Self, RtspCamera) {
        let (pulling, camera) = (Self::start().await, RtspCamera::start(habits).await);
        pulling.set(&camera.url(""), SourceTransport::Auto).await;
        (pulling, camera)
    }

    pub async fn set(&self, url: &str, transport: SourceTransport) {
        self.set_stream("door", url, transport).await;
    }

    pub async fn set_stream(&self, name: &str, url: &str, transport: SourceTransport) {
        let stream = self.hall.catalog.stream_to_pull(&StreamName::new(name).unwrap()).await.unwrap();
        let source = NewSource { url: Secret::new(url), transport, timestamps: TimestampSource::Auto };
        self.hall.catalog.set_source(stream.id, source).await.unwrap();
    }

    pub fn health(&self) -> Option<PullHealth> {
        self.health_of("door")
    }

    pub fn health_of(&self, name: &str) -> Option<PullHealth> {
        let stream = self.hall.catalog.stream(&StreamName::new(name).unwrap()).unwrap();
        self.pullers.health(stream.id)
    }

    pub fn recording(&self) -> Option<StreamHealth> {
        self.recording_of("door")
    }

    pub fn recording_of(&self, name: &str) -> Option<StreamHealth> {
        let stream = self.hall.catalog.stream(&StreamName::new(name).unwrap()).unwrap();
        self.hall.ingest.health(stream.id)
    }

    pub fn fragments(&self) -> usize {
        self.hall.fragments("door").len()
    }

    /// Waits until something is so, and fails after 30 s.
    pub async fn until(&self, what: &str, is: impl Fn(&Self) -> bool) {
        for _ in 0..1500 {
            if is(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{what}: {:?} {:?}", self.health(), self.recording());
    }

    pub async fn until_waiting(&self, reason: &str) -> PullHealth {
        let waits = |health: &PullHealth| {
            health.state == PullState::Waiting
                && health.reason.as_ref().is_some_and(|text| text.contains(reason))
        };
        self.until(reason, |pulling| pulling.health().is_some_and(|health| waits(&health))).await;
        self.health().unwrap()
    }

    pub async fn close(self) {
        self.stop.send(true).unwrap();
        tokio::time::timeout(Duration::from_secs(10), self.task).await.unwrap().unwrap();
        self.hall.close().await;
    }
}

#[tokio::test]
async fn a_camera_is_recorded_until_it_is_told_to_stop() {
    let habits = Habits { timeout: 4, ..Habits::default() };
    let (pulling, camera) = Pulling::from(habits).await;
    pulling.until("fragments", |pulling| pulling.fragments() >= 4).await;
    pulling.until("a keep-alive", |_| camera.count("GET_PARAMETER") >= 1).await;
    let health = pulling.health().unwrap();
    assert_eq!((health.state, health.transport, health.reconnects), (PullState::Online, Some("tcp"), 0));
    let fragments = pulling.hall.fragments("door");
    for pair in fragments.windows(2) {
        assert_eq!(pair[0].meta.run_id, pair[1].meta.run_id, "one run over the wrap of timestamps");
        assert!(pair[1].meta.starts_with_key);
        let [first, second] = [&pair[0], &pair[1]].map(|stored| stored.meta.video().unwrap());
        assert_eq!(first.start + i64::try_from(first.duration).unwrap(), second.start);
    }
    let codecs: Vec<_> = fragments[1].meta.tracks.iter().map(|track| track.codec.as_str()).collect();
    assert_eq!(codecs, ["h264", "aac"]);
    let recording = pulling.recording().unwrap();
    assert_eq!((recording.packets_lost, recording.frames_damaged), (0, 0));
    assert!(recording.clock.unwrap().reports_untrusted, "a clock that is an hour fast is not believed");

    let stream = pulling.hall.catalog.stream(&StreamName::new("door").unwrap()).unwrap();
    pulling.hall.catalog.remove_source(stream.id).await.unwrap();
    pulling.until("the end", |pulling| pulling.recording().unwrap().last_end.is_some()).await;
    assert_eq!(pulling.recording().unwrap().last_end.unwrap().1, Ended::Teardown);
    assert_eq!((camera.sessions(), camera.count("TEARDOWN")), (0, 1));
    assert_eq!(pulling.health(), None);
    pulling.close().await;
}

#[tokio::test]
async fn cameras_are_signed_in_to_as_they_ask() {
    const MD5: &str = "Digest realm=\"cam, one\", nonce=\"n1\", stale=FALSE";
    let login = |user: &str, password: &str, challenges: &[&str]| {
        let challenges = challenges.iter().map(|challenge| (*challenge).to_owned()).collect();
        Some(Login { user: user.into(), password: password.into(), challenges })
    };
    for challenges in [
        &["Digest realm=\"cam\", nonce=\"n1\""][..],
        &["Digest realm=\"cam\", nonce=\"n1\", algorithm=MD5", "Basic realm=\"cam\""],
        &[
            "Digest realm=\"cam\", nonce=\"n1\", algorithm=SHA-256, qop=\"auth\"",
            "Digest realm=\"cam\", nonce=\"n2\"",
        ],
        &["Basic realm=\"cam\""],
    ] {
        let login = login("ad@min", "p:ss#w/rd%", challenges);
        let camera = RtspCamera::start(Habits { login, ..Habits::default() }).await;
        let pulling = Pulling::start().await;
        pulling.set(&camera.url("ad%40min:p:ss#w%2Frd%@"), SourceTransport::Auto).await;
        pulling.until("a fragment", |pulling| pulling.fragments() >= 1).await;
        pulling.close().await;
    }
    let login = login("admin", "right", &[MD5]);
    let camera = RtspCamera::start(Habits { login, ..Habits::default() }).await;
    let pulling = Pulling::start().await;
    pulling.set(&camera.url("admin:wrong@"), SourceTransport::Auto).await;
    let health = pulling.until_waiting("refuses the user name or the password").await;
    assert!(!format!("{health:?}").contains("wrong"), "{health:?}");
    assert_eq!(camera.signed(), 1, "a wrong password is not tried again and again: cameras lock out");
    pulling.set(&camera.url(""), SourceTransport::Auto).await;
    pulling.until_waiting("asks for a user name").await;
    pulling.set(&camera.url("admin:right@"), SourceTransport::Auto).await;
    pulling.until("a fragment", |pulling| pulling.fragments() >= 1).await;
    pulling.close().await;
}

#[tokio::test]
async fn packets_come_over_udp_where_tcp_is_refused_or_udp_is_wanted() {
    let (pulling, _camera) = Pulling::from(Habits { tcp: false, ..Habits::default() }).await;
    pulling.until("fragments", |pulling| pulling.fragments() >= 2).await;
    assert_eq!(pulling.health().unwrap().transport, Some("udp"));
    let other = RtspCamera::start(Habits::default()).await;
    pulling.set(&other.url(""), SourceTransport::Udp).await;
    let before = pulling.fragments();
    pulling.until("the other camera", |_| other.count("PLAY") == 1).await;
    pulling.until("its fragments", |pulling| pulling.fragments() >= before + 2).await;
    assert_eq!(pulling.health().unwrap().transport, Some("udp"));
    pulling.close().await;
}

#[tokio::test]
async fn what_the_camera_refuses_is_told_in_words_and_tried_rarely() {
    for (method, status, words) in [
        ("DESCRIBE", "404 Stream Not Found", "check the URL"),
        ("SETUP", "403 Forbidden", "may not watch"),
        ("PLAY", "457 Invalid Range", "457"),
    ] {
        let habits = Habits { statuses: vec![(method, status)], ..Habits::default() };
        let (pulling, camera) = Pulling::from(habits).await;
        let health = pulling.until_waiting(words).await;
        assert!(health.next_try.unwrap() > health.since, "{health:?}");
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(camera.count(method), 1, "{method}");
        assert_eq!(camera.sessions(), 0, "no session is left behind");
        pulling.close().await;
    }
}

#[tokio::test]
async fn a_camera_that_breaks_off_is_connected_to_again() {
    for (misdeed, reason) in [
        (Misdeed::Close, "closed the connection"),
        (Misdeed::Stall, "no picture or sound"),
        (Misdeed::Deaf, "no picture or sound"),
        (Misdeed::Blind, "no picture or sound"),
    ] {
        let habits = Habits { misdeed: Some((Duration::from_millis(600), misdeed)), ..Habits::default() };
        let (pulling, camera) = Pulling::from(habits).await;
        pulling.until("two more connections", |_| camera.count("PLAY") >= 3).await;
        let health = pulling.health().unwrap();
        assert!(health.reason.as_ref().unwrap().contains(reason), "{health:?}");
        assert!(health.reconnects >= 1, "{health:?}");
        pulling.until("fragments", |pulling| pulling.fragments() >= 2).await;
        let runs: std::collections::BTreeSet<_> =
            pulling.hall.fragments("door").iter().map(|stored| stored.meta.run_id).collect();
        assert!(runs.len() >= 2, "each connection is a run");
        pulling.close().await;
    }
}

#[tokio::test]
async fn a_session_that_was_lost_is_ended_where_the_camera_has_room_for_no_other() {
    let misdeed = Some((Duration::from_millis(400), Misdeed::Close));
    let (pulling, camera) = Pulling::from(Habits { sessions: 1, misdeed, ..Habits::default() }).await;
    pulling.until("two more connections", |_| camera.count("PLAY") >= 3).await;
    assert!(camera.count("TEARDOWN") >= 2);
    assert!(camera.sessions() <= 1);
    pulling.close().await;

    // The one session is another client's.
    let (pulling, camera) = Pulling::from(Habits { sessions: 0, ..Habits::default() }).await;
    pulling.until_waiting("no session or bandwidth left").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(camera.count("SETUP"), 1);
    pulling.close().await;
}

#[tokio::test]
async fn a_reboot_behind_the_same_connection_starts_a_run() {
    let reboot = Fault::Reboot { at: Duration::from_millis(400), down: Duration::from_millis(2200) };
    let mut habits = Habits::default();
    habits.film.faults.push(reboot);
    let (pulling, camera) = Pulling::from(habits).await;
    let runs = |pulling: &Pulling| {
        let fragments = pulling.hall.fragments("door");
        fragments.iter().map(|stored| stored.meta.run_id).collect::<std::collections::BTreeSet<_>>().len()
    };
    pulling.until("a second run", |pulling| runs(pulling) == 2).await;
    assert_eq!(camera.count("PLAY"), 1);
    pulling.close().await;
}

#[tokio::test]
async fn losses_are_counted_and_the_rest_is_recorded() {
    let habits = Habits { loss: 0.1, ..Habits::default() };
    let (pulling, _camera) = Pulling::from(habits).await;
    pulling.until("fragments", |pulling| pulling.fragments() >= 2).await;
    assert!(pulling.recording().unwrap().packets_lost > 0);
    assert!(pulling.fragments() > 0);
    pulling.close().await;
}

#[tokio::test]
async fn h265_over_udp_is_put_in_order() {
    let mut habits = Habits { tcp: false, reorder: 0.2, sets: ParameterSets::InBand, ..Habits::default() };
    (habits.film.codec, habits.film.picture_bytes) = (CodecId::H265, 6_000);
    let (pulling, _camera) = Pulling::from(habits).await;
    pulling.until("fragments", |pulling| pulling.fragments() >= 2).await;
    let recording = pulling.recording().unwrap();
    assert_eq!((recording.packets_lost, recording.frames_damaged), (0, 0));
    assert_eq!(pulling.hall.fragments("door")[0].meta.video().unwrap().codec, "h265");
    pulling.close().await;
}

#[tokio::test]
async fn a_camera_that_sends_no_key_frames_is_cut_and_asked_for_one_where_it_can_be() {
    let most = Duration::from_millis(600);
    let pulling = Pulling::within(Limits { fragment_max: most, ..Limits::default() }).await;
    let mut habits = Habits { feedback: true, ..Habits::default() };
    habits.film.gop = u32::MAX;
    let camera = RtspCamera::start(habits).await;
    pulling.set(&camera.url(""), SourceTransport::Auto).await;
    pulling.until("fragments", |pulling| pulling.fragments() >= 4).await;
    let fragments = pulling.hall.fragments("door");
    assert!(fragments[0].meta.starts_with_key && fragments[0].meta.decodes_from.is_none());
    for stored in &fragments[1..] {
        assert!(!stored.meta.starts_with_key);
        assert_eq!(stored.meta.decodes_from, Some(fragments[0].meta.number));
        assert!(stored.meta.duration_ms <= 640, "{}", stored.meta.duration_ms);
    }
    let second_key = |pulling: &Pulling| {
        let fragments = pulling.hall.fragments("door");
        fragments.iter().filter(|stored| stored.meta.starts_with_key).count() == 2
    };
    pulling.until("the key frame that was asked for", second_key).await;
    assert!(camera.key_requests() >= 1);
    assert_eq!(pulling.recording().unwrap().key_frames_requested, camera.key_requests() as u64);
    pulling.close().await;
}

#[tokio::test]
async fn oddities_are_put_up_with() {
    let odd = format!(
        "m=application 0 RTP/AVP 107\r\n{}m=audio 0 RTP/AVP 98\r\na=rtpmap:98 G726-32/8000\r\n",
        video_section(CodecId::H264, true)
    );
    let camera = RtspCamera::start(Habits { hasty: true, media: Some(odd), ..Habits::default() }).await;
    let pulling = Pulling::start().await;
    pulling.set(&camera.url(""), SourceTransport::Auto).await;
    pulling.until("a fragment", |pulling| pulling.fragments() >= 1).await;
    let health = pulling.health().unwrap();
    assert!(health.left_out.iter().any(|text| text.contains("G726-32")), "{health:?}");
    pulling.close().await;

    let (pulling, _camera) =
        Pulling::from(Habits { content_base: Some("127.0.0.1/live/".into()), ..Habits::default() }).await;
    pulling.until("a fragment", |pulling| pulling.fragments() >= 1).await;
    pulling.close().await;
}

#[tokio::test]
async fn descriptions_that_cannot_be_recorded_are_named() {
    for (media, words) in [
        ("m=video 0 RTP/AVP 96\r\na=rtpmap:96 H263-1998/90000\r\n".to_owned(), "H263-1998"),
        ("m=application 0 RTP/AVP 107\r\n".to_owned(), "neither video nor audio"),
        (String::new(), "0 media sections"),
        (AUDIO_SECTION.replace("MPEG4-GENERIC", "X-NONE"), "nothing that can be recorded"),
    ] {
        let (pulling, camera) = Pulling::from(Habits { media: Some(media), ..Habits::default() }).await;
        pulling.until_waiting(words).await;
        assert_eq!(camera.sessions(), 0);
        pulling.close().await;
    }
}

#[tokio::test]
async fn a_source_is_replaced_while_it_runs() {
    let (pulling, first) = Pulling::from(Habits::default()).await;
    pulling.until("a fragment", |pulling| pulling.fragments() >= 1).await;
    let second = RtspCamera::start(Habits::default()).await;
    pulling.set(&second.url(""), SourceTransport::Tcp).await;
    pulling.until("the second camera", |_| second.count("PLAY") == 1).await;
    assert_eq!((first.sessions(), first.count("TEARDOWN")), (0, 1), "the first is let go");
    let before = pulling.fragments();
    pulling.until("its fragments", |pulling| pulling.fragments() >= before + 2).await;
    pulling.close().await;
    assert_eq!(second.sessions(), 0, "a server that stops says goodbye");
}

#[tokio::test]
async fn nothing_is_sent_where_nothing_may_be() {
    let pulling = Pulling::start().await;
    let own = pulling.hall.rtsp;
    for (url, words) in [
        (format!("rtsp://{own}/door"), "this server's own"),
        ("rtsp://169.254.169.254:80/x".into(), "link-local"),
        ("rtsp://[::ffff:169.254.169.254]:80/x".into(), "link-local"),
        ("rtsp://0.0.0.0:554/x".into(), "no address of one host"),
    ] {
        pulling.set(&url, SourceTransport::Auto).await;
        pulling.until_waiting(words).await;
    }
    pulling.close().await;
}

#[tokio::test]
async fn half_open_cameras_are_given_up_and_tried_again() {
    let deaf = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pulling = Pulling::start().await;
    pulling.set(&format!("rtsp://{}/x", deaf.local_addr().unwrap()), SourceTransport::Auto).await;
    pulling.until_waiting("no answer within 2 s").await;
    let gone = deaf.local_addr().unwrap();
    drop(deaf);
    pulling.until_waiting("does not accept the connection").await;
    assert!(pulling.health().unwrap().failures >= 2);
    assert!(gone.port() > 0);
    pulling.close().await;
}

#[tokio::test]
async fn encrypted_cameras_are_pulled_from_over_tcp() {
    let camera = RtspCamera::encrypted(Habits::default(), acceptor()).await;
    let pulling = Pulling::start().await;
    pulling.set(&camera.url("").replace("rtsp:", "rtsps:"), SourceTransport::Auto).await;
    pulling.until("a fragment", |pulling| pulling.fragments() >= 1).await;
    pulling.close().await;
}

#[tokio::test]
async fn a_probe_tells_what_a_camera_sends() {
    let pulling = Pulling::start().await;
    let url = |camera: &RtspCamera, user: &str| SourceUrl::parse(&camera.url(user)).unwrap();
    for transport in [SourceTransport::Auto, SourceTransport::Udp] {
        let media = format!(
            "{}{AUDIO_SECTION}m=audio 0 RTP/AVP 97\r\na=rtpmap:97 G726-32/8000\r\n",
            video_section(CodecId::H264, true)
        );
        let camera = RtspCamera::start(Habits { media: Some(media), ..Habits::default() }).await;
        let probe = pulling.pullers.probe(url(&camera, "me:secret@"), transport).await.unwrap();
        let [picture, sound] = probe.tracks.as_slice() else { panic!("{probe:?}") };
        assert_eq!((picture.codec.as_deref(), picture.width, picture.height), (Some("h264"), 64, 64));
        assert_eq!((sound.codec.as_deref(), sound.sample_rate, sound.channels), (Some("aac"), 48_000, 1));
        assert_eq!((picture.frame_rate, probe.gop_seconds), (Some(25.0), Some(0.2)));
        assert!(probe.clock_reports && probe.first_key_frame_ms.is_some());
        assert!(probe.left_out.iter().any(|text| text.contains("G726-32")), "{probe:?}");
        assert!(!format!("{probe:?}").contains("secret"), "{probe:?}");
        let is_jpeg = |picture: String| picture.starts_with("/9j/");
        assert_eq!(probe.picture.is_some_and(is_jpeg), cfg!(feature = "gstreamer"));
        assert_eq!((camera.sessions(), camera.count("TEARDOWN")), (0, 1));
    }
    let refusing = Habits { statuses: vec![("PLAY", "404 Not Found")], ..Habits::default() };
    let camera = RtspCamera::start(refusing).await;
    let error = pulling.pullers.probe(url(&camera, ""), SourceTransport::Auto).await.unwrap_err();
    assert!(error.to_string().contains("check the URL"), "{error}");
    assert_eq!(camera.sessions(), 0);
    pulling.close().await;
}
