//! What several operations say about delivery streams: naming one, refusing one.

use std::sync::Arc;

use base::StreamName;
use catalog::{Action, CatalogError, Delivery, DeliverySource, DeliveryUpdate};
use fragment_log::LogError;

use crate::app::App;
use crate::aws::Context;
use crate::aws::check::Check;
use crate::aws::patterns::STREAM_NAME;
use crate::aws::values::Closed;
use crate::exception::{Code, Exception};

/// The one destination of every delivery stream.
pub const DESTINATION_ID: &str = "destinationId-000000000001";

/// `DeliveryStreamType` of the AWS model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// PutRecord, PutRecordBatch.
    DirectPut,
    /// A data stream.
    Stream,
    /// A Kafka topic.
    Msk,
    /// Changes of a database.
    Database,
}

impl Closed for Kind {
    const VALUES: &'static [(&'static str, Self)] = &[
        ("DirectPut", Self::DirectPut),
        ("KinesisStreamAsSource", Self::Stream),
        ("MSKAsSource", Self::Msk),
        ("DatabaseAsSource", Self::Database),
    ];
}

impl Kind {
    /// Of a delivery stream.
    pub fn of(delivery: &Delivery) -> Self {
        match delivery.configuration.source {
            DeliverySource::DirectPut { .. } => Self::DirectPut,
            DeliverySource::Stream { .. } => Self::Stream,
        }
    }

    /// As the model writes it.
    pub fn name(self) -> &'static str {
        Self::VALUES.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

/// Names the member DeliveryStreamName.
pub fn check_name(name: Option<&str>, check: &mut Check) {
    check.text("DeliveryStreamName", name).required().length(1, 64).pattern(STREAM_NAME);
}

/// The delivery stream of this name, if it exists and the caller may use it.
///
/// # Errors
/// ResourceNotFound; AccessDenied.
pub fn find(context: &Context, name: Option<&str>) -> Result<Arc<Delivery>, Exception> {
    let text = name.unwrap_or_default();
    let name = StreamName::new(text).map_err(|_| absent(&context.app, text))?;
    context.allow(Action::Manage, &name)?;
    context.app.catalog.delivery(&name).ok_or_else(|| absent(&context.app, text))
}

/// ResourceNotFoundException, in AWS's words.
pub fn absent(app: &App, name: &str) -> Exception {
    let name: String = name.chars().take(64).collect();
    Exception::new(
        Code::ResourceNotFound,
        format!("Firehose {name} under account {} not found.", app.account),
    )
}

/// What the catalog says, in the words of Firehose.
pub fn refused(app: &App, error: CatalogError) -> Exception {
    let account = &app.account;
    match error {
        CatalogError::DeliveryExists(name) => Exception::new(
            Code::ResourceInUse,
            format!("Firehose {name} under accountId {account} already exists"),
        ),
        CatalogError::TooManyDeliveries(limit) => Exception::new(
            Code::LimitExceeded,
            format!("You have already reached the maximum number of Firehose streams: {limit}."),
        ),
        CatalogError::TooManyTags { limit, .. } => {
            Exception::new(Code::LimitExceeded, format!("A Firehose stream has at most {limit} tags."))
        }
        CatalogError::DeliveryChanged { name, version } => changed(&name, version),
        CatalogError::Log(error) => not_put(&error),
        other => other.into(),
    }
}

/// Changes a delivery stream.
///
/// # Errors
/// ConcurrentModification, where it was changed meanwhile; as [`refused`].
pub async fn change(context: &Context, delivery: &Delivery, update: DeliveryUpdate) -> Result<(), Exception> {
    let changed = context.app.catalog.update_delivery(delivery.id, update).await;
    changed.map(drop).map_err(|error| match error {
        CatalogError::NoSuchDelivery(_) => absent(&context.app, delivery.configuration.name.as_str()),
        other => refused(&context.app, other),
    })
}

/// ConcurrentModificationException.
pub fn changed(name: &StreamName, version: u64) -> Exception {
    let text = format!("Firehose {name} has the version {version} now: describe it, and change that one.");
    Exception::new(Code::ConcurrentModification, text)
}

/// What the log says of records that are not put.
pub fn not_put(error: &LogError) -> Exception {
    match error {
        LogError::Full { .. } | LogError::Stopped { .. } => {
            Exception::new(Code::FirehoseUnavailable, error.to_string())
        }
        _ => Exception::internal(error),
    }
}
