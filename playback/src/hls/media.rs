//! Media playlists (RFC 8216 §4.3.3).

use std::fmt::Write;

use super::{Discontinuities, Segment, Uris};

/// Segments rendered between two looks at whether the client still listens.
const PIECE: usize = 512;

/// Whether a playlist will change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Segments come and go.
    Sliding,
    /// Segments come; the first ones stay, and are what the viewer asked for.
    Growing,
    /// It was sliding, and nothing more will come.
    Ended,
    /// It is all there from the beginning.
    Complete,
}

/// A media playlist, ready to be written out.
#[derive(Debug)]
pub(crate) struct MediaPlaylist {
    pub(crate) track: u8,
    pub(crate) segments: Vec<Segment>,
    pub(crate) extent: Extent,
    /// At least the rounded duration of every segment, in seconds.
    pub(crate) target_secs: u64,
    pub(crate) discontinuities: Discontinuities,
    pub(crate) program_date_time: bool,
}

impl MediaPlaylist {
    /// The text, in pieces of a few hundred segments.
    pub(crate) fn pieces(self, uris: Box<dyn Uris>) -> impl Iterator<Item = String> + Send {
        let count = self.segments.len().div_ceil(PIECE).max(1);
        (0..count).map(move |piece| {
            let mut out = if piece == 0 { self.head() } else { String::new() };
            let first = piece * PIECE;
            for index in first..self.segments.len().min(first + PIECE) {
                self.segment(&mut out, index, uris.as_ref());
            }
            if piece + 1 == count {
                out.push_str(match self.extent {
                    Extent::Sliding | Extent::Growing => "",
                    Extent::Ended | Extent::Complete => "#EXT-X-ENDLIST\n",
                });
            }
            out
        })
    }

    fn head(&self) -> String {
        let first = self.segments.first();
        let mut out = String::from("#EXTM3U\n#EXT-X-VERSION:7\n");
        out.push_str(match self.extent {
            Extent::Sliding | Extent::Ended => "",
            // Players would begin at the newest segments (RFC 8216 §4.3.5.2).
            Extent::Growing => "#EXT-X-START:TIME-OFFSET=0\n",
            Extent::Complete => "#EXT-X-PLAYLIST-TYPE:VOD\n",
        });
        push(&mut out, format_args!("#EXT-X-TARGETDURATION:{}\n", self.target_secs));
        push(&mut out, format_args!("#EXT-X-MEDIA-SEQUENCE:{}\n", first.map_or(0, |one| one.sequence)));
        let discontinuity = first.map_or(0, |one| match self.discontinuities {
            Discontinuities::Always => one.sequence,
            Discontinuities::Never => 0,
            Discontinuities::OnDiscontinuity => one.discontinuity,
        });
        push(&mut out, format_args!("#EXT-X-DISCONTINUITY-SEQUENCE:{discontinuity}\n"));
        if self.segments.iter().all(|one| one.starts_with_key) {
            out.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
        }
        out
    }

    fn segment(&self, out: &mut String, index: usize, uris: &dyn Uris) {
        let segment = &self.segments[index];
        let previous = index.checked_sub(1).map(|before| &self.segments[before]);
        for _ in 0..previous.map_or(0, |previous| self.breaks(previous, segment)) {
            out.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if let Some(init) = segment.init()
            && self.map_before(index) != segment.init_id
        {
            out.push_str("#EXT-X-MAP:URI=\"");
            uris.init_segment(out, self.track, init);
            out.push_str("\"\n");
        }
        if self.program_date_time {
            push(out, format_args!("#EXT-X-PROGRAM-DATE-TIME:{}\n", segment.at));
        }
        if segment.init_id.is_none() {
            out.push_str("#EXT-X-GAP\n");
        }
        let (secs, micros) = (segment.duration_us / 1_000_000, segment.duration_us % 1_000_000);
        push(out, format_args!("#EXTINF:{secs}.{micros:06},\n"));
        uris.media_segment(out, self.track, segment.number);
        out.push('\n');
    }

    /// The init segment that is in force before this segment, from whatever run.
    fn map_before(&self, index: usize) -> Option<u64> {
        self.segments[..index].iter().rev().find_map(|segment| segment.init_id)
    }

    /// How many discontinuities lie between two neighbours. While a playlist slides it must be the stored
    /// difference, so that a client's count (RFC 8216 §6.2.2) stays right whatever it has missed.
    fn breaks(&self, previous: &Segment, segment: &Segment) -> u64 {
        match self.discontinuities {
            Discontinuities::Always => 1,
            Discontinuities::Never => 0,
            Discontinuities::OnDiscontinuity => match self.extent {
                Extent::Sliding | Extent::Growing | Extent::Ended => {
                    segment.discontinuity.saturating_sub(previous.discontinuity)
                }
                Extent::Complete => {
                    let successor = previous.sequence.checked_add(1) == Some(segment.sequence);
                    let same = previous.discontinuity == segment.discontinuity;
                    u64::from(previous.run != segment.run || !same || !successor)
                }
            },
        }
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes any text");
}
