//! Fragments as GetMedia and GetMediaForFragmentList deliver them.

use base::{FragmentMeta, Timestamp};
use bytes::{BufMut, Bytes, BytesMut};

use super::ebml::{id, put_id, put_master};
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
    let number = meta.number.to_string();
    let (server, producer) = (seconds(meta.server_timestamp), seconds(meta.producer_timestamp));
    let mut head = BytesMut::with_capacity(64);
    put_ebml_header(&mut head);
    put_id(&mut head, id::SEGMENT);
    head.put_u64(UNKNOWN_SIZE);
    let mut before = vec![
        ("AWS_KINESISVIDEO_FRAGMENT_NUMBER", Value::Text(&number)),
        ("AWS_KINESISVIDEO_SERVER_TIMESTAMP", Value::Text(&server)),
        ("AWS_KINESISVIDEO_PRODUCER_TIMESTAMP", Value::Text(&producer)),
    ];
    before.extend(meta.tags.iter().map(|(name, value)| (name.as_str(), Value::Text(value))));
    let behind_now = behind_now_ms.to_string();
    let after = [
        ("AWS_KINESISVIDEO_MILLIS_BEHIND_NOW", Value::Text(&behind_now)),
        ("AWS_KINESISVIDEO_CONTINUATION_TOKEN", Value::Text(&number)),
    ];
    Ok(vec![
        head.freeze(),
        sections.info.whole,
        sections.tracks.whole,
        tags(&before),
        sections.cluster.whole,
        tags(&after),
    ])
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
