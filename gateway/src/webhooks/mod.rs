//! Webhooks: every change of a stream's state is posted to the URLs that the configuration names.
//!
//! ```text
//! watch (once a second) ── StateChange ──► event (JSON) ──► a queue for each hook ──► deliver (signed POST, tries again)
//! ```
//!
//! Requests have the form of Standard Webhooks (<https://www.standardwebhooks.com>), so that its libraries
//! verify them.
//!
//! Not promised: events that wait when the server stops, and more than [`queue::MOST`] of one hook.

mod deliver;
mod event;
mod queue;
mod sign;
#[cfg(test)]
mod tests;
mod watch;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::{Clock, Entropy};
use catalog::{Secret, StreamGlob};
use outbound::{Client, Url};
use tokio::sync::watch as channel;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::app::App;
use deliver::{Delivery, Timing};
use queue::Queue;
use watch::Watched;

pub use queue::Counts;
pub(crate) use sign::key_bytes;

/// How often states are looked at. What comes and goes in between is seen by its traces.
const LOOK: Duration = Duration::from_secs(1);
/// For all of one request and its answer.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// A webhook as the configuration has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Where events are posted.
    pub url: Url,
    /// What they are signed with; none for no signature.
    pub secret: Option<Secret>,
    /// The streams whose events are posted.
    pub streams: StreamGlob,
}

/// All webhooks of an installation.
pub struct Webhooks {
    client: Client,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    configured: channel::Sender<Arc<Vec<Webhook>>>,
    running: Mutex<Vec<Hook>>,
}

/// A webhook that is posted to.
struct Hook {
    webhook: Webhook,
    queue: Arc<Queue>,
    task: JoinHandle<()>,
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A webhook in numbers.
pub struct Figures {
    /// Scheme, host and port.
    pub url: String,
    /// What became of its events.
    pub counts: Counts,
}

impl Webhooks {
    /// Webhooks that do nothing until [`Self::run`].
    pub fn new(
        client: Client,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        webhooks: Vec<Webhook>,
    ) -> Arc<Self> {
        let configured = channel::Sender::new(Arc::new(webhooks));
        Arc::new(Self { client, clock, entropy, configured, running: Mutex::default() })
    }

    /// Posts to these from now on. Those that stay the same go on with what waits for them.
    pub fn configure(&self, webhooks: Vec<Webhook>) {
        self.configured.send_replace(Arc::new(webhooks));
    }

    /// Every webhook in the order of the configuration.
    pub fn figures(&self) -> Vec<Figures> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let figures =
            |hook: &Hook| Figures { url: hook.webhook.url.to_string(), counts: hook.queue.counts() };
        running.iter().map(figures).collect()
    }

    /// Watches and posts until the server stops.
    pub async fn run(self: Arc<Self>, app: Arc<App>, mut stopped: channel::Receiver<bool>) {
        let mut configured = self.configured.subscribe();
        let mut watched = Watched::default();
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.follow(&configured.borrow_and_update().clone());
        loop {
            tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => break,
                // The sender is a field of `self`.
                _ = configured.changed() => self.follow(&configured.borrow_and_update().clone()),
                _ = look.tick() => {}
            }
            self.look(&mut watched, &app);
        }
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting: u64 = running.iter().map(|hook| hook.queue.counts().waiting).sum();
        if waiting > 0 {
            tracing::warn!(waiting, "events that wait for webhooks are given up: the server stops");
        }
        running.clear();
    }

    /// Starts and stops, so that what runs is what is wanted.
    fn follow(&self, wanted: &[Webhook]) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *running);
        for webhook in wanted {
            let same = before.iter().position(|hook| hook.webhook == *webhook);
            running.push(match same {
                Some(at) => before.swap_remove(at),
                None => self.start(webhook.clone()),
            });
        }
    }

    fn start(&self, webhook: Webhook) -> Hook {
        let queue = Arc::new(Queue::default());
        let delivery = Delivery {
            client: self.client.clone(),
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            webhook: webhook.clone(),
            queue: Arc::clone(&queue),
            timing: Timing::default(),
        };
        Hook { webhook, queue, task: tokio::spawn(delivery.run()) }
    }

    /// Hands every change since the last look to the hooks that want it.
    fn look(&self, watched: &mut Watched, app: &App) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.is_empty() {
            // Whoever is configured later hears of what changes from then on.
            *watched = Watched::default();
            return;
        }
        for change in watched.look(&watch::states(app)) {
            let event = event::Event::of(&change, &*self.clock, &*self.entropy);
            let wanted = running.iter().filter(|hook| hook.webhook.streams.matches(&change.stream));
            wanted.for_each(|hook| hook.queue.push(event.clone()));
        }
    }
}
