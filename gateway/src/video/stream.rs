//! What several operations say about streams: naming one, and describing one.

use std::sync::Arc;

use base::{Arn, StreamName};
use catalog::{Action, Stream};
use serde::{Deserialize, Serialize};

use crate::aws::Context;
use crate::aws::check::{Check, Pattern};
use crate::aws::patterns::{RESOURCE_ARN, STREAM_NAME};
use crate::aws::values::Epoch;
use crate::exception::Exception;

/// A stream by its name or by its ARN: the members of most inputs.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct StreamRef {
    #[serde(rename = "StreamName")]
    name: Option<String>,
    #[serde(rename = "StreamARN")]
    arn: Option<String>,
}

impl StreamRef {
    /// A reference as headers have it.
    pub fn new(name: Option<String>, arn: Option<String>) -> Self {
        Self { name, arn }
    }

    /// Names both members.
    pub fn check(&self, check: &mut Check) {
        self.check_as(RESOURCE_ARN, check);
    }

    /// Names both members; the services have patterns of their own for the ARN.
    pub fn check_as(&self, arn: Pattern, check: &mut Check) {
        check.text("StreamName", self.name.as_deref()).length(1, 256).pattern(STREAM_NAME);
        check.text("StreamARN", self.arn.as_deref()).length(1, 1024).pattern(arn);
    }

    /// The stream, if it exists and the caller may do this to it.
    ///
    /// # Errors
    /// InvalidArgument without a name and an ARN, or with two that disagree; ResourceNotFound;
    /// NotAuthorized.
    pub fn find(&self, context: &Context, action: Action) -> Result<Arc<Stream>, Exception> {
        let by_name = self.name.as_deref().map(|name| find_by_name(context, name)).transpose()?;
        let by_arn = self.arn.as_deref().map(|arn| find_by_arn(context, arn)).transpose()?;
        let stream = match (by_name, by_arn) {
            (None, None) => {
                return Err(Exception::invalid("Either StreamName or StreamARN must be specified."));
            }
            (Some(named), Some(other)) if named.id != other.id => {
                return Err(Exception::invalid("StreamName and StreamARN specify different streams."));
            }
            (Some(stream), _) | (None, Some(stream)) => stream,
        };
        context.authorize(action, &stream)?;
        Ok(stream)
    }
}

fn find_by_name(context: &Context, name: &str) -> Result<Arc<Stream>, Exception> {
    let name = StreamName::new(name).map_err(|_| Exception::no_stream())?;
    context.app.catalog.stream(&name).ok_or_else(Exception::no_stream)
}

/// The stream with exactly this ARN, creation time included: not a later one of the same name.
pub fn find_by_arn(context: &Context, arn: &str) -> Result<Arc<Stream>, Exception> {
    let arn: Arn = arn.parse().map_err(|_| Exception::no_stream())?;
    context.app.catalog.stream_by_arn(&arn).ok_or_else(Exception::no_stream)
}

/// `StreamInfo` of the AWS model.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct StreamInfo {
    device_name: Option<String>,
    stream_name: String,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    media_type: Option<String>,
    kms_key_id: String,
    version: String,
    status: &'static str,
    creation_time: Epoch,
    data_retention_in_hours: u64,
}

impl From<&Stream> for StreamInfo {
    fn from(stream: &Stream) -> Self {
        let Arn { partition, region, account, .. } = &stream.arn;
        let default_key = || format!("arn:{partition}:kms:{region}:{account}:alias/aws/kinesisvideo");
        Self {
            device_name: stream.device_name.clone(),
            stream_name: stream.name.to_string(),
            stream_arn: stream.arn.to_string(),
            media_type: stream.media_type.clone(),
            kms_key_id: stream.kms_key_id.clone().unwrap_or_else(default_key),
            version: stream.version.clone(),
            status: "ACTIVE",
            creation_time: Epoch(stream.created),
            data_retention_in_hours: retention_hours(stream),
        }
    }
}

/// The retention in whole hours, begun ones counted: a retention that is not zero never looks like it.
pub fn retention_hours(stream: &Stream) -> u64 {
    stream.retention.as_secs().div_ceil(3600)
}

#[cfg(test)]
pub mod tests {
    use std::time::Duration;

    use base::{StreamId, Tags, Timestamp};

    use super::*;

    /// A stream with every field filled.
    pub fn sample_stream() -> Stream {
        Stream {
            id: StreamId(1),
            name: StreamName::new("front-door").unwrap(),
            arn: "arn:aws:kinesisvideo:us-east-1:000000000000:stream/front-door/1700000000000"
                .parse()
                .unwrap(),
            version: "aBcD3".into(),
            created: Timestamp::from_millis(1_700_000_000_000),
            retention: Duration::from_secs(5400),
            retention_bytes: None,
            timestamps: None,
            labels: Tags::new(),
            tags: Tags::new(),
            device_name: Some("camera".into()),
            media_type: Some("video/h264".into()),
            kms_key_id: None,
        }
    }

    #[test]
    fn a_stream_is_described_as_aws_does() {
        let info = serde_json::to_value(StreamInfo::from(&sample_stream())).unwrap();
        assert_eq!(
            info["StreamARN"],
            "arn:aws:kinesisvideo:us-east-1:000000000000:stream/front-door/1700000000000"
        );
        assert_eq!(info["KmsKeyId"], "arn:aws:kms:us-east-1:000000000000:alias/aws/kinesisvideo");
        assert_eq!(info["CreationTime"], 1_700_000_000.0);
        assert_eq!(info["DataRetentionInHours"], 2);
        let bare = Stream { device_name: None, media_type: None, ..sample_stream() };
        let info = serde_json::to_value(StreamInfo::from(&bare)).unwrap();
        assert!(info["DeviceName"].is_null() && info["MediaType"].is_null());
    }
}
