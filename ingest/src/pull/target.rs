//! What a puller is told to do.

use base::TimestampSource;
use catalog::{Source, SourceTransport};

use super::url::{SourceUrl, UrlError};

/// Where to pull from, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) url: SourceUrl,
    pub(super) transport: SourceTransport,
    pub(super) timestamps: TimestampSource,
}

impl Target {
    pub(super) fn of(source: &Source) -> Result<Self, UrlError> {
        let Source { url, transport, timestamps, .. } = source;
        Ok(Self { url: SourceUrl::parse(url.expose())?, transport: *transport, timestamps: *timestamps })
    }
}
