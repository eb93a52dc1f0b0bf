//! One connection: bytes in, replies out, until either side ends it. One task, no queues: packets go
//! in a straight line from the read buffer to the recorder.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rtsp_types::{Request, StatusCode, headers};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::Server;
use super::reply::{Refusal, Reply};
use super::session::{Answer, Session, Stage};
use super::socket::OverTcp;
use super::udp;
use super::wire::{Framer, Incoming, WireError, interleaved};
use crate::{Ended, IngestError};

/// Read at a time while media flows: many packets in one system call.
const MEDIA_CHUNK: usize = 64 * 1024;
/// How often reports are sent, the credential is looked at and deadlines are checked, at most.
const TICK: Duration = Duration::from_secs(5);
/// How long a refused client may go on sending before the connection is cut, so that it can read
/// why: closing with unread bytes makes TCP drop the reply.
const LINGER: Duration = Duration::from_secs(2);
/// … or sends this much more, which is more than a mistaken client has on its way.
const LINGER_BYTES: usize = 1024 * 1024;
/// How long a client may take to read a reply.
const REPLY_PATIENCE: Duration = Duration::from_secs(5);

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    /// The peer closed it.
    #[error("the connection was closed")]
    Closed,
    /// It broke.
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    /// What came is not RTSP.
    #[error("{0}")]
    Wire(#[from] WireError),
    /// The peer stopped in the middle of something, or never began.
    #[error("nothing came for {0:?}")]
    Silent(Duration),
    /// The peer does not read what it is answered.
    #[error("the peer takes no replies")]
    Deaf,
    /// Recording cannot go on.
    #[error("{0}")]
    Ingest(#[from] IngestError),
    /// Another publisher has taken the stream over.
    #[error("nothing came, and another publisher has taken the stream over")]
    Superseded,
    /// The credential was revoked.
    #[error("the credential of {0} was revoked")]
    Revoked(String),
    /// It was told that it cannot go on.
    #[error("refused")]
    Refused,
    /// The server shuts down.
    #[error("the server shuts down")]
    Shutdown,
}

impl End {
    /// What the stream's health says about it.
    fn kind(&self) -> Ended {
        match self {
            Self::Closed | Self::Broken(_) => Ended::Disconnected,
            Self::Wire(_) | Self::Deaf => Ended::ProtocolError,
            Self::Silent(_) | Self::Superseded => Ended::TimedOut,
            Self::Ingest(_) | Self::Revoked(_) | Self::Refused => Ended::Refused,
            Self::Shutdown => Ended::Shutdown,
        }
    }

    /// Whether it is worth a log line: idle clients that come and go are not.
    fn is_notable(&self, publishing: bool) -> bool {
        match self {
            Self::Closed | Self::Silent(_) | Self::Broken(_) => publishing,
            Self::Wire(_) | Self::Deaf | Self::Ingest(_) | Self::Revoked(_) | Self::Superseded => true,
            Self::Refused | Self::Shutdown => false,
        }
    }
}

/// Who is connected to what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peers {
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    /// Whether the connection is encrypted.
    pub(crate) secure: bool,
}

/// A connection and where it stands.
pub(crate) struct Connection<S> {
    server: Arc<Server>,
    stream: S,
    framer: Framer,
    session: Session,
    /// When the last whole request came, or while recording the last bytes (monotonic).
    heard: Duration,
}

impl<S: AsyncRead + AsyncWrite + OverTcp + Unpin> Connection<S> {
    /// A connection that has just been made.
    pub(crate) fn new(server: Arc<Server>, stream: S, peers: Peers) -> Self {
        let framer = Framer::new(server.limits.rtsp_header_bytes, server.limits.rtsp_body_bytes);
        let heard = server.clock.monotonic();
        let session = Session::new(Arc::clone(&server), peers);
        Self { server, stream, framer, session, heard }
    }

    /// Serves the connection until it ends; `stop` resolves when the server shuts down.
    pub(crate) async fn run(mut self, stop: Pin<&mut impl Future<Output = ()>>) {
        let end = match self.converse(stop).await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        if end.is_notable(!matches!(self.session.stage, Stage::Idle)) {
            self.session.log(&end.to_string());
        }
        self.session.end(end.kind()).await;
        let _ = timeout(LINGER, self.say_goodbye(&end)).await;
    }

    async fn converse(&mut self, mut stop: Pin<&mut impl Future<Output = ()>>) -> Result<Never, End> {
        let limits = &self.server.limits;
        let period = TICK.min(limits.handshake / 2).min(limits.rtsp_idle / 2).max(Duration::from_millis(1));
        let mut ticks = interval_at(Instant::now() + period, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.take_messages().await?;
            let recording = match &self.session.stage {
                Stage::Recording(recording) => Some(recording),
                Stage::Idle | Stage::Announced(_) => None,
            };
            let pairs = recording.into_iter().flat_map(|recording| recording.udp_pairs());
            let superseded = self.session.superseded();
            tokio::select! {
                biased;
                () = &mut stop => return Err(End::Shutdown),
                _ = ticks.tick() => self.tick().await?,
                read = self.stream.read_buf(self.framer.space()) => {
                    if read? == 0 {
                        return Err(End::Closed);
                    }
                    if matches!(self.session.stage, Stage::Recording(_)) {
                        self.hear();
                    }
                }
                () = superseded => return Err(End::Superseded),
                () = udp::readable(pairs) => self.take_datagrams().await?,
            }
        }
    }

