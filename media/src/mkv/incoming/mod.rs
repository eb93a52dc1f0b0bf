//! A Matroska stream as it arrives: bytes in as they come, tracks, frames and tags out. Sans-I/O.
//!
//! What PutMedia's producers send: one Segment, of unknown size or not, whose Clusters are fragments. No
//! element is looked into before it is there as a whole, none is kept that is larger than the reader
//! allows, and what is of no use here is passed over without being kept.

mod arrived;
mod header;
mod tags;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use bytes::Bytes;

use super::block::Block;
use super::ebml::{Element, id};
use super::read::MAX_FRAMES;
use crate::MediaError;

use arrived::{Arrived, Head};
pub use header::Header;
pub use tags::Tag;

/// Bytes of the EBML header, and of Info, that are read.
const SMALL_BYTES: u64 = 64 * 1024;
/// Bytes of Tracks: codec private data are most of it.
const TRACKS_BYTES: u64 = 1024 * 1024;
/// Bytes of one Tags element: many more than the tags that a fragment may have.
const TAGS_BYTES: u64 = 64 * 1024;

/// What a stream may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReaderLimits {
    /// Bytes of the frames of one cluster.
    pub cluster_bytes: usize,
    /// Tracks.
    pub tracks: usize,
}

/// What is found in a stream, in its order.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// What stands before the first cluster.
    Header(Header),
    /// A cluster begins, at this time in units of the file's TimestampScale.
    Cluster(u64),
    /// A frame of the cluster, of one of the header's tracks.
    Block(Block),
    /// The cluster is complete.
    ClusterEnd,
    /// Tags that are not about a track, a chapter or an attachment.
    Tags(Vec<Tag>),
}

/// What a stream may not hold, and where it does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}, at byte {offset} of the stream")]
pub struct Violation {
    /// Which rule is broken.
    pub kind: ViolationKind,
    /// Where the element begins, in bytes from the start of the stream.
    pub offset: u64,
    /// What is wrong.
    pub what: String,
}

/// Which of PutMedia's rules a stream breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViolationKind {
    /// Not Matroska, or not of the kind that is taken.
    Malformed,
    /// More bytes or frames than a cluster may have.
    TooLarge,
    /// More tracks than a stream may have.
    TooManyTracks,
    /// A frame of a track that was not described.
    UnknownTrack,
    /// Tags that are longer than they may be.
    Tags,
}

/// Reads a stream. After a violation there is nothing more to read.
#[derive(Debug)]
pub struct Reader {
    limits: ReaderLimits,
    arrived: Arrived,
    place: Place,
    /// Where the Segment ends, where it says so.
    segment_end: Option<u64>,
    info: Option<Bytes>,
    tracks: Option<Element>,
    /// The numbers of the tracks, once the header is told.
    numbers: Vec<u64>,
    told: VecDeque<Event>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// Before the EBML header.
    Start,
    /// Before the Segment.
    Top,
    /// Between the Segment's elements.
    Segment,
    Cluster(Open),
    /// Behind the Segment, or behind a violation.
    End,
}

/// A cluster that is being read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Open {
    /// Where it ends, where it says so.
    end: Option<u64>,
    /// Whether its timestamp has come.
    timed: bool,
    /// Bytes and frames so far.
    bytes: usize,
    frames: usize,
}

impl Reader {
    /// At the beginning of a stream.
    pub fn new(limits: ReaderLimits) -> Self {
        Self {
            limits,
            arrived: Arrived::default(),
            place: Place::Start,
            segment_end: None,
            info: None,
            tracks: None,
            numbers: Vec::new(),
            told: VecDeque::new(),
        }
    }

    /// Takes the next bytes. What they tell is to be asked for ([`Self::next_event`]) before more are taken.
    pub fn push(&mut self, bytes: &[u8]) {
        self.arrived.push(bytes);
    }

    /// Bytes taken that wait for more to be understood.
    pub fn waiting(&self) -> usize {
        self.arrived.waiting()
    }

    /// The next thing found; `None` until more bytes are there.
    ///
    /// # Errors
    /// [`Violation`]: the stream cannot be read on.
    pub fn next_event(&mut self) -> Result<Option<Event>, Violation> {
        loop {
            if let Some(event) = self.told.pop_front() {
                return Ok(Some(event));
            }
            match self.step() {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(violation) => {
                    self.place = Place::End;
                    return Err(violation);
                }
            }
        }
    }

