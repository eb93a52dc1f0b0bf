//! CreateStream: makes a video stream.
//!
//! <https://docs.aws.amazon.com/kinesisvideostreams/latest/dg/API_CreateStream.html>

use std::time::Duration;

use axum::Json;
use base::{StreamName, Tags};
use catalog::{Action, MAX_RETENTION, NewStream};
use serde::{Deserialize, Serialize};

use crate::aws::check::Check;
use crate::aws::patterns::{KMS_KEY, MEDIA_TYPE, STREAM_NAME};
use crate::aws::values::{Choice, Closed};
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// The operation.
pub struct CreateStream;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    device_name: Option<String>,
    stream_name: Option<String>,
    media_type: Option<String>,
    kms_key_id: Option<String>,
    data_retention_in_hours: Option<i64>,
    tags: Option<Tags>,
    stream_storage_configuration: Option<Storage>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Storage {
    default_storage_tier: Option<Choice<Tier>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tier {
    Hot,
    Warm,
}

impl Closed for Tier {
    const VALUES: &'static [(&'static str, Self)] = &[("HOT", Self::Hot), ("WARM", Self::Warm)];
}

/// The answer.
#[derive(Debug, Serialize)]
pub struct Output {
    #[serde(rename = "StreamARN")]
    stream_arn: String,
}

impl Operation for CreateStream {
    const NAME: &'static str = "CreateStream";
    const PATH: &'static str = "/createStream";
    const ERRORS: &'static [Code] = &[
        Code::AccountStreamLimitExceeded,
        Code::DeviceStreamLimitExceeded,
        Code::ResourceInUse,
        Code::InvalidDevice,
        Code::InvalidArgument,
        Code::ClientLimitExceeded,
        Code::TagsPerResourceExceededLimit,
    ];
    type Input = Input;
    type Output = Json<Output>;

    fn check(input: &Input, check: &mut Check) {
        check.text("DeviceName", input.device_name.as_deref()).length(1, 128).pattern(STREAM_NAME);
        check.text("StreamName", input.stream_name.as_deref()).required().length(1, 256).pattern(STREAM_NAME);
        check.text("MediaType", input.media_type.as_deref()).length(1, 128).pattern(MEDIA_TYPE);
        check.text("KmsKeyId", input.kms_key_id.as_deref()).length(1, 2048).pattern(KMS_KEY);
        check.number("DataRetentionInHours", input.data_retention_in_hours.as_ref()).range(0, None);
        check.tags("Tags", input.tags.as_ref()).count(1, 50);
        let storage = input.stream_storage_configuration.as_ref();
        check.structure("StreamStorageConfiguration", storage, false, |storage, check| {
            check.choice("DefaultStorageTier", storage.default_storage_tier.as_ref()).required();
        });
    }

    async fn call(context: Context, input: Input) -> Result<Json<Output>, Exception> {
        let storage = input.stream_storage_configuration.and_then(|storage| storage.default_storage_tier);
        match storage.and_then(|tier| tier.known()) {
            None | Some(Tier::Hot) => {}
            Some(Tier::Warm) => return Err(Exception::invalid("Storage tier WARM is not offered: use HOT.")),
        }
        let name = StreamName::new(&input.stream_name.unwrap_or_default())
            .map_err(|error| Exception::invalid(error.to_string()))?;
        context.allow(Action::Manage, &name)?;
        let hours = input.data_retention_in_hours.unwrap_or(0);
        let new = NewStream {
            tags: input.tags.unwrap_or_default(),
            device_name: input.device_name,
            media_type: input.media_type,
            kms_key_id: input.kms_key_id,
            ..NewStream::new(name, retention(hours)?)
        };
        let stream = context.app.catalog.create_stream(new).await?;
        Ok(Json(Output { stream_arn: stream.arn.to_string() }))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        serde_json::to_value(Output { stream_arn: "arn".into() }).unwrap()
    }
}

/// Hours as a retention, up to the longest there is.
pub fn retention(hours: i64) -> Result<Duration, Exception> {
    let longest = MAX_RETENTION.as_secs() / 3600;
    u64::try_from(hours)
        .ok()
        .filter(|hours| *hours <= longest)
        .map(|hours| Duration::from_secs(hours * 3600))
        .ok_or_else(|| {
            Exception::invalid(format!("The data retention period must be from 0 to {longest} hours."))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retention_has_both_ends() {
        assert_eq!(retention(0).unwrap(), Duration::ZERO);
        assert_eq!(retention(87_600).unwrap(), MAX_RETENTION);
        for bad in [-1, 87_601, i64::MAX] {
            assert_eq!(retention(bad).unwrap_err().code, Code::InvalidArgument, "{bad}");
        }
    }

    #[test]
    fn an_unknown_tier_is_refused_in_aws_words() {
        let text = r#"{"StreamName": "a", "StreamStorageConfiguration": {"DefaultStorageTier": "ICE"}}"#;
        let input: Input = serde_json::from_str(text).unwrap();
        let mut check = Check::default();
        CreateStream::check(&input, &mut check);
        assert_eq!(
            check.message().unwrap(),
            "1 validation error detected: Value 'ICE' at 'streamStorageConfiguration.defaultStorageTier' failed \
             to satisfy constraint: Member must satisfy enum value set: [HOT, WARM]"
        );
    }
}
