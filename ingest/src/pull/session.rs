//! One connection to a source, from its name to its end.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use base::StreamName;
use catalog::Principal;
use rtsp_types::{Response, StatusCode, headers};
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::client::{Client, Wire};
use super::connect::{Connected, connect, encrypt};
use super::description::Description;
use super::dialogue::Dialogue;
use super::health::{Agreed, Book};
#[cfg(feature = "gstreamer")]
use super::muxed::Muxed;
use super::target::Target;
use super::transport::SessionHeader;
use super::{PullError, PullOptions};
use crate::Ended;
use crate::rtsp::beat::Beat;
use crate::rtsp::recording::Recording;
use crate::rtsp::socket::Socket;
use crate::rtsp::udp;
use crate::rtsp::wire::Incoming;

/// Read at a time while media flows: many packets in one system call.
const MEDIA_CHUNK: usize = 64 * 1024;
/// How often silence, keep-alives and reports are looked after.
const TICK: Duration = Duration::from_secs(1);
/// Ticks from one receiver report to the next.
const REPORT_TICKS: u32 = 5;
/// Keep-alives go out this often at least, whatever the camera's timeout.
const KEEP_ALIVE: Duration = Duration::from_secs(25);
/// How long a camera may take to hear that a session ends.
const GOODBYE: Duration = Duration::from_secs(1);

/// A session that the camera may still count, because it could not be told of its end.
#[derive(Clone, Debug)]
pub(super) struct Lost {
    url: String,
    session: String,
    /// When the camera forgets it (monotonic).
    pub(super) until: Duration,
}

/// How a connection ended.
#[derive(Debug)]
pub(super) struct Outcome {
    /// `None` where it was told to stop.
    pub(super) error: Option<PullError>,
    /// When media came in first (monotonic), if it did.
    pub(super) online: Option<Duration>,
    pub(super) lost: Option<Lost>,
}

/// What a connection needs.
pub(super) struct Attempt<'a> {
    pub(super) options: &'a PullOptions,
    pub(super) beat: Beat,
    pub(super) stream: &'a StreamName,
    pub(super) target: &'a Target,
    pub(super) book: &'a Book,
    /// Whether media came in over an earlier connection.
    pub(super) again: bool,
    /// A session to be ended first, because the camera has room for no other.
    pub(super) lost: Option<&'a Lost>,
}

/// A connection whose session plays.
struct Playing<'a, S> {
    attempt: &'a Attempt<'a>,
    client: Client<'a, S>,
    recording: Recording,
    url: String,
    agreed: Agreed,
    /// `GET_PARAMETER`, or `OPTIONS` where the camera does not know that.
    keep_alive: &'static str,
    keep_alive_every: Duration,
    /// When a keep-alive was sent last (monotonic).
    kept_alive: Duration,
    began: Duration,
    online: Option<Duration>,
    ticks: u32,
}

impl<'a> Attempt<'a> {
    /// Pulls until the connection ends or `stop` resolves.
    pub(super) async fn run(&'a self, mut stop: Pin<&mut impl Future<Output = ()>>) -> Outcome {
        let url = &self.target.url;
        #[cfg(feature = "gstreamer")]
        if url.is_played() {
            return Box::pin(self.play(stop)).await;
        }
        let patience = self.options.timing.answer;
        let connected = tokio::select! {
            () = &mut stop => return Outcome::stopped(),
            connected = connect(url, &self.options.rules, patience) => connected,
        };
        let Connected { stream, local, peer } = match connected {
            Ok(connected) => connected,
            Err(error) => return Outcome::failed(error),
        };
        if !url.secure {
            return Box::pin(self.converse(Socket::new(stream), local, peer, stop)).await;
        }
        let encrypted = tokio::select! {
            () = &mut stop => return Outcome::stopped(),
            encrypted = encrypt(stream, url, &self.options.tls, patience) => encrypted,
        };
        match encrypted {
            Ok(stream) => Box::pin(self.converse(stream, local, peer, stop)).await,
            Err(error) => Outcome::failed(error),
        }
    }

