//! The client against a server that says what it is told to say, over loopback.

#![expect(clippy::unwrap_used, reason = "a test stops where something is not as it should be")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use outbound::{AddressError, AddressRules, Client, SendError, Url};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

const PATIENCE: Duration = Duration::from_secs(20);

/// Answers one request with these bytes, and tells what it was. Holds the connection when `answer` is empty.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &[u8]) -> String {
    let mut read = Vec::new();
    while !read.ends_with(b"the body") {
        if stream.read_buf(&mut read).await.unwrap() == 0 {
            break;
        }
    }
    if answer.is_empty() {
        std::future::pending::<()>().await;
    }
    // A client that has heard enough may be gone.
    let _ = stream.write_all(answer).await;
    let _ = stream.shutdown().await;
    String::from_utf8(read).unwrap()
}

async fn server(answer: &'static [u8]) -> (SocketAddr, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move { serve(listener.accept().await.unwrap().0, answer).await });
    (address, task)
}

async fn post(client: &Client, url: &str) -> Result<http::Response<Bytes>, SendError> {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "application/json".parse().unwrap());
    client.post(&Url::parse(url).unwrap(), headers, Bytes::from_static(b"the body"), 100).await
}

fn client() -> Client {
    Client::new(AddressRules::default(), PATIENCE)
}

#[tokio::test]
async fn a_request_is_sent_and_its_answer_read() {
    let (address, task) = server(b"HTTP/1.1 202 Accepted\r\ncontent-length: 4\r\nx-a: b\r\n\r\ntold").await;
    let answer = post(&client(), &format!("http://{address}/a?b=c")).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.body()[..], answer.headers()["x-a"].to_str().unwrap()),
        (202, &b"told"[..], "b")
    );
    let request = task.await.unwrap();
    assert!(request.starts_with("POST /a?b=c HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("host: {address}\r\n")) && request.contains("content-length: 8\r\n"));
}

#[tokio::test]
async fn answers_that_are_none_are_refused() {
    for (answer, word) in [
        (&b"HTTP/1.1 200 OK\r\ncontent-length: 101\r\n\r\n"[..], "broke off"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9999999999\r\n\r\n0123456789", "broke off"),
        (b"SMTP ready\r\n\r\n", "HTTP"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\n", "broke off"),
    ] {
        let (address, task) = server(answer).await;
        let error = post(&client(), &format!("http://{address}/")).await.unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
        task.await.unwrap();
    }
    let long =
        b"HTTP/1.1 200 OK\r\n\r\n0123456789012345678901234567890123456789012345678901234567890123456789\
                 0123456789012345678901234567890123456789";
    let (address, _task) = server(long).await;
    let error = post(&client(), &format!("http://{address}/")).await.unwrap_err();
    assert!(matches!(error, SendError::TooLarge(100)), "{error}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_waited_for_and_no_longer() {
    let (address, _task) = server(b"").await;
    let client = Client::new(AddressRules::default(), Duration::from_millis(50));
    let error = post(&client, &format!("http://{address}/")).await.unwrap_err();
    assert!(matches!(error, SendError::TimedOut(_)), "{error}");
}

#[tokio::test]
async fn forbidden_addresses_are_not_connected_to() {
    let (address, task) = server(b"HTTP/1.1 200 OK\r\n\r\n").await;
    let rules = AddressRules { allow: vec!["192.0.2.0/24".parse().unwrap()], own: Vec::new() };
    let error = post(&Client::new(rules, PATIENCE), &format!("http://{address}/")).await.unwrap_err();
    assert!(matches!(error, SendError::Address(AddressError::NotAllowed(_))), "{error}");
    assert!(!task.is_finished(), "nobody came");
    for url in ["http://169.254.169.254/latest/meta-data/", "http://[fe80::1]/", "http://0.0.0.0/"] {
        let error = post(&client(), url).await.unwrap_err();
        assert!(matches!(error, SendError::Address(_)), "{url}: {error}");
    }
}

#[tokio::test]
async fn nobody_at_home_is_told() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = post(&client(), &format!("http://{address}/")).await.unwrap_err();
    assert!(matches!(error, SendError::Connect(_)), "{error}");
}

#[tokio::test]
async fn certificates_are_believed_that_a_known_authority_has_signed() {
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = signed.cert.der().clone();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signed.signing_key.serialize_der()));
    let config = ServerConfig::builder().with_no_client_auth();
    let acceptor =
        TlsAcceptor::from(Arc::new(config.with_single_cert(vec![certificate.clone()], key).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        for _ in 0..2 {
            let stream = listener.accept().await.unwrap().0;
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream, b"HTTP/1.1 204 No Content\r\n\r\n").await;
            }
        }
    });
    let error = post(&client(), &url).await.unwrap_err();
    assert!(matches!(error, SendError::Tls(_)), "{error}");
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let client = Client::with_tls(AddressRules::default(), PATIENCE, Arc::new(tls));
    assert_eq!(post(&client, &url).await.unwrap().status(), 204);
}
