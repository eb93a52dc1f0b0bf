//! Numbers fragments and appends them to the log, one after the other and the open one part by part,
//! while the publisher goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base::{FragmentMeta, FragmentNumber, RunId, Tags};
use catalog::{CatalogError, Principal, Stream};
use fragment_log::{LaneId, LogError, RetentionClass};
use tokio::sync::mpsc;

use super::naming::Job;
use super::open_fragment::OpenFragment;
use super::throttle::Throttle;
use crate::health::{Health, Stored};
use crate::ingest::Hold;
use crate::{Ingest, IngestError};

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

/// The numbers of a stream's fragments, going on where the last publisher left them.
#[derive(Clone, Debug, Default)]
struct Numbers {
    last: Option<FragmentNumber>,
    run: Option<RunId>,
    /// HLS ordinals of the last fragment; `None` before the stream's first.
    last_media: Option<u64>,
    last_discontinuity: u64,
    /// The media timeline is broken before the next fragment: a run starts, or one was dropped.
    broken: bool,
    /// The last fragment that starts with a key frame and whose successors were all stored.
    key: Option<FragmentNumber>,
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
        let (open, told_full) = (None, Throttle::default());
        Self { ingest, _hold: hold, stream, principal, health, numbers, open, journaling, told_full }
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
        let stream = self.permitted()?;
        if job.begins {
            self.open = Some(self.numbers.begin(&job, &stream));
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

    /// The stream as it is now, where it still is and may be published to.
    fn permitted(&self) -> Result<Arc<Stream>, IngestError> {
        let catalog = &self.ingest.options().catalog;
        let deleted = || IngestError::Deleted(self.stream.name.clone());
        let stream = catalog.stream_by_id(self.stream.id).ok_or_else(deleted)?;
        if catalog.stands(&self.principal) {
            return Ok(stream);
        }
        let (who, stream) = (self.principal.name().to_owned(), self.stream.name.clone());
        Err(CatalogError::NotAllowed { who, what: "publish to", stream }.into())
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

impl Numbers {
    fn resume(ingest: &Ingest, stream: &Stream) -> Self {
        let options = ingest.options();
        let newest = options.resume.last(stream.id);
        let in_log = options.log.last_sequence(stream.id, 0).map(FragmentNumber::from_u64);
        Self {
            last: newest.as_ref().map(|meta| meta.number).max(in_log),
            run: None,
            last_media: newest.as_ref().map(|meta| meta.media_sequence),
            last_discontinuity: newest.map_or(0, |meta| meta.discontinuity_sequence),
            broken: true,
            key: None,
        }
    }

    /// Numbers a fragment. The numbers are used once it is stored.
    fn begin(&self, job: &Job, stream: &Stream) -> Open {
        let mut numbers = self.clone();
        let fragment = OpenFragment::new(stream.id, numbers.number(job));
        let class = RetentionClass::class_for(stream.retention);
        let lane = (!stream.retention.is_zero()).then_some(LaneId::Bulk(class));
        Open { fragment, lane, numbers }
    }

    fn number(&mut self, job: &Job) -> FragmentMeta {
        let Job { named, server, parameters_changed, starts_with_key, clock, .. } = job;
        let number = FragmentNumber::next(self.last, *server);
        let run_id = self.run.filter(|_| !named.starts_run).unwrap_or(RunId(number));
        let discontinuous = self.broken || named.starts_run || *parameters_changed;
        let media_sequence = self.last_media.map_or(0, |last| last.saturating_add(1));
        let first_ever = self.last_media.is_none();
        self.last_discontinuity += u64::from(discontinuous && !first_ever);
        (self.last, self.run, self.last_media, self.broken) =
            (Some(number), Some(run_id), Some(media_sequence), false);
        self.key = if *starts_with_key { Some(number) } else { self.key };
        FragmentMeta {
            number,
            producer_timestamp: named.producer,
            server_timestamp: number.server_timestamp(),
            duration_ms: 0,
            size_bytes: 0,
            run_id,
            run_origin: named.run_origin,
            media_sequence,
            discontinuity_sequence: self.last_discontinuity,
            starts_with_key: *starts_with_key,
            clock_source: named.source,
            clock_offset_ms: clock.offset_ms,
            #[expect(clippy::cast_possible_truncation, reason = "a cast from f64 saturates")]
            clock_drift_ppm: clock.drift_ppm.map(|ppm| ppm.round() as i32),
            decodes_from: self.key.filter(|_| !*starts_with_key),
            tracks: Vec::new(),
            tags: Tags::new(),
        }
    }

    /// Leaves a fragment out that could not be stored: its number stays used.
    fn skip(&mut self, meta: &FragmentMeta) {
        (self.last, self.run, self.broken, self.key) = (Some(meta.number), Some(meta.run_id), true, None);
    }
}
