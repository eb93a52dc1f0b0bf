//! A publisher as browsers are, made of str0m: it sends small pictures, and key frames only when it is asked
//! for them; or sound.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::StreamName;
use bytes::Bytes;
use catalog::{DeviceCredential, Principal};
use ingest::{Publisher as Identity, whip};
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::media::{Direction, Frequency, MediaKind, MediaTime, Mid};
use str0m::net::{Protocol, Receive, TcpType};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use crate::frames;
use crate::hall::Hall;

/// A publisher that has waited this long for something gives up.
const PATIENCE: Duration = Duration::from_secs(20);

/// What it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sends {
    H264,
    Vp9,
    Av1,
    Opus,
}

impl Sends {
    fn kind(self) -> MediaKind {
        if self == Self::Opus { MediaKind::Audio } else { MediaKind::Video }
    }

    /// How long a picture, or a packet of sound, lasts.
    fn frame(self) -> Duration {
        Duration::from_millis(if self == Self::Opus { 20 } else { 40 })
    }

    /// The RTP time of the `frame`-th of them.
    fn time(self, frame: u32) -> MediaTime {
        let (ticks, clock) = match self {
            Self::Opus => (960, Frequency::FORTY_EIGHT_KHZ),
            Self::H264 | Self::Vp9 | Self::Av1 => (3600, Frequency::NINETY_KHZ),
        };
        MediaTime::new(u64::from(frame) * ticks, clock)
    }
}

/// How its datagrams travel.
enum Link {
    Udp(UdpSocket),
    Tcp(TcpStream, Vec<u8>),
}

/// One publisher.
pub struct Publisher {
    pub rtc: Box<Rtc>,
    pub session: whip::Published,
    link: Link,
    local: SocketAddr,
    server: SocketAddr,
    sends: Sends,
    section: Mid,
    frames: u32,
    in_gop: u32,
    key_wanted: bool,
    began: Instant,
    /// Which parameter sets the next key frame has.
    pub variant: u8,
    pub keys_sent: u32,
    pub connected: bool,
    pub closed: bool,
    /// Datagrams to lose on their way: the next of more than 300 bytes.
    pub lose: u32,
    pub sent_frames: u32,
    answer: String,
}

/// Who publishes with a credential.
pub fn identity(hall: &Hall, device: &DeviceCredential) -> Identity {
    let device = hall.catalog.device_by_username(&device.username).unwrap();
    Identity { peer: "127.0.0.1:9".parse().unwrap(), principal: Principal::Device(device) }
}

pub fn name(stream: &str) -> StreamName {
    StreamName::new(stream).unwrap()
}

/// What a browser offers that has one codec.
pub fn offer(sends: Sends) -> (Box<Rtc>, Mid, String, SdpPendingOffer) {
    let config = RtcConfig::new().clear_codecs();
    let config = match sends {
        Sends::H264 => config.enable_h264(true),
        Sends::Vp9 => config.enable_vp9(true),
        Sends::Av1 => config.enable_av1(true),
        Sends::Opus => config.enable_opus(true, false),
    };
    let mut rtc = Box::new(config.build(Instant::now()));
    let mut changes = rtc.sdp_api();
    let section = changes.add_media(sends.kind(), Direction::SendOnly, None, None, None);
    let (offer, pending) = changes.apply().unwrap();
    (rtc, section, offer.to_sdp_string(), pending)
}

impl Publisher {
    /// Publishes H.264 to `stream` over UDP.
    pub async fn start(
        hall: &Hall,
        device: &DeviceCredential,
        stream: &str,
    ) -> Result<Self, whip::WhipError> {
        Self::sending(hall, device, stream, Sends::H264).await
    }

    /// The same with another codec.
    pub async fn sending(
        hall: &Hall,
        device: &DeviceCredential,
        stream: &str,
        sends: Sends,
    ) -> Result<Self, whip::WhipError> {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let local = socket.local_addr().unwrap();
        let candidate = Candidate::host(local, "udp").unwrap();
        Self::over(hall, device, (stream, sends), Link::Udp(socket), local, candidate).await
    }

