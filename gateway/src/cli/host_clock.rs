//! The machine's clock, and whether something keeps it right.
//!
//! The kernel knows (adjtimex(2), `STA_UNSYNC`), whichever daemon sets it, but asking it takes a system call that no
//! safe interface has. systemd asks it for everyone (`timedatectl`); where there is no systemd, the mark that
//! systemd-timesyncd leaves may be there all the same, of the host of a container. Else nobody tells.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use base::{Clock, SystemClock, Timestamp};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// How often the system is asked.
const EVERY: Duration = Duration::from_mins(1);
/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Left by systemd-timesyncd once it has set the clock (systemd-timesyncd.service(8)).
const MARK: &str = "/run/systemd/timesync/synchronized";

const UNKNOWN: u8 = 0;
const RIGHT: u8 = 1;
const ADRIFT: u8 = 2;

/// The system's clock, as it was when the system was last asked about it.
#[derive(Debug, Default)]
pub(super) struct HostClock(AtomicU8);

impl HostClock {
    /// Asks once, then goes on asking for as long as the runtime lasts.
    pub(super) async fn watched() -> Arc<Self> {
        let clock = Arc::new(Self::default());
        clock.ask().await;
        if clock.synchronized() == Some(false) {
            tracing::warn!(
                "nothing keeps the system's clock right: see to it that NTP runs, or footage gets wrong times"
            );
        }
        let watched = Arc::clone(&clock);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(EVERY).await;
                watched.ask().await;
            }
        });
        clock
    }

    async fn ask(&self) {
        let told = || told_by_systemd().or_else(|| Path::new(MARK).exists().then_some(true));
        // A system that does not answer in time is waited for by its thread alone.
        if let Ok(Ok(told)) = timeout(PATIENCE, spawn_blocking(told)).await {
            self.note(told);
        }
    }

    fn note(&self, told: Option<bool>) {
        let state = told.map_or(UNKNOWN, |right| if right { RIGHT } else { ADRIFT });
        self.0.store(state, Ordering::Relaxed);
    }
}

impl Clock for HostClock {
    fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    fn monotonic(&self) -> Duration {
        SystemClock.monotonic()
    }

    fn synchronized(&self) -> Option<bool> {
        match self.0.load(Ordering::Relaxed) {
            RIGHT => Some(true),
            ADRIFT => Some(false),
            _ => None,
        }
    }
}

/// What systemd says of the kernel's clock; `None` where there is no systemd, or it does not answer.
fn told_by_systemd() -> Option<bool> {
    let mut ask = Command::new("timedatectl");
    ask.args(["show", "--property=NTPSynchronized", "--value"]);
    let answer = ask.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    answer.status.success().then(|| meaning(&answer.stdout)).flatten()
}

/// Reads the value of the property `NTPSynchronized`.
fn meaning(answer: &[u8]) -> Option<bool> {
    match answer.trim_ascii() {
        b"yes" => Some(true),
        b"no" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systemd_says_is_told_and_nothing_else() {
        let clock = HostClock::default();
        for (answer, told) in
            [(&b"yes\n"[..], Some(true)), (b"no\n", Some(false)), (b"", None), (b"Failed to connect", None)]
        {
            clock.note(meaning(answer));
            assert_eq!(clock.synchronized(), told);
        }
    }
}
