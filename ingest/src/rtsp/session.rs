//! The state machine of one connection: which request is good when, and what it answers
//! (RFC 2326 §10 and appendix A.2).

use std::sync::Arc;

use catalog::{Device, Principal};
use rtsp_types::{Method, Request, StatusCode, Url, Version, headers};

use super::Server;
use super::auth::{Auth, Claim, Denied};
use super::connection::Peers;
use super::digest::hex;
use super::inbound::Inbound;
use super::recording::{Link, Recording, Track};
use super::reply::{Refusal, Reply};
use super::sdp::{Announcement, Section};
use super::target::Target;
use super::transport::{Agreed, Offer};
use super::udp::UdpPair;
use crate::{Ended, Publisher};

/// Wrong credentials on one connection before it is closed.
const MAX_FAILURES: u32 = 5;
/// What is served, for the `Public` and `Allow` headers.
const METHODS: &str = "OPTIONS, ANNOUNCE, SETUP, RECORD, GET_PARAMETER, SET_PARAMETER, TEARDOWN";

/// One connection's session.
pub(crate) struct Session {
    server: Arc<Server>,
    peers: Peers,
    auth: Auth,
    failures: u32,
    /// What the last request was about, for log lines.
    pub(crate) stream: Option<base::StreamName>,
    pub(crate) stage: Stage,
}

/// How far a session has come.
pub(crate) enum Stage {
    /// No ANNOUNCE yet, or TEARDOWN has been.
    Idle,
    /// The stream is held for this publisher; its tracks are being set up.
    Announced(Box<Announced>),
    /// Media flows.
    Recording(Box<Recording>),
}

/// Between ANNOUNCE and RECORD.
pub(crate) struct Announced {
    id: String,
    target: Target,
    announcement: Announcement,
    recording: Recording,
}

/// The answer to a request.
pub(crate) struct Answer {
    pub(crate) reply: Reply,
    /// Whether the connection must be closed after it.
    pub(crate) close: bool,
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Self { reply, close: false }
    }
}

impl Session {
    /// The session of a connection that has just been made.
    pub(crate) fn new(server: Arc<Server>, peers: Peers) -> Self {
        let auth = Auth::new(peers.secure);
        Self { server, peers, auth, failures: 0, stream: None, stage: Stage::Idle }
    }

    /// Answers a request.
    pub(crate) async fn handle(&mut self, request: &Request<Vec<u8>>) -> Answer {
        match self.dispatch(request).await {
            Ok(answer) => answer,
            Err(refusal) => {
                self.log(&refusal.reason);
                let allow = refusal.status == StatusCode::MethodNotAllowed;
                let reply = Reply::from(refusal);
                Answer::from(if allow { reply.with("Allow", METHODS) } else { reply })
            }
        }
    }

    /// Writes a line about this connection, unless its stream had one within the last second.
    pub(crate) fn log(&self, reason: &str) {
        let stream = self.stream.as_ref().map_or("-", |stream| stream.as_str());
        self.server.log(stream, self.peers.peer, reason);
    }

    async fn dispatch(&mut self, request: &Request<Vec<u8>>) -> Result<Answer, Refusal> {
        if request.version() != Version::V1_0 {
            return Err(Refusal::new(StatusCode::RTSPVersionNotSupported, "speak RTSP/1.0"));
        }
        if let Some(required) = request.header(&headers::REQUIRE) {
            let reason = format!("the feature {} is not supported", required.as_str());
            let refusal = Refusal::new(StatusCode::OptionNotSupported, &reason);
            return Ok(Reply::from(refusal).with("Unsupported", required.as_str()).into());
        }
        match request.method() {
            Method::Options => return Ok(Reply::ok().with("Public", METHODS).into()),
            Method::Redirect | Method::PlayNotify | Method::Extension(_) => {
                let reason = format!("{} is not known here", <&str>::from(request.method()));
                return Err(Refusal::new(StatusCode::NotImplemented, &reason));
            }
            Method::Announce
            | Method::Setup
            | Method::Record
            | Method::GetParameter
            | Method::SetParameter
            | Method::Teardown
            | Method::Describe
            | Method::Play
            | Method::Pause => {}
        }
        match &mut self.stage {
            Stage::Idle => {
                let target = Target::parse(request.request_uri())?;
                self.stream = Some(target.stream.clone());
                match self.authenticate(request, &target) {
                    Ok(device) => self.first_request(request, target, device).await,
                    Err(answer) => Ok(answer),
                }
            }
            Stage::Announced(announced) => {
                let target = Target::parse(request.request_uri())?;
                announced.check(request, &target)?;
                self.announced_request(request, &target).await
            }
            // Keep-alives may name anything.
            Stage::Recording(_) => self.recording_request(request).await,
        }
    }

