//! One month's index: a folder that goes as a whole when the month has expired.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base::{FragmentNumber, Timestamp};
use fragment_log::{LaneId, Lsn};
use serde::{Deserialize, Serialize};
use tantivy::indexer::{IndexWriterOptions, LogMergePolicy, UserOperation};
use tantivy::{Index, IndexReader, IndexWriter, ReloadPolicy, TantivyError};

use super::described::{Description, Known};
use super::schema::{Fields, description_document, fragment_document, schema, segment_code, segment_term};
use super::words::Blinder;
use crate::assemble::Fresh;

/// Memory in which documents gather before a commit.
const MEMORY_BYTES: usize = 32 * 1024 * 1024;
/// Documents that are given to tantivy's thread at a time: waking it for each would cost more than the document.
const HAND_OVER: usize = 128;
/// Larger folders are not read through at open; damage there shows when it is met.
const CHECKED_BYTES: u64 = 64 * 1024 * 1024;

/// A month of server time, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct MonthId {
    year: i32,
    month: u8,
}

impl MonthId {
    pub(crate) fn of(number: FragmentNumber) -> Self {
        let at = number.server_timestamp().to_utc();
        Self { year: at.year(), month: at.month().into() }
    }

    /// The name of its folder.
    pub(super) fn name(self) -> String {
        format!("{:04}-{:02}", self.year, self.month)
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        let (year, month) = name.split_once('-')?;
        let id = Self { year: year.parse().ok()?, month: month.parse().ok()? };
        (id.name() == name && (1..=12).contains(&id.month)).then_some(id)
    }
}

/// What is committed together with documents.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Payload {
    /// By lane: this index has everything of its month before that place.
    next: BTreeMap<u8, u64>,
    /// Least and greatest producer time of any document.
    pub producer: (i64, i64),
}

pub(super) struct Month {
    index: Index,
    pub fields: Fields,
    pub reader: IndexReader,
    writer: Option<IndexWriter>,
    /// Not given to the writer yet.
    added: Vec<UserOperation>,
    known: Known,
    pub payload: Payload,
}

impl Month {
    /// Opens a folder, or makes it where there is none.
    ///
    /// # Errors
    /// Also where it is damaged or has another schema: then the search view must be made anew.
    pub(super) fn open(dir: &Path) -> Result<Self, TantivyError> {
        let (wanted, fields) = schema();
        let index = if dir.join("meta.json").exists() {
            Index::open_in_dir(dir)?
        } else {
            std::fs::create_dir_all(dir)?;
            Index::create_in_dir(dir, wanted.clone())?
        };
        if index.schema() != wanted {
            return Err(TantivyError::SchemaError("the schema is another version's".into()));
        }
        if bytes_of(dir)? <= CHECKED_BYTES
            && let Some(file) = index.validate_checksum()?.into_iter().next()
        {
            return Err(TantivyError::InternalError(format!("{} is damaged", file.display())));
        }
        let payload = match index.load_metas()?.payload {
            Some(json) => serde_json::from_str(&json)
                .map_err(|_| TantivyError::InternalError("the commit's payload does not read".into()))?,
            None => Payload { next: BTreeMap::new(), producer: (i64::MAX, i64::MIN) },
        };
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        let (added, known) = (Vec::new(), Known::default());
        Ok(Self { index, fields, reader, writer: None, added, known, payload })
    }

    /// Adds a fragment, unless it is in already. It is found after the next commit.
    pub(super) fn add(&mut self, fresh: &Fresh, blinder: &Blinder) -> Result<(), TantivyError> {
        let lane = fresh.entry.commit.lane;
        if self.payload.next.get(&lane.code()).is_some_and(|next| fresh.lsn < Lsn(*next)) {
            return Ok(());
        }
        self.describe(fresh, blinder);
        if self.added.len() >= HAND_OVER {
            self.hand_over()?;
        }
        let at = fresh.entry.meta.producer_timestamp.millis();
        self.payload.producer = (self.payload.producer.0.min(at), self.payload.producer.1.max(at));
        Ok(())
    }

