//! Video and audio as data: frames, tracks, codecs, RTP in, Matroska and fragmented MP4 in and out.
//!
//! Nothing here does I/O or reads a clock: bytes and times go in as arguments. All input is hostile:
//! every parser checks its bounds and has a limit on depth, size and count.
//!
//! What holds everywhere:
//! - Decode times of a track are strictly increasing, and durations add up to them exactly.
//! - A picture is copied once, from its packets into its access unit; from there to the disk and to
//!   the player its bytes are shared.
//! - The same frames make the same bytes, in every file and segment, and the sizes of segments follow
//!   from counts alone.
//!
//! Not done here: transcoding, repair of damaged pictures, and the choice of where fragments begin.

mod bits;
pub mod clip;
mod codec;
mod decode_order;
mod error;
pub mod fmp4;
mod frame;
pub mod live;
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
