//! Records to an HTTP endpoint that misbehaves in every way there is.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod world;

use std::io::Read as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use catalog::{BufferHints, ContentEncoding, Destination, HttpTarget, Secret};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use world::{World, target};

/// What the endpoint does with a request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    Takes,
    Status(u16),
    OtherId,
    OtherType,
    Garbage,
    Endless,
    HalfAnAnswer,
    HangsUp,
}

#[derive(Clone)]
struct Asked {
    head: String,
    body: Value,
}

struct Endpoint {
    url: String,
    manners: Arc<Mutex<Vec<Manner>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Endpoint {
    /// Answers in these manners, one request after the other, and takes all that follow.
    async fn start(manners: &[Manner]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/in?token=canary-url", listener.local_addr().unwrap());
        let manners = Arc::new(Mutex::new(manners.iter().rev().copied().collect::<Vec<_>>()));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (next, seen) = (Arc::clone(&manners), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&next), Arc::clone(&seen)));
            }
        });
        Self { url, manners, asked }
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

/// One request of a connection; nothing else comes on it.
async fn serve(mut stream: TcpStream, manners: Arc<Mutex<Vec<Manner>>>, asked: Arc<Mutex<Vec<Asked>>>) {
    let Some((head, body)) = request(&mut stream).await else { return };
    let id = body["requestId"].as_str().unwrap().to_owned();
    let manner = manners.lock().unwrap().pop().unwrap_or(Manner::Takes);
    asked.lock().unwrap().push(Asked { head, body });
    let good = format!("{{\"requestId\":\"{id}\",\"timestamp\":1}}");
    let answer = |status: u16, kind: &str, body: &str| {
        format!(
            "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let json = "application/json";
    let text = match manner {
        Manner::Takes => answer(200, json, &good),
        Manner::Status(status) => {
            answer(status, json, &format!("{{\"errorMessage\":\"canary-key {status}\"}}"))
        }
        Manner::OtherId => answer(200, json, "{\"requestId\":\"other\",\"timestamp\":1}"),
        Manner::OtherType => answer(200, "text/html", &good),
        Manner::Garbage => answer(200, json, "\u{0}\u{1}]["),
        Manner::Endless => answer(200, json, &"x".repeat(1024 * 1024 + 1)),
        Manner::HalfAnAnswer => answer(200, json, &good)[..90].to_owned(),
        Manner::HangsUp => String::new(),
    };
    let _ = stream.write_all(text.as_bytes()).await;
}

async fn request(stream: &mut TcpStream) -> Option<(String, Value)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
    let length = head.split("content-length: ").nth(1)?.split("\r\n").next()?.parse().ok()?;
    let mut body = bytes[end..].to_vec();
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    if head.contains("content-encoding: gzip") {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut plain).unwrap();
        body = plain;
    }
    Some((head, serde_json::from_slice(&body).unwrap()))
}

fn to_endpoint(url: &str, retry_secs: u32, gzip: bool) -> Destination {
    Destination::Http(HttpTarget {
        url: Secret::new(url),
        name: None,
        access_key: Some(Secret::new("canary-key")),
        buffer: BufferHints { size_mib: 1, interval_secs: 0 },
        logging: None,
        encoding: gzip.then_some(ContentEncoding::Gzip),
        attributes: vec![("team".into(), Secret::new("mill"))],
        role_arn: None,
        retry_secs,
        all_data: false,
        backup: target(None, 0),
    })
}

