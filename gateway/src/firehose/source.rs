//! Where a delivery stream's records come from: the members of CreateDeliveryStream that say so.

use std::collections::BTreeMap;

use base::Arn;
use catalog::{Action, Delivery, DeliverySource, DeliveryUpdate};
use data_streams::Start;
use serde::Deserialize;

use super::delivery::change;
use super::patterns::{KEY_ARN, ROLE_ARN, STREAM_ARN};
use crate::auth::Asked;
use crate::aws::Context;
use crate::aws::check::Check;
use crate::aws::values::{Choice, Closed};
use crate::exception::{Code, Exception};
use crate::streams::{Found, lookup};

/// `DirectPutSourceConfiguration` of the AWS model.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct DirectPut {
    #[serde(rename = "ThroughputHintInMBs")]
    throughput_hint: Option<i64>,
}

impl DirectPut {
    /// Names the members.
    pub fn check(&self, check: &mut Check) {
        check.number("ThroughputHintInMBs", self.throughput_hint.as_ref()).required().range(1, Some(100));
    }

    /// As it is kept.
    pub fn configured(direct: Option<Self>) -> DeliverySource {
        let hint = direct.and_then(|direct| u32::try_from(direct.throughput_hint?).ok());
        DeliverySource::DirectPut { throughput_hint: hint }
    }
}

/// `KinesisStreamSourceConfiguration` of the AWS model.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct KinesisStream {
    #[serde(rename = "KinesisStreamARN")]
    stream_arn: Option<String>,
    #[serde(rename = "RoleARN")]
    role_arn: Option<String>,
}

impl KinesisStream {
    /// Names the members.
    pub fn check(&self, check: &mut Check) {
        let arn = self.stream_arn.as_deref();
        check.text("KinesisStreamARN", arn).required().length(1, 512).pattern(STREAM_ARN);
        check.text("RoleARN", self.role_arn.as_deref()).required().length(1, 512).pattern(ROLE_ARN);
    }

    /// As it is kept: from the records on that come after now.
    ///
    /// # Errors
    /// InvalidArgument where there is no such stream; AccessDenied.
    pub async fn configured(self, context: &Context) -> Result<DeliverySource, Exception> {
        let arn = self.stream_arn.unwrap_or_default();
        let parsed: Option<Arn> = arn.parse().ok();
        let found = parsed.and_then(|arn| lookup(&context.app.catalog, &arn));
        let absent = || Exception::invalid(format!("The Kinesis stream {arn} does not exist."));
        let found = found.ok_or_else(absent)?;
        may_read(context, &found)?;
        let mut start = BTreeMap::new();
        for shard in &found.stream.shards {
            let place = context.app.records.position(&found, shard.id, Start::Latest).await?;
            start.insert(shard.id, place);
        }
        let role_arn = self.role_arn.unwrap_or_default();
        Ok(DeliverySource::Stream { arn, role_arn, stream: found.stream.id, start })
    }
}

/// Refuses to deliver what the caller may not read.
fn may_read(context: &Context, found: &Found) -> Result<(), Exception> {
    let reader = context.principal.clone().asking(Asked::new("kinesis", "GetRecords"));
    let allowed = reader.and_then(|reader| reader.check(Action::Manage, &found.stream.name));
    allowed.map_err(|refused| Exception::new(Code::AccessDenied, refused.to_string()))
}

/// `KeyType` of the AWS model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyType {
    Owned,
    Managed,
}

impl Closed for KeyType {
    const VALUES: &'static [(&'static str, Self)] =
        &[("AWS_OWNED_CMK", Self::Owned), ("CUSTOMER_MANAGED_CMK", Self::Managed)];
}

/// `DeliveryStreamEncryptionConfigurationInput` of the AWS model.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Encryption {
    #[serde(rename = "KeyARN")]
    key_arn: Option<String>,
    #[serde(rename = "KeyType")]
    key_type: Option<Choice<KeyType>>,
}

impl Encryption {
    /// Names the members. Records are sealed under the stream's own key, and under no other one.
    pub fn check(&self, check: &mut Check) {
        check.text("KeyARN", self.key_arn.as_deref()).length(1, 512).pattern(KEY_ARN);
        check.choice("KeyType", self.key_type.as_ref()).required();
        let managed = self.key_type.as_ref().and_then(Choice::known) == Some(KeyType::Managed);
        if managed || self.key_arn.is_some() {
            check
                .refuse("DeliveryStreamEncryptionConfigurationInput: only KeyType AWS_OWNED_CMK is offered.");
        }
    }
}

/// Tells, or tells no more, that records are encrypted: they are either way.
///
/// # Errors
/// InvalidArgument where records come from a data stream.
pub async fn encrypt(context: &Context, delivery: &Delivery, encrypted: bool) -> Result<(), Exception> {
    if let DeliverySource::Stream { .. } = delivery.configuration.source {
        return Err(sealed_elsewhere());
    }
    change(context, delivery, DeliveryUpdate::Encrypted(encrypted)).await
}

/// What is said of the encryption of records that come from a data stream.
pub fn sealed_elsewhere() -> Exception {
    Exception::invalid(
        "Server-side encryption is that of the Kinesis stream when a Kinesis stream is the source.",
    )
}
