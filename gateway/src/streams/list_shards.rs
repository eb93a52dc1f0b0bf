//! ListShards: the shards of a stream, in pages.
//!
//! <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_ListShards.html>

use axum::Json;
use base::StreamId;
use catalog::Action;
use data_streams::shard_id;
use serde::{Deserialize, Serialize};

use super::page;
use super::stream::{Found, ShardInfo, StreamRef, absent, find_by_number};
use crate::aws::check::Check;
use crate::aws::patterns::STREAM_NAME;
use crate::aws::values::{Choice, Closed, Epoch};
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

const DEFAULT_SHARDS: i64 = 1000;

/// The operation.
pub struct ListShards;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    #[serde(flatten)]
    stream: StreamRef,
    next_token: Option<String>,
    exclusive_start_shard_id: Option<String>,
    max_results: Option<i64>,
    stream_creation_timestamp: Option<Epoch>,
    shard_filter: Option<Filter>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Filter {
    #[serde(rename = "Type")]
    kind: Option<Choice<FilterKind>>,
    shard_id: Option<String>,
    timestamp: Option<Epoch>,
}

/// No shard is ever closed: but for the first, all of them mean every shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FilterKind {
    AfterShardId,
    AtTrimHorizon,
    FromTrimHorizon,
    AtLatest,
    AtTimestamp,
    FromTimestamp,
}

impl Closed for FilterKind {
    const VALUES: &'static [(&'static str, Self)] = &[
        ("AFTER_SHARD_ID", Self::AfterShardId),
        ("AT_TRIM_HORIZON", Self::AtTrimHorizon),
        ("FROM_TRIM_HORIZON", Self::FromTrimHorizon),
        ("AT_LATEST", Self::AtLatest),
        ("AT_TIMESTAMP", Self::AtTimestamp),
        ("FROM_TIMESTAMP", Self::FromTimestamp),
    ];
}

impl Filter {
    /// The shard after which the list begins, where the filter says one.
    ///
    /// # Errors
    /// InvalidArgument where a member is missing that its type needs.
    fn after(&self) -> Result<Option<String>, Exception> {
        match self.kind.as_ref().and_then(Choice::known) {
            Some(FilterKind::AfterShardId) if self.shard_id.is_none() => {
                Err(Exception::invalid("ShardId must be specified when ShardFilter Type is AFTER_SHARD_ID."))
            }
            Some(FilterKind::AfterShardId) => Ok(self.shard_id.clone()),
            Some(FilterKind::AtTimestamp | FilterKind::FromTimestamp) if self.timestamp.is_none() => {
                Err(Exception::invalid(
                    "Timestamp must be specified when ShardFilter Type is AT_TIMESTAMP or FROM_TIMESTAMP.",
                ))
            }
            Some(
                FilterKind::AtTrimHorizon
                | FilterKind::FromTrimHorizon
                | FilterKind::AtLatest
                | FilterKind::AtTimestamp
                | FilterKind::FromTimestamp,
            )
            | None => Ok(None),
        }
    }
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    shards: Vec<ShardInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

/// Where a page begins.
#[derive(Serialize, Deserialize)]
struct Place {
    stream: StreamId,
    after: String,
}

impl Operation for ListShards {
    const NAME: &'static str = "ListShards";
    const PATH: &'static str = "/";
    const ERRORS: &'static [Code] = &[
        Code::ResourceNotFound,
        Code::InvalidArgument,
        Code::LimitExceeded,
        Code::ExpiredNextToken,
        Code::ResourceInUse,
        Code::NotAuthorized,
    ];
    type Input = Input;
    type Output = Json<Output>;

    fn check(input: &Input, check: &mut Check) {
        input.stream.check(check);
        check.text("NextToken", input.next_token.as_deref()).length(1, 1_048_576);
        let after = input.exclusive_start_shard_id.as_deref();
        check.text("ExclusiveStartShardId", after).length(1, 128).pattern(STREAM_NAME);
        check.number("MaxResults", input.max_results.as_ref()).range(1, Some(10_000));
        check.time("StreamCreationTimestamp", input.stream_creation_timestamp.as_ref());
        check.structure("ShardFilter", input.shard_filter.as_ref(), false, |filter, check| {
            check.choice("Type", filter.kind.as_ref()).required();
            check.text("ShardId", filter.shard_id.as_deref()).length(1, 128).pattern(STREAM_NAME);
            check.time("Timestamp", filter.timestamp.as_ref());
        });
    }

    async fn call(context: Context, input: Input) -> Result<Json<Output>, Exception> {
        let limit = usize::try_from(input.max_results.unwrap_or(DEFAULT_SHARDS)).unwrap_or(1);
        let (found, after) = begin(&context, input)?;
        let shards = &found.stream.shards;
        let mut left = shards.iter().filter(|shard| shard_id(shard.id) > after);
        let page: Vec<_> = left.by_ref().take(limit).collect();
        let more = left.next().is_some();
        let next_token = page.last().filter(|_| more).map(|last| {
            let place = Place { stream: found.stream.id, after: shard_id(last.id) };
            page::seal(&context.app, Self::NAME, &place)
        });
        Ok(Json(Output { shards: page.into_iter().map(ShardInfo::from).collect(), next_token }))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        let shards = vec![super::stream::tests::sample_shard()];
        serde_json::to_value(Output { shards, next_token: Some("t".into()) }).unwrap()
    }
}

/// The stream, and the shard after which its list goes on.
fn begin(context: &Context, input: Input) -> Result<(Found, String), Exception> {
    let app = &context.app;
    if let Some(token) = input.next_token {
        let alone = input.stream.is_empty()
            && input.exclusive_start_shard_id.is_none()
            && input.stream_creation_timestamp.is_none();
        if !alone {
            return Err(Exception::invalid("NextToken and StreamName cannot be provided together."));
        }
        let Place { stream, after } = page::open(app, ListShards::NAME, &token)?;
        return Ok((find_by_number(context, stream)?, after));
    }
    let found = input.stream.find(context, Action::Manage)?;
    if let Some(created) = input.stream_creation_timestamp
        && created.0.millis().div_euclid(1000) != found.stream.created.millis().div_euclid(1000)
    {
        return Err(absent(app, found.stream.name.as_str()));
    }
    let filtered = input.shard_filter.as_ref().map(Filter::after).transpose()?.flatten();
    let after = filtered.max(input.exclusive_start_shard_id);
    Ok((found, after.unwrap_or_default()))
}
