//! Edge configurations: sources that AWS clients set, naming their URL by a secret's ARN.

use base::Timestamp;
use serde::{Deserialize, Serialize};

/// What an edge configuration says besides where the media is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    /// The device that the client says records, an IoT thing. Every one of them is this server.
    pub hub_device_arn: String,
    /// The secret that holds the source's URL: [`crate::MediaSecret::arn`].
    pub secret_arn: String,
    /// When to record; `None` for always.
    pub schedule: Option<EdgeSchedule>,
    /// For how many hours the device is to keep footage, where that was said.
    pub retention_hours: Option<u32>,
    /// Whether footage is to go from the device once the stream has it, where that was said.
    pub delete_after_upload: Option<bool>,
    /// When the stream's edge configuration was first set.
    pub created: Timestamp,
}

/// When to record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeSchedule {
    /// Quartz's cron expression for when a recording starts. What it has to look like is the puller's business.
    pub expression: String,
    /// How long it goes on, in seconds.
    pub duration_secs: u32,
}

/// An edge configuration to be set: [`Edge`] without what the catalog adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEdge {
    /// See [`Edge::hub_device_arn`].
    pub hub_device_arn: String,
    /// See [`Edge::secret_arn`].
    pub secret_arn: String,
    /// See [`Edge::schedule`].
    pub schedule: Option<EdgeSchedule>,
    /// See [`Edge::retention_hours`].
    pub retention_hours: Option<u32>,
    /// See [`Edge::delete_after_upload`].
    pub delete_after_upload: Option<bool>,
}

impl NewEdge {
    pub(crate) fn set(self, created: Timestamp) -> Edge {
        let Self { hub_device_arn, secret_arn, schedule, retention_hours, delete_after_upload } = self;
        Edge { hub_device_arn, secret_arn, schedule, retention_hours, delete_after_upload, created }
    }
}
