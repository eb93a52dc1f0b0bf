//! A camera: an RTSP server (RFC 2326) with a small picture and a silent tone, that misbehaves on
//! command.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use fixtures::{aac_frame, h264_frame, h264_track};
use md5::Digest;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinHandle;
use tokio::time::{Interval, interval};
use tokio_rustls::TlsAcceptor;

/// Pictures from one key frame to the next, and the time from one to the next.
const GOP: u32 = 5;
const FRAME: Duration = Duration::from_millis(40);
/// Seconds from 1900 to 2026-01-01.
const NTP_SECONDS: u64 = 2_208_988_800 + 1_767_225_600;

/// What a camera does that others do not.
#[derive(Clone)]
pub struct Habits {
    /// The SDP's media sections.
    pub media: String,
    pub content_base: Option<String>,
    /// User, password, and the challenges it makes of them.
    pub credentials: Option<(&'static str, &'static str, &'static [&'static str])>,
    /// Answers to methods instead of 200.
    pub statuses: Vec<(&'static str, &'static str)>,
    /// Sessions at a time. One whose connection is lost counts until TEARDOWN.
    pub sessions: usize,
    pub timeout: u64,
    pub tcp: bool,
    /// Whether packets come before the answer to PLAY, and a request of its own after it.
    pub hasty: bool,
    /// At the n-th picture of a connection.
    pub misdeed: Option<(u32, Misdeed)>,
}

/// What goes wrong while it plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misdeed {
    /// It sends nothing any more, but answers.
    Stall,
    /// It sends only sound.
    Blind,
    /// It closes the connection in the middle of a packet.
    Close,
    /// For two seconds nothing comes, then all begins anew: source, timestamps, sequence.
    Reboot,
    /// A packet of every picture but the key frames is lost.
    Lose,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            media: format!("{}{AUDIO}", video()),
            content_base: None,
            credentials: None,
            statuses: Vec::new(),
            sessions: 10,
            timeout: 60,
            tcp: true,
            hasty: false,
            misdeed: None,
        }
    }
}

pub const AUDIO: &str = "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/48000/1\r\n\
    a=fmtp:97 streamtype=5;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1188\r\n\
    a=control:trackID=2\r\n";

/// The section of the picture, with its parameter sets.
pub fn video() -> String {
    let private = h264_track(0).private;
    let sps_len = usize::from(u16::from_be_bytes([private[6], private[7]]));
    let (sps, pps) = (&private[8..8 + sps_len], &private[8 + sps_len + 3..]);
    let base64 = |bytes: &[u8]| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
    format!(
        "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:trackID=1\r\n\
         a=fmtp:96 packetization-mode=1;sprop-parameter-sets={},{}\r\n",
        base64(sps),
        base64(pps)
    )
}

/// What a camera has seen, and what it has left.
#[derive(Default)]
struct Memory {
    /// The methods of all requests, and when they had credentials.
    requests: Vec<(String, bool)>,
    /// Sessions that count.
    sessions: Vec<u32>,
    made: u32,
}

/// A running camera; dropping it takes its power away.
pub struct Camera {
    pub at: SocketAddr,
    memory: Arc<Mutex<Memory>>,
    task: JoinHandle<()>,
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Camera {
    pub async fn start(habits: Habits) -> Self {
        Self::with(habits, None).await
    }

    pub async fn with(habits: Habits, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let memory = Arc::new(Mutex::new(Memory::default()));
        let shared = Arc::clone(&memory);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, peer) = listener.accept().await.unwrap();
                let (habits, memory, tls) = (habits.clone(), Arc::clone(&shared), tls.clone());
                connections.spawn(async move {
                    match tls {
                        None => Connection::new(habits, memory, peer, stream).run().await,
                        Some(tls) => {
                            let stream = tls.accept(stream).await.unwrap();
                            Connection::new(habits, memory, peer, stream).run().await;
                        }
                    }
                });
            }
        });
        Self { at, memory, task }
    }

    pub fn url(&self, userinfo: &str) -> String {
        format!("rtsp://{userinfo}{}/live?channel=1", self.at)
    }

    /// How many requests of the method came.
    pub fn count(&self, method: &str) -> usize {
        self.memory.lock().unwrap().requests.iter().filter(|(name, _)| name == method).count()
    }

    /// How many requests came with credentials.
    pub fn signed(&self) -> usize {
        self.memory.lock().unwrap().requests.iter().filter(|(_, signed)| *signed).count()
    }

    pub fn sessions(&self) -> usize {
        self.memory.lock().unwrap().sessions.len()
    }
}

