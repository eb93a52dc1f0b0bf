//! HTTP endpoints: `HttpEndpointDestinationConfiguration`, in and out.

use catalog::{ContentEncoding, HttpTarget, Secret};
use serde::{Deserialize, Serialize};

use super::bucket_description::BucketDescription;
use super::patterns::{ENDPOINT_URL, NOT_BLANK, ONE_LINE, ROLE_ARN};
use super::s3::{Bucket, DEFAULT_HINTS, Hints, Logging, Switched, set};
use crate::aws::check::Check;
use crate::aws::values::{Choice, Closed, capped};

/// How long a request is tried again by default, in seconds.
const RETRY_SECS: u32 = 300;
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

impl Attribute {
    fn configured(self) -> (String, Secret) {
        (self.attribute_name.unwrap_or_default(), Secret::new(self.attribute_value.unwrap_or_default()))
    }
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

/// What `HttpEndpointDestinationConfiguration` and `HttpEndpointDestinationUpdate` of the AWS model share.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Members {
    endpoint_configuration: Option<Configuration>,
    buffering_hints: Option<Hints>,
    cloud_watch_logging_options: Option<Logging>,
    request_configuration: Option<RequestConfiguration>,
    processing_configuration: Option<Switched>,
    #[serde(rename = "RoleARN")]
    role_arn: Option<String>,
    retry_options: Option<Retry>,
    s3_backup_mode: Option<Choice<BackupMode>>,
    secrets_manager_configuration: Option<Switched>,
}

impl Members {
    /// Names the members, and refuses what is not offered; `backup` names the bucket.
    fn check(&self, check: &mut Check, whole: bool, backup: impl FnOnce(&mut Check)) {
        let endpoint = self.endpoint_configuration.as_ref();
        check.structure("EndpointConfiguration", endpoint, whole, Configuration::check);
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
        backup(check);
        let secrets = self.secrets_manager_configuration.as_ref();
        check.not_offered("SecretsManagerConfiguration", Switched::on(secrets));
    }

    /// What is said, over what was there; the bucket is another matter. An endpoint is replaced whole: no other one is
    /// told the access key of the one before.
    fn merge(self, target: &mut HttpTarget) {
        if let Some(endpoint) = self.endpoint_configuration {
            target.url = Secret::new(endpoint.url.unwrap_or_default());
            target.name = endpoint.name;
            target.access_key = endpoint.access_key.map(Secret::new);
        }
        let hints = self.buffering_hints.map(|hints| hints.merged(target.buffer));
        set(&mut target.buffer, hints);
        let logging = self.cloud_watch_logging_options.map(Logging::configured);
        set(&mut target.logging, logging.map(Some));
        if let Some(request) = self.request_configuration {
            target.encoding = request.content_encoding.and_then(|encoding| encoding.known());
            let attributes = request.common_attributes.unwrap_or_default();
            target.attributes = attributes.into_iter().map(Attribute::configured).collect();
        }
        set(&mut target.role_arn, self.role_arn.map(Some));
        let retry = self.retry_options.and_then(|retry| retry.secs);
        set(&mut target.retry_secs, retry.and_then(|secs| u32::try_from(secs).ok()));
        let mode = self.s3_backup_mode.and_then(|mode| mode.known());
        set(&mut target.all_data, mode.map(|mode| mode == BackupMode::AllData));
    }
}

/// `HttpEndpointDestinationConfiguration` of the AWS model.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct HttpEndpoint {
    #[serde(flatten)]
    members: Members,
    s3_configuration: Option<Bucket>,
}

impl HttpEndpoint {
    /// Names the members, and refuses what is not offered.
    pub fn check(&self, check: &mut Check) {
        let bucket = self.s3_configuration.as_ref();
        self.members.check(check, true, |check| {
            check.structure("S3Configuration", bucket, true, Bucket::check);
        });
    }

    /// As it is kept. It passed the check.
    pub fn configured(self) -> HttpTarget {
        let mut target = unsaid();
        target.backup = self.s3_configuration.unwrap_or_default().merged(None);
        self.members.merge(&mut target);
        target
    }
}

/// `HttpEndpointDestinationUpdate` of the AWS model.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct HttpEndpointUpdate {
    #[serde(flatten)]
    members: Members,
    s3_update: Option<Bucket>,
}

impl HttpEndpointUpdate {
    /// Names the members, and refuses what is not offered.
    pub fn check(&self, check: &mut Check) {
        let bucket = self.s3_update.as_ref();
        self.members.check(check, false, |check| {
            check.structure("S3Update", bucket, false, Bucket::check_update);
        });
    }

    /// What is said, over what was there.
    pub fn merged(self, old: Option<&HttpTarget>) -> HttpTarget {
        let mut target = old.cloned().unwrap_or_else(unsaid);
        target.backup = self.s3_update.unwrap_or_default().merged(old.map(|old| &old.backup));
        self.members.merge(&mut target);
        target
    }
}

/// An endpoint of which nothing was said yet.
fn unsaid() -> HttpTarget {
    HttpTarget {
        url: Secret::new(""),
        name: None,
        access_key: None,
        buffer: DEFAULT_HINTS,
        logging: None,
        encoding: None,
        attributes: Vec::new(),
        role_arn: None,
        retry_secs: RETRY_SECS,
        all_data: false,
        backup: Bucket::default().merged(None),
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
    use super::super::bucket_description::tests::sample_description;
    use super::super::s3::tests::sample_target;
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
