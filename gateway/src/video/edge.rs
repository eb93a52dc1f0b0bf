//! What the operations of edge configurations share: the configuration as AWS writes it, and as it is kept.
//!
//! The edge agent is this server: what is recorded is in the stream at once, nothing is kept beside it, and
//! a configuration is in force when it is answered.

use std::sync::Arc;

use base::StreamId;
use catalog::{Action, Edge, EdgeSchedule, NewEdge, Source, Stream};
use ingest::pull::{PullHealth, PullState};
use serde::{Deserialize, Serialize};

use super::stream::StreamRef;
use crate::app::App;
use crate::aws::Context;
use crate::aws::check::Check;
use crate::aws::patterns::{HUB_DEVICE_ARN, MEDIA_URI_SECRET_ARN, SCHEDULE};
use crate::aws::values::{Choice, Closed, Epoch};
use crate::exception::{Code, Exception};

/// `EdgeConfig`.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct EdgeConfig {
    hub_device_arn: Option<String>,
    recorder_config: Option<RecorderConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uploader_config: Option<UploaderConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deletion_config: Option<DeletionConfig>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "PascalCase")]
struct RecorderConfig {
    media_source_config: Option<MediaSourceConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule_config: Option<ScheduleConfig>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "PascalCase")]
struct MediaSourceConfig {
    media_uri_secret_arn: Option<String>,
    media_uri_type: Option<Choice<MediaUriType>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MediaUriType {
    Rtsp,
    File,
}

impl Closed for MediaUriType {
    const VALUES: &'static [(&'static str, Self)] = &[("RTSP_URI", Self::Rtsp), ("FILE_URI", Self::File)];
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "PascalCase")]
struct ScheduleConfig {
    schedule_expression: Option<String>,
    duration_in_seconds: Option<i64>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "PascalCase")]
struct UploaderConfig {
    schedule_config: Option<ScheduleConfig>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "PascalCase")]
struct DeletionConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    edge_retention_in_hours: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    local_size_config: Option<LocalSizeConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delete_after_upload: Option<bool>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "PascalCase")]
struct LocalSizeConfig {
    #[serde(rename = "MaxLocalMediaSizeInMB")]
    max_local_media_size_in_mb: Option<i64>,
    strategy_on_full_size: Option<Choice<StrategyOnFullSize>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StrategyOnFullSize {
    DeleteOldest,
    DenyNew,
}

impl Closed for StrategyOnFullSize {
    const VALUES: &'static [(&'static str, Self)] =
        &[("DELETE_OLDEST_MEDIA", Self::DeleteOldest), ("DENY_NEW_MEDIA", Self::DenyNew)];
}

impl EdgeConfig {
    /// Names every member.
    pub fn check(&self, check: &mut Check) {
        check
            .text("HubDeviceArn", self.hub_device_arn.as_deref())
            .required()
            .length(1, 1024)
            .pattern(HUB_DEVICE_ARN);
        check.structure("RecorderConfig", self.recorder_config.as_ref(), true, |recorder, check| {
            check.structure(
                "MediaSourceConfig",
                recorder.media_source_config.as_ref(),
                true,
                |media, check| {
                    check
                        .text("MediaUriSecretArn", media.media_uri_secret_arn.as_deref())
                        .required()
                        .length(20, 2048)
                        .pattern(MEDIA_URI_SECRET_ARN);
                    check.choice("MediaUriType", media.media_uri_type.as_ref()).required();
                },
            );
            check_schedule(recorder.schedule_config.as_ref(), false, check);
        });
        check.structure("UploaderConfig", self.uploader_config.as_ref(), false, |uploader, check| {
            check_schedule(uploader.schedule_config.as_ref(), true, check);
        });
        check.structure("DeletionConfig", self.deletion_config.as_ref(), false, |deletion, check| {
            check
                .number("EdgeRetentionInHours", deletion.edge_retention_in_hours.as_ref())
                .range(1, Some(720));
            check.structure("LocalSizeConfig", deletion.local_size_config.as_ref(), false, |size, check| {
                check
                    .number("MaxLocalMediaSizeInMB", size.max_local_media_size_in_mb.as_ref())
                    .range(64, Some(2_000_000));
                check.choice("StrategyOnFullSize", size.strategy_on_full_size.as_ref());
            });
            check.boolean("DeleteAfterUpload", deletion.delete_after_upload.as_ref());
        });
    }

