//! Requests over connections that are kept for a while.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use tokio::time::timeout;

use crate::connector::Connector;
use crate::{AddressError, AddressRules, SendError, Url};

/// How long a connection that is not used is kept.
const IDLE: Duration = Duration::from_secs(30);

/// A request's body, made elsewhere.
pub type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// Sends requests. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Client {
    rules: Arc<AddressRules>,
    client: legacy::Client<Connector, Body>,
    timeout: Duration,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
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
        let rules = Arc::new(rules);
        let connector = Connector::new(Arc::clone(&rules), tls);
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector);
        Self { rules, client, timeout }
    }

    /// Whether the host of a URL may be connected to, where it is an address. Names are looked up, and their
    /// addresses checked, with every connection.
    ///
    /// # Errors
    /// [`AddressError`] says why not.
    pub fn check(&self, url: &Url) -> Result<(), AddressError> {
        url.address().map_or(Ok(()), |address| self.rules.check(address))
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
        let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
        let request = Request::builder().method(Method::POST).uri(url.uri()).body(body);
        let mut request = request.map_err(|error| SendError::Request(Arc::new(error)))?;
        request.headers_mut().extend(headers);
        let exchange = async {
            let (parts, body) = self.send(request).await?.into_parts();
            Ok(Response::from_parts(parts, read(body, most).await?))
        };
        timeout(self.timeout, exchange).await.unwrap_or(Err(SendError::TimedOut(self.timeout)))
    }

    /// Sends a request to an `http` or `https` URL; the answer's head has come when this resolves. For those who
    /// bound the time and the answer themselves.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>, SendError> {
        self.client.request(request).await.map_err(|error| SendError::of(&error))
    }
}

async fn read(body: Incoming, most: usize) -> Result<Bytes, SendError> {
    match Limited::new(body, most).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(SendError::TooLarge(most)),
        Err(error) => Err(SendError::BrokeOff(crate::error::causes(&*error))),
    }
}
