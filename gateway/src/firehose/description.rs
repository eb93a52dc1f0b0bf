//! `DeliveryStreamDescription` of the AWS model.

use catalog::{Delivery, DeliverySource, Destination};
use serde::Serialize;

use super::bucket_description::{BucketDescription, ExtendedBucketDescription};
use super::delivery::{DESTINATION_ID, Kind};
use super::http_endpoint::HttpEndpointDescription;

use crate::aws::values::Epoch;

/// Everything about a delivery stream but its secrets.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Description {
    delivery_stream_name: String,
    #[serde(rename = "DeliveryStreamARN")]
    delivery_stream_arn: String,
    delivery_stream_status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery_stream_encryption_configuration: Option<Encryption>,
    delivery_stream_type: &'static str,
    version_id: String,
    create_timestamp: Epoch,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_update_timestamp: Option<Epoch>,
    source: Source,
    destinations: Vec<DestinationDescription>,
    has_more_destinations: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Encryption {
    #[serde(skip_serializing_if = "Option::is_none")]
    key_type: Option<&'static str>,
    status: &'static str,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Source {
    #[serde(skip_serializing_if = "Option::is_none")]
    direct_put_source_description: Option<DirectPut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kinesis_stream_source_description: Option<KinesisStream>,
}

#[derive(Debug, Serialize)]
struct DirectPut {
    #[serde(rename = "ThroughputHintInMBs")]
    throughput_hint: u32,
}

#[derive(Debug, Serialize)]
struct KinesisStream {
    #[serde(rename = "KinesisStreamARN")]
    stream_arn: String,
    #[serde(rename = "RoleARN")]
    role_arn: String,
    #[serde(rename = "DeliveryStartTimestamp")]
    start: Epoch,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct DestinationDescription {
    destination_id: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    s3_destination_description: Option<BucketDescription>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extended_s3_destination_description: Option<ExtendedBucketDescription>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_endpoint_destination_description: Option<HttpEndpointDescription>,
}

/// Members of the model that are never answered.
#[cfg(test)]
pub const NEVER: &[&str] = &[
    "DeliveryStreamDescription.FailureDescription",
    "DeliveryStreamDescription.DeliveryStreamEncryptionConfiguration.FailureDescription",
    "DeliveryStreamDescription.DeliveryStreamEncryptionConfiguration.KeyARN",
    "DeliveryStreamDescription.Source.MSKSourceDescription",
    "DeliveryStreamDescription.Source.DatabaseSourceDescription",
    "DeliveryStreamDescription.Destinations[].AmazonOpenSearchServerlessDestinationDescription",
    "DeliveryStreamDescription.Destinations[].AmazonopensearchserviceDestinationDescription",
    "DeliveryStreamDescription.Destinations[].ElasticsearchDestinationDescription",
    "DeliveryStreamDescription.Destinations[].IcebergDestinationDescription",
    "DeliveryStreamDescription.Destinations[].RedshiftDestinationDescription",
    "DeliveryStreamDescription.Destinations[].SnowflakeDestinationDescription",
    "DeliveryStreamDescription.Destinations[].SplunkDestinationDescription",
    "DeliveryStreamDescription.Destinations[].ExtendedS3DestinationDescription.DataFormatConversionConfiguration",
    "DeliveryStreamDescription.Destinations[].ExtendedS3DestinationDescription.DynamicPartitioningConfiguration",
    "DeliveryStreamDescription.Destinations[].ExtendedS3DestinationDescription.ProcessingConfiguration",
    "DeliveryStreamDescription.Destinations[].HttpEndpointDestinationDescription.ProcessingConfiguration",
    "DeliveryStreamDescription.Destinations[].HttpEndpointDestinationDescription.SecretsManagerConfiguration",
];

impl Description {
    /// Of a delivery stream; without its destination where the list goes on after that.
    pub fn of(delivery: &Delivery, after_it: bool) -> Self {
        let configuration = &delivery.configuration;
        let encryption = match (&configuration.source, configuration.encrypted) {
            (DeliverySource::DirectPut { .. }, true) => {
                Some(Encryption { key_type: Some("AWS_OWNED_CMK"), status: "ENABLED" })
            }
            (DeliverySource::DirectPut { .. }, false) => {
                Some(Encryption { key_type: None, status: "DISABLED" })
            }
            // It is that of the source.
            (DeliverySource::Stream { .. }, _) => None,
        };
        let destinations = if after_it { Vec::new() } else { vec![destination(&configuration.destination)] };
        Self {
            delivery_stream_name: configuration.name.to_string(),
            delivery_stream_arn: delivery.arn.to_string(),
            delivery_stream_status: "ACTIVE",
            delivery_stream_encryption_configuration: encryption,
            delivery_stream_type: Kind::of(delivery).name(),
            version_id: delivery.version.to_string(),
            create_timestamp: Epoch(delivery.created),
            last_update_timestamp: delivery.updated.map(Epoch),
            source: source(delivery),
            destinations,
            has_more_destinations: false,
        }
    }
}

fn source(delivery: &Delivery) -> Source {
    match &delivery.configuration.source {
        DeliverySource::DirectPut { throughput_hint } => Source {
            direct_put_source_description: throughput_hint
                .map(|throughput_hint| DirectPut { throughput_hint }),
            ..Source::default()
        },
        DeliverySource::Stream { arn, role_arn, .. } => Source {
            kinesis_stream_source_description: Some(KinesisStream {
                stream_arn: arn.clone(),
                role_arn: role_arn.clone(),
                start: Epoch(delivery.created),
            }),
            ..Source::default()
        },
    }
}

/// A bucket is described in both forms, as AWS does.
fn destination(destination: &Destination) -> DestinationDescription {
    let mut description =
        DestinationDescription { destination_id: DESTINATION_ID, ..DestinationDescription::default() };
    match destination {
        Destination::S3 { target, backup } => {
            description.s3_destination_description = Some(target.into());
            let extended = ExtendedBucketDescription::of(target, backup.as_ref());
            description.extended_s3_destination_description = Some(extended);
        }
        Destination::Http(target) => {
            description.http_endpoint_destination_description = Some(target.into());
        }
    }
    description
}

#[cfg(test)]
pub mod tests {
    use base::Timestamp;

    use super::super::bucket_description::tests::{sample_description, sample_extended};
    use super::super::http_endpoint::tests::sample_endpoint;
    use super::*;

    /// With every member.
    pub fn sample() -> Description {
        let created = Epoch(Timestamp::from_millis(1));
        Description {
            delivery_stream_name: "n".into(),
            delivery_stream_arn: "a".into(),
            delivery_stream_status: "ACTIVE",
            delivery_stream_encryption_configuration: Some(Encryption { key_type: Some("k"), status: "s" }),
            delivery_stream_type: "DirectPut",
            version_id: "1".into(),
            create_timestamp: created,
            last_update_timestamp: Some(created),
            source: Source {
                direct_put_source_description: Some(DirectPut { throughput_hint: 1 }),
                kinesis_stream_source_description: Some(KinesisStream {
                    stream_arn: "a".into(),
                    role_arn: "r".into(),
                    start: created,
                }),
            },
            destinations: vec![DestinationDescription {
                destination_id: DESTINATION_ID,
                s3_destination_description: Some(sample_description()),
                extended_s3_destination_description: Some(sample_extended()),
                http_endpoint_destination_description: Some(sample_endpoint()),
            }],
            has_more_destinations: true,
        }
    }
}
