//! Search over the fragments of all streams.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::routing::get;
use base::{FragmentMeta, Tags, Timestamp};
use catalog::{Action, ClockCorrection, StreamGlob};
use futures::{StreamExt, TryStreamExt, stream};
use http::{Method, Uri};
use indexer::{Event, Hit, SearchQuery};
use serde::Serialize;

use super::caller::Caller;
use super::params::bad;
use super::route::{Access, Answer, CLOCK, END, Field, Kind, Param, Route, START};
use crate::app::App;
use crate::auth::Asked;
use crate::error::ApiError;
use crate::seal::Purpose;

const MOST: usize = 1000;
const DEFAULT: usize = 100;

/// Sealed metadata entries read at a time, for the tags of the fragments that have some.
const TAG_READS: usize = 16;

const FRAGMENT: &[Field] = &[
    Field::new("stream", Kind::Text, "the stream's name"),
    Field::new("fragment_number", Kind::Text, "47 digits; they sort as text"),
    Field::new("producer_timestamp", Kind::Time, "when its picture was made"),
    Field::new("server_timestamp", Kind::Time, "when it arrived"),
    Field::new("duration_ms", Kind::Number, "how long it plays"),
    Field::new("size_bytes", Kind::Number, "of its Matroska file"),
    Field::new("run_id", Kind::Text, "fragments of one run play without a break"),
    Field::new("starts_with_key", Kind::Boolean, "whether decoding may start with it"),
    Field::optional(
        "decodes_from",
        Kind::Text,
        "where it does not start with a key frame: the fragment that decoding has to start with, if there is any",
    ),
    Field::new("clock_source", Kind::Text, "what its producer time follows"),
    Field::optional("clock_offset_ms", Kind::Number, "camera's clock minus the server's"),
    Field::optional("clock_drift_ppm", Kind::Number, "how much too fast the camera's media clock runs"),
    Field::optional(
        "server_clock_synced",
        Kind::Boolean,
        "whether the server's clock was kept right (NTP) when it began, where the system told",
    ),
    Field::optional(
        "clock_correction_ms",
        Kind::Number,
        "to be added to its producer time, as was found out later; corrected=true has done so",
    ),
    Field::new("tracks", Kind::List(&Kind::Object(&[])), "codec, size, rate and exact times of each track"),
    Field::new("tags", Kind::Tags, "its own, and those of the first 20 events that it overlaps"),
];

static SEARCH: Route = Route {
    method: Method::GET,
    path: "/v1/fragments",
    summary: "Fragments of all streams, by time, stream, codec, labels and tags, oldest first",
    access: Access::Caller,
    asked: Asked::video("ListFragments"),
    query: &[
        Param::new("stream", Kind::Text, "pattern of names: * ? [abc]; default *"),
        START,
        END,
        CLOCK,
        Param::new(
            "q",
            Kind::Text,
            "tags.NAME:\"value\", labels.NAME:\"value\", codec:\"h264\" or \"value\", with AND, OR, NOT",
        ),
        Param::new(
            "corrected",
            Kind::Boolean,
            "tells producer times with the corrections of clocks; windows compare those that were recorded",
        ),
        Param::new("limit", Kind::Whole { least: 1, most: 1000 }, "fragments of one answer; default 100"),
        Param::new("cursor", Kind::Text, "next_cursor of the answer before"),
    ],
    body: None,
    answer: Answer::Json(
        200,
        &[
            Field::new("fragments", Kind::List(&Kind::Object(FRAGMENT)), "one page"),
            Field::optional("next_cursor", Kind::Text, "asks for the next page; null on the last"),
        ],
    ),
    handler: || get(search),
};

pub(super) static ROUTES: &[&Route] = &[&SEARCH];

/// A fragment as it is told to clients, here and in the records of `fragments.{name}`.
#[derive(Serialize)]
pub struct FragmentInfo {
    stream: String,
    #[serde(flatten)]
    meta: FragmentMeta,
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_correction_ms: Option<i64>,
}

