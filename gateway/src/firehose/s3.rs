//! Buckets: `S3DestinationConfiguration` and `ExtendedS3DestinationConfiguration`, in and out.

use ::firehose::Prefix;
use catalog::{BufferHints, Compression, DeliveryLogging, S3Target};
use serde::{Deserialize, Serialize};

use super::patterns::{
    BUCKET_ARN, FILE_EXTENSION, KEY_OR_ALIAS_ARN, LOG_GROUP, LOG_STREAM, ONE_LINE, ROLE_ARN, TIME_ZONE,
};
use crate::aws::check::Check;
use crate::aws::values::{Choice, Closed};

/// The hints where none are given.
pub const DEFAULT_HINTS: BufferHints = BufferHints { size_mib: 5, interval_secs: 300 };

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

    /// What is said, over what was there.
    pub fn merged(self, old: BufferHints) -> BufferHints {
        let whole = |value: Option<i64>, old| value.map_or(old, |value| u32::try_from(value).unwrap_or(0));
        BufferHints {
            size_mib: whole(self.size, old.size_mib),
            interval_secs: whole(self.interval, old.interval_secs),
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
        self.check_members(check, true);
        let (prefix, error) = (self.prefix.as_deref(), self.error_output_prefix.as_deref());
        if let Err(why) = check_prefixes(prefix, error) {
            check.refuse(why);
        }
    }

    /// [`Self::check`] of a change: what is not said stays as it is.
    pub fn check_update(&self, check: &mut Check) {
        self.check_members(check, false);
    }

    fn check_members(&self, check: &mut Check, whole: bool) {
        let (role, bucket) = (self.role_arn.as_deref(), self.bucket_arn.as_deref());
        check.text("RoleARN", role).required_if(whole).length(1, 512).pattern(ROLE_ARN);
        check.text("BucketARN", bucket).required_if(whole).length(1, 2048).pattern(BUCKET_ARN);
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
    }

    /// As it is kept: what is said, over what was there. It passed the check.
    pub fn merged(self, old: Option<&S3Target>) -> S3Target {
        let mut target = old.cloned().unwrap_or_else(unsaid);
        set(&mut target.role_arn, self.role_arn);
        set(&mut target.bucket_arn, self.bucket_arn);
        set(&mut target.prefix, self.prefix.map(Some));
        set(&mut target.error_prefix, self.error_output_prefix.map(Some));
        let hints = self.buffering_hints.map(|hints| hints.merged(target.buffer));
        set(&mut target.buffer, hints);
        let format = self.compression_format.and_then(|format| format.known());
        let compression =
            |format| if format == Format::Gzip { Compression::Gzip } else { Compression::Uncompressed };
        set(&mut target.compression, format.map(compression));
        let key = |encryption: Encryption| encryption.kms.and_then(|kms| kms.key);
        set(&mut target.kms_key_arn, self.encryption_configuration.map(key));
        let logging = self.cloud_watch_logging_options.map(Logging::configured);
        set(&mut target.logging, logging.map(Some));
        target
    }
}

/// Puts a value in the place of another one, where it was said.
pub fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

/// A bucket of which nothing was said yet.
fn unsaid() -> S3Target {
    S3Target {
        role_arn: String::new(),
        bucket_arn: String::new(),
        prefix: None,
        error_prefix: None,
        buffer: DEFAULT_HINTS,
        compression: Compression::Uncompressed,
        kms_key_arn: None,
        logging: None,
        file_extension: None,
        time_zone: None,
    }
}

fn check_prefixes(prefix: Option<&str>, error: Option<&str>) -> Result<(), String> {
    let read = Prefix::of_records(prefix, error).and_then(|_| Prefix::of_errors(error, prefix));
    read.map(drop).map_err(|why| why.to_string())
}

/// Whether a bucket that was changed is whole: one that was not there before has to be given whole.
///
/// # Errors
/// What is missing, or does not go together.
pub fn check_whole(target: &S3Target) -> Result<(), String> {
    for (name, value) in [("RoleARN", &target.role_arn), ("BucketARN", &target.bucket_arn)] {
        if value.is_empty() {
            return Err(format!("{name} must be given: there is no value of it that could be kept."));
        }
    }
    check_prefixes(target.prefix.as_deref(), target.error_prefix.as_deref())
}

/// What `ExtendedS3DestinationConfiguration` and `ExtendedS3DestinationUpdate` of the AWS model share.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Extension {
    processing_configuration: Option<Switched>,
    s3_backup_mode: Option<Choice<BackupMode>>,
    data_format_conversion_configuration: Option<Switched>,
    dynamic_partitioning_configuration: Option<Switched>,
    file_extension: Option<String>,
    custom_time_zone: Option<String>,
}

