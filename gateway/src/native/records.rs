//! The records of a data stream, all shards together, as they arrive: JSON lines.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base::{StreamId, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use catalog::Shard;
use data_streams::{ReadLimits, Start, shard_id};
use futures::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{Method, Uri};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::caller::Caller;
use super::data_streams::find;
use super::params::{Named, Params, bad};
use super::route::{Access, Answer, Field, Kind, Param, Route};
use crate::app::App;
use crate::auth::{Asked, Principal};
use crate::error::ApiError;
use crate::seal::Purpose;
use crate::streams::{Found, Tail, Told};

/// Most that is read and written at a time, but for a single record that is larger.
const PIECE: ReadLimits = ReadLimits { records: 1000, bytes: 256 * 1024 };
/// A line that says where to go on follows records within this time …
const MARK: Duration = Duration::from_secs(1);
/// … and tells that the connection stands where there are none.
const HEARTBEAT: Duration = Duration::from_secs(4);
const MOST: usize = 1_000_000_000;

const LINE: &[Field] = &[
    Field::optional("shard_id", Kind::Text, "of a record: the shard that it is in"),
    Field::optional("sequence_number", Kind::Text, "of a record: 56 digits, which rise within a shard"),
    Field::optional("arrived", Kind::Time, "of a record: when it arrived"),
    Field::optional("partition_key", Kind::Text, "of a record: what chose the shard"),
    Field::optional("encoding", Kind::Choice(&["text", "base64"]), "of a record: how data stands here"),
    Field::optional("data", Kind::Text, "of a record: itself where it is UTF-8, else in base64"),
    Field::optional("size_bytes", Kind::Number, "of a record: of its data"),
    Field::optional("cursor", Kind::Text, "every few seconds: where another request may go on"),
    Field::optional("behind_ms", Kind::Number, "with a cursor: how long ago the next record arrived"),
    Field::optional(
        "end",
        Kind::Choice(&["caught_up", "limit", "stopping"]),
        "of the last line: why there are no more; stopping: the server, so ask again",
    ),
    Field::optional("error", Kind::Object(&[]), "of the last line: code and message, as of an answer"),
];

static READ: Route = Route {
    method: Method::GET,
    path: "/v1/data-streams/{name}/records",
    summary: "Records of all shards in one sequence, by arrival, a JSON object a line; also as they arrive",
    access: Access::Caller,
    asked: Some(Asked::new("kinesis", "GetRecords")),
    query: &[
        Param::new(
            "from",
            Kind::Text,
            "TRIM_HORIZON, LATEST, a time (ISO 8601, epoch seconds or ms) or how long ago: 90s, 5m, 2h, 1d; \
             default LATEST with follow, else TRIM_HORIZON",
        ),
        Param::new("cursor", Kind::Text, "of a line: goes on there, whatever from says"),
        Param::new("shard", Kind::Text, "one shard only: shardId-000000000003, or 3"),
        Param::new("follow", Kind::Boolean, "go on with new records as they arrive; default false"),
        Param::new("limit", Kind::Whole { least: 1, most: MOST as u64 }, "end after so many records"),
    ],
    body: None,
    answer: Answer::Lines(200, LINE),
    handler: || get(read),
};

pub(super) static ROUTES: &[&Route] = &[&READ];

/// What a cursor holds.
#[derive(Serialize, Deserialize)]
struct Place {
    stream: StreamId,
    /// By shard: the index of the next record.
    next: Vec<(u32, u64)>,
}

async fn read(
    State(app): State<Arc<App>>,
    Caller(who): Caller,
    Named(name): Named,
    uri: Uri,
) -> Result<Response, ApiError> {
    let params = READ.params(&uri)?;
    let found = find(&app, &who, &name)?;
    let follow = params.boolean("follow")?.unwrap_or(false);
    let left = params.whole("limit", MOST, 1, MOST)?;
    let from = positions(&app, &found, &params, follow).await?;
    let stream = found.stream.id;
    let tail = Tail::new(Arc::clone(&app.records), found, from, follow);
    let told = app.clock.monotonic();
    let reading = Reading { app, who, stream, tail, left, told, begun: !follow, moved: false, over: false };
    let headers = [(CONTENT_TYPE, "application/x-ndjson"), (CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(reading.pieces())).into_response())
}

