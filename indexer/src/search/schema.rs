//! One document per fragment. Nothing is stored: a hit is only its time, stream and number.

use std::borrow::Cow;

use tantivy::schema::{
    FAST, Field, INDEXED, IndexRecordOption, STRING, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::{TantivyDocument, Term};

use fragment_log::LaneId;

use super::words::{Blinded, Blinder};
use crate::assemble::Fresh;

pub(super) const STREAM: &str = "stream";
pub(super) const NUMBER: &str = "number";
pub(super) const PRODUCER: &str = "producer";

/// The fields of a document.
#[derive(Clone, Copy)]
pub(super) struct Fields {
    /// The stream's id.
    pub stream: Field,
    /// The fragment's number, which is its server time.
    pub number: Field,
    /// Its producer time, in milliseconds since the epoch.
    pub producer: Field,
    /// Codec names and codec strings of its tracks.
    pub codec: Field,
    /// Blinded words of its tags, each alone and with its tag's name, at their positions.
    pub words: Field,
    /// The log segments it lies in: documents go when a segment goes.
    pub segment: Field,
}

/// The schema; a search view with another one is rebuilt.
pub(super) fn schema() -> (Schema, Fields) {
    let mut schema = Schema::builder();
    // The terms of a value stand in one text: a pre-tokenized one goes through JSON within tantivy.
    let positions = TextFieldIndexing::default()
        .set_tokenizer("whitespace")
        .set_fieldnorms(false)
        .set_index_option(IndexRecordOption::WithFreqsAndPositions);
    let fields = Fields {
        stream: schema.add_u64_field(STREAM, INDEXED | FAST),
        number: schema.add_u64_field(NUMBER, FAST),
        producer: schema.add_i64_field(PRODUCER, FAST),
        codec: schema.add_text_field("codec", STRING),
        words: schema.add_text_field("words", TextOptions::default().set_indexing_options(positions)),
        segment: schema.add_u64_field("segment", INDEXED),
    };
    (schema.build(), fields)
}

/// What a fragment is found by.
pub(super) fn document(
    fields: &Fields,
    blinder: &Blinder,
    blinded: &mut Blinded,
    fresh: &Fresh,
) -> TantivyDocument {
    let entry = &fresh.entry;
    let meta = &entry.meta;
    let mut document = TantivyDocument::default();
    document.add_u64(fields.stream, entry.stream.0);
    document.add_u64(fields.number, meta.number.to_u64());
    document.add_i64(fields.producer, meta.producer_timestamp.millis());
    let mut codecs: Vec<_> = meta
        .tracks
        .iter()
        .flat_map(|track| [&track.codec, &track.codec_string])
        .map(|codec| lower_case(codec))
        .collect();
    codecs.sort_unstable();
    codecs.dedup();
    for codec in codecs {
        document.add_text(fields.codec, codec);
    }
    // Between two values tantivy leaves a position out, so that no phrase spans them.
    for (name, value) in &fresh.tags {
        let terms = blinded.terms(blinder, name, value);
        document.add_text(fields.words, &terms.anywhere);
        document.add_text(fields.words, &terms.named);
    }
    let mut last = None;
    for at in entry.pieces.iter().chain([&entry.commit]) {
        if last.replace((at.lane, at.segment)) != Some((at.lane, at.segment)) {
            document.add_u64(fields.segment, segment_code(at.lane, at.segment));
        }
    }
    document
}

/// Copies only what has capitals.
fn lower_case(text: &str) -> Cow<'_, str> {
    let lower = text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
    if lower { Cow::Borrowed(text) } else { Cow::Owned(text.to_lowercase()) }
}

/// The term under which the fragments of a log segment are found.
pub(super) fn segment_term(fields: &Fields, lane: LaneId, segment: u64) -> Term {
    Term::from_field_u64(fields.segment, segment_code(lane, segment))
}

fn segment_code(lane: LaneId, segment: u64) -> u64 {
    u64::from(lane.code()) << 56 | segment & (u64::MAX >> 8)
}
