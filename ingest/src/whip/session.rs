//! One publisher's session: ICE, DTLS, SRTP and RTCP by str0m, and what it hands out to the recorder.
//!
//! A task for each session owns all of it, as for each RTSP connection: no locks, all processors at
//! work, and a publisher whose disk is slow holds up nobody else. The port's task only sorts
//! datagrams, which costs next to nothing beside their decryption.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use catalog::Principal;
use str0m::change::SdpOffer;
use str0m::media::KeyframeRequestKind;
use str0m::net::{Protocol, Receive, Transmit};
use str0m::{Event, IceConnectionState, IceCreds, Input, Output, Rtc, RtcError};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::Server;
use super::offer::with_credentials;
use super::routes::{Datagram, Inbox, Via};
use super::tracks::Tracks;
use crate::{Ended, IngestError};

/// Addresses that a publisher may send from in the life of its session; it has a handful.
const MAX_PATHS: usize = 64;
/// Sources of packets in the life of a session: layers, their repetitions, and changes of both.
const MAX_SSRCS: usize = 64;
/// Datagrams taken before others have their turn.
const BATCH: usize = 64;
/// How often the credential is looked at and deadlines are checked, at most.
const TICK: Duration = Duration::from_secs(1);

/// A DTLS record of no known version, which is read and dropped (RFC 6347 §4.1.2.7).
const NO_RECORD: [u8; 13] = [22, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// What is asked of a session.
pub(super) enum Command {
    /// To start ICE anew with these credentials of the publisher, and to answer its own.
    Restart(IceCreds, oneshot::Sender<Result<IceCreds, String>>),
    /// To end, and to say when everything is stored.
    Stop(oneshot::Sender<()>),
}

/// Why a session ends.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("deleted")]
    Deleted(oneshot::Sender<()>),
    #[error("the publisher said goodbye")]
    Goodbye,
    #[error("nothing came for 15 s")]
    Silent,
    #[error("no connection was made within {0:?}")]
    HalfMade(Duration),
    #[error("{0}")]
    Rtc(#[from] RtcError),
    #[error("{0}")]
    Ingest(#[from] IngestError),
    #[error("nothing came, and another publisher has taken the stream over")]
    Superseded,
    #[error("the credential of {0} was revoked")]
    Revoked(String),
    #[error("the server shuts down")]
    Shutdown,
}

impl End {
    /// What the stream's health says about it.
    fn kind(&self) -> Ended {
        match self {
            Self::Deleted(_) => Ended::Teardown,
            Self::Goodbye => Ended::Disconnected,
            Self::Silent | Self::HalfMade(_) | Self::Superseded => Ended::TimedOut,
            Self::Rtc(_) => Ended::ProtocolError,
            Self::Ingest(_) | Self::Revoked(_) => Ended::Refused,
            Self::Shutdown => Ended::Shutdown,
        }
    }
}

/// A session that has been answered.
pub(super) struct Session {
    pub(super) server: Arc<Server>,
    pub(super) place: Place,
    pub(super) stream: String,
    pub(super) principal: Principal,
    /// Where the offer came from; the media may come from elsewhere.
    pub(super) peer: SocketAddr,
    pub(super) offer: String,
    pub(super) rtc: Box<Rtc>,
    pub(super) tracks: Tracks,
    pub(super) datagrams: mpsc::Receiver<Datagram>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) state: State,
}

/// Where a session is found: by HTTP, and by the port. Gone with the session, however that ends.
pub(super) struct Place {
    server: Arc<Server>,
    id: String,
    ufrag: String,
    addresses: Vec<SocketAddr>,
    inbox: Inbox,
}

impl Place {
    /// The session `id`, whose checks come with this user fragment.
    pub(super) fn new(server: &Arc<Server>, id: &str, ufrag: &str, inbox: Inbox) -> Self {
        server.routes.add_ufrag(ufrag, &inbox);
        let (id, ufrag) = (id.to_owned(), ufrag.to_owned());
        Self { server: Arc::clone(server), id, ufrag, addresses: Vec::new(), inbox }
    }

    fn add_address(&mut self, address: SocketAddr) {
        self.server.routes.add_address(address, &self.inbox);
        self.addresses.push(address);
    }

    fn change_ufrag(&mut self, ufrag: &str) {
        self.server.routes.remove_ufrag(&self.ufrag);
        self.server.routes.add_ufrag(ufrag, &self.inbox);
        ufrag.clone_into(&mut self.ufrag);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.server.forget(&self.id);
        self.server.routes.remove_ufrag(&self.ufrag);
        for address in &self.addresses {
            self.server.routes.remove_address(*address, &self.inbox);
        }
    }
}

/// What changes while it goes on.
pub(super) struct State {
    /// Whether ICE and DTLS are done.
    connected: bool,
    /// When they must be, or be again.
    deadline: Option<Duration>,
    /// The addresses that the publisher has proved to send from, and how it is reached there.
    paths: HashMap<SocketAddr, Via>,
    ssrcs: Vec<u32>,
    /// The datagram in hand: where it came from, and when.
    from: Option<(SocketAddr, Via)>,
    now: Duration,
    /// When the credential was looked at last.
    ticked: Duration,
}

impl State {
    /// Of a session answered at `now`, which must be connected by `deadline` (both monotonic).
    pub(super) fn new(now: Duration, deadline: Duration) -> Self {
        Self {
            connected: false,
            deadline: Some(deadline),
            paths: HashMap::new(),
            ssrcs: Vec::new(),
            from: None,
            now,
            ticked: now,
        }
    }
}

impl Session {
    /// Serves the session until it ends; `stop` resolves when the server shuts down.
    pub(super) async fn run(mut self: Box<Self>, stop: Pin<&mut impl Future<Output = ()>>) {
        let end = match self.converse(stop).await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        let (stream, peer) = (&self.stream, self.peer);
        if self.state.connected {
            tracing::info!(%stream, %peer, why = %end, "publishing by WebRTC ended");
        } else {
            self.server.log(stream, peer, &end.to_string());
        }
        self.say_goodbye();
        let Self { server, place, stream, peer, tracks, .. } = *self;
        drop(place);
        if let Err(error) = tracks.finish(end.kind()).await {
            server.log(&stream, peer, &error.to_string());
        }
        if let End::Deleted(stored) = end {
            let _ = stored.send(());
        }
    }

    async fn converse(&mut self, mut stop: Pin<&mut impl Future<Output = ()>>) -> Result<Never, End> {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let wake = self.drain().await?.min(self.server.moment(self.state.now + TICK));
            tokio::select! {
                biased;
                () = &mut stop => return Err(End::Shutdown),
                Some(command) = self.commands.recv() => self.command(command)?,
                _ = self.datagrams.recv_many(&mut batch, BATCH) => {
                    for datagram in batch.drain(..) {
                        self.receive(datagram).await?;
                    }
                }
                () = self.tracks.recorder().superseded() => return Err(End::Superseded),
                () = sleep_until(Instant::from_std(wake)) => {
                    self.state.now = self.server.clock.monotonic();
                    self.rtc.handle_input(Input::Timeout(self.server.moment(self.state.now)))?;
                    self.prompt_handshake()?;
                }
            }
            self.ask_for_key_frames();
            self.check()?;
        }
    }

    /// Takes a datagram. One that makes no sense is dropped: anyone may send anything.
    async fn receive(&mut self, datagram: Datagram) -> Result<(), End> {
        let Datagram { source, via, bytes, arrival } = datagram;
        if !self.is_welcome(source, &bytes) {
            return Ok(());
        }
        let (proto, destination) = self.arrived(&via);
        let Ok(received) = Receive::new(proto, source, destination, &bytes) else { return Ok(()) };
        self.state.from = Some((source, via));
        self.state.now = arrival;
        self.rtc.handle_input(Input::Receive(self.server.moment(arrival), received))?;
        self.drain().await?;
        Ok(())
    }

    /// Until DTLS is done: OpenSSL sends a flight again when its time is up, but looks at the time only when it reads,
    /// and str0m lets it read only what has come. Where this side says hello first and that is lost, nothing ever
    /// comes: ffmpeg 8.1 reads the first one before it is ready for it.
    fn prompt_handshake(&mut self) -> Result<(), End> {
        let known = |(source, _): &&(SocketAddr, Via)| self.state.paths.contains_key(source);
        let Some((source, via)) = self.state.from.as_ref().filter(known) else { return Ok(()) };
        if self.state.connected {
            return Ok(());
        }
        let (proto, destination) = self.arrived(via);
        let Ok(nothing) = Receive::new(proto, *source, destination, &NO_RECORD) else { return Ok(()) };
        Ok(self.rtc.handle_input(Input::Receive(self.server.moment(self.state.now), nothing))?)
    }

    /// How a datagram came that way, to str0m.
    fn arrived(&self, via: &Via) -> (Protocol, SocketAddr) {
        match via {
            Via::Udp(to) => (Protocol::Udp, self.server.candidate_for(*to)),
            Via::Tcp(to, _) => (Protocol::Tcp, self.server.candidate_for(*to)),
        }
    }

    /// Whether a datagram is looked at: from a known address, or from a new one while there may be
    /// more; media of a known source, or of a new one while there may be more.
    fn is_welcome(&mut self, source: SocketAddr, bytes: &[u8]) -> bool {
        let State { paths, ssrcs, .. } = &mut self.state;
        if paths.len() >= MAX_PATHS && !paths.contains_key(&source) {
            return false;
        }
        // RTP, and not RTCP (RFC 5761 §4).
        let is_rtp = matches!(bytes, [128..192, kind, ..] if !(64..96).contains(&(kind & 0x7f)));
        let Some(ssrc) = bytes.get(8..12).filter(|_| is_rtp) else { return true };
        let ssrc = u32::from_be_bytes([ssrc[0], ssrc[1], ssrc[2], ssrc[3]]);
        if !ssrcs.contains(&ssrc) {
            if ssrcs.len() >= MAX_SSRCS {
                return false;
            }
            ssrcs.push(ssrc);
        }
        true
    }

    /// Does all that is due, and says when something will be again.
    async fn drain(&mut self) -> Result<std::time::Instant, End> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(wake) => return Ok(wake),
                Output::Transmit(transmit) => self.transmit(transmit),
                Output::Event(event) => self.event(event).await?,
            }
        }
    }

    async fn event(&mut self, event: Event) -> Result<(), End> {
        let now = self.state.now;
        match event {
            Event::Connected => {
                (self.state.connected, self.state.deadline) = (true, None);
                tracing::info!(stream = %self.stream, peer = %self.peer, "publishing by WebRTC");
            }
            Event::IceConnectionStateChange(IceConnectionState::Disconnected)
                if self.state.deadline.is_none() =>
            {
                return Err(End::Silent);
            }
            Event::IceConnectionStateChange(state) if state.is_connected() && self.state.connected => {
                self.state.deadline = None;
            }
            Event::Closed => return Err(End::Goodbye),
            Event::RtpPacket(packet) => {
                let ssrc = packet.header.ssrc;
                let layer = self.rtc.direct_api().stream_rx(&ssrc).map(|stream| (stream.mid(), stream.rid()));
                if let Some(layer) = layer {
                    self.tracks.packet(layer, packet, now, &self.server.limits).await?;
                }
                if let Some(error) = self.tracks.take_trouble() {
                    self.server.log(&self.stream, self.peer, &error.to_string());
                }
            }
            Event::SenderFeedback(report) => self.tracks.report(&report, now),
            _ => {}
        }
        Ok(())
    }

    /// Sends on the path that the publisher was last heard on from there. An answer to a check proves
    /// that the check was the publisher's: from then on its address is known.
    fn transmit(&mut self, transmit: Transmit) {
        let to = transmit.destination;
        let State { paths, from, .. } = &mut self.state;
        if let Some((source, via)) = from.as_ref().filter(|(source, _)| *source == to)
            && paths.insert(*source, via.clone()).is_none()
        {
            self.place.add_address(*source);
        }
        match paths.get(&to) {
            Some(Via::Udp(local)) => self.server.port.send(&transmit.contents, to, *local),
            Some(Via::Tcp(_, outbox)) => {
                let _ = outbox.try_send(transmit.contents.into());
            }
            None => {}
        }
    }

    fn ask_for_key_frames(&mut self) {
        for (mid, rid) in self.tracks.key_frames_due(self.state.now, self.server.limits.fragment_target) {
            if let Some(stream) = self.rtc.direct_api().stream_rx_by_mid(mid, rid) {
                stream.request_keyframe(KeyframeRequestKind::Pli);
                self.tracks.recorder().key_frame_requested();
            }
        }
    }

    /// What is looked at once a second.
    fn check(&mut self) -> Result<(), End> {
        let now = self.server.clock.monotonic();
        if now.saturating_sub(self.state.ticked) < TICK {
            return Ok(());
        }
        self.state.ticked = now;
        if !self.server.catalog.stands(&self.principal) {
            return Err(End::Revoked(self.principal.name().to_owned()));
        }
        match self.state.deadline {
            Some(deadline) if now >= deadline && self.state.connected => Err(End::Silent),
            Some(deadline) if now >= deadline => Err(End::HalfMade(self.server.limits.handshake)),
            Some(_) | None => Ok(()),
        }
    }

    fn command(&mut self, command: Command) -> Result<(), End> {
        match command {
            Command::Stop(stored) => Err(End::Deleted(stored)),
            Command::Restart(theirs, answer) => {
                let _ = answer.send(self.restart(&theirs));
                Ok(())
            }
        }
    }

    /// Starts ICE anew; media goes on over the old path until there is a new one.
    fn restart(&mut self, theirs: &IceCreds) -> Result<IceCreds, String> {
        // To str0m a restart is the same offer with other credentials.
        let offer = with_credentials(&self.offer, &theirs.ufrag, &theirs.pass);
        let offer = SdpOffer::from_sdp_string(&offer).map_err(|error| error.to_string())?;
        self.rtc.sdp_api().accept_offer(offer).map_err(|error| error.to_string())?;
        let ours = self.rtc.direct_api().local_ice_credentials();
        self.place.change_ufrag(&ours.ufrag);
        self.state.deadline = Some(self.server.clock.monotonic() + self.server.limits.handshake);
        Ok(ours)
    }

    /// Tells the publisher that it is over, where there is a path to it.
    fn say_goodbye(&mut self) {
        if self.rtc.close().is_err() {
            return;
        }
        while let Ok(output) = self.rtc.poll_output() {
            match output {
                Output::Transmit(transmit) => self.transmit(transmit),
                Output::Event(_) => {}
                Output::Timeout(_) => return,
            }
        }
    }
}

/// A conversation has no other outcome than its end.
enum Never {}
