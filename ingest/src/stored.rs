//! How a fragment lies in the log: its Matroska file in pieces, then the commit, which is its metadata.

use base::{FragmentMeta, StreamId, TrackMeta};
use bytes::Bytes;
use catalog::Stream;
use fragment_log::{Entry, FrameKind, LaneId, RetentionClass};

/// A fragment is cut into log frames of at most this many bytes, so that a large one does not delay
/// the small ones of others.
const PIECE_BYTES: usize = 1024 * 1024;

/// Where a stream's fragments go; `None` where nothing is kept.
pub(crate) fn lane(stream: &Stream) -> Option<LaneId> {
    let class = RetentionClass::class_for(stream.retention);
    (!stream.retention.is_zero()).then_some(LaneId::Bulk(class))
}

/// All that is to be appended for a whole fragment.
pub(crate) fn entries(stream: StreamId, meta: &FragmentMeta, file: Vec<Bytes>) -> Vec<Entry> {
    let numbered = (0..).zip(pieces(file));
    let mut entries: Vec<_> =
        numbered.map(|(index, piece)| entry(stream, meta, FrameKind::Media, index, piece)).collect();
    entries.push(entry(stream, meta, FrameKind::FragmentMeta, count(&entries), vec![meta.pack().into()]));
    entries
}

/// One entry of a fragment.
pub(crate) fn entry(
    stream: StreamId,
    meta: &FragmentMeta,
    kind: FrameKind,
    count: u32,
    payload: Vec<Bytes>,
) -> Entry {
    Entry {
        kind,
        stream,
        shard: 0,
        first_sequence: meta.number.to_u64(),
        count,
        server_time: meta.server_timestamp,
        producer_time: meta.producer_timestamp,
        flags: 0,
        payload,
    }
}

pub(crate) fn count(entries: &[Entry]) -> u32 {
    u32::try_from(entries.len()).unwrap_or(u32::MAX)
}

/// How long a fragment plays: the longest video track, else the longest track.
pub(crate) fn duration_ms(tracks: &[TrackMeta]) -> u32 {
    let millis = |track: &TrackMeta| track.duration.saturating_mul(1000) / u64::from(track.timescale.max(1));
    let longest = |video: bool| tracks.iter().filter(|track| (track.width > 0) == video).map(millis).max();
    u32::try_from(longest(true).or(longest(false)).unwrap_or(0)).unwrap_or(u32::MAX)
}

/// Cuts a gather list into pieces of at most [`PIECE_BYTES`], without copying.
pub(crate) fn pieces(file: impl IntoIterator<Item = Bytes>) -> Vec<Vec<Bytes>> {
    let mut pieces = Vec::new();
    let (mut piece, mut room) = (Vec::new(), PIECE_BYTES);
    for mut part in file {
        while part.len() > room {
            piece.push(part.split_to(room));
            pieces.push(std::mem::take(&mut piece));
            room = PIECE_BYTES;
        }
        room -= part.len();
        piece.push(part);
    }
    pieces.push(piece);
    pieces
}
