//! Sources: where the media of a stream is pulled from.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{StreamId, Timestamp, TimestampSource};
use serde::{Deserialize, Serialize};

use crate::{CatalogError, Edge, Secret};

/// Bytes of a source's URL.
const URL_BYTES: usize = 4096;

/// Every source that is set, by its stream.
pub type Sources = Arc<BTreeMap<StreamId, Arc<Source>>>;

/// How a camera is asked to send its packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceTransport {
    /// Over the RTSP connection; over UDP where the camera refuses that.
    #[default]
    Auto,
    /// Over the RTSP connection.
    Tcp,
    /// Over UDP.
    Udp,
}

/// A source: at most one for each stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The stream that is recorded from it.
    pub stream: StreamId,
    /// Where it is and how to sign in there, as it was given.
    pub url: Secret,
    /// How its packets come.
    pub transport: SourceTransport,
    /// Which clock names producer timestamps.
    pub timestamps: TimestampSource,
    /// When it was set.
    pub set: Timestamp,
    /// The edge configuration that it is the source of, where an AWS client set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge: Option<Edge>,
}

/// A source to be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSource {
    /// See [`Source::url`]: 1 to 4096 bytes. What it has to look like is the puller's business.
    pub url: Secret,
    /// See [`Source::transport`].
    pub transport: SourceTransport,
    /// See [`Source::timestamps`].
    pub timestamps: TimestampSource,
}

impl NewSource {
    /// Whether everything is within its limits.
    pub(crate) fn check(&self) -> Result<(), CatalogError> {
        check_url("url", &self.url)
    }

    pub(crate) fn set(self, stream: StreamId, now: Timestamp) -> Source {
        let Self { url, transport, timestamps } = self;
        Source { stream, url, transport, timestamps, set: now, edge: None }
    }
}

impl Source {
    /// Whether it says what `new` asks for.
    pub(crate) fn is(&self, new: &NewSource) -> bool {
        let given = (&self.url, self.transport, self.timestamps);
        self.edge.is_none() && given == (&new.url, new.transport, new.timestamps)
    }

    /// Whether its URL is the one in this secret.
    pub(crate) fn names_secret(&self, arn: &str) -> bool {
        self.edge.as_ref().is_some_and(|edge| edge.secret_arn == arn)
    }
}

/// Whether a URL, called `what`, is within its limits.
pub(crate) fn check_url(what: &'static str, url: &Secret) -> Result<(), CatalogError> {
    if (1..=URL_BYTES).contains(&url.expose().len()) {
        return Ok(());
    }
    Err(CatalogError::Invalid { what, why: format!("1 to {URL_BYTES} bytes") })
}
