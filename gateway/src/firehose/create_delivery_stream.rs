//! CreateDeliveryStream: a delivery stream, ACTIVE when the call returns. What is configured is served, or
//! refused.
//!
//! <https://docs.aws.amazon.com/firehose/latest/APIReference/API_CreateDeliveryStream.html>

use axum::Json;
use base::StreamName;
use catalog::{Action, DeliverySource, NewDelivery};
use serde::{Deserialize, Serialize};

use super::delivery::{Kind, absent, check_name, refused};
use super::destination;
use super::http_endpoint::HttpEndpoint;
use super::s3::{Bucket, ExtendedBucket};
use super::source::{DirectPut, Encryption, KinesisStream, sealed_elsewhere};
use super::tags::{TAGS, Tag, check_tags, tags};
use crate::aws::check::Check;
use crate::aws::values::{Choice, Opaque, capped};
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// The operation.
pub struct CreateDeliveryStream;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    delivery_stream_name: Option<String>,
    delivery_stream_type: Option<Choice<Kind>>,
    direct_put_source_configuration: Option<DirectPut>,
    kinesis_stream_source_configuration: Option<KinesisStream>,
    delivery_stream_encryption_configuration_input: Option<Encryption>,
    s3_destination_configuration: Option<Bucket>,
    extended_s3_destination_configuration: Option<ExtendedBucket>,
    http_endpoint_destination_configuration: Option<HttpEndpoint>,
    #[serde(deserialize_with = "capped::<_, _, TAGS>")]
    tags: Option<Vec<Tag>>,
    redshift_destination_configuration: Option<Opaque>,
    elasticsearch_destination_configuration: Option<Opaque>,
    amazonopensearchservice_destination_configuration: Option<Opaque>,
    amazon_open_search_serverless_destination_configuration: Option<Opaque>,
    splunk_destination_configuration: Option<Opaque>,
    snowflake_destination_configuration: Option<Opaque>,
    iceberg_destination_configuration: Option<Opaque>,
    #[serde(rename = "MSKSourceConfiguration")]
    msk_source_configuration: Option<Opaque>,
    database_source_configuration: Option<Opaque>,
}

/// The answer.
#[derive(Debug, Serialize)]
pub struct Output {
    #[serde(rename = "DeliveryStreamARN")]
    arn: String,
}

impl Operation for CreateDeliveryStream {
    const NAME: &'static str = "CreateDeliveryStream";
    const PATH: &'static str = "/";
    const ERRORS: &'static [Code] =
        &[Code::InvalidArgument, Code::LimitExceeded, Code::ResourceInUse, Code::InvalidKmsResource];
    type Input = Input;
    type Output = Json<Output>;

    fn check(input: &Input, check: &mut Check) {
        check_name(input.delivery_stream_name.as_deref(), check);
        check.choice("DeliveryStreamType", input.delivery_stream_type.as_ref());
        let direct = input.direct_put_source_configuration.as_ref();
        check.structure("DirectPutSourceConfiguration", direct, false, DirectPut::check);
        let stream = input.kinesis_stream_source_configuration.as_ref();
        check.structure("KinesisStreamSourceConfiguration", stream, false, KinesisStream::check);
        let encryption = input.delivery_stream_encryption_configuration_input.as_ref();
        check.structure("DeliveryStreamEncryptionConfigurationInput", encryption, false, Encryption::check);
        let bucket = input.s3_destination_configuration.as_ref();
        check.structure("S3DestinationConfiguration", bucket, false, Bucket::check);
        let bucket = input.extended_s3_destination_configuration.as_ref();
        check.structure("ExtendedS3DestinationConfiguration", bucket, false, ExtendedBucket::check);
        check_not_offered(input, check);
        let endpoint = input.http_endpoint_destination_configuration.as_ref();
        check.structure("HttpEndpointDestinationConfiguration", endpoint, false, HttpEndpoint::check);
        check_tags(input.tags.as_ref(), false, check);
    }

    async fn call(context: Context, mut input: Input) -> Result<Json<Output>, Exception> {
        let app = &context.app;
        let text = input.delivery_stream_name.take().unwrap_or_default();
        let name = StreamName::new(&text).map_err(|_| absent(app, &text))?;
        context.allow(Action::Manage, &name)?;
        let tags = tags(input.tags.take())?;
        let encrypted = input.delivery_stream_encryption_configuration_input.is_some();
        let bucket = input.s3_destination_configuration.take();
        let extended = input.extended_s3_destination_configuration.take();
        let endpoint = input.http_endpoint_destination_configuration.take();
        let destination = destination::configured(&context, bucket, extended, endpoint)?;
        let source = source(&context, input).await?;
        if encrypted && matches!(source, DeliverySource::Stream { .. }) {
            return Err(sealed_elsewhere());
        }
        let new = NewDelivery { name, source, destination, encrypted, tags };
        let made = app.catalog.create_delivery(new).await.map_err(|error| refused(app, error))?;
        Ok(Json(Output { arn: made.arn.to_string() }))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        serde_json::to_value(Output { arn: "a".into() }).unwrap()
    }
}

fn check_not_offered(input: &Input, check: &mut Check) {
    for (name, value) in [
        ("RedshiftDestinationConfiguration", &input.redshift_destination_configuration),
        ("ElasticsearchDestinationConfiguration", &input.elasticsearch_destination_configuration),
        (
            "AmazonopensearchserviceDestinationConfiguration",
            &input.amazonopensearchservice_destination_configuration,
        ),
        (
            "AmazonOpenSearchServerlessDestinationConfiguration",
            &input.amazon_open_search_serverless_destination_configuration,
        ),
        ("SplunkDestinationConfiguration", &input.splunk_destination_configuration),
        ("SnowflakeDestinationConfiguration", &input.snowflake_destination_configuration),
        ("IcebergDestinationConfiguration", &input.iceberg_destination_configuration),
        ("MSKSourceConfiguration", &input.msk_source_configuration),
        ("DatabaseSourceConfiguration", &input.database_source_configuration),
    ] {
        check.not_offered(name, value.as_ref());
    }
}

/// Where records come from, and that nothing else says otherwise.
async fn source(context: &Context, input: Input) -> Result<DeliverySource, Exception> {
    let kind = input.delivery_stream_type.and_then(|kind| kind.known()).unwrap_or(Kind::DirectPut);
    let (direct, stream) = (input.direct_put_source_configuration, input.kinesis_stream_source_configuration);
    match (kind, stream) {
        (Kind::DirectPut, None) => Ok(DirectPut::configured(direct)),
        (Kind::Stream, Some(stream)) if direct.is_none() => stream.configured(context).await,
        (Kind::Stream, None) => Err(Exception::invalid(
            "KinesisStreamSourceConfiguration must be given with DeliveryStreamType KinesisStreamAsSource.",
        )),
        (Kind::DirectPut | Kind::Stream, Some(_)) => {
            Err(Exception::invalid("The source configuration does not belong to the DeliveryStreamType."))
        }
        (Kind::Msk | Kind::Database, _) => {
            Err(Exception::invalid(format!("DeliveryStreamType {} is not offered.", kind.name())))
        }
    }
}
