//! The vocabulary every other crate shares: time, names, limits, tags, pages and fragment metadata.
//!
//! Nothing here does I/O. Time and randomness are traits, so that a test can own both; the two
//! system implementations are the only code of the project that asks the machine for them.

mod arn;
mod backoff;
mod clock;
mod entropy;
mod fragment;
mod limits;
mod name;
mod page;
mod tags;
mod text;
mod timestamp;
mod varint;

pub use arn::{Arn, ArnError};
pub use backoff::backoff;
pub use clock::{Clock, SystemClock};
pub use entropy::{Entropy, SystemEntropy};
pub use fragment::{
    ClockSource, FragmentMeta, FragmentNumber, FragmentNumberError, RunId, TimestampSource, TrackMeta,
};
pub use limits::Limits;
pub use name::{NameError, StreamId, StreamName};
pub use page::{Page, PageError};
pub use tags::Tags;
pub use timestamp::{Timestamp, TimestampError};
pub use varint::{VarintReader, put_varint, put_zigzag};
