//! Sources: where the media of a stream is pulled from.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{StreamId, Timestamp, TimestampSource};
use serde::{Deserialize, Serialize};

use crate::{CatalogError, Secret};

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
        if (1..=URL_BYTES).contains(&self.url.expose().len()) {
            return Ok(());
        }
        Err(CatalogError::Invalid { what: "url", why: format!("1 to {URL_BYTES} bytes") })
    }

    pub(crate) fn set(self, stream: StreamId, now: Timestamp) -> Source {
        let Self { url, transport, timestamps } = self;
        Source { stream, url, transport, timestamps, set: now }
    }
}

impl Source {
    /// Whether it says what `new` asks for.
    pub(crate) fn is(&self, new: &NewSource) -> bool {
        (&self.url, self.transport, self.timestamps) == (&new.url, new.transport, new.timestamps)
    }
}
