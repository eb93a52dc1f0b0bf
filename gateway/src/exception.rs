//! AWS exceptions, and the only place where an error of the domain becomes one.

use axum::Json;
use axum::response::{IntoResponse, Response};
use catalog::CatalogError;
use fragment_log::LogError;
use http::{HeaderValue, StatusCode};
use indexer::IndexError;
use ingest::IngestError;
use playback::PlaybackError;
use serde_json::json;

/// The exceptions that the served operations answer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// A value that is not allowed.
    InvalidArgument,
    /// No such stream or fragment.
    ResourceNotFound,
    /// The name is taken.
    ResourceInUse,
    /// The caller may not do this.
    NotAuthorized,
    /// Good credentials whose policy does not allow it.
    AccessDenied,
    /// The same in the models of the operations of edge configurations, where its status is 401.
    EdgeAccessDenied,
    /// The stream has no edge configuration.
    StreamEdgeConfigurationNotFound,
    /// Too many requests or credentials.
    ClientLimitExceeded,
    /// As many connections as the stream may have.
    ConnectionLimitExceeded,
    /// Not the endpoint of the stream.
    InvalidEndpoint,
    /// As many streams as the account may have.
    AccountStreamLimitExceeded,
    /// As many streams as the device may have.
    DeviceStreamLimitExceeded,
    /// No such device.
    InvalidDevice,
    /// The stream changed since it was described.
    VersionMismatch,
    /// More tags than a stream may have.
    TagsPerResourceExceededLimit,
    /// Not an ARN of a stream.
    InvalidResourceFormat,
    /// The stream keeps nothing.
    NoDataRetention,
    /// A codec that cannot be played this way.
    UnsupportedStreamMediaType,
    /// A track without parameter sets.
    MissingCodecPrivateData,
    /// A track with parameter sets that cannot be read.
    InvalidCodecPrivateData,
    /// The shard iterator is older than five minutes.
    ExpiredIterator,
    /// The page token is older than five minutes.
    ExpiredNextToken,
    /// More than the account or the stream may have.
    LimitExceeded,
    /// A member violates a constraint of the model.
    Validation,
    /// More than the shard may take.
    ProvisionedThroughputExceeded,
    /// The call would have succeeded, and was only a question.
    DryRun,
    /// The key is disabled.
    KmsDisabled,
    /// The key cannot be used now.
    KmsInvalidState,
    /// The key may not be used by the caller.
    KmsAccessDenied,
    /// No such key.
    KmsNotFound,
    /// No subscription to the key service.
    KmsOptInRequired,
    /// Too many calls of the key service.
    KmsThrottling,
    /// Records come to the delivery stream from elsewhere.
    InvalidSource,
    /// The delivery stream was changed meanwhile.
    ConcurrentModification,
    /// The key cannot be used for a delivery stream.
    InvalidKmsResource,
    /// Firehose cannot do this now.
    FirehoseUnavailable,
    /// The body is not what was expected.
    Serialization,
    /// No such operation, or one that is not served.
    UnknownOperation,
    /// The server's own fault.
    InternalFailure,
    /// The server cannot do this now.
    ServiceUnavailable,
}

