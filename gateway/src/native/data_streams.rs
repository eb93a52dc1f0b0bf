//! Data streams: what there is, its shards, what goes through them. They are made and deleted by the AWS API.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::routing::get;
use base::{StreamName, Timestamp};
use catalog::{Action, DataStream, FRAGMENTS_PREFIX, Shard, StreamMode};
use data_streams::{Minute, Passed, SECONDS, Traffic, shard_id};
use http::{Method, Uri};
use serde::Serialize;

use super::caller::Caller;
use super::params::Named;
use super::route::{Access, Answer, Field, Kind, Param, Route};
use crate::app::App;
use crate::auth::{Asked, Principal};
use crate::error::ApiError;
use crate::streams::{Found, ReadError, fragments_of, lookup_name, retention_hours, video_name};

const KINDS: &[&str] = &["records", "fragments"];

const RATE: &[Field] = &[
    Field::new("records_per_second", Kind::Number, "mean of the last minute"),
    Field::new("bytes_per_second", Kind::Number, "data and partition keys, mean of the last minute"),
];

const SECOND: &[Field] = &[
    Field::new("records", Kind::Number, "in that second"),
    Field::new("bytes", Kind::Number, "data and partition keys"),
];

const SUMMARY: &[Field] = &[
    Field::new("name", Kind::Text, "the stream's name"),
    Field::new("arn", Kind::Text, "for AWS clients"),
    Field::new(
        "kind",
        Kind::Choice(KINDS),
        "what is in it: records that are put, or a video stream's fragments",
    ),
    Field::optional("video_stream", Kind::Text, "the video stream whose fragments these are"),
    Field::new("status", Kind::Choice(&["ACTIVE"]), "as AWS clients read it"),
    Field::new("mode", Kind::Choice(&["PROVISIONED", "ON_DEMAND"]), "as AWS clients read it"),
    Field::new("created", Kind::Time, "when it was made"),
    Field::new("retention_hours", Kind::Number, "how long records are kept"),
    Field::new("shard_count", Kind::Number, "how many shards it has"),
    Field::new("consumer_count", Kind::Number, "how many consumers are registered"),
    Field::optional("in", Kind::Object(RATE), "what is put; null for fragments in a list"),
    Field::optional("out", Kind::Object(RATE), "what is read, by whomever; null for fragments in a list"),
    Field::optional("last_record", Kind::Time, "when the newest record arrived, if one is known"),
];

const SHARD: &[Field] = &[
    Field::new("shard_id", Kind::Text, "shardId-000000000000"),
    Field::new("starting_hash_key", Kind::Text, "the least hash it takes, in decimal digits"),
    Field::new("ending_hash_key", Kind::Text, "the greatest"),
    Field::new("in", Kind::Object(RATE), "what is put"),
    Field::new("out", Kind::Object(RATE), "what is read"),
    Field::optional("last_record", Kind::Time, "when the newest record arrived, if one is known"),
];

const CONSUMER: &[Field] = &[
    Field::new("name", Kind::Text, "as it was registered"),
    Field::new("arn", Kind::Text, "for SubscribeToShard"),
    Field::new("created", Kind::Time, "when it was registered"),
];

/// What a stream on its own has besides [`SUMMARY`].
const DETAIL: &[Field] = &[
    Field::new("shards", Kind::List(&Kind::Object(SHARD)), "by number"),
    Field::new("consumers", Kind::List(&Kind::Object(CONSUMER)), "registered ones, by name"),
    Field::new("in_by_second", Kind::List(&Kind::Object(SECOND)), "of the last 60 s, oldest first"),
    Field::new("out_by_second", Kind::List(&Kind::Object(SECOND)), "of the last 60 s, oldest first"),
];

