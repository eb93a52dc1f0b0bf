//! The catalog's face.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::{Arn, Clock, Entropy, FragmentNumber, Limits, Page, StreamId, StreamName, Tags};
use fragment_log::Log;
use tokio::sync::watch;

use crate::credentials_file;
use crate::lane::{Applier, load, replay};
use crate::mirror::Mirror;
use crate::state::{SharedState, State};
use crate::writer::{Writer, WriterThread};
use crate::{
    AccessKey, Action, Allow, CatalogError, Checkpoint, Device, DeviceCredential, Hold, NewHold, NewSource,
    NewStream, Policy, Principal, Secret, Source, Sources, Stream, StreamGlob, StreamUpdate,
};

/// How to open the catalog.
pub struct CatalogOptions {
    /// The folder of the view: `DATA/index`.
    pub dir: PathBuf,
    /// The account in ARNs: twelve digits.
    pub account: String,
    /// The region in ARNs.
    pub region: String,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where secrets and versions come from.
    pub entropy: Arc<dyn Entropy>,
    /// How much there may be.
    pub limits: Limits,
    /// Retention of streams that a publisher makes by pushing to them.
    pub device_retention: Duration,
}

/// Checkpoints that wait for the writer, by delivery stream, outlet and shard.
pub(crate) type Checkpoints = Mutex<BTreeMap<(StreamId, u8, u32), Checkpoint>>;

/// What exists and who may. Reads are from memory; writes return when they are durable and can be
/// read. Share it as `Arc<Catalog>`; dropping it writes what the view lacks.
pub struct Catalog {
    pub(crate) state: Arc<SharedState>,
    pub(crate) writer: WriterThread,
    pub(crate) checkpoints: Arc<Checkpoints>,
    _mirror: Mirror,
    device_retention: Duration,
}

impl Catalog {
    /// Loads the view, reads from the log what it lacks, repairs a deletion that was cut short, and
    /// follows the log from now on. Blocks on the disk. Call it before the log's first append.
    ///
    /// # Errors
    /// [`CatalogError::CommandVersion`] and [`CatalogError::Command`] for a control lane that cannot
    /// be understood; [`CatalogError::Log`], [`CatalogError::View`], [`CatalogError::Io`] for a disk
    /// that fails. A view that is missing or damaged is no error: it is rebuilt.
    pub fn open(log: Arc<Log>, options: CatalogOptions) -> Result<Arc<Self>, CatalogError> {
        let CatalogOptions { dir, account, region, clock, entropy, limits, device_retention } = options;
        let fail = |source| CatalogError::Io { path: dir.clone(), source };
        let (view, mut state) = load(&log, &dir, State::new(&account, &region))?;
        replay(&log, &mut state)?;
        let state = Arc::new(SharedState::new(state));

        let mut writer =
            Writer::new(Arc::clone(&log), Arc::clone(&state), clock, entropy, limits).map_err(fail)?;
        if let Err(error) = writer.destroy_keys() {
            tracing::error!(%error, "a deleted stream's key is not destroyed yet; tried again later");
        }
        let mirror = Mirror::start(view, Arc::clone(&state), Arc::clone(&log)).map_err(fail)?;
        log.follow(Arc::new(Applier::new(Arc::clone(&state), mirror.bell())));
        Ok(Arc::new(Self {
            state,
            writer: WriterThread::start(writer).map_err(fail)?,
            checkpoints: Arc::default(),
            _mirror: mirror,
            device_retention,
        }))
    }

    /// The stream of this name.
    pub fn stream(&self, name: &StreamName) -> Option<Arc<Stream>> {
        self.state.read().streams().get(name).cloned()
    }

    /// The stream with this id; `None` once it is deleted.
    pub fn stream_by_id(&self, id: StreamId) -> Option<Arc<Stream>> {
        self.state.read().stream(id).cloned()
    }

    /// The stream with exactly this ARN: not a later one of the same name.
    pub fn stream_by_arn(&self, arn: &Arn) -> Option<Arc<Stream>> {
        let name = StreamName::new(arn.resource_name("stream")?).ok()?;
        self.stream(&name).filter(|stream| stream.arn == *arn)
    }

    /// All streams by name, as they are now. Cheap: nothing is copied until the next change, and
    /// then only when the answer is still held.
    pub fn streams(&self) -> Arc<BTreeMap<StreamName, Arc<Stream>>> {
        Arc::clone(self.state.read().streams())
    }

