//! From a producer's bytes to fragments: one cluster is one. Sans-I/O.
//!
//! Which fragment tags belong to: those before a cluster to the one that follows, unless a tag
//! `AWS_KINESISVIDEO_END_OF_FRAGMENT` comes before that cluster does; then to the one before. So a cluster is
//! a whole fragment only once what follows it is known, or its producer falls silent
//! ([`Clusters::settles_after`]).

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use base::{Limits, Tags, Timestamp};
use bytes::Bytes;
use media::Frame;
use media::mkv::{Block, Event, Header, Reader, ReaderLimits, Received, Tag, order_by_block_times};

use super::Timecodes;
use super::refusal::{ErrorId, Refusal};

/// Ends the fragment before it.
const END_OF_FRAGMENT: &str = "AWS_KINESISVIDEO_END_OF_FRAGMENT";
/// Names that AWS gives a meaning.
const RESERVED: &str = "AWS";
/// Those that a producer may use; the others are written by GetMedia.
const FOR_PRODUCERS: [&str; 3] =
    ["AWS_KINESISVIDEO_NOTIFICATION", "AWS_KINESISVIDEO_IMAGE_GENERATION", "AWS_KINESISVIDEO_IMAGE_PREFIX"];
/// Blocks of a fragment: what is kept of each beside its bytes is bounded by that.
const BLOCKS: usize = 250_000;
/// How long tags are waited for behind a cluster that told its size.
const MAY_FOLLOW: Duration = Duration::from_millis(5);
/// How long the end of the fragment, or the next one, is waited for behind tags.
const MUST_FOLLOW: Duration = Duration::from_secs(1);
/// A lone frame is shown for this part of a second where nothing says for how long.
const LONE_FRAMES_PER_SEC: u32 = 25;

/// What happened to the fragments of a session.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// One begins.
    Begun(Begun),
    /// The open one has a further block.
    Block(Block),
    /// The open one is whole.
    Whole(Box<Cluster>),
}

/// A fragment that begins.
#[derive(Clone, Debug)]
pub(super) struct Begun {
    pub(super) header: Arc<Header>,
    /// The cluster's time as it was written.
    pub(super) timecode: u64,
    pub(super) producer: Timestamp,
    /// Tags that came before it.
    pub(super) tags: Tags,
}

/// A whole fragment.
#[derive(Clone, Debug)]
pub(super) struct Cluster {
    pub(super) begun: Begun,
    /// The blocks as they came.
    pub(super) blocks: Vec<Bytes>,
    /// Their frames; times are ticks since the epoch.
    pub(super) frames: Vec<Frame>,
    /// Tags that came with or behind it.
    pub(super) late: Tags,
}

/// Reads one session's stream.
pub(super) struct Clusters {
    reader: Reader,
    timecodes: Timecodes,
    most_tags: usize,
    longest: Duration,
    header: Option<Arc<Header>>,
    open: Option<Open>,
    /// Tags whose fragment is not known yet.
    tags: Vec<Tag>,
    /// The time of the last cluster.
    last: Option<u64>,
    /// How long the last frame of each track was shown, in ticks.
    shown: Vec<u32>,
    steps: VecDeque<Step>,
    /// Why no more is taken, once all steps before are.
    refused: Option<Refusal>,
}

struct Open {
    begun: Begun,
    blocks: Vec<Block>,
    late: Vec<Tag>,
    /// Whether the cluster has ended.
    ended: bool,
}

impl Cluster {
    /// What is stored of it.
    pub(super) fn received(&self) -> Received<'_> {
        let Begun { header, timecode, .. } = &self.begun;
        Received { header, timestamp: *timecode, blocks: &self.blocks }
    }
}

impl Clusters {
    pub(super) fn new(timecodes: Timecodes, limits: &Limits) -> Self {
        let reader = ReaderLimits { cluster_bytes: limits.fragment_bytes, tracks: limits.tracks };
        Self {
            reader: Reader::new(reader),
            timecodes,
            most_tags: limits.fragment_tags,
            longest: limits.fragment_max,
            header: None,
            open: None,
            tags: Vec::new(),
            last: None,
            shown: Vec::new(),
            steps: VecDeque::new(),
            refused: None,
        }
    }

