//! The only crate that knows HTTP, request signatures and AWS wire forms; the binary `millrace`.
//!
//! A request's way: the server accepts a connection, [`router`] finds the handler, [`auth`] names the
//! caller, the handler asks the domain crates, and [`error`] or [`exception`] words the refusal.

pub mod app;
pub mod auth;
pub mod aws;
pub mod cli;
pub mod config;
pub mod cors;
pub mod error;
pub mod exception;
pub mod firehose;
pub mod metrics;
pub mod native;
pub mod router;
pub mod seal;
pub mod server;
pub mod streams;
pub mod video;
pub mod webhooks;
