//! DecreaseStreamRetentionPeriod: keeps records shorter; what is older is gone at once.
//!
//! <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_DecreaseStreamRetentionPeriod.html>

use serde::Deserialize;

use super::retention::{RETENTION_ERRORS, Way, change};
use super::stream::StreamRef;
use crate::aws::check::Check;
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

/// The operation.
pub struct DecreaseStreamRetentionPeriod;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    #[serde(flatten)]
    stream: StreamRef,
    retention_period_hours: Option<i64>,
}

impl Operation for DecreaseStreamRetentionPeriod {
    const NAME: &'static str = "DecreaseStreamRetentionPeriod";
    const PATH: &'static str = "/";
    const ERRORS: &'static [Code] = RETENTION_ERRORS;
    type Input = Input;
    type Output = ();

    fn check(input: &Input, check: &mut Check) {
        input.stream.check(check);
        check.number("RetentionPeriodHours", input.retention_period_hours.as_ref()).required();
    }

    async fn call(context: Context, input: Input) -> Result<(), Exception> {
        change(&context, &input.stream, input.retention_period_hours.unwrap_or(0), Way::Decrease).await
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        serde_json::Value::Null
    }
}