    /// What is kept of it. `self` passed the check.
    ///
    /// # Errors
    /// InvalidArgument for what is not served, by name: nothing is taken and then ignored.
    pub fn wanted(self, stream: &Stream) -> Result<NewEdge, Exception> {
        let Self { hub_device_arn, recorder_config, uploader_config, deletion_config } = self;
        let RecorderConfig { media_source_config, schedule_config } = recorder_config.unwrap_or_default();
        let MediaSourceConfig { media_uri_secret_arn, media_uri_type } =
            media_source_config.unwrap_or_default();
        if media_uri_type.and_then(|kind| kind.known()) == Some(MediaUriType::File) {
            return Err(Exception::invalid("MediaUriType FILE_URI is not served: use RTSP_URI."));
        }
        if uploader_config.is_some() {
            let text =
                "UploaderConfig is not served: what is recorded is in the stream at once. Leave it out.";
            return Err(Exception::invalid(text));
        }
        let schedule = schedule_config.map(|written| EdgeSchedule {
            expression: written.schedule_expression.unwrap_or_default(),
            duration_secs: small(written.duration_in_seconds).unwrap_or_default(),
        });
        let (retention_hours, delete_after_upload) = deletion_config.unwrap_or_default().wanted(stream)?;
        Ok(NewEdge {
            hub_device_arn: hub_device_arn.unwrap_or_default(),
            secret_arn: media_uri_secret_arn.unwrap_or_default(),
            schedule,
            retention_hours,
            delete_after_upload,
        })
    }
}

fn check_schedule(schedule: Option<&ScheduleConfig>, required: bool, check: &mut Check) {
    check.structure("ScheduleConfig", schedule, required, |schedule, check| {
        check
            .text("ScheduleExpression", schedule.schedule_expression.as_deref())
            .required()
            .length(11, 100)
            .pattern(SCHEDULE);
        check
            .number("DurationInSeconds", schedule.duration_in_seconds.as_ref())
            .required()
            .range(60, Some(3600));
    });
}

impl DeletionConfig {
    /// The stream is the only copy there is: it has to keep footage for as long as the device was to.
    fn wanted(self, stream: &Stream) -> Result<(Option<u32>, Option<bool>), Exception> {
        let hours = small(self.edge_retention_in_hours);
        if hours.is_some_and(|hours| u64::from(hours) * 3600 > stream.retention.as_secs()) {
            return Err(Exception::invalid(
                "EdgeRetentionInHours is longer than the data retention of the stream, which is the only copy: \
                 raise that with UpdateDataRetention.",
            ));
        }
        if self.local_size_config.is_some() {
            return Err(Exception::invalid(
                "LocalSizeConfig is not served: PUT /v1/streams/NAME/retention limits the bytes of a stream.",
            ));
        }
        if self.delete_after_upload == Some(false) {
            let text = "DeleteAfterUpload must be true: nothing is kept beside the stream.";
            return Err(Exception::invalid(text));
        }
        Ok((hours, self.delete_after_upload))
    }
}

/// A number that passed its check.
fn small(number: Option<i64>) -> Option<u32> {
    number.and_then(|number| u32::try_from(number).ok())
}