    /// Handles everything that is whole in the read buffer.
    async fn take_messages(&mut self) -> Result<(), End> {
        while let Some(incoming) = self.framer.pop()? {
            match incoming {
                // Before RECORD nobody waits for packets.
                Incoming::Packet { channel, payload } => {
                    if let Stage::Recording(recording) = &mut self.session.stage {
                        recording.packet(channel, payload, self.heard).await?;
                    }
                }
                Incoming::Request(request) => self.answer(&request).await?,
                // Nothing is ever asked of a publisher.
                Incoming::Response(_) => {}
            }
        }
        self.tell_trouble();
        Ok(())
    }

    async fn take_datagrams(&mut self) -> Result<(), End> {
        let now = self.server.clock.monotonic();
        if let Stage::Recording(recording) = &mut self.session.stage
            && recording.datagrams(now).await?
        {
            self.heard = now;
        }
        self.tell_trouble();
        Ok(())
    }

    fn tell_trouble(&mut self) {
        if let Stage::Recording(recording) = &mut self.session.stage
            && let Some(error) = recording.take_trouble()
        {
            self.session.log(&error.to_string());
        }
    }

    async fn answer(&mut self, request: &Request<Vec<u8>>) -> Result<(), End> {
        self.hear();
        let cseq = request.header(&headers::CSEQ).and_then(|value| value.as_str().trim().parse().ok());
        let Answer { reply, close } = match cseq {
            Some(_) => self.session.handle(request).await,
            None => Answer { reply: Refusal::bad("the request has no CSeq").into(), close: false },
        };
        self.send(&reply, cseq).await?;
        if matches!(self.session.stage, Stage::Recording(_)) {
            self.framer.set_chunk(MEDIA_CHUNK);
            self.stream.socket().pace(self.server.beat)?;
        }
        if close { Err(End::Refused) } else { Ok(()) }
    }

    async fn send(&mut self, reply: &Reply, cseq: Option<u32>) -> Result<(), End> {
        self.write(reply.encode(cseq).as_bytes()).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), End> {
        let write = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        timeout(REPLY_PATIENCE, write).await.map_err(|_| End::Deaf)?.map_err(End::Broken)
    }

    /// What is due every few seconds.
    async fn tick(&mut self) -> Result<(), End> {
        let now = self.server.clock.monotonic();
        let mut requests = Vec::new();
        let patience = match &mut self.session.stage {
            Stage::Recording(recording) => {
                if !self.server.catalog.stands(recording.principal()) {
                    return Err(End::Revoked(recording.principal().name().to_owned()));
                }
                recording.send_reports(now);
                requests = recording.request_key_frames(now);
                self.server.limits.rtsp_idle
            }
            Stage::Idle | Stage::Announced(_) => self.server.limits.handshake,
        };
        if now.saturating_sub(self.heard) >= patience {
            return Err(End::Silent(patience));
        }
        for (channel, packet) in requests {
            self.write(&interleaved(channel, &packet)).await?;
        }
        Ok(())
    }

    fn hear(&mut self) {
        self.heard = self.server.clock.monotonic();
    }

    /// Tells a client whose bytes made no sense, and waits until it has read that.
    async fn say_goodbye(&mut self, end: &End) {
        match end {
            End::Wire(error) => {
                let status = match error {
                    WireError::BodyTooLong { .. } => StatusCode::RequestMessageBodyTooLarge,
                    WireError::HeaderTooLong { .. } | WireError::Malformed { .. } => StatusCode::BadRequest,
                };
                let reply = Reply::from(Refusal::new(status, &error)).with("Connection", "close");
                if self.send(&reply, error.cseq()).await.is_err() {
                    return;
                }
            }
            End::Refused => {}
            End::Closed
            | End::Broken(_)
            | End::Silent(_)
            | End::Deaf
            | End::Ingest(_)
            | End::Revoked(_)
            | End::Superseded
            | End::Shutdown => {
                let _ = self.stream.shutdown().await;
                return;
            }
        }
        let _ = self.stream.shutdown().await;
        let mut ignored = [0; 4096];
        let mut left = LINGER_BYTES;
        while let Ok(read @ 1..) = self.stream.read(&mut ignored).await {
            left = left.saturating_sub(read);
            if left == 0 {
                return;
            }
        }
    }
}

/// A conversation has no other outcome than its end.
enum Never {}
