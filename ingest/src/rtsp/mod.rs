//! The RTSP server that cameras push to: ANNOUNCE and RECORD of RFC 2326, over TCP or UDP, plain or
//! encrypted.
//!
//! connection (bytes) → [`wire`] (messages, packets) → session (who, what, when) → inbound (RTP to
//! access units) → [`crate::Recorder`]. One task per connection does all of it.
//!
//! Invariants: nothing is recorded without a credential that may publish; what a client makes the
//! server hold is bounded; what a client does ends at its own connection.
//!
//! Not promised: playback over RTSP, RTP over multicast or SRTP.

mod auth;
pub(crate) mod beat;
mod connection;
pub mod digest;
pub(crate) mod inbound;
pub(crate) mod key_request;
pub(crate) mod log_limit;
mod receiver_report;
pub(crate) mod recording;
mod reply;
pub mod sdp;
mod server;
mod session;
pub(crate) mod socket;
mod target;
pub mod transport;
pub(crate) mod udp;
pub mod wire;

pub use server::Server;
pub(crate) use server::stopped;
pub(crate) use target::percent_decode;