    /// The streams whose names match, by name.
    pub fn streams_matching(&self, glob: &StreamGlob) -> Vec<Arc<Stream>> {
        let streams = self.streams();
        streams.values().filter(|stream| glob.matches(&stream.name)).cloned().collect()
    }

    /// At most `limit` streams by name, after the one named `after`, whose names begin with `prefix`
    /// (ListStreams with BEGINS_WITH). The page's `next` is the `after` of the following one.
    pub fn list_streams(&self, prefix: &str, after: Option<&StreamName>, limit: usize) -> Page<Arc<Stream>> {
        let streams = self.streams();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let found = streams
            .range((from, Bound::Unbounded))
            .map(|(_, stream)| stream)
            .skip_while(|stream| stream.name.as_str() < prefix)
            .take_while(|stream| stream.name.as_str().starts_with(prefix))
            .take(limit.saturating_add(1))
            .cloned();
        Page::cut(found.collect(), limit, |stream| stream.name.to_string())
    }

    /// Makes a stream and its data key.
    ///
    /// # Errors
    /// [`CatalogError::StreamExists`], [`CatalogError::TooManyStreams`], [`CatalogError::TooManyTags`],
    /// [`CatalogError::Invalid`], [`CatalogError::Log`].
    pub async fn create_stream(&self, new: NewStream) -> Result<Arc<Stream>, CatalogError> {
        self.writer.run(move |writer| writer.create_stream(new)).await
    }

    /// The stream that `by` wants to push to; made now, with the retention for that, where there is
    /// none and `by` may make it.
    ///
    /// # Errors
    /// [`CatalogError::NotAllowed`], [`CatalogError::NoSuchStream`], and those of
    /// [`Self::create_stream`] but [`CatalogError::StreamExists`].
    pub async fn stream_to_publish(
        &self,
        name: &StreamName,
        by: &Principal,
    ) -> Result<Arc<Stream>, CatalogError> {
        if !by.may(Action::Publish, name) {
            let (who, stream) = (by.name().to_owned(), name.clone());
            return Err(CatalogError::NotAllowed { who, what: "publish to", stream });
        }
        let absent = || CatalogError::NoSuchStream(name.to_string());
        match self.stream(name) {
            Some(stream) => Ok(stream),
            None if !by.may(Action::Create, name) => Err(absent()),
            None => self.stream_to_pull(name).await,
        }
    }

    /// The stream of this name; made now, with the retention for devices, where there is none.
    ///
    /// # Errors
    /// Those of [`Self::create_stream`] but [`CatalogError::StreamExists`].
    pub async fn stream_to_pull(&self, name: &StreamName) -> Result<Arc<Stream>, CatalogError> {
        if let Some(stream) = self.stream(name) {
            return Ok(stream);
        }
        match self.create_stream(NewStream::new(name.clone(), self.device_retention)).await {
            Err(CatalogError::StreamExists(_)) => {
                self.stream(name).ok_or_else(|| CatalogError::NoSuchStream(name.to_string()))
            }
            made => made,
        }
    }

    /// Changes a stream, if its version is still the expected one, where one is given. The answer has
    /// the new version.
    ///
    /// # Errors
    /// [`CatalogError::NoSuchStream`], [`CatalogError::VersionMismatch`], [`CatalogError::TooManyTags`],
    /// [`CatalogError::Invalid`], [`CatalogError::Log`].
    pub async fn update_stream(
        &self,
        id: StreamId,
        expected_version: Option<&str>,
        update: StreamUpdate,
    ) -> Result<Arc<Stream>, CatalogError> {
        let version = expected_version.map(str::to_owned);
        self.writer.run(move |writer| writer.update_stream(id, version.as_deref(), update)).await
    }

    /// [`Self::update_stream`] with [`StreamUpdate::Labels`] and any version.
    pub async fn set_labels(&self, id: StreamId, labels: Tags) -> Result<Arc<Stream>, CatalogError> {
        self.update_stream(id, None, StreamUpdate::Labels(labels)).await
    }