impl FragmentInfo {
    /// Of the stream of this name; `meta` has its tags.
    pub fn new(stream: &str, meta: FragmentMeta) -> Self {
        Self { stream: stream.to_owned(), meta, clock_correction_ms: None }
    }

    /// With what is known by now of its clock; `applied` to its producer times, or told beside them.
    fn corrected(mut self, corrections: &[Arc<ClockCorrection>], applied: bool) -> Self {
        let of_run = corrections.iter().find(|correction| correction.run == self.meta.run_id);
        self.clock_correction_ms = of_run.map(|correction| correction.delta_ms);
        let shift_ms = self.clock_correction_ms.filter(|_| applied).unwrap_or(0);
        for time in [&mut self.meta.producer_timestamp, &mut self.meta.run_origin] {
            *time = Timestamp::from_millis(time.millis().saturating_add(shift_ms));
        }
        self
    }

    /// As JSON.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("metadata has text keys and no fallible parts")
    }
}

#[derive(Serialize)]
struct Fragments {
    fragments: Vec<FragmentInfo>,
    next_cursor: Option<String>,
}

async fn search(
    State(app): State<Arc<App>>,
    Caller(who): Caller,
    uri: Uri,
) -> Result<Json<Fragments>, ApiError> {
    let params = SEARCH.params(&uri)?;
    let streams = params.text("stream").unwrap_or("*");
    who.require_streams(Action::Play, streams)?;
    let cursor = params.text("cursor").map(|sealed| {
        app.sealer
            .open::<String>(Purpose::NativePage, sealed)
            .ok_or_else(|| bad("cursor", "is not one of this list: start again without it"))
    });
    let query = SearchQuery {
        streams: StreamGlob::new(streams).map_err(|error| bad("stream", &error.to_string()))?,
        window: params.window()?,
        q: params.text("q").map(str::to_owned),
        limit: params.whole("limit", DEFAULT, 1, MOST)?,
        cursor: cursor.transpose()?,
    };
    let corrected = params.flag("corrected")?;
    let page = app.indexer.search(query).await?;
    let events = app.indexer.events_of(&page.items.iter().map(|hit| &hit.entry).collect::<Vec<_>>()).await?;
    let hits = page.items.into_iter().zip(events);
    let told = |(hit, events)| tagged(&app, hit, events, corrected);
    let fragments = stream::iter(hits).map(told).buffered(TAG_READS);
    let fragments = fragments.try_collect().await?;
    let next_cursor = page.next.map(|next| app.sealer.seal(Purpose::NativePage, &next));
    Ok(Json(Fragments { fragments, next_cursor }))
}

async fn tagged(
    app: &App,
    hit: Hit,
    events: Vec<Arc<Event>>,
    corrected: bool,
) -> Result<FragmentInfo, ApiError> {
    let own = app.indexer.tags(&hit.entry).await?;
    let mut meta = hit.entry.meta;
    meta.tags = joined(std::iter::once(&own).chain(events.iter().map(|event| &event.tags)));
    let corrections = app.catalog.clock_corrections(hit.stream.id);
    Ok(FragmentInfo::new(hit.stream.name.as_str(), meta).corrected(&corrections, corrected))
}

/// All tags together: where several give one name different values, all of them, each once.
fn joined<'t>(all: impl Iterator<Item = &'t Tags>) -> Tags {
    let mut values: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in all.flatten() {
        let values = values.entry(name).or_default();
        if !values.contains(&value.as_str()) {
            values.push(value);
        }
    }
    values.into_iter().map(|(name, values)| (name.to_owned(), values.join(", "))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_one_name_are_joined() {
        let tags = |text: &str| -> Tags {
            text.split(' ').filter_map(|tag| tag.split_once('=')).map(|(n, v)| (n.into(), v.into())).collect()
        };
        let all = [tags("a=1 b=2"), tags("b=3"), tags("b=2 c="), tags("b=3")];
        assert_eq!(
            joined(all.iter()),
            [("a", "1"), ("b", "2, 3"), ("c", "")].map(|(n, v)| (n.into(), v.into())).into()
        );
    }
}
