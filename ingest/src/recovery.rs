//! After a crash: fragments that were open are closed where their last journaled part ends.
//!
//! Each part of an open fragment ends with a note of how the fragment would end there
//! ([`fragment_log::format::PartNote`]). A fragment that has notes and no commit gets the head, the
//! tail and the commit of its last note, in one append: crashing in the middle of this does no harm.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base::{FragmentMeta, Limits, StreamId, Timestamp};
use catalog::Catalog;
use fragment_log::format::PartNote;
use fragment_log::{Entry, FrameHeader, FrameKind, LaneId, Location, Log, LogError};

/// A fragment may be written for longer than it plays: a slow disk, a camera that stalls.
const MARGIN: Duration = Duration::from_mins(1);

/// What is in a lane of one fragment that was begun.
#[derive(Default)]
struct Begun {
    /// Bytes of each piece, by its index.
    pieces: HashMap<u32, u32>,
    /// The last note, and where it is.
    note: Option<(FrameHeader, Location)>,
    committed: bool,
}

/// Closes the fragments that were open when the last process ended without warning, and gives how many.
/// To be called once the catalog is open, before anything is recorded and before the index is opened.
/// Looks at the ends of the lanes only, at no media. What cannot be closed is told and stays as it is.
pub async fn recover(log: &Arc<Log>, catalog: &Catalog, limits: &Limits) -> u64 {
    let within = 2 * limits.fragment_max + MARGIN;
    let mut recovered = 0;
    for lane in log.lanes().into_iter().filter(|lane| matches!(lane, LaneId::Bulk(_))) {
        let log_of_it = Arc::clone(log);
        let found = tokio::task::spawn_blocking(move || unfinished(&log_of_it, lane, within));
        // It does not panic; if it did, nothing would be found.
        let found = found.await.unwrap_or_else(|_| Ok(Vec::new())).unwrap_or_else(|error| {
            tracing::error!(%lane, %error, "the lane's end does not read: fragments that were open in it stay lost");
            Vec::new()
        });
        for (header, at, pieces) in found {
            recovered += u64::from(recover_one(log, catalog, &header, &at, &pieces).await);
        }
    }
    recovered
}

/// A fragment's last note, where that is, and the bytes of its pieces by index.
type Unfinished = (FrameHeader, Location, HashMap<u32, u32>);

/// The fragments of a lane that have notes and no commit, as far back as one can have been begun.
/// Blocks on the disk.
fn unfinished(log: &Log, lane: LaneId, within: Duration) -> Result<Vec<Unfinished>, LogError> {
    let mut begun: HashMap<(StreamId, u64), Begun> = HashMap::new();
    let mut newest = Timestamp::MIN;
    let segments = log.segments().into_iter().filter(|info| info.lane == lane);
    for info in segments.rev() {
        for (header, at) in log.headers(lane, info.segment)? {
            newest = newest.max(header.server_time);
            begun.entry((header.stream, header.first_sequence)).or_default().add(header, at);
        }
        if newest.since(info.created) > within {
            break;
        }
    }
    let open = begun.into_values().filter(|begun| !begun.committed);
    let noted = open.filter_map(|begun| begun.note.map(|(header, at)| (header, at, begun.pieces)));
    // One that has a successor was given up: its place in the stream's order is taken.
    let last = |header: &FrameHeader| log.last_sequence(header.stream, 0) == Some(header.first_sequence);
    Ok(noted.filter(|(header, ..)| last(header)).collect())
}

impl Begun {
    /// Takes a frame of the fragment. Segments come newest first.
    fn add(&mut self, header: FrameHeader, at: Location) {
        match header.kind {
            FrameKind::Media => drop(self.pieces.insert(header.count, header.payload_bytes)),
            FrameKind::FragmentPart => {
                let later = |(_, known): &(FrameHeader, Location)| {
                    (known.segment, known.offset) > (at.segment, at.offset)
                };
                self.note = self.note.filter(later).or(Some((header, at)));
            }
            FrameKind::FragmentMeta => self.committed = true,
            FrameKind::Command | FrameKind::Records | FrameKind::Event => {}
        }
    }
}

/// Closes a fragment, where its stream still is. Tells whether it did.
async fn recover_one(
    log: &Log,
    catalog: &Catalog,
    header: &FrameHeader,
    at: &Location,
    pieces: &HashMap<u32, u32>,
) -> bool {
    let Some(stream) = catalog.stream_by_id(header.stream) else { return false };
    let (name, number) = (&stream.name, header.first_sequence);
    let closed = async {
        let note = log.read(at).await.map_err(|error| error.to_string())?;
        let note = PartNote::decode(&note).map_err(|error| error.to_string())?;
        let meta = complete(&note, header, pieces)?;
        log.append(at.lane, ending(header, note)).await.map_err(|error| error.to_string())?;
        Ok::<_, String>(meta)
    };
    match closed.await {
        Ok(FragmentMeta { number, duration_ms, .. }) => {
            tracing::info!(
                target: "audit",
                stream = %name, fragment = %number, duration_ms,
                "the fragment that was open in a crash is stored as far as it was journaled"
            );
            true
        }
        Err(why) => {
            tracing::warn!(stream = %name, fragment = number, why, "the fragment that was open in a crash is lost");
            false
        }
    }
}

/// The metadata that a note tells, if all is there that it says.
fn complete(
    note: &PartNote,
    header: &FrameHeader,
    pieces: &HashMap<u32, u32>,
) -> Result<FragmentMeta, String> {
    let meta = FragmentMeta::unpack(&note.commit)?;
    let journaled = (1..=header.count).map(|index| pieces.get(&index).copied().map(u64::from));
    let journaled = journaled.sum::<Option<u64>>().ok_or("pieces of it are missing from the log")?;
    let bytes = journaled + (note.head.len() + note.tail.len()) as u64;
    if bytes != meta.size_bytes || meta.number.to_u64() != header.first_sequence {
        return Err(format!("it has {bytes} bytes, and its note says {}", meta.size_bytes));
    }
    Ok(meta)
}

/// What is to be appended behind the pieces that a note counts.
fn ending(header: &FrameHeader, note: PartNote) -> Vec<Entry> {
    let entry = |kind, count, payload| Entry {
        kind,
        stream: header.stream,
        shard: header.shard,
        first_sequence: header.first_sequence,
        count,
        server_time: header.server_time,
        producer_time: header.producer_time,
        flags: header.flags,
        payload: vec![payload],
    };
    let PartNote { head, tail, commit } = note;
    vec![
        entry(FrameKind::Media, header.count + 1, tail),
        entry(FrameKind::Media, 0, head),
        entry(FrameKind::FragmentMeta, header.count + 2, commit),
    ]
}
