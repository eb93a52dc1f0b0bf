//! Every transcript of `fixtures/transcripts`: played against the puller or the server, and held against what is
//! to become of it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use catalog::{DeviceCredential, SourceTransport};
use fixtures::rtsp::{Habits, Line, Login, Piece, RtspCamera, Script, Transcript};
use tokio::io::AsyncWriteExt;

use crate::hall::{Hall, Stored};
use crate::pull::Pulling;
use crate::raw_client::{RawClient, SDP};

/// What became of a session.
struct Outcome {
    fragments: Vec<Stored>,
    damaged: u64,
    lost: u64,
    left_out: Vec<String>,
    /// Why it ended, or was refused.
    reason: String,
}

impl Outcome {
    fn count(&self, video: bool) -> u32 {
        let tracks = self.fragments.iter().flat_map(|stored| &stored.meta.tracks);
        tracks.filter(|track| (track.sample_rate == 0) == video).map(|track| track.frames).sum()
    }

    fn runs(&self) -> usize {
        let runs = self.fragments.iter().map(|stored| stored.meta.run_id);
        runs.collect::<std::collections::BTreeSet<_>>().len()
    }

    fn codecs(&self) -> Vec<&str> {
        let first = self.fragments.iter().max_by_key(|stored| stored.meta.tracks.len());
        first.map_or(Vec::new(), |stored| {
            stored.meta.tracks.iter().map(|track| track.codec.as_str()).collect()
        })
    }

    /// Whether an expectation is met; `damaged` is how many pictures may be.
    fn meets(&self, wish: &str, damaged: u64) -> bool {
        let (word, rest) = wish.split_once(' ').unwrap_or((wish, ""));
        let number = || rest.parse::<usize>().expect("a number");
        match word {
            "recorded" => {
                let starts = self.fragments.first().is_some_and(|stored| stored.meta.starts_with_key);
                starts && self.damaged == damaged && self.lost == 0
            }
            "pictures" => self.count(true) as usize == number(),
            "sounds" => self.count(false) as usize == number(),
            "runs" => self.runs() == number(),
            "damaged" => self.damaged == damaged,
            "tracks" => self.codecs() == rest.split(' ').collect::<Vec<_>>(),
            "left" => {
                let words = rest.strip_prefix("out ").expect("`left out`");
                self.left_out.iter().any(|text| text.contains(words))
            }
            "refused" => self.fragments.is_empty() && self.reason.contains(rest),
            "ended" => self.reason.contains(rest),
            "answered" => true,
            _ => panic!("{wish}: no such expectation"),
        }
    }

    /// The expectations that are not met.
    fn failures(&self, transcript: &Transcript) -> Vec<String> {
        let number = |wish: &String| wish.strip_prefix("damaged ")?.parse().ok();
        let damaged = transcript.expect.iter().find_map(number).unwrap_or(0);
        let unmet = transcript.expect.iter().filter(|wish| !self.meets(wish, damaged));
        let found = format!(
            "{} pictures, {} sounds, {} runs, {:?}, {} damaged, {} lost, left out {:?}, {}",
            self.count(true),
            self.count(false),
            self.runs(),
            self.codecs(),
            self.damaged,
            self.lost,
            self.left_out,
            self.reason
        );
        unmet.map(|wish| format!("{wish}, but found {found}")).collect()
    }
}

fn transcripts() -> Vec<(String, Transcript)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/transcripts");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "txt") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            found.push((name.clone(), Transcript::parse(&text).unwrap_or_else(|e| panic!("{name}: {e}"))));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

