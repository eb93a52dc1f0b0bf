//! What the control lane holds: one command per frame.
//!
//! A command is JSON, `{"version": 1, "command": {"put_stream": {…}}}`. Each carries whole objects and
//! no differences, with every time and random value decided before it was written, so that applying
//! them in order gives the same catalog every time. The same form, one command per row, is what the
//! SQLite view keeps.

use base::{FragmentNumber, StreamId, StreamName};
use serde::{Deserialize, Serialize};

use crate::data_stream::DataStreamRecord;
use crate::delivery::DeliveryRecord;
use crate::stream::StreamRecord;
use crate::{
    AccessKey, CatalogError, Checkpoint, ClockCorrection, Consumer, Device, Hold, MediaSecret, Source,
};

/// The version that this program writes, and the only one that it reads.
const VERSION: u32 = 1;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Command {
    /// A stream is as said from now on, new or changed.
    PutStream(StreamRecord),
    /// A data stream is as said from now on, new or changed.
    PutDataStream(DataStreamRecord),
    /// A delivery stream is as said from now on.
    PutDelivery(Box<DeliveryRecord>),
    /// Outlets of delivery streams have delivered so much.
    PutCheckpoints(Vec<Checkpoint>),
    /// The stream of any kind is gone with its consumers and checkpoints, and its data key must be destroyed.
    DeleteStream(StreamId),
    /// The data key of a deleted stream has been destroyed.
    KeyDestroyed(StreamId),
    /// An evidence hold is as said from now on: set, or cleared.
    PutHold(Hold),
    /// The times of a run are wrong by so much, as far as is known now.
    PutClockCorrection(ClockCorrection),
    /// Of these video streams, fragments below these numbers are given up, held ones aside: to make room, or
    /// by a limit of bytes.
    RaiseFloors(Vec<(StreamId, FragmentNumber)>),
    /// A stream's source is as said from now on, new or changed.
    PutSource(Source),
    /// The stream has no source any more.
    DeleteSource(StreamId),
    /// A secret is as said from now on, new or changed, and so are the sources whose URL it holds.
    PutMediaSecret(MediaSecret),
    /// The secret of this name is gone.
    DeleteMediaSecret(String),
    /// A consumer of a stream is as said from now on.
    PutConsumer(Consumer),
    /// A consumer is gone.
    DeleteConsumer {
        /// The stream that it was registered on.
        stream: StreamId,
        /// Its name.
        name: String,
    },
    /// An access key is as said from now on.
    PutAccessKey(AccessKey),
    /// A device credential is as said from now on.
    PutDevice(Device),
    /// Everything there is follows, as commands, up to [`Self::SnapshotEnd`].
    SnapshotBegin,
    /// That was everything: what came before the snapshot is not needed any more.
    SnapshotEnd {
        /// Commands since the begin.
        objects: u64,
        /// The id for the next stream.
        next_stream: StreamId,
    },
}

#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    command: &'a Command,
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

#[derive(Deserialize)]
struct Read {
    command: Command,
}

impl Command {
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(&Written { version: VERSION, command: self })
            .expect("commands have text keys and no fallible parts")
    }

    /// Reads a command. The version is looked at first: what follows may have any shape in another.
    pub fn decode(bytes: &[u8]) -> Result<Self, CatalogError> {
        let Versioned { version } = serde_json::from_slice(bytes).map_err(CatalogError::Command)?;
        if version != VERSION {
            return Err(CatalogError::CommandVersion { version });
        }
        let Read { command } = serde_json::from_slice(bytes).map_err(CatalogError::Command)?;
        Ok(command)
    }
}

