//! The HTTP and HTTPS listeners: connections in, requests to the router.
//!
//! HTTP/1.1 and HTTP/2 on both: by prior knowledge without TLS, by ALPN with it. A connection that
//! sends no whole request in time is closed, as is one beyond the limit.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::told_to_stop;
use crate::app::{App, Arrival};

/// Pause after a failed accept: out of file descriptors, most likely.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A connection that is kept alive and not used is closed after this.
const IDLE: Duration = Duration::from_secs(75);
/// Bytes of a request's start line and headers (HTTP/1), and of a header list (HTTP/2).
const HEADER_BYTES: usize = 64 * 1024;
/// Requests of one HTTP/2 connection at one time.
const STREAMS: u32 = 128;

/// One listener's server.
#[derive(Clone)]
pub(super) struct HttpServer {
    router: Router,
    app: Arc<App>,
    tls: Option<TlsAcceptor>,
    protocol: Builder<TokioExecutor>,
}

impl HttpServer {
    pub fn new(router: Router, app: Arc<App>, tls: Option<TlsAcceptor>) -> Self {
        let mut protocol = Builder::new(TokioExecutor::new());
        protocol
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE)
            .max_buf_size(HEADER_BYTES)
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(IDLE)
            .keep_alive_timeout(app.limits.handshake)
            .max_header_list_size(u32::try_from(HEADER_BYTES).unwrap_or(u32::MAX))
            .max_concurrent_streams(STREAMS);
        Self { router, app, tls, protocol }
    }

    /// Serves until told to stop, and then until what is being answered is answered.
    pub async fn serve(self, listener: TcpListener, mut stopped: watch::Receiver<bool>) {
        let mut connections = JoinSet::new();
        let for_connections = stopped.clone();
        let mut stop = pin!(told_to_stop(&mut stopped));
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                Some(_) = connections.join_next() => {}
                accepted = listener.accept() => match accepted {
                    // Closed at once by dropping it.
                    Ok(_) if connections.len() >= self.app.limits.connections => {}
                    Ok((stream, peer)) => {
                        connections.spawn(self.clone().connection(stream, peer, for_connections.clone()));
                    }
                    Err(error) => {
                        tracing::error!(%error, "an HTTP connection could not be accepted");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
            self.open_connections().store(connections.len() as u64, Ordering::Relaxed);
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }

    fn open_connections(&self) -> &AtomicU64 {
        let connections = &self.app.metrics.connections;
        if self.tls.is_some() { &connections.https } else { &connections.http }
    }

    async fn connection(self, stream: TcpStream, peer: SocketAddr, stopped: watch::Receiver<bool>) {
        // Playlists and acknowledgements are small and waited for.
        let _ = stream.set_nodelay(true);
        let limit = self.app.limits.handshake;
        match &self.tls {
            None => self.requests(stream, peer, stopped).await,
            Some(tls) => match timeout(limit, tls.accept(stream)).await {
                Ok(Ok(stream)) => self.requests(stream, peer, stopped).await,
                Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
                Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
            },
        }
    }

    async fn requests(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: SocketAddr,
        mut stopped: watch::Receiver<bool>,
    ) {
        let asked = Arc::new(AtomicBool::new(false));
        let service = Requests {
            inner: TowerToHyperService::new(self.router.clone()),
            arrival: Arrival { peer, tls: self.tls.is_some() },
            asked: Arc::clone(&asked),
        };
        let mut connection =
            pin!(self.protocol.serve_connection_with_upgrades(TokioIo::new(stream), service));
        let mut first = pin!(sleep(self.app.limits.handshake));
        let mut waiting = true;
        let mut stop = pin!(told_to_stop(&mut stopped));
        let mut stopping = false;
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%peer, %error, "HTTP connection broke off");
                    }
                    return;
                }
                () = &mut first, if waiting => {
                    if !asked.load(Ordering::Relaxed) {
                        return;
                    }
                    waiting = false;
                }
                () = &mut stop, if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

/// Tells the router how a request came in.
struct Requests {
    inner: TowerToHyperService<Router>,
    arrival: Arrival,
    /// Whether the connection has sent a request.
    asked: Arc<AtomicBool>,
}

impl Service<Request<Incoming>> for Requests {
    type Response = Response;
    type Error = Infallible;
    type Future = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        self.asked.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(self.arrival);
        self.inner.call(request)
    }
}
