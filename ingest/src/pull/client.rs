//! An RTSP client's side of one connection (RFC 2326): requests out, answers and packets in.

use std::collections::VecDeque;
use std::time::Duration;

use base::Entropy;
use bytes::Bytes;
use rtsp_types::{Method, Request, Response, StatusCode, headers};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::PullError;
use super::challenge::Challenge;
use super::transport::SessionHeader;
use super::url::Credentials;
use crate::rtsp::socket::OverTcp;
use crate::rtsp::wire::{Framer, Incoming, interleaved};

/// Answers of a camera are a few hundred bytes.
const HEADER_LIMIT: usize = 16 * 1024;
const BODY_LIMIT: usize = 64 * 1024;
/// Packets kept that come before the answer to PLAY; more are dropped.
const MAX_EARLY: usize = 256;
/// What the camera's log calls us.
const USER_AGENT: &str = concat!("Millrace/", env!("CARGO_PKG_VERSION"));

/// A byte stream to a camera.
pub(super) trait Wire: AsyncRead + AsyncWrite + OverTcp + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + OverTcp + Unpin + Send> Wire for S {}

/// A connection to a camera.
pub(super) struct Client<'a, S> {
    pub(super) stream: S,
    pub(super) framer: Framer,
    credentials: Option<&'a Credentials>,
    entropy: &'a dyn Entropy,
    challenge: Option<Challenge>,
    pub(super) session: Option<SessionHeader>,
    cseq: u32,
    patience: Duration,
    /// Packets that came while an answer was waited for.
    pub(super) early: VecDeque<(u8, Bytes)>,
}

impl<'a, S: Wire> Client<'a, S> {
    pub(super) fn new(
        stream: S,
        credentials: Option<&'a Credentials>,
        entropy: &'a dyn Entropy,
        patience: Duration,
    ) -> Self {
        Self {
            stream,
            framer: Framer::new(HEADER_LIMIT, BODY_LIMIT),
            credentials,
            entropy,
            challenge: None,
            session: None,
            cseq: 0,
            patience,
            early: VecDeque::new(),
        }
    }

    /// Sends a request and waits for its answer; signs in where that is asked for.
    ///
    /// # Errors
    /// [`PullError::Refused`] for every answer but 200, [`PullError::Credentials`], and what becomes of
    /// the connection.
    pub(super) async fn request(
        &mut self,
        method: &'static str,
        url: &str,
        more: &[(&str, &str)],
    ) -> Result<Response<Vec<u8>>, PullError> {
        let mut response = self.exchange(method, url, more).await?;
        if response.status() == StatusCode::Unauthorized {
            self.sign_in(&response)?;
            response = self.exchange(method, url, more).await?;
        }
        match response.status() {
            StatusCode::Ok => {}
            StatusCode::Unauthorized => {
                return Err(PullError::Credentials(
                    "the camera refuses the user name or the password of the source's URL",
                ));
            }
            status => {
                let reason = response.reason_phrase().to_owned();
                return Err(PullError::Refused { method, status, reason });
            }
        }
        let session =
            response.header(&headers::SESSION).and_then(|value| SessionHeader::parse(value.as_str()));
        self.session = session.or_else(|| self.session.take());
        Ok(response)
    }

    /// Sends a request whose answer nobody waits for.
    pub(super) async fn send(&mut self, method: &str, url: &str) -> Result<(), PullError> {
        let text = self.encode(method, url, &[]);
        self.write(text.as_bytes()).await
    }

    /// Learns from a 401 how to sign in from now on. It need not be the first one: nonces run out.
    ///
    /// # Errors
    /// [`PullError::Credentials`].
    pub(super) fn sign_in(&mut self, response: &Response<Vec<u8>>) -> Result<(), PullError> {
        let header = response.header(&headers::WWW_AUTHENTICATE).map_or("", |value| value.as_str());
        let challenge = Challenge::parse(header).ok_or(PullError::Credentials(
            "the camera asks for a way to sign in that is not known here: it has to offer Digest (MD5, SHA-256) or Basic",
        ))?;
        if self.credentials.is_none() {
            return Err(PullError::Credentials(
                "the camera asks for a user name and a password: put them into the source's URL",
            ));
        }
        self.challenge = Some(challenge);
        Ok(())
    }