impl Code {
    /// The name that SDKs compare.
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidArgument => "InvalidArgumentException",
            Self::ResourceNotFound => "ResourceNotFoundException",
            Self::ResourceInUse => "ResourceInUseException",
            Self::NotAuthorized => "NotAuthorizedException",
            Self::AccessDenied => "AccessDeniedException",
            Self::EdgeAccessDenied => "AccessDeniedException",
            Self::StreamEdgeConfigurationNotFound => "StreamEdgeConfigurationNotFoundException",
            Self::ClientLimitExceeded => "ClientLimitExceededException",
            Self::ConnectionLimitExceeded => "ConnectionLimitExceededException",
            Self::InvalidEndpoint => "InvalidEndpointException",
            Self::AccountStreamLimitExceeded => "AccountStreamLimitExceededException",
            Self::DeviceStreamLimitExceeded => "DeviceStreamLimitExceededException",
            Self::InvalidDevice => "InvalidDeviceException",
            Self::VersionMismatch => "VersionMismatchException",
            Self::TagsPerResourceExceededLimit => "TagsPerResourceExceededLimitException",
            Self::InvalidResourceFormat => "InvalidResourceFormatException",
            Self::NoDataRetention => "NoDataRetentionException",
            Self::UnsupportedStreamMediaType => "UnsupportedStreamMediaTypeException",
            Self::MissingCodecPrivateData => "MissingCodecPrivateDataException",
            Self::InvalidCodecPrivateData => "InvalidCodecPrivateDataException",
            Self::ExpiredIterator => "ExpiredIteratorException",
            Self::ExpiredNextToken => "ExpiredNextTokenException",
            Self::LimitExceeded => "LimitExceededException",
            Self::Validation => "ValidationException",
            Self::ProvisionedThroughputExceeded => "ProvisionedThroughputExceededException",
            Self::DryRun => "DryRunOperationException",
            Self::KmsDisabled => "KMSDisabledException",
            Self::KmsInvalidState => "KMSInvalidStateException",
            Self::KmsAccessDenied => "KMSAccessDeniedException",
            Self::KmsNotFound => "KMSNotFoundException",
            Self::KmsOptInRequired => "KMSOptInRequired",
            Self::KmsThrottling => "KMSThrottlingException",
            Self::InvalidSource => "InvalidSourceException",
            Self::ConcurrentModification => "ConcurrentModificationException",
            Self::InvalidKmsResource => "InvalidKMSResourceException",
            Self::FirehoseUnavailable => "ServiceUnavailableException",
            Self::Serialization => "SerializationException",
            Self::UnknownOperation => "UnknownOperationException",
            Self::InternalFailure => "InternalFailure",
            Self::ServiceUnavailable => "ServiceUnavailable",
        }
    }

    /// The HTTP status of the AWS model.
    pub fn status(self) -> StatusCode {
        match self {
            Self::InvalidArgument
            | Self::ResourceInUse
            | Self::ClientLimitExceeded
            | Self::ConnectionLimitExceeded
            | Self::InvalidEndpoint
            | Self::AccountStreamLimitExceeded
            | Self::DeviceStreamLimitExceeded
            | Self::InvalidDevice
            | Self::VersionMismatch
            | Self::TagsPerResourceExceededLimit
            | Self::InvalidResourceFormat
            | Self::NoDataRetention
            | Self::UnsupportedStreamMediaType
            | Self::MissingCodecPrivateData
            | Self::InvalidCodecPrivateData
            | Self::ExpiredIterator
            | Self::ExpiredNextToken
            | Self::LimitExceeded
            | Self::Validation
            | Self::ProvisionedThroughputExceeded
            | Self::DryRun
            | Self::KmsDisabled
            | Self::KmsInvalidState
            | Self::KmsAccessDenied
            | Self::KmsNotFound
            | Self::KmsOptInRequired
            | Self::KmsThrottling
            | Self::InvalidSource
            | Self::ConcurrentModification
            | Self::InvalidKmsResource
            | Self::Serialization => StatusCode::BAD_REQUEST,
            Self::NotAuthorized | Self::EdgeAccessDenied => StatusCode::UNAUTHORIZED,
            Self::AccessDenied => StatusCode::FORBIDDEN,
            Self::ResourceNotFound | Self::StreamEdgeConfigurationNotFound | Self::UnknownOperation => {
                StatusCode::NOT_FOUND
            }
            Self::InternalFailure | Self::FirehoseUnavailable => StatusCode::INTERNAL_SERVER_ERROR,
            Self::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Whether the caller may not do what they ask.
    pub fn is_refusal(self) -> bool {
        matches!(self, Self::NotAuthorized | Self::AccessDenied | Self::EdgeAccessDenied)
    }

    /// Whether every operation may answer with it, named by its model or not.
    pub fn is_common(self) -> bool {
        match self {
            Self::Serialization
            | Self::Validation
            | Self::UnknownOperation
            | Self::InternalFailure
            | Self::ServiceUnavailable
            | Self::NotAuthorized
            | Self::AccessDenied => true,
            Self::InvalidArgument
            | Self::ResourceNotFound
            | Self::ResourceInUse
            | Self::EdgeAccessDenied
            | Self::StreamEdgeConfigurationNotFound
            | Self::ClientLimitExceeded
            | Self::ConnectionLimitExceeded
            | Self::InvalidEndpoint
            | Self::AccountStreamLimitExceeded
            | Self::DeviceStreamLimitExceeded
            | Self::InvalidDevice
            | Self::VersionMismatch
            | Self::TagsPerResourceExceededLimit
            | Self::InvalidResourceFormat
            | Self::NoDataRetention
            | Self::UnsupportedStreamMediaType
            | Self::MissingCodecPrivateData
            | Self::InvalidCodecPrivateData
            | Self::ExpiredIterator
            | Self::ExpiredNextToken
            | Self::LimitExceeded
            | Self::ProvisionedThroughputExceeded
            | Self::DryRun
            | Self::KmsDisabled
            | Self::KmsInvalidState
            | Self::KmsAccessDenied
            | Self::KmsNotFound
            | Self::KmsOptInRequired
            | Self::KmsThrottling
            | Self::InvalidSource
            | Self::ConcurrentModification
            | Self::InvalidKmsResource
            | Self::FirehoseUnavailable => false,
        }
    }
}

/// What an operation answers instead of its output.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", code.name())]
pub struct Exception {
    /// Which.
    pub code: Code,
    /// For the caller: what was wrong; never holds a secret.
    pub message: String,
}

impl Exception {
    /// An exception with its text.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// InvalidArgumentException.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, message)
    }

    /// DryRunOperationException, where the call was only to ask whether it would succeed.
    pub fn unless_dry_run(asked: Option<bool>) -> Result<(), Self> {
        if asked != Some(true) {
            return Ok(());
        }
        Err(Self::new(Code::DryRun, "Request would have succeeded, but DryRun flag is set."))
    }

    /// ResourceNotFoundException for a stream, in AWS's words.
    pub fn no_stream() -> Self {
        Self::new(Code::ResourceNotFound, "The requested stream is not found or not active.")
    }

    /// Our own fault: the cause goes to the log, not to the client.
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "an AWS operation failed");
        Self::new(Code::InternalFailure, "The server failed to answer: its log says why.")
    }
}

