//! Why a WHIP request is refused.

use super::fragment::FragmentError;
use super::offer::OfferError;
use crate::IngestError;

/// A refusal; the gateway knows the HTTP status.
#[derive(Debug, thiserror::Error)]
pub enum WhipError {
    /// The offer cannot be taken.
    #[error(transparent)]
    Offer(#[from] OfferError),
    /// The offer makes no session.
    #[error("the offer cannot be answered: {0}")]
    Negotiation(String),
    /// The publisher may not publish, or another one does.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// As many sessions as there may be.
    #[error("{0} WebRTC sessions are open, and no more are taken: try again later")]
    Full(usize),
    /// There is no such session, or it has ended.
    #[error("the session is unknown or has ended: publish anew")]
    NoSession,
    /// A PATCH whose `If-Match` is of an earlier ICE session.
    #[error("If-Match names another ICE session: the current one is {0}")]
    OtherIceSession(String),
    /// A PATCH without `If-Match`.
    #[error("a PATCH needs If-Match: the ETag of the answer, or * to restart ICE")]
    NoPrecondition,
    /// The body of a PATCH cannot be followed.
    #[error(transparent)]
    Fragment(#[from] FragmentError),
    /// A restart without credentials, or credentials without a restart.
    #[error("{0}")]
    Restart(&'static str),
    /// The server shuts down.
    #[error("the server is shutting down: try again")]
    Closed,
}