impl From<&Edge> for EdgeConfig {
    fn from(edge: &Edge) -> Self {
        let schedule = edge.schedule.as_ref().map(|schedule| ScheduleConfig {
            schedule_expression: Some(schedule.expression.clone()),
            duration_in_seconds: Some(schedule.duration_secs.into()),
        });
        let deletion = DeletionConfig {
            edge_retention_in_hours: edge.retention_hours.map(i64::from),
            local_size_config: None,
            delete_after_upload: edge.delete_after_upload,
        };
        let said = edge.retention_hours.is_some() || edge.delete_after_upload.is_some();
        Self {
            hub_device_arn: Some(edge.hub_device_arn.clone()),
            recorder_config: Some(RecorderConfig {
                media_source_config: Some(MediaSourceConfig {
                    media_uri_secret_arn: Some(edge.secret_arn.clone()),
                    media_uri_type: Some(Choice::Known(MediaUriType::Rtsp)),
                }),
                schedule_config: schedule,
            }),
            uploader_config: None,
            deletion_config: said.then_some(deletion),
        }
    }
}

/// A stream's edge configuration: what three operations answer, and entries of ListEdgeAgentConfigurations.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Described {
    stream_name: String,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    creation_time: Epoch,
    last_updated_time: Epoch,
    sync_status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_status_details: Option<String>,
    edge_config: EdgeConfig,
}

impl Described {
    /// `None` for a source that no edge configuration has set.
    pub fn of(app: &App, stream: &Stream, source: &Source) -> Option<Self> {
        let edge = source.edge.as_ref()?;
        let failed = app.pullers.configured(&stream.name).map(|_| {
            "The server's configuration file says where this stream is pulled from, and counts more."
                .to_owned()
        });
        Some(Self {
            stream_name: stream.name.to_string(),
            stream_arn: stream.arn.to_string(),
            creation_time: Epoch(edge.created),
            last_updated_time: Epoch(source.set),
            sync_status: if failed.is_some() { "SYNC_FAILED" } else { "IN_SYNC" },
            failed_status_details: failed,
            edge_config: EdgeConfig::from(edge),
        })
    }
}

/// `EdgeAgentStatus`: how recording is doing. There is no uploader.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AgentStatus {
    last_recorder_status: RecorderStatus,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RecorderStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    job_status_details: Option<String>,
    last_collected_time: Epoch,
    last_updated_time: Epoch,
    recorder_status: &'static str,
}

impl AgentStatus {
    /// `None` before media or a failure has come, and while the schedule says not to record.
    pub fn of(app: &App, stream: StreamId) -> Option<Self> {
        let health = app.pullers.health(stream)?;
        let PullHealth { state, since, reason, action_needed, .. } = health;
        let recorder_status = match state {
            PullState::Online => "SUCCESS",
            PullState::Waiting | PullState::Connecting if reason.is_none() => return None,
            PullState::Waiting | PullState::Connecting if action_needed => "USER_ERROR",
            PullState::Waiting | PullState::Connecting => "SYSTEM_ERROR",
        };
        let job_status_details = reason.filter(|_| state != PullState::Online);
        let (last_collected_time, last_updated_time) = (Epoch(app.clock.now()), Epoch(since));
        let last_recorder_status =
            RecorderStatus { job_status_details, last_collected_time, last_updated_time, recorder_status };
        Some(Self { last_recorder_status })
    }
}

/// The stream, if it exists and the caller may do this to it.
///
/// # Errors
/// As [`StreamRef::find`], with the AccessDenied of these operations.
pub fn find(stream: &StreamRef, context: &Context) -> Result<Arc<Stream>, Exception> {
    stream.find(context, Action::Manage).map_err(|exception| match exception.code {
        Code::AccessDenied => Exception::new(Code::EdgeAccessDenied, exception.message),
        _ => exception,
    })
}

