//! Fragments as GetMedia and GetMediaForFragmentList deliver them.

use base::{FragmentMeta, FragmentNumber, Tags, Timestamp};
use bytes::{BufMut, Bytes, BytesMut};

use super::ebml::{id, put_id, put_master, put_uint};
use super::read::Sections;
use super::write::{Value, put_ebml_header, put_tag};
use crate::MediaError;

/// Lays a stored fragment out as GetMedia and GetMediaForFragmentList deliver it, as a list of
/// pieces: EBML header, Segment of unknown size, Info, Tracks, Tags with number, timestamps and the
/// fragment's own tags, Cluster, Tags with `behind_now_ms` and continuation token. Info, Tracks and
/// Cluster are slices of `file`.
///
/// Every fragment is a Matroska file of its own, and so is any number of them one after the other.
pub fn delivery(file: &Bytes, meta: &FragmentMeta, behind_now_ms: u64) -> Result<Vec<Bytes>, MediaError> {
    let sections = Sections::find(file)?;
    let FragmentMeta { number, server_timestamp, producer_timestamp, tags, .. } = meta;
    Ok(vec![
        beginning(),
        sections.info.whole,
        sections.tracks.whole,
        opening(*number, *server_timestamp, *producer_timestamp, tags),
        sections.cluster.whole,
        closing(*number, behind_now_ms, &Tags::new()),
    ])
}

/// A fragment whose frames still come, as GetMedia delivers it: its head, then its blocks, then what
/// [`closing`] gives.
#[derive(Clone, Copy, Debug)]
pub struct Live<'a> {
    /// The Info element.
    pub info: &'a Bytes,
    /// The Tracks element.
    pub described: &'a Bytes,
    /// The fragment's number.
    pub number: FragmentNumber,
    /// When it began to arrive.
    pub server_timestamp: Timestamp,
    /// When its first frame was made.
    pub producer_timestamp: Timestamp,
    /// Its own tags, as far as they have come.
    pub tags: &'a Tags,
    /// The cluster's time, in units of the TimestampScale.
    pub timestamp: u64,
}

impl Live<'_> {
    /// All before the first block: as [`delivery`], but for a cluster of unknown size.
    pub fn head(&self) -> Bytes {
        let opening = opening(self.number, self.server_timestamp, self.producer_timestamp, self.tags);
        let mut out = BytesMut::with_capacity(self.info.len() + self.described.len() + opening.len() + 128);
        out.put_slice(&beginning());
        out.put_slice(self.info);
        out.put_slice(self.described);
        out.put_slice(&opening);
        put_id(&mut out, id::CLUSTER);
        out.put_u64(UNKNOWN_SIZE);
        put_uint(&mut out, id::TIMESTAMP, self.timestamp);
        out.freeze()
    }
}

/// Tags that stand behind a fragment's cluster: how far it is from now, where to go on from, and the
/// fragment's own that came after its first frame.
pub fn closing(number: FragmentNumber, behind_now_ms: u64, own: &Tags) -> Bytes {
    let (number, behind_now) = (number.to_string(), behind_now_ms.to_string());
    let mut after = own_tags(own);
    after.extend([
        ("AWS_KINESISVIDEO_MILLIS_BEHIND_NOW", Value::Text(&behind_now)),
        ("AWS_KINESISVIDEO_CONTINUATION_TOKEN", Value::Text(&number)),
    ]);
    tags(&after)
}

/// Tags that say why a fragment is not delivered, with GetMedia's error id and code. They take the place of
/// [`closing`] where it has `begun`; else they are a Matroska file of their own.
pub fn failure(number: FragmentNumber, error_id: u16, code: &str, begun: bool) -> Bytes {
    let (number, error_id) = (number.to_string(), error_id.to_string());
    let tags = tags(&[
        ("AWS_KINESISVIDEO_FRAGMENT_NUMBER", Value::Text(&number)),
        ("AWS_KINESISVIDEO_ERROR_ID", Value::Text(&error_id)),
        ("AWS_KINESISVIDEO_ERROR_CODE", Value::Text(code)),
    ]);
    if begun { tags } else { [beginning(), tags].concat().into() }
}

/// EBML header, and Segment of unknown size.
fn beginning() -> Bytes {
    let mut head = BytesMut::with_capacity(64);
    put_ebml_header(&mut head);
    put_id(&mut head, id::SEGMENT);
    head.put_u64(UNKNOWN_SIZE);
    head.freeze()
}

/// Tags that stand before a fragment's cluster.
fn opening(number: FragmentNumber, server: Timestamp, producer: Timestamp, own: &Tags) -> Bytes {
    let (number, server, producer) = (number.to_string(), seconds(server), seconds(producer));
    let mut before = vec![
        ("AWS_KINESISVIDEO_FRAGMENT_NUMBER", Value::Text(&number)),
        ("AWS_KINESISVIDEO_SERVER_TIMESTAMP", Value::Text(&server)),
        ("AWS_KINESISVIDEO_PRODUCER_TIMESTAMP", Value::Text(&producer)),
    ];
    before.extend(own_tags(own));
    tags(&before)
}

fn own_tags(tags: &Tags) -> Vec<(&str, Value<'_>)> {
    tags.iter().map(|(name, value)| (name.as_str(), Value::Text(value))).collect()
}

/// A data size of 8 bytes, all ones (RFC 8794 §6.2).
const UNKNOWN_SIZE: u64 = 0x01ff_ffff_ffff_ffff;

fn tags(tags: &[(&str, Value<'_>)]) -> Bytes {
    let mut out = BytesMut::with_capacity(512);
    put_master(&mut out, id::TAGS, |out| put_tag(out, tags));
    out.freeze()
}

/// Seconds since the epoch with three decimals, as AWS writes them.
fn seconds(at: Timestamp) -> String {
    let (sign, millis) = (if at.millis() < 0 { "-" } else { "" }, at.millis().unsigned_abs());
    format!("{sign}{}.{:03}", millis / 1000, millis % 1000)
}
