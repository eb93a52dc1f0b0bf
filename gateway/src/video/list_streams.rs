//! ListStreams: the streams of the account, by name.
//!
//! <https://docs.aws.amazon.com/kinesisvideostreams/latest/dg/API_ListStreams.html>

use axum::Json;
use base::StreamName;
use catalog::Action;
use serde::{Deserialize, Serialize};

use super::stream::StreamInfo;
use crate::aws::check::Check;
use crate::aws::patterns::{STREAM_NAME, TOKEN};
use crate::aws::values::{Choice, Closed};
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};
use crate::seal::Purpose;

const DEFAULT_RESULTS: i64 = 10_000;

/// The operation.
pub struct ListStreams;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    max_results: Option<i64>,
    next_token: Option<String>,
    stream_name_condition: Option<Condition>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Condition {
    comparison_operator: Option<Choice<Comparison>>,
    comparison_value: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    BeginsWith,
}

impl Closed for Comparison {
    const VALUES: &'static [(&'static str, Self)] = &[("BEGINS_WITH", Self::BeginsWith)];
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    stream_info_list: Vec<StreamInfo>,
    next_token: Option<String>,
}

/// What the sealed token holds: the condition is bound to it.
#[derive(Serialize, Deserialize)]
struct Token {
    prefix: String,
    after: StreamName,
}

impl Operation for ListStreams {
    const NAME: &'static str = "ListStreams";
    const PATH: &'static str = "/listStreams";
    const ERRORS: &'static [Code] = &[Code::ClientLimitExceeded, Code::InvalidArgument];
    type Input = Input;
    type Output = Json<Output>;

    fn check(input: &Input, check: &mut Check) {
        check.number("MaxResults", input.max_results.as_ref()).range(1, Some(10_000));
        check.text("NextToken", input.next_token.as_deref()).length(0, 1024).pattern(TOKEN);
        let condition = input.stream_name_condition.as_ref();
        check.structure("StreamNameCondition", condition, false, |condition, check| {
            check.choice("ComparisonOperator", condition.comparison_operator.as_ref());
            check
                .text("ComparisonValue", condition.comparison_value.as_deref())
                .length(1, 256)
                .pattern(STREAM_NAME);
        });
    }

    async fn call(context: Context, input: Input) -> Result<Json<Output>, Exception> {
        let app = &context.app;
        let purpose = Purpose::AwsPage(Self::NAME);
        let prefix = input.stream_name_condition.and_then(|c| c.comparison_value).unwrap_or_default();
        let token = match input.next_token.as_deref().filter(|text| !text.is_empty()) {
            None => None,
            Some(text) => {
                let token: Option<Token> = app.sealer.open_page(purpose, text);
                let token = token.filter(|token| token.prefix == prefix);
                Some(token.ok_or_else(|| Exception::invalid("NextToken is not one of this list."))?)
            }
        };
        let limit = usize::try_from(input.max_results.unwrap_or(DEFAULT_RESULTS)).unwrap_or(1);
        let page = app.catalog.list_streams(&prefix, token.as_ref().map(|token| &token.after), limit);
        let visible = page.items.iter().filter(|s| context.principal.may(Action::Manage, &s.name));
        let next_token = match page.next {
            None => None,
            Some(after) => StreamName::new(&after)
                .ok()
                .map(|after| app.sealer.seal_page(purpose, &Token { prefix, after })),
        };
        Ok(Json(Output { stream_info_list: visible.map(|s| StreamInfo::from(&**s)).collect(), next_token }))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        let info = StreamInfo::from(&super::stream::tests::sample_stream());
        serde_json::to_value(Output { stream_info_list: vec![info], next_token: Some("t".into()) }).unwrap()
    }
}