    /// H.264 over TCP.
    pub async fn start_tcp(
        hall: &Hall,
        device: &DeviceCredential,
        stream: &str,
    ) -> Result<Self, whip::WhipError> {
        let socket = TcpStream::connect(hall.webrtc).await.unwrap();
        let local = socket.local_addr().unwrap();
        let candidate = Candidate::builder().tcp().host(local).tcptype(TcpType::Active).build().unwrap();
        let link = Link::Tcp(socket, Vec::new());
        Self::over(hall, device, (stream, Sends::H264), link, local, candidate).await
    }

    async fn over(
        hall: &Hall,
        device: &DeviceCredential,
        (stream, sends): (&str, Sends),
        link: Link,
        local: SocketAddr,
        candidate: Candidate,
    ) -> Result<Self, whip::WhipError> {
        let (mut rtc, section, offer, pending) = offer(sends);
        rtc.add_local_candidate(candidate);
        let by = identity(hall, device);
        let session = hall.whip.publish(&name(stream), &by, offer.as_bytes()).await?;
        let answer = session.answer.clone();
        rtc.sdp_api().accept_answer(pending, SdpAnswer::from_sdp_string(&answer).unwrap()).unwrap();
        Ok(Self {
            rtc,
            session,
            link,
            local,
            server: hall.webrtc,
            sends,
            section,
            frames: 0,
            in_gop: 0,
            key_wanted: true,
            began: Instant::now(),
            variant: 0,
            keys_sent: 0,
            connected: false,
            closed: false,
            lose: 0,
            sent_frames: 0,
            answer,
        })
    }

    /// Goes on until it is connected.
    pub async fn connect(&mut self) {
        self.until(|publisher| publisher.connected).await;
        self.began = Instant::now();
    }

    /// Sends pictures for so long.
    pub async fn send_for(&mut self, length: Duration) {
        let end = Instant::now() + length;
        while Instant::now() < end {
            self.step(true).await;
        }
    }

    /// Goes on without pictures until something has come to be.
    pub async fn until(&mut self, is: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !is(self) {
            assert!(start.elapsed() < PATIENCE, "it does not come to be");
            self.step(false).await;
        }
    }

    /// Ends the session by DELETE, a little after the last picture.
    pub async fn finish(&mut self, hall: &Hall, stream: &str) {
        let end = Instant::now() + Duration::from_millis(300);
        while Instant::now() < end {
            self.step(false).await;
        }
        hall.whip.delete(&name(stream), &self.session.id).await.unwrap();
    }

    /// Starts ICE anew by PATCH.
    pub async fn restart_ice(&mut self, hall: &Hall, stream: &str) -> whip::Patched {
        let mut changes = self.rtc.sdp_api();
        let ours = changes.ice_restart(true);
        let (_, pending) = changes.apply().unwrap();
        let body = format!("a=ice-ufrag:{}\r\na=ice-pwd:{}\r\n", ours.ufrag, ours.pass);
        let id = self.session.id.clone();
        let patched = hall.whip.patch(&name(stream), &id, Some("*"), body.as_bytes()).await.unwrap();
        let whip::Patched::Restarted { fragment, .. } = &patched else { panic!("{patched:?}") };
        let (ufrag, password) = whip::Fragment::parse(fragment.as_bytes()).unwrap().credentials.unwrap();
        let value =
            |name: &str| self.answer.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
        let (old_ufrag, old_password) = (value("a=ice-ufrag:"), value("a=ice-pwd:"));
        // The candidates name the user fragment, too.
        let answer = self.answer.replace(&old_ufrag, &ufrag).replace(&old_password, &password);
        let answer = SdpAnswer::from_sdp_string(&answer).unwrap();
        self.rtc.sdp_api().accept_answer(pending, answer).unwrap();
        patched
    }

    async fn step(&mut self, picture: bool) {
        let wake = self.drain().await;
        let due = self.began + self.sends.frame() * self.frames;
        if picture && self.connected && Instant::now() >= due {
            self.send_picture();
            return;
        }
        let wake = if picture { wake.min(due) } else { wake };
        let wait = wake.saturating_duration_since(Instant::now()).min(Duration::from_millis(20));
        let received = tokio::time::timeout(wait.max(Duration::from_millis(1)), self.link.receive()).await;
        let now = Instant::now();
        match received {
            Ok(Some(bytes)) => {
                let (proto, source, destination) = (self.link.protocol(), self.server, self.local);
                if let Ok(received) = Receive::new(proto, source, destination, &bytes) {
                    self.rtc.handle_input(Input::Receive(now, received)).unwrap();
                }
            }
            Ok(None) => self.closed = true,
            Err(_) => self.rtc.handle_input(Input::Timeout(now)).unwrap(),
        }
    }

