//! The server: sessions made by HTTP, served on one port, and ended one by one or all together.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base::{Clock, Entropy, Limits, StreamName};
use bytes::Bytes;
use catalog::Catalog;
use str0m::{Candidate, IceCreds, RtcConfig};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::error::WhipError;
use super::fragment::{self, Fragment};
use super::offer::Offer;
use super::port::{Buffers, Port};
use super::routes::{Datagram, INBOX, Routes, Via};
use super::session::{Command, Place, Session, State};
use super::tcp;
use super::tracks::Tracks;
use crate::rtsp::digest::hex;
use crate::rtsp::log_limit::LogLimit;
use crate::rtsp::stopped;
use crate::{Ingest, Publisher};

/// Pause after a failed accept or read: out of file descriptors, most likely.
const PAUSE: Duration = Duration::from_millis(100);
/// Addresses that are named to publishers at most.
const MAX_ADDRESSES: usize = 16;
/// How long str0m may take to answer a restart, and a deleted session to store what it has.
const COMMAND: Duration = Duration::from_secs(10);

/// What a server needs.
pub struct Options {
    /// Where media goes.
    pub ingest: Ingest,
    /// Whose credentials stand.
    pub catalog: Arc<Catalog>,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where names of sessions and their keys come from; DTLS draws from OpenSSL's own generator.
    pub entropy: Arc<dyn Entropy>,
    /// What a publisher may use.
    pub limits: Arc<Limits>,
}

/// The WHIP server: one for the whole installation.
pub struct Server {
    pub(super) ingest: Ingest,
    pub(super) catalog: Arc<Catalog>,
    pub(super) clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    pub(super) limits: Arc<Limits>,
    pub(super) port: Port,
    pub(super) routes: Routes,
    /// The addresses that publishers are told of, UDP and TCP.
    addresses: Vec<SocketAddr>,
    candidates: Vec<Candidate>,
    /// What all sessions have in common: certificate, cryptography.
    config: RtcConfig,
    /// The moment at which the clock's monotonic time was zero.
    zero: Instant,
    sessions: Mutex<HashMap<String, Handle>>,
    /// Sessions on their way to [`Self::serve`].
    made: mpsc::Sender<Box<Session>>,
    to_serve: Mutex<Option<mpsc::Receiver<Box<Session>>>>,
    log_limit: LogLimit,
}

/// A session, as HTTP requests find it.
#[derive(Clone)]
struct Handle {
    stream: StreamName,
    /// Names the present ICE session.
    etag: String,
    /// The publisher's user fragment in it.
    ufrag: String,
    commands: mpsc::Sender<Command>,
}

/// A session that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Its name, which nobody can guess.
    pub id: String,
    /// The entity tag of its ICE session, in quotes.
    pub etag: String,
    /// The answer, SDP.
    pub answer: String,
}

/// What became of a PATCH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Patched {
    /// Candidates were taken note of.
    Trickled,
    /// ICE starts anew.
    Restarted {
        /// The entity tag of the new ICE session, in quotes.
        etag: String,
        /// The server's side of it, an SDP fragment.
        fragment: String,
    },
}

impl Server {
    /// A server on a bound UDP port, whose sessions name `addresses` to publishers.
    ///
    /// # Errors
    /// Of the socket; and when no DTLS certificate can be made.
    pub fn new(options: Options, udp: UdpSocket, addresses: &[IpAddr]) -> io::Result<Arc<Self>> {
        let Options { ingest, catalog, clock, entropy, limits } = options;
        let port = Port::new(udp)?;
        let addresses: Vec<SocketAddr> = addresses
            .iter()
            .take(MAX_ADDRESSES)
            .map(|ip| SocketAddr::new(*ip, port.local().port()))
            .collect();
        let crypto = Arc::new(str0m::crypto::from_feature_flags());
        let certificate = crypto.dtls_provider.generate_certificate();
        let certificate = certificate.ok_or_else(|| io::Error::other("no DTLS certificate could be made"))?;
        let config = RtcConfig::new()
            .set_crypto_provider(crypto)
            .set_dtls_cert(certificate)
            .set_ice_lite(true)
            .set_rtp_mode(true);
        let started = tokio::time::Instant::now().into_std();
        let zero = started.checked_sub(clock.monotonic()).unwrap_or(started);
        let (made, to_serve) = mpsc::channel(INBOX);
        Ok(Arc::new(Self {
            ingest,
            catalog,
            clock,
            entropy,
            limits,
            port,
            routes: Routes::default(),
            candidates: candidates(&addresses),
            addresses,
            config,
            zero,
            sessions: Mutex::default(),
            made,
            to_serve: Mutex::new(Some(to_serve)),
            log_limit: LogLimit::default(),
        }))
    }

