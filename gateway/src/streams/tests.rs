//! What takes a clock in the test's hand: things that expire, and what a data stream of fragments says.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use catalog::Principal;
use fixtures::{put_cluster, put_end_of_fragment, put_frame, put_header};
use ingest::Publisher;
use ingest::put_media::{Ending, Timecodes};
use serde_json::{Value, json};

use super::lookup;
use crate::native::tests::world::World;

const MINUTE: Duration = Duration::from_secs(60);

async fn ok(world: &World, operation: &str, input: Value) -> Value {
    let answer = world.kinesis(operation, &input).await;
    assert_eq!(answer.status, 200, "{operation}: {}", answer.text());
    if answer.body.is_empty() { Value::Null } else { answer.json() }
}

async fn refused(world: &World, operation: &str, input: Value) -> (String, String) {
    let answer = world.kinesis(operation, &input).await;
    assert_eq!(answer.status, 400, "{operation}: {}", answer.text());
    let told = answer.json();
    let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
    (text("__type"), text("message"))
}

async fn iterator(world: &World, stream: &str, kind: &str) -> Value {
    let input = json!({ "StreamName": stream, "ShardId": "shardId-000000000000", "ShardIteratorType": kind });
    ok(world, "GetShardIterator", input).await["ShardIterator"].clone()
}

async fn put(world: &World, stream: &str, text: &str) {
    let input = json!({ "StreamName": stream, "Data": STANDARD.encode(text), "PartitionKey": "k" });
    ok(world, "PutRecord", input).await;
}

#[tokio::test]
async fn an_iterator_is_good_for_five_minutes() {
    let world = World::with(0).await;
    ok(&world, "CreateStream", json!({ "StreamName": "orders" })).await;
    let old = iterator(&world, "orders", "TRIM_HORIZON").await;
    let bytes = STANDARD.decode(old.as_str().unwrap()).unwrap();
    assert_eq!((bytes.len(), &bytes[..8]), (152, &[0, 0, 0, 0, 0, 0, 0, 1][..]), "the shape of AWS's");
    world.clock.advance(5 * MINUTE);
    ok(&world, "GetRecords", json!({ "ShardIterator": old })).await;
    world.clock.advance(Duration::from_millis(1));
    let (code, text) = refused(&world, "GetRecords", json!({ "ShardIterator": old })).await;
    assert_eq!(code, "ExpiredIteratorException");
    assert_eq!(
        text,
        "Iterator expired. The iterator was created at time Thu Jan 01 12:00:01 UTC 2026 while right now it is Thu \
         Jan 01 12:05:01 UTC 2026 which is further in the future than the tolerated delay of 300000 milliseconds."
    );
}

#[tokio::test]
async fn a_page_token_is_good_for_five_minutes_and_for_its_own_list() {
    let world = World::with(0).await;
    for name in ["a", "b"] {
        ok(&world, "CreateStream", json!({ "StreamName": name, "ShardCount": 2 })).await;
    }
    let shards = ok(&world, "ListShards", json!({ "StreamName": "a", "MaxResults": 1 })).await;
    let streams = ok(&world, "ListStreams", json!({ "Limit": 1 })).await;
    let foreign = refused(&world, "ListShards", json!({ "NextToken": streams["NextToken"] })).await;
    assert_eq!(foreign, ("InvalidArgumentException".into(), "Invalid NextToken.".into()));
    world.clock.advance(5 * MINUTE + Duration::from_millis(1));
    for (operation, token) in [("ListShards", &shards), ("ListStreams", &streams)] {
        let (code, _) = refused(&world, operation, json!({ "NextToken": token["NextToken"] })).await;
        assert_eq!(code, "ExpiredNextTokenException", "{operation}");
    }
}

