//! Log lines: to standard error, as text or JSON, never a flood.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base::{Clock, SystemClock};
use tracing::callsite::Identifier;
use tracing::{Event, Metadata};
use tracing_subscriber::layer::{Context, Filter, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use super::error::CliError;
use crate::config::{Config, LogFormat};

/// Lines that one place in the code may write in one second: hostile clients must not fill a disk.
const LINES_PER_SECOND: u32 = 20;

/// The filter that the configuration names.
pub(super) fn filter(config: &Config) -> Result<EnvFilter, CliError> {
    EnvFilter::try_new(&config.log_level)
        .map_err(|error| CliError::Arguments(format!("log.level: {:?}: {error}", config.log_level)))
}

/// Starts writing log lines.
pub(super) fn start(config: &Config) -> Result<(), CliError> {
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match config.log_format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    let dam = Dam { clock: SystemClock, seconds: Mutex::default() };
    tracing_subscriber::registry().with(filter(config)?).with(lines.with_filter(dam)).init();
    Ok(())
}

/// Lets each place in the code write so many lines in a second and no more.
struct Dam<C> {
    clock: C,
    /// For each place its running second, and the lines in it.
    seconds: Mutex<HashMap<Identifier, (Duration, u32)>>,
}

impl<C: Clock> Dam<C> {
    fn admits(&self, place: Identifier) -> bool {
        let now = self.clock.monotonic();
        let mut seconds = self.seconds.lock().unwrap_or_else(PoisonError::into_inner);
        let (began, lines) = seconds.entry(place).or_insert((now, 0));
        if now.saturating_sub(*began) >= Duration::from_secs(1) {
            (*began, *lines) = (now, 0);
        }
        *lines = lines.saturating_add(1);
        *lines <= LINES_PER_SECOND
    }
}

impl<S, C: Clock> Filter<S> for Dam<C> {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        self.admits(event.metadata().callsite())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use base::Timestamp;

    use super::*;

    struct Hand(Arc<AtomicU64>);

    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            Timestamp::default()
        }
        fn monotonic(&self) -> Duration {
            Duration::from_millis(self.0.load(Ordering::Relaxed))
        }
    }

    #[derive(Clone, Default)]
    struct Count(Arc<AtomicU64>);

    impl<S: tracing::Subscriber> Layer<S> for Count {
        fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn one_place_is_held_back_and_others_are_not() {
        let (millis, count) = (Arc::new(AtomicU64::new(0)), Count::default());
        let dam = Dam { clock: Hand(Arc::clone(&millis)), seconds: Mutex::default() };
        let lines = tracing_subscriber::registry().with(count.clone().with_filter(dam));
        tracing::subscriber::with_default(lines, || {
            for second in 1..=2 {
                for _ in 0..1000 {
                    tracing::warn!("flood");
                }
                tracing::warn!("another place");
                let expected = second * (u64::from(LINES_PER_SECOND) + 1);
                assert_eq!(count.0.load(Ordering::Relaxed), expected);
                millis.fetch_add(1000, Ordering::Relaxed);
            }
        });
    }
}
