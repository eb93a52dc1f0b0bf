//! HTTP endpoints: `HttpEndpointDestinationConfiguration`, in and out.

use catalog::{ContentEncoding, HttpTarget, Secret};
use serde::{Deserialize, Serialize};

use super::patterns::{ENDPOINT_URL, NOT_BLANK, ONE_LINE, ROLE_ARN};
use super::s3::{Bucket, BucketDescription, Hints, Logging, Switched};
use crate::aws::check::Check;
use crate::aws::values::{Choice, Closed, capped};

/// How long a request is tried again by default, in seconds.
const RETRY_SECS: i64 = 300;
/// Most common attributes.
const ATTRIBUTES: usize = 50;

/// `ContentEncoding` of the AWS model.
impl Closed for ContentEncoding {
    const VALUES: &'static [(&'static str, Self)] = &[("NONE", Self::None), ("GZIP", Self::Gzip)];
}

/// `HttpEndpointS3BackupMode` of the AWS model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BackupMode {
    FailedDataOnly,
    AllData,
}

impl Closed for BackupMode {
    const VALUES: &'static [(&'static str, Self)] =
        &[("FailedDataOnly", Self::FailedDataOnly), ("AllData", Self::AllData)];
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Configuration {
    url: Option<String>,
    name: Option<String>,
    access_key: Option<String>,
}

impl Configuration {
    fn check(&self, check: &mut Check) {
        check.text("Url", self.url.as_deref()).required().length(1, 1000).pattern(ENDPOINT_URL);
        check.text("Name", self.name.as_deref()).length(1, 256).pattern(NOT_BLANK);
        check.text("AccessKey", self.access_key.as_deref()).length(0, 4096).pattern(ONE_LINE);
        let host = self.url.as_ref().map(|url| url.parse::<http::Uri>().ok().and_then(has_host));
        if host == Some(None) {
            check.refuse("EndpointConfiguration.Url is not a URL with a host.");
        }
    }
}

fn has_host(uri: http::Uri) -> Option<()> {
    uri.host().filter(|host| !host.is_empty()).map(drop)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct RequestConfiguration {
    content_encoding: Option<Choice<ContentEncoding>>,
    #[serde(deserialize_with = "capped::<_, _, ATTRIBUTES>")]
    common_attributes: Option<Vec<Attribute>>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "PascalCase")]
struct Attribute {
    attribute_name: Option<String>,
    attribute_value: Option<String>,
}

impl RequestConfiguration {
    fn check(&self, check: &mut Check) {
        check.choice("ContentEncoding", self.content_encoding.as_ref());
        let attributes = self.common_attributes.as_ref();
        let most = ATTRIBUTES as i64;
        check.entries("CommonAttributes", attributes, (false, 0, most), |attribute: &Attribute, check| {
            let (name, value) = (attribute.attribute_name.as_deref(), attribute.attribute_value.as_deref());
            check.text("AttributeName", name).required().length(1, 256).pattern(NOT_BLANK);
            check.text("AttributeValue", value).required().length(0, 1024).pattern(ONE_LINE);
        });
    }
}

/// `HttpEndpointRetryOptions` of the AWS model, in and out.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Retry {
    #[serde(rename = "DurationInSeconds")]
    secs: Option<i64>,
}

/// `HttpEndpointDestinationConfiguration` of the AWS model.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct HttpEndpoint {
    endpoint_configuration: Option<Configuration>,
    buffering_hints: Option<Hints>,
    cloud_watch_logging_options: Option<Logging>,
    request_configuration: Option<RequestConfiguration>,
    processing_configuration: Option<Switched>,
    #[serde(rename = "RoleARN")]
    role_arn: Option<String>,
    retry_options: Option<Retry>,
    s3_backup_mode: Option<Choice<BackupMode>>,
    s3_configuration: Option<Bucket>,
    secrets_manager_configuration: Option<Switched>,
}

impl HttpEndpoint {
    /// The URL that requests go to.
    pub fn url(&self) -> &str {
        self.endpoint_configuration.as_ref().and_then(|endpoint| endpoint.url.as_deref()).unwrap_or_default()
    }

