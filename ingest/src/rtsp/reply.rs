//! Responses, and refusals on their way to become one.

use std::fmt::Write as _;

use catalog::CatalogError;
use media::MediaError;
use rtsp_types::StatusCode;

use super::sdp::SdpError;
use crate::IngestError;

/// A request that is not granted: the status for the client, the reason for client and log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// Plain English: what was wrong, where, what to do.
    pub(crate) reason: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, reason: &(impl ToString + ?Sized)) -> Self {
        Self { status, reason: reason.to_string() }
    }

    /// 400.
    pub(crate) fn bad(reason: &(impl ToString + ?Sized)) -> Self {
        Self::new(StatusCode::BadRequest, reason)
    }

    /// 455, for a request that comes too early or too late.
    pub(crate) fn out_of_order(reason: &(impl ToString + ?Sized)) -> Self {
        Self::new(StatusCode::MethodNotValidInThisState, reason)
    }
}

impl From<SdpError> for Refusal {
    fn from(error: SdpError) -> Self {
        Self::bad(&error)
    }
}

impl From<MediaError> for Refusal {
    fn from(error: MediaError) -> Self {
        let status = match error {
            MediaError::Unsupported { .. } => StatusCode::UnsupportedMediaType,
            MediaError::Malformed { .. }
            | MediaError::TooLarge { .. }
            | MediaError::NotInMp4 { .. }
            | MediaError::Mismatch { .. } => StatusCode::BadRequest,
        };
        Self::new(status, &error)
    }
}

/// No UDP ports.
impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        Self::new(StatusCode::ServiceUnavailable, &format!("no UDP ports: {error}; use TCP"))
    }
}

impl From<IngestError> for Refusal {
    fn from(error: IngestError) -> Self {
        let status = match &error {
            IngestError::Busy { .. } | IngestError::Connections { .. } => StatusCode::NotEnoughBandwidth,
            IngestError::Catalog(error) => catalog_status(error),
            IngestError::Deleted(_) => StatusCode::NotFound,
            // RECORD came before any SETUP.
            IngestError::Tracks { .. } => StatusCode::MethodNotValidInThisState,
            IngestError::UnknownTrack { .. } => StatusCode::BadRequest,
            IngestError::Log { .. } => StatusCode::ServiceUnavailable,
        };
        Self::new(status, &error)
    }
}

fn catalog_status(error: &CatalogError) -> StatusCode {
    match error {
        CatalogError::NotAllowed { .. } => StatusCode::Forbidden,
        CatalogError::NoSuchStream(_) => StatusCode::NotFound,
        CatalogError::TooManyStreams(_) | CatalogError::Log(_) | CatalogError::Closed => {
            StatusCode::ServiceUnavailable
        }
        CatalogError::StreamExists(_)
        | CatalogError::TooManyCredentials(_)
        | CatalogError::TooManyTags { .. }
        | CatalogError::VersionMismatch(_)
        | CatalogError::Invalid { .. }
        | CatalogError::AccessKeyExists(_)
        | CatalogError::NoSuchCredential(_)
        | CatalogError::HoldExists(_)
        | CatalogError::NoSuchHold(_)
        | CatalogError::NoSuchSource(_)
        | CatalogError::NoSuchEdge(_)
        | CatalogError::NoSuchSecret(_)
        | CatalogError::SecretInUse { .. }
        | CatalogError::TooManySecrets(_)
        | CatalogError::TooManyHolds(_)
        | CatalogError::Held(_)
        | CatalogError::TooManyShards { .. }
        | CatalogError::ConsumerExists(_)
        | CatalogError::DeliveryExists(_)
        | CatalogError::DeliveryChanged { .. }
        | CatalogError::NoSuchDelivery(_)
        | CatalogError::TooManyDeliveries(_)
        | CatalogError::NoSuchConsumer(_)
        | CatalogError::TooManyConsumers(_)
        | CatalogError::HasConsumers(_)
        | CatalogError::CommandVersion { .. }
        | CatalogError::Command(_)
        | CatalogError::View { .. }
        | CatalogError::DamagedView(_)
        | CatalogError::Io { .. } => StatusCode::InternalServerError,
    }
}

/// A response. Written here and not with `rtsp_types::Response`, which joins headers of one name in
/// one line: ffmpeg and GStreamer read only one challenge in a `WWW-Authenticate` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    status: StatusCode,
    reason: Option<String>,
    headers: Vec<(&'static str, String)>,
}

impl Reply {
    /// 200.
    pub(crate) fn ok() -> Self {
        Self { status: StatusCode::Ok, reason: None, headers: Vec::new() }
    }

    /// Adds a header.
    pub(crate) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    /// The status line, the headers and the empty line.
    pub(crate) fn encode(&self, cseq: Option<u32>) -> String {
        let reason = self.reason.as_deref().unwrap_or("OK");
        let mut text = format!("RTSP/1.0 {} {}\r\n", u16::from(self.status), one_line(reason));
        let mut header = |name: &str, value: &str| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{name}: {}\r\n", one_line(value));
        };
        if let Some(cseq) = cseq {
            header("CSeq", &cseq.to_string());
        }
        header("Server", "Millrace");
        for (name, value) in &self.headers {
            header(name, value);
        }
        text.push_str("\r\n");
        text
    }
}

impl From<Refusal> for Reply {
    fn from(Refusal { status, reason }: Refusal) -> Self {
        Self { status, reason: Some(reason), headers: Vec::new() }
    }
}

/// Reasons and headers may quote the client: nothing of that may end the line.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii() && !c.is_ascii_control() { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_cannot_smuggle_a_header() {
        let reply = Reply::from(Refusal::bad("a\r\nX-Evil: 1")).with("Session", "5");
        assert_eq!(
            reply.encode(Some(3)),
            "RTSP/1.0 400 a??X-Evil: 1\r\nCSeq: 3\r\nServer: Millrace\r\nSession: 5\r\n\r\n"
        );
    }
}