    /// Answers a request of the camera: some look whether their clients are still there.
    pub(super) async fn answer(&mut self, request: &Request<Vec<u8>>) -> Result<(), PullError> {
        let status = match request.method() {
            Method::Options | Method::GetParameter | Method::SetParameter | Method::PlayNotify => "200 OK",
            Method::Announce
            | Method::Describe
            | Method::Pause
            | Method::Play
            | Method::Record
            | Method::Redirect
            | Method::Setup
            | Method::Teardown
            | Method::Extension(_) => "501 Not Implemented",
        };
        let cseq = request.header(&headers::CSEQ).map_or("0", |value| value.as_str().trim());
        let text = format!("RTSP/1.0 {status}\r\nCSeq: {cseq}\r\nUser-Agent: {USER_AGENT}\r\n\r\n");
        self.write(text.as_bytes()).await
    }

    async fn exchange(
        &mut self,
        method: &'static str,
        url: &str,
        more: &[(&str, &str)],
    ) -> Result<Response<Vec<u8>>, PullError> {
        let text = self.encode(method, url, more);
        let patience = self.patience;
        let answer = async {
            self.write(text.as_bytes()).await?;
            self.response().await
        };
        timeout(patience, answer).await.map_err(|_| PullError::NoAnswer { what: method, patience })?
    }

    fn encode(&mut self, method: &str, url: &str, more: &[(&str, &str)]) -> String {
        self.cseq = self.cseq.wrapping_add(1);
        let mut text =
            format!("{method} {url} RTSP/1.0\r\nCSeq: {}\r\nUser-Agent: {USER_AGENT}\r\n", self.cseq);
        for (name, value) in more {
            text += &format!("{name}: {value}\r\n");
        }
        if let Some(SessionHeader { id, .. }) = &self.session {
            text += &format!("Session: {id}\r\n");
        }
        if let (Some(challenge), Some(credentials)) = (&mut self.challenge, self.credentials) {
            let answer = challenge.answer(credentials, method, url, self.entropy);
            text += &format!("Authorization: {answer}\r\n");
        }
        text + "\r\n"
    }

    /// Sends an RTCP packet on its channel (RFC 2326 §10.12).
    pub(super) async fn send_packet(&mut self, channel: u8, packet: &[u8]) -> Result<(), PullError> {
        self.write(&interleaved(channel, packet)).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), PullError> {
        let patience = self.patience;
        let write = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        let no_answer = |_| PullError::NoAnswer { what: "writing", patience };
        timeout(patience, write).await.map_err(no_answer)?.map_err(PullError::Broken)
    }

    /// The answer to the last request; those to earlier ones are dropped.
    async fn response(&mut self) -> Result<Response<Vec<u8>>, PullError> {
        loop {
            while let Some(incoming) = self.framer.pop()? {
                match incoming {
                    Incoming::Response(response) if self.is_current(&response) => return Ok(*response),
                    Incoming::Response(_) => {}
                    Incoming::Packet { channel, payload } if self.early.len() < MAX_EARLY => {
                        self.early.push_back((channel, payload));
                    }
                    Incoming::Packet { .. } => {}
                    Incoming::Request(request) => self.answer(&request).await?,
                }
            }
            if self.stream.read_buf(self.framer.space()).await.map_err(PullError::Broken)? == 0 {
                return Err(PullError::Closed);
            }
        }
    }

    /// Whether an answer is to the last request. One without `CSeq` is taken for it.
    fn is_current(&self, response: &Response<Vec<u8>>) -> bool {
        let cseq = response.header(&headers::CSEQ).and_then(|value| value.as_str().trim().parse().ok());
        cseq.is_none_or(|cseq: u32| cseq == self.cseq)
    }
}