/// The shards that are asked for, and where each begins.
async fn positions(
    app: &App,
    found: &Found,
    params: &Params,
    follow: bool,
) -> Result<Vec<(Shard, u64)>, ApiError> {
    let mut shards = found.stream.shards.clone();
    if let Some(asked) = params.text("shard") {
        shards.retain(|shard| asked == shard.id.to_string() || asked == shard_id(shard.id));
        if shards.is_empty() {
            let (name, count) = (&found.stream.name, found.stream.shards.len());
            return Err(bad("shard", &format!("{name} has no such shard: it has {count}, from 0 on")));
        }
    }
    let start = start(params.text("from"), app.clock.now(), follow)?;
    let Some(cursor) = params.text("cursor") else {
        return Ok(Tail::positions(&app.records, found, shards, start).await?);
    };
    let place = app.sealer.open::<Place>(Purpose::RecordCursor, cursor);
    let place = place.filter(|place| place.stream == found.stream.id);
    let place = place.ok_or_else(|| bad("cursor", "is not one of this stream: start again without it"))?;
    // A shard that is not in it is younger than the cursor.
    let next = |id: u32| place.next.iter().find(|(shard, _)| *shard == id).map_or(0, |(_, next)| *next);
    let begin = |shard: Shard| {
        let next = next(shard.id);
        (shard, next)
    };
    Ok(shards.into_iter().map(begin).collect())
}

/// Where to begin, as `from` says.
fn start(from: Option<&str>, now: Timestamp, follow: bool) -> Result<Start, ApiError> {
    let at = match from {
        None if follow => return Ok(Start::Latest),
        None | Some("TRIM_HORIZON") => return Ok(Start::TrimHorizon),
        Some("LATEST") => return Ok(Start::Latest),
        Some(text) => match ago(text) {
            Some(ago) => now - ago,
            None => Timestamp::parse(text).map_err(|_| {
                bad("from", "must be TRIM_HORIZON, LATEST, a time, or how long ago: 90s, 5m, 2h, 1d")
            })?,
        },
    };
    if at > now {
        return Err(bad("from", &format!("{at} is to come: here it is {now}")));
    }
    Ok(Start::AtTime(at))
}

/// `90s`, `5m`, `2h`, `1d`.
fn ago(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    // Longer than any retention.
    let number = number.parse::<u32>().ok()?;
    Some(Duration::from_secs(u64::from(number).saturating_mul(seconds)))
}

/// One open answer.
struct Reading {
    app: Arc<App>,
    who: Principal,
    stream: StreamId,
    tail: Tail,
    /// Records that are still wanted.
    left: usize,
    /// When a cursor was last told, by the monotonic clock.
    told: Duration,
    /// Whether the first line was told: of one who follows it is a cursor, so that nothing is missed should the
    /// connection break.
    begun: bool,
    /// Whether records were told since.
    moved: bool,
    over: bool,
}

impl Reading {
    fn pieces(self) -> impl stream::Stream<Item = Result<Bytes, Infallible>> + Send {
        stream::unfold(self, async |mut reading| {
            let piece = reading.next().await?;
            Some((Ok(piece), reading))
        })
    }

    async fn next(&mut self) -> Option<Bytes> {
        if self.over {
            return None;
        }
        let piece = self.piece().await.unwrap_or_else(|refused| {
            self.over = true;
            let mut lines = Vec::new();
            line(&mut lines, &json!({ "error": { "code": refused.code, "message": refused.message } }));
            lines
        });
        Some(Bytes::from(piece))
    }