/// Both spellings of the error header: AWS documents one, SDKs read the other.
impl IntoResponse for Exception {
    fn into_response(self) -> Response {
        let mut response = (self.code.status(), Json(json!({ "Message": self.message }))).into_response();
        for name in ["x-amzn-errortype", "x-amz-errortype"] {
            response.headers_mut().insert(name, HeaderValue::from_static(self.code.name()));
        }
        response
    }
}

impl From<CatalogError> for Exception {
    fn from(error: CatalogError) -> Self {
        let code = match error {
            CatalogError::StreamExists(_)
            | CatalogError::AccessKeyExists(_)
            | CatalogError::HoldExists(_)
            | CatalogError::ConsumerExists(_)
            | CatalogError::DeliveryExists(_)
            | CatalogError::DeliveryChanged { .. }
            | CatalogError::HasConsumers(_)
            | CatalogError::SecretInUse { .. }
            | CatalogError::Held(_) => Code::ResourceInUse,
            CatalogError::NoSuchStream(_) => return Self::no_stream(),
            CatalogError::NoSuchCredential(_)
            | CatalogError::NoSuchHold(_)
            | CatalogError::NoSuchConsumer(_)
            | CatalogError::NoSuchSecret(_)
            | CatalogError::NoSuchDelivery(_)
            | CatalogError::NoSuchSource(_) => Code::ResourceNotFound,
            CatalogError::TooManyShards { .. }
            | CatalogError::TooManyConsumers(_)
            | CatalogError::TooManyDeliveries(_) => Code::LimitExceeded,
            CatalogError::NoSuchEdge(_) => Code::StreamEdgeConfigurationNotFound,
            CatalogError::TooManyStreams(_) => Code::AccountStreamLimitExceeded,
            CatalogError::TooManyCredentials(_)
            | CatalogError::TooManyHolds(_)
            | CatalogError::TooManySecrets(_) => Code::ClientLimitExceeded,
            CatalogError::TooManyTags { .. } => Code::TagsPerResourceExceededLimit,
            CatalogError::VersionMismatch(_) => {
                let text = "The stream version that you specified is not the latest version. To get the latest \
                            version, use the DescribeStream API.";
                return Self::new(Code::VersionMismatch, text);
            }
            CatalogError::Invalid { .. } => Code::InvalidArgument,
            CatalogError::NotAllowed { .. } => Code::NotAuthorized,
            CatalogError::Log(error) => return error.into(),
            CatalogError::CommandVersion { .. }
            | CatalogError::Command(_)
            | CatalogError::View { .. }
            | CatalogError::Io { .. }
            | CatalogError::DamagedView(_)
            | CatalogError::Closed => return Self::internal(&error),
        };
        Self::new(code, error.to_string())
    }
}

