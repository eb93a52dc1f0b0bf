//! What a request asks to do, in the words of a policy.

use std::fmt;

/// An action as IAM names it: `kinesis:PutRecord`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// As in signatures and ARNs: `kinesisvideo`, `kinesis`; `millrace` for what AWS does not have.
    pub service: &'static str,
    /// The operation that does it, or the AWS operation that does the same.
    pub operation: &'static str,
    /// Whether it goes on with what was asked before: a segment of a playlist.
    pub goes_on: bool,
}

/// Operations that change something begin with these words …
const CHANGES: &[&str] = &[
    "Add",
    "Clear",
    "Create",
    "Decrease",
    "Delete",
    "Deregister",
    "Disable",
    "Enable",
    "Increase",
    "Merge",
    "Put",
    "Register",
    "Remove",
    "Revoke",
    "Rotate",
    "Split",
    "Start",
    "Stop",
    "Tag",
    "Untag",
    "Update",
];
/// … but these are what a service is there for, thousands of times a second.
const DATA: &[&str] = &["PutRecord", "PutRecords", "PutRecordBatch", "PutMedia"];
/// Operations that show or export footage.
const VIEWS: &[&str] = &[
    "GetClip",
    "GetDASHStreamingSessionURL",
    "GetHLSStreamingSessionURL",
    "GetImages",
    "GetMedia",
    "GetMediaForFragmentList",
];

impl Asked {
    /// An action of a service.
    pub const fn new(service: &'static str, operation: &'static str) -> Self {
        Self { service, operation, goes_on: false }
    }

    /// What an operation of a video stream's API does.
    pub const fn video(operation: &'static str) -> Option<Self> {
        Some(Self::new("kinesisvideo", operation))
    }

    /// What goes on with an operation of a video stream's API.
    pub const fn more_video(operation: &'static str) -> Option<Self> {
        Some(Self { goes_on: true, ..Self::new("kinesisvideo", operation) })
    }

    /// What AWS does not have.
    pub const fn own(operation: &'static str) -> Option<Self> {
        Some(Self::new("millrace", operation))
    }

    /// Whether the audit log tells of it: who viewed, exported, changed, deleted.
    pub(super) fn is_audited(self) -> bool {
        let changes = CHANGES.iter().any(|word| self.operation.starts_with(word));
        !self.goes_on && (changes && !DATA.contains(&self.operation) || VIEWS.contains(&self.operation))
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service, self.operation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_and_changes_are_audited() {
        for (operation, audited) in [
            ("DeleteStream", true),
            ("GetClip", true),
            ("PutLabels", true),
            ("PutRecords", false),
            ("DescribeStream", false),
            ("GetRecords", false),
        ] {
            assert_eq!(Asked::new("x", operation).is_audited(), audited, "{operation}");
        }
        assert!(!Asked::more_video("GetHLSStreamingSessionURL").unwrap().is_audited());
    }
}
