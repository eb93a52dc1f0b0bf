//! One shard of one outlet: waits, gathers, packs, sends, makes a checkpoint, and begins again.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Entropy, Timestamp, backoff};
use bytes::Bytes;
use catalog::{Catalog, Checkpoint, Delivery};
use data_streams::{Batch, ReadLimits, ReadRecord};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::destination::{Destination, Failure, GivingUp, Services, Shipment};
use crate::identity::Identity;
use crate::pack::{Failed, Output, Packer, Reason};
use crate::prefix::Prefix;
use crate::source::{SourceError, SourceStream, Streams};
use crate::status::{Board, LastError};
use crate::store::{Object, is_gzip, object_name};

/// The first pause after a failure, and the longest.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));
/// Between two looks at how much has gathered.
const LOOK: Duration = Duration::from_millis(50);
/// Bytes and records of one read.
const READ: ReadLimits = ReadLimits { records: 10_000, bytes: 4 * 1024 * 1024 };
const MIB: u64 = 1024 * 1024;

/// What all lines share.
pub(crate) struct Shared {
    pub catalog: Arc<Catalog>,
    pub streams: Arc<dyn Streams>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub services: Arc<Services>,
    /// MiB that all shipments together may take.
    pub memory: Arc<Semaphore>,
    pub memory_mib: u32,
}

/// A line, where it stands now.
pub(crate) struct Line {
    pub shared: Arc<Shared>,
    pub delivery: Arc<Delivery>,
    pub outlet: u8,
    pub destination: Arc<dyn Destination>,
    pub source: SourceStream,
    pub shard: u32,
    pub board: Arc<Board>,
    identity: Identity,
    /// The index of the next record.
    next: u64,
    /// When the last record arrived that is done with.
    arrived: Timestamp,
}

/// Records that were gathered, or how far it is known that there are none.
enum Gathered {
    Shipment(Shipment),
    Nothing { next: u64 },
}

impl Line {
    /// A line that goes on at the record of this index.
    pub fn new(
        (shared, delivery, board): (Arc<Shared>, Arc<Delivery>, Arc<Board>),
        (outlet, destination): (u8, Arc<dyn Destination>),
        (source, shard): (SourceStream, u32),
        next: u64,
        arrived: Timestamp,
    ) -> Self {
        let identity = Identity::new(&[
            delivery.arn.to_string().as_bytes(),
            &delivery.created.millis().to_be_bytes(),
            &[outlet],
            &source.stream.id.0.to_be_bytes(),
            &shard.to_be_bytes(),
        ]);
        Self { shared, delivery, outlet, destination, source, shard, board, identity, next, arrived }
    }

    /// Delivers until the source is gone.
    pub async fn run(mut self) -> Result<Infallible, SourceError> {
        let mut failures = 0;
        loop {
            match self.step().await {
                Ok(()) => failures = 0,
                Err(SourceError::Gone) => {
                    self.board.waits(self.shard, None);
                    return Err(SourceError::Gone);
                }
                Err(error @ SourceError::Failed(_)) => {
                    self.tell(&error.to_string());
                    self.pause(&mut failures).await;
                }
            }
        }
    }

    /// Delivers what has gathered, as soon as it is enough or old enough.
    async fn step(&mut self) -> Result<(), SourceError> {
        let Shared { streams, .. } = &*self.shared;
        self.board.waits(self.shard, None);
        streams.grown(&self.source, self.shard, self.next).await;
        let first = self.read(self.next, ReadLimits { records: 1, bytes: 1 }).await?;
        let Some(oldest) = first.records.first().map(|record| record.arrived) else {
            self.skip_to(first.next);
            return Ok(());
        };
        self.board.waits(self.shard, Some(oldest));
        self.until_due(oldest).await;
        let hints = self.destination.buffer();
        // As it is packed, as base64 may make it, and as failed records.
        let room = hints.size_mib.saturating_mul(3).clamp(1, self.shared.memory_mib);
        let memory = Arc::clone(&self.shared.memory);
        // The semaphore is never closed.
        let held = memory.acquire_many_owned(room).await.ok();
        match self.gather(self.destination.packer(&self.identity), u64::from(hints.size_mib) * MIB).await? {
            Gathered::Nothing { next } => self.skip_to(next),
            Gathered::Shipment(shipment) => {
                self.skip_to(shipment.first);
                let delivered = self.deliver(&shipment).await?;
                self.advance(&shipment, delivered).await;
            }
        }
        drop(held);
        Ok(())
    }

