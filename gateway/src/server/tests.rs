//! The server in this process, on free ports over a folder of its own, spoken to through sockets.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::{Clock, SystemClock, SystemEntropy, Timestamp};
use fixtures::{put_cluster, put_end_of_fragment, put_frame, put_header};
use http::Request;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{ADDRESSES, Server, ServerError};
use crate::auth::sigv4::signer::{Credentials, Scope, sign};
use crate::config::Config;

fn config(folder: &Path) -> Config {
    let any = "127.0.0.1:0".parse().unwrap();
    let mut config = Config { data: folder.join("data"), ..Config::default() };
    (config.http, config.https, config.rtsp, config.rtsps, config.webrtc) = (any, any, any, any, any);
    config.master_key_file = Some(folder.join("master.key"));
    config.limits.handshake = Duration::from_millis(300);
    config
}

async fn start(config: Config) -> Result<Server, ServerError> {
    Server::start(config, Arc::new(SystemClock), Arc::new(SystemEntropy)).await
}

struct Running {
    server: Server,
    credentials: Credentials,
    folder: TempDir,
}

impl Running {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = start(config(folder.path())).await.unwrap();
        let keys = server.app.catalog.access_keys();
        let root = keys.first().unwrap();
        let (access_key_id, secret) = (root.id.clone(), root.secret.expose().to_owned());
        Self { server, credentials: Credentials { access_key_id, secret }, folder }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.server.addresses().http).await.unwrap()
    }

    /// An operation, signed at a time.
    async fn call_at(&self, operation: &str, input: &Value, at: Timestamp) -> Answer {
        let body = input.to_string();
        let host = self.server.addresses().http.to_string();
        let request = Request::post(format!("/{operation}")).header("host", host);
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let scope = Scope { region: "us-east-1", service: "kinesisvideo" };
        sign(&mut parts, body.as_bytes(), &self.credentials, scope, at);
        let mut text = format!("POST /{operation} HTTP/1.1\r\nconnection: close\r\n");
        for (name, value) in &parts.headers {
            text += &format!("{name}: {}\r\n", value.to_str().unwrap());
        }
        text += &format!("content-length: {}\r\n\r\n{body}", body.len());
        exchange(self.connect().await, &text).await
    }

    async fn call(&self, operation: &str, input: Value) -> Answer {
        self.call_at(operation, &input, SystemClock.now()).await
    }

    async fn get(&self, path: &str) -> Answer {
        let text = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        exchange(self.connect().await, &text).await
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> Answer {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

#[tokio::test]
async fn a_server_starts_answers_and_stops() {
    let running = Running::start().await;
    let addresses = running.folder.path().join("data").join(ADDRESSES);
    let told: Value = serde_json::from_slice(&std::fs::read(&addresses).unwrap()).unwrap();
    assert_eq!(told["http"], running.server.addresses().http.to_string());
    for name in ["http", "https", "rtsp", "rtsps", "webrtc"] {
        assert!(told[name].is_string(), "{name}");
    }
    assert_eq!(running.get("/readyz").await.status, 200);
    assert_eq!(running.get("/healthz").await.status, 200);
    assert_eq!(running.get("/metrics").await.status, 403);
    let began = Instant::now();
    let Running { server, folder, .. } = running;
    server.stop().await;
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(!addresses.exists());
    start(config(folder.path())).await.unwrap().stop().await;
}

#[tokio::test]
async fn streams_are_made_found_and_deleted() {
    let running = Running::start().await;
    let made = running.call("createStream", json!({ "StreamName": "a", "DataRetentionInHours": 2 })).await;
    assert_eq!(made.status, 200, "{made:?}");
    assert!(made.head.contains("x-amzn-requestid: "));
    let arn = made.json()["StreamARN"].clone();
    let found = running.call("describeStream", json!({ "StreamARN": arn })).await.json();
    assert_eq!(found["StreamInfo"]["StreamName"], "a");
    assert_eq!(found["StreamInfo"]["DataRetentionInHours"], 2);
    let again = running.call("createStream", json!({ "StreamName": "a" })).await;
    assert_eq!(again.status, 400);
    assert!(again.head.contains("x-amzn-errortype: ResourceInUseException"), "{again:?}");
    assert!(again.json()["Message"].is_string());
    let two = running.call("describeStream", json!({ "StreamName": "b", "StreamARN": arn })).await;
    assert_eq!(two.status, 404);
    assert_eq!(running.call("deleteStream", json!({ "StreamARN": arn })).await.body, "{}");
    assert_eq!(running.call("describeStream", json!({ "StreamName": "a" })).await.status, 404);
}

#[tokio::test]
async fn bad_requests_are_told_in_aws_words() {
    let running = Running::start().await;
    let skewed =
        running.call_at("listStreams", &json!({}), SystemClock.now() - Duration::from_secs(400)).await;
    assert_eq!(skewed.status, 403);
    assert!(skewed.json()["message"].as_str().unwrap().starts_with("Signature expired: "), "{skewed:?}");
    assert!(skewed.head.contains("x-amzn-errortype: InvalidSignatureException:http://"));
    let unknown = running.call("getImages", json!({})).await;
    assert_eq!((unknown.status, unknown.body.contains("UnknownOperationException")), (404, true));
    let malformed = running.call("createStream", json!({ "StreamName": 7 })).await;
    assert!(malformed.head.contains("x-amzn-errortype: SerializationException"), "{malformed:?}");
    let huge = running.call("createStream", json!({ "StreamName": "x".repeat(2_000_000) })).await;
    assert_eq!(huge.status, 413, "{:.300}", huge.body);
    let target = running.call("", json!({})).await;
    assert_eq!((target.status, target.body.contains("UnknownOperationException")), (404, true));
    let none = running.get("/nothing/here").await;
    assert_eq!((none.status, none.head.contains("access-control-allow-origin: *")), (404, true));
}

#[tokio::test]
async fn playback_sessions_need_a_token_of_ours() {
    let running = Running::start().await;
    let kept = json!({ "StreamName": "a", "DataRetentionInHours": 1 });
    assert_eq!(running.call("createStream", kept).await.status, 200);
    for (input, code) in [
        (json!({ "StreamName": "a" }), "ResourceNotFoundException"),
        (json!({ "StreamName": "a", "ContainerFormat": "MPEG_TS" }), "InvalidArgumentException"),
        (json!({ "StreamName": "a", "Expires": 1 }), "InvalidArgumentException"),
    ] {
        let refused = running.call("getHLSStreamingSessionURL", input).await;
        assert!(refused.head.contains(code), "{refused:?}");
    }
    for path in ["getHLSMasterPlaylist.m3u8", "getMP4InitFragment.mp4?SessionToken=AAAA&TrackNumber=1"] {
        assert_eq!(running.get(&format!("/hls/v1/{path}")).await.status, 403, "{path}");
    }
}

#[tokio::test]
async fn connections_that_ask_nothing_are_closed() {
    let running = Running::start().await;
    for sent in ["", "P", "PRI * HTTP/2.0\r\n", "GET / HTTP/1.1\r\nhost: x\r\nx-slow: "] {
        let mut stream = running.connect().await;
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "{sent:?} keeps its connection");
    }
    // One that has asked is kept.
    let mut stream = running.connect().await;
    let request = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    for pause in [0, 600] {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 15];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
        let mut rest = [0; 1024];
        assert!(stream.read(&mut rest).await.unwrap() > 0);
    }
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.limits.connections = 2;
    config.limits.handshake = Duration::from_secs(60);
    let server = start(config).await.unwrap();
    let connect = || TcpStream::connect(server.addresses().http);
    let (_first, _second) = (connect().await.unwrap(), connect().await.unwrap());
    let mut third = connect().await.unwrap();
    let mut nothing = [0];
    let closed = tokio::time::timeout(Duration::from_secs(5), third.read(&mut nothing)).await.unwrap();
    assert!(matches!(closed, Ok(0) | Err(_)));
}

