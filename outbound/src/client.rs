//! One request over one connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::{AddressError, AddressRules, SendError, Url};

/// Sends requests. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    rules: Arc<AddressRules>,
    tls: TlsConnector,
    timeout: Duration,
}

impl Client {
    /// Connects only where `rules` allow it, believes the certificates that the system's authorities have
    /// signed (`SSL_CERT_FILE` names others), and waits for `timeout` for all of an answer.
    pub fn new(rules: AddressRules, timeout: Duration) -> Self {
        let mut roots = RootCertStore::empty();
        // A certificate that cannot be read signs nothing here.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Self::with_tls(rules, timeout, Arc::new(tls))
    }

    /// [`Self::new`] with certificates believed in another way.
    pub fn with_tls(rules: AddressRules, timeout: Duration, tls: Arc<ClientConfig>) -> Self {
        Self { rules: Arc::new(rules), tls: TlsConnector::from(tls), timeout }
    }

    /// Posts a body, and reads an answer of at most `most` bytes, whatever its status.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn post(
        &self,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
        most: usize,
    ) -> Result<Response<Bytes>, SendError> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(url.target())
            .header(HOST, url.authority())
            .header(CONNECTION, "close")
            .body(Full::new(body))
            .map_err(SendError::Request)?;
        request.headers_mut().extend(headers);
        let exchange = timeout(self.timeout, self.exchange(url, request, most));
        exchange.await.unwrap_or(Err(SendError::TimedOut(self.timeout)))
    }

    async fn exchange(
        &self,
        url: &Url,
        request: Request<Full<Bytes>>,
        most: usize,
    ) -> Result<Response<Bytes>, SendError> {
        let stream = self.connect(url).await?;
        if !url.is_tls() {
            return talk(stream, request, most).await;
        }
        let invalid = |error| SendError::Tls(io::Error::new(io::ErrorKind::InvalidInput, error));
        let name = ServerName::try_from(url.host().to_owned()).map_err(invalid)?;
        let stream = self.tls.connect(name, stream).await.map_err(SendError::Tls)?;
        talk(stream, request, most).await
    }

    /// The first of the host's addresses that may be connected to and takes the connection.
    async fn connect(&self, url: &Url) -> Result<TcpStream, SendError> {
        let found = lookup_host((url.host(), url.port())).await.map_err(SendError::Resolve)?;
        let addresses: Vec<SocketAddr> = found.collect();
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
        let none = || io::Error::new(io::ErrorKind::NotFound, "no address at all");
        Err(match (failed, refused) {
            (Some(failed), _) => SendError::Connect(failed),
            (None, Some(refused)) => refused.into(),
            (None, None) => SendError::Resolve(none()),
        })
    }
}

/// Sends the request and reads the answer, while the connection is driven beside it.
async fn talk(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
    most: usize,
) -> Result<Response<Bytes>, SendError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(SendError::Http)?;
    let answer = async {
        let (parts, body) = sender.send_request(request).await.map_err(SendError::Http)?.into_parts();
        let body = Limited::new(body, most).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                return SendError::TooLarge(most);
            }
            match error.downcast::<hyper::Error>() {
                Ok(error) => SendError::Http(*error),
                // The two errors above are all that a limited body has.
                Err(_) => SendError::TooLarge(most),
            }
        })?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    };
    let mut connection = std::pin::pin!(connection);
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        biased;
        answered = &mut answer => answered,
        // The connection ends before the answer is read where the other side closes it at once.
        _ = &mut connection => answer.await,
    }
}
