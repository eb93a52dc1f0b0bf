//! A small RTSP publisher, as a camera has it: ANNOUNCE, SETUP, RECORD over one TCP connection.

use std::net::SocketAddr;
use std::time::Duration;

use rtsp_types::{HeaderName, Method, Response, StatusCode, headers};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{DemoCamera, DemoError};
use crate::rtsp::digest::{Algorithm, Parameters, Question, quoted};
use crate::rtsp::wire::{Framer, Incoming};

const PATIENCE: Duration = Duration::from_secs(10);
const HEADER_LIMIT: usize = 16 * 1024;
const BODY_LIMIT: usize = 64 * 1024;

/// A connection to the server, up to RECORD and beyond.
pub(super) struct Client<'a> {
    camera: &'a DemoCamera,
    stream: TcpStream,
    framer: Framer,
    cseq: u32,
    challenge: Option<Challenge>,
    session: Option<String>,
}

/// What the server wants to have answered.
struct Challenge {
    algorithm: Algorithm,
    realm: String,
    nonce: String,
}

impl<'a> Client<'a> {
    /// Connects, announces `sdp`, sets up its `tracks` (control and first channel), starts recording.
    pub(super) async fn publish(
        camera: &'a DemoCamera,
        sdp: &str,
        tracks: &[(String, u8)],
    ) -> Result<Self, DemoError> {
        let connect = timeout(PATIENCE, TcpStream::connect(camera.server));
        let stream = connect.await.map_err(|_| DemoError::Silent)??;
        stream.set_nodelay(true)?;
        let framer = Framer::new(HEADER_LIMIT, BODY_LIMIT);
        let mut client = Self { camera, stream, framer, cseq: 0, challenge: None, session: None };
        let announce = [("Content-Type", "application/sdp".to_owned())];
        client.request(&Method::Announce, "", &announce, sdp).await?;
        for (control, channel) in tracks {
            let transport = format!("RTP/AVP/TCP;unicast;interleaved={channel}-{};mode=record", channel + 1);
            client.request(&Method::Setup, control, &[("Transport", transport)], "").await?;
        }
        client.request(&Method::Record, "", &[("Range", "npt=now-".to_owned())], "").await?;
        Ok(client)
    }

    /// Sends packets.
    pub(super) async fn send(&mut self, packets: &[u8]) -> Result<(), DemoError> {
        Ok(timeout(PATIENCE, self.stream.write_all(packets)).await.map_err(|_| DemoError::Silent)??)
    }

    /// Resolves when the server ends the connection.
    pub(super) async fn closed(&mut self) -> DemoError {
        loop {
            match self.incoming().await {
                Ok(_) => {}
                Err(error) => return error,
            }
        }
    }

    /// Says goodbye.
    pub(super) async fn teardown(&mut self) -> Result<(), DemoError> {
        self.request(&Method::Teardown, "", &[], "").await
    }

    /// Sends a request, once more with credentials when they are asked for.
    async fn request(
        &mut self,
        method: &Method,
        control: &str,
        headers: &[(&str, String)],
        body: &str,
    ) -> Result<(), DemoError> {
        let answered_before = self.challenge.is_some();
        let mut response = self.exchange(method, control, headers, body).await?;
        if response.status() == StatusCode::Unauthorized && (!answered_before || is_stale(&response)) {
            self.challenge = Challenge::of(&response);
            response = self.exchange(method, control, headers, body).await?;
        }
        if response.status() != StatusCode::Ok {
            let status = u16::from(response.status());
            return Err(DemoError::Refused { status, reason: response.reason_phrase().to_owned() });
        }
        if let Some(session) = response.header(&headers::SESSION) {
            self.session = session.as_str().split(';').next().map(str::to_owned);
        }
        Ok(())
    }

    async fn exchange(
        &mut self,
        method: &Method,
        control: &str,
        headers: &[(&str, String)],
        body: &str,
    ) -> Result<Response<Vec<u8>>, DemoError> {
        self.cseq += 1;
        let DemoCamera { server, stream, .. } = self.camera;
        let url = url(*server, stream.as_str(), control);
        let method: &str = method.into();
        let mut text =
            format!("{method} {url} RTSP/1.0\r\nCSeq: {}\r\nUser-Agent: Millrace demo\r\n", self.cseq);
        let session = self.session.iter().map(|session| ("Session", session.clone()));
        let authorization = self.challenge.iter().map(|c| ("Authorization", self.answer(c, method, &url)));
        let length = [("Content-Length", body.len().to_string())];
        for (name, value) in headers.iter().cloned().chain(session).chain(authorization).chain(length) {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        self.send(format!("{text}\r\n{body}").as_bytes()).await?;
        loop {
            if let Incoming::Response(response) =
                timeout(PATIENCE, self.incoming()).await.map_err(|_| DemoError::Silent)??
            {
                return Ok(*response);
            }
        }
    }

    async fn incoming(&mut self) -> Result<Incoming, DemoError> {
        loop {
            if let Some(incoming) = self.framer.pop()? {
                return Ok(incoming);
            }
            if self.stream.read_buf(self.framer.space()).await? == 0 {
                return Err(DemoError::Closed);
            }
        }
    }

    fn answer(&self, challenge: &Challenge, method: &str, url: &str) -> String {
        let Challenge { algorithm, realm, nonce } = challenge;
        let DemoCamera { username, password, .. } = self.camera;
        let question =
            Question { algorithm: *algorithm, username, realm, nonce, method, uri: url, qop: None };
        format!(
            "Digest username={}, realm={}, nonce={}, uri=\"{url}\", algorithm={}, response=\"{}\"",
            quoted(username),
            quoted(realm),
            quoted(nonce),
            algorithm.name(),
            question.answer(password.expose())
        )
    }
}

impl Challenge {
    /// The first Digest challenge of a 401: the server puts the strongest first.
    fn of(response: &Response<Vec<u8>>) -> Option<Self> {
        let parameters = parameters(response)?;
        Some(Self {
            algorithm: parameters.get("algorithm").map_or(Some(Algorithm::Md5), Algorithm::parse)?,
            realm: parameters.get("realm")?.to_owned(),
            nonce: parameters.get("nonce")?.to_owned(),
        })
    }
}

fn parameters(response: &Response<Vec<u8>>) -> Option<Parameters> {
    let name: &HeaderName = &headers::WWW_AUTHENTICATE;
    let value = response.header(name)?.as_str();
    Some(Parameters::parse(value.trim_start().strip_prefix("Digest ")?))
}

fn is_stale(response: &Response<Vec<u8>>) -> bool {
    parameters(response).is_some_and(|parameters| parameters.get("stale") == Some("true"))
}

/// The URL of a stream, or of one of its tracks.
fn url(server: SocketAddr, stream: &str, control: &str) -> String {
    let separator = if control.is_empty() { "" } else { "/" };
    format!("rtsp://{server}/{stream}{separator}{control}")
}