static LIST: Route = Route {
    method: Method::GET,
    path: "/v1/data-streams",
    summary: "The data streams that the caller may describe, and what goes through them",
    access: Access::Caller,
    asked: Some(Asked::new("kinesis", "DescribeStreamSummary")),
    query: &[Param::new("kind", Kind::Choice(KINDS), "only these; default both")],
    body: None,
    answer: Answer::Json(200, &[Field::new("data_streams", Kind::List(&Kind::Object(SUMMARY)), "by name")]),
    handler: || get(list),
};

static SHOW: Route = Route {
    method: Method::GET,
    path: "/v1/data-streams/{name}",
    summary: "One data stream, or a video stream's fragments.NAME: shards, consumers, the last minute",
    access: Access::Caller,
    asked: Some(Asked::new("kinesis", "DescribeStreamSummary")),
    query: &[],
    body: None,
    answer: Answer::Joined(200, SUMMARY, DETAIL),
    handler: || get(show),
};

pub(super) static ROUTES: &[&Route] = &[&LIST, &SHOW];

#[derive(Serialize)]
struct Summary {
    name: StreamName,
    arn: String,
    kind: &'static str,
    video_stream: Option<String>,
    status: &'static str,
    mode: &'static str,
    created: Timestamp,
    retention_hours: u64,
    shard_count: usize,
    consumer_count: usize,
    r#in: Option<Rate>,
    out: Option<Rate>,
    last_record: Option<Timestamp>,
}

#[derive(Serialize)]
struct Detail {
    #[serde(flatten)]
    summary: Summary,
    shards: Vec<ShardRow>,
    consumers: Vec<ConsumerRow>,
    in_by_second: Vec<Second>,
    out_by_second: Vec<Second>,
}

#[derive(Serialize)]
struct Rate {
    records_per_second: f64,
    bytes_per_second: f64,
}

#[derive(Serialize)]
struct Second {
    records: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct ShardRow {
    shard_id: String,
    starting_hash_key: String,
    ending_hash_key: String,
    r#in: Rate,
    out: Rate,
    last_record: Option<Timestamp>,
}

#[derive(Serialize)]
struct ConsumerRow {
    name: String,
    arn: String,
    created: Timestamp,
}

impl Rate {
    #[expect(clippy::cast_precision_loss, reason = "a minute's bytes are far below 2^53")]
    fn of(minute: &Minute) -> Self {
        let sum = sum(minute.iter());
        let mean = |sum: u64| (sum as f64 / SECONDS as f64 * 100.0).round() / 100.0;
        Self { records_per_second: mean(sum.records), bytes_per_second: mean(sum.bytes) }
    }
}

fn sum<'p>(all: impl Iterator<Item = &'p Passed>) -> Passed {
    all.fold(Passed::default(), |mut sum, passed| {
        sum.add(*passed);
        sum
    })
}

/// Several shards together.
fn joined(all: &[Traffic]) -> Traffic {
    let still = [Passed::default(); SECONDS];
    all.iter().fold(Traffic { written: still, read: still, last: None }, |mut joined, shard| {
        for second in 0..SECONDS {
            joined.written[second].add(shard.written[second]);
            joined.read[second].add(shard.read[second]);
        }
        joined.last = joined.last.max(shard.last);
        joined
    })
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Log(fragment_log::LogError::NoKey(_)) => Self::not_found("the stream was deleted"),
            ReadError::Log(error) => error.into(),
            ReadError::Index(error) => error.into(),
        }
    }
}

/// The data stream of this name, for someone who may do what they ask. Whether it exists is told only to them.
pub(super) fn find(app: &App, who: &Principal, name: &StreamName) -> Result<Found, ApiError> {
    who.require(Action::Manage, name)?;
    lookup_name(&app.catalog, name.as_str())
        .ok_or_else(|| ApiError::not_found(format!("there is no data stream {name}")))
}

