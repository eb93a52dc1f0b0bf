//! What several operations say about data streams: naming one, describing one.

use std::sync::Arc;

use base::{Arn, StreamId, StreamName};
use catalog::{Action, Catalog, CatalogError, DataStream, FRAGMENTS_PREFIX, Shard, Stream, StreamMode};
use data_streams::{SequenceNumber, shard_id};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::aws::Context;
use crate::aws::check::Check;
use crate::aws::patterns::{DATA_STREAM_ARN, DATA_STREAM_ID, STREAM_NAME};
use crate::aws::values::Closed;
use crate::exception::{Code, Exception};

/// The mark of AWS's StreamId in that of a video stream's fragments.
const FRAGMENTS_ID: &str = "fragments";

/// A stream by its name, its ARN or its id: the members of most inputs.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct StreamRef {
    #[serde(rename = "StreamName")]
    name: Option<String>,
    #[serde(rename = "StreamARN")]
    arn: Option<String>,
    #[serde(rename = "StreamId")]
    id: Option<String>,
}

/// A stream that records are read from.
#[derive(Clone, Debug)]
pub struct Found {
    /// The stream; one of fragments is described like any other.
    pub stream: Arc<DataStream>,
    /// Whether it stands for the fragments of the video stream of the same id.
    pub fragments: bool,
}

impl StreamRef {
    /// One with an ARN alone.
    pub fn by_arn(arn: Option<String>, id: Option<String>) -> Self {
        Self { name: None, arn, id }
    }

    /// Names all members.
    pub fn check(&self, check: &mut Check) {
        check.text("StreamName", self.name.as_deref()).length(1, 128).pattern(STREAM_NAME);
        self.check_arn(check, false);
    }

    /// Names the members but the name.
    pub fn check_arn(&self, check: &mut Check, required: bool) {
        let rule = check.text("StreamARN", self.arn.as_deref());
        let rule = if required { rule.required() } else { rule };
        rule.length(1, 2048).pattern(DATA_STREAM_ARN);
        check_id(self.id.as_deref(), check);
    }

    /// Whether no member is given.
    pub fn is_empty(&self) -> bool {
        self.name.is_none() && self.arn.is_none() && self.id.is_none()
    }

    /// The stream, or the fragments of a video stream, if it exists and the caller may do this to it.
    ///
    /// # Errors
    /// InvalidArgument without a member, or with two that disagree; ResourceNotFound; AccessDenied.
    pub fn find(&self, context: &Context, action: Action) -> Result<Found, Exception> {
        let app = &*context.app;
        let named = self.name.as_deref().map(|name| find_by_name(app, name)).transpose()?;
        let by_arn = self.arn.as_deref().map(|arn| find_by_arn(app, arn)).transpose()?;
        let by_id = self.id.as_deref().map(|id| find_by_id(app, id)).transpose()?;
        let mut all = [named, by_arn, by_id].into_iter().flatten();
        let found = all.next().ok_or_else(|| {
            Exception::invalid("Either StreamName, StreamARN or StreamId must be specified.")
        })?;
        if all.any(|other| (other.stream.id, other.fragments) != (found.stream.id, found.fragments)) {
            return Err(Exception::invalid("StreamName, StreamARN and StreamId specify different streams."));
        }
        authorize(context, action, &found.stream)?;
        Ok(found)
    }

    /// The stream, if it may be changed and written to.
    ///
    /// # Errors
    /// As [`Self::find`]; InvalidArgument for the fragments of a video stream.
    pub fn find_own(&self, context: &Context, action: Action) -> Result<Arc<DataStream>, Exception> {
        let found = self.find(context, action)?;
        if found.fragments {
            let name = &found.stream.name;
            return Err(Exception::invalid(format!(
                "{name} stands for a video stream's fragments: it is read only."
            )));
        }
        Ok(found.stream)
    }
}

/// Names the member StreamId.
pub fn check_id(id: Option<&str>, check: &mut Check) {
    check.text("StreamId", id).length(1, 24).pattern(DATA_STREAM_ID);
}

/// Refuses what the caller may not do to a stream.
pub fn authorize(context: &Context, action: Action, stream: &DataStream) -> Result<(), Exception> {
    context.allow(action, &stream.name)
}

/// ResourceNotFoundException for a stream, in AWS's words.
pub fn absent(app: &App, name: &str) -> Exception {
    let name: String = name.chars().take(128).collect();
    Exception::new(Code::ResourceNotFound, format!("Stream {name} under account {} not found.", app.account))
}

fn find_by_name(app: &App, text: &str) -> Result<Found, Exception> {
    lookup_name(&app.catalog, text).ok_or_else(|| absent(app, text))
}