    /// Deletes a stream, if its version is still the expected one, where one is given. When this
    /// returns its key is destroyed, so that nothing it recorded can be read, by anyone, ever.
    ///
    /// # Errors
    /// [`CatalogError::NoSuchStream`], [`CatalogError::VersionMismatch`], [`CatalogError::Held`] while an
    /// evidence hold stands on it, [`CatalogError::Log`]. Where
    /// only the key's destruction failed the stream is gone all the same, and destroying is tried
    /// again with the next deletion and at the next start.
    pub async fn delete_stream(
        &self,
        id: StreamId,
        expected_version: Option<&str>,
    ) -> Result<(), CatalogError> {
        let version = expected_version.map(str::to_owned);
        self.writer.run(move |writer| writer.delete_stream(id, version.as_deref())).await
    }

    /// The evidence holds of a stream by id, cleared ones included, also when the stream is deleted.
    pub fn holds(&self, stream: StreamId) -> Vec<Arc<Hold>> {
        self.state.read().holds(stream)
    }

    /// Sets an evidence hold: from now on nothing of the stream that lies in its span goes, until it is
    /// cleared. Setting the same hold again changes nothing.
    ///
    /// # Errors
    /// [`CatalogError::NoSuchStream`], [`CatalogError::HoldExists`], [`CatalogError::TooManyHolds`],
    /// [`CatalogError::Invalid`], [`CatalogError::Log`].
    pub async fn set_hold(
        &self,
        stream: StreamId,
        hold: NewHold,
        by: &Principal,
    ) -> Result<Arc<Hold>, CatalogError> {
        let by = by.name().to_owned();
        self.writer.run(move |writer| writer.set_hold(stream, hold, by)).await
    }

    /// Clears an evidence hold for good. What it was, and who cleared it, stays. Clearing it again changes
    /// nothing.
    ///
    /// # Errors
    /// [`CatalogError::NoSuchHold`], [`CatalogError::Log`].
    pub async fn clear_hold(
        &self,
        stream: StreamId,
        id: &str,
        by: &Principal,
    ) -> Result<Arc<Hold>, CatalogError> {
        let (id, by) = (id.to_owned(), by.name().to_owned());
        self.writer.run(move |writer| writer.clear_hold(stream, &id, by)).await
    }

    /// The video streams of which something was given up, to make room or by a limit of bytes: fragments below
    /// these numbers are not kept, but for held ones.
    pub fn floors(&self) -> BTreeMap<StreamId, FragmentNumber> {
        self.state.read().floors().clone()
    }

    /// Raises floors. What is below them stays given up, also where an index is built anew from a log that
    /// still has it. Streams that do not exist are passed over. Blocks on the disk, so not within a runtime.
    ///
    /// # Errors
    /// [`CatalogError::Log`].
    pub fn raise_floors(&self, floors: Vec<(StreamId, FragmentNumber)>) -> Result<(), CatalogError> {
        self.writer.run_blocking(move |writer| writer.raise_floors(floors))
    }

    /// The stream's source; `None` where nothing is pulled for it.
    pub fn source(&self, stream: StreamId) -> Option<Arc<Source>> {
        self.state.read().source(stream)
    }

    /// The sources of all streams, and a notice of every change.
    pub fn sources(&self) -> watch::Receiver<Sources> {
        self.state.read().sources()
    }

    /// Sets where a stream is pulled from, in place of a source that it may have. Setting the same
    /// source again changes nothing.
    ///
    /// # Errors
    /// [`CatalogError::NoSuchStream`], [`CatalogError::Invalid`], [`CatalogError::Log`].
    pub async fn set_source(&self, stream: StreamId, source: NewSource) -> Result<Arc<Source>, CatalogError> {
        self.writer.run(move |writer| writer.set_source(stream, source)).await
    }

    /// Removes a stream's source. What was recorded from it stays.
    ///
    /// # Errors
    /// [`CatalogError::NoSuchStream`], [`CatalogError::NoSuchSource`], [`CatalogError::Log`].
    pub async fn remove_source(&self, stream: StreamId) -> Result<(), CatalogError> {
        self.writer.run(move |writer| writer.remove_source(stream)).await
    }

    /// The access key with this id, if it stands.
    pub fn access_key(&self, id: &str) -> Option<Arc<AccessKey>> {
        self.state.read().access_keys().get(id).filter(|key| key.revoked.is_none()).cloned()
    }