    /// The next lines: as soon as there are records, or when nothing was told for a while.
    async fn piece(&mut self) -> Result<Vec<u8>, ApiError> {
        if !std::mem::replace(&mut self.begun, true) {
            let mut lines = Vec::new();
            self.mark(&mut lines, None);
            return Ok(lines);
        }
        loop {
            self.check()?;
            let records = PIECE.records.min(self.left);
            let taken = self.tail.take(ReadLimits { records, ..PIECE }).await?;
            self.left -= taken.len();
            self.moved |= !taken.is_empty();
            let mut lines = Vec::new();
            taken.into_iter().for_each(|told| line(&mut lines, &RecordLine::new(told)));
            let end = self.end();
            self.over = end.is_some();
            let silent = self.app.clock.monotonic().saturating_sub(self.told);
            if self.over || silent >= if self.moved { MARK } else { HEARTBEAT } {
                self.mark(&mut lines, end);
            }
            if !lines.is_empty() {
                return Ok(lines);
            }
            self.tail.grown().await;
        }
    }

    /// Refuses whoever may not read any more, and everyone once the stream is deleted.
    fn check(&self) -> Result<(), ApiError> {
        let catalog = &self.app.catalog;
        if catalog.data_stream_by_id(self.stream).is_none() && catalog.stream_by_id(self.stream).is_none() {
            return Err(ApiError::not_found("the stream was deleted"));
        }
        if !catalog.stands(self.who.known()) {
            return Err(ApiError::forbidden("these credentials were revoked"));
        }
        Ok(())
    }

    fn end(&self) -> Option<&'static str> {
        if self.left == 0 {
            Some("limit")
        } else if self.tail.is_over() {
            Some("caught_up")
        } else if !self.app.ready.load(Ordering::Acquire) {
            Some("stopping")
        } else {
            None
        }
    }

    /// The line that says where to go on.
    fn mark(&mut self, lines: &mut Vec<u8>, end: Option<&'static str>) {
        (self.told, self.moved) = (self.app.clock.monotonic(), false);
        let place = Place { stream: self.stream, next: self.tail.places() };
        let cursor = self.app.sealer.seal(Purpose::RecordCursor, &place);
        let behind_ms = u64::try_from(self.tail.behind().as_millis()).unwrap_or(u64::MAX);
        match end {
            Some(end) => line(lines, &json!({ "cursor": cursor, "behind_ms": behind_ms, "end": end })),
            None => line(lines, &json!({ "cursor": cursor, "behind_ms": behind_ms })),
        }
    }
}

#[derive(Serialize)]
struct RecordLine {
    shard_id: String,
    sequence_number: String,
    arrived: Timestamp,
    partition_key: String,
    encoding: &'static str,
    data: String,
    size_bytes: usize,
}

impl RecordLine {
    fn new(told: Told) -> Self {
        let Told { shard, sequence, record } = told;
        let (encoding, data) = match std::str::from_utf8(&record.data) {
            Ok(text) => ("text", text.to_owned()),
            Err(_) => ("base64", STANDARD.encode(&record.data)),
        };
        Self {
            shard_id: shard_id(shard),
            sequence_number: sequence.to_string(),
            arrived: record.arrived,
            partition_key: String::from_utf8_lossy(&record.partition_key).into_owned(),
            encoding,
            data,
            size_bytes: record.data.len(),
        }
    }
}

fn line(lines: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(&mut *lines, value).expect("lines have text keys and no fallible parts");
    lines.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_are_understood_or_refused_by_name() {
        let now = Timestamp::from_millis(1_767_268_800_000);
        let at = |text| start(Some(text), now, true).map_err(|refused| refused.message);
        assert_eq!(start(None, now, true).unwrap(), Start::Latest);
        assert_eq!(start(None, now, false).unwrap(), Start::TrimHorizon);
        assert_eq!(at("LATEST"), Ok(Start::Latest));
        assert_eq!(at("90s"), Ok(Start::AtTime(now - Duration::from_secs(90))));
        assert_eq!(at("1d"), Ok(Start::AtTime(now - Duration::from_hours(24))));
        assert_eq!(at("2026-01-01T12:00:00Z"), Ok(Start::AtTime(now)));
        for wrong in ["", "m", "é", "-5m", "5 m", "yesterday", "99999999999m", "2026-01-01T12:00:01Z"] {
            let refused = at(wrong).expect_err(wrong);
            assert!(refused.starts_with("from: "), "{wrong:?}: {refused}");
        }
    }
}
