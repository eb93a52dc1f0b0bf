//! Object stores, and the names of objects.

#[cfg(feature = "s3")]
pub(crate) mod s3;
mod settings;

use base::Timestamp;
use bytes::Bytes;
use catalog::{Compression, Delivery, S3Target};
use futures::future::BoxFuture;
use time::macros::format_description;

use crate::destination::Failure;
use crate::identity::Identity;
pub use settings::{StoreCredentials, StoreSettings};

/// An object to be stored.
#[derive(Clone, Debug)]
pub struct Object {
    /// Its name in the bucket.
    pub key: String,
    /// What it holds.
    pub body: Bytes,
    /// The key that the store is told to encrypt with.
    pub kms_key_arn: Option<String>,
}

/// A store that takes objects whole.
pub trait ObjectStore: Send + Sync {
    /// Stores an object durably, in place of one that may have its name.
    ///
    /// # Errors
    /// [`Failure`] says why not; it may have been stored all the same.
    fn put<'a>(&'a self, bucket: &'a str, object: Object) -> BoxFuture<'a, Result<(), Failure>>;
}

/// Stands where a build has no store: delivery streams from another build wait, and tell why.
pub(crate) struct NoStore;

impl ObjectStore for NoStore {
    fn put<'a>(&'a self, bucket: &'a str, object: Object) -> BoxFuture<'a, Result<(), Failure>> {
        let text = format!(
            "object {} not stored in bucket {bucket}: this server was built without S3; use a build with the \
             cargo feature s3",
            object.key
        );
        Box::pin(async { Err(Failure { code: "S3.NotOffered", text, is_final: false }) })
    }
}

/// `PREFIX STREAM-VERSION-yyyy-MM-dd-HH-mm-ss-UUID EXTENSION`, without the spaces.
pub(crate) fn object_name(
    prefix: String,
    delivery: &Delivery,
    oldest: Timestamp,
    identity: &Identity,
    target: &S3Target,
) -> String {
    let (stream, version) = (&delivery.configuration.name, delivery.version);
    let form = format_description!("[year]-[month]-[day]-[hour]-[minute]-[second]");
    let date = oldest.to_utc().format(&form).expect("a timestamp holds every field of the format");
    let extension = match &target.file_extension {
        Some(extension) => extension.as_str(),
        None if is_gzip(target) => ".gz",
        None => "",
    };
    format!("{prefix}{stream}-{version}-{date}-{}{extension}", identity.uuid())
}

/// Whether objects are compressed.
pub(crate) fn is_gzip(target: &S3Target) -> bool {
    match target.compression {
        Compression::Gzip => true,
        Compression::Uncompressed => false,
    }
}