    async fn drain(&mut self) -> Instant {
        loop {
            match self.rtc.poll_output().unwrap() {
                Output::Timeout(wake) => return wake,
                Output::Transmit(transmit) => {
                    if self.lose > 0 && transmit.contents.len() > 300 {
                        self.lose -= 1;
                        continue;
                    }
                    self.link.send(&transmit.contents, transmit.destination).await;
                }
                Output::Event(Event::Connected) => self.connected = true,
                Output::Event(Event::KeyframeRequest(_)) => self.key_wanted = true,
                Output::Event(Event::Closed) => self.closed = true,
                Output::Event(_) => {}
            }
        }
    }

    fn send_picture(&mut self) {
        let key = std::mem::take(&mut self.key_wanted);
        if key {
            self.in_gop = 0;
            self.keys_sent += 1;
        }
        let data = match self.sends {
            Sends::H264 => self.h264(key),
            Sends::Vp9 => frames::vp9(key),
            Sends::Av1 => frames::av1(key),
            Sends::Opus => frames::OPUS.to_vec(),
        };
        let time = self.sends.time(self.frames);
        let writer = self.rtc.writer(self.section).unwrap();
        let payload = writer.payload_params().next().unwrap().pt();
        writer.write(payload, Instant::now(), time, data).unwrap();
        (self.frames, self.in_gop, self.sent_frames) =
            (self.frames + 1, self.in_gop + 1, self.sent_frames + 1);
    }

    fn h264(&self, key: bool) -> Vec<u8> {
        let mut data = Vec::new();
        if key {
            for set in parameter_sets(self.variant) {
                data.extend([&[0, 0, 0, 1][..], &set].concat());
            }
        }
        data.extend(annex_b(&fixtures::h264_frame(self.in_gop, self.keys_sent, 3000)));
        data
    }
}

impl Link {
    fn protocol(&self) -> Protocol {
        match self {
            Self::Udp(_) => Protocol::Udp,
            Self::Tcp(..) => Protocol::Tcp,
        }
    }

    async fn send(&mut self, contents: &[u8], to: SocketAddr) {
        match self {
            Self::Udp(socket) => drop(socket.send_to(contents, to).await),
            Self::Tcp(socket, _) => {
                let length = u16::try_from(contents.len()).unwrap().to_be_bytes();
                let _ = socket.write_all(&[&length[..], contents].concat()).await;
            }
        }
    }

    /// The next datagram; `None` where the connection is closed. Nothing is lost where it is not
    /// waited for.
    async fn receive(&mut self) -> Option<Vec<u8>> {
        match self {
            Self::Udp(socket) => {
                let mut bytes = vec![0; 2048];
                // An error is that of an earlier datagram: the server is gone.
                let length = socket.recv(&mut bytes).await.unwrap_or(0);
                bytes.truncate(length);
                Some(bytes)
            }
            Self::Tcp(socket, read) => loop {
                if let Some((head, rest)) = read.split_first_chunk::<2>()
                    && let Some(bytes) = rest.get(..usize::from(u16::from_be_bytes(*head)))
                {
                    let bytes = bytes.to_vec();
                    read.drain(..2 + bytes.len());
                    return Some(bytes);
                }
                if socket.read_buf(read).await.unwrap_or(0) == 0 {
                    return None;
                }
            },
        }
    }
}

/// The parameter sets of the fixtures' track.
fn parameter_sets(variant: u8) -> [Bytes; 2] {
    let private: Arc<_> = fixtures::h264_track(variant).into();
    let private = &private.private;
    let length = |at: usize| usize::from(u16::from_be_bytes([private[at], private[at + 1]]));
    let sps = length(6);
    let pps = length(8 + sps + 1);
    [private.slice(8..8 + sps), private.slice(8 + sps + 3..8 + sps + 3 + pps)]
}

/// NAL units behind start codes instead of lengths.
fn annex_b(frame: &[u8]) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), VecDeque::from(frame.to_vec()));
    while rest.len() > 4 {
        let length = u32::from_be_bytes(std::array::from_fn(|_| rest.pop_front().unwrap()));
        bytes.extend([0, 0, 0, 1]);
        bytes.extend(rest.drain(..usize::try_from(length).unwrap()));
    }
    bytes
}
