//! One connection, over TCP or TLS, to an address that the rules take.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use crate::{AddressError, AddressRules, SendError, Url};

/// How long a connection may take to be made, TLS included.
const CONNECT: Duration = Duration::from_secs(10);

/// Makes connections.
#[derive(Clone)]
pub(crate) struct Connector {
    rules: Arc<AddressRules>,
    tls: TlsConnector,
}

impl Connector {
    pub(crate) fn new(rules: Arc<AddressRules>, tls: Arc<ClientConfig>) -> Self {
        Self { rules, tls: TlsConnector::from(tls) }
    }

    async fn connect(&self, uri: Uri) -> Result<Wire, SendError> {
        let url = Url::of(uri).map_err(SendError::Url)?;
        let stream = self.reach(&url).await?;
        // What is sent is written whole; without this it is only slower.
        let _ = stream.set_nodelay(true);
        if !url.is_tls() {
            return Ok(Wire(TokioIo::new(Box::new(stream))));
        }
        let invalid = |error| SendError::Tls(Arc::new(io::Error::new(io::ErrorKind::InvalidInput, error)));
        let name = ServerName::try_from(url.host().to_owned()).map_err(invalid)?;
        let stream = self.tls.connect(name, stream).await.map_err(|error| SendError::Tls(Arc::new(error)))?;
        Ok(Wire(TokioIo::new(Box::new(stream))))
    }

    /// The first of the host's addresses that may be connected to and takes the connection.
    async fn reach(&self, url: &Url) -> Result<TcpStream, SendError> {
        let resolve = |error| SendError::Resolve(Arc::new(error));
        let addresses: Vec<SocketAddr> =
            lookup_host((url.host(), url.port())).await.map_err(resolve)?.collect();
        let mut refused: Option<AddressError> = None;
        let mut failed = None;
        for address in addresses {
            if let Err(error) = self.rules.check(address) {
                refused = Some(error);
                continue;
            }
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = Some(error),
            }
        }
        Err(match (failed, refused) {
            (Some(failed), _) => SendError::Connect(Arc::new(failed)),
            (None, Some(refused)) => refused.into(),
            (None, None) => resolve(io::Error::new(io::ErrorKind::NotFound, "no address at all")),
        })
    }
}

impl Service<Uri> for Connector {
    type Response = Wire;
    type Error = SendError;
    type Future = Pin<Box<dyn Future<Output = Result<Wire, SendError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            let late = |_| SendError::TimedOut(CONNECT);
            timeout(CONNECT, connector.connect(uri)).await.map_err(late)?
        })
    }
}

/// A connection, TLS or not.
pub(crate) struct Wire(TokioIo<Box<dyn Duplex>>);

pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

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
