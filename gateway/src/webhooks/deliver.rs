//! Posting the events of one webhook, in their order, until they are taken or given up.

use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Entropy};
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, StatusCode};
use outbound::Client;
use tokio::time::sleep;

use super::Webhook;
use super::event::Event;
use super::queue::Queue;
use super::sign::signature;

/// Bytes of an answer that are read, to be dropped.
const MOST: usize = 64 * 1024;

/// When a POST that failed is tried again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    /// Before the second attempt; doubles from there.
    pub(super) first: Duration,
    /// At most.
    pub(super) last: Duration,
    /// How often one event is posted.
    pub(super) attempts: u32,
}

impl Default for Timing {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), last: Duration::from_secs(60), attempts: 10 }
    }
}

/// One webhook's task.
pub(super) struct Delivery {
    pub(super) client: Client,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) webhook: Webhook,
    pub(super) queue: Arc<Queue>,
    pub(super) timing: Timing,
}

/// Why a POST was not taken.
struct Refused {
    why: String,
    /// Whether another attempt may be.
    again: bool,
}

impl Delivery {
    /// Runs until it is aborted.
    pub(super) async fn run(self) {
        loop {
            let event = self.queue.next().await;
            let delivered = self.deliver(&event).await;
            self.queue.done(delivered);
        }
    }

    async fn deliver(&self, event: &Event) -> bool {
        let url = &self.webhook.url;
        for attempt in 1..=self.timing.attempts {
            let Err(Refused { why, again }) = self.post(event).await else { return true };
            let last = !again || attempt == self.timing.attempts;
            tracing::warn!(%url, event = event.id, attempt, reason = why, last, "webhook not delivered");
            if last {
                return false;
            }
            sleep(self.pause(attempt)).await;
        }
        false
    }

    /// Doubles from attempt to attempt, with a quarter of jitter either way.
    fn pause(&self, attempt: u32) -> Duration {
        let doubled = self.timing.first.saturating_mul(1 << (attempt - 1).min(16));
        doubled.min(self.timing.last).mul_f64(0.75 + f64::from(self.entropy.bytes::<1>()[0]) / 510.0)
    }

    async fn post(&self, event: &Event) -> Result<(), Refused> {
        let sent = self.client.post(&self.webhook.url, self.headers(event), event.body.clone(), MOST).await;
        let status = sent.map_err(|error| Refused { why: error.to_string(), again: true })?.status();
        if status.is_success() {
            return Ok(());
        }
        let later = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
        let again = status.is_server_error() || later.contains(&status);
        Err(Refused { why: format!("the answer is {status}"), again })
    }

    fn headers(&self, event: &Event) -> HeaderMap {
        let now = self.clock.now().millis().div_euclid(1000);
        let value = |text: String| HeaderValue::try_from(text).expect("hex, digits and base64 are ASCII");
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("millrace/", env!("CARGO_PKG_VERSION"))));
        headers.insert("webhook-id", value(event.id.clone()));
        headers.insert("webhook-timestamp", value(now.to_string()));
        if let Some(secret) = &self.webhook.secret {
            headers.insert("webhook-signature", value(signature(secret, &event.id, now, &event.body)));
        }
        headers
    }
}
