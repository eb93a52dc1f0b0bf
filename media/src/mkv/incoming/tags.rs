//! Tags (RFC 9559 §5.1.8) of a stream as it arrives.

use super::super::ebml::{Element, id};
use super::{Violation, ViolationKind, broken};
use crate::MediaError;

/// Bytes of a tag's name and value (Kinesis Video Streams quotas, fragment metadata).
const NAME_BYTES: usize = 128;
const VALUE_BYTES: usize = 256;

/// A name and a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// 1 to 128 bytes.
    pub name: String,
    /// At most 256 bytes.
    pub value: String,
}

/// Why Tags are not taken.
pub(super) enum Refused {
    Malformed(MediaError),
    TooLong(String),
}

impl Refused {
    pub(super) fn at(self, offset: u64) -> Violation {
        match self {
            Self::Malformed(error) => broken(offset, &error),
            Self::TooLong(what) => Violation { kind: ViolationKind::Tags, offset, what },
        }
    }
}

impl From<MediaError> for Refused {
    fn from(error: MediaError) -> Self {
        Self::Malformed(error)
    }
}

/// The tags that are about the stream: those about one track, edition, chapter or attachment describe the
/// producer's file.
pub(super) fn read(tags: &Element) -> Result<Vec<Tag>, Refused> {
    let mut found = Vec::new();
    for tag in tags.children() {
        let tag = tag?;
        if tag.id != id::TAG || is_targeted(&tag)? {
            continue;
        }
        for simple in tag.children() {
            let simple = simple?;
            if simple.id == id::SIMPLE_TAG {
                found.extend(simple_tag(&simple)?);
            }
        }
    }
    Ok(found)
}

fn is_targeted(tag: &Element) -> Result<bool, MediaError> {
    for targets in tag.children() {
        let targets = targets?;
        if targets.id != id::TARGETS {
            continue;
        }
        for target in targets.children() {
            let target = target?;
            let uid = matches!(
                target.id,
                id::TAG_TRACK_UID | id::TAG_EDITION_UID | id::TAG_CHAPTER_UID | id::TAG_ATTACHMENT_UID
            );
            if uid && target.uint()? != 0 {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// A SimpleTag; none for one whose value is binary.
fn simple_tag(simple: &Element) -> Result<Option<Tag>, Refused> {
    let (mut name, mut value) = (String::new(), String::new());
    for child in simple.children() {
        let child = child?;
        match child.id {
            id::TAG_NAME => name = text(&child, NAME_BYTES)?,
            id::TAG_STRING => value = text(&child, VALUE_BYTES)?,
            id::TAG_BINARY => return Ok(None),
            _ => {}
        }
    }
    Ok((!name.is_empty()).then_some(Tag { name, value }))
}

/// What is no UTF-8 is replaced.
fn text(element: &Element, most: usize) -> Result<String, Refused> {
    // EBML pads texts with NULs.
    let bytes = element.data.split(|byte| *byte == 0).next().unwrap_or_default();
    if bytes.len() > most {
        return Err(Refused::TooLong(format!("a tag whose name or value has more than {most} bytes")));
    }
    Ok(String::from_utf8_lossy(bytes).into_owned())
}