    /// Waits until the buffer's size has gathered, or its interval has passed since the oldest record arrived.
    async fn until_due(&self, oldest: Timestamp) {
        let Shared { clock, streams, .. } = &*self.shared;
        let hints = self.destination.buffer();
        let (size, interval) =
            (u64::from(hints.size_mib) * MIB, Duration::from_secs(hints.interval_secs.into()));
        // By the clock that does not step.
        let due = clock.monotonic() + interval.saturating_sub(clock.now().since(oldest));
        let (mut counted, mut bytes) = (self.next, 0);
        loop {
            let durable = streams.durable(&self.source, self.shard);
            bytes += streams.stored_bytes(&self.source, self.shard, counted..durable);
            counted = durable.max(counted);
            let left = due.saturating_sub(clock.monotonic());
            if bytes >= size || left.is_zero() {
                return;
            }
            sleep(left.min(LOOK)).await;
            let left = due.saturating_sub(clock.monotonic());
            // Whichever comes first.
            let _ = timeout(left, streams.grown(&self.source, self.shard, counted)).await;
        }
    }

    /// Reads and packs records until there are so many bytes, or no more.
    async fn gather(&self, packer: Box<dyn Packer>, size: u64) -> Result<Gathered, SourceError> {
        self.pack(packer, size, u64::MAX).await
    }

    /// Packs the records from the line's place on: up to so many bytes, and to the record of index `last`.
    async fn pack(&self, mut packer: Box<dyn Packer>, size: u64, last: u64) -> Result<Gathered, SourceError> {
        let mut found: Option<Shipment> = None;
        let mut from = self.next;
        loop {
            let bytes = found.as_ref().map_or(0, |shipment| shipment.bytes);
            let left = usize::try_from(size.saturating_sub(bytes)).unwrap_or(usize::MAX);
            let limits = ReadLimits { bytes: READ.bytes.min(left), ..READ };
            if left == 0 || from > last {
                break;
            }
            let mut batch = self.read(from, limits).await?;
            batch.records.retain(|record| record.index <= last);
            if batch.records.is_empty() {
                from = batch.next.max(from);
                break;
            }
            from = batch.next;
            count(&mut found, &batch.records);
            packer = packed(packer, batch.records).await?;
        }
        let Some(mut shipment) = found else { return Ok(Gathered::Nothing { next: from }) };
        let body = tokio::task::spawn_blocking(move || packer.finish()).await;
        shipment.body = Bytes::from(flat(body)?);
        Ok(Gathered::Shipment(shipment))
    }

    async fn read(&self, from: u64, limits: ReadLimits) -> Result<Batch, SourceError> {
        self.shared.streams.read(&self.source, self.shard, from, limits).await
    }

    /// Sends until it is taken. Records that are given up are stored as failed; answers with how many were
    /// taken.
    async fn deliver(&self, shipment: &Shipment) -> Result<u64, SourceError> {
        let began = self.shared.clock.monotonic();
        let (mut failures, mut attempts) = (0, 0);
        loop {
            attempts += 1;
            let Err(failure) = self.destination.send(&self.identity, shipment).await else {
                return Ok(shipment.records);
            };
            self.failed(&failure);
            if let Some(giving_up) = self.destination.giving_up() {
                let passed = self.shared.clock.monotonic().saturating_sub(began);
                if failure.is_final || passed >= giving_up.after {
                    let ended = self.shared.clock.now();
                    let reason = Reason { attempts, code: failure.code, message: failure.text, ended };
                    self.store_failed(shipment, reason, &giving_up).await?;
                    return Ok(0);
                }
            }
            self.pause(&mut failures).await;
        }
    }

    /// Stores the records of a shipment under the error prefix; tries until that is done.
    async fn store_failed(
        &self,
        shipment: &Shipment,
        reason: Reason,
        giving_up: &GivingUp<'_>,
    ) -> Result<(), SourceError> {
        let target = giving_up.target;
        let packer =
            Failed { output: Output::new(is_gzip(target)), reason: reason.clone(), shard: self.shard };
        // The log has them still: they were not held for this.
        let Gathered::Shipment(failed) = self.pack(Box::new(packer), u64::MAX, shipment.last).await? else {
            return Ok(());
        };
        let prefix = Prefix::of_errors(target.error_prefix.as_deref(), target.prefix.as_deref())
            .map_err(|error| SourceError::Failed(error.to_string()))?;
        let identity = self.identity.with(giving_up.error_type.as_bytes()).with(&failed.first.to_be_bytes());
        let prefix = prefix.evaluate(failed.oldest, &identity, giving_up.error_type);
        let name = &self.delivery.configuration.name;
        let object = Object {
            key: object_name(prefix, name, failed.oldest, &identity, target),
            body: failed.body,
            kms_key_arn: target.kms_key_arn.clone(),
        };
        let mut failures = 0;
        while let Err(failure) = self.shared.services.store.put(target.bucket(), object.clone()).await {
            self.failed(&failure);
            self.pause(&mut failures).await;
        }
        tracing::warn!(
            delivery_stream = %name, records = failed.records, attempts = reason.attempts, object = object.key,
            "records given up and stored as failed"
        );
        Ok(())
    }

