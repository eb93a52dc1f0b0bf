//! ListStreams: the account's data streams, by name. Those that stand for the fragments of video
//! streams are among them when the list begins with their prefix.
//!
//! <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_ListStreams.html>

use axum::Json;
use base::StreamName;
use catalog::{Action, DataStream, FRAGMENTS_PREFIX};
use serde::{Deserialize, Serialize};

use super::page;
use super::stream::{ModeDetails, fragments_of};
use crate::app::App;
use crate::aws::check::Check;
use crate::aws::patterns::STREAM_NAME;
use crate::aws::values::Epoch;
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

const DEFAULT_STREAMS: i64 = 100;

/// The operation.
pub struct ListStreams;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    limit: Option<i64>,
    exclusive_start_stream_name: Option<String>,
    next_token: Option<String>,
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    stream_names: Vec<String>,
    has_more_streams: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
    stream_summaries: Vec<Summary>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Summary {
    stream_name: String,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    stream_status: &'static str,
    stream_mode_details: ModeDetails,
    stream_creation_timestamp: Epoch,
}

impl From<&DataStream> for Summary {
    fn from(stream: &DataStream) -> Self {
        Self {
            stream_name: stream.name.to_string(),
            stream_arn: stream.arn.to_string(),
            stream_status: "ACTIVE",
            stream_mode_details: stream.mode.into(),
            stream_creation_timestamp: Epoch(stream.created),
        }
    }
}

/// Where a page begins.
#[derive(Serialize, Deserialize)]
struct Place {
    after: String,
    fragments: bool,
}

impl Operation for ListStreams {
    const NAME: &'static str = "ListStreams";
    const PATH: &'static str = "/";
    const ERRORS: &'static [Code] = &[Code::LimitExceeded, Code::ExpiredNextToken, Code::InvalidArgument];
    type Input = Input;
    type Output = Json<Output>;

    fn check(input: &Input, check: &mut Check) {
        check.number("Limit", input.limit.as_ref()).range(1, Some(10_000));
        let after = input.exclusive_start_stream_name.as_deref();
        check.text("ExclusiveStartStreamName", after).length(1, 128).pattern(STREAM_NAME);
        check.text("NextToken", input.next_token.as_deref()).length(1, 1_048_576);
    }

    async fn call(context: Context, input: Input) -> Result<Json<Output>, Exception> {
        let app = &context.app;
        let place = match (input.next_token, input.exclusive_start_stream_name) {
            (Some(_), Some(_)) => {
                return Err(Exception::invalid(
                    "NextToken and ExclusiveStartStreamName cannot be provided together.",
                ));
            }
            (Some(token), None) => page::open(app, Self::NAME, &token)?,
            (None, after) => {
                let after = after.unwrap_or_default();
                Place { fragments: after.starts_with(FRAGMENTS_PREFIX), after }
            }
        };
        let limit = usize::try_from(input.limit.unwrap_or(DEFAULT_STREAMS)).unwrap_or(1);
        let mut found = streams_after(app, &place, limit.saturating_add(1));
        let has_more_streams = found.len() > limit;
        found.truncate(limit);
        let last = found.last().filter(|_| has_more_streams).map(|stream| stream.0.to_string());
        let fragments = place.fragments;
        let next_token = last.map(|after| page::seal(app, Self::NAME, &Place { after, fragments }));
        found.retain(|(name, _)| context.principal.may(Action::Manage, name));
        Ok(Json(Output {
            stream_names: found.iter().map(|(name, _)| name.to_string()).collect(),
            has_more_streams,
            next_token,
            stream_summaries: found.into_iter().map(|(_, summary)| summary).collect(),
        }))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        let summary = Summary::from(&super::stream::tests::sample_stream());
        serde_json::to_value(Output {
            stream_names: Vec::new(),
            has_more_streams: false,
            next_token: Some("t".into()),
            stream_summaries: vec![summary],
        })
        .unwrap()
    }
}

/// At most `limit` streams by name.
fn streams_after(app: &App, place: &Place, limit: usize) -> Vec<(StreamName, Summary)> {
    let after = StreamName::new(&place.after).ok();
    let own = app.catalog.list_data_streams(after.as_ref(), limit);
    let mut found: Vec<_> = own.items.iter().map(|s| (s.name.clone(), Summary::from(&**s))).collect();
    if place.fragments {
        let names = app.catalog.streams();
        let fragments = names.values().filter_map(|video| {
            let name = StreamName::new(&format!("{FRAGMENTS_PREFIX}{}", video.name)).ok()?;
            (name.as_str() > place.after.as_str())
                .then(|| (name.clone(), Summary::from(&fragments_of(video, name))))
        });
        found.extend(fragments.take(limit));
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found.truncate(limit);
    }
    found
}
