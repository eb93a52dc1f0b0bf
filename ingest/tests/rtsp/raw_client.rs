//! A client that says exactly what a test wants.

use std::net::SocketAddr;
use std::time::Duration;

use catalog::DeviceCredential;
use md5::{Digest, Md5};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An SDP with one H.264 track.
pub const SDP: &str = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n\
    a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:track1\r\n";

pub struct RawClient {
    pub stream: TcpStream,
    pub at: SocketAddr,
    cseq: u32,
    buffer: Vec<u8>,
}

/// A response: its status line and its headers.
#[derive(Debug)]
pub struct Response(pub String);

impl Response {
    pub fn status(&self) -> u16 {
        self.0.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub fn headers(&self, name: &str) -> Vec<&str> {
        self.0.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).collect()
    }

    /// A parameter of the last Digest challenge.
    fn challenge(&self, parameter: &str) -> String {
        let challenges = self.headers("WWW-Authenticate");
        let digest = challenges.iter().rfind(|header| header.starts_with("Digest")).unwrap();
        digest.split(&format!("{parameter}=\"")).nth(1).unwrap().split('"').next().unwrap().into()
    }
}

impl RawClient {
    pub async fn connect(at: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(at).await.unwrap(), at, cseq: 0, buffer: Vec::new() }
    }

    pub fn url(&self, path: &str) -> String {
        format!("rtsp://{}/{path}", self.at)
    }

    /// Sends a request and returns its answer.
    pub async fn ask(&mut self, method: &str, path: &str, headers: &[String], body: &str) -> Response {
        self.cseq += 1;
        let mut text = format!("{method} {} RTSP/1.0\r\nCSeq: {}\r\n", self.url(path), self.cseq);
        for header in headers {
            text += &format!("{header}\r\n");
        }
        text += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
        self.stream.write_all(text.as_bytes()).await.unwrap();
        let response = self.response().await.expect("an answer");
        assert_eq!(response.headers("CSeq"), [self.cseq.to_string()]);
        response
    }

    /// The request with the credentials, after a first one without them.
    pub async fn ask_as(&mut self, who: &DeviceCredential, method: &str, path: &str, body: &str) -> Response {
        let refused = self.ask(method, path, &[], body).await;
        assert_eq!(refused.status(), 401, "{refused:?}");
        let header = self.answer(who.username.as_str(), who.password.expose(), &refused, method, path);
        self.ask(method, path, &[header], body).await
    }

    pub fn answer(&self, user: &str, password: &str, refused: &Response, method: &str, path: &str) -> String {
        let hex =
            |text: String| Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let (realm, nonce, url) = (refused.challenge("realm"), refused.challenge("nonce"), self.url(path));
        let secret = hex(format!("{user}:{realm}:{password}"));
        let response = hex(format!("{secret}:{nonce}:{}", hex(format!("{method}:{url}"))));
        format!(
            "Authorization: Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{url}\", \
             response=\"{response}\""
        )
    }

    /// The next response; `None` when the connection is closed.
    pub async fn response(&mut self) -> Option<Response> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
                return Some(Response(String::from_utf8(head).unwrap()));
            }
            let read = tokio::time::timeout(Duration::from_secs(20), self.stream.read_buf(&mut self.buffer));
            match read.await.expect("no answer") {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// ANNOUNCE, SETUP and RECORD of one interleaved track.
    pub async fn record(&mut self, who: &DeviceCredential, path: &str) {
        let announced = self.ask_as(who, "ANNOUNCE", path, SDP).await;
        assert_eq!(announced.status(), 200, "{announced:?}");
        let transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1;mode=record".to_owned();
        let set_up = self.ask("SETUP", &format!("{path}/track1"), &[transport], "").await;
        assert_eq!(set_up.status(), 200, "{set_up:?}");
        assert_eq!(self.ask("RECORD", path, &[], "").await.status(), 200);
    }
}
