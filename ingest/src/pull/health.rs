//! How pulling from a source is doing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::Timestamp;
use serde::Serialize;

/// Where a source stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PullState {
    /// A connection is being made.
    Connecting,
    /// Its media comes in.
    Online,
    /// The last attempt failed or ended; the next one is made later.
    Waiting,
}

/// A source at a moment. Shows no credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PullHealth {
    /// Where it stands.
    pub state: PullState,
    /// Since when.
    pub since: Timestamp,
    /// Why the last connection failed or ended.
    pub reason: Option<String>,
    /// Whether somebody has to put something right before another attempt can succeed, such as a password.
    pub action_needed: bool,
    /// When the next attempt is made, while waiting.
    pub next_try: Option<Timestamp>,
    /// Attempts that failed since media came in last.
    pub failures: u64,
    /// Connections after the first that brought media.
    pub reconnects: u64,
    /// How packets come: `tcp` or `udp`, while online.
    pub transport: Option<&'static str>,
    /// What of the camera's offer is not recorded, and why.
    pub left_out: Vec<String>,
}

/// The health of one source, written by its puller.
#[derive(Clone, Debug)]
pub(super) struct Book(Arc<Mutex<PullHealth>>);

/// What a connection brought.
#[derive(Clone, Debug)]
pub(super) struct Agreed {
    pub(super) transport: &'static str,
    pub(super) left_out: Vec<String>,
}

impl Book {
    pub(super) fn new(now: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(PullHealth {
            state: PullState::Connecting,
            since: now,
            reason: None,
            action_needed: false,
            next_try: None,
            failures: 0,
            reconnects: 0,
            transport: None,
            left_out: Vec::new(),
        })))
    }

    pub(super) fn read(&self) -> PullHealth {
        self.lock().clone()
    }

    pub(super) fn connecting(&self, now: Timestamp) {
        let mut health = self.lock();
        (health.state, health.since, health.next_try) = (PullState::Connecting, now, None);
    }

    /// Media comes in, for the first time where `first` is set.
    pub(super) fn online(&self, now: Timestamp, agreed: Agreed, first: bool) {
        let mut health = self.lock();
        (health.state, health.since, health.failures) = (PullState::Online, now, 0);
        (health.transport, health.left_out) = (Some(agreed.transport), agreed.left_out);
        health.action_needed = false;
        health.reconnects += u64::from(!first);
    }

    /// Answers whether the reason is another one than before.
    pub(super) fn waiting(
        &self,
        now: Timestamp,
        next: Timestamp,
        (reason, action_needed): (String, bool),
    ) -> bool {
        let mut health = self.lock();
        let news = health.state == PullState::Online || health.reason.as_ref() != Some(&reason);
        (health.state, health.since, health.next_try) = (PullState::Waiting, now, Some(next));
        (health.reason, health.transport) = (Some(reason), None);
        health.action_needed = action_needed;
        health.failures += 1;
        news
    }

    fn lock(&self) -> MutexGuard<'_, PullHealth> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
