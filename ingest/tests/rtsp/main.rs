//! The RTSP server with real publishers (ffmpeg, GStreamer's rtspclientsink) and with bad ones.

mod bad_input;
#[cfg(feature = "gstreamer")]
mod demo;
mod hall;
mod publishers;
mod raw_client;
