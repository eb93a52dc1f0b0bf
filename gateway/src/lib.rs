//! The only crate that knows HTTP, request signatures and AWS wire forms; the binary `millrace`.
//!
//! A request's way: [`server`] accepts a connection, [`router`] finds the handler, [`auth`] names the
//! caller, the handler asks the domain crates, and [`error`] or the AWS exceptions answer.

pub mod app;
pub mod auth;
pub mod error;
pub mod native;
pub mod router;