    /// Before ANNOUNCE.
    async fn first_request(
        &mut self,
        request: &Request<Vec<u8>>,
        target: Target,
        device: Arc<Device>,
    ) -> Result<Answer, Refusal> {
        match request.method() {
            Method::Announce => self.announce(request, target, device).await.map(Answer::from),
            Method::GetParameter | Method::SetParameter => Ok(Reply::ok().into()),
            Method::Describe | Method::Play | Method::Pause => Err(no_playback()),
            Method::Teardown => Err(Refusal::new(StatusCode::SessionNotFound, "there is no session")),
            Method::Setup
            | Method::Record
            | Method::Options
            | Method::Redirect
            | Method::PlayNotify
            | Method::Extension(_) => Err(Refusal::out_of_order("send ANNOUNCE first")),
        }
    }

    /// Between ANNOUNCE and RECORD.
    async fn announced_request(
        &mut self,
        request: &Request<Vec<u8>>,
        target: &Target,
    ) -> Result<Answer, Refusal> {
        match request.method() {
            Method::Setup => self.setup(request, target).await.map(Answer::from),
            Method::Record => self.record().map(Answer::from),
            Method::GetParameter | Method::SetParameter => Ok(Reply::ok().into()),
            Method::Teardown => self.teardown().await.map(Answer::from),
            Method::Describe | Method::Play | Method::Pause => Err(no_playback()),
            Method::Announce
            | Method::Options
            | Method::Redirect
            | Method::PlayNotify
            | Method::Extension(_) => Err(Refusal::out_of_order("the session is already announced")),
        }
    }

    /// While media flows.
    async fn recording_request(&mut self, request: &Request<Vec<u8>>) -> Result<Answer, Refusal> {
        match request.method() {
            Method::GetParameter | Method::SetParameter => Ok(Reply::ok().into()),
            Method::Teardown => self.teardown().await.map(Answer::from),
            Method::Describe | Method::Play | Method::Pause => Err(no_playback()),
            Method::Announce
            | Method::Setup
            | Method::Record
            | Method::Options
            | Method::Redirect
            | Method::PlayNotify
            | Method::Extension(_) => Err(Refusal::out_of_order("the session is already recording")),
        }
    }

    /// Who sends this, or the 401 to answer with.
    fn authenticate(&mut self, request: &Request<Vec<u8>>, target: &Target) -> Result<Arc<Device>, Answer> {
        let claim = Claim {
            method: request.method().into(),
            stream: &target.stream,
            authorization: request.header(&headers::AUTHORIZATION).map(|value| value.as_str()),
        };
        let Server { catalog, clock, entropy, .. } = &*self.server;
        let device_of = |username: &str| catalog.device_by_username(username);
        let denied = match self.auth.check(&claim, &**clock, device_of) {
            Ok(device) => return Ok(device),
            Err(denied) => denied,
        };
        let challenges = self.auth.challenges(denied, &**clock, &**entropy);
        let reason = match denied {
            Denied::Missing => "credentials are needed",
            Denied::Stale => "the nonce has expired: answer the fresh one",
            Denied::Wrong => "wrong username or password",
        };
        if denied == Denied::Wrong {
            self.failures += 1;
            self.log(reason);
        }
        let mut reply = Reply::from(Refusal::new(StatusCode::Unauthorized, reason));
        for challenge in challenges {
            reply = reply.with("WWW-Authenticate", challenge);
        }
        Err(Answer { reply, close: self.failures >= MAX_FAILURES })
    }

    async fn announce(
        &mut self,
        request: &Request<Vec<u8>>,
        target: Target,
        device: Arc<Device>,
    ) -> Result<Reply, Refusal> {
        let kind = request.header(&headers::CONTENT_TYPE).map(|value| value.as_str());
        if kind.is_some_and(|kind| !kind.trim().to_ascii_lowercase().starts_with("application/sdp")) {
            let reason = "the description is not of type application/sdp";
            return Err(Refusal::new(StatusCode::UnsupportedMediaType, reason));
        }
        let announcement = Announcement::parse(request.body())?;
        self.check_codecs(&announcement)?;
        let principal = Principal::Device(device);
        let publisher = Publisher { peer: self.peers.peer, principal: principal.clone() };
        let recorder = self.server.ingest.publish(&target.stream, &publisher).await?;
        let id = hex(&self.server.entropy.bytes::<8>());
        let ssrc = u32::from_be_bytes(self.server.entropy.bytes());
        let recording = Recording::new(recorder, principal, ssrc);
        let reply = Reply::ok().with("Session", self.session_header(&id));
        self.stage = Stage::Announced(Box::new(Announced { id, target, announcement, recording }));
        Ok(reply)
    }

    /// Whether every audio and video section can be recorded, and whether there is any.
    fn check_codecs(&self, announcement: &Announcement) -> Result<(), Refusal> {
        let limits = &self.server.limits;
        let mut tracks = 0;
        for (number, section) in announcement.tracks() {
            Inbound::new(number, section, false, limits)?;
            tracks += 1;
        }
        if tracks == 0 {
            let reason = "the SDP announces neither video nor audio";
            return Err(Refusal::new(StatusCode::UnsupportedMediaType, reason));
        }
        if tracks > limits.tracks {
            let reason = format!("the SDP announces {tracks} tracks: a stream has at most {}", limits.tracks);
            return Err(Refusal::bad(&reason));
        }
        Ok(())
    }