/// The stream that a command of the control lane puts, and its name; for tools that read the lane
/// without opening the catalog. `None` for every other command, and for bytes that are none.
pub fn stream_name(command: &[u8]) -> Option<(StreamId, StreamName)> {
    match Command::decode(command) {
        Ok(Command::PutStream(stream)) => Some((stream.id, stream.name)),
        Ok(Command::PutDataStream(stream)) => Some((stream.id, stream.name)),
        Ok(Command::PutDelivery(stream)) => Some((stream.id, stream.configuration.name)),
        Ok(_) | Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Allow, Edge, EdgeSchedule, NewStream, Secret, SourceTransport, StreamGlob};
    use base::{RunId, Tags, Timestamp, TimestampSource};
    use proptest::prelude::*;
    use std::time::Duration;

    fn any_time() -> impl Strategy<Value = Timestamp> {
        any::<i64>().prop_map(Timestamp::from_millis)
    }

    fn any_stream() -> impl Strategy<Value = Command> {
        let text = proptest::option::of(".{0,20}");
        let tags = proptest::collection::btree_map(".{1,8}", ".{0,8}", 0..4);
        (any::<u64>(), "[a-z]{1,9}", any_time(), any::<u32>(), tags, text).prop_map(
            |(id, name, at, retention, labels, field): (_, String, _, u32, Tags, Option<String>)| {
                let name = StreamName::new(&name).unwrap();
                let mut new = NewStream::new(name, Duration::from_millis(retention.into()));
                (new.labels, new.tags) = (labels.clone(), labels);
                new.retention_bytes = (retention % 2 == 0).then_some(retention.into());
                (new.device_name, new.media_type, new.kms_key_id) = (field.clone(), field.clone(), field);
                Command::PutStream(StreamRecord::new(StreamId(id), "v".into(), at, new))
            },
        )
    }

    fn any_credential() -> impl Strategy<Value = Command> {
        (".{0,20}", ".{0,20}", any_time(), proptest::option::of(any_time()), any::<[u8; 32]>(), any::<bool>())
            .prop_map(|(id, secret, created, revoked, token_sha256, root)| {
                let secret = Secret::new(secret);
                if root {
                    return Command::PutAccessKey(AccessKey {
                        id,
                        secret,
                        root,
                        created,
                        revoked,
                        policy: None,
                    });
                }
                Command::PutDevice(Device {
                    username: id,
                    password: secret,
                    token_sha256,
                    streams: StreamGlob::all(),
                    allow: Allow { publish: true, play: false, create: true },
                    created,
                    revoked,
                })
            })
    }

    fn any_hold() -> impl Strategy<Value = Command> {
        let cleared = proptest::option::of((".{0,20}", any_time()));
        (any::<u64>(), ".{0,20}", any_time(), any_time(), ".{0,20}", cleared).prop_map(
            |(stream, text, start, end, by, cleared)| {
                let cleared = cleared.map(|(by, at)| crate::Cleared { by, at });
                let (id, reason) = (text.clone(), text);
                let stream = StreamId(stream);
                Command::PutHold(Hold { stream, id, start, end, reason, set_by: by, set: start, cleared })
            },
        )
    }

    fn any_clock_correction() -> impl Strategy<Value = Command> {
        (any::<[u64; 2]>(), any::<i64>(), ".{0,20}", any_time()).prop_map(
            |([stream, run], delta_ms, text, set)| {
                let (stream, run) = (StreamId(stream), RunId(FragmentNumber::from_u64(run)));
                let (reason, set_by) = (text.clone(), text);
                Command::PutClockCorrection(ClockCorrection { stream, run, delta_ms, reason, set_by, set })
            },
        )
    }

    fn any_source() -> impl Strategy<Value = Command> {
        let edge = proptest::option::of((".{0,20}", any_time(), any::<Option<u32>>()));
        (any::<u64>(), ".{0,40}", any_time(), 0..3_usize, edge).prop_map(|(stream, url, set, at, edge)| {
            let transport = [SourceTransport::Auto, SourceTransport::Tcp, SourceTransport::Udp][at];
            let timestamps = [TimestampSource::Auto, TimestampSource::Camera, TimestampSource::Server][at];
            let stream = StreamId(stream);
            let edge = edge.map(|(text, created, number): (String, _, Option<u32>)| Edge {
                hub_device_arn: text.clone(),
                secret_arn: text.clone(),
                schedule: number.map(|duration_secs| EdgeSchedule { expression: text, duration_secs }),
                retention_hours: number,
                delete_after_upload: number.map(|number| number % 2 == 0),
                created,
            });
            Command::PutSource(Source { stream, url: Secret::new(url), transport, timestamps, set, edge })
        })
    }

    fn any_media_secret() -> impl Strategy<Value = Command> {
        (".{0,20}", ".{0,40}", any_time(), any_time(), any::<bool>()).prop_map(
            |(name, url, created, changed, there)| {
                if !there {
                    return Command::DeleteMediaSecret(name);
                }
                let (arn, media_uri) = (url.clone(), Secret::new(url));
                Command::PutMediaSecret(MediaSecret { name, arn, media_uri, created, changed })
            },
        )
    }

    fn any_data_stream() -> impl Strategy<Value = Command> {
        let tags = proptest::collection::btree_map(".{1,8}", ".{0,8}", 0..4);
        (any::<u64>(), "[a-z]{1,9}", any_time(), 1u32..20, tags).prop_map(|(id, name, at, shards, tags)| {
            let new = crate::NewDataStream {
                name: StreamName::new(&name).unwrap(),
                shards,
                retention: Duration::from_hours(shards.into()),
                mode: crate::StreamMode::OnDemand,
                tags,
                max_record_kib: 1024,
            };
            Command::PutDataStream(DataStreamRecord::new(StreamId(id), "id".into(), at, new))
        })
    }

    fn any_target() -> impl Strategy<Value = crate::S3Target> {
        let text = proptest::option::of(".{0,20}");
        (text, any::<[u32; 2]>(), any::<bool>()).prop_map(|(text, [size_mib, interval_secs], gzip)| {
            let logging = |text: &String| crate::DeliveryLogging {
                enabled: gzip,
                group: Some(text.clone()),
                stream: None,
            };
            crate::S3Target {
                role_arn: "arn:aws:iam::000000000000:role/r".into(),
                bucket_arn: "arn:aws:s3:::b".into(),
                prefix: text.clone(),
                error_prefix: text.clone(),
                buffer: crate::BufferHints { size_mib, interval_secs },
                compression: if gzip { crate::Compression::Gzip } else { crate::Compression::Uncompressed },
                kms_key_arn: text.clone(),
                logging: text.as_ref().map(logging),
                file_extension: text.clone(),
                time_zone: text,
            }
        })
    }

    fn any_delivery() -> impl Strategy<Value = Command> {
        let tags = proptest::collection::btree_map(".{1,8}", ".{0,8}", 0..4);
        let starts = proptest::collection::btree_map(any::<u32>(), any::<u64>(), 0..4);
        let source = (".{0,20}", any::<u64>(), starts, proptest::option::of(any::<u32>()));
        (any::<u64>(), "[a-z]{1,9}", any_time(), tags, any_target(), source).prop_map(
            |(id, name, created, tags, target, (text, stream, start, hint))| {
                let source = match hint {
                    None => crate::DeliverySource::DirectPut { throughput_hint: hint },
                    Some(_) => crate::DeliverySource::Stream {
                        arn: text.clone(),
                        role_arn: text.clone(),
                        stream: StreamId(stream),
                        start,
                    },
                };
                let http = crate::HttpTarget {
                    url: Secret::new(text.clone()),
                    name: hint.map(|_| text.clone()),
                    access_key: hint.map(|_| Secret::new(text.clone())),
                    buffer: target.buffer,
                    logging: target.logging.clone(),
                    encoding: hint.map(|_| crate::ContentEncoding::Gzip),
                    attributes: vec![(text.clone(), Secret::new(text.clone()))],
                    role_arn: None,
                    retry_secs: 300,
                    all_data: id % 2 == 0,
                    backup: target.clone(),
                };
                let destination = if id % 3 == 0 {
                    crate::Destination::Http(http)
                } else {
                    crate::Destination::S3 { backup: hint.map(|_| target.clone()), target }
                };
                let name = StreamName::new(&name).unwrap();
                let configuration =
                    crate::NewDelivery { name, source, destination, encrypted: id % 2 == 0, tags };
                let updated = hint.map(|_| created);
                let id = StreamId(id);
                Command::PutDelivery(Box::new(DeliveryRecord {
                    id,
                    created,
                    version: stream,
                    updated,
                    configuration,
                }))
            },
        )
    }

    fn any_checkpoints() -> impl Strategy<Value = Command> {
        let checkpoint = (any::<[u64; 3]>(), any::<u8>(), any::<u32>(), any_time());
        let checkpoint =
            checkpoint.prop_map(|([delivery, source, next], outlet, shard, arrived)| Checkpoint {
                delivery: StreamId(delivery),
                outlet,
                source: StreamId(source),
                shard,
                next,
                arrived,
            });
        proptest::collection::vec(checkpoint, 0..4).prop_map(Command::PutCheckpoints)
    }

    fn any_consumer() -> impl Strategy<Value = Command> {
        (any::<u64>(), ".{0,20}", any_time(), any::<bool>()).prop_map(|(id, name, created, there)| {
            let stream = StreamId(id);
            if there {
                let tags = Tags::from([(name.clone(), name.clone())]);
                return Command::PutConsumer(Consumer { stream, name, created, tags });
            }
            Command::DeleteConsumer { stream, name }
        })
    }

    fn any_command() -> impl Strategy<Value = Command> {
        prop_oneof![
            any_stream(),
            any_data_stream(),
            any_delivery(),
            any_checkpoints(),
            any_consumer(),
            any_credential(),
            any_hold(),
            any_clock_correction(),
            any_source(),
            any_media_secret(),
            any::<u64>().prop_map(|id| Command::DeleteSource(StreamId(id))),
            any::<u64>().prop_map(|id| Command::DeleteStream(StreamId(id))),
            any::<u64>().prop_map(|id| Command::KeyDestroyed(StreamId(id))),
            proptest::collection::vec(any::<[u64; 2]>(), 0..4).prop_map(|floors| {
                let floor = |[id, number]: [u64; 2]| (StreamId(id), FragmentNumber::from_u64(number));
                Command::RaiseFloors(floors.into_iter().map(floor).collect())
            }),
            Just(Command::SnapshotBegin),
            any::<[u64; 2]>().prop_map(|[objects, next]| {
                Command::SnapshotEnd { objects, next_stream: StreamId(next) }
            }),
        ]
    }

    proptest! {
        #[test]
        fn round_trips(command in any_command()) {
            prop_assert_eq!(Command::decode(&command.encode()).unwrap(), command);
        }

        #[test]
        fn any_bytes_decode_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Command::decode(&bytes);
        }
    }

    #[test]
    fn the_written_form_stays() {
        let text = r#"{"version":1,"command":{"delete_stream":7}}"#;
        assert_eq!(Command::DeleteStream(StreamId(7)).encode(), text.as_bytes());
    }

    #[test]
    fn other_versions_and_fields_are_refused() {
        let newer = br#"{"version":2,"command":{"grow_wings":{}}}"#;
        assert!(matches!(Command::decode(newer), Err(CatalogError::CommandVersion { version: 2 })));
        let unknown = br#"{"version":1,"command":{"grow_wings":{}}}"#;
        assert!(matches!(Command::decode(unknown), Err(CatalogError::Command(_))));
        let key = AccessKey::generate(&base::SystemEntropy, false, Timestamp::from_millis(0));
        let text = String::from_utf8(Command::PutAccessKey(key).encode()).unwrap();
        let more = text.replacen("\"id\"", "\"policy\":\"*\",\"id\"", 1);
        assert!(Command::decode(more.as_bytes()).is_err(), "{more}");
    }
}