    /// The ARN of a resource of this installation's account.
    pub fn arn(&self, service: &str, resource: String) -> Arn {
        self.state.read().arn(service, resource)
    }

    /// All access keys by id, revoked ones included.
    pub fn access_keys(&self) -> Vec<Arc<AccessKey>> {
        self.state.read().access_keys().values().cloned().collect()
    }

    /// Makes an access key: of the chosen id and secret, or of random ones. It may do what `policy` says, or
    /// everything.
    ///
    /// # Errors
    /// [`CatalogError::AccessKeyExists`], [`CatalogError::TooManyCredentials`],
    /// [`CatalogError::Invalid`], [`CatalogError::Log`].
    pub async fn create_access_key(
        &self,
        chosen: Option<(String, Secret)>,
        policy: Option<Policy>,
    ) -> Result<Arc<AccessKey>, CatalogError> {
        self.writer.run(move |writer| writer.create_access_key(chosen, policy)).await
    }

    /// Revokes an access key, at once and for good.
    ///
    /// # Errors
    /// [`CatalogError::NoSuchCredential`], [`CatalogError::Log`].
    pub async fn revoke_access_key(&self, id: &str) -> Result<(), CatalogError> {
        let id = id.to_owned();
        self.writer.run(move |writer| writer.revoke_access_key(&id)).await
    }

    /// Sees to it that the file (`DATA/credentials`) names an access key that stands: a root key is
    /// made where none stands, and a file that is missing or stale is written. Mode 0600.
    ///
    /// # Errors
    /// [`CatalogError::Io`], [`CatalogError::Log`], [`CatalogError::TooManyCredentials`].
    pub async fn ensure_root_credentials(&self, path: &Path) -> Result<(), CatalogError> {
        let state = Arc::clone(&self.state);
        let path = path.to_owned();
        let ensure = move |writer: &mut Writer| {
            let root = writer.root_key()?;
            let stands = |id: &str, secret: &Secret| {
                let found = state.read().access_keys().get(id).cloned();
                found.is_some_and(|key| key.revoked.is_none() && key.secret == *secret)
            };
            credentials_file::ensure(&path, &root, stands)
                .map_err(|source| CatalogError::Io { path: path.clone(), source })
        };
        self.writer.run(ensure).await
    }

    /// The device credential of this username, if it stands.
    pub fn device_by_username(&self, username: &str) -> Option<Arc<Device>> {
        self.state.read().devices().get(username).filter(|device| device.revoked.is_none()).cloned()
    }

    /// The device credential of this bearer token, if it stands.
    pub fn device_by_token(&self, token: &str) -> Option<Arc<Device>> {
        self.state.read().device_by_token(token).filter(|device| device.revoked.is_none()).cloned()
    }

    /// All device credentials by username, revoked ones included.
    pub fn devices(&self) -> Vec<Arc<Device>> {
        self.state.read().devices().values().cloned().collect()
    }

    /// Makes a device credential. Its token is told here and never again.
    ///
    /// # Errors
    /// [`CatalogError::TooManyCredentials`], [`CatalogError::Log`].
    pub async fn create_device(
        &self,
        streams: StreamGlob,
        allow: Allow,
    ) -> Result<DeviceCredential, CatalogError> {
        self.writer.run(move |writer| writer.create_device(streams, allow)).await
    }

    /// Revokes a device credential, at once and for good.
    ///
    /// # Errors
    /// [`CatalogError::NoSuchCredential`], [`CatalogError::Log`].
    pub async fn revoke_device(&self, username: &str) -> Result<(), CatalogError> {
        let username = username.to_owned();
        self.writer.run(move |writer| writer.revoke_device(&username)).await
    }

    /// Shortens the control lane, as it happens by itself when it has grown: writes everything there is to it
    /// once more, and removes what came before.
    ///
    /// # Errors
    /// [`CatalogError::Log`]: the lane is as long as it was.
    pub async fn snapshot(&self) -> Result<(), CatalogError> {
        self.writer.run(Writer::snapshot).await
    }

    /// Whether the principal's credential still stands. Sessions that outlive a request ask again.
    pub fn stands(&self, principal: &Principal) -> bool {
        match principal {
            Principal::AccessKey(key) => self.access_key(&key.id).is_some(),
            Principal::Device(device) => self.device_by_username(&device.username).is_some(),
            Principal::Source => true,
        }
    }
}
