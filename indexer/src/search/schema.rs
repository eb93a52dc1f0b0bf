//! One document per fragment, and one per description. Nothing is stored: a hit is only its time, stream and
//! number.

use tantivy::schema::{
    FAST, Field, INDEXED, IndexRecordOption, STRING, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::{TantivyDocument, Term};

use fragment_log::LaneId;

use super::described::Description;
use super::words::{Blinder, words};
use crate::FragmentEntry;

pub(super) const STREAM: &str = "stream";
pub(super) const NUMBER: &str = "number";
pub(super) const PRODUCER: &str = "producer";
pub(super) const DURATION: &str = "duration";
pub(super) const DESCRIPTION: &str = "description";
/// Room for a fragment's document; tantivy's own choice is eight times as much.
const FRAGMENT_BYTES: usize = 128;
/// No stream has this id: descriptions stand under it, where no search for fragments sees them.
const NO_STREAM: u64 = 0;

/// The fields of a document.
#[derive(Clone, Copy)]
pub(super) struct Fields {
    /// The stream's id.
    pub stream: Field,
    /// The fragment's number, which is its server time.
    pub number: Field,
    /// Its producer time, in milliseconds since the epoch.
    pub producer: Field,
    /// How long it is, in milliseconds.
    pub duration: Field,
    /// Of a fragment: the ids of its descriptions.
    pub described: Field,
    /// Of a description: its id.
    pub description: Field,
    /// Of a description: codec names and codec strings, in lower case.
    pub codec: Field,
    /// Of a description: the blinded words of a tag, each alone and with the tag's name, at their positions.
    pub words: Field,
    /// The log segments that it lies in: documents go when a segment goes.
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
        duration: schema.add_u64_field(DURATION, FAST),
        described: schema.add_u64_field("described", INDEXED),
        description: schema.add_u64_field(DESCRIPTION, FAST),
        codec: schema.add_text_field("codec", STRING),
        words: schema.add_text_field("words", TextOptions::default().set_indexing_options(positions)),
        segment: schema.add_u64_field("segment", INDEXED),
    };
    (schema.build(), fields)
}

/// A fragment's document, to which the ids of its descriptions are still to be added.
pub(super) fn fragment_document(fields: &Fields, entry: &FragmentEntry) -> TantivyDocument {
    let mut document = TantivyDocument::with_capacity(FRAGMENT_BYTES);
    add_key(&mut document, fields, entry.stream.0, entry);
    let mut last = None;
    for at in entry.places() {
        if last.replace((at.lane, at.segment)) != Some((at.lane, at.segment)) {
            document.add_u64(fields.segment, segment_code(at.lane, at.segment));
        }
    }
    document
}

/// The document of a description that `entry` is the first to have in its log segment.
pub(super) fn description_document(
    fields: &Fields,
    blinder: &Blinder,
    (id, description): (u64, Description<'_>),
    entry: &FragmentEntry,
) -> TantivyDocument {
    let mut document = TantivyDocument::default();
    add_key(&mut document, fields, NO_STREAM, entry);
    document.add_u64(fields.segment, segment_code(entry.commit.lane, entry.commit.segment));
    document.add_u64(fields.description, id);
    match description {
        Description::Codecs(tracks) => {
            for codec in tracks.iter().flat_map(|track| [&track.codec, &track.codec_string]) {
                document.add_text(fields.codec, codec.to_lowercase());
            }
        }
        Description::Tag { name, value } => {
            // Between two texts tantivy leaves a position out, so that no phrase spans them.
            let words = words(value);
            for name in [None, Some(name)] {
                let terms: Vec<_> = words.iter().map(|word| blinder.term(name, word)).collect();
                document.add_text(fields.words, terms.join(" "));
            }
        }
    }
    document
}

/// Columns that every document has, so that tantivy need not note which do.
fn add_key(document: &mut TantivyDocument, fields: &Fields, stream: u64, entry: &FragmentEntry) {
    document.add_u64(fields.stream, stream);
    document.add_u64(fields.number, entry.meta.number.to_u64());
    document.add_i64(fields.producer, entry.meta.producer_timestamp.millis());
    document.add_u64(fields.duration, entry.meta.duration_ms.into());
}

/// The term under which the fragments of a log segment are found.
pub(super) fn segment_term(fields: &Fields, lane: LaneId, segment: u64) -> Term {
    Term::from_field_u64(fields.segment, segment_code(lane, segment))
}

/// Stands for a log segment.
pub(super) fn segment_code(lane: LaneId, segment: u64) -> u64 {
    u64::from(lane.code()) << 56 | segment & (u64::MAX >> 8)
}