#[cfg(test)]
pub mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::aws::check::Check;
    use crate::video::stream::tests::sample_stream;

    /// With every member filled, also those that are never answered.
    pub fn sample() -> Value {
        let schedule = json!({ "ScheduleExpression": "0 0 12 * * ?", "DurationInSeconds": 60 });
        let config = json!({
            "HubDeviceArn": "arn:aws:iot:us-east-1:000000000000:thing/hub",
            "RecorderConfig": {
                "MediaSourceConfig": {
                    "MediaUriSecretArn": "arn:aws:secretsmanager:us-east-1:000000000000:secret:door-aB3dE9",
                    "MediaUriType": "RTSP_URI",
                },
                "ScheduleConfig": schedule,
            },
            "UploaderConfig": { "ScheduleConfig": schedule },
            "DeletionConfig": {
                "EdgeRetentionInHours": 1,
                "LocalSizeConfig": {
                    "MaxLocalMediaSizeInMB": 64, "StrategyOnFullSize": "DELETE_OLDEST_MEDIA",
                },
                "DeleteAfterUpload": true,
            },
        });
        let stream = sample_stream();
        let described = Described {
            stream_name: stream.name.to_string(),
            stream_arn: stream.arn.to_string(),
            creation_time: Epoch(stream.created),
            last_updated_time: Epoch(stream.created),
            sync_status: "IN_SYNC",
            failed_status_details: Some("why".into()),
            edge_config: serde_json::from_value(config).unwrap(),
        };
        serde_json::to_value(described).unwrap()
    }

    /// With every member filled, also the uploader's, which is never answered.
    pub fn sample_status() -> Value {
        let at = Epoch(sample_stream().created);
        let status = RecorderStatus {
            job_status_details: Some("why".into()),
            last_collected_time: at,
            last_updated_time: at,
            recorder_status: "SYSTEM_ERROR",
        };
        let mut status = serde_json::to_value(AgentStatus { last_recorder_status: status }).unwrap();
        let mut uploader = status["LastRecorderStatus"].clone();
        uploader["UploaderStatus"] = uploader["RecorderStatus"].take();
        uploader.as_object_mut().unwrap().remove("RecorderStatus");
        status["LastUploaderStatus"] = uploader;
        status
    }

    fn wanted(change: impl FnOnce(&mut Value)) -> Result<NewEdge, Exception> {
        let mut config = sample()["EdgeConfig"].take();
        config.as_object_mut().unwrap().remove("UploaderConfig");
        config["DeletionConfig"].as_object_mut().unwrap().remove("LocalSizeConfig");
        change(&mut config);
        let config: EdgeConfig = serde_json::from_value(config).unwrap();
        let mut check = Check::default();
        config.check(&mut check);
        assert_eq!(check.message(), None);
        config.wanted(&sample_stream())
    }

    #[test]
    fn what_is_kept_is_what_was_said() {
        let edge = wanted(|_| {}).unwrap();
        let schedule = EdgeSchedule { expression: "0 0 12 * * ?".into(), duration_secs: 60 };
        assert_eq!((edge.schedule, edge.retention_hours), (Some(schedule), Some(1)));
        assert_eq!(edge.delete_after_upload, Some(true));
    }

    #[test]
    fn what_is_not_served_is_refused_by_name() {
        let media = "/RecorderConfig/MediaSourceConfig";
        for (place, member, value) in [
            (media, "MediaUriType", json!("FILE_URI")),
            ("", "UploaderConfig", sample()["EdgeConfig"]["UploaderConfig"].take()),
            // The sample stream keeps footage for an hour and a half.
            ("/DeletionConfig", "EdgeRetentionInHours", json!(2)),
            ("/DeletionConfig", "LocalSizeConfig", json!({ "MaxLocalMediaSizeInMB": 64 })),
            ("/DeletionConfig", "DeleteAfterUpload", json!(false)),
        ] {
            let refused = wanted(|config| config.pointer_mut(place).unwrap()[member] = value).unwrap_err();
            assert_eq!(refused.code, Code::InvalidArgument);
            assert!(refused.message.contains(member), "{}", refused.message);
        }
    }

    #[test]
    fn violations_are_named_with_their_place() {
        let config = json!({ "HubDeviceArn": "hub", "RecorderConfig": { "MediaSourceConfig": {} } });
        let config: EdgeConfig = serde_json::from_value(config).unwrap();
        let mut check = Check::default();
        config.check(&mut check);
        let message = check.message().unwrap();
        assert!(message.starts_with("3 validation errors"), "{message}");
        assert!(message.contains("'recorderConfig.mediaSourceConfig.mediaUriSecretArn'"), "{message}");
    }
}
