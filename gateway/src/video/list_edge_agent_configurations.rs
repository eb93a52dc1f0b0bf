//! ListEdgeAgentConfigurations: the edge configurations that name a device, by stream.
//!
//! <https://docs.aws.amazon.com/kinesisvideostreams/latest/dg/API_ListEdgeAgentConfigurations.html>

use std::collections::BTreeMap;

use axum::Json;
use base::StreamName;
use catalog::Action;
use serde::{Deserialize, Serialize};

use super::edge::Described;
use crate::aws::check::Check;
use crate::aws::patterns::{HUB_DEVICE_ARN, TOKEN};
use crate::aws::{Context, Operation};
use crate::exception::{Code, Exception};
use crate::seal::Purpose;

const DEFAULT_RESULTS: i64 = 5;

/// The operation.
pub struct ListEdgeAgentConfigurations;

/// The request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Input {
    hub_device_arn: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    edge_configs: Vec<Described>,
    next_token: Option<String>,
}

/// What the sealed token holds: the device is bound to it.
#[derive(Serialize, Deserialize)]
struct Token {
    device: String,
    after: StreamName,
}

impl Operation for ListEdgeAgentConfigurations {
    const NAME: &'static str = "ListEdgeAgentConfigurations";
    const PATH: &'static str = "/listEdgeAgentConfigurations";
    const ERRORS: &'static [Code] = &[Code::NotAuthorized, Code::ClientLimitExceeded, Code::InvalidArgument];
    type Input = Input;
    type Output = Json<Output>;

    fn check(input: &Input, check: &mut Check) {
        check
            .text("HubDeviceArn", input.hub_device_arn.as_deref())
            .required()
            .length(1, 1024)
            .pattern(HUB_DEVICE_ARN);
        check.number("MaxResults", input.max_results.as_ref()).range(1, Some(10));
        check.text("NextToken", input.next_token.as_deref()).length(0, 1024).pattern(TOKEN);
    }

    async fn call(context: Context, input: Input) -> Result<Json<Output>, Exception> {
        let app = &context.app;
        let purpose = Purpose::AwsPage(Self::NAME);
        let device = input.hub_device_arn.unwrap_or_default();
        let after = match input.next_token.as_deref().filter(|text| !text.is_empty()) {
            None => None,
            Some(text) => {
                let token: Option<Token> = app.sealer.open_page(purpose, text);
                let token = token.filter(|token| token.device == device);
                Some(token.ok_or_else(|| Exception::invalid("NextToken is not one of this list."))?.after)
            }
        };
        let sources = app.catalog.sources().borrow().clone();
        let of_device = sources
            .values()
            .filter(|source| source.edge.as_ref().is_some_and(|edge| edge.hub_device_arn == device));
        let named = of_device.filter_map(|source| Some((app.catalog.stream_by_id(source.stream)?, source)));
        let mut found: BTreeMap<_, _> = named
            .filter(|(stream, _)| context.principal.may(Action::Manage, &stream.name))
            .map(|(stream, source)| (stream.name.clone(), (stream, source)))
            .filter(|(name, _)| after.as_ref().is_none_or(|after| name > after))
            .collect();
        let limit = usize::try_from(input.max_results.unwrap_or(DEFAULT_RESULTS)).unwrap_or(1);
        let rest = found.keys().nth(limit).cloned().map(|next| found.split_off(&next));
        let last = rest.and_then(|_| found.keys().last().cloned());
        let next_token = last.map(|after| app.sealer.seal_page(purpose, &Token { device, after }));
        let described = found.values().filter_map(|(stream, source)| Described::of(app, stream, source));
        Ok(Json(Output { edge_configs: described.collect(), next_token }))
    }

    #[cfg(test)]
    fn sample() -> serde_json::Value {
        let entry = super::edge::tests::sample();
        serde_json::json!({ "EdgeConfigs": [entry], "NextToken": "t" })
    }
}
