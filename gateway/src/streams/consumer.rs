//! What the operations on consumers share.

use std::sync::Arc;

use base::Arn;
use catalog::{Action, Consumer};
use serde::{Deserialize, Serialize};

use super::stream::{Found, StreamRef};
use crate::aws::Context;
use crate::aws::check::Check;
use crate::aws::patterns::{CONSUMER_ARN, STREAM_NAME};
use crate::aws::values::Epoch;
use crate::exception::{Code, Exception};

/// A consumer by its ARN, or by its stream's and its name.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ConsumerRef {
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    #[serde(rename = "ConsumerName")]
    name: Option<String>,
    #[serde(rename = "ConsumerARN")]
    arn: Option<String>,
    #[serde(rename = "StreamId")]
    stream_id: Option<String>,
}

impl ConsumerRef {
    /// Names all members.
    pub fn check(&self, check: &mut Check) {
        StreamRef::by_arn(self.stream_arn.clone(), self.stream_id.clone()).check_arn(check, false);
        check.text("ConsumerName", self.name.as_deref()).length(1, 128).pattern(STREAM_NAME);
        check.text("ConsumerARN", self.arn.as_deref()).length(1, 2048).pattern(CONSUMER_ARN);
    }

    /// The consumer and its stream.
    ///
    /// # Errors
    /// InvalidArgument where neither way, or two that disagree, are given; ResourceNotFound; AccessDenied.
    pub fn find(self, context: &Context) -> Result<(Found, Arc<Consumer>), Exception> {
        let by_arn = self.arn.as_deref().map(|arn| find_by_arn(context, arn)).transpose()?;
        let stream = StreamRef::by_arn(self.stream_arn, self.stream_id);
        let by_name = match (stream.is_empty(), self.name) {
            (false, Some(name)) => Some(find_by_name(context, &stream, &name)?),
            (true, Some(_)) | (false, None) if by_arn.is_none() => {
                return Err(Exception::invalid("StreamARN and ConsumerName must be specified together."));
            }
            (_, _) => None,
        };
        match (by_arn, by_name) {
            (Some(one), Some(other)) if one.1 != other.1 => {
                Err(Exception::invalid("ConsumerARN and ConsumerName specify different consumers."))
            }
            (Some(found), _) | (None, Some(found)) => Ok(found),
            (None, None) => Err(Exception::invalid(
                "Either ConsumerARN, or StreamARN and ConsumerName must be specified.",
            )),
        }
    }
}

fn find_by_name(
    context: &Context,
    stream: &StreamRef,
    name: &str,
) -> Result<(Found, Arc<Consumer>), Exception> {
    let found = stream.find(context, Action::Manage)?;
    let consumer = context.app.catalog.consumer(found.stream.id, name);
    let consumer = consumer.ok_or_else(|| {
        let (stream, account) = (&found.stream.name, &context.app.account);
        let text = format!("Consumer {name} under stream {stream} not found for account {account}.");
        Exception::new(Code::ResourceNotFound, text)
    })?;
    Ok((found, consumer))
}

/// The consumer with exactly this ARN: not a later one of the same name.
///
/// # Errors
/// ResourceNotFound; AccessDenied.
pub fn find_by_arn(context: &Context, text: &str) -> Result<(Found, Arc<Consumer>), Exception> {
    let absent = || {
        let shown: String = text.chars().take(300).collect();
        Exception::new(Code::ResourceNotFound, format!("Consumer {shown} not found."))
    };
    let arn: Arn = text.parse().map_err(|_| absent())?;
    let (stream, consumer) = arn.resource.split_once("/consumer/").ok_or_else(absent)?;
    let name = consumer.split_once(':').map_or(consumer, |(name, _)| name);
    let stream_arn = Arn { resource: stream.to_owned(), ..arn.clone() };
    let stream = StreamRef::by_arn(Some(stream_arn.to_string()), None);
    let (found, consumer) = find_by_name(context, &stream, name)?;
    if consumer.arn(&found.stream.arn) != text {
        return Err(absent());
    }
    Ok((found, consumer))
}

/// `Consumer` and `ConsumerDescription` of the AWS model.
#[derive(Debug, Serialize)]
pub struct ConsumerInfo {
    #[serde(rename = "ConsumerName")]
    name: String,
    #[serde(rename = "ConsumerARN")]
    arn: String,
    #[serde(rename = "ConsumerStatus")]
    status: &'static str,
    #[serde(rename = "ConsumerCreationTimestamp")]
    created: Epoch,
    /// In descriptions alone.
    #[serde(rename = "StreamARN", skip_serializing_if = "Option::is_none")]
    stream_arn: Option<String>,
}

impl ConsumerInfo {
    /// As it is listed.
    pub fn of(found: &Found, consumer: &Consumer) -> Self {
        Self {
            name: consumer.name.clone(),
            arn: consumer.arn(&found.stream.arn),
            status: "ACTIVE",
            created: Epoch(consumer.created),
            stream_arn: None,
        }
    }

    /// As it is described.
    pub fn described(found: &Found, consumer: &Consumer) -> Self {
        Self { stream_arn: Some(found.stream.arn.to_string()), ..Self::of(found, consumer) }
    }
}

#[cfg(test)]
pub mod tests {
    use base::Tags;

    use super::super::stream::tests::sample_stream;
    use super::*;

    /// A consumer and its stream.
    pub fn sample_consumer() -> (Found, Consumer) {
        let stream = Arc::new(sample_stream());
        let consumer =
            Consumer { stream: stream.id, name: "app".into(), created: stream.created, tags: Tags::new() };
        (Found { stream, fragments: false }, consumer)
    }

    #[test]
    fn a_consumer_is_described_as_aws_does() {
        let (found, consumer) = sample_consumer();
        let info = serde_json::to_value(ConsumerInfo::of(&found, &consumer)).unwrap();
        let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/orders/consumer/app:1700000000";
        assert_eq!(info["ConsumerARN"], arn);
        assert!((CONSUMER_ARN.matches)(arn));
        assert!(info.get("StreamARN").is_none());
    }
}
