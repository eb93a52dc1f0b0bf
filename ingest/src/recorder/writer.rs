//! Numbers fragments and appends them to the log, one after the other, while the publisher goes on.

use std::sync::Arc;
use std::time::Duration;

use base::{FragmentMeta, FragmentNumber, RunId, Tags, TrackMeta};
use bytes::Bytes;
use catalog::{CatalogError, Principal, Stream};
use fragment_log::{Entry, FrameKind, LaneId, LogError, RetentionClass};
use media::mkv::write_fragment;
use tokio::sync::mpsc;

use super::naming::Job;
use super::throttle::Throttle;
use crate::health::{Health, Stored};
use crate::ingest::Hold;
use crate::{Ingest, IngestError};

/// A fragment is cut into log frames of at most this many bytes, so that a large one does not delay
/// the small ones of others.
const PIECE_BYTES: usize = 1024 * 1024;

/// The writer task of one publisher. Holds the stream until everything is on disk.
pub(super) struct Writer {
    ingest: Ingest,
    _hold: Hold,
    stream: Arc<Stream>,
    /// Who publishes: a credential that is revoked meanwhile ends the recording.
    principal: Principal,
    health: Arc<Health>,
    numbers: Numbers,
    told_full: Throttle,
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
}

impl Writer {
    pub(super) fn new(
        ingest: Ingest,
        hold: Hold,
        stream: Arc<Stream>,
        principal: Principal,
        health: Arc<Health>,
    ) -> Self {
        let numbers = Numbers::resume(&ingest, &stream);
        Self { ingest, _hold: hold, stream, principal, health, numbers, told_full: Throttle::default() }
    }

    /// Stores what comes until the publisher ends or the log gives up.
    pub(super) async fn run(mut self, mut jobs: mpsc::Receiver<Job>) -> Result<(), IngestError> {
        while let Some(job) = jobs.recv().await {
            self.store(job).await?;
        }
        Ok(())
    }

    /// Stores one fragment. A full disk costs the fragment, not the recording.
    async fn store(&mut self, job: Job) -> Result<(), IngestError> {
        let options = self.ingest.options();
        let deleted = || IngestError::Deleted(self.stream.name.clone());
        let stream = options.catalog.stream_by_id(self.stream.id).ok_or_else(deleted)?;
        if !options.catalog.stands(&self.principal) {
            let (who, stream) = (self.principal.name().to_owned(), self.stream.name.clone());
            return Err(CatalogError::NotAllowed { who, what: "publish to", stream }.into());
        }
        let mut numbers = self.numbers.clone();
        let clock = job.clock;
        let (meta, file) = numbers.number(job);
        self.health.fragment(&meta, clock);
        if stream.retention.is_zero() {
            self.numbers = numbers;
            return Ok(());
        }
        let lane = LaneId::Bulk(RetentionClass::class_for(stream.retention));
        let began = options.clock.monotonic();
        match options.log.append(lane, entries(&stream, &meta, file)).await {
            Ok(_) => {
                let took = options.clock.monotonic().saturating_sub(began);
                self.health.stored(Stored { number: meta.number, acked: options.clock.now(), took });
                self.numbers = numbers;
                Ok(())
            }
            Err(LogError::Full { .. }) => {
                self.numbers.skip(&meta);
                self.tell_full(began);
                Ok(())
            }
            Err(LogError::NoKey(_)) => Err(deleted()),
            Err(source) => Err(IngestError::Log { stream: self.stream.name.clone(), source }),
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
        }
    }

    /// Numbers a fragment and writes its file.
    fn number(&mut self, job: Job) -> (FragmentMeta, Vec<Bytes>) {
        let Job { tracks, metas, frames, named, server, parameters_changed, starts_with_key, clock } = job;
        let number = FragmentNumber::next(self.last, server);
        let run_id = self.run.filter(|_| !named.starts_run).unwrap_or(RunId(number));
        let discontinuous = self.broken || named.starts_run || parameters_changed;
        let media_sequence = self.last_media.map_or(0, |last| last.saturating_add(1));
        let first_ever = self.last_media.is_none();
        self.last_discontinuity += u64::from(discontinuous && !first_ever);
        (self.last, self.run, self.last_media, self.broken) =
            (Some(number), Some(run_id), Some(media_sequence), false);
        let file = write_fragment(&tracks, &frames, named.run_origin);
        let meta = FragmentMeta {
            number,
            producer_timestamp: named.producer,
            server_timestamp: number.server_timestamp(),
            duration_ms: duration_ms(&metas),
            size_bytes: file.iter().map(|part| part.len() as u64).sum(),
            run_id,
            run_origin: named.run_origin,
            media_sequence,
            discontinuity_sequence: self.last_discontinuity,
            starts_with_key,
            clock_source: named.source,
            clock_offset_ms: clock.offset_ms,
            tracks: metas,
            tags: Tags::new(),
        };
        (meta, file)
    }

    /// Leaves a fragment out that could not be stored: its number stays used.
    fn skip(&mut self, meta: &FragmentMeta) {
        (self.last, self.run, self.broken) = (Some(meta.number), Some(meta.run_id), true);
    }
}

/// How long a fragment plays: the longest video track, else the longest track.
fn duration_ms(tracks: &[TrackMeta]) -> u32 {
    let millis = |track: &TrackMeta| track.duration.saturating_mul(1000) / u64::from(track.timescale.max(1));
    let longest = |video: bool| tracks.iter().filter(|track| (track.width > 0) == video).map(millis).max();
    u32::try_from(longest(true).or(longest(false)).unwrap_or(0)).unwrap_or(u32::MAX)
}

/// The log entries of a fragment: its file in pieces, and the metadata that commits them.
fn entries(stream: &Stream, meta: &FragmentMeta, file: Vec<Bytes>) -> Vec<Entry> {
    let entry = |kind, count: usize, payload| Entry {
        kind,
        stream: stream.id,
        shard: 0,
        first_sequence: meta.number.to_u64(),
        count: u32::try_from(count).unwrap_or(u32::MAX),
        server_time: meta.server_timestamp,
        producer_time: meta.producer_timestamp,
        flags: 0,
        payload,
    };
    let pieces = pieces(file);
    let commit = serde_json::to_vec(meta).expect("fragment metadata has no map with keys that are no text");
    let commit = entry(FrameKind::FragmentMeta, pieces.len(), vec![Bytes::from(commit)]);
    let media = pieces.into_iter().enumerate().map(|(index, piece)| entry(FrameKind::Media, index, piece));
    media.chain([commit]).collect()
}

/// Cuts a gather list into pieces of at most [`PIECE_BYTES`], without copying.
fn pieces(file: Vec<Bytes>) -> Vec<Vec<Bytes>> {
    let mut pieces = Vec::new();
    let (mut piece, mut room) = (Vec::new(), PIECE_BYTES);
    for mut part in file {
        while part.len() > room {
            piece.push(part.split_to(room));
            pieces.push(std::mem::take(&mut piece));
            room = PIECE_BYTES;
        }
        room -= part.len();
        piece.push(part);
    }
    pieces.push(piece);
    pieces
}