impl Extension {
    /// Names the members, and refuses what is not offered; `backup` names the bucket for the copies.
    fn check(&self, check: &mut Check, backup: impl FnOnce(&mut Check)) {
        let processing = self.processing_configuration.as_ref();
        check.not_offered("ProcessingConfiguration", Switched::on(processing));
        check.choice("S3BackupMode", self.s3_backup_mode.as_ref());
        backup(check);
        let conversion = self.data_format_conversion_configuration.as_ref();
        check.not_offered("DataFormatConversionConfiguration", Switched::on(conversion));
        let partitioning = self.dynamic_partitioning_configuration.as_ref();
        check.not_offered("DynamicPartitioningConfiguration", Switched::on(partitioning));
        check.text("FileExtension", self.file_extension.as_deref()).length(0, 128).pattern(FILE_EXTENSION);
        check.text("CustomTimeZone", self.custom_time_zone.as_deref()).length(0, 50).pattern(TIME_ZONE);
        if !is_utc(self.custom_time_zone.as_deref().unwrap_or_default()) {
            check.refuse("CustomTimeZone: only UTC is offered.");
        }
    }

    fn backup_mode(&self) -> Option<BackupMode> {
        self.s3_backup_mode.as_ref().and_then(Choice::known)
    }

    fn merge(self, target: &mut S3Target) {
        let said = |text: String| (!text.is_empty()).then_some(text);
        set(&mut target.file_extension, self.file_extension.map(said));
        set(&mut target.time_zone, self.custom_time_zone.map(said));
    }
}

/// `ExtendedS3DestinationConfiguration` of the AWS model.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ExtendedBucket {
    #[serde(flatten)]
    bucket: Bucket,
    #[serde(flatten)]
    extension: Extension,
    s3_backup_configuration: Option<Bucket>,
}

impl ExtendedBucket {
    /// Names the members, and refuses what is not offered.
    pub fn check(&self, check: &mut Check) {
        self.bucket.check(check);
        let backup = self.s3_backup_configuration.as_ref();
        self.extension.check(check, |check| {
            check.structure("S3BackupConfiguration", backup, false, Bucket::check);
        });
        if self.is_backed_up() && backup.is_none() {
            check.refuse("S3BackupConfiguration must be given with S3BackupMode Enabled.");
        }
    }

    fn is_backed_up(&self) -> bool {
        self.extension.backup_mode() == Some(BackupMode::Enabled)
    }

    /// As it is kept: the bucket, and the one for the copies. It passed the check.
    pub fn configured(self) -> (S3Target, Option<S3Target>) {
        let backed_up = self.is_backed_up();
        let backup = self.s3_backup_configuration.filter(|_| backed_up).map(|bucket| bucket.merged(None));
        let mut target = self.bucket.merged(None);
        self.extension.merge(&mut target);
        (target, backup)
    }
}

/// `ExtendedS3DestinationUpdate` of the AWS model.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ExtendedBucketUpdate {
    #[serde(flatten)]
    bucket: Bucket,
    #[serde(flatten)]
    extension: Extension,
    s3_backup_update: Option<Bucket>,
}

impl ExtendedBucketUpdate {
    /// Names the members, and refuses what is not offered.
    pub fn check(&self, check: &mut Check) {
        self.bucket.check_update(check);
        let backup = self.s3_backup_update.as_ref();
        self.extension.check(check, |check| {
            check.structure("S3BackupUpdate", backup, false, Bucket::check_update);
        });
    }

    /// What is said, over what was there.
    ///
    /// # Errors
    /// A backup cannot be switched off.
    pub fn merged(
        self,
        old: Option<&S3Target>,
        old_backup: Option<&S3Target>,
    ) -> Result<(S3Target, Option<S3Target>), String> {
        let mode = self.extension.backup_mode();
        if old_backup.is_some() && mode == Some(BackupMode::Disabled) {
            return Err("S3BackupMode cannot be changed from Enabled to Disabled.".to_owned());
        }
        let backed_up = old_backup.is_some() || mode == Some(BackupMode::Enabled);
        let backup = backed_up.then(|| self.s3_backup_update.unwrap_or_default().merged(old_backup));
        let mut target = self.bucket.merged(old);
        self.extension.merge(&mut target);
        Ok((target, backup))
    }
}

/// Whether a time zone is UTC under one of its names.
fn is_utc(zone: &str) -> bool {
    let name = zone.strip_prefix("Etc/").unwrap_or(zone);
    matches!(name, "" | "UTC" | "UCT" | "GMT" | "Zulu" | "Universal" | "Greenwich")
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