/// Where the packets of a track go.
enum Way {
    Channel(u8),
    Udp(UdpSocket, SocketAddr),
}

struct Track {
    way: Way,
    video: bool,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
}

struct Connection<S> {
    habits: Habits,
    memory: Arc<Mutex<Memory>>,
    peer: SocketAddr,
    stream: S,
    tracks: Vec<Track>,
    session: Option<u32>,
    playing: bool,
    frames: u32,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    fn new(habits: Habits, memory: Arc<Mutex<Memory>>, peer: SocketAddr, stream: S) -> Self {
        let (tracks, session) = (Vec::new(), None);
        Self { habits, memory, peer, stream, tracks, session, playing: false, frames: 0 }
    }

    async fn run(mut self) {
        let mut ticks: Interval = interval(FRAME);
        let mut read = Vec::new();
        loop {
            let mut piece = [0; 2048];
            tokio::select! {
                got = self.stream.read(&mut piece) => match got {
                    Ok(got @ 1..) => read.extend_from_slice(&piece[..got]),
                    Ok(_) | Err(_) => return,
                },
                _ = ticks.tick(), if self.playing => if self.film().await.is_none() { return },
            }
            while let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                let request: Vec<u8> = read.drain(..end + 4).collect();
                let request = String::from_utf8(request).unwrap();
                if !request.starts_with("RTSP/1.0") && self.answer(&request).await.is_none() {
                    return;
                }
            }
        }
    }

    async fn answer(&mut self, request: &str) -> Option<()> {
        let line: Vec<&str> = request.lines().next().unwrap().split(' ').collect();
        let [method, url, "RTSP/1.0"] = line.as_slice() else { panic!("{request}") };
        assert!(!url.contains('@'), "credentials stay at home: {url}");
        let header =
            |name: &str| request.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let cseq = header("CSeq").unwrap();
        let signed = header("Authorization");
        self.memory.lock().unwrap().requests.push(((*method).to_owned(), signed.is_some()));
        let (status, more, body) = match self.check(method, signed) {
            Some(refused) => refused,
            None => self.take(method, url, header("Transport"), header("Session")).await,
        };
        if self.playing && self.habits.hasty && self.frames == 0 {
            self.film().await?;
        }
        let length =
            if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let text = format!("RTSP/1.0 {status}\r\nCSeq: {cseq}\r\n{more}{length}\r\n{body}");
        self.stream.write_all(text.as_bytes()).await.ok()?;
        if self.playing && self.habits.hasty {
            self.stream.write_all(b"OPTIONS * RTSP/1.0\r\nCSeq: 900\r\n\r\n").await.ok()?;
        }
        Some(())
    }

    /// What is answered instead, if anything.
    fn check(&self, method: &str, signed: Option<&str>) -> Option<(String, String, String)> {
        if let Some((_, status)) = self.habits.statuses.iter().find(|(name, _)| *name == method) {
            return Some(((*status).to_owned(), String::new(), String::new()));
        }
        let (user, password, challenges) = self.habits.credentials?;
        if method == "OPTIONS" || signed.is_some_and(|signed| proves(signed, method, user, password)) {
            return None;
        }
        let headers = challenges.iter().map(|one| format!("WWW-Authenticate: {one}\r\n")).collect();
        Some(("401 Unauthorized".into(), headers, String::new()))
    }

    async fn take(
        &mut self,
        method: &str,
        url: &str,
        transport: Option<&str>,
        session: Option<&str>,
    ) -> (String, String, String) {
        let ok = |more: String, body: String| ("200 OK".to_owned(), more, body);
        let refused = |status: &str| (status.to_owned(), String::new(), String::new());
        match method {
            "OPTIONS" => ok(
                "Public: OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN\r\n".into(),
                String::new(),
            ),
            "DESCRIBE" => {
                let base = self.habits.content_base.as_ref();
                let base = base.map_or(String::new(), |base| format!("Content-Base: {base}\r\n"));
                let head = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=cam\r\nt=0 0\r\na=control:*\r\n";
                ok(base, format!("{head}{}", self.habits.media))
            }
            "SETUP" => self.set_up(url, transport.unwrap()).await,
            "PLAY" | "GET_PARAMETER" if self.session.is_none() => refused("454 Session Not Found"),
            "PLAY" => {
                self.playing = true;
                ok("RTP-Info: url=trackID=1;seq=0;rtptime=0;\r\n".into(), String::new())
            }
            "GET_PARAMETER" => ok(String::new(), String::new()),
            "TEARDOWN" => {
                let id = session.and_then(|id| id.parse::<u32>().ok()).unwrap();
                self.memory.lock().unwrap().sessions.retain(|known| *known != id);
                self.playing &= self.session != Some(id);
                ok(String::new(), String::new())
            }
            _ => refused("501 Not Implemented"),
        }
    }

    async fn set_up(&mut self, url: &str, transport: &str) -> (String, String, String) {
        let refused = |status: &str| (status.to_owned(), String::new(), String::new());
        let interleaved = transport.split("interleaved=").nth(1);
        if interleaved.is_some() && !self.habits.tcp {
            return refused("461 Unsupported Transport");
        }
        let id = match self.session {
            Some(id) => id,
            None => {
                let mut memory = self.memory.lock().unwrap();
                if memory.sessions.len() >= self.habits.sessions {
                    return refused("453 Not Enough Bandwidth");
                }
                memory.made += 1;
                let id = memory.made;
                memory.sessions.push(id);
                id
            }
        };
        self.session = Some(id);
        let first = |text: &str| text.split(['-', ';']).next().unwrap().parse::<u16>().unwrap();
        let (way, agreed) = match interleaved {
            Some(channels) => {
                let channel = u8::try_from(first(channels)).unwrap();
                (Way::Channel(channel), format!("RTP/AVP/TCP;unicast;interleaved={channel}-{}", channel + 1))
            }
            None => {
                let port = first(transport.split("client_port=").nth(1).expect("a way to send"));
                let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                let own = socket.local_addr().unwrap().port();
                let agreed =
                    format!("RTP/AVP;unicast;client_port={port}-{};server_port={own}-{}", port + 1, own + 1);
                (Way::Udp(socket, SocketAddr::new(self.peer.ip(), port)), agreed)
            }
        };
        let video = url.ends_with("trackID=1");
        let ssrc = 0x1000 + u32::from(video);
        self.tracks.push(Track { way, video, ssrc, sequence: 65_500, timestamp: 0xffff_f000 });
        let session = format!("Session: {id};timeout={}\r\n", self.habits.timeout);
        ("200 OK".into(), format!("Transport: {agreed}\r\n{session}"), String::new())
    }

    /// One picture, and two frames of sound; `None` where the connection is over.
    async fn film(&mut self) -> Option<()> {
        let misdeed = self.habits.misdeed.filter(|(at, _)| self.frames >= *at);
        let begins = misdeed.is_some_and(|(at, _)| self.frames == at);
        let misdeed = misdeed.map(|(_, misdeed)| misdeed);
        let in_gop = self.frames % GOP;
        self.frames += 1;
        match misdeed {
            Some(Misdeed::Stall) => return Some(()),
            Some(Misdeed::Close) => {
                let _ = self.stream.write_all(&[b'$', 0, 5, 0, 0x80, 96, 0]).await;
                return None;
            }
            Some(Misdeed::Reboot) if begins => {
                tokio::time::sleep(Duration::from_millis(2200)).await;
                for track in &mut self.tracks {
                    (track.ssrc, track.sequence, track.timestamp) = (track.ssrc + 7, 9, 1234);
                }
            }
            _ => {}
        }
        for at in 0..self.tracks.len() {
            if self.tracks[at].video {
                if misdeed != Some(Misdeed::Blind) {
                    let lost = misdeed == Some(Misdeed::Lose) && in_gop > 0;
                    self.picture(at, in_gop, lost).await?;
                }
            } else {
                for _ in 0..2 {
                    let unit = aac_frame();
                    let size = u16::try_from(unit.len() << 3).unwrap().to_be_bytes();
                    let payload = [&[0, 16], &size[..], &unit].concat();
                    self.packet(at, 97, true, &payload).await?;
                    self.tracks[at].timestamp = self.tracks[at].timestamp.wrapping_add(1024);
                }
            }
            if self.frames % 10 == 1 {
                self.report(at).await?;
            }
        }
        Some(())
    }

    /// The NAL units of a picture, each in a packet of its own.
    async fn picture(&mut self, at: usize, in_gop: u32, lose: bool) -> Option<()> {
        let frame = h264_frame(in_gop, GOP, 900);
        let mut nals = Vec::new();
        let mut rest: Bytes = frame;
        while !rest.is_empty() {
            let length = usize::try_from(u32::from_be_bytes(rest[..4].try_into().unwrap())).unwrap();
            nals.push(rest.slice(4..4 + length));
            rest = rest.slice(4 + length..);
        }
        let last = nals.len() - 1;
        for (index, nal) in nals.into_iter().enumerate() {
            if lose && index == last {
                self.tracks[at].sequence = self.tracks[at].sequence.wrapping_add(1);
            } else {
                self.packet(at, 96, index == last, &nal).await?;
            }
        }
        self.tracks[at].timestamp = self.tracks[at].timestamp.wrapping_add(3600);
        Some(())
    }

    async fn packet(&mut self, at: usize, kind: u8, marker: bool, payload: &[u8]) -> Option<()> {
        let Track { ssrc, sequence, timestamp, .. } = &mut self.tracks[at];
        let mut packet = vec![0x80, u8::from(marker) << 7 | kind];
        packet.extend_from_slice(&sequence.to_be_bytes());
        packet.extend_from_slice(&timestamp.to_be_bytes());
        packet.extend_from_slice(&ssrc.to_be_bytes());
        packet.extend_from_slice(payload);
        *sequence = sequence.wrapping_add(1);
        self.send(at, 0, &packet).await
    }

    /// A sender report: the camera's clock is right to the second only.
    async fn report(&mut self, at: usize) -> Option<()> {
        let Track { ssrc, timestamp, .. } = self.tracks[at];
        let mut packet = vec![0x80, 200, 0, 6];
        packet.extend_from_slice(&ssrc.to_be_bytes());
        packet.extend_from_slice(&(NTP_SECONDS << 32).to_be_bytes());
        packet.extend_from_slice(&timestamp.to_be_bytes());
        packet.extend_from_slice(&[0; 8]);
        self.send(at, 1, &packet).await
    }

    async fn send(&mut self, at: usize, more: u8, packet: &[u8]) -> Option<()> {
        match &self.tracks[at].way {
            Way::Channel(channel) => {
                let length = u16::try_from(packet.len()).unwrap().to_be_bytes();
                let framed = [&[b'$', channel + more, length[0], length[1]], packet].concat();
                self.stream.write_all(&framed).await.ok()
            }
            Way::Udp(socket, to) => {
                let to = SocketAddr::new(to.ip(), to.port() + u16::from(more));
                let _ = socket.send_to(packet, to).await;
                Some(())
            }
        }
    }
}