    async fn setup(&mut self, request: &Request<Vec<u8>>, target: &Target) -> Result<Reply, Refusal> {
        let Stage::Announced(announced) = &mut self.stage else {
            return Err(Refusal::out_of_order("send ANNOUNCE first"));
        };
        let (number, section) = announced.track(request.request_uri(), target)?;
        let Peers { peer, local, secure } = self.peers;
        let header = request.header(&headers::TRANSPORT).map_or("", |value| value.as_str());
        let offer = Offer::choose(header, secure).ok_or_else(|| {
            let reason =
                format!("Transport {header:?} cannot be taken: use unicast RTP/AVP with mode=record");
            Refusal::new(StatusCode::UnsupportedTransport, &reason)
        })?;
        let udp = matches!(offer, Offer::Udp { .. });
        let section = Section { key_request: section.asks_publisher(udp), ..section.clone() };
        let inbound = Inbound::new(number, &section, udp, &self.server.limits)?;
        let (link, agreed) = match offer {
            Offer::Interleaved(wish) => {
                let (rtp, rtcp) = announced.recording.channels(number, wish);
                (Link::Interleaved(rtp, rtcp), Agreed::Interleaved(rtp, rtcp))
            }
            Offer::Udp { client } => {
                let pair = UdpPair::open(local.ip(), peer.ip(), client.1).await?;
                let agreed = Agreed::Udp { client, server: pair.ports()? };
                (Link::Udp(pair), agreed)
            }
        };
        announced.recording.set_up(Track { inbound, link });
        let session = announced.id.clone();
        let transport = agreed.header(section.feedback);
        Ok(Reply::ok().with("Transport", transport).with("Session", self.session_header(&session)))
    }

    fn record(&mut self) -> Result<Reply, Refusal> {
        let Stage::Announced(announced) = &mut self.stage else {
            return Err(Refusal::out_of_order("send ANNOUNCE first"));
        };
        announced.recording.begin()?;
        let session = announced.id.clone();
        let reply = Reply::ok().with("Session", self.session_header(&session));
        if let Stage::Announced(announced) = std::mem::replace(&mut self.stage, Stage::Idle) {
            let (Peers { peer, secure, .. }, stream) = (self.peers, &announced.target.stream);
            tracing::info!(%stream, %peer, secure, "publishing");
            self.stage = Stage::Recording(Box::new(announced.recording));
        }
        Ok(reply)
    }

    async fn teardown(&mut self) -> Result<Reply, Refusal> {
        self.end(Ended::Teardown).await;
        Ok(Reply::ok())
    }

    /// Resolves when another publisher takes over the stream that this one holds.
    pub(crate) async fn superseded(&self) {
        match &self.stage {
            Stage::Idle => std::future::pending().await,
            Stage::Announced(announced) => announced.recording.superseded().await,
            Stage::Recording(recording) => recording.superseded().await,
        }
    }

    /// Ends the session: what was received is stored, the stream is free.
    pub(crate) async fn end(&mut self, why: Ended) {
        let recording = match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Idle => return,
            Stage::Announced(announced) => announced.recording,
            Stage::Recording(recording) => {
                let stream = self.stream.as_ref().map_or("-", |stream| stream.as_str());
                tracing::info!(stream, peer = %self.peers.peer, ?why, "publishing ended");
                *recording
            }
        };
        if let Err(error) = recording.finish(why).await {
            self.log(&error.to_string());
        }
    }

    fn session_header(&self, id: &str) -> String {
        format!("{id};timeout={}", self.server.limits.rtsp_idle.as_secs().max(1))
    }
}

impl Announced {
    /// The track that a SETUP's URL means.
    fn track(&self, url: Option<&Url>, target: &Target) -> Result<(u8, &Section), Refusal> {
        let section = url.and_then(|url| self.announcement.find(url, target)).ok_or_else(|| {
            Refusal::new(StatusCode::NotFound, "the SDP has no track with this control URL")
        })?;
        let found = self.announcement.tracks().find(|(_, track)| std::ptr::eq(*track, section));
        found.ok_or_else(|| {
            let encoding = &section.format.encoding;
            let reason = format!("{encoding} is neither video nor audio: do not set it up");
            Refusal::new(StatusCode::UnsupportedMediaType, &reason)
        })
    }

    /// Whether a request is of this session.
    fn check(&self, request: &Request<Vec<u8>>, target: &Target) -> Result<(), Refusal> {
        let given = request.header(&headers::SESSION).map(|value| value.as_str());
        let id = given.map(|text| text.split(';').next().unwrap_or_default().trim());
        if id.is_some_and(|id| id != self.id) {
            return Err(Refusal::new(StatusCode::SessionNotFound, "this connection has another session"));
        }
        if target.stream != self.target.stream {
            let reason = format!("this session publishes to {}", self.target.stream);
            return Err(Refusal::bad(&reason));
        }
        Ok(())
    }
}

fn no_playback() -> Refusal {
    Refusal::new(StatusCode::MethodNotAllowed, "streams are not played over RTSP: use HLS")
}
