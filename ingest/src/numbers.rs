//! The numbers of a stream's fragments.

use base::{FragmentMeta, FragmentNumber, RunId, Timestamp};
use catalog::Stream;

use crate::Ingest;

/// What the stream's next fragment is numbered by, going on where the last publisher left off.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers {
    last: Option<FragmentNumber>,
    run: Option<RunId>,
    /// HLS ordinals of the last fragment; `None` before the stream's first.
    last_media: Option<u64>,
    last_discontinuity: u64,
    /// The media timeline is broken before the next fragment: a run starts, or one was dropped.
    broken: bool,
    /// The last fragment that starts with a key frame and whose successors were all stored.
    key: Option<FragmentNumber>,
}

/// A fragment's place in its stream's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) run: RunId,
    pub(crate) media_sequence: u64,
    pub(crate) discontinuity_sequence: u64,
    /// The fragment to begin decoding with, where this one does not start with a key frame.
    pub(crate) decodes_from: Option<FragmentNumber>,
}

impl Numbers {
    pub(crate) fn resume(ingest: &Ingest, stream: &Stream) -> Self {
        let options = ingest.options();
        let newest = options.resume.last(stream.id);
        let in_log = options.log.last_sequence(stream.id, 0).map(FragmentNumber::from_u64);
        Self {
            last: newest.as_ref().map(|meta| meta.number).max(in_log),
            run: None,
            last_media: newest.as_ref().map(|meta| meta.media_sequence),
            last_discontinuity: newest.map_or(0, |meta| meta.discontinuity_sequence),
            broken: true,
            key: None,
        }
    }

    /// The number of a fragment that begins to arrive at `server`.
    pub(crate) fn next(&mut self, server: Timestamp) -> FragmentNumber {
        let number = FragmentNumber::next(self.last, server);
        self.last = Some(number);
        number
    }

    /// Places a fragment behind those placed before.
    pub(crate) fn place(
        &mut self,
        number: FragmentNumber,
        starts_run: bool,
        parameters_changed: bool,
        starts_with_key: bool,
    ) -> Place {
        let run = self.run.filter(|_| !starts_run).unwrap_or(RunId(number));
        let discontinuous = self.broken || starts_run || parameters_changed;
        let media_sequence = self.last_media.map_or(0, |last| last.saturating_add(1));
        let first_ever = self.last_media.is_none();
        self.last_discontinuity += u64::from(discontinuous && !first_ever);
        (self.run, self.last_media, self.broken) = (Some(run), Some(media_sequence), false);
        self.key = if starts_with_key { Some(number) } else { self.key };
        let decodes_from = self.key.filter(|_| !starts_with_key);
        Place { run, media_sequence, discontinuity_sequence: self.last_discontinuity, decodes_from }
    }

    /// Nothing that is placed from here on decodes from what was placed before.
    pub(crate) fn forget_key(&mut self) {
        self.key = None;
    }

    /// Leaves a fragment out that could not be stored: its number stays used.
    pub(crate) fn skip(&mut self, meta: &FragmentMeta) {
        (self.last, self.run, self.broken, self.key) = (Some(meta.number), Some(meta.run_id), true, None);
    }
}