impl From<IngestError> for Exception {
    fn from(error: IngestError) -> Self {
        match error {
            IngestError::Busy { .. } | IngestError::Connections { .. } => {
                Self::new(Code::ConnectionLimitExceeded, error.to_string())
            }
            IngestError::Catalog(error) => error.into(),
            IngestError::Deleted(_) => Self::no_stream(),
            IngestError::Log { source, .. } => source.into(),
            IngestError::Tracks { .. } | IngestError::UnknownTrack { .. } => Self::internal(&error),
        }
    }
}

impl From<LogError> for Exception {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Full { .. } | LogError::Stopped { .. } => {
                Self::new(Code::ServiceUnavailable, error.to_string())
            }
            LogError::NoKey(_) => Self::no_stream(),
            LogError::Gone(_) => Self::new(Code::ResourceNotFound, error.to_string()),
            LogError::MasterKey(_)
            | LogError::NoKeyTable(_)
            | LogError::OlderKeyTable { .. }
            | LogError::Locked(_)
            | LogError::Format { .. }
            | LogError::Corrupt { .. }
            | LogError::TooLarge { .. }
            | LogError::InUse { .. }
            | LogError::Io { .. } => Self::internal(&error),
        }
    }
}

impl From<IndexError> for Exception {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Query(_) | IndexError::Cursor(_) | IndexError::Invalid(_) => {
                Self::invalid(error.to_string())
            }
            IndexError::Log(error) => error.into(),
            IndexError::Sqlite(_)
            | IndexError::Search(_)
            | IndexError::Row { .. }
            | IndexError::Io { .. }
            | IndexError::Stopped => Self::internal(&error),
        }
    }
}

impl From<PlaybackError> for Exception {
    fn from(error: PlaybackError) -> Self {
        match error {
            PlaybackError::NoFragments
            | PlaybackError::NoFragment(_)
            | PlaybackError::NoInit(_)
            | PlaybackError::NoTrack(_) => Self::new(Code::ResourceNotFound, error.to_string()),
            PlaybackError::TooLong { .. } | PlaybackError::TooManyInits { .. } => {
                Self::invalid(error.to_string())
            }
            PlaybackError::Unplayable { .. } => {
                Self::new(Code::UnsupportedStreamMediaType, error.to_string())
            }
            PlaybackError::Index(error) => error.into(),
            PlaybackError::Log { source, .. } => source.into(),
            PlaybackError::Media { .. } | PlaybackError::Conversion { .. } => Self::internal(&error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_has_both_headers_and_a_message() {
        let response = Exception::no_stream().into_response();
        assert_eq!(response.status(), 404);
        for name in ["x-amzn-ErrorType", "x-amz-ErrorType"] {
            assert_eq!(response.headers()[name], "ResourceNotFoundException");
        }
    }
}