fn records(asked: &Asked) -> Vec<String> {
    let records = asked.body["records"].as_array().unwrap().iter();
    let data = records.map(|record| STANDARD.decode(record["data"].as_str().unwrap()).unwrap());
    data.map(|data| String::from_utf8(data).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_as_the_specification_says_and_sent_again_under_its_id() {
    let world = World::new();
    let running = world.start();
    let endpoint = Endpoint::start(&[Manner::Status(500)]).await;
    let made = running.delivery("orders", to_endpoint(&endpoint.url, 300, true)).await;
    running.put(&made.records(), 0..2).await;
    running.until("delivery", || running.deliveries.status(&made)[0].records == 2).await;
    let asked = endpoint.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].body, asked[1].body);
    assert_eq!(records(&asked[0]), ["<0>", "<1>"]);
    let id = asked[0].body["requestId"].as_str().unwrap();
    for header in [
        "post /in?token=canary-url http/1.1",
        "x-amz-firehose-protocol-version: 1.0",
        &format!("x-amz-firehose-request-id: {id}"),
        "x-amz-firehose-source-arn: arn:aws:firehose:us-east-1:000000000000:deliverystream/orders",
        "x-amz-firehose-access-key: canary-key",
        "x-amz-firehose-common-attributes: {\"commonattributes\":{\"team\":\"mill\"}}",
        "content-type: application/json",
    ] {
        assert!(asked[0].head.contains(header), "{header}: {}", asked[0].head);
    }
    assert!(world.store.names().is_empty());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_taken_is_tried_again_and_then_stored_as_failed() {
    let world = World::new();
    let running = world.start();
    for (manner, code) in [
        (Manner::Status(429), "HttpEndpoint.DestinationException"),
        (Manner::Status(500), "HttpEndpoint.DestinationException"),
        (Manner::Status(413), "HttpEndpoint.DestinationException"),
        (Manner::OtherId, "HttpEndpoint.InvalidResponseFromDestination"),
        (Manner::OtherType, "HttpEndpoint.InvalidResponseFromDestination"),
        (Manner::Garbage, "HttpEndpoint.InvalidResponseFromDestination"),
        (Manner::Endless, "HttpEndpoint.ResponseTooLarge"),
        (Manner::HalfAnAnswer, "HttpEndpoint.ConnectionReset"),
        (Manner::HangsUp, "HttpEndpoint.ConnectionFailed"),
    ] {
        world.store.objects.lock().unwrap().clear();
        let endpoint = Endpoint::start(&[manner; 8]).await;
        // One that is final needs no time to have passed.
        let retry_secs = if manner == Manner::Status(413) { 7200 } else { 0 };
        let name = format!("failing-{}", world.clock_millis());
        let made = running.delivery(&name, to_endpoint(&endpoint.url, retry_secs, false)).await;
        running.put(&made.records(), 0..2).await;
        let failed = || running.deliveries.status(&made)[0].failed_records == 2;
        running.until(&format!("{manner:?}"), failed).await;
        let names = world.store.names();
        assert!(names[0].starts_with("failed/http-endpoint-failed/2026/01/01/12/failing-"), "{names:?}");
        let texts = world.store.texts();
        let lines: Vec<Value> = texts[0].lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(
            (&lines[0]["errorCode"], &lines[0]["attemptsMade"]),
            (&code.into(), &1.into()),
            "{manner:?}"
        );
        assert_eq!(lines[1]["rawData"], STANDARD.encode("<1>"));
        assert!(!texts[0].contains("canary"), "{}", texts[0]);
        let told = running.deliveries.status(&made)[0].last_error.clone().unwrap();
        assert!(told.text.starts_with(code) && !told.text.contains("canary"), "{}", told.text);
        // The next request is taken, and nobody remembers.
        endpoint.manners.lock().unwrap().clear();
        running.put(&made.records(), 2..3).await;
        running.until("the next", || running.deliveries.status(&made)[0].records == 1).await;
        assert_eq!(running.deliveries.status(&made)[0].last_error, None);
        world.clock.advance(Duration::from_millis(1));
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_endpoint_holds_up_nobody_else_and_no_restart() {
    let world = World::new();
    let running = world.start();
    // Takes connections, and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let hanging = running.delivery("hanging", to_endpoint(&url, 300, false)).await;
    let good = Endpoint::start(&[]).await;
    let other = running.delivery("other", to_endpoint(&good.url, 300, false)).await;
    running.put(&hanging.records(), 0..2).await;
    running.put(&other.records(), 0..2).await;
    running.until("the other one", || running.deliveries.status(&other)[0].records == 2).await;
    let waits = || running.deliveries.status(&hanging)[0].waiting_since.is_some();
    running.until("the hanging one", waits).await;
    running.stop().await;
    let running = world.start();
    running.until("the hanging one", || running.deliveries.status(&hanging)[0].waiting_since.is_some()).await;
    assert_eq!(good.asked().len(), 1);
    running.stop().await;
}

/// Room for five shipments is taken only while they are on their way.
#[tokio::test(flavor = "multi_thread")]
async fn failing_endpoints_hold_no_memory_between_their_attempts() {
    let world = World::new();
    let running = world.start();
    let failing = Endpoint::start(&[Manner::Status(500); 10_000]).await;
    let mut made = Vec::new();
    for number in 0..8 {
        let delivery =
            running.delivery(&format!("failing-{number}"), to_endpoint(&failing.url, 7200, false)).await;
        running.put(&delivery.records(), 0..2).await;
        made.push(delivery);
    }
    let tried = || made.iter().all(|delivery| running.deliveries.status(delivery)[0].failures >= 2);
    running.until("two attempts of each", tried).await;
    let good = Endpoint::start(&[]).await;
    let other = running.delivery("other", to_endpoint(&good.url, 300, false)).await;
    running.put(&other.records(), 0..2).await;
    running.until("the other one", || running.deliveries.status(&other)[0].records == 2).await;
    let bodies: Vec<Value> = failing.asked().into_iter().map(|asked| asked.body).collect();
    for body in &bodies {
        assert_eq!(body["records"].as_array().unwrap().len(), 2, "the same records again");
    }
    running.stop().await;
}

/// What is written around them counts.
#[tokio::test(flavor = "multi_thread")]
async fn many_small_records_are_sent_and_given_up_in_pieces() {
    let world = World::new();
    let running = world.start();
    let endpoint = Endpoint::start(&[]).await;
    let made = running.delivery("small", to_endpoint(&endpoint.url, 300, false)).await;
    running.put(&made.records(), 0..150_000).await;
    running.until("all of them", || running.deliveries.status(&made)[0].records == 150_000).await;
    let asked = endpoint.asked();
    let counts: Vec<usize> = asked.iter().map(|asked| records(asked).len()).collect();
    assert!(counts.iter().all(|count| *count <= 1024 * 1024 / 16), "{counts:?}");

    let refusing = Endpoint::start(&[Manner::Status(413); 20]).await;
    let made = running.delivery("refused", to_endpoint(&refusing.url, 300, false)).await;
    running.put(&made.records(), 0..8_000).await;
    running.until("them", || running.deliveries.status(&made)[0].failed_records == 8_000).await;
    let texts = world.store.texts();
    assert!(texts.len() > 1 && texts.iter().all(|text| text.len() < 2 * 1024 * 1024));
    let mut stored: Vec<String> = texts
        .iter()
        .flat_map(|text| text.lines())
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["rawData"].as_str().unwrap().to_owned())
        .collect();
    let mut expected: Vec<String> = (0..8_000).map(|n| STANDARD.encode(format!("<{n}>"))).collect();
    stored.sort();
    expected.sort();
    assert_eq!(stored, expected, "each of them once");
    running.stop().await;
}
