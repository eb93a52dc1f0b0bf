//! One signed request to the server that runs on a data folder.

use std::io::{self, Read, Write};
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
        let answer = self.send(method, path, &body).map_err(unreachable)?;
        let refused = |what: &str| CliError::Refused(what.to_owned());
        let (head, text) = answer.split_once("\r\n\r\n").ok_or_else(|| refused("no HTTP answer"))?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
        let value: Value = serde_json::from_str(text).unwrap_or(Value::Null);
        match status {
            Some(200..=299) => Ok(value),
            Some(status) => {
                let message = value["error"]["message"].as_str().unwrap_or(text);
                Err(refused(&format!("{status} {message}")))
            }
            None => Err(refused("no HTTP status")),
        }
    }

    fn send(&self, method: Method, path: &str, body: &str) -> io::Result<String> {
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
        let mut text = format!("{} {} HTTP/1.1\r\n", parts.method, parts.uri);
        for (name, value) in &parts.headers {
            let value = value.to_str().map_err(io::Error::other)?;
            text += &format!("{name}: {value}\r\n");
        }
        text += &format!("content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
        let mut stream = TcpStream::connect_timeout(&self.server, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(text.as_bytes())?;
        let mut answer = Vec::new();
        stream.take(MOST_BYTES).read_to_end(&mut answer)?;
        String::from_utf8(answer).map_err(io::Error::other)
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