#[tokio::test]
async fn both_http_versions_are_served_and_tls_by_the_own_ca() {
    let running = Running::start().await;
    let mut plain = running.connect().await;
    plain.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00").await.unwrap();
    let mut frame = [0; 9];
    plain.read_exact(&mut frame).await.unwrap();
    assert_eq!(frame[3], 4, "a SETTINGS frame (RFC 9113 §6.5)");

    let mut roots = RootCertStore::empty();
    let authority = running.folder.path().join("data/tls/ca.pem");
    roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut client = builder.with_root_certificates(roots).with_no_client_auth();
    client.alpn_protocols = vec![b"h2".to_vec()];
    for (name, alpn) in [("localhost", "h2"), ("127.0.0.1", "http/1.1")] {
        client.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        let connector = tokio_rustls::TlsConnector::from(Arc::new(client.clone()));
        let tcp = TcpStream::connect(running.server.addresses().https).await.unwrap();
        let tls = connector.connect(ServerName::try_from(name).unwrap(), tcp).await.unwrap();
        assert_eq!(tls.get_ref().1.alpn_protocol(), Some(alpn.as_bytes()));
        if alpn == "http/1.1" {
            let request = "GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
            assert_eq!(exchange(tls, request).await.status, 200);
        }
    }
}