    async fn converse(
        &'a self,
        stream: impl Wire,
        local: SocketAddr,
        peer: SocketAddr,
        mut stop: Pin<&mut impl Future<Output = ()>>,
    ) -> Outcome {
        let entropy = &*self.options.entropy;
        let patience = self.options.timing.answer;
        let mut client = Client::new(stream, self.target.url.credentials.as_ref(), entropy, patience);
        let begun = tokio::select! {
            () = &mut stop => None,
            begun = self.begin(&mut client, local, peer) => Some(begun),
        };
        let now = self.options.clock.monotonic();
        match begun.transpose() {
            Ok(Some((recording, description, agreed, keep_alive))) => {
                let timeout = client.session.as_ref().map_or(KEEP_ALIVE, |session| session.timeout);
                let playing = Playing {
                    attempt: self,
                    client,
                    recording,
                    url: description.aggregate,
                    agreed,
                    keep_alive,
                    keep_alive_every: (timeout / 2).min(KEEP_ALIVE),
                    kept_alive: now,
                    began: now,
                    online: None,
                    ticks: 0,
                };
                playing.run(stop).await
            }
            told => {
                let error = told.err();
                let lost = say_goodbye(&mut client, &self.target.url.request, error.as_ref(), now).await;
                Outcome { error, online: None, lost }
            }
        }
    }

    /// DESCRIBE, SETUP and PLAY: from a connection to media.
    async fn begin<S: Wire>(
        &self,
        client: &mut Client<'a, S>,
        local: SocketAddr,
        peer: SocketAddr,
    ) -> Result<(Recording, Description, Agreed, &'static str), PullError> {
        let request = &self.target.url.request;
        let keep_alive = match client.request("OPTIONS", request, &[]).await {
            Ok(options) if knows(&options, "GET_PARAMETER") => "GET_PARAMETER",
            // Some know no OPTIONS before DESCRIBE has signed in.
            Ok(_) | Err(PullError::Refused { .. }) => "OPTIONS",
            Err(error) => return Err(error),
        };
        let Self { options, target, .. } = *self;
        let mut dialogue = Dialogue { client, local, peer, options, target };
        let description = dialogue.describe().await?;
        if let Some(lost) = self.lost {
            end_lost(dialogue.client, lost).await?;
        }
        // Held before SETUP, so that a camera is not asked for what cannot be recorded.
        let recorder = self.options.ingest.pull(self.stream, peer, self.target.timestamps).await?;
        let ssrc = u32::from_be_bytes(self.options.entropy.bytes());
        let mut recording = Recording::new(recorder, Principal::Source, ssrc);
        #[cfg(feature = "gstreamer")]
        if description.is_muxed() {
            recording = recording.demuxed(Muxed::start(options.limits.tracks).await?);
        }
        let (tracks, transport) = dialogue.set_up(&description).await?;
        tracks.into_iter().for_each(|track| recording.set_up(track));
        recording.begin()?;
        // What came before is of a session that some earlier connection lost.
        client.early.clear();
        client.request("PLAY", &description.aggregate, &[("Range", "npt=0.000-")]).await?;
        let agreed = Agreed { transport, left_out: description.left_out.clone() };
        Ok((recording, description, agreed, keep_alive))
    }
}

impl Outcome {
    pub(super) fn stopped() -> Self {
        Self { error: None, online: None, lost: None }
    }

    pub(super) fn failed(error: PullError) -> Self {
        Self { error: Some(error), online: None, lost: None }
    }
}

