//! A fragment on its way into the log: whole, or part by part while it is open.

use std::sync::Arc;

use base::{FragmentMeta, StreamId, TrackMeta};
use bytes::Bytes;
use fragment_log::format::PartNote;
use fragment_log::{Entry, FrameKind};
use media::Track;
use media::mkv::{FileEnds, FragmentWriter};

use super::naming::Job;
use crate::stored::{self, count, duration_ms, pieces};

/// What the log is told of one fragment. Its file's first piece is written last where there are parts:
/// only then it is known what the file begins with.
#[derive(Debug)]
pub(super) struct OpenFragment {
    stream: StreamId,
    /// As far as the fragment has come.
    meta: FragmentMeta,
    file: FragmentWriter,
    /// The index of the last piece that was journaled: they begin with 1. 0 before the first part.
    journaled: u32,
}

impl OpenFragment {
    /// `meta` is what is known before any frame.
    pub(super) fn new(stream: StreamId, meta: FragmentMeta) -> Self {
        let file = FragmentWriter::new(meta.run_origin);
        Self { stream, meta, file, journaled: 0 }
    }

    /// What is known of the fragment so far.
    pub(super) fn meta(&self) -> &FragmentMeta {
        &self.meta
    }

    /// Takes the fragment's next frames, and gives what is to be appended for them at once: of a part
    /// its pieces and the note by which the fragment can be closed behind them; with the last frames
    /// the rest of the file and the commit.
    pub(super) fn take(&mut self, job: Job) -> Vec<Entry> {
        let Job { tracks, metas, frames, ends, .. } = job;
        self.count(metas, &tracks);
        let blocks = self.file.blocks(&tracks, &frames);
        let FileEnds { head, tail } = self.file.ends(&tracks);
        self.meta.size_bytes = (head.len() + tail.len()) as u64 + self.file.blocks_bytes();
        let commit = self.meta.pack().into();
        if !ends {
            let mut entries = self.media(pieces(blocks), self.journaled + 1);
            self.journaled += count(&entries);
            let note = PartNote { head, tail, commit };
            entries.push(self.entry(FrameKind::FragmentPart, self.journaled, note.encode()));
            return entries;
        }
        let blocks = blocks.into_iter().chain([tail]);
        let mut entries = if self.journaled == 0 {
            self.media(pieces([head].into_iter().chain(blocks)), 0)
        } else {
            let mut rest = self.media(pieces(blocks), self.journaled + 1);
            rest.push(self.entry(FrameKind::Media, 0, vec![head]));
            rest
        };
        entries.push(self.entry(FrameKind::FragmentMeta, self.journaled + count(&entries), vec![commit]));
        entries
    }

    /// Adds what these frames are to what the fragment has.
    fn count(&mut self, metas: Vec<TrackMeta>, order: &[Arc<Track>]) {
        let all = &mut self.meta.tracks;
        for meta in metas {
            match all.iter_mut().find(|known| known.number == meta.number) {
                Some(known) => {
                    known.duration += meta.duration;
                    known.frames += meta.frames;
                    known.bytes += meta.bytes;
                }
                None => all.push(meta),
            }
        }
        all.sort_by_key(|meta| order.iter().position(|track| track.number == meta.number));
        self.meta.duration_ms = duration_ms(all);
    }

    /// Entries of pieces that are numbered from `first` on.
    fn media(&self, pieces: Vec<Vec<Bytes>>, first: u32) -> Vec<Entry> {
        (first..).zip(pieces).map(|(index, piece)| self.entry(FrameKind::Media, index, piece)).collect()
    }

    fn entry(&self, kind: FrameKind, count: u32, payload: Vec<Bytes>) -> Entry {
        stored::entry(self.stream, &self.meta, kind, count, payload)
    }
}