    /// Serves all sessions, and ICE over TCP on `listener`, until `shutdown` is true or its sender is
    /// gone. Returns when every session has ended and what it recorded is stored. To be called once.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, mut shutdown: watch::Receiver<bool>) {
        let to_serve = self.to_serve.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut to_serve) = to_serve else { return };
        let (mut sessions, mut connections) = (JoinSet::new(), JoinSet::new());
        let sorting = tokio::spawn(Arc::clone(&self).sort());
        let for_sessions = shutdown.clone();
        let mut stop = pin!(stopped(&mut shutdown));
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                Some(ended) = sessions.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a WebRTC session's task failed");
                    }
                }
                Some(_) = connections.join_next() => {}
                Some(session) = to_serve.recv() => {
                    sessions.spawn(serve_session(session, for_sessions.clone()));
                }
                accepted = listener.accept() => match accepted {
                    // Closed at once by dropping it.
                    Ok(_) if connections.len() >= self.limits.connections => {}
                    Ok((stream, peer)) => {
                        connections.spawn(tcp::serve(Arc::clone(&self), stream, peer));
                    }
                    Err(error) => {
                        tracing::error!(%error, "a WebRTC connection could not be accepted");
                        sleep(PAUSE).await;
                    }
                },
            }
        }
        drop(listener);
        to_serve.close();
        while sessions.join_next().await.is_some() {}
        sorting.abort();
    }

    /// Makes a session for an offer: takes hold of the stream, and answers.
    ///
    /// # Errors
    /// [`WhipError`]: the offer, the publisher's rights, another publisher, too many sessions.
    pub async fn publish(
        self: &Arc<Self>,
        name: &StreamName,
        by: &Publisher,
        offer: &[u8],
    ) -> Result<Published, WhipError> {
        let offer = Offer::parse(offer, &self.limits)?;
        let open = self.open();
        if open >= self.limits.webrtc_sessions {
            return Err(WhipError::Full(open));
        }
        // Before the stream is held: an offer that cannot be answered holds nothing up.
        let credentials =
            IceCreds { ufrag: hex(&self.entropy.bytes::<8>()), pass: hex(&self.entropy.bytes::<16>()) };
        let ufrag = credentials.ufrag.clone();
        let config = self.config.clone().set_local_ice_credentials(credentials);
        let now = self.clock.monotonic();
        let answered = offer.answer(config, &self.candidates, self.moment(now));
        let (rtc, answer) = answered.map_err(|error| WhipError::Negotiation(error.to_string()))?;
        let recorder = self.ingest.publish(name, by).await?;
        recorder.not_recorded(offer.not_recorded.clone());
        let tracks = Tracks::new(recorder, &offer.tracks)?;
        let (id, etag) = (hex(&self.entropy.bytes::<16>()), self.entity_tag());
        let (inbox, datagrams) = mpsc::channel(INBOX);
        let (commands, commanded) = mpsc::channel(1);
        let handle =
            Handle { stream: name.clone(), etag: etag.clone(), ufrag: offer.ufrag().to_owned(), commands };
        self.sessions().insert(id.clone(), handle);
        let session = Box::new(Session {
            server: Arc::clone(self),
            place: Place::new(self, &id, &ufrag, inbox),
            stream: name.to_string(),
            principal: by.principal.clone(),
            peer: by.peer,
            offer: offer.text,
            rtc,
            tracks,
            datagrams,
            commands: commanded,
            state: State::new(now, now + self.limits.handshake),
        });
        self.made.send(session).await.map_err(|_| WhipError::Closed)?;
        Ok(Published { id, etag, answer })
    }

    /// Takes an SDP fragment for a session: candidates, or with `If-Match: *` a restart of ICE.
    ///
    /// # Errors
    /// [`WhipError`]: no such session, a precondition that is missing or does not hold, the fragment.
    pub async fn patch(
        &self,
        name: &StreamName,
        id: &str,
        if_match: Option<&str>,
        body: &[u8],
    ) -> Result<Patched, WhipError> {
        let handle = self.handle(name, id)?;
        let condition = if_match.ok_or(WhipError::NoPrecondition)?.trim();
        let restarts = condition == "*";
        if !restarts && !condition.split(',').any(|tag| tag.trim() == handle.etag) {
            return Err(WhipError::OtherIceSession(handle.etag));
        }
        let credentials = Fragment::parse(body)?.credentials;
        let is_new = credentials.as_ref().is_some_and(|(ufrag, _)| *ufrag != handle.ufrag);
        match (restarts, credentials) {
            (true, Some((ufrag, pass))) if is_new => self.restart(id, handle, IceCreds { ufrag, pass }).await,
            (true, _) => Err(WhipError::Restart("a restart of ICE needs a new a=ice-ufrag and a=ice-pwd")),
            (false, _) if is_new => {
                Err(WhipError::Restart("another a=ice-ufrag restarts ICE: send If-Match: *"))
            }
            (false, _) => Ok(Patched::Trickled),
        }
    }

    /// Ends a session; returns when what it recorded is stored.
    ///
    /// # Errors
    /// [`WhipError::NoSession`].
    pub async fn delete(&self, name: &StreamName, id: &str) -> Result<(), WhipError> {
        let handle = self.handle(name, id)?;
        let (stored, done) = oneshot::channel();
        handle.commands.send(Command::Stop(stored)).await.map_err(|_| WhipError::NoSession)?;
        // Where it takes longer, or has ended meanwhile, it ends all the same.
        let _ = tokio::time::timeout(COMMAND, done).await;
        Ok(())
    }

    async fn restart(&self, id: &str, handle: Handle, theirs: IceCreds) -> Result<Patched, WhipError> {
        let (answer, answered) = oneshot::channel();
        let ufrag = theirs.ufrag.clone();
        let command = Command::Restart(theirs, answer);
        handle.commands.send(command).await.map_err(|_| WhipError::NoSession)?;
        let answered = tokio::time::timeout(COMMAND, answered).await;
        let Ok(Ok(ours)) = answered else { return Err(WhipError::NoSession) };
        let ours = ours.map_err(WhipError::Negotiation)?;
        let etag = self.entity_tag();
        if let Some(known) = self.sessions().get_mut(id) {
            (known.etag, known.ufrag) = (etag.clone(), ufrag);
        }
        Ok(Patched::Restarted { etag, fragment: fragment::answer(&ours, &self.candidates) })
    }

    /// The address of ours that str0m knows for one of this machine's: itself, or behind a translation
    /// of addresses the one that is named in its stead.
    pub(super) fn candidate_for(&self, local: IpAddr) -> SocketAddr {
        let same = self.addresses.iter().find(|address| address.ip() == local);
        let family = || self.addresses.iter().find(|address| address.is_ipv4() == local.is_ipv4());
        same.or_else(family).copied().unwrap_or_else(|| self.port.local())
    }

    /// A monotonic time of the clock, as str0m counts.
    pub(super) fn moment(&self, at: Duration) -> Instant {
        self.zero + at
    }

    /// Forgets a session that has ended.
    pub(super) fn forget(&self, id: &str) {
        self.sessions().remove(id);
    }

    /// How many sessions are open, half-made ones included.
    pub fn open(&self) -> usize {
        self.sessions().len()
    }

    /// Writes a line about a session, unless its stream had one within the last second.
    pub(super) fn log(&self, stream: &str, peer: SocketAddr, reason: &str) {
        if let Some(held_back) = self.log_limit.admit(stream, self.clock.monotonic()) {
            tracing::warn!(stream, %peer, reason, held_back, "WebRTC");
        }
    }

    /// Hands every datagram of the port to its session. Those of strangers are dropped, and those that
    /// a session has no time for.
    async fn sort(self: Arc<Self>) {
        let mut buffers = Buffers::default();
        loop {
            if let Err(error) = self.port.receive(&mut buffers).await {
                tracing::error!(%error, "the WebRTC port could not be read");
                sleep(PAUSE).await;
                continue;
            }
            let arrival = self.clock.monotonic();
            for one in self.port.datagrams(&buffers) {
                if let Some(inbox) = self.routes.find(one.source, one.bytes) {
                    let (via, bytes) = (Via::Udp(one.to), Bytes::copy_from_slice(one.bytes));
                    let _ = inbox.try_send(Datagram { source: one.source, via, bytes, arrival });
                }
            }
        }
    }

    fn handle(&self, name: &StreamName, id: &str) -> Result<Handle, WhipError> {
        let found = self.sessions().get(id).filter(|handle| handle.stream == *name).cloned();
        found.ok_or(WhipError::NoSession)
    }

    fn entity_tag(&self) -> String {
        format!("\"{}\"", hex(&self.entropy.bytes::<8>()))
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Handle>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve_session(session: Box<Session>, mut shutdown: watch::Receiver<bool>) {
    session.run(pin!(stopped(&mut shutdown))).await;
}

/// A UDP and a TCP candidate for every address; UDP has precedence.
fn candidates(addresses: &[SocketAddr]) -> Vec<Candidate> {
    let udp = addresses.iter().filter_map(|address| Candidate::host(*address, "udp").ok());
    let tcp = addresses.iter().filter_map(|address| {
        Candidate::builder().tcp().host(*address).tcptype(str0m::net::TcpType::Passive).build().ok()
    });
    udp.chain(tcp).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_offered_over_udp_and_tcp() {
        let addresses = ["192.0.2.1:8189".parse().unwrap(), "[2001:db8::1]:8189".parse().unwrap()];
        let found: Vec<String> = candidates(&addresses).iter().map(Candidate::to_sdp_string).collect();
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found[0].contains(" udp ") && found[0].contains("192.0.2.1 8189 typ host"), "{found:?}");
        assert!(found[2].contains(" tcp ") && found[2].contains("tcptype passive"), "{found:?}");
    }
}
