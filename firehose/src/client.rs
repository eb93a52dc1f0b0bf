//! HTTP to destinations: over TCP or TLS, to addresses that the rules take.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tower_service::Service;

/// How long a connection may take to be made, TLS included.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a connection that is not used is kept.
const IDLE: Duration = Duration::from_secs(30);

/// An error of any kind.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// A request's body.
pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;

/// Whether an address may be connected to; else why not, for people.
pub type AddressRule = Arc<dyn Fn(SocketAddr) -> Result<(), String> + Send + Sync>;

/// The certificates cannot be taken.
#[derive(Debug, thiserror::Error)]
#[error("certificates of delivery destinations: {0}")]
pub struct TlsError(String);

/// Why a request was not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// The address may not be connected to.
    #[error("{0}")]
    Refused(String),
    /// Nobody answers.
    #[error("{0}")]
    Unreachable(String),
}

/// A client for all destinations; it keeps connections open for a while. Cheap to clone.
#[derive(Clone)]
pub struct HttpClient {
    client: Client<Connector, Body>,
    rule: AddressRule,
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpClient")
    }
}

impl HttpClient {
    /// A client that believes certificates signed by one of `roots`, or, without any, by those that the system
    /// trusts.
    ///
    /// # Errors
    /// [`TlsError`] where a root is no certificate.
    pub fn new(rule: AddressRule, roots: Vec<CertificateDer<'static>>) -> Result<Self, TlsError> {
        let mut store = RootCertStore::empty();
        if roots.is_empty() {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        for root in roots {
            store.add(root).map_err(|error| TlsError(error.to_string()))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError(error.to_string()))?
            .with_root_certificates(store)
            .with_no_client_auth();
        let connector = Connector { rule: Arc::clone(&rule), tls: TlsConnector::from(Arc::new(config)) };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector);
        Ok(Self { client, rule })
    }

    /// Whether the host of a URL may be connected to, where it is an address.
    ///
    /// # Errors
    /// Why not, for people.
    pub(crate) fn check_url(&self, url: &str) -> Result<(), String> {
        let uri: Uri = url.parse().map_err(|_| "the URL is none".to_owned())?;
        match host(&uri).parse::<IpAddr>() {
            Ok(address) => (self.rule)(SocketAddr::new(address, port(&uri))),
            Err(_) => Ok(()),
        }
    }

    /// Sends a request; the answer's head has come when this resolves.
    pub(crate) async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>, SendError> {
        self.client.request(request).await.map_err(|error| {
            let mut causes = vec![error.to_string()];
            let mut next = std::error::Error::source(&error);
            while let Some(cause) = next {
                if let Some(SendError::Refused(why)) = cause.downcast_ref() {
                    return SendError::Refused(why.clone());
                }
                causes.push(cause.to_string());
                next = cause.source();
            }
            SendError::Unreachable(causes.join(": "))
        })
    }
}

#[derive(Clone)]
struct Connector {
    rule: AddressRule,
    tls: TlsConnector,
}

impl Service<Uri> for Connector {
    type Response = Wire;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Wire, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            let late = || io::Error::new(io::ErrorKind::TimedOut, "no connection within ten seconds");
            tokio::time::timeout(CONNECT, connector.connect(&uri)).await.map_err(|_| late())?
        })
    }
}

impl Connector {
    async fn connect(&self, uri: &Uri) -> Result<Wire, BoxError> {
        let host = host(uri).to_owned();
        let stream = self.reach(&host, port(uri)).await?;
        // What is sent is written whole.
        let _ = stream.set_nodelay(true);
        if !is_tls(uri) {
            return Ok(Wire(TokioIo::new(Box::new(stream))));
        }
        let stream = self.tls.connect(ServerName::try_from(host)?, stream).await?;
        Ok(Wire(TokioIo::new(Box::new(stream))))
    }

    /// A connection to the first of the host's addresses that may be connected to and answers.
    async fn reach(&self, host: &str, port: u16) -> Result<TcpStream, BoxError> {
        let mut last: BoxError = SendError::Unreachable(format!("the host {host} has no address")).into();
        for address in tokio::net::lookup_host((host, port)).await? {
            if let Err(why) = (self.rule)(address) {
                last = SendError::Refused(why).into();
                continue;
            }
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error.into(),
            }
        }
        Err(last)
    }
}

/// Without the brackets of an IPv6 address.
fn host(uri: &Uri) -> &str {
    uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
}

fn is_tls(uri: &Uri) -> bool {
    uri.scheme_str() == Some("https")
}

fn port(uri: &Uri) -> u16 {
    uri.port_u16().unwrap_or(if is_tls(uri) { 443 } else { 80 })
}

/// A connection, TLS or not.
struct Wire(TokioIo<Box<dyn Duplex>>);

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl Write for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