/// The stream of this name, or the fragments of a video stream.
pub fn lookup_name(catalog: &Catalog, text: &str) -> Option<Found> {
    let name = StreamName::new(text).ok()?;
    if let Some(stream) = catalog.data_stream(&name) {
        return Some(Found { stream, fragments: false });
    }
    let video = StreamName::new(text.strip_prefix(FRAGMENTS_PREFIX)?).ok()?;
    let video = catalog.stream(&video)?;
    Some(Found { stream: Arc::new(fragments_of(&video, name)), fragments: true })
}

fn find_by_arn(app: &App, text: &str) -> Result<Found, Exception> {
    let arn = text.parse::<Arn>().map_err(|_| absent(app, text))?;
    let name = arn.resource_name("stream").ok_or_else(|| absent(app, text))?;
    lookup(&app.catalog, &arn).ok_or_else(|| absent(app, name))
}

/// The stream with exactly this ARN, or the fragments of a video stream.
pub fn lookup(catalog: &Catalog, arn: &Arn) -> Option<Found> {
    lookup_name(catalog, arn.resource_name("stream")?).filter(|found| found.stream.arn == *arn)
}

fn find_by_id(app: &App, id: &str) -> Result<Found, Exception> {
    let streams = app.catalog.data_streams();
    let own = streams.values().find(|stream| stream.public_id == id).cloned();
    own.map(|stream| Found { stream, fragments: false }).ok_or_else(|| absent(app, id))
}

/// The stream of a number that this server gave out.
///
/// # Errors
/// ResourceNotFound where it is deleted; AccessDenied.
pub fn find_by_number(context: &Context, id: StreamId) -> Result<Found, Exception> {
    let catalog = &context.app.catalog;
    let own = catalog.data_stream_by_id(id).map(|stream| Found { stream, fragments: false });
    let found = own.or_else(|| {
        let video = catalog.stream_by_id(id)?;
        let name = StreamName::new(&format!("{}{}", FRAGMENTS_PREFIX, video.name)).ok()?;
        Some(Found { stream: Arc::new(fragments_of(&video, name)), fragments: true })
    });
    let found = found.ok_or_else(|| absent(&context.app, "of this token or iterator"))?;
    authorize(context, Action::Manage, &found.stream)?;
    Ok(found)
}

/// A video stream's fragments as a data stream of one shard.
pub fn fragments_of(video: &Stream, name: StreamName) -> DataStream {
    let Arn { region, account, .. } = &video.arn;
    DataStream {
        id: video.id,
        arn: Arn::new("kinesis", region, account, format!("stream/{name}")),
        public_id: fragments_id(video.id),
        name,
        created: video.created,
        retention: video.retention,
        mode: StreamMode::Provisioned,
        shards: vec![Shard { id: 0, created: video.created, start: 0, end: u128::MAX }],
        tags: video.tags.clone(),
        max_record_kib: 1024,
    }
}

/// 20 letters and digits, a dash and three more.
fn fragments_id(id: StreamId) -> String {
    let digits = format!("{:023}", id.0);
    format!("{FRAGMENTS_ID}{}-{}", &digits[FRAGMENTS_ID.len()..20], &digits[20..])
}

/// What the catalog says, in the words of Kinesis Data Streams.
pub fn refused(app: &App, name: &StreamName, error: CatalogError) -> Exception {
    let account = &app.account;
    match error {
        CatalogError::StreamExists(_) => Exception::new(
            Code::ResourceInUse,
            format!("Stream {name} under account {account} already exists."),
        ),
        CatalogError::NoSuchStream(_) => absent(app, name.as_str()),
        CatalogError::TooManyShards { open, asked, limit } => Exception::new(
            Code::LimitExceeded,
            format!(
                "This request would exceed the shard limit for the account {account} in {}. Current shard count \
                 for the account: {open}. Limit: {limit}. Number of additional shards that would have resulted \
                 from this request: {asked}.",
                app.region
            ),
        ),
        CatalogError::TooManyStreams(_) => Exception::new(Code::LimitExceeded, error.to_string()),
        CatalogError::TooManyTags { limit, .. } => Exception::invalid(format!(
            "Failed to add tags to stream {name} under account {account} because a given stream cannot have more \
             than {limit} tags associated with it."
        )),
        CatalogError::ConsumerExists(consumer) => Exception::new(
            Code::ResourceInUse,
            format!("Consumer {consumer} under stream {name} already exists for account {account}."),
        ),
        other => other.into(),
    }
}

/// `StreamMode` of the AWS model.
impl Closed for StreamMode {
    const VALUES: &'static [(&'static str, Self)] =
        &[("PROVISIONED", Self::Provisioned), ("ON_DEMAND", Self::OnDemand)];
}

