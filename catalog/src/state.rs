//! The catalog in memory: what all commands so far amount to.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use base::{Arn, FragmentNumber, RunId, StreamId, StreamName};
use fragment_log::Lsn;
use tokio::sync::watch;

use crate::clock_correction::ClockCorrections;
use crate::command::Command;
use crate::data_stream::DataStreamRecord;
use crate::delivery::DeliveryRecord;
use crate::secret::sha256;
use crate::stream::StreamRecord;
use crate::view::Contents;
use crate::{
    AccessKey, Checkpoint, ClockCorrection, Consumer, DataStream, Deliveries, Delivery, Device, Hold,
    MediaSecret, Source, Sources, Stream,
};

/// One row of the view: one object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RowKey {
    Stream(StreamId),
    DataStream(StreamId),
    Delivery(StreamId),
    Checkpoint(StreamId, u8, u32),
    Consumer(StreamId, String),
    DeletedStream(StreamId),
    Hold(StreamId, String),
    ClockCorrection(StreamId, RunId),
    Floor(StreamId),
    Source(StreamId),
    MediaSecret(String),
    AccessKey(String),
    Device(String),
}

pub(crate) struct State {
    account: String,
    region: String,
    /// Shared with readers; copied only where one still holds it when the next command comes.
    streams: Arc<BTreeMap<StreamName, Arc<Stream>>>,
    by_id: HashMap<StreamId, Arc<Stream>>,
    data_streams: Arc<BTreeMap<StreamName, Arc<DataStream>>>,
    data_by_id: HashMap<StreamId, Arc<DataStream>>,
    /// Whoever delivers is told of every change.
    deliveries: watch::Sender<Deliveries>,
    delivery_by_id: HashMap<StreamId, Arc<Delivery>>,
    /// Of delivery streams that exist, by outlet and shard.
    checkpoints: HashMap<StreamId, BTreeMap<(u8, u32), Checkpoint>>,
    /// Of video and data streams that exist, by name.
    consumers: HashMap<StreamId, BTreeMap<String, Arc<Consumer>>>,
    /// Of all streams, by id: what was held, by whom, is told when the stream is long gone.
    holds: HashMap<StreamId, BTreeMap<String, Arc<Hold>>>,
    /// Of streams that exist.
    clock_corrections: ClockCorrections,
    /// Of streams that exist: fragments below are given up.
    floors: BTreeMap<StreamId, FragmentNumber>,
    /// Of streams that exist; whoever pulls from them is told of every change.
    sources: watch::Sender<Sources>,
    media_secrets: BTreeMap<String, Arc<MediaSecret>>,
    /// Deleted streams whose key may still be there.
    deleted: BTreeSet<StreamId>,
    next_stream: StreamId,
    access_keys: BTreeMap<String, Arc<AccessKey>>,
    devices: BTreeMap<String, Arc<Device>>,
    usernames: HashMap<[u8; 32], String>,
    applied: Option<Lsn>,
    /// Rows that the view has not got yet: at most one for every object.
    dirty: BTreeSet<RowKey>,
    /// Every object there is.
    rows: BTreeSet<RowKey>,
}

/// The first id; zero is [`fragment_log::INSTALLATION`].
const FIRST_STREAM: StreamId = StreamId(1);

/// The state, as its readers and its one writer share it. Locks are held for moments: nobody waits
/// for a disk under one.
pub(crate) struct SharedState(RwLock<State>);

impl SharedState {
    pub fn new(state: State) -> Self {
        Self(RwLock::new(state))
    }

