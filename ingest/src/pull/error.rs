//! Why nothing comes from a source, in words for whoever has to do something about it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use outbound::AddressError;
use rtsp_types::StatusCode;

use super::url::{UrlError, shown};
use crate::rtsp::sdp::SdpError;
use crate::rtsp::wire::WireError;
use crate::{Ended, IngestError};

/// Why a connection to a source failed or ended. Shows no credentials.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The URL is none that can be pulled from.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The address must not be connected to.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The name has no address.
    #[error("the name {host} has no address: {why}")]
    Resolve {
        /// The name.
        host: String,
        /// The resolver's words.
        why: String,
    },
    /// Nobody accepts the connection.
    #[error("{address} does not accept the connection: {source}")]
    Connect {
        /// Where.
        address: SocketAddr,
        /// The system's words.
        source: io::Error,
    },
    /// TLS could not be agreed on.
    #[error("the TLS handshake failed: {0}")]
    Tls(io::Error),
    /// No answer in time.
    #[error("{what}: no answer within {} s", patience.as_secs_f32())]
    NoAnswer {
        /// What was waited for.
        what: &'static str,
        /// How long.
        patience: Duration,
    },
    /// The camera closed the connection.
    #[error("the camera closed the connection")]
    Closed,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(io::Error),
    /// What came is not RTSP.
    #[error("the camera's answer cannot be read: {0}")]
    Wire(#[from] WireError),
    /// The credentials are wrong or missing.
    #[error("{0}")]
    Credentials(&'static str),
    /// A request was refused.
    #[error("{}", refusal(method, *status, reason))]
    Refused {
        /// The request's method.
        method: &'static str,
        /// The answer's status.
        status: StatusCode,
        /// The camera's own words.
        reason: String,
    },
    /// The description cannot be followed.
    #[error("{0}")]
    Description(#[from] SdpError),
    /// Nothing in the description can be recorded.
    #[error("the camera offers nothing that can be recorded: {0}")]
    NoTracks(String),
    /// What SETUP agreed on makes no sense.
    #[error("the camera sets up a transport that was not asked for: {0}")]
    Transport(String),
    /// No port for UDP, or the like.
    #[error("no UDP port can be opened: {0}")]
    Udp(io::Error),
    /// No media for too long.
    #[error("the camera sent no picture or sound for {} s", .0.as_secs_f32())]
    Silent(Duration),
    /// GStreamer cannot play the URL.
    #[error("GStreamer: {0}")]
    Played(String),
    /// What was played has an end.
    #[error("the source has come to its end")]
    Over,
    /// The stream cannot be recorded.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// A publisher has taken the stream over.
    #[error("a publisher has taken the stream over")]
    Superseded,
}

/// When the next attempt is worth making.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retry {
    /// Soon: the camera or the network may be back any moment.
    Soon,
    /// Rarely: someone has to do something first, and cameras lock out who tries too often.
    Rarely,
    /// The camera has no session left; perhaps the one that was lost still counts.
    NoRoom,
}

impl PullError {
    pub(super) fn retry(&self) -> Retry {
        match self {
            Self::Refused {
                status: StatusCode::NotEnoughBandwidth | StatusCode::ServiceUnavailable, ..
            } => Retry::NoRoom,
            Self::Refused { status, .. } if status.is_client_error() => Retry::Rarely,
            Self::Url(_) | Self::Address(_) | Self::Credentials(_) | Self::NoTracks(_) => Retry::Rarely,
            Self::Ingest(IngestError::Catalog(_) | IngestError::Deleted(_)) => Retry::Rarely,
            Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::Tls(_)
            | Self::NoAnswer { .. }
            | Self::Closed
            | Self::Broken(_)
            | Self::Wire(_)
            | Self::Refused { .. }
            | Self::Description(_)
            | Self::Transport(_)
            | Self::Udp(_)
            | Self::Silent(_)
            | Self::Played(_)
            | Self::Over
            | Self::Ingest(_)
            | Self::Superseded => Retry::Soon,
        }
    }

    /// What the stream's health says about a session that ended so.
    pub(super) fn ended(&self) -> Ended {
        match self {
            Self::Over | Self::Closed | Self::Broken(_) | Self::Connect { .. } | Self::Resolve { .. } => {
                Ended::Disconnected
            }
            Self::NoAnswer { .. } | Self::Silent(_) | Self::Superseded => Ended::TimedOut,
            Self::Ingest(_) => Ended::Refused,
            Self::Url(_)
            | Self::Address(_)
            | Self::Tls(_)
            | Self::Wire(_)
            | Self::Credentials(_)
            | Self::Refused { .. }
            | Self::Description(_)
            | Self::NoTracks(_)
            | Self::Transport(_)
            | Self::Played(_)
            | Self::Udp(_) => Ended::ProtocolError,
        }
    }
}

/// A status in words (RFC 2326 §7.1.1).
fn refusal(method: &str, status: StatusCode, reason: &str) -> String {
    let code = u16::from(status);
    let meaning = match status {
        StatusCode::NotFound => "it has no stream at this path: check the URL",
        StatusCode::Forbidden => "this user may not watch the stream",
        StatusCode::NotEnoughBandwidth => "it has no session or bandwidth left: end other clients of it",
        StatusCode::ServiceUnavailable => "it is too busy: end other clients of it",
        StatusCode::SessionNotFound => "it has forgotten the session",
        StatusCode::UnsupportedTransport => "it cannot send this way: choose another transport",
        _ if status.is_redirection() => "it has moved: set the source's new URL",
        _ if status.is_server_error() => "it has failed: restart it if that goes on",
        _ => "it takes the request for wrong",
    };
    let reason: String = reason.chars().filter(|c| !c.is_control()).take(80).collect();
    format!("the camera refuses {method}: {meaning} ({code} {})", shown(&reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: StatusCode) -> PullError {
        PullError::Refused { method: "SETUP", status, reason: "No\r\nway password=hunter2".into() }
    }

    #[test]
    fn refusals_are_told_in_words_without_secrets() {
        let text = refused(StatusCode::NotEnoughBandwidth).to_string();
        assert!(text.contains("no session or bandwidth left") && text.contains("453"), "{text}");
        assert!(!text.contains("hunter2") && !text.contains('\n'), "{text}");
    }

    #[test]
    fn what_waits_for_a_person_is_tried_rarely() {
        for status in [StatusCode::NotFound, StatusCode::Forbidden, StatusCode::UnsupportedTransport] {
            assert_eq!(refused(status).retry(), Retry::Rarely);
        }
        assert_eq!(refused(StatusCode::NotEnoughBandwidth).retry(), Retry::NoRoom);
        assert_eq!(refused(StatusCode::InternalServerError).retry(), Retry::Soon);
        assert_eq!(PullError::Credentials("wrong").retry(), Retry::Rarely);
        assert_eq!(PullError::Closed.retry(), Retry::Soon);
    }
}
