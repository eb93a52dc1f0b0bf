//! Values that travel through a client and come back unchanged: session tokens, page tokens, signed
//! URLs, cookies. Sealed under the installation's keys, so that no client can read or forge one and
//! the server keeps none.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use fragment_log::Log;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What a sealed value is for. One that was sealed for another purpose does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The console's cookie.
    ConsoleSession,
    /// `SessionToken` of a playback session (GetHLSStreamingSessionURL).
    PlaybackSession,
    /// `NextToken` of the named AWS operation.
    AwsPage(&'static str),
    /// A shard iterator (GetShardIterator).
    ShardIterator,
    /// `next_cursor` of the native API.
    NativePage,
    /// `cursor` of a data stream's records in the native API.
    RecordCursor,
    /// `POST /v1/streams/{name}/urls`.
    SignedUrl,
    /// The one-time link that signs in.
    SignInLink,
}

impl Purpose {
    fn context(self) -> Vec<u8> {
        let text = match self {
            Self::ConsoleSession => "console-session",
            Self::PlaybackSession => "playback-session",
            Self::AwsPage(operation) => return format!("aws-page:{operation}").into_bytes(),
            Self::ShardIterator => "shard-iterator",
            Self::NativePage => "native-page",
            Self::RecordCursor => "record-cursor",
            Self::SignedUrl => "signed-url",
            Self::SignInLink => "sign-in-link",
        };
        text.as_bytes().to_vec()
    }
}

/// Seals and opens such values.
#[derive(Clone)]
pub struct Sealer(Arc<Log>);

impl Sealer {
    /// With the keys of this log.
    pub fn new(log: Arc<Log>) -> Self {
        Self(log)
    }

    /// A value as URL-safe text: letters, digits, `-` and `_`.
    pub fn seal(&self, purpose: Purpose, value: &impl Serialize) -> String {
        URL_SAFE_NO_PAD.encode(self.seal_bytes(purpose, value))
    }

    /// What [`Self::seal`] sealed, if this is it.
    pub fn open<T: DeserializeOwned>(&self, purpose: Purpose, text: &str) -> Option<T> {
        self.open_bytes(purpose, &URL_SAFE_NO_PAD.decode(text).ok()?)
    }

    /// A value as standard base64: the alphabet that AWS's page tokens keep to.
    pub fn seal_page(&self, purpose: Purpose, value: &impl Serialize) -> String {
        STANDARD.encode(self.seal_bytes(purpose, value))
    }

    /// What [`Self::seal_page`] sealed, if this is it.
    pub fn open_page<T: DeserializeOwned>(&self, purpose: Purpose, text: &str) -> Option<T> {
        self.open_bytes(purpose, &STANDARD.decode(text).ok()?)
    }

    /// Bytes as they are; 41 more than `plain`.
    pub fn seal_raw(&self, purpose: Purpose, plain: &[u8]) -> Vec<u8> {
        self.0.keys().seal_blob(&purpose.context(), plain)
    }

    /// What [`Self::seal_raw`] sealed, if this is it.
    pub fn open_raw(&self, purpose: Purpose, sealed: &[u8]) -> Option<Vec<u8>> {
        self.0.keys().open_blob(&purpose.context(), sealed)
    }

    fn seal_bytes(&self, purpose: Purpose, value: &impl Serialize) -> Vec<u8> {
        let plain = serde_json::to_vec(value).expect("sealed values have text keys and no fallible parts");
        self.seal_raw(purpose, &plain)
    }

    fn open_bytes<T: DeserializeOwned>(&self, purpose: Purpose, sealed: &[u8]) -> Option<T> {
        let plain = self.open_raw(purpose, sealed)?;
        serde_json::from_slice(&plain).ok()
    }
}
