//! Names and numbers of streams.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The number by which the log, the keys and the indexes know a stream. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StreamId(pub u64);

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A stream's name: `[a-zA-Z0-9_.-]{1,256}` (CreateStream, Kinesis Video Streams). Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamName(Arc<str>);

/// Not a stream name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a stream name: use 1 to 256 of a-z A-Z 0-9 _ . -")]
pub struct NameError(String);

impl StreamName {
    /// Checks and takes a name.
    pub fn new(name: &str) -> Result<Self, NameError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        let dots_only = name.bytes().all(|b| b == b'.');
        if name.is_empty() || name.len() > 256 || dots_only || !name.bytes().all(allowed) {
            return Err(NameError(name.chars().take(300).collect()));
        }
        Ok(Self(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for StreamName {
    type Error = NameError;
    fn try_from(name: String) -> Result<Self, NameError> {
        Self::new(&name)
    }
}

impl From<StreamName> for String {
    fn from(name: StreamName) -> Self {
        name.0.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_aws_takes_and_no_path_tricks() {
        for good in ["a", "front.door_1-b", &"x".repeat(256)] {
            assert!(StreamName::new(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "ä", &"x".repeat(257)] {
            assert!(StreamName::new(bad).is_err(), "{bad}");
        }
    }
}