/// `StreamModeDetails` of the AWS model.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModeDetails {
    stream_mode: &'static str,
}

impl From<StreamMode> for ModeDetails {
    fn from(mode: StreamMode) -> Self {
        let stream_mode = match mode {
            StreamMode::Provisioned => "PROVISIONED",
            StreamMode::OnDemand => "ON_DEMAND",
        };
        Self { stream_mode }
    }
}

/// `EnhancedMetrics` of the AWS model: metrics of shards are not chosen here.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct EnhancedMetrics {
    shard_level_metrics: Vec<&'static str>,
}

/// `Shard` of the AWS model.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ShardInfo {
    shard_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_shard_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    adjacent_parent_shard_id: Option<String>,
    hash_key_range: HashKeyRange,
    sequence_number_range: SequenceNumberRange,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct HashKeyRange {
    starting_hash_key: String,
    ending_hash_key: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct SequenceNumberRange {
    starting_sequence_number: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ending_sequence_number: Option<String>,
}

impl From<&Shard> for ShardInfo {
    fn from(shard: &Shard) -> Self {
        Self {
            shard_id: shard_id(shard.id),
            parent_shard_id: None,
            adjacent_parent_shard_id: None,
            hash_key_range: HashKeyRange {
                starting_hash_key: shard.start.to_string(),
                ending_hash_key: shard.end.to_string(),
            },
            sequence_number_range: SequenceNumberRange {
                starting_sequence_number: SequenceNumber::new(shard, 0, shard.created).to_string(),
                ending_sequence_number: None,
            },
        }
    }
}

/// The shard with this id, as clients write it.
///
/// # Errors
/// ResourceNotFound in AWS's words.
pub fn find_shard<'a>(app: &App, stream: &'a DataStream, id: &str) -> Result<&'a Shard, Exception> {
    let number = id.strip_prefix("shardId-").and_then(|digits| digits.parse::<u32>().ok());
    let shard = stream.shards.iter().find(|shard| Some(shard.id) == number && shard_id(shard.id) == id);
    shard.ok_or_else(|| {
        let (name, account) = (&stream.name, &app.account);
        let text = format!("Shard {id} in stream {name} under account {account} does not exist");
        Exception::new(Code::ResourceNotFound, text)
    })
}

/// The retention in whole hours, begun ones counted.
pub fn retention_hours(stream: &DataStream) -> u64 {
    stream.retention.as_secs().div_ceil(3600)
}

#[cfg(test)]
pub mod tests {
    use std::time::Duration;

    use base::{Tags, Timestamp};

    use super::*;

    /// A stream with every field filled.
    pub fn sample_stream() -> DataStream {
        let created = Timestamp::from_millis(1_700_000_000_123);
        DataStream {
            id: StreamId(1),
            name: StreamName::new("orders").unwrap(),
            arn: "arn:aws:kinesis:us-east-1:000000000000:stream/orders".parse().unwrap(),
            public_id: "abcdefghij0123456789-abc".into(),
            created,
            retention: Duration::from_hours(24),
            mode: StreamMode::OnDemand,
            shards: vec![Shard { id: 0, created, start: 0, end: u128::MAX }],
            tags: Tags::new(),
            max_record_kib: 1024,
        }
    }

    /// A shard with every member filled.
    pub fn sample_shard() -> ShardInfo {
        let mut info = ShardInfo::from(&sample_stream().shards[0]);
        info.parent_shard_id = Some("shardId-000000000000".into());
        info.adjacent_parent_shard_id = Some("shardId-000000000001".into());
        info.sequence_number_range.ending_sequence_number = Some("1".into());
        info
    }

    /// With every member filled.
    pub fn sample_metrics() -> Vec<EnhancedMetrics> {
        vec![EnhancedMetrics { shard_level_metrics: vec!["ALL"] }]
    }

    #[test]
    fn a_shard_is_described_as_aws_does() {
        let info = serde_json::to_value(ShardInfo::from(&sample_stream().shards[0])).unwrap();
        assert_eq!(info["ShardId"], "shardId-000000000000");
        assert_eq!(info["HashKeyRange"]["EndingHashKey"], "340282366920938463463374607431768211455");
        let first = info["SequenceNumberRange"]["StartingSequenceNumber"].as_str().unwrap();
        assert!(first.len() == 56 && first.starts_with("49"), "{first}");
    }

    #[test]
    fn ids_of_fragments_have_the_form_of_ids() {
        for id in [1, u64::MAX] {
            let text = fragments_id(StreamId(id));
            assert!((DATA_STREAM_ID.matches)(&text), "{text}");
        }
    }
}