    pub fn read(&self) -> RwLockReadGuard<'_, State> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub fn new(account: &str, region: &str) -> Self {
        Self {
            account: account.into(),
            region: region.into(),
            streams: Arc::default(),
            by_id: HashMap::new(),
            data_streams: Arc::default(),
            data_by_id: HashMap::new(),
            deliveries: watch::Sender::default(),
            delivery_by_id: HashMap::new(),
            checkpoints: HashMap::new(),
            consumers: HashMap::new(),
            holds: HashMap::new(),
            clock_corrections: ClockCorrections::default(),
            floors: BTreeMap::new(),
            sources: watch::Sender::default(),
            media_secrets: BTreeMap::new(),
            deleted: BTreeSet::new(),
            next_stream: FIRST_STREAM,
            access_keys: BTreeMap::new(),
            devices: BTreeMap::new(),
            usernames: HashMap::new(),
            applied: None,
            dirty: BTreeSet::new(),
            rows: BTreeSet::new(),
        }
    }

    pub fn streams(&self) -> &Arc<BTreeMap<StreamName, Arc<Stream>>> {
        &self.streams
    }

    pub fn stream(&self, id: StreamId) -> Option<&Arc<Stream>> {
        self.by_id.get(&id)
    }

    pub fn data_streams(&self) -> &Arc<BTreeMap<StreamName, Arc<DataStream>>> {
        &self.data_streams
    }

    pub fn data_stream(&self, id: StreamId) -> Option<&Arc<DataStream>> {
        self.data_by_id.get(&id)
    }

    /// All delivery streams.
    pub fn deliveries(&self) -> watch::Ref<'_, Deliveries> {
        self.deliveries.borrow()
    }

    /// All delivery streams, now and from now on.
    pub fn watch_deliveries(&self) -> watch::Receiver<Deliveries> {
        self.deliveries.subscribe()
    }

    pub fn delivery(&self, id: StreamId) -> Option<&Arc<Delivery>> {
        self.delivery_by_id.get(&id)
    }

    pub fn checkpoint(&self, delivery: StreamId, outlet: u8, shard: u32) -> Option<Checkpoint> {
        self.checkpoints.get(&delivery)?.get(&(outlet, shard)).copied()
    }

    pub fn checkpoints_of(&self, delivery: StreamId) -> Vec<Checkpoint> {
        self.checkpoints.get(&delivery).into_iter().flat_map(|known| known.values().copied()).collect()
    }

    /// The consumers of a stream by name.
    pub fn consumers(&self, stream: StreamId) -> Vec<Arc<Consumer>> {
        self.consumers.get(&stream).map_or_else(Vec::new, |consumers| consumers.values().cloned().collect())
    }

    pub fn consumer(&self, stream: StreamId, name: &str) -> Option<&Arc<Consumer>> {
        self.consumers.get(&stream)?.get(name)
    }

    /// The holds of a stream by id, cleared ones included.
    pub fn holds(&self, stream: StreamId) -> Vec<Arc<Hold>> {
        self.holds.get(&stream).map_or_else(Vec::new, |holds| holds.values().cloned().collect())
    }

    /// For each stream that gave something up, the number below which that is so.
    pub fn floors(&self) -> &BTreeMap<StreamId, FragmentNumber> {
        &self.floors
    }

    /// The sources of all streams, now and from now on.
    pub fn sources(&self) -> watch::Receiver<Sources> {
        self.sources.subscribe()
    }

    /// The stream's source.
    pub fn source(&self, stream: StreamId) -> Option<Arc<Source>> {
        self.sources.borrow().get(&stream).cloned()
    }

    /// The corrections of a stream's clocks, by run.
    pub fn clock_corrections(&self, stream: StreamId) -> Vec<Arc<ClockCorrection>> {
        self.clock_corrections.of(stream)
    }

    /// The secrets that hold URLs of cameras, by name.
    pub fn media_secrets(&self) -> &BTreeMap<String, Arc<MediaSecret>> {
        &self.media_secrets
    }

    /// The ARN of a secret that is made here, its name with what makes it this one's.
    pub fn secret_arn(&self, name: &str) -> String {
        Arn::new("secretsmanager", &self.region, &self.account, format!("secret:{name}")).to_string()
    }

    /// Deleted streams whose key has not been reported destroyed.
    pub fn deleted(&self) -> impl Iterator<Item = StreamId> + '_ {
        self.deleted.iter().copied()
    }

    /// The ARN of a resource of this account.
    pub fn arn(&self, service: &str, resource: String) -> Arn {
        Arn::new(service, &self.region, &self.account, resource)
    }

    /// The id for the next stream: above that of every stream there ever was.
    pub fn next_stream(&self) -> StreamId {
        self.next_stream
    }

    pub fn access_keys(&self) -> &BTreeMap<String, Arc<AccessKey>> {
        &self.access_keys
    }

    pub fn devices(&self) -> &BTreeMap<String, Arc<Device>> {
        &self.devices
    }

    /// The device with this token, also a revoked one. Found by hash, so that the time taken tells
    /// nothing about tokens.
    pub fn device_by_token(&self, token: &str) -> Option<&Arc<Device>> {
        self.devices.get(self.usernames.get(&sha256(token.as_bytes()))?)
    }

    /// The last command in this state.
    pub fn applied(&self) -> Option<Lsn> {
        self.applied
    }

    /// Takes the next command of the control lane.
    pub fn apply(&mut self, lsn: Lsn, command: Command) {
        let changed = self.change(command);
        self.dirty.extend(changed);
        self.applied = Some(lsn);
    }

    /// Takes note of something in the control lane that changes nothing.
    pub fn pass(&mut self, lsn: Lsn) {
        self.applied = Some(lsn);
    }

    /// Holds what a snapshot says from now on, and nothing else.
    pub fn become_as(&mut self, objects: Vec<Command>, next_stream: StreamId) {
        let mut new = Self::new(&self.account, &self.region);
        objects.into_iter().for_each(|object| drop(new.change(object)));
        new.next_stream = new.next_stream.max(next_stream);
        new.applied = self.applied;
        new.dirty = std::mem::take(&mut self.dirty);
        new.dirty.append(&mut self.rows);
        new.dirty.extend(new.rows.iter().cloned());
        *self = new;
    }

    /// A command for every object that there is.
    pub fn objects(&self) -> impl Iterator<Item = Command> + '_ {
        self.rows.iter().filter_map(|key| self.row(key))
    }

    /// Takes what the view holds, before any command is applied.
    pub fn restore(&mut self, view: Contents) {
        view.rows.into_iter().for_each(|row| drop(self.change(row)));
        self.next_stream = self.next_stream.max(view.progress.next_stream);
        self.applied = Some(Lsn(view.progress.applied_lsn));
    }

    /// Answers with the rows that are different now, and keeps count of those that there are.
    fn change(&mut self, command: Command) -> Vec<RowKey> {
        let changed = self.put(command);
        for key in &changed {
            if self.row(key).is_some() {
                self.rows.insert(key.clone());
            } else {
                self.rows.remove(key);
            }
        }
        changed
    }

    /// Answers with the rows that are different now.
    fn put(&mut self, command: Command) -> Vec<RowKey> {
        match command {
            Command::PutStream(record) => vec![self.put_stream(record)],
            Command::PutDataStream(record) => vec![self.put_data_stream(record)],
            Command::PutDelivery(record) => vec![self.put_delivery(*record)],
            Command::PutCheckpoints(checkpoints) => {
                checkpoints.into_iter().map(|checkpoint| self.put_checkpoint(checkpoint)).collect()
            }
            Command::DeleteStream(id) => self.delete_stream(id),
            Command::RaiseFloors(floors) => {
                let raised = floors.into_iter().map(|(id, number)| {
                    let floor = self.floors.entry(id).or_insert(number);
                    *floor = number.max(*floor);
                    RowKey::Floor(id)
                });
                raised.collect()
            }
            Command::KeyDestroyed(id) => {
                self.deleted.remove(&id);
                vec![RowKey::DeletedStream(id)]
            }
            Command::PutHold(hold) => {
                let row = RowKey::Hold(hold.stream, hold.id.clone());
                self.holds.entry(hold.stream).or_default().insert(hold.id.clone(), Arc::new(hold));
                vec![row]
            }
            Command::PutClockCorrection(correction) => {
                let stream = correction.stream;
                let runs = self.clock_corrections.put(correction);
                runs.map(|run| RowKey::ClockCorrection(stream, run)).collect()
            }
            Command::PutSource(source) => {
                let id = source.stream;
                self.sources.send_modify(|all| drop(Arc::make_mut(all).insert(id, Arc::new(source))));
                vec![RowKey::Source(id)]
            }
            Command::DeleteSource(id) => self.delete_source(id).into_iter().collect(),
            Command::PutMediaSecret(secret) => self.put_media_secret(secret),
            Command::DeleteMediaSecret(name) => {
                self.media_secrets.remove(&name);
                vec![RowKey::MediaSecret(name)]
            }
            Command::PutConsumer(consumer) => {
                let row = RowKey::Consumer(consumer.stream, consumer.name.clone());
                let consumers = self.consumers.entry(consumer.stream).or_default();
                consumers.insert(consumer.name.clone(), Arc::new(consumer));
                vec![row]
            }
            Command::DeleteConsumer { stream, name } => {
                if let Some(consumers) = self.consumers.get_mut(&stream) {
                    consumers.remove(&name);
                }
                vec![RowKey::Consumer(stream, name)]
            }
            Command::PutAccessKey(key) => {
                let row = RowKey::AccessKey(key.id.clone());
                self.access_keys.insert(key.id.clone(), Arc::new(key));
                vec![row]
            }
            Command::PutDevice(device) => vec![self.put_device(device)],
            Command::SnapshotBegin | Command::SnapshotEnd { .. } => Vec::new(),
        }
    }

    fn put_checkpoint(&mut self, checkpoint: Checkpoint) -> RowKey {
        let Checkpoint { delivery, outlet, shard, .. } = checkpoint;
        self.checkpoints.entry(delivery).or_default().insert((outlet, shard), checkpoint);
        RowKey::Checkpoint(delivery, outlet, shard)
    }

    fn put_device(&mut self, device: Device) -> RowKey {
        let row = RowKey::Device(device.username.clone());
        self.usernames.insert(device.token_sha256, device.username.clone());
        self.devices.insert(device.username.clone(), Arc::new(device));
        row
    }

    /// Sources keep a copy of the URL in their secret, so that whoever pulls has one place to look.
    fn put_media_secret(&mut self, secret: MediaSecret) -> Vec<RowKey> {
        let mut rows = vec![RowKey::MediaSecret(secret.name.clone())];
        let old = |source: &Source| source.names_secret(&secret.arn) && source.url != secret.media_uri;
        let stale: Vec<_> =
            self.sources.borrow().values().filter(|source| old(source)).map(Arc::clone).collect();
        if !stale.is_empty() {
            self.sources.send_modify(|all| {
                let all = Arc::make_mut(all);
                for source in &stale {
                    let source = Source { url: secret.media_uri.clone(), ..source.as_ref().clone() };
                    all.insert(source.stream, Arc::new(source));
                }
            });
        }
        rows.extend(stale.iter().map(|source| RowKey::Source(source.stream)));
        self.media_secrets.insert(secret.name.clone(), Arc::new(secret));
        rows
    }

    /// Answers with the row that is different now, if there was a source.
    fn delete_source(&mut self, id: StreamId) -> Option<RowKey> {
        let remove = |all: &mut Sources| all.contains_key(&id) && Arc::make_mut(all).remove(&id).is_some();
        self.sources.send_if_modified(remove).then_some(RowKey::Source(id))
    }

    fn put_stream(&mut self, record: StreamRecord) -> RowKey {
        let stream = Arc::new(record.into_stream(&self.account, &self.region));
        let id = stream.id;
        self.next_stream = self.next_stream.max(StreamId(id.0.saturating_add(1)));
        Arc::make_mut(&mut self.streams).insert(stream.name.clone(), Arc::clone(&stream));
        self.by_id.insert(id, stream);
        RowKey::Stream(id)
    }

    fn put_data_stream(&mut self, record: DataStreamRecord) -> RowKey {
        let stream = Arc::new(record.into_stream(&self.account, &self.region));
        let id = stream.id;
        self.next_stream = self.next_stream.max(StreamId(id.0.saturating_add(1)));
        Arc::make_mut(&mut self.data_streams).insert(stream.name.clone(), Arc::clone(&stream));
        self.data_by_id.insert(id, stream);
        RowKey::DataStream(id)
    }

    fn put_delivery(&mut self, record: DeliveryRecord) -> RowKey {
        let delivery = Arc::new(record.into_delivery(&self.account, &self.region));
        let id = delivery.id;
        self.next_stream = self.next_stream.max(StreamId(id.0.saturating_add(1)));
        self.delivery_by_id.insert(id, Arc::clone(&delivery));
        let name = delivery.configuration.name.clone();
        self.deliveries.send_modify(|all| drop(Arc::make_mut(all).insert(name, delivery)));
        RowKey::Delivery(id)
    }

    fn delete_stream(&mut self, id: StreamId) -> Vec<RowKey> {
        let mut rows = vec![RowKey::DeletedStream(id)];
        if let Some(stream) = self.by_id.remove(&id) {
            Arc::make_mut(&mut self.streams).remove(&stream.name);
            rows.push(RowKey::Stream(id));
        }
        if let Some(stream) = self.data_by_id.remove(&id) {
            Arc::make_mut(&mut self.data_streams).remove(&stream.name);
            rows.push(RowKey::DataStream(id));
        }
        if let Some(delivery) = self.delivery_by_id.remove(&id) {
            let name = &delivery.configuration.name;
            self.deliveries.send_modify(|all| drop(Arc::make_mut(all).remove(name)));
            rows.push(RowKey::Delivery(id));
        }
        let checkpoints = self.checkpoints.remove(&id).unwrap_or_default();
        rows.extend(checkpoints.into_keys().map(|(outlet, shard)| RowKey::Checkpoint(id, outlet, shard)));
        self.deleted.insert(id);
        if self.floors.remove(&id).is_some() {
            rows.push(RowKey::Floor(id));
        }
        rows.extend(self.delete_source(id));
        rows.extend(self.clock_corrections.remove(id).map(|run| RowKey::ClockCorrection(id, run)));
        let consumers = self.consumers.remove(&id).unwrap_or_default();
        rows.extend(consumers.into_keys().map(|name| RowKey::Consumer(id, name)));
        rows
    }

    /// The rows that the view lacks; they count as handed over.
    pub fn take_dirty(&mut self) -> BTreeSet<RowKey> {
        std::mem::take(&mut self.dirty)
    }

    /// Rows that were handed over and could not be written.
    pub fn return_dirty(&mut self, rows: BTreeSet<RowKey>) {
        self.dirty.extend(rows);
    }

    /// What a row is to hold: a command that makes the object, or nothing where it is gone.
    pub fn row(&self, key: &RowKey) -> Option<Command> {
        match key {
            RowKey::Stream(id) => Some(Command::PutStream(StreamRecord::of(self.by_id.get(id)?))),
            RowKey::DataStream(id) => {
                Some(Command::PutDataStream(DataStreamRecord::of(self.data_by_id.get(id)?)))
            }
            RowKey::Delivery(id) => {
                Some(Command::PutDelivery(Box::new(DeliveryRecord::of(self.delivery_by_id.get(id)?))))
            }
            RowKey::Checkpoint(id, outlet, shard) => {
                Some(Command::PutCheckpoints(vec![self.checkpoint(*id, *outlet, *shard)?]))
            }
            RowKey::Consumer(stream, name) => {
                Some(Command::PutConsumer(self.consumer(*stream, name)?.as_ref().clone()))
            }
            RowKey::DeletedStream(id) => self.deleted.contains(id).then_some(Command::DeleteStream(*id)),
            RowKey::ClockCorrection(stream, run) => {
                Some(Command::PutClockCorrection(self.clock_corrections.get(*stream, *run)?))
            }
            RowKey::Hold(stream, id) => {
                Some(Command::PutHold(self.holds.get(stream)?.get(id)?.as_ref().clone()))
            }
            RowKey::Floor(id) => Some(Command::RaiseFloors(vec![(*id, *self.floors.get(id)?)])),
            RowKey::Source(id) => Some(Command::PutSource(self.source(*id)?.as_ref().clone())),
            RowKey::MediaSecret(name) => {
                Some(Command::PutMediaSecret(self.media_secrets.get(name)?.as_ref().clone()))
            }
            RowKey::AccessKey(id) => Some(Command::PutAccessKey(self.access_keys.get(id)?.as_ref().clone())),
            RowKey::Device(name) => Some(Command::PutDevice(self.devices.get(name)?.as_ref().clone())),
        }
    }
}
