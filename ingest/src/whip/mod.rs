//! WHIP (RFC 9725): browsers, encoders and phones publish by WebRTC.
//!
//! offer (HTTP) → [`Offer`] → session: ICE-lite, DTLS, SRTP, RTCP by str0m → layers (packets to access
//! units, the largest layer) → [`crate::Recorder`]. The gateway speaks HTTP; all media comes in on one
//! port, UDP and TCP, which sorts it by user fragment and address.
//!
//! str0m hands out RTP packets, not frames: so packets keep the timestamps that the time rule lives
//! by, reports reach it, and one set of depayloaders with its limits serves every protocol.
//!
//! Invariants: no session without a credential that may publish; a datagram of a stranger costs a
//! look-up; what a publisher makes the server hold is bounded, and given back ten seconds after it
//! stopped half-way.
//!
//! Not promised: TURN, playback, data channels.

mod error;
mod fragment;
mod layers;
mod offer;
mod port;
mod routes;
mod server;
mod session;
pub mod stun;
mod tcp;
mod tracks;

pub use error::WhipError;
pub use fragment::{Fragment, FragmentError};
pub use offer::{MAX_OFFER, Offer, OfferError};
pub use server::{Options, Patched, Published, Server};