#[test]
fn transcripts_are_many_and_name_their_reports() {
    let transcripts = transcripts();
    assert!(transcripts.len() >= 40, "{} transcripts", transcripts.len());
    for (name, transcript) in transcripts {
        assert!(
            name.split_once('_').is_some_and(|(vendor, what)| !vendor.is_empty() && what.len() > 3),
            "{name}"
        );
        assert!(transcript.report.starts_with("https://"), "{name} names no report");
        assert!(!transcript.title.is_empty() && !transcript.expect.is_empty(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_camera_becomes_what_its_transcript_expects() {
    let pulling = Pulling::start().await;
    let mut cameras = Vec::new();
    for (name, transcript) in transcripts().into_iter().filter(|(_, transcript)| !is_publisher(transcript)) {
        let login = login(&transcript);
        let habits = Habits { transcript: Some(Arc::new(transcript.clone())), login, ..Habits::default() };
        let camera = RtspCamera::start(habits).await;
        let user = transcript.settings.get("login").map_or(String::new(), |login| format!("{login}@"));
        pulling.set_stream(&name, &camera.url(&user), SourceTransport::Auto).await;
        cameras.push((name, transcript, camera));
    }
    let mut failures = Vec::new();
    for (name, transcript, _camera) in &cameras {
        let ended = |pulling: &Pulling| pulling.health_of(name).is_some_and(|health| health.reason.is_some());
        pulling.until(name, ended).await;
        let (health, recording) = (pulling.health_of(name).unwrap(), pulling.recording_of(name));
        let outcome = Outcome {
            fragments: pulling.hall.fragments(name),
            damaged: recording.as_ref().map_or(0, |recording| recording.frames_damaged),
            lost: recording.as_ref().map_or(0, |recording| recording.packets_lost),
            left_out: health.left_out,
            reason: health.reason.unwrap(),
        };
        failures.extend(outcome.failures(transcript).into_iter().map(|failure| format!("{name}: {failure}")));
    }
    pulling.close().await;
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_publisher_becomes_what_its_transcript_expects() {
    let hall = Hall::open().await;
    let device = hall.device("*", "publish,create").await;
    let mut failures = Vec::new();
    for (name, transcript) in transcripts().into_iter().filter(|(_, transcript)| is_publisher(transcript)) {
        let reason = publish(&hall, &device, &name, &transcript).await;
        let stream = hall.catalog.stream(&base::StreamName::new(&name).unwrap());
        let recording = stream.and_then(|stream| hall.ingest.health(stream.id));
        let outcome = Outcome {
            fragments: hall.fragments(&name),
            damaged: recording.as_ref().map_or(0, |recording| recording.frames_damaged),
            lost: recording.as_ref().map_or(0, |recording| recording.packets_lost),
            left_out: Vec::new(),
            reason,
        };
        failures
            .extend(outcome.failures(&transcript).into_iter().map(|failure| format!("{name}: {failure}")));
    }
    hall.close().await;
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn is_publisher(transcript: &Transcript) -> bool {
    transcript.settings.get("kind").is_some_and(|kind| kind == "publisher")
}

fn login(transcript: &Transcript) -> Option<Login> {
    let (user, password) = transcript.settings.get("login")?.split_once(':')?;
    let challenges = transcript.settings.iter().filter(|(key, _)| key.starts_with("challenge"));
    let challenges = challenges.map(|(_, value)| value.clone()).collect();
    Some(Login { user: user.into(), password: password.into(), challenges })
}

/// Says and sends what the transcript has; returns the last answer.
async fn publish(hall: &Hall, device: &DeviceCredential, name: &str, transcript: &Transcript) -> String {
    let mut client = RawClient::connect(hall.rtsp).await;
    let challenge = client.ask("ANNOUNCE", name, &[], SDP).await;
    let (mut script, mut cseq, mut last) = (Script::default(), 100, String::new());
    for line in &transcript.lines {
        match line {
            Line::Client(message) => {
                cseq += 1;
                let (user, password) = (device.username.as_str(), device.password.expose());
                let signed = client.answer(user, password, &challenge, "ANNOUNCE", name);
                let message =
                    message.replace("{url}", &client.url(name)).replace("{cseq}", &cseq.to_string());
                let message = message.replace("Authorization: {authorization}", &signed);
                client.stream.write_all(message.as_bytes()).await.unwrap();
            }
            Line::Server(expected) => {
                let answer = client.response().await.unwrap_or_else(|| panic!("{name}: no answer"));
                let expected = expected.lines().next().unwrap_or_default();
                assert!(answer.0.starts_with(expected), "{name}: {answer:?}");
                last = answer.0;
            }
            Line::Media(line) => {
                for piece in script.line(line).unwrap_or_else(|error| panic!("{name}: {line}: {error}")) {
                    put(&mut client, piece).await;
                }
            }
        }
    }
    last
}

async fn put(client: &mut RawClient, piece: Piece) {
    let bytes = match piece {
        Piece::Packet { track, rtcp, channel, bytes } => {
            let own = u8::try_from(2 * track).unwrap() + u8::from(rtcp);
            let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
            [&[b'$', channel.unwrap_or(own), length[0], length[1]], &bytes[..]].concat()
        }
        Piece::Bytes(bytes) => bytes,
        Piece::Wait(time) => return tokio::time::sleep(time.min(Duration::from_secs(3))).await,
    };
    client.stream.write_all(&bytes).await.unwrap();
}