    /// Takes the next bytes. What they tell is to be asked for before more are taken.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.reader.push(bytes);
    }

    /// What happened next; `None` until more bytes come.
    pub(super) fn step(&mut self) -> Result<Option<Step>, Refusal> {
        loop {
            if let Some(step) = self.steps.pop_front() {
                return Ok(Some(step));
            }
            if let Some(refusal) = self.refused.take() {
                return Err(refusal);
            }
            match self.reader.next_event() {
                Ok(Some(event)) => self.take(event),
                Ok(None) => return Ok(None),
                Err(violation) => self.refuse(violation.into()),
            }
        }
    }

    /// How long the producer may be silent before the open fragment counts as whole; `None` where it is not,
    /// or there is none.
    pub(super) fn settles_after(&self) -> Option<Duration> {
        let ended = self.open.as_ref().is_some_and(|open| open.ended);
        let between = ended && self.reader.waiting() == 0;
        between.then_some(if self.tags.is_empty() { MAY_FOLLOW } else { MUST_FOLLOW })
    }

    /// The producer has been silent for that long: the open fragment is whole.
    pub(super) fn settle(&mut self) {
        if let Err(refusal) = self.whole() {
            self.refused = Some(refusal);
        }
    }

    /// The producer has ended its stream: what an end completes.
    pub(super) fn finish(&mut self) {
        match self.reader.finish() {
            Ok(last) => {
                if let Some(event) = last {
                    self.take(event);
                }
                self.settle();
            }
            Err(violation) => self.refuse(violation.into()),
        }
    }

    /// Whether more of a fragment is to come.
    pub(super) fn is_open(&self) -> bool {
        self.open.as_ref().is_some_and(|open| !open.ended)
    }

    /// Takes no more; what is whole stays so.
    fn refuse(&mut self, refusal: Refusal) {
        if !self.is_open() {
            // A fragment that cannot be whole is refused for that, and this is the cause of both.
            let _ = self.whole();
        }
        self.refused = Some(refusal);
    }

    fn take(&mut self, event: Event) {
        if let Err(refusal) = self.taken(event) {
            self.refuse(refusal);
        }
    }

    fn taken(&mut self, event: Event) -> Result<(), Refusal> {
        match event {
            Event::Header(header) => {
                self.shown.clone_from(&header.frame_durations);
                self.header = Some(Arc::new(header));
                Ok(())
            }
            Event::Cluster(timecode) => self.begin(timecode),
            Event::Block(block) => self.block(block),
            Event::ClusterEnd => {
                if let Some(open) = &mut self.open {
                    open.ended = true;
                }
                Ok(())
            }
            Event::Tags(tags) => self.tags(tags),
        }
    }

    fn begin(&mut self, timecode: u64) -> Result<(), Refusal> {
        self.whole()?;
        let Some(header) = self.header.clone() else { return Ok(()) };
        if let Some(last) = self.last.filter(|last| timecode < *last) {
            let text = format!("a fragment at {timecode}, after one at {last}: times must not go back");
            return Err(Refusal::new(ErrorId::FragmentTimecode, text).at(timecode));
        }
        self.last = Some(timecode);
        let beyond = || {
            let text = format!("a fragment at {timecode}, which is no time");
            Refusal::new(ErrorId::InvalidProducerTimestamp, text).at(timecode)
        };
        let producer = self.producer(&header, timecode).ok_or_else(beyond)?;
        let tags = as_kept(std::mem::take(&mut self.tags));
        let begun = Begun { header, timecode, producer, tags };
        self.steps.push_back(Step::Begun(begun.clone()));
        self.open = Some(Open { begun, blocks: Vec::new(), late: Vec::new(), ended: false });
        Ok(())
    }

    /// The cluster's time in the world.
    fn producer(&self, header: &Header, timecode: u64) -> Option<Timestamp> {
        let ns = i128::from(timecode).checked_mul(header.timestamp_scale_ns.into())?;
        let millis = i64::try_from((ns + 500_000) / 1_000_000).ok()?.checked_add(self.start().millis())?;
        let at = Timestamp::from_millis(millis);
        (at.millis() == millis && millis >= 0).then_some(at)
    }

    fn start(&self) -> Timestamp {
        match self.timecodes {
            Timecodes::Absolute => Timestamp::from_millis(0),
            Timecodes::Relative(start) => start,
        }
    }

    fn block(&mut self, block: Block) -> Result<(), Refusal> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let scale = open.begun.header.timestamp_scale_ns;
        let after_ns = i128::from(block.time) * i128::from(scale);
        if after_ns > i128::try_from(self.longest.as_nanos()).unwrap_or(i128::MAX) {
            let (timecode, longest) = (open.begun.timecode, self.longest);
            let text = format!("the fragment at {timecode} is longer than {longest:?}");
            return Err(Refusal::new(ErrorId::MaxFragmentDuration, text));
        }
        if open.blocks.len() >= BLOCKS {
            let text = format!("the fragment at {} has more than {BLOCKS} blocks", open.begun.timecode);
            return Err(Refusal::new(ErrorId::MaxFragmentSize, text));
        }
        open.blocks.push(block.clone());
        self.steps.push_back(Step::Block(block));
        Ok(())
    }

    fn tags(&mut self, tags: Vec<Tag>) -> Result<(), Refusal> {
        let ends = tags.iter().any(|tag| tag.name == END_OF_FRAGMENT);
        let most = self.most_tags;
        match &mut self.open {
            Some(open) if !open.ended => add(&mut open.late, tags, most),
            Some(open) => {
                add(&mut self.tags, tags, most)?;
                if ends {
                    open.late.append(&mut self.tags);
                    self.whole()?;
                }
                Ok(())
            }
            // The fragment that this was to end is whole already: the tags came too late for it.
            None if ends => {
                self.tags.clear();
                Ok(())
            }
            None => add(&mut self.tags, tags, most),
        }
    }

    /// The open fragment is whole, if there is one.
    fn whole(&mut self) -> Result<(), Refusal> {
        let Some(Open { begun, blocks, late, .. }) = self.open.take() else { return Ok(()) };
        if blocks.is_empty() {
            let text = format!("the fragment at {} has no frame of any track", begun.timecode);
            return Err(Refusal::new(ErrorId::FramesMissing, text));
        }
        check_count(own(begun.tags.keys()) + own(late.iter().map(|tag| &tag.name)), self.most_tags)?;
        let late = as_kept(late);
        let frames = self.frames(&begun, &blocks);
        let blocks = blocks.into_iter().map(|block| block.element).collect();
        self.steps.push_back(Step::Whole(Box::new(Cluster { begun, blocks, frames, late })));
        Ok(())
    }

    /// The frames of blocks, in their order.
    fn frames(&mut self, begun: &Begun, blocks: &[Block]) -> Vec<Frame> {
        let header = &begun.header;
        let timescale = header.timescale();
        let start = i128::from(self.start().millis()) * i128::from(timescale) / 1000;
        let frame = |block: &Block| {
            let time = i128::from(begun.timecode) + i128::from(block.time);
            let ticks = i128::from(header.ticks(time).unwrap_or_default()) + start;
            let pts = i64::try_from(ticks).unwrap_or_default();
            let track = u8::try_from(block.track).unwrap_or_default();
            Frame { track, dts: pts, pts, duration: 0, key: block.key, data: block.data.clone() }
        };
        let mut frames: Vec<_> = blocks.iter().map(frame).collect();
        order_by_block_times(&mut frames, &header.tracks);
        for (index, track) in header.tracks.iter().enumerate() {
            let last = frames.iter().rposition(|frame| frame.track == track.number);
            let Some(last) = last else { continue };
            if frames[last].duration == 0 {
                let told = blocks[last].duration.and_then(|units| header.ticks(units.into()));
                let told = told.and_then(|ticks| u32::try_from(ticks).ok()).unwrap_or(self.shown[index]);
                frames[last].duration =
                    if told > 0 { told } else { (timescale / LONE_FRAMES_PER_SEC).max(1) };
            }
            self.shown[index] = frames[last].duration;
        }
        frames
    }
}