    /// Names the members, and refuses what is not offered.
    pub fn check(&self, check: &mut Check) {
        let endpoint = self.endpoint_configuration.as_ref();
        check.structure("EndpointConfiguration", endpoint, true, Configuration::check);
        check.structure("BufferingHints", self.buffering_hints.as_ref(), false, |hints, check| {
            hints.check(check, 64);
        });
        let logging = self.cloud_watch_logging_options.as_ref();
        check.structure("CloudWatchLoggingOptions", logging, false, Logging::check);
        let request = self.request_configuration.as_ref();
        check.structure("RequestConfiguration", request, false, RequestConfiguration::check);
        check.not_offered("ProcessingConfiguration", Switched::on(self.processing_configuration.as_ref()));
        check.text("RoleARN", self.role_arn.as_deref()).length(1, 512).pattern(ROLE_ARN);
        check.structure("RetryOptions", self.retry_options.as_ref(), false, |retry, check| {
            check.number("DurationInSeconds", retry.secs.as_ref()).range(0, Some(7200));
        });
        check.choice("S3BackupMode", self.s3_backup_mode.as_ref());
        check.structure("S3Configuration", self.s3_configuration.as_ref(), true, Bucket::check);
        let secrets = self.secrets_manager_configuration.as_ref();
        check.not_offered("SecretsManagerConfiguration", Switched::on(secrets));
    }

    /// As it is kept. It passed the check.
    pub fn configured(self) -> HttpTarget {
        let endpoint = self.endpoint_configuration.unwrap_or_default();
        let request = self.request_configuration.unwrap_or_default();
        let retry = self.retry_options.and_then(|retry| retry.secs).unwrap_or(RETRY_SECS);
        let attribute = |attribute: Attribute| {
            let Attribute { attribute_name, attribute_value } = attribute;
            (attribute_name.unwrap_or_default(), Secret::new(attribute_value.unwrap_or_default()))
        };
        HttpTarget {
            url: Secret::new(endpoint.url.unwrap_or_default()),
            name: endpoint.name,
            access_key: endpoint.access_key.map(Secret::new),
            buffer: Hints::configured(self.buffering_hints),
            logging: self.cloud_watch_logging_options.map(Logging::configured),
            encoding: request.content_encoding.and_then(|encoding| encoding.known()),
            attributes: request.common_attributes.unwrap_or_default().into_iter().map(attribute).collect(),
            role_arn: self.role_arn,
            retry_secs: u32::try_from(retry).unwrap_or(0),
            all_data: self.s3_backup_mode.and_then(|mode| mode.known()) == Some(BackupMode::AllData),
            backup: self.s3_configuration.unwrap_or_default().configured(),
        }
    }
}

/// `HttpEndpointDestinationDescription` of the AWS model: without the access key.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct HttpEndpointDescription {
    endpoint_configuration: ConfigurationDescription,
    buffering_hints: Hints,
    #[serde(skip_serializing_if = "Option::is_none")]
    cloud_watch_logging_options: Option<Logging>,
    request_configuration: RequestDescription,
    #[serde(rename = "RoleARN", skip_serializing_if = "Option::is_none")]
    role_arn: Option<String>,
    retry_options: Retry,
    s3_backup_mode: &'static str,
    s3_destination_description: BucketDescription,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ConfigurationDescription {
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RequestDescription {
    content_encoding: &'static str,
    common_attributes: Vec<Attribute>,
}

impl From<&HttpTarget> for HttpEndpointDescription {
    fn from(target: &HttpTarget) -> Self {
        let attribute = |(name, value): &(String, Secret)| Attribute {
            attribute_name: Some(name.clone()),
            attribute_value: Some(value.expose().to_owned()),
        };
        Self {
            endpoint_configuration: ConfigurationDescription {
                url: target.url.expose().to_owned(),
                name: target.name.clone(),
            },
            buffering_hints: target.buffer.into(),
            cloud_watch_logging_options: target.logging.as_ref().map(Logging::from),
            request_configuration: RequestDescription {
                content_encoding: match target.encoding {
                    Some(ContentEncoding::Gzip) => "GZIP",
                    Some(ContentEncoding::None) | None => "NONE",
                },
                common_attributes: target.attributes.iter().map(attribute).collect(),
            },
            role_arn: target.role_arn.clone(),
            retry_options: Retry { secs: Some(target.retry_secs.into()) },
            s3_backup_mode: if target.all_data { "AllData" } else { "FailedDataOnly" },
            s3_destination_description: (&target.backup).into(),
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::super::s3::tests::{sample_description, sample_target};
    use super::*;

    /// With every member.
    pub fn sample_endpoint() -> HttpEndpointDescription {
        let backup = sample_target();
        let target = HttpTarget {
            url: Secret::new("https://example/in"),
            name: Some("n".into()),
            access_key: Some(Secret::new("canary")),
            buffer: backup.buffer,
            logging: backup.logging.clone(),
            encoding: Some(ContentEncoding::Gzip),
            attributes: vec![("a".into(), Secret::new("b"))],
            role_arn: Some("r".into()),
            retry_secs: 1,
            all_data: true,
            backup,
        };
        let described = HttpEndpointDescription::from(&target);
        HttpEndpointDescription { s3_destination_description: sample_description(), ..described }
    }

    #[test]
    fn the_access_key_is_not_told() {
        assert!(!serde_json::to_string(&sample_endpoint()).unwrap().contains("canary"));
    }
}