    /// The stream ended here as its sender meant it to: what an end completes.
    ///
    /// # Errors
    /// [`Violation`] where it ends within an element.
    pub fn finish(&mut self) -> Result<Option<Event>, Violation> {
        let unfinished = |open: &Open| open.end.is_some() || !open.timed;
        let cut_off = self.arrived.is_within_element();
        match std::mem::replace(&mut self.place, Place::End) {
            Place::End => Ok(None),
            Place::Cluster(open) if cut_off || unfinished(&open) => {
                Err(self.malformed("the stream ends within a Cluster"))
            }
            Place::Cluster(_) => Ok(Some(Event::ClusterEnd)),
            _ if cut_off => Err(self.malformed("the stream ends within an element")),
            Place::Start | Place::Top | Place::Segment => Ok(None),
        }
    }

    /// Reads an element's beginning, or all of one. False where more bytes are needed.
    fn step(&mut self) -> Result<bool, Violation> {
        if !self.arrived.has_passed_over() {
            return Ok(false);
        }
        let offset = self.arrived.offset();
        let segment_ends = self.segment_end == Some(offset);
        if let Place::Cluster(Open { end, timed, .. }) = &self.place
            && (*end == Some(offset) || segment_ends)
        {
            if !timed {
                return Err(self.malformed("a Cluster without a Timestamp"));
            }
            self.end_cluster();
            return Ok(true);
        }
        if segment_ends {
            self.place = Place::End;
        }
        if self.place == Place::End {
            return self.after_the_end();
        }
        let Some(head) = self.arrived.head()? else { return Ok(false) };
        match self.place.clone() {
            Place::Start => self.start(head),
            Place::Top => self.top(head),
            Place::Segment => self.level_one(head),
            Place::Cluster(open) => self.in_cluster(head, open),
            Place::End => Ok(false),
        }
    }

    /// Behind a Segment that says its size: nothing.
    fn after_the_end(&mut self) -> Result<bool, Violation> {
        if self.waiting() == 0 {
            return Ok(false);
        }
        Err(self.malformed("more than one Segment: send each over a connection of its own"))
    }

    fn start(&mut self, head: Head) -> Result<bool, Violation> {
        if head.id != id::EBML {
            return Err(self.malformed("no EBML header at the beginning: not Matroska"));
        }
        let Some(element) = self.arrived.whole(head, SMALL_BYTES)? else { return Ok(false) };
        let at = self.arrived.offset() - element.whole.len() as u64;
        header::check_ebml(&element).map_err(|error| broken(at, &error))?;
        self.place = Place::Top;
        Ok(true)
    }

    fn top(&mut self, head: Head) -> Result<bool, Violation> {
        match head.id {
            id::SEGMENT => {
                self.arrived.enter(head);
                self.segment_end = head.size.map(|size| self.arrived.offset().saturating_add(size));
                self.place = Place::Segment;
                Ok(true)
            }
            id::VOID | id::CRC_32 => self.pass_over(head),
            _ => Err(self.malformed("no Segment after the EBML header")),
        }
    }

    fn level_one(&mut self, head: Head) -> Result<bool, Violation> {
        match head.id {
            id::CLUSTER => self.begin_cluster(head),
            id::INFO | id::TRACKS => self.describing(head),
            id::TAGS => self.tags(head),
            id::SEEK_HEAD | id::CUES | id::CHAPTERS | id::ATTACHMENTS | id::VOID | id::CRC_32 => {
                self.pass_over(head)
            }
            id::EBML | id::SEGMENT => {
                Err(self.malformed("more than one Segment: send each over a connection of its own"))
            }
            other => Err(self.malformed(format!("an element 0x{other:X} that has no place in a Segment"))),
        }
    }

    /// Info or Tracks.
    fn describing(&mut self, head: Head) -> Result<bool, Violation> {
        let (name, most) = if head.id == id::INFO { ("Info", SMALL_BYTES) } else { ("Tracks", TRACKS_BYTES) };
        if !self.numbers.is_empty() {
            return Err(self.malformed(format!("{name} after a Cluster")));
        }
        let known = if head.id == id::INFO { self.info.is_some() } else { self.tracks.is_some() };
        if known {
            return Err(self.malformed(format!("a second {name}")));
        }
        let Some(element) = self.arrived.whole(head, most)? else { return Ok(false) };
        if head.id == id::INFO {
            self.info = Some(element.whole);
        } else {
            self.tracks = Some(element);
        }
        Ok(true)
    }

    fn begin_cluster(&mut self, head: Head) -> Result<bool, Violation> {
        if self.numbers.is_empty() {
            self.tell_header()?;
        }
        self.arrived.enter(head);
        let end = head.size.map(|size| self.arrived.offset().saturating_add(size));
        self.place = Place::Cluster(Open { end, timed: false, bytes: 0, frames: 0 });
        Ok(true)
    }