    /// Makes it durable that the records of a shipment are done with.
    async fn advance(&mut self, shipment: &Shipment, delivered: u64) {
        (self.next, self.arrived) = (shipment.last.saturating_add(1), shipment.newest);
        let checkpoint = Checkpoint {
            delivery: self.delivery.id,
            outlet: self.outlet,
            source: self.source.stream.id,
            shard: self.shard,
            next: self.next,
            arrived: self.arrived,
        };
        let mut failures = 0;
        while let Err(error) = self.shared.catalog.set_checkpoint(checkpoint).await {
            self.tell(&format!("the checkpoint is not durable: {error}"));
            self.pause(&mut failures).await;
        }
        self.board.update(|status| {
            if delivered > 0 {
                status.deliveries += 1;
                status.records += delivered;
                status.bytes += shipment.bytes;
                status.last_error = None;
            } else {
                status.failed_records += shipment.records;
            }
        });
    }

    /// Goes on at this index, and tells of records before it that retention took: only a line that has waited as long
    /// as that can have lost some. Numbers may also be missing because their records never became durable.
    fn skip_to(&mut self, next: u64) {
        let horizon = self.shared.clock.now() - self.source.stream.retention;
        let missing = next.saturating_sub(self.next.max(1));
        self.next = next.max(self.next);
        if self.source.fragments || missing == 0 || self.arrived >= horizon {
            return;
        }
        self.board.update(|status| status.expired_records += missing);
        tracing::error!(
            delivery_stream = %self.delivery.configuration.name, shard = self.shard, records = missing,
            "records expired before they could be delivered"
        );
    }

    fn failed(&self, failure: &Failure) {
        self.board.update(|status| status.failures += 1);
        self.tell(&format!("{}: {}", failure.code, failure.text));
    }

    /// Tells why nothing is delivered, in the log and where people ask.
    fn tell(&self, text: &str) {
        let at = self.shared.clock.now();
        self.board.update(|status| status.last_error = Some(LastError { at, text: text.to_owned() }));
        let logging = self.destination.logging().filter(|logging| logging.enabled);
        tracing::warn!(
            delivery_stream = %self.delivery.configuration.name,
            outlet = self.outlet,
            shard = self.shard,
            log_group = logging.and_then(|logging| logging.group.as_deref()),
            log_stream = logging.and_then(|logging| logging.stream.as_deref()),
            error = text,
            "not delivered"
        );
    }

    async fn pause(&self, failures: &mut u32) {
        let (first, last) = RETRY;
        let pause = backoff(first, last, *failures, &*self.shared.entropy);
        *failures = failures.saturating_add(1);
        sleep(pause).await;
    }
}

/// Counts records that follow those that were found; never none.
fn count(found: &mut Option<Shipment>, records: &[ReadRecord]) {
    let (Some(first), Some(last)) = (records.first(), records.last()) else { return };
    let shipment = found.get_or_insert_with(|| Shipment {
        first: first.index,
        last: last.index,
        oldest: first.arrived,
        newest: last.arrived,
        records: 0,
        bytes: 0,
        body: Bytes::new(),
    });
    (shipment.last, shipment.newest) = (last.index, last.arrived);
    shipment.records += records.len() as u64;
    shipment.bytes += records.iter().map(|record| record.data.len() as u64).sum::<u64>();
}

/// Packs records on a thread that may take its time.
async fn packed(
    mut packer: Box<dyn Packer>,
    records: Vec<ReadRecord>,
) -> Result<Box<dyn Packer>, SourceError> {
    let work = move || {
        records.iter().try_for_each(|record| packer.push(record))?;
        Ok(packer)
    };
    flat(tokio::task::spawn_blocking(work).await)
}

/// What such a thread answered. Packing goes to memory and does not fail; a thread that is gone means that the
/// server stops.
fn flat<T>(done: Result<std::io::Result<T>, tokio::task::JoinError>) -> Result<T, SourceError> {
    let failed = |error: &dyn std::fmt::Display| SourceError::Failed(format!("not packed: {error}"));
    done.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
}