/// Adds tags, if a fragment may have so many. Of those that AWS gives a meaning, the ones that a producer may use are
/// kept, the last of each.
fn add(all: &mut Vec<Tag>, tags: Vec<Tag>, most: usize) -> Result<(), Refusal> {
    for tag in tags {
        if is_reserved(&tag.name) {
            if !FOR_PRODUCERS.contains(&tag.name.as_str()) {
                continue;
            }
            all.retain(|known| known.name != tag.name);
        }
        all.push(tag);
    }
    check_count(own(all.iter().map(|tag| &tag.name)), most)
}

fn is_reserved(name: &str) -> bool {
    name.starts_with(RESERVED)
}

/// How many of these names are the producer's own: the others do not count.
fn own<'a>(names: impl Iterator<Item = &'a String>) -> usize {
    names.filter(|name| !is_reserved(name)).count()
}

fn check_count(tags: usize, most: usize) -> Result<(), Refusal> {
    if tags <= most {
        return Ok(());
    }
    let text = format!("a fragment of {tags} tags, where {most} are allowed");
    Err(Refusal::new(ErrorId::FragmentMetadataLimit, text))
}

/// The last of those of one name.
fn as_kept(tags: Vec<Tag>) -> Tags {
    tags.into_iter().map(|tag| (tag.name, tag.value)).collect()
}