#[tokio::test]
async fn a_reader_behind_is_told_how_far_and_skips_what_has_expired() {
    let world = World::with(0).await;
    ok(&world, "CreateStream", json!({ "StreamName": "orders" })).await;
    for text in ["one", "two"] {
        put(&world, "orders", text).await;
        world.clock.advance(23 * 60 * MINUTE);
    }
    let start = iterator(&world, "orders", "TRIM_HORIZON").await;
    let page = ok(&world, "GetRecords", json!({ "ShardIterator": start, "Limit": 1 })).await;
    assert_eq!(page["Records"][0]["Data"], STANDARD.encode("two"), "the first is older than a day");
    put(&world, "orders", "three").await;
    let start = iterator(&world, "orders", "TRIM_HORIZON").await;
    let page = ok(&world, "GetRecords", json!({ "ShardIterator": start, "Limit": 1 })).await;
    assert_eq!(page["MillisBehindLatest"], 23 * 3_600_000);
    let rest = ok(&world, "GetRecords", json!({ "ShardIterator": page["NextShardIterator"] })).await;
    assert_eq!((rest["Records"].as_array().unwrap().len(), &rest["MillisBehindLatest"]), (1, &json!(0)));
}

#[tokio::test]
async fn fragments_are_records_of_their_stream() {
    let world = World::with(3).await;
    let start = iterator(&world, "fragments.door", "TRIM_HORIZON").await;
    let page = ok(&world, "GetRecords", json!({ "ShardIterator": start, "Limit": 2 })).await;
    let rest = ok(&world, "GetRecords", json!({ "ShardIterator": page["NextShardIterator"] })).await;
    let told = |page: &Value| -> Vec<Value> {
        let data = page["Records"].as_array().unwrap().iter().map(|record| record["Data"].as_str().unwrap());
        data.map(|data| serde_json::from_slice(&STANDARD.decode(data).unwrap()).unwrap()).collect()
    };
    let all: Vec<Value> = told(&page).into_iter().chain(told(&rest)).collect();
    assert_eq!(Value::from(all), world.get("/v1/fragments").await.json()["fragments"]);
    assert_eq!((&page["MillisBehindLatest"] == 0, &rest["MillisBehindLatest"]), (false, &json!(0)));
    let number = rest["Records"][0]["SequenceNumber"].clone();
    let place = json!({
        "StreamName": "fragments.door", "ShardId": "shardId-000000000000",
        "ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": number,
    });
    let start = ok(&world, "GetShardIterator", place).await["ShardIterator"].clone();
    assert_eq!(told(&ok(&world, "GetRecords", json!({ "ShardIterator": start })).await), told(&rest));
    let refused =
        refused(&world, "AddTagsToStream", json!({ "StreamName": "fragments.door", "Tags": { "a": "b" } }));
    assert_eq!(refused.await.0, "InvalidArgumentException");
}

/// Whoever waits for fragments is woken by the one that is stored, not by the time.
#[tokio::test]
async fn a_fragment_that_is_stored_rings() {
    let world = World::with(1).await;
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/fragments.door".parse().unwrap();
    let found = lookup(&world.app.catalog, &arn).unwrap();
    let records = &world.app.records;
    let before = records.durable(&found, 0);
    let mut bell = records.bell(&found, 0);
    let stream = world.app.catalog.stream(&base::StreamName::new("door").unwrap()).unwrap();
    let by = Publisher { peer: "127.0.0.1:50000".parse().unwrap(), principal: Principal::Source };
    let (acks, _told) = tokio::sync::mpsc::channel(100);
    let timecodes = Timecodes::Relative(world.app.clock.now());
    let mut session = world.app.ingest.put_media(stream, by, timecodes, acks).await.unwrap();
    let fragment =
        [put_header(&["D_ANY"]), put_cluster(0), put_frame(1, 0, true, b"x"), put_end_of_fragment()];
    session.take(&fragment.concat()).await.unwrap();
    while records.durable(&found, 0) == before {
        bell.rung().await;
    }
    session.end(Ending::Finished).await;
}
