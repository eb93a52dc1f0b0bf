//! The listener: accepts, encrypts, limits, and outlives whatever a connection does.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Entropy, Limits};
use catalog::Catalog;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::beat::Beat;
use super::connection::{Connection, Peers};
use super::log_limit::LogLimit;
use super::socket::Socket;
use crate::Ingest;

/// Pause after a failed accept: out of file descriptors, most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The RTSP server: one for all its listeners.
pub struct Server {
    pub(crate) ingest: Ingest,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) beat: Beat,
    log_limit: LogLimit,
}

impl Server {
    /// A server that records through `ingest` for the devices of `catalog`.
    pub fn new(
        ingest: Ingest,
        catalog: Arc<Catalog>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        limits: Arc<Limits>,
    ) -> Self {
        Self { ingest, catalog, clock, entropy, limits, beat: Beat::start(), log_limit: LogLimit::default() }
    }

    /// Serves a listener, over TLS where an acceptor is given, until `shutdown` is true or its sender
    /// is gone. Returns when every connection has ended and what it recorded is stored.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        tls: Option<TlsAcceptor>,
        mut shutdown: watch::Receiver<bool>,
    ) {
        let mut connections = JoinSet::new();
        let for_connections = shutdown.clone();
        let mut stop = pin!(stopped(&mut shutdown));
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                Some(ended) = connections.join_next() => self.note_panic(ended),
                accepted = listener.accept() => match accepted {
                    // Closed at once by dropping it.
                    Ok((_, peer)) if connections.len() >= self.limits.connections => {
                        self.log("-", peer, "too many connections: this one is closed");
                    }
                    Ok((stream, peer)) => {
                        let connection = Arc::clone(&self).connect(stream, peer, tls.clone(), for_connections.clone());
                        connections.spawn(connection);
                    }
                    Err(error) => {
                        tracing::error!(%error, "an RTSP connection could not be accepted");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(listener);
        while let Some(ended) = connections.join_next().await {
            self.note_panic(ended);
        }
    }

    /// Writes a line about a connection, unless its stream had one within the last second.
    pub(crate) fn log(&self, stream: &str, peer: SocketAddr, reason: &str) {
        if let Some(held_back) = self.log_limit.admit(stream, self.clock.monotonic()) {
            tracing::warn!(stream, %peer, reason, held_back, "RTSP");
        }
    }

    async fn connect(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        tls: Option<TlsAcceptor>,
        mut shutdown: watch::Receiver<bool>,
    ) {
        let Ok(local) = stream.local_addr() else { return };
        // Replies are small and waited for.
        let _ = stream.set_nodelay(true);
        let peers = Peers { peer, local, secure: tls.is_some() };
        let stream = Socket::new(stream);
        let mut stop = pin!(stopped(&mut shutdown));
        let Some(tls) = tls else {
            return Connection::new(self, stream, peers).run(stop).await;
        };
        let accepted = tokio::select! {
            () = &mut stop => return,
            accepted = timeout(self.limits.handshake, tls.accept(stream)) => accepted,
        };
        match accepted {
            Ok(Ok(stream)) => Connection::new(self, stream, peers).run(stop).await,
            Ok(Err(error)) => self.log("-", peer, &format!("the TLS handshake failed: {error}")),
            Err(_) => self.log("-", peer, "the TLS handshake took too long"),
        }
    }

    fn note_panic(&self, ended: Result<(), JoinError>) {
        if let Err(error) = ended {
            tracing::error!(%error, "an RTSP connection's task failed");
        }
    }
}

/// Resolves when it is time to stop.
pub(crate) async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    // An error means that whoever would say stop is gone.
    let _ = shutdown.wait_for(|stop| *stop).await;
}
