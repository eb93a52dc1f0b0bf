//! Which fragments: the log's follower that answers by number, by time, by tag, over many streams.
//!
//! Two views of the log, both rebuildable from it and both under `DATA/index/`: a *sorted view* in SQLite
//! (`fragments.sqlite`) for everything about one stream, and a *search view* in tantivy (`search/YYYY-MM/`) for
//! expressions over tags, labels and codecs. An overlay in memory holds what neither has yet, so that a
//! fragment is found by every query as soon as it is acknowledged.
//!
//! Somebody may tag spans of a stream's time afterwards, by events. These are found by search as if the fragments
//! that they overlap had the tags themselves.
//!
//! Invariants: an acknowledged fragment is found until its retention ends, and not after, unless it is held or
//! room must be made; a held fragment is found and its bytes stay, whatever else is done; both views can be
//! deleted at any time without changing an answer; a log segment is removed only when nothing in it is kept; lanes of the log never wait for this crate; no tag value is in a file in the clear.
//!
//! Not promised: prefix, range or pattern search over values, which are blinded; an order of hits other
//! than time; that a fragment whose stream was deleted is still answered while a query runs.

mod assemble;
mod damage;
mod error;
mod event;
mod find;
mod forward;
mod indexer;
mod intake;
mod kept;
mod merge;
mod open;
mod overlay;
mod owner;
mod query;
mod retention;
mod row;
mod search;
mod space;
mod timeline;
mod view;

#[cfg(test)]
mod tests;

pub use error::IndexError;
pub use event::{Event, EventQuery, NewEvent};
pub use indexer::{IndexMetrics, Indexer, IndexerOptions};
pub use query::{Bucket, ClockKind, FragmentEntry, Hit, LaneSpace, Rebuilt, SearchQuery, Swept, Window};
pub use view::damaged_views;
