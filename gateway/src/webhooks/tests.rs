//! Webhooks against a receiver on loopback that answers as it is told to.

use std::net::SocketAddr;
use std::time::Duration;

use base::{StreamName, SystemEntropy};
use fixtures::FakeClock;
use ingest::StreamState;
use outbound::AddressRules;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::event::Event;
use super::watch::StateChange;
use super::*;

/// A request as it came.
#[derive(Debug)]
struct Received {
    head: String,
    body: String,
}

impl Received {
    fn header(&self, name: &str) -> String {
        let line = self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("no {name} in {}", self.head)).to_owned()
    }
}

/// Answers each connection with the next of these statuses, the last one for ever.
async fn receiver(statuses: &'static [u16]) -> (SocketAddr, mpsc::UnboundedReceiver<Received>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        for number in 0.. {
            let mut stream = listener.accept().await.unwrap().0;
            let mut read = Vec::new();
            let received = loop {
                stream.read_buf(&mut read).await.unwrap();
                let text = String::from_utf8(read.clone()).unwrap();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let received = Received { head: head.to_owned(), body: body.to_owned() };
                if received.header("content-length") == body.len().to_string() {
                    break received;
                }
            };
            let status = statuses[number.min(statuses.len() - 1)];
            let answer = format!("HTTP/1.1 {status} Told\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            tell.send(received).unwrap();
        }
    });
    (address, told)
}

fn change(state: StreamState) -> StateChange {
    StateChange {
        stream: StreamName::new("door").unwrap(),
        arn: "arn".into(),
        state,
        before: StreamState::Live,
        disk_full: false,
        action_needed: true,
        reason: Some("the camera refuses the password".into()),
    }
}

fn delivery(address: SocketAddr, secret: Option<&str>) -> (Delivery, Arc<Queue>) {
    let client = Client::new(AddressRules::default(), Duration::from_secs(20));
    let queue = Arc::new(Queue::default());
    let webhook = Webhook {
        url: Url::parse(&format!("http://{address}/hook?key=hunter2")).unwrap(),
        secret: secret.map(Secret::new),
        streams: StreamGlob::all(),
    };
    let short = Duration::from_millis(1);
    let delivery = Delivery {
        client,
        clock: Arc::new(FakeClock::default()),
        entropy: Arc::new(SystemEntropy),
        webhook,
        queue: Arc::clone(&queue),
        timing: Timing { first: short, last: short, attempts: 3 },
    };
    (delivery, queue)
}

fn event(state: StreamState) -> Event {
    Event::of(&change(state), &FakeClock::default(), &SystemEntropy)
}

/// Waits for what becomes of the events, and fails after 30 s.
async fn until(queue: &Queue, is: impl Fn(Counts) -> bool) -> Counts {
    for _ in 0..3000 {
        if is(queue.counts()) {
            return queue.counts();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{:?}", queue.counts());
}

#[tokio::test]
async fn an_event_is_posted_and_signed() {
    let (address, mut told) = receiver(&[204]).await;
    let (delivery, queue) = delivery(address, Some("hunter2"));
    queue.push(event(StreamState::Offline));
    let task = tokio::spawn(delivery.run());
    let received = told.recv().await.unwrap();
    assert!(received.head.starts_with("POST /hook?key=hunter2 HTTP/1.1\r\n"), "{}", received.head);
    let body: serde_json::Value = serde_json::from_str(&received.body).unwrap();
    assert_eq!((&body["type"], &body["data"]["stream"]), (&"stream.state".into(), &"door".into()));
    assert_eq!((&body["data"]["state"], &body["data"]["before"]), (&"offline".into(), &"live".into()));
    assert_eq!(body["data"]["reason"], "the camera refuses the password");
    let (id, timestamp) = (received.header("webhook-id"), received.header("webhook-timestamp"));
    let timestamp = timestamp.parse().unwrap();
    let expected = sign::signature(&Secret::new("hunter2"), &id, timestamp, received.body.as_bytes());
    assert_eq!(received.header("webhook-signature"), expected);
    until(&queue, |counts| counts.delivered == 1).await;
    task.abort();
}

#[tokio::test]
async fn a_receiver_that_fails_is_tried_again_in_order() {
    let (address, mut told) = receiver(&[500, 429, 200, 400, 200]).await;
    let (delivery, queue) = delivery(address, None);
    let events = [StreamState::Offline, StreamState::Live, StreamState::Stale].map(event);
    events.iter().for_each(|event| queue.push(event.clone()));
    let task = tokio::spawn(delivery.run());
    let mut ids = Vec::new();
    for _ in 0..5 {
        let received = told.recv().await.unwrap();
        assert!(!received.head.contains("webhook-signature"));
        ids.push(received.header("webhook-id"));
    }
    let [first, second, third] = events.map(|event| event.id);
    assert_eq!(ids, [first.clone(), first.clone(), first, second, third], "400 is not tried again");
    let counts = until(&queue, |counts| counts.delivered == 2).await;
    assert_eq!((counts.failed, counts.waiting), (1, 0));
    task.abort();
}

#[tokio::test]
async fn an_event_that_nobody_takes_is_given_up() {
    let (address, mut told) = receiver(&[503]).await;
    let (delivery, queue) = delivery(address, None);
    queue.push(event(StreamState::Offline));
    let task = tokio::spawn(delivery.run());
    assert_eq!(until(&queue, |counts| counts.failed == 1).await.delivered, 0);
    let mut attempts = 0;
    while told.try_recv().is_ok() {
        attempts += 1;
    }
    assert_eq!(attempts, 3);
    task.abort();
}

#[tokio::test]
async fn hooks_that_stay_go_on_and_others_end() {
    let client = Client::new(AddressRules::default(), TIMEOUT);
    let webhook =
        |url: &str| Webhook { url: Url::parse(url).unwrap(), secret: None, streams: StreamGlob::all() };
    let (one, two) = (webhook("http://192.0.2.1/one"), webhook("http://192.0.2.2/two"));
    let webhooks = Webhooks::new(client, Arc::new(FakeClock::default()), Arc::new(SystemEntropy), Vec::new());
    webhooks.follow(&[one.clone(), two.clone()]);
    let queue = Arc::clone(&webhooks.running.lock().unwrap()[1].queue);
    queue.done(true);
    webhooks.follow(&[two, one]);
    let delivered: Vec<_> = webhooks.figures().iter().map(|figures| figures.counts.delivered).collect();
    assert_eq!(delivered, [1, 0], "counters go with their hook");
    let urls: Vec<_> = webhooks.figures().into_iter().map(|figures| figures.url).collect();
    assert_eq!(urls, ["http://192.0.2.2", "http://192.0.2.1"], "without what may be secret");
}
