//! Several appends as one batch, and one batch as the answers to several appends.

use super::{Submission, Task};
use crate::format::BatchHead;
use crate::sync::mpsc::Receiver;
use crate::{Appended, Durable, Location};

/// A batch takes no further append once it has this many sealed bytes, so that no ack waits for more.
const BATCH_BYTES: u64 = 16 * 1024 * 1024;
/// … or this many frames: with its head and padding still one `pwritev`.
const BATCH_FRAMES: usize = 1000;
/// The first append and those that wait behind it, up to the batch's limits. A task of another kind
/// is held for afterwards.
pub(super) fn gather(first: Submission, tasks: &Receiver<Task>, held: &mut Option<Task>) -> Vec<Submission> {
    let bytes_of = |submission: &Submission| -> u64 {
        submission.frames.iter().map(|frame| u64::from(frame.slot.len)).sum()
    };
    let (mut bytes, mut frames) = (bytes_of(&first), first.frames.len());
    let mut batch = vec![first];
    while bytes < BATCH_BYTES && frames < BATCH_FRAMES {
        match tasks.try_recv() {
            Ok(Task::Append(next)) => {
                bytes += bytes_of(&next);
                frames += next.frames.len();
                batch.push(next);
            }
            Ok(other) => {
                *held = Some(other);
                break;
            }
            Err(_) => break,
        }
    }
    batch
}

/// What followers are told of a batch that is on disk.
pub(super) fn durable_frames(batch: &[Submission], head: &BatchHead, segment: u64) -> Vec<Durable> {
    let frames = batch.iter().flat_map(|submission| &submission.frames);
    let places = head.places().zip(frames);
    let told = places.map(|((lsn, offset, slot), frame)| Durable {
        lsn,
        header: frame.header,
        location: Location { lane: head.lane, segment, offset, len: slot.len },
        payload: frame.told.clone(),
    });
    told.collect()
}

/// What the producer of some of its frames is told.
pub(super) fn appended(frames: &[Durable]) -> Appended {
    Appended {
        first: frames.first().map(|frame| frame.lsn).unwrap_or_default(),
        last: frames.last().map(|frame| frame.lsn).unwrap_or_default(),
        locations: frames.iter().map(|frame| frame.location).collect(),
        bytes: frames.iter().map(|frame| u64::from(frame.location.len)).sum(),
    }
}
