//! Buckets as they are described: `S3DestinationDescription` and `ExtendedS3DestinationDescription`.

use catalog::{Compression, S3Target};
use serde::Serialize;

use super::s3::{Hints, Logging};

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
    use super::super::s3::tests::sample_target;
    use super::*;

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
}
