//! What the operations on tags share.

use base::Tags;
use serde::{Deserialize, Serialize};

use crate::aws::check::Check;
use crate::exception::Exception;
use crate::streams::check_charset;

/// Most tags of a delivery stream.
pub const TAGS: usize = 50;

/// `Tag` of the AWS model, in and out.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Tag {
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
}

impl From<(&String, &String)> for Tag {
    fn from((key, value): (&String, &String)) -> Self {
        Self { key: Some(key.clone()), value: Some(value.clone()) }
    }
}

/// Names the member Tags.
pub fn check_tags(tags: Option<&Vec<Tag>>, required: bool, check: &mut Check) {
    check.entries("Tags", tags, (required, 1, TAGS as i64), |tag: &Tag, check| {
        check.text("Key", tag.key.as_deref()).required().length(1, 128);
        check.text("Value", tag.value.as_deref()).length(0, 256);
    });
}

/// As they are kept.
///
/// # Errors
/// InvalidArgument for characters that tags do not have.
pub fn tags(tags: Option<Vec<Tag>>) -> Result<Tags, Exception> {
    let pair = |tag: Tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default());
    let tags: Tags = tags.unwrap_or_default().into_iter().map(pair).collect();
    check_charset(&tags)?;
    Ok(tags)
}
