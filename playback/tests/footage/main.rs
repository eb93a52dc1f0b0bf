//! Playback of real fragments from a real log, checked with ffmpeg.
#![expect(clippy::unwrap_used, reason = "a test's helpers may fail like the test itself")]

mod files;
mod hls;
mod sound;
mod world;