    /// Makes the document of a fragment, and those of its descriptions that its log segment lacks.
    fn describe(&mut self, fresh: &Fresh, blinder: &Blinder) {
        let Fresh { entry, tags, .. } = fresh;
        let segment = segment_code(entry.commit.lane, entry.commit.segment);
        let mut document = fragment_document(&self.fields, entry);
        let tags = tags.iter().map(|(name, value)| Description::Tag { name, value });
        for description in [Description::Codecs(&entry.meta.tracks)].into_iter().chain(tags) {
            let id = self.known.id(blinder, description);
            document.add_u64(self.fields.described, id);
            if self.known.is_new(id, segment) {
                let described = description_document(&self.fields, blinder, (id, description), entry);
                self.added.push(UserOperation::Add(described));
            }
        }
        self.added.push(UserOperation::Add(document));
    }

    /// Removes the fragments of a log segment, with the next commit.
    pub(super) fn delete_segment(&mut self, lane: LaneId, segment: u64) -> Result<(), TantivyError> {
        self.hand_over()?;
        let term = segment_term(&self.fields, lane, segment);
        self.writer()?.delete_term(term);
        Ok(())
    }

    /// Makes what was added durable and found.
    pub(super) fn commit(&mut self, positions: &[(LaneId, Lsn)]) -> Result<(), TantivyError> {
        self.hand_over()?;
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        let mut payload = self.payload.clone();
        for (lane, next) in positions {
            // What is read again was complete further on already.
            let known = payload.next.entry(lane.code()).or_default();
            *known = next.0.max(*known);
        }
        let text = serde_json::to_string(&payload).expect("a payload is plain data");
        let mut prepared = writer.prepare_commit()?;
        prepared.set_payload(&text);
        prepared.commit()?;
        self.payload = payload;
        self.reader.reload()
    }

    /// Ends the threads that write, once their merges are done.
    pub(super) fn rest(&mut self) -> Result<(), TantivyError> {
        self.known = Known::default();
        self.writer.take().map_or(Ok(()), IndexWriter::wait_merging_threads)
    }

    /// Gives tantivy's thread what was added.
    fn hand_over(&mut self) -> Result<(), TantivyError> {
        let added = std::mem::take(&mut self.added);
        if !added.is_empty() {
            self.writer()?.run(added)?;
        }
        Ok(())
    }

    fn writer(&mut self) -> Result<&mut IndexWriter, TantivyError> {
        if self.writer.is_none() {
            let options = IndexWriterOptions::builder()
                .num_worker_threads(1)
                .num_merge_threads(1)
                .memory_budget_per_thread(MEMORY_BYTES)
                .build();
            let writer: IndexWriter = self.index.writer_with_options(options)?;
            writer.set_merge_policy(Box::new(LogMergePolicy::default()));
            self.writer = Some(writer);
        }
        Ok(self.writer.as_mut().expect("it was just made"))
    }
}

fn bytes_of(dir: &Path) -> Result<u64, std::io::Error> {
    std::fs::read_dir(dir)?.map(|file| Ok(file?.metadata()?.len())).sum()
}

/// The first moment after a month.
pub(super) fn end(id: MonthId) -> Timestamp {
    let (year, month) = if id.month == 12 { (id.year + 1, 1) } else { (id.year, id.month + 1) };
    Timestamp::parse(&format!("{year:04}-{month:02}-01T00:00:00Z")).unwrap_or(Timestamp::MAX)
}

/// The folder of a month.
pub(super) fn folder(dir: &Path, id: MonthId) -> PathBuf {
    dir.join(id.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_have_names_and_ends() {
        let id = MonthId::of(FragmentNumber::at(Timestamp::parse("2026-12-31T23:59:59.999Z").unwrap()));
        assert_eq!(id.name(), "2026-12");
        assert_eq!(MonthId::parse("2026-12"), Some(id));
        assert_eq!(end(id).to_string(), "2027-01-01T00:00:00.000Z");
        for bad in ["2026-13", "2026-1", "x", "2026-00", "lost+found"] {
            assert_eq!(MonthId::parse(bad), None, "{bad}");
        }
    }
}
