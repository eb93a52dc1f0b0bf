//! Buckets: `S3DestinationConfiguration` and `ExtendedS3DestinationConfiguration`, in and out.

use ::firehose::Prefix;
use catalog::{BufferHints, Compression, DeliveryLogging, S3Target};
use serde::{Deserialize, Serialize};

use super::patterns::{
    BUCKET_ARN, FILE_EXTENSION, KEY_OR_ALIAS_ARN, LOG_GROUP, LOG_STREAM, ONE_LINE, ROLE_ARN, TIME_ZONE,
};
use crate::aws::check::Check;
use crate::aws::values::{Choice, Closed};

/// The default hints.
const SIZE_MIB: i64 = 5;
const INTERVAL_SECS: i64 = 300;

/// `CompressionFormat` of the AWS model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Uncompressed,
    Gzip,
    Zip,
    Snappy,
    HadoopSnappy,
}

impl Closed for Format {
    const VALUES: &'static [(&'static str, Self)] = &[
        ("UNCOMPRESSED", Self::Uncompressed),
        ("GZIP", Self::Gzip),
        ("ZIP", Self::Zip),
        ("Snappy", Self::Snappy),
        ("HADOOP_SNAPPY", Self::HadoopSnappy),
    ];
}

/// `S3BackupMode` of the AWS model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackupMode {
    /// Nothing.
    Disabled,
    /// All records.
    Enabled,
}

impl Closed for BackupMode {
    const VALUES: &'static [(&'static str, Self)] =
        &[("Disabled", Self::Disabled), ("Enabled", Self::Enabled)];
}

/// `NoEncryptionConfig` of the AWS model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct NoEncryption;

impl Closed for NoEncryption {
    const VALUES: &'static [(&'static str, Self)] = &[("NoEncryption", Self)];
}

/// `BufferingHints` of the AWS model, in and out.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Hints {
    #[serde(rename = "SizeInMBs")]
    size: Option<i64>,
    #[serde(rename = "IntervalInSeconds")]
    interval: Option<i64>,
}

impl Hints {
    /// Names the members.
    pub fn check(&self, check: &mut Check, most: i64) {
        check.number("SizeInMBs", self.size.as_ref()).range(1, Some(most));
        check.number("IntervalInSeconds", self.interval.as_ref()).range(0, Some(900));
    }

    /// With the defaults for what is not said.
    pub fn configured(hints: Option<Self>) -> BufferHints {
        let hints = hints.unwrap_or_default();
        let whole = |value: Option<i64>, default| u32::try_from(value.unwrap_or(default)).unwrap_or(0);
        BufferHints {
            size_mib: whole(hints.size, SIZE_MIB),
            interval_secs: whole(hints.interval, INTERVAL_SECS),
        }
    }
}

impl From<BufferHints> for Hints {
    fn from(hints: BufferHints) -> Self {
        Self { size: Some(hints.size_mib.into()), interval: Some(hints.interval_secs.into()) }
    }
}

/// `CloudWatchLoggingOptions` of the AWS model, in and out.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Logging {
    #[serde(skip_serializing_if = "Option::is_none")]
    enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_group_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_stream_name: Option<String>,
}

impl Logging {
    /// Names the members.
    pub fn check(&self, check: &mut Check) {
        check.boolean("Enabled", self.enabled.as_ref());
        check.text("LogGroupName", self.log_group_name.as_deref()).length(0, 512).pattern(LOG_GROUP);
        check.text("LogStreamName", self.log_stream_name.as_deref()).length(0, 512).pattern(LOG_STREAM);
    }

    /// As it is kept.
    pub fn configured(self) -> DeliveryLogging {
        let Self { enabled, log_group_name: group, log_stream_name: stream } = self;
        DeliveryLogging { enabled: enabled.unwrap_or(false), group, stream }
    }
}

impl From<&DeliveryLogging> for Logging {
    fn from(logging: &DeliveryLogging) -> Self {
        Self {
            enabled: Some(logging.enabled),
            log_group_name: logging.group.clone(),
            log_stream_name: logging.stream.clone(),
        }
    }
}

/// `EncryptionConfiguration` of the AWS model.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Encryption {
    #[serde(rename = "NoEncryptionConfig")]
    none: Option<Choice<NoEncryption>>,
    #[serde(rename = "KMSEncryptionConfig")]
    kms: Option<Kms>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Kms {
    #[serde(rename = "AWSKMSKeyARN")]
    key: Option<String>,
}

/// A processor, a conversion, a partitioning, a secret: offered where it is switched off.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Switched {
    enabled: Option<bool>,
}

impl Switched {
    /// Itself, where it is not switched off.
    pub fn on(switched: Option<&Self>) -> Option<&Self> {
        switched.filter(|switched| switched.enabled != Some(false))
    }
}

/// `S3DestinationConfiguration` of the AWS model.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Bucket {
    #[serde(rename = "RoleARN")]
    role_arn: Option<String>,
    #[serde(rename = "BucketARN")]
    bucket_arn: Option<String>,
    prefix: Option<String>,
    error_output_prefix: Option<String>,
    buffering_hints: Option<Hints>,
    compression_format: Option<Choice<Format>>,
    encryption_configuration: Option<Encryption>,
    cloud_watch_logging_options: Option<Logging>,
}

