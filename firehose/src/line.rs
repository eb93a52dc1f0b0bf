//! One shard of one outlet: waits, gathers, packs, sends, makes a checkpoint, and begins again.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Entropy, Timestamp, backoff};
use bytes::Bytes;
use catalog::{Catalog, Checkpoint, Delivery};
use data_streams::{Batch, ReadLimits, ReadRecord};
use tokio::time::{sleep, timeout};

use crate::destination::{Destination, Failure, GivingUp, Services, Shipment};
use crate::identity::Identity;
use crate::pack::{Failed, Output, Packer, Reason};
use crate::prefix::Prefix;
use crate::room::Room;
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
    pub memory: Room,
    /// MiB of these that the shipments of lines may take whose last attempt failed: an attempt may hang for
    /// minutes, and the others are to have room meanwhile.
    pub retries: Room,
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
    /// Whether the last attempt failed.
    fails: bool,
}

/// Why a line ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stop {
    /// The delivery stream was changed: it goes on as it is now.
    #[error("the delivery stream was changed")]
    Changed,
    /// The source says why.
    #[error(transparent)]
    Source(#[from] SourceError),
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
        Self {
            shared,
            delivery,
            outlet,
            destination,
            source,
            shard,
            board,
            identity,
            next,
            arrived,
            fails: false,
        }
    }

    /// Delivers until the delivery stream is changed.
    ///
    /// # Errors
    /// [`SourceError::Gone`] when the source is.
    pub async fn run(mut self) -> Result<(), SourceError> {
        let mut failures = 0;
        loop {
            let paused = match self.step().await {
                Ok(()) => {
                    failures = 0;
                    Ok(())
                }
                Err(Stop::Source(error @ SourceError::Failed(_))) => {
                    self.tell(&error.to_string());
                    self.pause(&mut failures).await
                }
                Err(stop) => Err(stop),
            };
            match paused {
                Ok(()) => {}
                Err(Stop::Changed) => return Ok(()),
                Err(Stop::Source(error)) => {
                    self.board.waits(self.shard, None);
                    return Err(error);
                }
            }
        }
    }

    /// Waits for something, but no longer than the delivery stream stays as it is. What is on its way to a
    /// destination is waited for in any case: a change is no reason to send it twice.
    async fn unless_changed<T>(&self, wait: impl Future<Output = T>) -> Result<T, Stop> {
        let mut changes = self.shared.catalog.deliveries();
        let known = (self.delivery.id, self.delivery.version);
        let name = &self.delivery.configuration.name;
        let changed = changes.wait_for(|all| all.get(name).is_none_or(|now| (now.id, now.version) != known));
        tokio::select! {
            biased;
            _ = changed => Err(Stop::Changed),
            done = wait => Ok(done),
        }
    }

    /// Delivers what has gathered, as soon as it is enough or old enough.
    async fn step(&mut self) -> Result<(), Stop> {
        let Shared { streams, .. } = &*self.shared;
        self.board.waits(self.shard, None);
        self.unless_changed(streams.grown(&self.source, self.shard, self.next)).await?;
        let first = self.read(self.next, ReadLimits { records: 1, bytes: 1 }).await?;
        let Some(oldest) = first.records.first().map(|record| record.arrived) else {
            self.skip_to(first.next);
            return Ok(());
        };
        self.board.waits(self.shard, Some(oldest));
        self.unless_changed(self.until_due(oldest)).await?;
        self.deliver().await
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

    /// Delivers what is there, up to the buffer's size. Tries until it is taken, or stored as failed. Between two
    /// attempts nothing is held: the log has the records, and the same ones are packed again.
    async fn deliver(&mut self) -> Result<(), Stop> {
        let began = self.shared.clock.monotonic();
        let mib = self.gathered_mib();
        let (mut last, mut attempts, mut failures) = (u64::MAX, 0, 0);
        loop {
            let held = self.unless_changed(self.room(mib)).await?;
            let packer = self.destination.packer(&self.identity);
            let packed = self.pack(packer, self.next, last, u64::from(mib) * MIB).await?;
            let mut shipment = match packed {
                Gathered::Nothing { next } => {
                    self.skip_to(next);
                    return Ok(());
                }
                Gathered::Shipment(shipment) => shipment,
            };
            self.skip_to(shipment.first);
            last = shipment.last;
            attempts += 1;
            let Err(failure) = self.destination.send(&self.identity, &shipment).await else {
                self.fails = false;
                self.advance(&shipment, shipment.records, 0).await;
                return Ok(());
            };
            self.fails = true;
            self.failed(&failure);
            let passed = self.shared.clock.monotonic().saturating_sub(began);
            let given_up = |giving_up: &GivingUp<'_>| failure.is_final || passed >= giving_up.after;
            shipment.body = Bytes::new();
            if let Some(giving_up) = self.destination.giving_up().filter(given_up) {
                let ended = self.shared.clock.now();
                let reason = Reason { attempts, code: failure.code, message: failure.text, ended };
                let failed = self.store_failed(&shipment, &reason, &giving_up).await?;
                self.advance(&shipment, 0, failed).await;
                return Ok(());
            }
            drop(held);
            self.pause(&mut failures).await?;
        }
    }

    /// MiB that the next shipment has at most: of what has gathered, or the buffer's size where that is less or it
    /// is not known.
    fn gathered_mib(&self) -> u32 {
        let Shared { streams, .. } = &*self.shared;
        let durable = streams.durable(&self.source, self.shard);
        let stored = streams.stored_bytes(&self.source, self.shard, self.next..durable.max(self.next));
        let most = self.destination.buffer().size_mib.max(1);
        match u32::try_from(stored.div_ceil(MIB)) {
            Ok(0) | Err(_) => most,
            Ok(mib) => mib.min(most),
        }
    }

    /// Memory for a shipment of so many MiB: as it is packed, as base64 may make it, and while its buffer grows.
    async fn room(&self, mib: u32) -> impl Send + use<> {
        let mib = mib.saturating_mul(3);
        let Shared { memory, retries, .. } = &*self.shared;
        let retry = if self.fails { retries.take(mib).await } else { None };
        (retry, memory.take(mib).await)
    }

    /// Packs records from the index `from` to the index `last`, until they take so many bytes.
    async fn pack(
        &self,
        mut packer: Box<dyn Packer>,
        mut from: u64,
        last: u64,
        bytes: u64,
    ) -> Result<Gathered, SourceError> {
        let beside = packer.beside();
        let mut found: Option<Shipment> = None;
        loop {
            let taken = found.as_ref().map_or(0, |found| found.bytes + found.records * beside);
            let left = usize::try_from(bytes.saturating_sub(taken)).unwrap_or(usize::MAX);
            if left == 0 || from > last {
                break;
            }
            let records = left / usize::try_from(beside.max(1)).unwrap_or(1) + 1;
            let limits = ReadLimits { bytes: READ.bytes.min(left), records: READ.records.min(records) };
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

    /// Stores the records of a shipment under the error prefix, in as many objects as the buffer's size asks for;
    /// tries until that is done. Tells how many there were: the log may have let go of some.
    async fn store_failed(
        &self,
        shipment: &Shipment,
        reason: &Reason,
        giving_up: &GivingUp<'_>,
    ) -> Result<u64, Stop> {
        let target = giving_up.target;
        let size = u64::from(self.destination.buffer().size_mib) * MIB;
        let (mut from, mut records) = (shipment.first, 0);
        while from <= shipment.last {
            let output = Output::new(is_gzip(target));
            let packer = Failed { output, reason: reason.clone(), shard: self.shard };
            let packed = self.pack(Box::new(packer), from, shipment.last, size).await?;
            let Gathered::Shipment(piece) = packed else { break };
            from = piece.last.saturating_add(1);
            records += piece.records;
            self.store_piece(piece, reason, giving_up).await?;
        }
        Ok(records)
    }

    async fn store_piece(
        &self,
        piece: Shipment,
        reason: &Reason,
        giving_up: &GivingUp<'_>,
    ) -> Result<(), Stop> {
        let target = giving_up.target;
        let prefix = Prefix::of_errors(target.error_prefix.as_deref(), target.prefix.as_deref())
            .map_err(|error| SourceError::Failed(error.to_string()))?;
        let identity = self.identity.with(giving_up.error_type.as_bytes()).with(&piece.first.to_be_bytes());
        let prefix = prefix.evaluate(piece.oldest, &identity, giving_up.error_type);
        let name = &self.delivery.configuration.name;
        let object = Object {
            key: object_name(prefix, &self.delivery, piece.oldest, &identity, target),
            body: piece.body,
            kms_key_arn: target.kms_key_arn.clone(),
        };
        let mut failures = 0;
        while let Err(failure) = self.shared.services.store.put(target.bucket(), object.clone()).await {
            self.failed(&failure);
            self.pause(&mut failures).await?;
        }
        tracing::warn!(
            delivery_stream = %name, records = piece.records, attempts = reason.attempts, object = object.key,
            "records given up and stored as failed"
        );
        Ok(())
    }

    /// Makes it durable that the records of a shipment are done with.
    async fn advance(&mut self, shipment: &Shipment, delivered: u64, failed: u64) {
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
            sleep(self.next_pause(&mut failures)).await;
        }
        self.board.update(|status| {
            if delivered > 0 {
                status.deliveries += 1;
                status.records += delivered;
                status.bytes += shipment.bytes;
                status.last_error = None;
            } else {
                status.failed_records += failed;
            }
        });
    }

    /// Goes on at this index, and tells of records before it that retention took: only a line that has waited as long
    /// as that can have lost some. Numbers may also be missing because their records never became durable.
    fn skip_to(&mut self, next: u64) {
        // As it is now, where it may be changed.
        let stream = self.shared.catalog.data_stream_by_id(self.source.stream.id);
        let retention = stream.map_or(self.source.stream.retention, |stream| stream.retention);
        let horizon = self.shared.clock.now() - retention;
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

    async fn pause(&self, failures: &mut u32) -> Result<(), Stop> {
        self.unless_changed(sleep(self.next_pause(failures))).await
    }

    fn next_pause(&self, failures: &mut u32) -> Duration {
        let (first, last) = RETRY;
        let pause = backoff(first, last, *failures, &*self.shared.entropy);
        *failures = failures.saturating_add(1);
        pause
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
