//! Delivery streams: where they stand, for people. They are made and deleted by the AWS API.

use std::sync::Arc;

use ::firehose::OutletStatus;
use axum::Json;
use axum::extract::State;
use axum::routing::get;
use base::{StreamName, Timestamp};
use catalog::{Action, Delivery, DeliverySource, Destination, HttpTarget, S3Target};
use http::{Method, Uri};
use serde::Serialize;

use super::caller::Caller;
use super::route::{Access, Answer, Field, Kind, Route};
use crate::app::App;
use crate::auth::Asked;
use crate::error::ApiError;

const ERROR: &[Field] =
    &[Field::new("at", Kind::Time, "when"), Field::new("text", Kind::Text, "why the attempt failed")];

const OUTLET: &[Field] = &[
    Field::new("kind", Kind::Choice(&["destination", "backup"]), "what it is for"),
    Field::new("to", Kind::Text, "the bucket, or the endpoint's name or host"),
    Field::new("deliveries", Kind::Number, "objects or requests taken since the server started"),
    Field::new("records", Kind::Number, "records in them"),
    Field::new("bytes", Kind::Number, "bytes of their data"),
    Field::new("failures", Kind::Number, "attempts that failed"),
    Field::new("failed_records", Kind::Number, "records stored under the error prefix instead"),
    Field::new("expired_records", Kind::Number, "records that expired before they were delivered"),
    Field::optional("waiting_since", Kind::Time, "when the oldest record arrived that waits"),
    Field::new("lag_seconds", Kind::Number, "how long that is ago; 0 where none waits"),
    Field::optional("last_error", Kind::Object(ERROR), "why the last attempt failed; null once one succeeds"),
];

const DELIVERY: &[Field] = &[
    Field::new("name", Kind::Text, "the delivery stream"),
    Field::new("arn", Kind::Text, "its ARN"),
    Field::new("created", Kind::Time, "when it was made"),
    Field::optional(
        "source",
        Kind::Text,
        "the ARN of the stream that it reads; null where records are put to it",
    ),
    Field::new("outlets", Kind::List(&Kind::Object(OUTLET)), "where its records go, and how that goes"),
];

static LIST: Route = Route {
    method: Method::GET,
    path: "/v1/deliveries",
    summary: "The delivery streams that the caller may describe, and how far they have come",
    access: Access::Caller,
    asked: Some(Asked::new("firehose", "DescribeDeliveryStream")),
    query: &[],
    body: None,
    answer: Answer::Json(200, &[Field::new("deliveries", Kind::List(&Kind::Object(DELIVERY)), "by name")]),
    handler: || get(list),
};

pub(super) static ROUTES: &[&Route] = &[&LIST];

#[derive(Serialize)]
struct Shown {
    name: StreamName,
    arn: String,
    created: Timestamp,
    source: Option<String>,
    outlets: Vec<Outlet>,
}

#[derive(Serialize)]
struct Outlet {
    kind: &'static str,
    to: String,
    deliveries: u64,
    records: u64,
    bytes: u64,
    failures: u64,
    failed_records: u64,
    expired_records: u64,
    waiting_since: Option<Timestamp>,
    lag_seconds: f64,
    last_error: Option<Failed>,
}

#[derive(Serialize)]
struct Failed {
    at: Timestamp,
    text: String,
}

async fn list(
    State(app): State<Arc<App>>,
    Caller(who): Caller,
    uri: Uri,
) -> Result<Json<serde_json::Value>, ApiError> {
    LIST.params(&uri)?;
    let deliveries = Arc::clone(&app.catalog.deliveries().borrow());
    let visible = deliveries.values().filter(|found| who.may(Action::Manage, &found.configuration.name));
    let shown: Vec<Shown> = visible.map(|delivery| shown(&app, delivery)).collect();
    Ok(Json(serde_json::json!({ "deliveries": shown })))
}

fn shown(app: &App, delivery: &Delivery) -> Shown {
    let source = match &delivery.configuration.source {
        DeliverySource::DirectPut { .. } => None,
        DeliverySource::Stream { arn, .. } => Some(arn.clone()),
    };
    let names = places(&delivery.configuration.destination).into_iter().zip(["destination", "backup"]);
    let outlets = app.deliveries.status(delivery).into_iter().zip(names);
    Shown {
        name: delivery.configuration.name.clone(),
        arn: delivery.arn.to_string(),
        created: delivery.created,
        source,
        outlets: outlets.map(|(status, (to, kind))| outlet(app, kind, to, status)).collect(),
    }
}

fn outlet(app: &App, kind: &'static str, to: String, status: OutletStatus) -> Outlet {
    Outlet {
        kind,
        to,
        deliveries: status.deliveries,
        records: status.records,
        bytes: status.bytes,
        failures: status.failures,
        failed_records: status.failed_records,
        expired_records: status.expired_records,
        waiting_since: status.waiting_since,
        lag_seconds: status.waiting_since.map_or(0.0, |since| app.clock.now().since(since).as_secs_f64()),
        last_error: status.last_error.map(|error| Failed { at: error.at, text: error.text }),
    }
}

/// Of destination and backup. A URL may hold a token, so that only its host is told.
fn places(destination: &Destination) -> Vec<String> {
    let bucket = |target: &S3Target| target.bucket().to_owned();
    match destination {
        Destination::S3 { target, backup } => {
            std::iter::once(bucket(target)).chain(backup.as_ref().map(bucket)).collect()
        }
        Destination::Http(target) => vec![endpoint(target), bucket(&target.backup)],
    }
}

fn endpoint(target: &HttpTarget) -> String {
    let host = || {
        let uri: Option<Uri> = target.url.expose().parse().ok();
        uri.and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default()
    };
    target.name.clone().unwrap_or_else(host)
}
