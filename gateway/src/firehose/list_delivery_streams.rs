//! ListDeliveryStreams: the account's delivery streams, by name.
//!
//! <https://docs.aws.amazon.com/firehose/latest/APIReference/API_ListDeliveryStreams.html>

use axum::Json;
use base::StreamName;
use catalog::Action;
use serde::{Deserialize, Serialize};

use super::delivery::Kind;
use crate::aws::check::Check;
use crate::aws::patterns::STREAM_NAME;
use crate::aws::values::Choice;
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};

const DEFAULT_STREAMS: i64 = 10;

/// The operation.
pub struct ListDeliveryStreams;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    limit: Option<i64>,
    delivery_stream_type: Option<Choice<Kind>>,
    exclusive_start_delivery_stream_name: Option<String>,
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    delivery_stream_names: Vec<String>,
    has_more_delivery_streams: bool,
}

impl Operation for ListDeliveryStreams {
    const NAME: &'static str = "ListDeliveryStreams";
    const PATH: &'static str = "/";
    const ERRORS: &'static [Code] = &[];
    type Input = Input;
    type Output = Json<Output>;

    fn check(input: &Input, check: &mut Check) {
        check.number("Limit", input.limit.as_ref()).range(1, Some(10_000));
        check.choice("DeliveryStreamType", input.delivery_stream_type.as_ref());
        let after = input.exclusive_start_delivery_stream_name.as_deref();
        check.text("ExclusiveStartDeliveryStreamName", after).length(1, 64).pattern(STREAM_NAME);
    }

    async fn call(context: Context, input: Input) -> Result<Json<Output>, Exception> {
        let after = input.exclusive_start_delivery_stream_name.unwrap_or_default();
        let limit = usize::try_from(input.limit.unwrap_or(DEFAULT_STREAMS)).unwrap_or(1);
        let kind = input.delivery_stream_type.and_then(|kind| kind.known());
        let page =
            context.app.catalog.list_deliveries(StreamName::new(&after).ok().as_ref(), limit, |found| {
                kind.is_none_or(|kind| kind == Kind::of(found))
                    && context.principal.may(Action::Manage, &found.configuration.name)
            });
        Ok(Json(Output {
            delivery_stream_names: page
                .items
                .iter()
                .map(|found| found.configuration.name.to_string())
                .collect(),
            has_more_delivery_streams: page.next.is_some(),
        }))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        let delivery_stream_names = vec!["a".into()];
        serde_json::to_value(Output { delivery_stream_names, has_more_delivery_streams: true }).unwrap()
    }
}
