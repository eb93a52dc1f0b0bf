//! Numbers fragments and appends them to the log, one after the other and the open one part by part,
//! while the publisher goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base::{ClockSource, FragmentMeta, RunId, Tags};
use catalog::{NewClockCorrection, Principal, Stream};
use fragment_log::{LaneId, LogError};
use tokio::sync::mpsc;

use super::naming::Job;
use super::open_fragment::OpenFragment;
use super::throttle::Throttle;
use crate::health::{Health, Stored};
use crate::ingest::Hold;
use crate::numbers::Numbers;
use crate::{Ingest, IngestError, stored};

/// Who notes corrections that follow from a step of the server's clock.
const CORRECTED_BY: &str = "millrace";

/// The writer task of one publisher. Holds the stream until everything is on disk.
pub(super) struct Writer {
    ingest: Ingest,
    _hold: Hold,
    stream: Arc<Stream>,
    /// Who publishes: a credential that is revoked meanwhile ends the recording.
    principal: Principal,
    health: Arc<Health>,
    numbers: Numbers,
    /// The fragment that is being stored, between its first part and its last.
    open: Option<Open>,
    /// The run that was stored last, and what its times follow.
    last: Option<(RunId, ClockSource)>,
    /// Whether a part is on its way here, or being stored.
    journaling: Arc<AtomicBool>,
    told_full: Throttle,
}

struct Open {
    fragment: OpenFragment,
    /// Where it goes, as the stream's retention was when it began; `None` where nothing is kept.
    lane: Option<LaneId>,
    /// What is in force once it is stored.
    numbers: Numbers,
}

impl Writer {
    pub(super) fn new(
        ingest: Ingest,
        hold: Hold,
        stream: Arc<Stream>,
        principal: Principal,
        health: Arc<Health>,
        journaling: Arc<AtomicBool>,
    ) -> Self {
        let numbers = Numbers::resume(&ingest, &stream);
        let (open, last, told_full) = (None, None, Throttle::default());
        Self { ingest, _hold: hold, stream, principal, health, numbers, open, last, journaling, told_full }
    }

    /// Stores what comes until the publisher ends or the log gives up.
    pub(super) async fn run(mut self, mut jobs: mpsc::Receiver<Job>) -> Result<(), IngestError> {
        while let Some(job) = jobs.recv().await {
            let part = !job.ends;
            self.store(job).await?;
            if part {
                self.journaling.store(false, Ordering::Release);
            }
        }
        Ok(())
    }

    /// Stores one fragment, or a part of one. A full disk costs the fragment, not the recording.
    async fn store(&mut self, job: Job) -> Result<(), IngestError> {
        let stream = self.ingest.permitted(&self.stream, &self.principal)?;
        if job.begins {
            if let (Some(delta_ms), Some((run, ClockSource::Server))) = (job.corrects_ms, self.last) {
                self.correct(run, delta_ms).await;
            }
            let open = Open::new(&job, &stream, self.numbers.clone());
            let FragmentMeta { run_id, clock_source, .. } = open.fragment.meta();
            self.last = Some((*run_id, *clock_source));
            self.open = Some(open);
        }
        // None where the disk was full when an earlier part came: the rest goes with it.
        let Some(Open { fragment, lane, .. }) = &mut self.open else { return Ok(()) };
        let (ends, clock) = (job.ends, job.clock);
        let entries = fragment.take(job);
        if ends {
            self.health.fragment(fragment.meta(), clock);
        }
        let options = self.ingest.options();
        let began = options.clock.monotonic();
        let appended = match lane {
            Some(lane) => options.log.append(*lane, entries).await.map(drop),
            None => Ok(()),
        };
        match appended {
            Ok(()) => self.stored(ends, began),
            Err(LogError::Full { .. }) => self.lost(began),
            Err(LogError::NoKey(_)) => return Err(IngestError::Deleted(self.stream.name.clone())),
            Err(source) => return Err(IngestError::Log { stream: self.stream.name.clone(), source }),
        }
        Ok(())
    }

    /// Notes by how much the times of a run are wrong that has ended. It stays as it is where that fails.
    async fn correct(&self, run: RunId, delta_ms: i64) {
        let reason = "the server's clock was set: nothing had kept it right".to_owned();
        let correction = NewClockCorrection { run, delta_ms, reason };
        let catalog = &self.ingest.options().catalog;
        if let Err(error) = catalog.correct_clock(self.stream.id, correction, CORRECTED_BY).await {
            tracing::error!(stream = %self.stream.name, %error, "a correction of a run's clock is not noted");
        }
    }

    /// What the fragment had since `began` is on disk, if it is kept.
    fn stored(&mut self, ends: bool, began: Duration) {
        let Some(Open { fragment, lane, numbers }) = self.open.take() else { return };
        let clock = &self.ingest.options().clock;
        match lane {
            Some(_) if ends => {
                let took = clock.monotonic().saturating_sub(began);
                let number = fragment.meta().number;
                self.health.stored(Stored { number, acked: clock.now(), took });
                self.ingest.live(self.stream.id).ring();
            }
            Some(_) => self.health.journaled(fragment.meta().duration_ms),
            None => {}
        }
        if ends {
            self.numbers = numbers;
        } else {
            self.open = Some(Open { fragment, lane, numbers });
        }
    }

    /// The disk is full: the fragment is left out.
    fn lost(&mut self, now: Duration) {
        if let Some(Open { fragment, .. }) = self.open.take() {
            self.numbers.skip(fragment.meta());
            self.tell_full(now);
        }
    }

    fn tell_full(&mut self, now: Duration) {
        self.health.dropped();
        if self.told_full.admits(now) {
            tracing::warn!(stream = %self.stream.name, "the disk is full: fragments are dropped until there is space");
        }
    }
}

impl Open {
    /// Begins a fragment. The numbers are used once it is stored.
    fn new(job: &Job, stream: &Stream, mut numbers: Numbers) -> Self {
        let Job { named, server, parameters_changed, starts_with_key, clock, .. } = job;
        let number = numbers.next(*server);
        let place = numbers.place(number, named.starts_run, *parameters_changed, *starts_with_key);
        let meta = FragmentMeta {
            number,
            producer_timestamp: named.producer,
            server_timestamp: number.server_timestamp(),
            duration_ms: 0,
            size_bytes: 0,
            run_id: place.run,
            run_origin: named.run_origin,
            media_sequence: place.media_sequence,
            discontinuity_sequence: place.discontinuity_sequence,
            starts_with_key: *starts_with_key,
            clock_source: named.source,
            clock_offset_ms: clock.offset_ms,
            #[expect(clippy::cast_possible_truncation, reason = "a cast from f64 saturates")]
            clock_drift_ppm: clock.drift_ppm.map(|ppm| ppm.round() as i32),
            server_clock_synced: clock.server_synced,
            decodes_from: place.decodes_from,
            tracks: Vec::new(),
            tags: Tags::new(),
        };
        Self { fragment: OpenFragment::new(stream.id, meta), lane: stored::lane(stream), numbers }
    }
}
