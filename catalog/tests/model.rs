//! Random changes against a plain model, with restarts between, with and without the view.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod harness;

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use base::{StreamId, Tags, TimestampSource};
use catalog::{
    Allow, CatalogError, NewEdge, NewSource, NewStream, Secret, SourceTransport, StreamGlob, StreamUpdate,
};
use harness::{Installation, Running, name};
use proptest::prelude::*;

/// Streams and credentials are picked by number: of the names `s0`… and of those made so far.
#[derive(Clone, Debug)]
enum Step {
    Create(u8),
    Delete(u8),
    Update(u8, StreamUpdate),
    SetSource(u8, String),
    RemoveSource(u8),
    /// Secrets are picked by number, too.
    SetSecret(u8, String),
    SetEdge(u8, u8),
    CreateKey,
    RevokeKey(usize),
    CreateDevice(Allow),
    RevokeDevice(usize),
    Snapshot,
    Restart(Fate),
}

/// What becomes of the view while the program is stopped.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Kept,
    Deleted,
    /// As it was at the start before.
    PutBack,
}

fn update() -> impl Strategy<Value = StreamUpdate> {
    let tags = || prop::collection::btree_map("[a-c]", "[x-z]{0,2}", 0..3);
    let field = || prop::option::of("[a-z]{1,3}");
    prop_oneof![
        (0u64..1000).prop_map(|hours| StreamUpdate::Retention(Duration::from_hours(hours))),
        (0u64..1000, prop::option::of(1u64..1000))
            .prop_map(|(hours, bytes)| StreamUpdate::Keep { retention: Duration::from_hours(hours), bytes }),
        tags().prop_map(StreamUpdate::Labels),
        prop::option::of(prop_oneof![Just(TimestampSource::Camera), Just(TimestampSource::Server)])
            .prop_map(StreamUpdate::Timestamps),
        tags().prop_map(StreamUpdate::AddTags),
        prop::collection::vec("[a-c]", 0..3).prop_map(StreamUpdate::RemoveTags),
        (field(), field())
            .prop_map(|(device_name, media_type)| StreamUpdate::Fields { device_name, media_type }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let fate = prop_oneof![Just(Fate::Kept), Just(Fate::Deleted), Just(Fate::PutBack)];
    let allow = any::<[bool; 3]>().prop_map(|[publish, play, create]| Allow { publish, play, create });
    prop_oneof![
        4 => (0u8..4).prop_map(Step::Create),
        2 => (0u8..4).prop_map(Step::Delete),
        4 => (0u8..4, update()).prop_map(|(stream, update)| Step::Update(stream, update)),
        2 => (0u8..4, "[a-c]").prop_map(|(stream, url)| Step::SetSource(stream, url)),
        1 => (0u8..4).prop_map(Step::RemoveSource),
        2 => (0u8..2, "[a-c]").prop_map(|(secret, url)| Step::SetSecret(secret, url)),
        2 => (0u8..4, 0u8..2).prop_map(|(stream, secret)| Step::SetEdge(stream, secret)),
        1 => Just(Step::CreateKey),
        1 => any::<usize>().prop_map(Step::RevokeKey),
        1 => allow.prop_map(Step::CreateDevice),
        1 => any::<usize>().prop_map(Step::RevokeDevice),
        1 => Just(Step::Snapshot),
        2 => fate.prop_map(Step::Restart),
    ]
}

#[derive(Clone, Debug, Default, PartialEq)]
struct PlainStream {
    id: Option<StreamId>,
    retention: Duration,
    retention_bytes: Option<u64>,
    timestamps: Option<TimestampSource>,
    labels: Tags,
    tags: Tags,
    device_name: Option<String>,
    media_type: Option<String>,
    source: Option<String>,
    /// The number of the secret that the source's URL is in.
    secret: Option<u8>,
}

#[derive(Default)]
struct Model {
    streams: BTreeMap<String, PlainStream>,
    greatest_id: Option<StreamId>,
    /// ARN and URL.
    secrets: BTreeMap<u8, (String, String)>,
    /// Id, secret, whether it stands.
    keys: Vec<(String, String, bool)>,
    /// Username, token, rights, whether it stands.
    devices: Vec<(String, String, Allow, bool)>,
}

fn edge(secret_arn: &str) -> NewEdge {
    NewEdge {
        hub_device_arn: "hub".into(),
        secret_arn: secret_arn.into(),
        schedule: None,
        retention_hours: None,
        delete_after_upload: None,
    }
}

impl PlainStream {
    fn update(&mut self, update: StreamUpdate) {
        match update {
            StreamUpdate::Retention(retention) => self.retention = retention,
            StreamUpdate::Keep { retention, bytes } => {
                (self.retention, self.retention_bytes) = (retention, bytes);
            }
            StreamUpdate::Timestamps(timestamps) => self.timestamps = timestamps,
            StreamUpdate::Labels(labels) => self.labels = labels,
            StreamUpdate::AddTags(tags) => self.tags.extend(tags),
            StreamUpdate::RemoveTags(names) => names.iter().for_each(|name| drop(self.tags.remove(name))),
            StreamUpdate::Fields { device_name, media_type } => {
                self.device_name = device_name.or_else(|| self.device_name.clone());
                self.media_type = media_type.or_else(|| self.media_type.clone());
            }
        }
    }
}

impl Model {
    async fn take(&mut self, running: &Running, step: Step) {
        let catalog = &running.catalog;
        match step {
            Step::Create(n) => {
                let text = format!("s{n}");
                let made = catalog.create_stream(NewStream::new(name(&text), Duration::ZERO)).await;
                if self.streams.contains_key(&text) {
                    assert!(matches!(made, Err(CatalogError::StreamExists(_))));
                    return;
                }
                let id = Some(made.unwrap().id);
                assert!(id > self.greatest_id, "ids grow");
                self.greatest_id = id;
                self.streams.insert(text, PlainStream { id, ..PlainStream::default() });
            }
            Step::Delete(n) => {
                if let Some(stream) = self.streams.remove(&format!("s{n}")) {
                    catalog.delete_stream(stream.id.unwrap(), None).await.unwrap();
                }
            }
            Step::Update(n, update) => {
                if let Some(stream) = self.streams.get_mut(&format!("s{n}")) {
                    let id = stream.id.unwrap();
                    let version = catalog.stream_by_id(id).unwrap().version.clone();
                    stream.update(update.clone());
                    let changed = catalog.update_stream(id, Some(&version), update).await.unwrap();
                    assert_ne!(changed.version, version);
                }
            }
            Step::SetSource(n, url) => {
                if let Some(stream) = self.streams.get_mut(&format!("s{n}")) {
                    let (transport, timestamps) = (SourceTransport::Udp, TimestampSource::Server);
                    let source = NewSource { url: Secret::new(url.clone()), transport, timestamps };
                    let set = catalog.set_source(stream.id.unwrap(), source).await.unwrap();
                    assert_eq!(set.url.expose(), url);
                    (stream.source, stream.secret) = (Some(url), None);
                }
            }
            Step::SetSecret(n, url) => {
                let set = catalog.set_media_secret(format!("k{n}"), Secret::new(url.clone())).await.unwrap();
                let of_secret = self.streams.values_mut().filter(|stream| stream.secret == Some(n));
                of_secret.for_each(|stream| stream.source = Some(url.clone()));
                let before = self.secrets.insert(n, (set.arn.clone(), url));
                assert!(before.is_none_or(|(arn, _)| arn == set.arn));
            }
            Step::SetEdge(n, secret) => {
                let stream = self.streams.get_mut(&format!("s{n}"));
                if let (Some(stream), Some((arn, url))) = (stream, self.secrets.get(&secret)) {
                    let set = catalog.set_edge(stream.id.unwrap(), edge(arn)).await.unwrap();
                    assert_eq!(set.url.expose(), url);
                    (stream.source, stream.secret) = (Some(url.clone()), Some(secret));
                }
            }
            Step::RemoveSource(n) => {
                if let Some(stream) = self.streams.get_mut(&format!("s{n}")) {
                    let removed = catalog.remove_source(stream.id.unwrap()).await;
                    assert_eq!(removed.is_ok(), stream.source.take().is_some());
                    stream.secret = None;
                }
            }
            Step::CreateKey | Step::RevokeKey(_) | Step::CreateDevice(_) | Step::RevokeDevice(_) => {
                self.take_credential(running, step).await;
            }
            Step::Snapshot => catalog.snapshot().await.unwrap(),
            Step::Restart(_) => unreachable!("not a change"),
        }
    }

    async fn take_credential(&mut self, running: &Running, step: Step) {
        let catalog = &running.catalog;
        match step {
            Step::CreateKey => {
                let key = catalog.create_access_key(None, None).await.unwrap();
                self.keys.push((key.id.clone(), key.secret.expose().to_owned(), true));
            }
            Step::RevokeKey(n) if !self.keys.is_empty() => {
                let at = n % self.keys.len();
                let (id, _, stands) = &mut self.keys[at];
                assert_eq!(catalog.revoke_access_key(id).await.is_ok(), *stands);
                *stands = false;
            }
            Step::CreateDevice(allow) => {
                let told = catalog.create_device(StreamGlob::all(), allow).await.unwrap();
                self.devices.push((told.username, told.token.expose().to_owned(), allow, true));
            }
            Step::RevokeDevice(n) if !self.devices.is_empty() => {
                let at = n % self.devices.len();
                let (username, _, _, stands) = &mut self.devices[at];
                assert_eq!(catalog.revoke_device(username).await.is_ok(), *stands);
                *stands = false;
            }
            _ => {}
        }
    }

    fn number(&self, secret_arn: &str) -> u8 {
        *self.secrets.iter().find(|(_, (arn, _))| arn == secret_arn).unwrap().0
    }

    fn check(&self, running: &Running) {
        let catalog = &running.catalog;
        let found: BTreeMap<_, _> = catalog
            .streams()
            .values()
            .map(|stream| {
                assert!(running.log.keys().has_stream_key(stream.id));
                assert_eq!(catalog.stream_by_id(stream.id).as_ref(), Some(stream));
                let source = catalog.source(stream.id);
                let edge = source.as_ref().and_then(|source| source.edge.as_ref());
                let plain = PlainStream {
                    id: Some(stream.id),
                    retention: stream.retention,
                    retention_bytes: stream.retention_bytes,
                    timestamps: stream.timestamps,
                    labels: stream.labels.clone(),
                    tags: stream.tags.clone(),
                    device_name: stream.device_name.clone(),
                    media_type: stream.media_type.clone(),
                    secret: edge.map(|edge| self.number(&edge.secret_arn)),
                    source: source.map(|source| source.url.expose().to_owned()),
                };
                (stream.name.to_string(), plain)
            })
            .collect();
        assert_eq!(found, self.streams);
        for (id, secret, stands) in &self.keys {
            let found = catalog.access_key(id);
            assert_eq!(found.is_some_and(|key| key.secret.matches(secret)), *stands);
        }
        for (username, token, allow, stands) in &self.devices {
            let found = catalog.device_by_token(token);
            assert_eq!(found, catalog.device_by_username(username));
            assert_eq!(found.is_some_and(|device| device.allow == *allow), *stands);
        }
        assert_eq!(catalog.access_keys().len(), self.keys.len());
        assert_eq!(catalog.devices().len(), self.devices.len());
    }
}

async fn agrees(steps: Vec<Step>) {
    let installation = Installation::new();
    let mut model = Model::default();
    let mut old_view = None;
    let mut running = installation.start();
    for step in steps {
        if let Step::Restart(fate) = step {
            let before = running.answers();
            running.stop();
            let view = fs::read(installation.view()).unwrap();
            match fate {
                Fate::Kept => {}
                Fate::Deleted => installation.delete_view(),
                Fate::PutBack => fs::write(installation.view(), old_view.as_ref().unwrap_or(&view)).unwrap(),
            }
            old_view = Some(view);
            running = installation.start();
            assert_eq!(running.answers(), before);
        } else {
            model.take(&running, step).await;
        }
        model.check(&running);
    }
    running.stop();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn agrees_with_the_model(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(agrees(steps));
    }
}
