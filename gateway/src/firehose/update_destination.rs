//! UpdateDestination: changes where a delivery stream's records go. What is on its way is waited for; the rest
//! goes by the new configuration.
//!
//! <https://docs.aws.amazon.com/firehose/latest/APIReference/API_UpdateDestination.html>

use axum::Json;
use catalog::DeliveryUpdate;
use serde::{Deserialize, Serialize};

use super::delivery::{DESTINATION_ID, change, changed, check_name, find};
use super::destination;
use super::http_endpoint::HttpEndpointUpdate;
use super::patterns;
use super::s3::{Bucket, ExtendedBucketUpdate};
use crate::aws::check::Check;
use crate::aws::values::Opaque;
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// The operation.
pub struct UpdateDestination;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    delivery_stream_name: Option<String>,
    current_delivery_stream_version_id: Option<String>,
    destination_id: Option<String>,
    s3_destination_update: Option<Bucket>,
    extended_s3_destination_update: Option<ExtendedBucketUpdate>,
    http_endpoint_destination_update: Option<HttpEndpointUpdate>,
    redshift_destination_update: Option<Opaque>,
    elasticsearch_destination_update: Option<Opaque>,
    amazonopensearchservice_destination_update: Option<Opaque>,
    amazon_open_search_serverless_destination_update: Option<Opaque>,
    splunk_destination_update: Option<Opaque>,
    snowflake_destination_update: Option<Opaque>,
    iceberg_destination_update: Option<Opaque>,
}

/// The answer has no members.
#[derive(Debug, Serialize)]
pub struct Output {}

impl Operation for UpdateDestination {
    const NAME: &'static str = "UpdateDestination";
    const PATH: &'static str = "/";
    const ERRORS: &'static [Code] =
        &[Code::InvalidArgument, Code::ResourceInUse, Code::ResourceNotFound, Code::ConcurrentModification];
    type Input = Input;
    type Output = Json<Output>;

    fn check(input: &Input, check: &mut Check) {
        check_name(input.delivery_stream_name.as_deref(), check);
        let version = input.current_delivery_stream_version_id.as_deref();
        let rule = check.text("CurrentDeliveryStreamVersionId", version).required();
        rule.length(1, 50).pattern(patterns::VERSION_ID);
        let id = input.destination_id.as_deref();
        check.text("DestinationId", id).required().length(1, 100).pattern(patterns::DESTINATION_ID);
        let bucket = input.s3_destination_update.as_ref();
        check.structure("S3DestinationUpdate", bucket, false, Bucket::check_update);
        let bucket = input.extended_s3_destination_update.as_ref();
        check.structure("ExtendedS3DestinationUpdate", bucket, false, ExtendedBucketUpdate::check);
        check_not_offered(input, check);
        let endpoint = input.http_endpoint_destination_update.as_ref();
        check.structure("HttpEndpointDestinationUpdate", endpoint, false, HttpEndpointUpdate::check);
    }

    async fn call(context: Context, input: Input) -> Result<Json<Output>, Exception> {
        let delivery = find(&context, input.delivery_stream_name.as_deref())?;
        let name = &delivery.configuration.name;
        let id = input.destination_id.unwrap_or_default();
        if id != DESTINATION_ID {
            return Err(Exception::invalid(format!("Destination {id} of Firehose {name} not found.")));
        }
        // One that is no number of ours was never given.
        let version = input.current_delivery_stream_version_id.and_then(|version| version.parse().ok());
        let Some(version) = version.filter(|version| *version == delivery.version) else {
            return Err(changed(name, delivery.version));
        };
        let destination = Box::new(destination::merged(
            &context,
            &delivery.configuration.destination,
            input.s3_destination_update,
            input.extended_s3_destination_update,
            input.http_endpoint_destination_update,
        )?);
        change(&context, &delivery, DeliveryUpdate::Destination { version, destination }).await?;
        Ok(Json(Output {}))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        serde_json::to_value(Output {}).unwrap()
    }
}

fn check_not_offered(input: &Input, check: &mut Check) {
    for (name, value) in [
        ("RedshiftDestinationUpdate", &input.redshift_destination_update),
        ("ElasticsearchDestinationUpdate", &input.elasticsearch_destination_update),
        ("AmazonopensearchserviceDestinationUpdate", &input.amazonopensearchservice_destination_update),
        (
            "AmazonOpenSearchServerlessDestinationUpdate",
            &input.amazon_open_search_serverless_destination_update,
        ),
        ("SplunkDestinationUpdate", &input.splunk_destination_update),
        ("SnowflakeDestinationUpdate", &input.snowflake_destination_update),
        ("IcebergDestinationUpdate", &input.iceberg_destination_update),
    ] {
        check.not_offered(name, value.as_ref());
    }
}
