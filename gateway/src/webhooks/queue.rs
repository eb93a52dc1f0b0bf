//! What waits for one webhook: bounded, the oldest goes first.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::event::Event;

/// Events that may wait.
pub(super) const MOST: usize = 1000;

#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    bell: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Event>,
    counts: Counts,
}

/// What became of a webhook's events since it was configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Taken by the receiver.
    pub delivered: u64,
    /// Refused by the receiver, or tried as often as may be.
    pub failed: u64,
    /// Pushed out by newer ones, since too many waited.
    pub dropped: u64,
    /// Not posted yet.
    pub waiting: u64,
}

impl Queue {
    /// Takes an event in, in place of the oldest where too many wait.
    pub(super) fn push(&self, event: Event) {
        let mut state = self.lock();
        if state.waiting.len() >= MOST {
            state.waiting.pop_front();
            state.counts.dropped += 1;
        }
        state.waiting.push_back(event);
        drop(state);
        self.bell.notify_one();
    }

    /// The oldest event, once there is one.
    pub(super) async fn next(&self) -> Event {
        loop {
            if let Some(event) = self.lock().waiting.pop_front() {
                return event;
            }
            self.bell.notified().await;
        }
    }

    /// An event is done with.
    pub(super) fn done(&self, delivered: bool) {
        let counts = &mut self.lock().counts;
        *(if delivered { &mut counts.delivered } else { &mut counts.failed }) += 1;
    }

    pub(super) fn counts(&self) -> Counts {
        let state = self.lock();
        Counts { waiting: state.waiting.len() as u64, ..state.counts }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[tokio::test]
    async fn the_oldest_go_when_too_many_wait() {
        let queue = Queue::default();
        for number in 0..MOST + 3 {
            queue.push(Event { id: number.to_string(), body: Bytes::new() });
        }
        let counts = queue.counts();
        assert_eq!((counts.waiting, counts.dropped), (MOST as u64, 3));
        assert_eq!(queue.next().await.id, "3");
    }
}
