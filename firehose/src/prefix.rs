//! Prefixes of object names, with the expressions that stand in them.
//!
//! <https://docs.aws.amazon.com/firehose/latest/dev/s3-prefixes.html>

use base::Timestamp;

use crate::identity::Identity;
use crate::pattern::DatePattern;

/// What a prefix that has no expression is followed by.
const DATE: &str = "yyyy/MM/dd/HH/";

/// Why a prefix cannot be taken, in words for its author.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PrefixError(String);

/// A prefix that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Date(DatePattern),
    RandomString,
    ErrorType,
}

impl Prefix {
    /// Of records: `ErrorOutputPrefix` has to be there, too, where this one has expressions.
    ///
    /// # Errors
    /// [`PrefixError`] for an expression that there is not, or that stands here in vain.
    pub fn of_records(text: Option<&str>, error_prefix: Option<&str>) -> Result<Self, PrefixError> {
        let mut prefix = Self::parse(text.unwrap_or_default())?;
        if prefix.0.contains(&Part::ErrorType) {
            return refuse("Prefix cannot have !{firehose:error-output-type}");
        }
        if !prefix.has_expressions() {
            prefix.0.push(date()?);
        } else if error_prefix.is_none_or(str::is_empty) {
            return refuse("ErrorOutputPrefix cannot be null or empty when Prefix contains expressions");
        }
        Ok(prefix)
    }

    /// Of records that could not be delivered: without expressions, or where only the other prefix is there, the
    /// type of the error and the date are added.
    ///
    /// # Errors
    /// As [`Self::of_records`]; with expressions one has to be the error's type.
    pub fn of_errors(text: Option<&str>, records: Option<&str>) -> Result<Self, PrefixError> {
        let mut prefix = Self::parse(text.or(records).unwrap_or_default())?;
        if !prefix.has_expressions() {
            prefix.0.extend([Part::ErrorType, Part::Text("/".into()), date()?]);
        } else if !prefix.0.contains(&Part::ErrorType) {
            return refuse("ErrorOutputPrefix with expressions must have !{firehose:error-output-type}");
        }
        Ok(prefix)
    }

    /// Reads a prefix with its expressions.
    ///
    /// # Errors
    /// [`PrefixError`].
    pub fn parse(text: &str) -> Result<Self, PrefixError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once("!{") {
            if !literal.is_empty() {
                parts.push(Part::Text(literal.to_owned()));
            }
            let Some((expression, after)) = after.split_once('}') else {
                return refuse(format!("the expression !{{{after} is not closed"));
            };
            parts.push(part(expression)?);
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    fn has_expressions(&self) -> bool {
        self.0.iter().any(|part| !matches!(part, Part::Text(_)))
    }

    /// The text of the prefix: of an object whose oldest record arrived at `at`.
    pub fn evaluate(&self, at: Timestamp, identity: &Identity, error_type: &str) -> String {
        let mut place = 0;
        let texts = self.0.iter().map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Date(pattern) => pattern.format(at),
            Part::ErrorType => error_type.to_owned(),
            Part::RandomString => {
                place += 1;
                identity.random_string(place)
            }
        });
        texts.collect()
    }
}

fn part(expression: &str) -> Result<Part, PrefixError> {
    match expression.split_once(':') {
        Some(("timestamp", pattern)) => match DatePattern::parse(pattern) {
            Ok(pattern) => Ok(Part::Date(pattern)),
            Err(why) => refuse(format!("!{{{expression}}}: {why}")),
        },
        Some(("firehose", "random-string")) => Ok(Part::RandomString),
        Some(("firehose", "error-output-type")) => Ok(Part::ErrorType),
        Some(("partitionKeyFromQuery" | "partitionKeyFromLambda", _)) => {
            refuse(format!("!{{{expression}}} takes dynamic partitioning, which is not offered"))
        }
        Some(_) | None => refuse(format!("there is no expression !{{{expression}}}")),
    }
}

fn date() -> Result<Part, PrefixError> {
    DatePattern::parse(DATE).map(Part::Date).map_err(PrefixError)
}

fn refuse<T>(why: impl Into<String>) -> Result<T, PrefixError> {
    Err(PrefixError(why.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(prefix: Result<Prefix, PrefixError>) -> String {
        let at = Timestamp::parse("2026-01-02T03:04:05Z").unwrap();
        prefix.unwrap().evaluate(at, &Identity::new(&[b"a"]), "http-endpoint-failed")
    }

    #[test]
    fn prefixes_are_those_of_aws() {
        let records = |prefix, error| text(Prefix::of_records(prefix, error));
        assert_eq!(records(None, None), "2026/01/02/03/");
        assert_eq!(records(Some("logs"), None), "logs2026/01/02/03/");
        assert_eq!(
            records(Some("y=!{timestamp:yyyy}/m=!{timestamp:MM}/"), Some("e/")),
            "y=2026/m=01/",
            "no date is added"
        );
        let errors = |prefix, records| text(Prefix::of_errors(prefix, records));
        assert_eq!(errors(None, Some("logs/")), "logs/http-endpoint-failed/2026/01/02/03/");
        assert_eq!(errors(Some("e/"), Some("logs/")), "e/http-endpoint-failed/2026/01/02/03/");
        assert_eq!(
            errors(Some("e/!{firehose:error-output-type}/!{timestamp:yyyy}/"), None),
            "e/http-endpoint-failed/2026/"
        );
    }

    #[test]
    fn random_strings_differ_within_a_name_and_not_between_tries() {
        let prefix =
            Prefix::of_records(Some("!{firehose:random-string}!{firehose:random-string}"), Some("e"));
        let both = text(prefix.clone());
        assert_eq!(both.len(), 22);
        assert_ne!(both[..11], both[11..]);
        assert_eq!(both, text(prefix));
    }

    #[test]
    fn what_is_not_offered_is_refused() {
        for (prefix, error) in [
            ("!{timestamp:yyyy}", None),
            ("!{timestamp:yyyy}", Some("")),
            ("!{timestamp:yyyy", Some("e")),
            ("!{timestamp:w}", Some("e")),
            ("!{firehose:door}", Some("e")),
            ("!{firehose:error-output-type}", Some("e")),
            ("!{partitionKeyFromQuery:k}", Some("e")),
            ("!{}", Some("e")),
        ] {
            assert!(Prefix::of_records(Some(prefix), error).is_err(), "{prefix}");
        }
        assert!(Prefix::of_errors(Some("!{timestamp:yyyy}"), None).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(!\\{|\\}|timestamp:|firehose:random-string|[a-zM':]){0,12}") {
            let _ = Prefix::parse(&text);
        }
    }
}