#[tokio::test]
async fn a_folder_in_use_and_a_wrong_key_are_refused() {
    let running = Running::start().await;
    let refused = |error: Result<Server, ServerError>| error.err().unwrap().to_string();
    assert!(refused(start(config(running.folder.path())).await).contains("in use"));
    let Running { server, folder, .. } = running;
    server.stop().await;
    let mut other = config(folder.path());
    let file = folder.path().join("other.key");
    std::fs::write(&file, "d3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmctd3I=").unwrap();
    other.master_key_file = Some(file);
    assert!(refused(start(other).await).contains("master key"));
}

/// Reads until what was read ends, or holds a text.
async fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(text) {
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).await.unwrap();
        assert!(count > 0, "{}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&piece[..count]);
    }
    String::from_utf8(read).unwrap()
}

async fn send_chunk(stream: &mut TcpStream, data: &[u8]) {
    let size = format!("{:x}\r\n", data.len());
    stream.write_all(&[size.as_bytes(), data, b"\r\n"].concat()).await.unwrap();
}

#[tokio::test]
async fn put_media_is_answered_while_its_body_still_comes() {
    let running = Running::start().await;
    running.call("createStream", json!({ "StreamName": "cam", "DataRetentionInHours": 1 })).await;
    // As the AWS producer SDK for C does: the host without its port, the body not covered.
    let request = Request::post("/putMedia")
        .header("host", "127.0.0.1")
        .header("connection", "keep-alive")
        .header("transfer-encoding", "chunked")
        .header("x-amzn-stream-name", "cam")
        .header("x-amzn-fragment-timecode-type", "RELATIVE")
        .header("x-amzn-producer-start-timestamp", "1795407508.774");
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    let scope = Scope { region: "us-east-1", service: "kinesisvideo" };
    sign(&mut parts, b"", &running.credentials, scope, SystemClock.now());
    let mut head = "POST /putMedia HTTP/1.1\r\nexpect: 100-continue\r\n".to_owned();
    for (name, value) in &parts.headers {
        head += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    let mut stream = running.connect().await;
    stream.write_all(format!("{head}\r\n").as_bytes()).await.unwrap();
    let answer = read_until(&mut stream, "date: ").await;
    assert!(answer.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"), "{answer}");

    let first = [put_header(&["D_ANY"]), put_cluster(0), put_frame(1, 0, true, b"one")].concat();
    send_chunk(&mut stream, &first).await;
    read_until(&mut stream, r#"{"EventType":"BUFFERING","FragmentTimecode":0,"#).await;
    send_chunk(&mut stream, &put_end_of_fragment()).await;
    read_until(&mut stream, r#"{"EventType":"PERSISTED","FragmentTimecode":0,"#).await;
    send_chunk(&mut stream, &[put_cluster(40), put_frame(1, 0, true, b"two")].concat()).await;
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let rest = read_until(&mut stream, "\r\n0\r\n\r\n").await;
    assert!(rest.contains(r#"{"EventType":"PERSISTED","FragmentTimecode":40,"#), "{rest}");
    running.server.stop().await;
}
