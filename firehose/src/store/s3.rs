//! S3 and what speaks like it, through the AWS SDK: its environment variables and files say where the store is
//! and who we are, or the settings of the bucket do.

use std::error::Error as _;
use std::time::Duration;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_s3::config::{Builder, Config, Credentials, Region};
use aws_sdk_s3::error::{DisplayErrorContext, SdkError};
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ServerSideEncryption;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use futures::future::BoxFuture;
use http_body_util::BodyExt;
use outbound::{Client, SendError};

use super::{Object, ObjectStore, StoreCredentials, StoreSettings};
use crate::destination::Failure;

/// An attempt may take this long.
const ATTEMPT: Duration = Duration::from_secs(300);
/// Characters of a message that are told.
const TOLD: usize = 500;

/// Clients of the store that the environment names, and of those that the settings do.
pub struct S3Store {
    otherwise: aws_sdk_s3::Client,
    stores: Vec<(StoreSettings, aws_sdk_s3::Client)>,
}

impl S3Store {
    /// Reads the environment: `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, `AWS_REGION`, `AWS_ACCESS_KEY_ID` and
    /// the rest of what the SDK knows; `stores` say it otherwise for their buckets. Connects to nothing. `region`
    /// stands where nothing else says one.
    pub async fn new(client: Client, region: &str, stores: Vec<StoreSettings>) -> Self {
        // Not the SDK's own list: it asks the instance's metadata service, which most machines do not have.
        let regions = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
            .or_else(ProfileFileRegionProvider::new())
            .or_else(Region::new(region.to_owned()));
        let found = aws_config::defaults(BehaviorVersion::latest())
            .http_client(Connector(client))
            .region(regions)
            // The line that delivers tries again, and tells why.
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::builder().operation_timeout(ATTEMPT).build())
            .load()
            .await;
        let named = found.endpoint_url().is_some() || std::env::var_os("AWS_ENDPOINT_URL_S3").is_some();
        // Stores of one's own seldom have a host name for each bucket.
        let config = Builder::from(&found).force_path_style(named).build();
        let client = |store: StoreSettings| {
            let client = aws_sdk_s3::Client::from_conf(configured(&found, &store));
            (store, client)
        };
        let stores = stores.into_iter().map(client).collect();
        Self { otherwise: aws_sdk_s3::Client::from_conf(config), stores }
    }

    fn client(&self, bucket: &str) -> &aws_sdk_s3::Client {
        let found = self.stores.iter().find(|(store, _)| store.has(bucket));
        found.map_or(&self.otherwise, |(_, client)| client)
    }
}

/// What the settings say, over what the environment does.
fn configured(found: &SdkConfig, store: &StoreSettings) -> Config {
    let mut builder = Builder::from(found);
    if let Some(endpoint) = &store.endpoint {
        builder = builder.endpoint_url(endpoint);
    }
    let named = found.endpoint_url().is_some() || store.endpoint.is_some();
    builder = builder.force_path_style(store.path_style.unwrap_or(named));
    if let Some(region) = &store.region {
        builder = builder.region(Region::new(region.clone()));
    }
    if let Some(StoreCredentials { access_key_id, secret_access_key }) = &store.credentials {
        let (id, secret) = (access_key_id.as_str(), secret_access_key.expose());
        builder = builder.credentials_provider(Credentials::new(id, secret, None, None, "firehose.stores"));
    }
    builder.build()
}

impl ObjectStore for S3Store {
    fn put<'a>(&'a self, bucket: &'a str, object: Object) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let key = object.key.clone();
            let mut put = self.client(bucket).put_object().bucket(bucket).key(object.key);
            put = put.body(ByteStream::from(object.body)).content_type("application/octet-stream");
            if let Some(key) = object.kms_key_arn {
                put = put.server_side_encryption(ServerSideEncryption::AwsKms).ssekms_key_id(key);
            }
            put.send().await.map(drop).map_err(|error| failure(bucket, &key, &error))
        })
    }
}

/// What the SDK says, in words and with AWS's codes.
fn failure(bucket: &str, key: &str, error: &SdkError<PutObjectError, HttpResponse>) -> Failure {
    let said = error.as_service_error().map(aws_sdk_s3::error::ProvideErrorMetadata::meta);
    let code = match said.and_then(|meta| meta.code()) {
        Some("NoSuchBucket") => "S3.NoSuchBucket",
        Some("AccessDenied" | "InvalidAccessKeyId" | "SignatureDoesNotMatch") => "S3.AccessDenied",
        Some(_) => "S3.InternalError",
        None => "S3.ConnectionFailed",
    };
    let why = match said {
        Some(meta) => {
            format!("{}: {}", meta.code().unwrap_or("error"), meta.message().unwrap_or("no message"))
        }
        None => {
            error.source().map_or_else(|| error.to_string(), |source| DisplayErrorContext(source).to_string())
        }
    };
    let why: String = why.chars().take(TOLD).collect();
    Failure { code, text: format!("object {key} not stored in bucket {bucket}: {why}"), is_final: false }
}

/// The SDK over our own client, which asks the address rules.
#[derive(Clone, Debug)]
struct Connector(Client);

impl HttpClient for Connector {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(async move {
            let user = |error: Box<dyn std::error::Error + Send + Sync>| ConnectorError::user(error);
            let request = request.try_into_http1x().map_err(|error| user(error.into()))?;
            let request = request.map(BodyExt::boxed_unsync);
            let answer = client.send(request).await.map_err(|error| match error {
                SendError::Url(_) | SendError::Address(_) => ConnectorError::user(error.into()),
                other => ConnectorError::io(other.into()),
            })?;
            let answer = answer.map(SdkBody::from_body_1_x);
            HttpResponse::try_from(answer).map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}
