//! UpdateDataRetention: keeps a stream's data longer or shorter.
//!
//! <https://docs.aws.amazon.com/kinesisvideostreams/latest/dg/API_UpdateDataRetention.html>

use axum::Json;
use catalog::{Action, StreamUpdate};
use serde::{Deserialize, Serialize};

use super::create_stream::retention;
use super::stream::{StreamRef, retention_hours};
use crate::aws::check::Check;
use crate::aws::patterns::VERSION;
use crate::aws::values::{Choice, Closed};
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// The operation.
pub struct UpdateDataRetention;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    #[serde(flatten)]
    stream: StreamRef,
    current_version: Option<String>,
    operation: Option<Choice<Direction>>,
    data_retention_change_in_hours: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Increase,
    Decrease,
}

impl Closed for Direction {
    const VALUES: &'static [(&'static str, Self)] =
        &[("INCREASE_DATA_RETENTION", Self::Increase), ("DECREASE_DATA_RETENTION", Self::Decrease)];
}

/// The answer.
#[derive(Debug, Serialize)]
pub struct Output {}

impl Operation for UpdateDataRetention {
    const NAME: &'static str = "UpdateDataRetention";
    const PATH: &'static str = "/updateDataRetention";
    const ERRORS: &'static [Code] = &[
        Code::ClientLimitExceeded,
        Code::InvalidArgument,
        Code::ResourceNotFound,
        Code::ResourceInUse,
        Code::NotAuthorized,
        Code::VersionMismatch,
    ];
    type Input = Input;
    type Output = Json<Output>;

    fn check(input: &Input, check: &mut Check) {
        input.stream.check(check);
        check
            .text("CurrentVersion", input.current_version.as_deref())
            .required()
            .length(1, 64)
            .pattern(VERSION);
        check.choice("Operation", input.operation.as_ref()).required();
        let change = input.data_retention_change_in_hours.as_ref();
        check.number("DataRetentionChangeInHours", change).required().range(1, None);
    }

    async fn call(context: Context, input: Input) -> Result<Json<Output>, Exception> {
        let stream = input.stream.find(&context, Action::Manage)?;
        let now = i64::try_from(retention_hours(&stream)).unwrap_or(i64::MAX);
        let change = input.data_retention_change_in_hours.unwrap_or(0);
        let hours = match input.operation.and_then(|operation| operation.known()) {
            Some(Direction::Decrease) => now.saturating_sub(change),
            Some(Direction::Increase) | None => now.saturating_add(change),
        };
        let update = StreamUpdate::Retention(retention(hours)?);
        context.app.catalog.update_stream(stream.id, input.current_version.as_deref(), update).await?;
        Ok(Json(Output {}))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        serde_json::to_value(Output {}).unwrap()
    }
}