    fn tell_header(&mut self) -> Result<(), Violation> {
        let Some(tracks) = self.tracks.take() else {
            return Err(self.malformed("a Cluster before Tracks"));
        };
        let header =
            Header::read(self.info.take(), &tracks).map_err(|error| broken(self.arrived.offset(), &error))?;
        let (count, most) = (header.tracks.len(), self.limits.tracks);
        if count > most {
            let what = format!("{count} tracks, where {most} are allowed");
            return Err(self.violation(ViolationKind::TooManyTracks, what));
        }
        self.numbers = header.tracks.iter().map(|track| track.number.into()).collect();
        self.told.push_back(Event::Header(header));
        Ok(())
    }

    fn in_cluster(&mut self, head: Head, open: Open) -> Result<bool, Violation> {
        let fits = |end: u64| head.end(self.arrived.offset()).is_some_and(|own| own <= end);
        if !open.end.is_none_or(fits) {
            return Err(self.malformed("an element that is larger than its Cluster"));
        }
        match head.id {
            id::TIMESTAMP => self.timestamp(head, open),
            id::SIMPLE_BLOCK | id::BLOCK_GROUP => self.block(head, open),
            id::TAGS if open.end.is_some() => self.tags(head),
            id::VOID | id::CRC_32 | id::POSITION | id::PREV_SIZE | id::SILENT_TRACKS => self.pass_over(head),
            id::ENCRYPTED_BLOCK => Err(self.malformed("an EncryptedBlock: send frames as they are")),
            // What stands beside clusters ends one whose size is not known.
            _ if open.end.is_none() && open.timed => {
                self.end_cluster();
                Ok(true)
            }
            other => Err(self.malformed(format!("an element 0x{other:X} that has no place in a Cluster"))),
        }
    }

    fn timestamp(&mut self, head: Head, open: Open) -> Result<bool, Violation> {
        if open.timed {
            return Err(self.malformed("a Cluster of two Timestamps"));
        }
        let at = self.arrived.offset();
        let Some(element) = self.arrived.whole(head, 8)? else { return Ok(false) };
        let time = element.uint().map_err(|error| broken(at, &error))?;
        self.told.push_back(Event::Cluster(time));
        self.place = Place::Cluster(Open { timed: true, ..open });
        Ok(true)
    }

    fn block(&mut self, head: Head, open: Open) -> Result<bool, Violation> {
        let most = self.limits.cluster_bytes;
        if !open.timed {
            return Err(self.malformed("a block before its Cluster's Timestamp"));
        }
        // Number, time and flags of a block are not of its frame.
        let room = most.saturating_sub(open.bytes) as u64 + if head.id == id::SIMPLE_BLOCK { 4 } else { 64 };
        if head.size.is_some_and(|size| size > room) {
            let what = format!("a fragment of more than {most} bytes");
            return Err(self.violation(ViolationKind::TooLarge, what));
        }
        if open.frames == MAX_FRAMES {
            let what = format!("a fragment of more than {MAX_FRAMES} frames");
            return Err(self.violation(ViolationKind::TooLarge, what));
        }
        let at = self.arrived.offset();
        let Some(element) = self.arrived.whole(head, room)? else { return Ok(false) };
        let block = Block::read(&element).map_err(|error| broken(at, &error))?;
        if !self.numbers.contains(&block.track) {
            let what = format!("a frame of track {}, which Tracks does not describe", block.track);
            return Err(Violation { kind: ViolationKind::UnknownTrack, offset: at, what });
        }
        let bytes =
            open.bytes + if head.id == id::SIMPLE_BLOCK { block.data.len() } else { element.data.len() };
        self.place = Place::Cluster(Open { bytes, frames: open.frames + 1, ..open });
        self.told.push_back(Event::Block(block));
        Ok(true)
    }

    fn tags(&mut self, head: Head) -> Result<bool, Violation> {
        let at = self.arrived.offset();
        if head.size.is_some_and(|size| size > TAGS_BYTES) {
            let what = format!("Tags of more than {TAGS_BYTES} bytes");
            return Err(self.violation(ViolationKind::Tags, what));
        }
        let Some(element) = self.arrived.whole(head, TAGS_BYTES)? else { return Ok(false) };
        let tags = tags::read(&element).map_err(|refused| refused.at(at))?;
        if !tags.is_empty() {
            self.told.push_back(Event::Tags(tags));
        }
        Ok(true)
    }

    fn end_cluster(&mut self) {
        self.place = Place::Segment;
        self.told.push_back(Event::ClusterEnd);
    }

    fn pass_over(&mut self, head: Head) -> Result<bool, Violation> {
        self.arrived.pass_over(head);
        Ok(true)
    }

    fn malformed(&self, what: impl Into<String>) -> Violation {
        self.violation(ViolationKind::Malformed, what)
    }

    fn violation(&self, kind: ViolationKind, what: impl Into<String>) -> Violation {
        Violation { kind, offset: self.arrived.offset(), what: what.into() }
    }
}

fn broken(offset: u64, error: &MediaError) -> Violation {
    Violation { kind: ViolationKind::Malformed, offset, what: error.to_string() }
}
