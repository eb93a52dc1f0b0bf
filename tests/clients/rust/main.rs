//! The AWS SDK for Rust against a server: the client that `tests/e2e/test_clients.py` describes.
//! HTTP/2 where TLS negotiates it, HTTP/1.1 elsewhere.

#![expect(
    clippy::unwrap_used,
    reason = "a client that is answered otherwise than expected fails by panicking"
)]
#![expect(clippy::print_stdout, reason = "what it found is its output")]

mod errors;

use std::env;
use std::error::Error;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kinesis::primitives::{Blob, DateTime};
use aws_sdk_kinesis::types::error::SubscribeToShardEventStreamError;
use aws_sdk_kinesis::types::{
    PutRecordsRequestEntry, Record, ShardIteratorType, StartingPosition, SubscribeToShardEventStream,
};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use serde_json::{Value, json};

const RECORDS: usize = 300;

type Failure = Box<dyn Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let stream = env::args().nth(1).ok_or("usage: kinesis_client STREAM")?;
    let (key, secret) = (env::var("AWS_ACCESS_KEY_ID")?, env::var("AWS_SECRET_ACCESS_KEY")?);
    let client = client(&key, &secret)?;
    client.create_stream().stream_name(&stream).shard_count(2).send().await?;
    let summary = client.describe_stream_summary().stream_name(&stream).send().await?;
    let summary = summary.stream_description_summary.unwrap();
    let put = put(&client, &stream).await?;
    let shards = client.list_shards().stream_name(&stream).send().await?;
    let mut read = json!({});
    for shard in shards.shards() {
        let found = from_start(&client, &stream, shard.shard_id()).await?;
        read[shard.shard_id()] = found.iter().map(told).collect();
    }
    let first = &from_start(&client, &stream, "shardId-000000000000").await?[0];
    let since = since(&client, &stream, first.approximate_arrival_timestamp.unwrap()).await?;
    let (pushed, ended) = subscribed(&client, &stream, summary.stream_arn()).await?;
    let found = json!({
        "created": summary.stream_creation_timestamp().to_millis()?,
        "put": put,
        "read": read,
        "since": since,
        "pushed": pushed,
        "ended": ended,
        "errors": errors::all(&client, &stream, (&key, &secret)).await?,
    });
    println!("{found}");
    Ok(())
}

/// A client with these credentials, at the endpoint that the environment names.
fn client(key: &str, secret: &str) -> Result<Client, Failure> {
    let mut trusted = TrustStore::empty();
    if let Ok(path) = env::var("AWS_CA_BUNDLE") {
        trusted.add_pem_certificate(std::fs::read(path)?);
    }
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(TlsContext::builder().with_trust_store(trusted).build()?)
        .build_https();
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http)
        .endpoint_url(env::var("AWS_ENDPOINT_URL")?)
        .region(Region::new(env::var("AWS_REGION")?))
        .credentials_provider(Credentials::new(key, secret, None, None, "environment"));
    Ok(Client::from_conf(config.build()))
}

/// A record's data: its number, and bytes that are not text.
fn data(number: usize) -> Blob {
    Blob::new([number.to_string().as_bytes(), &[0, 0xff]].concat())
}

async fn put(client: &Client, stream: &str) -> Result<Vec<Value>, Failure> {
    let entry = |number: usize| {
        PutRecordsRequestEntry::builder().data(data(number)).partition_key(format!("key-{number}")).build()
    };
    let entries = (0..RECORDS).map(entry).collect::<Result<_, _>>()?;
    let answer = client.put_records().stream_name(stream).set_records(Some(entries)).send().await?;
    assert_eq!(answer.failed_record_count, Some(0));
    Ok(answer.records().iter().map(|placed| json!([placed.shard_id(), placed.sequence_number()])).collect())
}

fn hex(data: &Blob) -> String {
    data.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Data, sequence number and arrival in epoch milliseconds.
fn told(record: &Record) -> Value {
    let arrived = record.approximate_arrival_timestamp.unwrap().to_millis().unwrap();
    json!([hex(record.data()), record.sequence_number(), arrived])
}

async fn from_start(client: &Client, stream: &str, shard: &str) -> Result<Vec<Record>, Failure> {
    let asked = client.get_shard_iterator().stream_name(stream).shard_id(shard);
    let mut place = asked.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await?.shard_iterator;
    let mut found = Vec::new();
    loop {
        // In pieces, so that iterators are followed.
        let answer = client.get_records().shard_iterator(place.unwrap()).limit(100).send().await?;
        found.extend(answer.records);
        place = answer.next_shard_iterator;
        if answer.millis_behind_latest == Some(0) {
            return Ok(found);
        }
    }
}

/// How many records of the first shard came at this time or later.
async fn since(client: &Client, stream: &str, time: DateTime) -> Result<usize, Failure> {
    let asked = client.get_shard_iterator().stream_name(stream).shard_id("shardId-000000000000");
    let asked = asked.shard_iterator_type(ShardIteratorType::AtTimestamp).timestamp(time);
    let place = asked.send().await?.shard_iterator.unwrap();
    Ok(client.get_records().shard_iterator(place).send().await?.records.len())
}

/// What a subscription to the first shard pushes, with a record that comes while it is open; and the
/// exception that ends it when its consumer goes.
async fn subscribed(client: &Client, stream: &str, arn: &str) -> Result<(Vec<Value>, String), Failure> {
    let made = client.register_stream_consumer().stream_arn(arn).consumer_name("app").send().await?;
    let consumer = made.consumer.unwrap().consumer_arn;
    let start = StartingPosition::builder().r#type(ShardIteratorType::TrimHorizon).build()?;
    let asked = client.subscribe_to_shard().consumer_arn(&consumer).shard_id("shardId-000000000000");
    let mut events = asked.starting_position(start).send().await?.event_stream;
    let (mut pushed, mut sent) = (Vec::new(), false);
    loop {
        match events.recv().await {
            Ok(Some(SubscribeToShardEventStream::SubscribeToShardEvent(event))) => {
                pushed.extend(event.records().iter().map(|record| json!(hex(record.data()))));
                if !sent {
                    let late = client.put_record().stream_name(stream).data(data(RECORDS)).partition_key("k");
                    late.explicit_hash_key("0").send().await?;
                    sent = true;
                }
                if event.records().iter().any(|record| *record.data() == data(RECORDS)) {
                    client.deregister_stream_consumer().consumer_arn(&consumer).send().await?;
                }
            }
            Ok(_) => return Ok((pushed, "nothing".to_owned())),
            Err(error) => {
                let ended = match error.into_service_error() {
                    SubscribeToShardEventStreamError::ResourceNotFoundException(_) => {
                        "ResourceNotFoundException".to_owned()
                    }
                    other => format!("{other:?}"),
                };
                return Ok((pushed, ended));
            }
        }
    }
}
