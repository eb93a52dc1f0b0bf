//! How much of a time span a stream's fragments cover, and the events in it.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::routing::get;
use base::Timestamp;
use catalog::Action;
use http::{Method, Uri};
use indexer::EventQuery;
use serde::Serialize;

use super::caller::Caller;
use super::params::{Named, bad};
use super::route::{Access, Answer, Field, Kind, Param, Route};
use super::{events, streams};
use crate::app::App;
use crate::auth::Asked;
use crate::error::ApiError;

const MOST: usize = 10_000;
const DEFAULT: usize = 100;
const MOST_EVENTS: usize = 1000;
const SPAN: Duration = Duration::from_hours(24);

const BUCKET: &[Field] = &[
    Field::new("start", Kind::Time, "where it begins"),
    Field::new("end", Kind::Time, "where it ends, exclusive"),
    Field::new("covered_ms", Kind::Number, "milliseconds of it that there is footage of"),
    Field::new(
        "clash_ms",
        Kind::Number,
        "milliseconds of it that more than one run claims: a clock went back",
    ),
    Field::new("fragments", Kind::Number, "fragments that start in it"),
    Field::new("bytes", Kind::Number, "their size"),
];

static TIMELINE: Route = Route {
    method: Method::GET,
    path: "/v1/streams/{name}/timeline",
    summary: "How much of each part of a time span there is footage of, and its events, by producer time",
    access: Access::Caller,
    asked: Asked::video("ListFragments"),
    query: &[
        Param::new("start", Kind::Time, "default: a day before end"),
        Param::new("end", Kind::Time, "default: now"),
        Param::new("buckets", Kind::Whole { least: 1, most: 10_000 }, "equal parts; default 100"),
        Param::new("q", Kind::Text, "leaves other events out: as in /v1/fragments, asked of their tags"),
    ],
    body: None,
    answer: Answer::Json(
        200,
        &[
            Field::new(
                "buckets",
                Kind::List(&Kind::Object(BUCKET)),
                "one after the other, from start to end",
            ),
            Field::new("events", Kind::List(&Kind::Object(events::EVENT)), "that overlap it, at most 1000"),
            Field::new("more_events", Kind::Boolean, "whether there may be more: the list of events has all"),
        ],
    ),
    handler: || get(timeline),
};

pub(super) static ROUTES: &[&Route] = &[&TIMELINE];

#[derive(Serialize)]
struct Timeline {
    buckets: Vec<Bucket>,
    events: Vec<events::Told>,
    more_events: bool,
}

#[derive(Serialize)]
struct Bucket {
    start: Timestamp,
    end: Timestamp,
    covered_ms: u64,
    clash_ms: u64,
    fragments: u64,
    bytes: u64,
}

async fn timeline(
    State(app): State<Arc<App>>,
    Caller(who): Caller,
    Named(name): Named,
    uri: Uri,
) -> Result<Json<Timeline>, ApiError> {
    let query = TIMELINE.params(&uri)?;
    let stream = streams::find(&app, &who, Action::Play, &name)?;
    let end = query.time("end")?.unwrap_or_else(|| app.clock.now());
    let start = query.time("start")?.unwrap_or(end - SPAN);
    if end <= start {
        return Err(bad("end", "must be after start"));
    }
    let buckets = query.whole("buckets", DEFAULT, 1, MOST)?;
    let buckets = app.indexer.timeline(stream.id, start, end, buckets).await?;
    let buckets = buckets.into_iter().map(|bucket| {
        let indexer::Bucket { start, end, covered_ms, clash_ms, fragments, bytes } = bucket;
        Bucket { start, end, covered_ms, clash_ms, fragments, bytes }
    });
    let of = EventQuery {
        start: Some(start),
        end: Some(end),
        q: query.text("q").map(str::to_owned),
        limit: MOST_EVENTS,
        cursor: None,
    };
    let page = app.indexer.events(&stream, of).await?;
    let events = page.items.into_iter().map(events::Told::from).collect();
    Ok(Json(Timeline { buckets: buckets.collect(), events, more_events: page.next.is_some() }))
}
