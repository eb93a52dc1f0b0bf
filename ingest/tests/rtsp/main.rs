//! The RTSP server with real publishers (ffmpeg, GStreamer's rtspclientsink) and with bad ones.

#![expect(clippy::unwrap_used, reason = "a test stops where something is not as it should be")]

mod bad_input;
#[cfg(feature = "gstreamer")]
mod demo;
mod hall;
mod key_requests;
#[cfg(feature = "gstreamer")]
mod played;
mod publishers;
mod pull;
mod raw_client;
mod scheduled;
mod transcripts;
