//! Media in: protocols, the time rule, fragments, and how they reach the log.

pub mod rtsp;
