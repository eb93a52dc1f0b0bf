//! The RTSP server that cameras push to (RFC 2326 ANNOUNCE and RECORD).

mod auth;
mod digest;
mod log_limit;
mod receiver_report;
mod reply;
pub mod sdp;
mod target;
mod transport;
pub mod wire;
