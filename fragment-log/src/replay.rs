//! Going through a lane's frames in order, without touching media.

use crate::format::{FooterRow, Lsn};
use crate::read::Reader;
use crate::segment::{Segment, Step, Walk};
use crate::{Durable, LogError, SegmentInfo};

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
        for row in rows(&segment, info)? {
            let freed = reader.freed.holds(&segment.location(&row));
            if row.lsn >= from && row.lsn <= info.last && !freed {
                replay_frame(reader, &segment, &row, each)?;
            }
        }
    }
    Ok(())
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

fn replay_frame(
    reader: &Reader,
    segment: &Segment,
    row: &FooterRow,
    each: &mut dyn FnMut(Durable) -> Result<(), LogError>,
) -> Result<(), LogError> {
    let location = segment.location(row);
    let payload = if row.header.kind.is_metadata() {
        match reader.payload(segment, &location) {
            Ok(payload) => Some(payload),
            Err(LogError::NoKey(_)) => None,
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
