//! Data streams in the native API: what there is, and their records as they arrive.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::policy::become_holder;
use super::world::{Answer, World};

async fn with_stream(shards: u32) -> World {
    let world = World::with(2).await;
    let made = world.kinesis("CreateStream", &json!({ "StreamName": "orders", "ShardCount": shards })).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.text());
    world
}

async fn put(world: &World, key: &str, data: &[u8]) {
    let input = json!({ "StreamName": "orders", "Data": STANDARD.encode(data), "PartitionKey": key });
    let answer = world.kinesis("PutRecord", &input).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
}

fn lines(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.headers["content-type"], "application/x-ndjson");
    answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn data(lines: &[Value]) -> Vec<&str> {
    lines.iter().filter_map(|line| line["data"].as_str()).collect()
}

#[tokio::test]
async fn streams_are_listed_with_their_kind_and_what_goes_through() {
    let world = with_stream(4).await;
    for n in 0..6 {
        put(&world, &format!("key {n}"), b"0123456789").await;
    }
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/orders";
    world.kinesis("RegisterStreamConsumer", &json!({ "StreamARN": arn, "ConsumerName": "billing" })).await;
    world.get("/v1/data-streams/orders/records").await;
    world.clock.advance(Duration::from_secs(1));
    let all = world.get("/v1/data-streams").await.json();
    let told: Vec<_> =
        all["data_streams"].as_array().unwrap().iter().map(|one| (&one["name"], &one["kind"])).collect();
    assert_eq!(
        told,
        [(&json!("fragments.door"), &json!("fragments")), (&json!("orders"), &json!("records"))]
    );
    let orders = &world.get("/v1/data-streams?kind=records").await.json()["data_streams"][0];
    assert_eq!((&orders["shard_count"], &orders["consumer_count"]), (&json!(4), &json!(1)));
    let rate = json!({ "records_per_second": 0.1, "bytes_per_second": 1.5 });
    assert_eq!((&orders["in"], &orders["out"]), (&rate, &rate));

    let one = world.get("/v1/data-streams/orders").await.json();
    let shards = one["shards"].as_array().unwrap();
    assert_eq!(shards[0]["starting_hash_key"], "0");
    assert_eq!(shards[3]["ending_hash_key"], "340282366920938463463374607431768211455");
    assert_eq!((&one["consumers"][0]["name"], &one["in"]), (&json!("billing"), &rate));
    let newest = one["in_by_second"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(newest, json!({ "records": 6, "bytes": 90 }));
}

#[tokio::test]
async fn fragments_are_a_stream_like_any_other() {
    let world = World::with(3).await;
    let one = world.get("/v1/data-streams/fragments.door").await.json();
    assert_eq!(
        (&one["video_stream"], &one["shards"][0]["shard_id"]),
        (&json!("door"), &json!("shardId-000000000000"))
    );
    let written: u64 = one["in_by_second"]
        .as_array()
        .unwrap()
        .iter()
        .map(|second| second["records"].as_u64().unwrap())
        .sum();
    assert_eq!(written, 3, "{one}");
    let lines = lines(&world.get("/v1/data-streams/fragments.door/records").await);
    assert_eq!(lines.len(), 4);
    let fragment: Value = serde_json::from_str(lines[0]["data"].as_str().unwrap()).unwrap();
    assert_eq!((&fragment["stream"], &lines[0]["partition_key"]), (&json!("door"), &json!("door")));
    assert_eq!(lines[3]["end"], "caught_up");
    world.clock.advance(Duration::from_secs(1));
    let one = world.get("/v1/data-streams/fragments.door").await.json();
    assert_eq!(one["out"]["records_per_second"], 0.05);
}

#[tokio::test]
async fn all_shards_come_in_one_sequence_and_a_cursor_goes_on() {
    let world = with_stream(4).await;
    for n in 0..20 {
        put(&world, &format!("key {n}"), n.to_string().as_bytes()).await;
        world.clock.advance(Duration::from_millis(10));
    }
    let first = lines(&world.get("/v1/data-streams/orders/records?limit=12").await);
    let second = format!("/v1/data-streams/orders/records?cursor={}", first[12]["cursor"].as_str().unwrap());
    let second = lines(&world.get(&second).await);
    let all: Vec<Value> = [&first[..12], &second[..8]].concat();
    let expected: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    assert_eq!(data(&all), expected);
    assert_eq!((&first[12]["end"], &second[8]["end"]), (&json!("limit"), &json!("caught_up")));
    let shards: std::collections::BTreeSet<_> = all.iter().map(|line| line["shard_id"].to_string()).collect();
    assert_eq!(shards.len(), 4);

    let one = lines(&world.get("/v1/data-streams/orders/records?shard=shardId-000000000001").await);
    assert_eq!(one.len() - 1, all.iter().filter(|line| line["shard_id"] == one[0]["shard_id"]).count());
    let from = all[15]["arrived"].as_str().unwrap();
    let late = lines(&world.get(&format!("/v1/data-streams/orders/records?from={from}")).await);
    assert_eq!(data(&late), expected[15..]);
    let recent = lines(&world.get("/v1/data-streams/orders/records?from=1s").await);
    assert_eq!(data(&recent).len(), 20, "all came within 200 ms");
}

#[tokio::test]
async fn bytes_that_are_no_text_come_in_base64() {
    let world = with_stream(1).await;
    put(&world, "a", b"\x1b[31mred\x9b").await;
    put(&world, "a", "grün\u{1b}[0m\n".as_bytes()).await;
    let answer = world.get("/v1/data-streams/orders/records").await;
    assert!(!answer.body.contains(&0x1b), "a control character stands in the answer");
    let lines = lines(&answer);
    assert_eq!((&lines[0]["encoding"], &lines[0]["size_bytes"]), (&json!("base64"), &json!(9)));
    assert_eq!(STANDARD.decode(lines[0]["data"].as_str().unwrap()).unwrap(), b"\x1b[31mred\x9b");
    assert_eq!((&lines[1]["encoding"], &lines[1]["data"]), (&json!("text"), &json!("grün\u{1b}[0m\n")));
}

#[tokio::test]
async fn new_records_come_as_they_arrive() {
    let world = with_stream(2).await;
    put(&world, "a", b"before").await;
    let path = "/v1/data-streams/orders/records?from=TRIM_HORIZON&follow=true&limit=3";
    let (answer, ()) = tokio::join!(world.get(path), async {
        put(&world, "a", b"one").await;
        put(&world, "a", b"two").await;
    });
    assert_eq!(data(&lines(&answer)), ["before", "one", "two"]);
}

#[tokio::test]
async fn a_reader_is_told_that_the_stream_is_gone_or_its_key() {
    let world = with_stream(2).await;
    let path = "/v1/data-streams/orders/records?follow=true";
    let delete = json!({ "StreamName": "orders" });
    let (answer, deleted) = tokio::join!(world.get(path), world.kinesis("DeleteStream", &delete));
    assert_eq!(deleted.status, StatusCode::OK);
    // Who came too late is told by the status.
    if answer.status == StatusCode::OK {
        assert_eq!(lines(&answer).last().unwrap()["error"]["code"], "not_found");
    }
    let key = world.root.access_key_id.clone();
    let path = "/v1/data-streams/fragments.door/records?follow=true";
    let (answer, revoked) = tokio::join!(world.get(path), world.app.catalog.revoke_access_key(&key));
    revoked.unwrap();
    if answer.status == StatusCode::OK {
        assert_eq!(lines(&answer).last().unwrap()["error"]["code"], "forbidden");
    }
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let world = with_stream(2).await;
    let orders = lines(&world.get("/v1/data-streams/orders/records").await);
    let foreign = orders[0]["cursor"].as_str().unwrap();
    for (path, status, word) in [
        ("orders/records?from=soon", 400, "from"),
        ("orders/records?shard=2", 400, "shard"),
        ("orders/records?follow=yes", 400, "follow"),
        ("orders/records?limit=0", 400, "limit"),
        ("orders/records?cursor=AAAA", 400, "cursor"),
        (&format!("fragments.door/records?cursor={foreign}"), 400, "cursor"),
        ("bills/records", 404, "bills"),
        ("fragments.yard", 404, "fragments.yard"),
        ("door", 404, "door"),
    ] {
        let answer = world.get(&format!("/v1/data-streams/{path}")).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert!(answer.refusal().contains(word), "{path}: {}", answer.refusal());
    }
    assert!(world.get("/v1/data-streams?kind=all").await.refusal().contains("records or fragments"));
}

#[tokio::test]
async fn a_policy_decides_who_sees_and_reads() {
    let mut world = with_stream(1).await;
    let orders = "arn:aws:kinesis:*:*:stream/orders";
    let describe =
        json!({ "Effect": "Allow", "Action": "kinesis:DescribeStreamSummary", "Resource": orders });
    let root = become_holder(&mut world, json!([describe])).await;
    let listed = world.get("/v1/data-streams").await.json();
    assert_eq!(listed["data_streams"].as_array().unwrap().len(), 1, "{listed}");
    let refused = world.get("/v1/data-streams/orders/records").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.refusal().contains("kinesis:GetRecords"), "{}", refused.refusal());
    assert_eq!(world.get("/v1/data-streams/fragments.door").await.status, StatusCode::FORBIDDEN);
    world.root = root;
    let read = json!({ "Effect": "Allow", "Action": "kinesis:GetRecords", "Resource": orders });
    become_holder(&mut world, json!([read])).await;
    assert_eq!(world.get("/v1/data-streams/orders/records").await.status, StatusCode::OK);
    let plain = world.plain(Method::GET, "/v1/data-streams/orders/records", &[]).await;
    assert_eq!(plain.status, StatusCode::FORBIDDEN);
}
