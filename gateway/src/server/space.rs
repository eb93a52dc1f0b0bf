//! Space: what has expired goes, and the disk is never filled.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use fragment_log::DiskSpace;
use indexer::Swept;
use tokio::sync::watch;

use super::told_to_stop;
use crate::app::App;
use crate::config::Share;

/// Between two looks at the disk.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between two sweeps of what has expired.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// Between two complaints about the same disk.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// What is to stay free.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keep {
    /// Below this the oldest footage goes.
    pub(super) floor: Share,
    /// Below this no new data is taken.
    pub(super) reserve: Share,
}

/// Sweeps what has expired, and keeps the disk from filling, as long as the server runs.
pub(super) async fn keep(app: Arc<App>, keep: Keep, mut stopped: watch::Receiver<bool>) {
    let mut keeper = Keeper { app, keep, swept: None, told: None, more: false };
    loop {
        keeper.look().await;
        let pause = if keeper.more { Duration::from_millis(10) } else { LOOK_EVERY };
        tokio::select! {
            () = told_to_stop(&mut stopped) => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

struct Keeper {
    app: Arc<App>,
    keep: Keep,
    /// When the last sweep was, and when the last complaint, by the monotonic clock.
    swept: Option<Duration>,
    told: Option<Duration>,
    /// Whether the last sweep left something.
    more: bool,
}

impl Keeper {
    async fn look(&mut self) {
        let now = self.app.clock.monotonic();
        let due = |last: Option<Duration>, every| last.is_none_or(|last| now.saturating_sub(last) >= every);
        let short = self.shortage().await;
        if short == 0 && !self.more && !due(self.swept, SWEEP_EVERY) {
            return;
        }
        self.swept = Some(now);
        let swept = if short > 0 { self.app.make_room(short).await } else { self.app.sweep().await };
        let swept = swept.unwrap_or_else(|error| {
            tracing::error!(%error, "expired footage could not be removed");
            Swept::default()
        });
        let more_records = self.app.sweep_records().await.unwrap_or_else(|error| {
            tracing::error!(%error, "expired records could not be removed");
            false
        });
        self.more = short == 0 && (swept.more || more_records);
        if short > 0 && due(self.told, TELL_EVERY) {
            self.told = Some(now);
            self.tell(short, &swept);
        }
    }

    /// How many bytes are missing to the floor.
    async fn shortage(&self) -> u64 {
        let Keep { floor, reserve } = self.keep;
        let log = Arc::clone(&self.app.log);
        let looked = tokio::task::spawn_blocking(move || {
            let total = log.disk_space()?.total;
            log.keep_reserve(reserve.of(total))
        });
        let space = match looked.await {
            Ok(Ok(space)) => space,
            Ok(Err(error)) => {
                tracing::error!(%error, "the space of the disk is not known");
                return 0;
            }
            // The server stops.
            Err(_) => return 0,
        };
        let DiskSpace { total, available } = space;
        let disk = &self.app.metrics.disk;
        disk.total.store(total, Relaxed);
        disk.available.store(available, Relaxed);
        disk.floor.store(floor.of(total), Relaxed);
        disk.reserve.store(reserve.of(total), Relaxed);
        floor.of(total).saturating_sub(available)
    }

    fn tell(&self, short: u64, swept: &Swept) {
        if swept.bytes > 0 {
            let (fragments, bytes) = (swept.fragments, swept.bytes);
            tracing::warn!(
                short,
                fragments,
                bytes,
                "the disk is below its floor: the oldest footage made room"
            );
        } else {
            tracing::error!(
                short,
                "the disk is below its floor, and all footage on it is held as evidence or being written: free \
                 space, or clear holds"
            );
        }
    }
}
