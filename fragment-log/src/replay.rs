//! Going through a lane's frames in order, without touching media.

use bytes::Bytes;

use crate::format::{FooterRow, FormatError, Lsn};
use crate::keys::Opener;
use crate::read::Reader;
use crate::segment::{Segment, Step, Walk};
use crate::{Durable, FrameHeader, Location, LogError, SegmentInfo};

/// Hands `each` the frames of `segments` from `from` on. Freed ones are left out; damaged ones, too, and logged.
pub(crate) fn replay(
    reader: &Reader,
    segments: &[SegmentInfo],
    from: Lsn,
    each: &mut dyn FnMut(Durable) -> Result<(), LogError>,
) -> Result<(), LogError> {
    for info in segments.iter().filter(|info| info.last >= from) {
        let segment = match Segment::open(&*reader.io, &reader.layout, info.lane, info.segment) {
            Ok(segment) => segment,
            // Retention was quicker.
            Err(LogError::Gone(_)) => continue,
            Err(error) => return Err(error),
        };
        let rows = rows(&segment, info)?;
        let wanted = |row: &FooterRow| row.lsn >= from && row.lsn <= info.last;
        let mut ahead =
            Ahead { segment: &segment, opener: reader.keys.opener(), start: 0, bytes: Vec::new() };
        for (at, row) in rows.iter().enumerate().filter(|(_, row)| wanted(row)) {
            if !reader.freed.holds(&segment.location(row)) {
                replay_frame(reader, &mut ahead, &rows[at..], each)?;
            }
        }
    }
    Ok(())
}

/// A segment's metadata, read in large pieces where it lies close together.
struct Ahead<'s> {
    segment: &'s Segment,
    opener: Opener<'s>,
    /// What was read last, and where it begins.
    start: u64,
    bytes: Vec<u8>,
}

/// Bytes between two frames that are rather read than left out.
const CLOSE_BYTES: u64 = 16 * 1024;
/// Most bytes read at once.
const PIECE_BYTES: u64 = 512 * 1024;

impl Ahead<'_> {
    /// The first of these frames as it is stored.
    fn frame(&mut self, rows: &[FooterRow]) -> Result<Vec<u8>, LogError> {
        let offset = rows[0].offset;
        let len = usize::try_from(rows[0].header.frame_bytes()).unwrap_or(usize::MAX);
        if self.held(offset, len).is_none() {
            self.read(rows)?;
        }
        let held = self.held(offset, len).map(<[u8]>::to_vec);
        held.ok_or_else(|| self.segment.corrupt(offset)(FormatError("the file ends too early")))
    }

    fn held(&self, offset: u64, len: usize) -> Option<&[u8]> {
        let begin = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        self.bytes.get(begin..begin.checked_add(len)?)
    }

    /// Reads the first of these frames, and the metadata that follows closely.
    fn read(&mut self, rows: &[FooterRow]) -> Result<(), LogError> {
        let start = rows[0].offset;
        let mut end = start + rows[0].header.frame_bytes();
        for row in rows.iter().filter(|row| row.header.kind.is_metadata()) {
            let after = row.offset.saturating_add(row.header.frame_bytes());
            if row.offset > end + CLOSE_BYTES || after > start + PIECE_BYTES {
                break;
            }
            end = end.max(after);
        }
        self.start = start;
        self.bytes.resize(usize::try_from(end - start).unwrap_or(usize::MAX), 0);
        let read = self.segment.file.read_at(&mut self.bytes, start).map_err(self.segment.reading())?;
        self.bytes.truncate(read);
        Ok(())
    }
}

/// The headers and places of a segment's frames. Freed ones are left out; damaged ones, too, and logged.
pub(crate) fn headers(reader: &Reader, info: &SegmentInfo) -> Result<Vec<(FrameHeader, Location)>, LogError> {
    let segment = Segment::open(&*reader.io, &reader.layout, info.lane, info.segment)?;
    let rows = rows(&segment, info)?;
    let durable = rows.iter().filter(|row| row.lsn <= info.last);
    let places = durable.map(|row| (row.header, segment.location(row)));
    Ok(places.filter(|(_, at)| !reader.freed.holds(at)).collect())
}

/// Every frame of a segment: from its footer, or batch by batch where there is none.
pub(crate) fn rows(segment: &Segment, info: &SegmentInfo) -> Result<Vec<FooterRow>, LogError> {
    if info.sealed
        && let Some((footer, _)) = segment.footer()?
    {
        return Ok(footer.rows);
    }
    let mut rows = Vec::new();
    let uuid = segment.header()?.ok().map(|header| header.uuid);
    let mut walk = Walk::new(segment, uuid, info.bytes);
    while let Some(step) = walk.step()? {
        match step {
            Step::Batch(head) => {
                for row in segment.rows(&head) {
                    match row {
                        Ok(row) => rows.push(row),
                        Err(error @ LogError::Corrupt { .. }) => tracing::error!(%error, "frame left out"),
                        Err(error) => return Err(error),
                    }
                }
            }
            Step::Gap { range, .. } => {
                tracing::error!(file = %segment.path.display(), offset = range.start, "damaged batch left out");
            }
            Step::Tail(_) => {}
        }
    }
    Ok(rows)
}

/// Hands on the first of these frames.
fn replay_frame(
    reader: &Reader,
    ahead: &mut Ahead<'_>,
    rows: &[FooterRow],
    each: &mut dyn FnMut(Durable) -> Result<(), LogError>,
) -> Result<(), LogError> {
    let row = &rows[0];
    let location = ahead.segment.location(row);
    let payload = if row.header.kind.is_metadata() {
        match metadata(reader, ahead, rows) {
            Ok(payload) => Some(payload),
            Err(LogError::NoKey(_)) => None,
            // It was freed while it was read.
            Err(LogError::Gone(_)) => return Ok(()),
            Err(error @ LogError::Corrupt { .. }) => {
                tracing::error!(%error, "frame left out");
                return Ok(());
            }
            Err(error) => return Err(error),
        }
    } else {
        None
    };
    each(Durable { lsn: row.lsn, header: row.header, location, payload })
}

fn metadata(reader: &Reader, ahead: &mut Ahead<'_>, rows: &[FooterRow]) -> Result<Bytes, LogError> {
    let mut frame = ahead.frame(rows)?;
    let location = ahead.segment.location(&rows[0]);
    let payload = reader.open(ahead.segment, &location, &mut frame, &mut ahead.opener)?;
    frame.truncate(payload);
    Ok(frame.into())
}
