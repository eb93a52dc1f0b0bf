//! Events of a stream: tags for spans of its time, posted by whoever watches it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use base::{FragmentNumber, StreamName, Tags, Timestamp};
use catalog::Action;
use http::{Method, StatusCode, Uri};
use indexer::{Event, EventQuery, NewEvent};
use serde::{Deserialize, Serialize};

use super::caller::Caller;
use super::params::{Body, Named, bad, time};
use super::route::{Access, Answer, Field, Kind, Param, Route};
use super::streams;
use crate::app::App;
use crate::auth::Asked;
use crate::error::ApiError;
use crate::seal::Purpose;

const MOST: usize = 1000;
const DEFAULT: usize = 100;

pub(super) const EVENT: &[Field] = &[
    Field::new("id", Kind::Text, "digits: its number among the events of its stream"),
    Field::new("start", Kind::Time, "its first moment, by the producer's clock"),
    Field::new("end", Kind::Time, "its last moment"),
    Field::new("tags", Kind::Tags, "what the fragments that it overlaps are found by"),
    Field::new("posted_by", Kind::Text, "the access key or device that posted it"),
    Field::new("posted", Kind::Time, "when"),
];

static POST: Route = Route {
    method: Method::POST,
    path: "/v1/streams/{name}/events",
    summary: "Tag a span of time: every fragment that it overlaps, also those that come later",
    access: Access::Caller,
    asked: Asked::own("PostEvent"),
    query: &[],
    body: Some(&[
        Field::new("start", Kind::Time, "its first moment, by the producer's clock; at most an hour ahead"),
        Field::optional("end", Kind::Time, "its last moment, at most a day later; default: start"),
        Field::new("tags", Kind::Tags, "1 to 10; names of 1 to 128 bytes, values of up to 256"),
    ]),
    answer: Answer::Json(201, EVENT),
    handler: || post(create),
};

static LIST: Route = Route {
    method: Method::GET,
    path: "/v1/streams/{name}/events",
    summary: "The events that overlap a span of time, in the order of their starts",
    access: Access::Caller,
    asked: Asked::own("ListEvents"),
    query: &[
        Param::new("start", Kind::Time, "events that end no earlier, by the producer's clock"),
        Param::new("end", Kind::Time, "events that start no later"),
        Param::new(
            "q",
            Kind::Text,
            "as in /v1/fragments, asked of each event's tags and the stream's labels",
        ),
        Param::new("limit", Kind::Whole { least: 1, most: 1000 }, "events of one answer; default 100"),
        Param::new("cursor", Kind::Text, "next_cursor of the answer before"),
    ],
    body: None,
    answer: Answer::Json(
        200,
        &[
            Field::new("events", Kind::List(&Kind::Object(EVENT)), "one page"),
            Field::optional("next_cursor", Kind::Text, "asks for the next page; null on the last"),
        ],
    ),
    handler: || get(list),
};

static REMOVE: Route = Route {
    method: Method::DELETE,
    path: "/v1/streams/{name}/events/{id}",
    summary: "Remove an event for good: it tags nothing any more",
    access: Access::Administrator,
    asked: Asked::own("DeleteEvent"),
    query: &[],
    body: None,
    answer: Answer::Empty(204),
    handler: || delete(remove),
};

pub(super) static ROUTES: &[&Route] = &[&POST, &LIST, &REMOVE];

/// An event as it is told.
#[derive(Serialize)]
pub(super) struct Told {
    id: String,
    start: Timestamp,
    end: Timestamp,
    tags: Tags,
    posted_by: String,
    posted: Timestamp,
}

impl From<Event> for Told {
    fn from(event: Event) -> Self {
        let Event { id, start, end, tags, posted_by, posted } = event;
        Self { id: id.to_u64().to_string(), start, end, tags, posted_by, posted }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default, deserialize_with = "time")]
    start: Option<Timestamp>,
    #[serde(default, deserialize_with = "time")]
    end: Option<Timestamp>,
    #[serde(default)]
    tags: Tags,
}

/// The event that the path names.
#[derive(Deserialize)]
struct EventPath {
    id: String,
}

#[derive(Serialize)]
struct Events {
    events: Vec<Told>,
    next_cursor: Option<String>,
}

async fn create(
    State(app): State<Arc<App>>,
    Caller(who): Caller,
    Named(name): Named,
    uri: Uri,
    Body(wanted): Body<Wanted>,
) -> Result<Response, ApiError> {
    POST.params(&uri)?;
    let stream = streams::find(&app, &who, Action::Publish, &name)?;
    let start = wanted.start.ok_or_else(|| bad("start", "is needed: the first moment of the event"))?;
    if stream.retention.is_zero() {
        let why = format!("the stream {name} keeps nothing, so there is nothing to tag: set its retention");
        return Err(ApiError::conflict(why));
    }
    let new = NewEvent { start, end: wanted.end.unwrap_or(start), tags: wanted.tags };
    let event = app.indexer.post_event(&stream, new, who.name()).await?;
    Ok((StatusCode::CREATED, Json(Told::from(event))).into_response())
}

async fn list(
    State(app): State<Arc<App>>,
    Caller(who): Caller,
    Named(name): Named,
    uri: Uri,
) -> Result<Json<Events>, ApiError> {
    let params = LIST.params(&uri)?;
    let stream = streams::find(&app, &who, Action::Play, &name)?;
    let cursor = params.text("cursor").map(|sealed| {
        app.sealer
            .open::<String>(Purpose::NativePage, sealed)
            .ok_or_else(|| bad("cursor", "is not one of this list: start again without it"))
    });
    let (start, end) = (params.time("start")?, params.time("end")?);
    if start.zip(end).is_some_and(|(start, end)| end < start) {
        return Err(bad("end", "is before start"));
    }
    let query = EventQuery {
        start,
        end,
        q: params.text("q").map(str::to_owned),
        limit: params.whole("limit", DEFAULT, 1, MOST)?,
        cursor: cursor.transpose()?,
    };
    let page = app.indexer.events(&stream, query).await?;
    let next_cursor = page.next.map(|next| app.sealer.seal(Purpose::NativePage, &next));
    Ok(Json(Events { events: page.items.into_iter().map(Told::from).collect(), next_cursor }))
}

async fn remove(
    State(app): State<Arc<App>>,
    Caller(who): Caller,
    Named(name): Named,
    Path(EventPath { id }): Path<EventPath>,
    uri: Uri,
) -> Result<StatusCode, ApiError> {
    REMOVE.params(&uri)?;
    let stream = streams::find(&app, &who, Action::Manage, &name)?;
    let removed = match id.parse().map(FragmentNumber::from_u64) {
        Ok(number) => app.indexer.remove_event(&stream, number, who.name()).await?,
        Err(_) => false,
    };
    if removed { Ok(StatusCode::NO_CONTENT) } else { Err(absent(&id, &name)) }
}

fn absent(id: &str, name: &StreamName) -> ApiError {
    let id: String = id.chars().take(40).collect();
    ApiError::not_found(format!("there is no event {id} on the stream {name}"))
}
