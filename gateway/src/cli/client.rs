//! Signed requests to the server that runs on a data folder.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use base::{Clock, SystemClock};
use http::{Method, Request};
use serde_json::Value;

use super::error::CliError;
use crate::auth::sigv4::signer::{Credentials, Scope, sign};
use crate::config::Config;
use crate::server::{ADDRESSES, Addresses};

const PATIENCE: Duration = Duration::from_secs(30);
const MOST_BYTES: u64 = 64 * 1024 * 1024;
/// Of an answer's head.
const HEAD_BYTES: u64 = 64 * 1024;

/// The running server's native API, with the root key.
pub(super) struct Client {
    server: SocketAddr,
    credentials: Credentials,
    region: String,
}

impl Client {
    /// From `addresses.json` and `credentials` in the data folder.
    pub fn new(config: &Config) -> Result<Self, CliError> {
        let path = config.data.join(ADDRESSES);
        let text = read(&path)?;
        let addresses: Addresses = serde_json::from_str(&text).map_err(|_| CliError::Addresses(path))?;
        let credentials = credentials(&config.data.join("credentials"))?;
        Ok(Self { server: reachable(addresses.http), credentials, region: config.region.0.clone() })
    }

    /// The answer's JSON; null for an empty one.
    ///
    /// # Errors
    /// [`CliError::Refused`] with the server's words.
    pub fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, CliError> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let unreachable = |source| CliError::Unreachable { address: self.server.to_string(), source };
        let answer = self.exchange(method, path, &body).map_err(unreachable)?;
        let refused = |what: &str| CliError::Refused(what.to_owned());
        let (head, text) = answer.split_once("\r\n\r\n").ok_or_else(|| refused("no HTTP answer"))?;
        match status(head) {
            Some(200..=299) => Ok(serde_json::from_str(text).unwrap_or(Value::Null)),
            Some(status) => Err(refused(&told(status, text))),
            None => Err(refused("no HTTP status")),
        }
    }

    /// An answer of JSON lines, which is read while it comes.
    ///
    /// # Errors
    /// [`CliError::Refused`] where asking again is of no use; [`CliError::Unreachable`] where it may be.
    pub fn lines(&self, path: &str) -> Result<Lines, CliError> {
        let unreachable = |source| CliError::Unreachable { address: self.server.to_string(), source };
        // The body of an HTTP/1.0 answer ends with the connection, and has no chunks to be put together.
        let stream = self.send(Method::GET, path, "", "HTTP/1.0").map_err(unreachable)?;
        let mut lines = Lines(BufReader::new(stream));
        let head = lines.head().map_err(unreachable)?;
        match status(&head) {
            Some(200) => Ok(lines),
            Some(status @ 400..=499) => Err(CliError::Refused(told(status, &lines.rest()))),
            Some(status) => Err(unreachable(io::Error::other(told(status, &lines.rest())))),
            None => Err(unreachable(io::Error::other("no HTTP status"))),
        }
    }

    fn exchange(&self, method: Method, path: &str, body: &str) -> io::Result<String> {
        let stream = self.send(method, path, body, "HTTP/1.1")?;
        let mut answer = Vec::new();
        stream.take(MOST_BYTES).read_to_end(&mut answer)?;
        String::from_utf8(answer).map_err(io::Error::other)
    }

    /// Sends a request; the answer can be read from what is given back.
    fn send(&self, method: Method, path: &str, body: &str, version: &str) -> io::Result<TcpStream> {
        let (mut parts, ()) = Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.server.to_string())
            .header("content-type", "application/json")
            .body(())
            .map_err(io::Error::other)?
            .into_parts();
        let scope = Scope { region: &self.region, service: "kinesisvideo" };
        sign(&mut parts, body.as_bytes(), &self.credentials, scope, SystemClock.now());
        let mut text = format!("{} {} {version}\r\n", parts.method, parts.uri);
        for (name, value) in &parts.headers {
            let value = value.to_str().map_err(io::Error::other)?;
            text += &format!("{name}: {value}\r\n");
        }
        text += &format!("content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
        let mut stream = TcpStream::connect_timeout(&self.server, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(text.as_bytes())?;
        Ok(stream)
    }
}

/// The status of an answer's head.
fn status(head: &str) -> Option<u16> {
    head.split(' ').nth(1)?.parse().ok()
}

/// What an error says, by its body.
fn told(status: u16, body: &str) -> String {
    let value: Value = serde_json::from_str(body).unwrap_or(Value::Null);
    format!("{status} {}", value["error"]["message"].as_str().unwrap_or(body))
}

/// The lines of an answer's body, as they come.
pub(super) struct Lines(BufReader<TcpStream>);

impl Lines {
    /// The next line, without its end; `None` where the connection ended, in a line or between two.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where nothing came for half a minute; whatever else breaks a connection.
    pub fn next(&mut self) -> io::Result<Option<String>> {
        let mut line = String::new();
        (&mut self.0).take(MOST_BYTES).read_line(&mut line)?;
        Ok(line.strip_suffix('\n').map(str::to_owned))
    }

    /// Whether the next line is here already.
    pub fn is_ready(&self) -> bool {
        self.0.buffer().contains(&b'\n')
    }

    fn head(&mut self) -> io::Result<String> {
        let (mut head, mut limited) = (String::new(), (&mut self.0).take(HEAD_BYTES));
        while limited.read_line(&mut head)? > 2 {}
        Ok(head)
    }

    /// The body of an error; as much as came.
    fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        let _ = (&mut self.0).take(HEAD_BYTES).read_to_end(&mut rest);
        String::from_utf8_lossy(&rest).into_owned()
    }
}

fn read(path: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(path).map_err(|source| CliError::File { path: path.into(), source })
}

fn credentials(path: &Path) -> Result<Credentials, CliError> {
    let text = read(path)?;
    let setting = |name: &str| {
        let mut lines = text.lines().skip_while(|line| line.trim() != "[default]");
        lines.find_map(|line| {
            let (key, value) = line.split_once('=')?;
            (key.trim() == name).then(|| value.trim().to_owned())
        })
    };
    match (setting("aws_access_key_id"), setting("aws_secret_access_key")) {
        (Some(access_key_id), Some(secret)) => Ok(Credentials { access_key_id, secret }),
        _ => Err(CliError::Credentials(path.into())),
    }
}

/// A wildcard address is reached over loopback.
fn reachable(bound: SocketAddr) -> SocketAddr {
    let ip = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, bound.port())
}
