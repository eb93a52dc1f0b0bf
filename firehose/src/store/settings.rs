//! Where the buckets are that the environment does not say it of.

use base::StreamName;
use catalog::{Secret, StreamGlob};

/// A store, and the buckets that are in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSettings {
    /// Which buckets; the first settings that match are taken.
    pub buckets: StreamGlob,
    /// The URL of the store; else as without these settings.
    pub endpoint: Option<String>,
    /// The region that requests are signed for; else as without these settings.
    pub region: Option<String>,
    /// Who we are; else as without these settings.
    pub credentials: Option<StoreCredentials>,
    /// Whether buckets are named in the path and not in the host; with an endpoint unless said otherwise.
    pub path_style: Option<bool>,
}

/// An access key of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreCredentials {
    /// Its id.
    pub access_key_id: String,
    /// What proves it.
    pub secret_access_key: Secret,
}

impl StoreSettings {
    /// Whether the bucket is one of them.
    pub fn has(&self, bucket: &str) -> bool {
        // Names of buckets are made of the characters that names of streams have.
        StreamName::new(bucket).is_ok_and(|name| self.buckets.matches(&name))
    }
}
