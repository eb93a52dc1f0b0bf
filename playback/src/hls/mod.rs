//! HLS playlists (RFC 8216, with the clarifications of rfc8216bis) from index entries alone.

mod holes;
mod media;
mod multivariant;
mod segment;
mod selection;
#[cfg(test)]
mod tests;

pub(crate) use media::{Extent, MediaPlaylist};
pub(crate) use segment::Segment;
pub(crate) use selection::TargetDurations;

use std::fmt;
use std::str::FromStr;

use base::{FragmentNumber, RunId, Timestamp};

use indexer::Window;

/// The most fragments that a playlist which is still changing lists, and which every reload repeats
/// (MaxMediaPlaylistFragmentResults of GetHLSStreamingSessionURL).
pub const MOST_CHANGING: usize = 5000;

/// The most fragments that a complete playlist lists: a day of one-second ones.
pub const MOST_COMPLETE: usize = 86_400;

/// What a viewer wants to see, and how the playlist says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Which fragments.
    pub mode: Mode,
    /// Fragments in a media playlist: up to [`MOST_CHANGING`], for [`Mode::OnDemand`] up to [`MOST_COMPLETE`].
    pub max_fragments: usize,
    /// Where `EXT-X-DISCONTINUITY` stands.
    pub discontinuities: Discontinuities,
    /// Whether every segment carries `EXT-X-PROGRAM-DATE-TIME`, in the time of the window's clock.
    pub program_date_time: bool,
}

/// Which fragments a playlist lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The newest ones, sliding. The window's `start`, when given, makes it a growing one from there (its
    /// `end` is not looked at).
    Live(Window),
    /// Those of the window, each revealed when its predecessors' durations have passed since `began`.
    Replay {
        /// What is replayed.
        window: Window,
        /// When the viewer's session began.
        began: Timestamp,
    },
    /// All those of the window, complete.
    OnDemand(Window),
}

/// `DiscontinuityMode` of GetHLSStreamingSessionURL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discontinuities {
    /// Before every fragment.
    Always,
    /// Nowhere.
    Never,
    /// Where the media timeline breaks: at a new run.
    OnDiscontinuity,
}

/// Names an init segment in a URI, the same for as long as the run lasts: `{run}-{init id in hex}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InitRef {
    /// The run whose fragments use it.
    pub run: RunId,
    /// `TrackMeta::init_id`.
    pub init_id: u64,
}

/// Not an init segment's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the name of an init segment: take it from EXT-X-MAP of the playlist")]
pub struct InitRefError;

impl fmt::Display for InitRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:016x}", self.run.0.to_u64(), self.init_id)
    }
}

impl FromStr for InitRef {
    type Err = InitRefError;

    fn from_str(text: &str) -> Result<Self, InitRefError> {
        let (run, id) = text.split_once('-').ok_or(InitRefError)?;
        let run = run.parse().map_err(|_| InitRefError)?;
        let init_id = u64::from_str_radix(id, 16).map_err(|_| InitRefError)?;
        Ok(Self { run: RunId(FragmentNumber::from_u64(run)), init_id })
    }
}

/// How the URIs in playlists look. Appends to `out`; relative to the playlist that carries them.
pub trait Uris: Send + Sync {
    /// A track's media playlist, as the multivariant playlist names it.
    fn media_playlist(&self, out: &mut String, track: u8);
    /// An init segment, as a media playlist names it.
    fn init_segment(&self, out: &mut String, track: u8, init: InitRef);
    /// A media segment, as a media playlist names it.
    fn media_segment(&self, out: &mut String, track: u8, number: FragmentNumber);
}
