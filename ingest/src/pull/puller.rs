//! One source, pulled for ever: attempts, and the pauses between them.

use std::pin::Pin;
use std::time::Duration;

use base::{Entropy, StreamName, backoff};
use tokio::time::sleep;

use super::error::Retry;
use super::health::Book;
use super::session::{Attempt, Lost, Outcome};
use super::target::Target;
use super::{PullError, PullOptions, Timing};
use crate::rtsp::beat::Beat;

/// Everything about one source but its connection.
pub(super) struct Puller<'a> {
    pub(super) options: &'a PullOptions,
    pub(super) beat: Beat,
    pub(super) stream: StreamName,
    pub(super) target: Target,
    pub(super) book: Book,
}

/// How long to pause before the next attempt.
#[derive(Debug)]
struct Pause {
    timing: Timing,
    failures: u32,
}

impl Puller<'_> {
    /// Pulls until `stop` resolves.
    pub(super) async fn run(self, mut stop: Pin<&mut impl Future<Output = ()>>) {
        let Self { options, beat, stream, target, book } = &self;
        let mut pause = Pause { timing: options.timing, failures: 0 };
        let mut lost: Option<Lost> = None;
        let (mut again, mut no_room) = (false, false);
        loop {
            book.connecting(options.clock.now());
            let to_end = lost.as_ref().filter(|_| no_room);
            let attempt = Attempt { options, beat: *beat, stream, target, book, again, lost: to_end };
            let outcome = attempt.run(stop.as_mut()).await;
            let now = options.clock.monotonic();
            again |= outcome.online.is_some();
            let Outcome { error: Some(error), online, lost: newly } = outcome else { return };
            if online.is_some_and(|since| now.saturating_sub(since) >= pause.timing.settled) {
                pause.failures = 0;
            }
            let tried = to_end.is_some();
            lost = newly.or(lost).filter(|lost| lost.until > now);
            no_room = error.retry() == Retry::NoRoom;
            let wait = match &lost {
                // A session of ours may be what takes the room: it is ended first, and if that is not
                // enough, waited for.
                Some(_) if no_room && !tried => Duration::ZERO,
                Some(lost) if no_room => lost.until.saturating_sub(now).min(pause.timing.last_rare),
                Some(_) | None => pause.next(error.retry(), &*options.entropy),
            };
            self.tell(&error, wait);
            tokio::select! {
                () = &mut stop => return,
                () = sleep(wait) => {}
            }
        }
    }

    /// Into health, and into the log where it is news.
    fn tell(&self, error: &PullError, wait: Duration) {
        let now = self.options.clock.now();
        let why = (error.to_string(), error.retry() == Retry::Rarely);
        if self.book.waiting(now, now + wait, why) {
            let (stream, source) = (&self.stream, &self.target.url);
            tracing::warn!(%stream, %source, reason = %error, retry_ms = wait.as_millis(), "not pulling");
        }
    }
}

impl Pause {
    /// Doubles from failure to failure, with a quarter of jitter either way.
    fn next(&mut self, retry: Retry, entropy: &dyn Entropy) -> Duration {
        let Timing { first_retry, last_retry, first_rare, last_rare, .. } = self.timing;
        let (first, last) = match retry {
            Retry::Soon => (first_retry, last_retry),
            Retry::Rarely | Retry::NoRoom => (first_rare, last_rare),
        };
        let pause = backoff(first, last, self.failures, entropy);
        self.failures = self.failures.saturating_add(1);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::SystemEntropy;

    #[test]
    fn pauses_double_to_their_end_with_jitter() {
        let mut pause = Pause { timing: Timing::default(), failures: 0 };
        for expected in [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000] {
            let found = pause.next(Retry::Soon, &SystemEntropy).as_millis();
            assert!((expected * 3 / 4..=expected * 5 / 4).contains(&found), "{found} for {expected}");
        }
        let rare = pause.next(Retry::Rarely, &SystemEntropy);
        assert!(rare >= Timing::default().last_rare.mul_f64(0.75), "{rare:?}");
    }
}