/// Whether an `Authorization` header proves the password (RFC 7616 §3.4.1, RFC 7617).
fn proves(header: &str, method: &str, user: &str, password: &str) -> bool {
    if let Some(basic) = header.strip_prefix("Basic ") {
        let given = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, basic).unwrap();
        return given == format!("{user}:{password}").into_bytes();
    }
    let value = |name: &str| {
        let at = header.find(&format!(" {name}="))? + name.len() + 2;
        let value = &header[at..];
        let quoted = value.strip_prefix('"').and_then(|quoted| quoted.split('"').next());
        Some(quoted.unwrap_or_else(|| value.split(',').next().unwrap()))
    };
    let hex = |text: String| -> String {
        let bytes = match value("algorithm") {
            Some("SHA-256") => sha2::Sha256::digest(text).to_vec(),
            _ => md5::Md5::digest(text).to_vec(),
        };
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let need = |name: &str| value(name).unwrap_or_else(|| panic!("{name} in {header}"));
    let secret = hex(format!("{user}:{}:{password}", need("realm")));
    let request = hex(format!("{method}:{}", need("uri")));
    let expected = match value("qop") {
        Some(qop) => {
            hex(format!("{secret}:{}:{}:{}:{qop}:{request}", need("nonce"), need("nc"), need("cnonce")))
        }
        None => hex(format!("{secret}:{}:{request}", need("nonce"))),
    };
    need("response") == expected
}