impl Bucket {
    /// Names the members, and refuses what is not offered.
    pub fn check(&self, check: &mut Check) {
        check.text("RoleARN", self.role_arn.as_deref()).required().length(1, 512).pattern(ROLE_ARN);
        check.text("BucketARN", self.bucket_arn.as_deref()).required().length(1, 2048).pattern(BUCKET_ARN);
        check.text("Prefix", self.prefix.as_deref()).length(0, 1024).pattern(ONE_LINE);
        let error_prefix = self.error_output_prefix.as_deref();
        check.text("ErrorOutputPrefix", error_prefix).length(0, 1024).pattern(ONE_LINE);
        check.structure("BufferingHints", self.buffering_hints.as_ref(), false, |hints, check| {
            hints.check(check, 128);
        });
        check.choice("CompressionFormat", self.compression_format.as_ref());
        check.structure(
            "EncryptionConfiguration",
            self.encryption_configuration.as_ref(),
            false,
            |it, check| {
                check.choice("NoEncryptionConfig", it.none.as_ref());
                check.structure("KMSEncryptionConfig", it.kms.as_ref(), false, |kms, check| {
                    let rule = check.text("AWSKMSKeyARN", kms.key.as_deref()).required().length(1, 512);
                    rule.pattern(KEY_OR_ALIAS_ARN);
                });
            },
        );
        let logging = self.cloud_watch_logging_options.as_ref();
        check.structure("CloudWatchLoggingOptions", logging, false, Logging::check);
        self.refuse(check);
    }

    fn refuse(&self, check: &mut Check) {
        match self.compression_format.as_ref().and_then(Choice::known) {
            Some(Format::Zip | Format::Snappy | Format::HadoopSnappy) => {
                check.refuse("CompressionFormat: only UNCOMPRESSED and GZIP are offered.");
            }
            Some(Format::Uncompressed | Format::Gzip) | None => {}
        }
        let encryption = self.encryption_configuration.as_ref();
        if encryption.is_some_and(|encryption| encryption.none.is_some() && encryption.kms.is_some()) {
            check.refuse("EncryptionConfiguration has both NoEncryptionConfig and KMSEncryptionConfig.");
        }
        let (prefix, error) = (self.prefix.as_deref(), self.error_output_prefix.as_deref());
        let read = Prefix::of_records(prefix, error).and_then(|_| Prefix::of_errors(error, prefix));
        if let Err(why) = read {
            check.refuse(why.to_string());
        }
    }

    /// As it is kept. It passed the check.
    pub fn configured(self) -> S3Target {
        let gzip = self.compression_format.and_then(|format| format.known()) == Some(Format::Gzip);
        S3Target {
            role_arn: self.role_arn.unwrap_or_default(),
            bucket_arn: self.bucket_arn.unwrap_or_default(),
            prefix: self.prefix,
            error_prefix: self.error_output_prefix,
            buffer: Hints::configured(self.buffering_hints),
            compression: if gzip { Compression::Gzip } else { Compression::Uncompressed },
            kms_key_arn: self.encryption_configuration.and_then(|encryption| encryption.kms?.key),
            logging: self.cloud_watch_logging_options.map(Logging::configured),
            file_extension: None,
            time_zone: None,
        }
    }
}

/// `ExtendedS3DestinationConfiguration` of the AWS model.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ExtendedBucket {
    #[serde(flatten)]
    bucket: Bucket,
    processing_configuration: Option<Switched>,
    s3_backup_mode: Option<Choice<BackupMode>>,
    s3_backup_configuration: Option<Bucket>,
    data_format_conversion_configuration: Option<Switched>,
    dynamic_partitioning_configuration: Option<Switched>,
    file_extension: Option<String>,
    custom_time_zone: Option<String>,
}

impl ExtendedBucket {
    /// Names the members, and refuses what is not offered.
    pub fn check(&self, check: &mut Check) {
        self.bucket.check(check);
        let processing = self.processing_configuration.as_ref();
        check.not_offered("ProcessingConfiguration", Switched::on(processing));
        check.choice("S3BackupMode", self.s3_backup_mode.as_ref());
        check.structure("S3BackupConfiguration", self.s3_backup_configuration.as_ref(), false, Bucket::check);
        let conversion = self.data_format_conversion_configuration.as_ref();
        check.not_offered("DataFormatConversionConfiguration", Switched::on(conversion));
        let partitioning = self.dynamic_partitioning_configuration.as_ref();
        check.not_offered("DynamicPartitioningConfiguration", Switched::on(partitioning));
        check.text("FileExtension", self.file_extension.as_deref()).length(0, 128).pattern(FILE_EXTENSION);
        check.text("CustomTimeZone", self.custom_time_zone.as_deref()).length(0, 50).pattern(TIME_ZONE);
        if !is_utc(self.custom_time_zone.as_deref().unwrap_or_default()) {
            check.refuse("CustomTimeZone: only UTC is offered.");
        }
        if self.is_backed_up() && self.s3_backup_configuration.is_none() {
            check.refuse("S3BackupConfiguration must be given with S3BackupMode Enabled.");
        }
    }

