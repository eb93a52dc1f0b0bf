//! Video and audio as data: frames, tracks, codecs, RTP in, Matroska and fragmented MP4 in and out.
//!
//! Nothing here does I/O or reads a clock: bytes and times go in as arguments. All input is hostile:
//! every parser checks its bounds and has a limit on depth, size and count.

mod bits;
pub mod clip;
mod codec;
mod decode_order;
mod error;
pub mod fmp4;
mod frame;
pub mod mkv;
pub mod rtp;
mod ticks;
mod track;
mod unwrapper;

pub use codec::CodecId;
pub use decode_order::DecodeOrder;
pub use error::MediaError;
pub use frame::Frame;
pub use track::Track;
pub use unwrapper::{Jump, Unwrapped, Unwrapper};