impl<S: Wire> Playing<'_, S> {
    async fn run(mut self, stop: Pin<&mut impl Future<Output = ()>>) -> Outcome {
        let ended = self.receive(stop).await.err();
        let now = self.attempt.options.clock.monotonic();
        let lost = say_goodbye(&mut self.client, &self.url, ended.as_ref(), now).await;
        let why = ended.as_ref().map_or(Ended::Teardown, PullError::ended);
        let stored = self.recording.finish(why).await;
        let error = ended.or_else(|| stored.err().map(PullError::Ingest));
        Outcome { error, online: self.online, lost }
    }

    /// Takes what comes until the connection ends; `Ok` when told to stop.
    async fn receive(&mut self, mut stop: Pin<&mut impl Future<Output = ()>>) -> Result<(), PullError> {
        let clock = Arc::clone(&self.attempt.options.clock);
        self.client.framer.set_chunk(MEDIA_CHUNK);
        self.client.framer.skip_junk();
        self.client.stream.socket().pace(self.attempt.beat).map_err(PullError::Broken)?;
        for (channel, payload) in std::mem::take(&mut self.client.early) {
            self.recording.packet(channel, payload, clock.monotonic()).await?;
        }
        let mut ticks = interval_at(Instant::now() + TICK, TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut arrival = clock.monotonic();
        loop {
            while let Some(incoming) = self.client.framer.pop()? {
                self.take(incoming, arrival).await?;
            }
            #[cfg(feature = "gstreamer")]
            if let Some(failure) = self.recording.muxed().and_then(Muxed::take_failure) {
                return Err(failure);
            }
            self.note_online();
            let pairs = self.recording.udp_pairs();
            tokio::select! {
                biased;
                () = &mut stop => return Ok(()),
                _ = ticks.tick() => self.tick(clock.monotonic()).await?,
                read = self.client.stream.read_buf(self.client.framer.space()) => {
                    if read.map_err(PullError::Broken)? == 0 {
                        return Err(PullError::Closed);
                    }
                    arrival = clock.monotonic();
                }
                () = self.recording.superseded() => return Err(PullError::Superseded),
                () = udp::readable(pairs) => drop(self.recording.datagrams(clock.monotonic()).await?),
            }
        }
    }

    async fn take(&mut self, incoming: Incoming, arrival: Duration) -> Result<(), PullError> {
        match incoming {
            Incoming::Packet { channel, payload } => {
                Ok(self.recording.packet(channel, payload, arrival).await?)
            }
            Incoming::Request(request) => self.client.answer(&request).await,
            Incoming::Response(response) => self.kept_alive(&response),
        }
    }

    /// The answer to a keep-alive.
    fn kept_alive(&mut self, response: &Response<Vec<u8>>) -> Result<(), PullError> {
        match response.status() {
            StatusCode::Unauthorized => self.client.sign_in(response),
            StatusCode::SessionNotFound => {
                let reason = response.reason_phrase().to_owned();
                Err(PullError::Refused {
                    method: self.keep_alive,
                    status: StatusCode::SessionNotFound,
                    reason,
                })
            }
            status if status.is_client_error() || status.is_server_error() => {
                self.keep_alive = "OPTIONS";
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// What is due every second.
    async fn tick(&mut self, now: Duration) -> Result<(), PullError> {
        let silence = self.attempt.options.timing.silence;
        let heard = self.recording.heard().unwrap_or(self.began);
        if now.saturating_sub(heard) >= silence {
            return Err(PullError::Silent(silence));
        }
        if now.saturating_sub(self.kept_alive) >= self.keep_alive_every {
            self.kept_alive = now;
            self.client.send(self.keep_alive, &self.url).await?;
        }
        for (channel, request) in self.recording.request_key_frames(now) {
            self.client.send_packet(channel, &request).await?;
        }
        self.ticks += 1;
        if self.ticks.is_multiple_of(REPORT_TICKS) {
            self.recording.send_reports(now);
            if let Some(trouble) = self.recording.take_trouble() {
                tracing::debug!(stream = %self.attempt.stream, %trouble, "a packet makes no sense");
            }
        }
        Ok(())
    }

    /// Tells health once, when the first packet has come; of a transport stream, when its tracks are known.
    fn note_online(&mut self) {
        if self.online.is_some() || self.recording.heard().is_none() {
            return;
        }
        #[cfg(feature = "gstreamer")]
        if let Some(muxed) = self.recording.muxed() {
            if !muxed.is_open() {
                return;
            }
            self.agreed.left_out.extend(muxed.take_left_out());
        }
        let Attempt { options, stream, target, book, again, .. } = self.attempt;
        self.online = self.recording.heard();
        book.online(options.clock.now(), self.agreed.clone(), !again);
        let Agreed { transport, left_out } = &self.agreed;
        tracing::info!(%stream, source = %target.url, transport, ?left_out, "pulling");
    }
}

/// Ends a session that an earlier connection lost. Cameras may answer what they like: one that has
/// forgotten it says 454.
async fn end_lost<S: Wire>(client: &mut Client<'_, S>, lost: &Lost) -> Result<(), PullError> {
    let session = lost.session.clone();
    let own = client.session.replace(SessionHeader { id: session, timeout: KEEP_ALIVE });
    let ended = client.request("TEARDOWN", &lost.url, &[]).await;
    client.session = own;
    match ended {
        Ok(_) | Err(PullError::Refused { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Ends the session, if there is one; answers with it where the camera cannot be told.
async fn say_goodbye<S: Wire>(
    client: &mut Client<'_, S>,
    url: &str,
    ended: Option<&PullError>,
    now: Duration,
) -> Option<Lost> {
    let SessionHeader { id, timeout: lasts } = client.session.clone()?;
    let lost = Some(Lost { url: url.to_owned(), session: id, until: now + lasts });
    if matches!(ended, Some(PullError::Closed | PullError::Broken(_) | PullError::Wire(_))) {
        return lost;
    }
    match timeout(GOODBYE, client.request("TEARDOWN", url, &[])).await {
        Ok(Ok(_) | Err(PullError::Refused { .. })) => None,
        Ok(Err(_)) | Err(_) => lost,
    }
}

/// Whether a method stands in the `Public` header.
fn knows(options: &Response<Vec<u8>>, method: &str) -> bool {
    let public = options.header(&headers::PUBLIC).map_or("", |value| value.as_str());
    public.split(',').any(|known| known.trim().eq_ignore_ascii_case(method))
}