    fn is_backed_up(&self) -> bool {
        self.s3_backup_mode.as_ref().and_then(Choice::known) == Some(BackupMode::Enabled)
    }

    /// As it is kept: the bucket, and the one for the copies. It passed the check.
    pub fn configured(self) -> (S3Target, Option<S3Target>) {
        let backed_up = self.is_backed_up();
        let backup = self.s3_backup_configuration.filter(|_| backed_up).map(Bucket::configured);
        let target = S3Target {
            file_extension: self.file_extension.filter(|extension| !extension.is_empty()),
            time_zone: self.custom_time_zone.filter(|zone| !zone.is_empty()),
            ..self.bucket.configured()
        };
        (target, backup)
    }
}

/// Whether a time zone is UTC under one of its names.
fn is_utc(zone: &str) -> bool {
    let name = zone.strip_prefix("Etc/").unwrap_or(zone);
    matches!(name, "" | "UTC" | "UCT" | "GMT" | "Zulu" | "Universal" | "Greenwich")
}

/// `S3DestinationDescription` of the AWS model.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct BucketDescription {
    #[serde(rename = "RoleARN")]
    role_arn: String,
    #[serde(rename = "BucketARN")]
    bucket_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_output_prefix: Option<String>,
    buffering_hints: Hints,
    compression_format: &'static str,
    encryption_configuration: EncryptionDescription,
    #[serde(skip_serializing_if = "Option::is_none")]
    cloud_watch_logging_options: Option<Logging>,
}

#[derive(Debug, Serialize)]
struct EncryptionDescription {
    #[serde(rename = "NoEncryptionConfig", skip_serializing_if = "Option::is_none")]
    none: Option<&'static str>,
    #[serde(rename = "KMSEncryptionConfig", skip_serializing_if = "Option::is_none")]
    kms: Option<KmsDescription>,
}

#[derive(Debug, Serialize)]
struct KmsDescription {
    #[serde(rename = "AWSKMSKeyARN")]
    key: String,
}

impl From<&S3Target> for BucketDescription {
    fn from(target: &S3Target) -> Self {
        let kms = target.kms_key_arn.clone().map(|key| KmsDescription { key });
        let none = kms.is_none().then_some("NoEncryption");
        Self {
            role_arn: target.role_arn.clone(),
            bucket_arn: target.bucket_arn.clone(),
            prefix: target.prefix.clone(),
            error_output_prefix: target.error_prefix.clone(),
            buffering_hints: target.buffer.into(),
            compression_format: match target.compression {
                Compression::Uncompressed => "UNCOMPRESSED",
                Compression::Gzip => "GZIP",
            },
            encryption_configuration: EncryptionDescription { none, kms },
            cloud_watch_logging_options: target.logging.as_ref().map(Logging::from),
        }
    }
}

/// `ExtendedS3DestinationDescription` of the AWS model.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ExtendedBucketDescription {
    #[serde(flatten)]
    bucket: BucketDescription,
    s3_backup_mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    s3_backup_description: Option<BucketDescription>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_extension: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_time_zone: Option<String>,
}

impl ExtendedBucketDescription {
    /// Of a bucket, and of the one for the copies.
    pub fn of(target: &S3Target, backup: Option<&S3Target>) -> Self {
        Self {
            bucket: target.into(),
            s3_backup_mode: if backup.is_some() { "Enabled" } else { "Disabled" },
            s3_backup_description: backup.map(BucketDescription::from),
            file_extension: target.file_extension.clone(),
            custom_time_zone: target.time_zone.clone(),
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// With every member.
    pub fn sample_target() -> S3Target {
        S3Target {
            role_arn: "r".into(),
            bucket_arn: "b".into(),
            prefix: Some("p".into()),
            error_prefix: Some("e".into()),
            buffer: BufferHints { size_mib: 1, interval_secs: 0 },
            compression: Compression::Gzip,
            kms_key_arn: Some("k".into()),
            logging: Some(DeliveryLogging {
                enabled: true,
                group: Some("g".into()),
                stream: Some("s".into()),
            }),
            file_extension: Some(".x".into()),
            time_zone: Some("UTC".into()),
        }
    }

    /// With every member, also those that exclude one another.
    pub fn sample_description() -> BucketDescription {
        let mut description = BucketDescription::from(&sample_target());
        description.encryption_configuration.none = Some("NoEncryption");
        description
    }

    /// With every member.
    pub fn sample_extended() -> ExtendedBucketDescription {
        ExtendedBucketDescription {
            bucket: sample_description(),
            s3_backup_description: Some(sample_description()),
            ..ExtendedBucketDescription::of(&sample_target(), None)
        }
    }

    #[test]
    fn only_utc_is_utc() {
        for zone in ["", "UTC", "Etc/UTC", "GMT", "Etc/Zulu"] {
            assert!(is_utc(zone), "{zone}");
        }
        for zone in ["Europe/Berlin", "Etc/GMT+1", "utc"] {
            assert!(!is_utc(zone), "{zone}");
        }
    }
}
