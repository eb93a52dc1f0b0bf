//! Errors of the domain, as the native API answers them.

use catalog::CatalogError;
use fragment_log::LogError;
use http::{Method, StatusCode, Uri};
use indexer::IndexError;
use playback::PlaybackError;

use crate::error::ApiError;

impl From<CatalogError> for ApiError {
    fn from(error: CatalogError) -> Self {
        let text = error.to_string();
        match error {
            CatalogError::StreamExists(_)
            | CatalogError::AccessKeyExists(_)
            | CatalogError::VersionMismatch(_)
            | CatalogError::TooManyStreams(_)
            | CatalogError::TooManyCredentials(_)
            | CatalogError::HoldExists(_)
            | CatalogError::TooManyHolds(_)
            | CatalogError::TooManyShards { .. }
            | CatalogError::ConsumerExists(_)
            | CatalogError::DeliveryExists(_)
            | CatalogError::DeliveryChanged { .. }
            | CatalogError::TooManyDeliveries(_)
            | CatalogError::TooManyConsumers(_)
            | CatalogError::HasConsumers(_)
            | CatalogError::SecretInUse { .. }
            | CatalogError::TooManySecrets(_)
            | CatalogError::Held(_) => Self::conflict(text),
            CatalogError::NoSuchStream(_)
            | CatalogError::NoSuchCredential(_)
            | CatalogError::NoSuchConsumer(_)
            | CatalogError::NoSuchDelivery(_)
            | CatalogError::NoSuchHold(_)
            | CatalogError::NoSuchEdge(_)
            | CatalogError::NoSuchSecret(_)
            | CatalogError::NoSuchSource(_) => Self::not_found(text),
            CatalogError::TooManyTags { .. } | CatalogError::Invalid { .. } => Self::invalid(text),
            CatalogError::NotAllowed { .. } => Self::forbidden(text),
            CatalogError::Log(error) => error.into(),
            CatalogError::Closed => Self::unavailable("the server is shutting down: try again"),
            CatalogError::CommandVersion { .. }
            | CatalogError::Command(_)
            | CatalogError::View { .. }
            | CatalogError::DamagedView(_)
            | CatalogError::Io { .. } => Self::internal(&text),
        }
    }
}

impl From<LogError> for ApiError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Full { .. } => Self::full(error.to_string()),
            LogError::Gone(_) | LogError::NoKey(_) => Self::not_found("this footage is kept no longer"),
            LogError::Stopped { .. } => Self::unavailable("recording is stopped: the server's log says why"),
            LogError::MasterKey(_)
            | LogError::Locked(_)
            | LogError::NoKeyTable(_)
            | LogError::OlderKeyTable { .. }
            | LogError::Format { .. }
            | LogError::Corrupt { .. }
            | LogError::TooLarge { .. }
            | LogError::InUse { .. }
            | LogError::Io { .. } => Self::internal(&error),
        }
    }
}

impl From<IndexError> for ApiError {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Query(_) | IndexError::Invalid(_) => Self::invalid(error.to_string()),
            IndexError::Cursor(page) => Self::invalid(format!("cursor: {page}")),
            IndexError::Log(error) => error.into(),
            IndexError::Stopped => Self::unavailable("the server is shutting down: try again"),
            IndexError::Sqlite(_)
            | IndexError::Search(_)
            | IndexError::Row { .. }
            | IndexError::Io { .. } => Self::internal(&error),
        }
    }
}

impl From<PlaybackError> for ApiError {
    fn from(error: PlaybackError) -> Self {
        match error {
            PlaybackError::NoFragments
            | PlaybackError::NoFragment(_)
            | PlaybackError::NoInit(_)
            | PlaybackError::NoTrack(_) => Self::not_found(error.to_string()),
            PlaybackError::TooLong { .. } | PlaybackError::TooManyInits { .. } => {
                Self::invalid(error.to_string())
            }
            PlaybackError::Unplayable { .. } => Self::conflict(error.to_string()),
            PlaybackError::Index(error) => error.into(),
            PlaybackError::Log { .. } | PlaybackError::Media { .. } | PlaybackError::Conversion { .. } => {
                Self::internal(&error)
            }
        }
    }
}

/// The native API's own status for what it does not do yet.
pub(super) fn not_served(what: &str) -> ApiError {
    ApiError {
        status: StatusCode::NOT_IMPLEMENTED,
        code: "not_served",
        message: format!("{what} is not served yet"),
    }
}

/// Answers a method that a path does not have.
pub(super) async fn other_method(method: Method, uri: Uri) -> ApiError {
    let path: String = uri.path().chars().take(200).collect();
    ApiError {
        status: StatusCode::METHOD_NOT_ALLOWED,
        code: "method_not_allowed",
        message: format!("{path} has no {method}: /v1/openapi.json tells what it has"),
    }
}
