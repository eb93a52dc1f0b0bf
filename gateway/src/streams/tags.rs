//! What the operations on tags share: the characters, the resource that has them, and their form.

use std::sync::Arc;

use base::{Arn, Tags};
use catalog::{Action, Consumer, DataStreamUpdate};
use serde::Serialize;

use super::consumer;
use super::stream::{Found, StreamRef, refused};
use crate::aws::Context;
use crate::exception::{Code, Exception};

/// The exceptions of AddTagsToStream and RemoveTagsFromStream.
pub const TAG_ERRORS: &[Code] = &[
    Code::ResourceNotFound,
    Code::ResourceInUse,
    Code::InvalidArgument,
    Code::LimitExceeded,
    Code::NotAuthorized,
];
/// The exceptions of the operations that take a ResourceARN.
pub const RESOURCE_ERRORS: &[Code] = &[
    Code::Validation,
    Code::ResourceNotFound,
    Code::ResourceInUse,
    Code::InvalidArgument,
    Code::LimitExceeded,
    Code::NotAuthorized,
    Code::InternalFailure,
];

/// `Tag` of the AWS model.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tag {
    key: String,
    value: String,
}

impl From<(&String, &String)> for Tag {
    fn from((key, value): (&String, &String)) -> Self {
        Self { key: key.clone(), value: value.clone() }
    }
}

/// Refuses characters that tags do not have, in AWS's words.
pub fn check_charset(tags: &Tags) -> Result<(), Exception> {
    let allowed =
        |c: char| c.is_alphanumeric() || (c.is_whitespace() && !c.is_control()) || "_./=+-%@:".contains(c);
    if tags.iter().all(|(name, value)| name.chars().chain(value.chars()).all(allowed)) {
        return Ok(());
    }
    Err(Exception::invalid(
        "Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . / = + - \
         % @.",
    ))
}

/// What has tags: a stream or a consumer.
pub enum Tagged {
    /// A stream.
    Stream(Found),
    /// A consumer.
    Consumer(Found, Arc<Consumer>),
}

impl Tagged {
    /// The resource with this ARN.
    ///
    /// # Errors
    /// ResourceNotFound; AccessDenied.
    pub fn find(context: &Context, arn: &str, id: Option<String>) -> Result<Self, Exception> {
        let is_consumer = arn.parse::<Arn>().is_ok_and(|arn| arn.resource.contains("/consumer/"));
        if is_consumer {
            let (found, consumer) = consumer::find_by_arn(context, arn)?;
            return Ok(Self::Consumer(found, consumer));
        }
        let found = StreamRef::by_arn(Some(arn.to_owned()), id).find(context, Action::Manage)?;
        Ok(Self::Stream(found))
    }

    /// Its tags.
    pub fn tags(&self) -> &Tags {
        match self {
            Self::Stream(found) => &found.stream.tags,
            Self::Consumer(_, consumer) => &consumer.tags,
        }
    }

    /// Adds tags, replacing the values of those that are there, then removes those of these names.
    ///
    /// # Errors
    /// InvalidArgument for too many, for characters they do not have, and for a video stream's
    /// fragments.
    pub async fn change(&self, context: &Context, add: Tags, remove: Vec<String>) -> Result<(), Exception> {
        check_charset(&add)?;
        let catalog = &context.app.catalog;
        let (found, changed) = match self {
            Self::Stream(found) if found.fragments => {
                let text = format!("{} has the tags of its video stream.", found.stream.name);
                return Err(Exception::invalid(text));
            }
            Self::Stream(found) => {
                let update = if remove.is_empty() {
                    DataStreamUpdate::AddTags(add)
                } else {
                    DataStreamUpdate::RemoveTags(remove)
                };
                (found, catalog.update_data_stream(found.stream.id, update).await.map(drop))
            }
            Self::Consumer(found, consumer) => {
                let (stream, name) = (consumer.stream, consumer.name.clone());
                (found, catalog.tag_consumer(stream, name, add, remove).await.map(drop))
            }
        };
        changed.map_err(|error| refused(&context.app, &found.stream.name, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_those_of_the_service() {
        let tags = |name: &str, value: &str| Tags::from([(name.to_owned(), value.to_owned())]);
        assert!(check_charset(&tags("Türe 1", "a_b./=+-%@:")).is_ok());
        for bad in [tags("a#", "b"), tags("a", "b\n"), tags("a", "\u{1f600}")] {
            assert!(check_charset(&bad).is_err(), "{bad:?}");
        }
    }
}