async fn list(
    State(app): State<Arc<App>>,
    Caller(who): Caller,
    uri: Uri,
) -> Result<Json<serde_json::Value>, ApiError> {
    let params = LIST.params(&uri)?;
    let kind = params.choice("kind", KINDS)?;
    let (own, videos) = (app.catalog.data_streams(), app.catalog.streams());
    let records = own.values().map(|stream| {
        let traffic: Vec<_> =
            stream.shards.iter().map(|shard| app.data_streams.traffic(stream, shard.id)).collect();
        (Found { stream: Arc::clone(stream), fragments: false }, Some(joined(&traffic)))
    });
    // What goes through them costs a look into the index each: it is told of one stream at a time.
    let fragments = videos.values().filter_map(|video| {
        let name = StreamName::new(&format!("{FRAGMENTS_PREFIX}{}", video.name)).ok()?;
        Some((Found { stream: Arc::new(fragments_of(video, name)), fragments: true }, None))
    });
    let wanted = |found: &Found| kind.is_none_or(|kind| kind == KINDS[usize::from(found.fragments)]);
    let all = records.chain(fragments).filter(|(found, _)| wanted(found));
    let visible = all.filter(|(found, _)| who.may(Action::Manage, &found.stream.name));
    let mut shown: Vec<_> = visible.map(|(found, traffic)| summary(&app, &found, traffic.as_ref())).collect();
    shown.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(Json(serde_json::json!({ "data_streams": shown })))
}

async fn show(
    State(app): State<Arc<App>>,
    Caller(who): Caller,
    Named(name): Named,
    uri: Uri,
) -> Result<Json<Detail>, ApiError> {
    SHOW.params(&uri)?;
    let found = find(&app, &who, &name)?;
    let mut traffic = Vec::new();
    for shard in &found.stream.shards {
        traffic.push(app.records.traffic(&found, shard.id).await?);
    }
    let shards =
        found.stream.shards.iter().zip(&traffic).map(|(shard, traffic)| row(shard, traffic)).collect();
    let joined = joined(&traffic);
    let by_second = |minute: &Minute| {
        minute.iter().map(|passed| Second { records: passed.records, bytes: passed.bytes }).collect()
    };
    Ok(Json(Detail {
        summary: summary(&app, &found, Some(&joined)),
        shards,
        consumers: consumers(&app, &found.stream),
        in_by_second: by_second(&joined.written),
        out_by_second: by_second(&joined.read),
    }))
}

fn summary(app: &App, found: &Found, traffic: Option<&Traffic>) -> Summary {
    let stream = &found.stream;
    Summary {
        name: stream.name.clone(),
        arn: stream.arn.to_string(),
        kind: KINDS[usize::from(found.fragments)],
        video_stream: found.fragments.then(|| video_name(found).to_owned()),
        status: "ACTIVE",
        mode: match stream.mode {
            StreamMode::Provisioned => "PROVISIONED",
            StreamMode::OnDemand => "ON_DEMAND",
        },
        created: stream.created,
        retention_hours: retention_hours(stream),
        shard_count: stream.shards.len(),
        consumer_count: app.catalog.consumers(stream.id).len(),
        r#in: traffic.map(|traffic| Rate::of(&traffic.written)),
        out: traffic.map(|traffic| Rate::of(&traffic.read)),
        last_record: traffic.and_then(|traffic| traffic.last),
    }
}

fn row(shard: &Shard, traffic: &Traffic) -> ShardRow {
    ShardRow {
        shard_id: shard_id(shard.id),
        starting_hash_key: shard.start.to_string(),
        ending_hash_key: shard.end.to_string(),
        r#in: Rate::of(&traffic.written),
        out: Rate::of(&traffic.read),
        last_record: traffic.last,
    }
}

fn consumers(app: &App, stream: &DataStream) -> Vec<ConsumerRow> {
    let consumers = app.catalog.consumers(stream.id);
    let row = |consumer: &Arc<catalog::Consumer>| ConsumerRow {
        name: consumer.name.clone(),
        arn: consumer.arn(&stream.arn),
        created: consumer.created,
    };
    consumers.iter().map(row).collect()
}
