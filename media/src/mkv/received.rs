//! A producer's cluster as a file of its own.

use bytes::{BufMut, Bytes, BytesMut};

use super::ebml::{id, put_id, put_master, put_uint, put_vint};
use super::incoming::Header;
use super::read::Sections;
use super::timing::{self, TimingWriter};
use super::write::{Value, put_ebml_header, put_tag};
use crate::Frame;

/// A cluster as its producer sent it. What is true of the producer's stream alone is left out: Position,
/// PrevSize, CRC-32, Void.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// What stood before the stream's first cluster.
    pub header: &'a Header,
    /// The cluster's time, in units of the TimestampScale.
    pub timestamp: u64,
    /// Its SimpleBlocks and BlockGroups, as they came.
    pub blocks: &'a [Bytes],
}

impl Received<'_> {
    /// The Matroska file, as a list of pieces to be written one after the other: Info, Tracks and blocks as
    /// they came, and the exact times of the `frames`, which are those of the blocks.
    pub fn file(&self, frames: &[Frame]) -> Vec<Bytes> {
        let Self { header, blocks, .. } = self;
        let mut timing = TimingWriter::default();
        frames.iter().for_each(|frame| timing.push(frame));
        let mut tail = BytesMut::new();
        put_master(&mut tail, id::TAGS, |out| {
            put_tag(out, &[(timing::TAG, Value::Binary(&timing.tag(&header.tracks)))]);
        });
        let timestamp = self.timestamp();
        let blocks_bytes: usize = blocks.iter().map(Bytes::len).sum();
        let mut cluster = BytesMut::with_capacity(32);
        put_id(&mut cluster, id::CLUSTER);
        put_vint(&mut cluster, (timestamp.len() + blocks_bytes) as u64);
        cluster.put_slice(&timestamp);
        let described = header.info.len() + header.described.len();
        let segment = described + cluster.len() + blocks_bytes + tail.len();
        let mut head = BytesMut::with_capacity(64 + described + cluster.len());
        put_ebml_header(&mut head);
        put_id(&mut head, id::SEGMENT);
        put_vint(&mut head, segment as u64);
        head.put_slice(&header.info);
        head.put_slice(&header.described);
        head.put_slice(&cluster);
        let mut file = Vec::with_capacity(blocks.len() + 2);
        file.push(head.freeze());
        file.extend_from_slice(blocks);
        file.push(tail.freeze());
        file
    }

    fn timestamp(&self) -> BytesMut {
        let mut out = BytesMut::new();
        put_uint(&mut out, id::TIMESTAMP, self.timestamp);
        out
    }
}

/// Whether the cluster of a stored file is this one, byte for byte.
pub fn has_media(file: &Bytes, received: &Received<'_>) -> bool {
    let Ok(sections) = Sections::find(file) else { return false };
    let timestamp = received.timestamp().freeze();
    let mut stored = &sections.cluster.data[..];
    let same = [&timestamp].into_iter().chain(received.blocks).all(|piece| {
        let rest = stored.strip_prefix(&piece[..]);
        stored = rest.unwrap_or_default();
        rest.is_some()
    });
    same && stored.is_empty()
}
