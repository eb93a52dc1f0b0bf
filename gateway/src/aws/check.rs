//! Constraints of an operation's input, stated once: checking and describing are the same code.
//!
//! An operation's `check` names every member with what is demanded of it. Over a request it collects
//! what is violated, in AWS's words and order, and takes no memory while nothing is; over an empty input it
//! describes the members, which the comparison with the AWS service models reads.

use std::fmt::Write as _;

use base::Tags;
use serde::Serialize;

use super::values::{Blob, Choice, Closed, Epoch};

/// Most violations that one message tells.
const TOLD: usize = 10;

/// A pattern of the AWS model: its text there, and what it means.
#[derive(Clone, Copy, Debug)]
pub struct Pattern {
    /// The regular expression, as the model writes it.
    pub text: &'static str,
    /// Whether a value matches.
    pub matches: fn(&str) -> bool,
}

/// What the AWS model says about one member.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Member {
    /// Its path: `HLSFragmentSelector.TimestampRange.StartTimestamp`.
    pub name: String,
    /// `string`, `integer`, `boolean`, `blob`, `timestamp`, `list`, `map`, `structure`.
    pub kind: &'static str,
    /// Whether a request without it (within its parent, if that is there) is refused.
    pub required: bool,
    /// Smallest length or value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<i64>,
    /// Greatest length or value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<i64>,
    /// Regular expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<&'static str>,
    /// The values there are.
    #[serde(rename = "enum", skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<&'static str>>,
    /// Whether whoever sends it is refused; its own members are not described.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub not_offered: bool,
}

/// Collects violations, or describes the members.
#[derive(Default)]
pub struct Check {
    /// The first of them.
    violations: Vec<String>,
    /// How many there are.
    count: usize,
    /// Where they are to be described.
    members: Option<Vec<Member>>,
    /// Of members that keep to the model, what is refused all the same: the first.
    refusal: Option<String>,
    prefix: String,
    /// Within a structure that is not there, nothing can be violated.
    absent: bool,
}

impl Check {
    /// One that describes the members on the way.
    pub fn describing() -> Self {
        Self { members: Some(Vec::new()), ..Self::default() }
    }

    /// AWS's message, if anything is violated.
    pub fn message(&self) -> Option<String> {
        let count = self.count;
        let errors = if count == 1 { "error" } else { "errors" };
        (count > 0).then(|| format!("{count} validation {errors} detected: {}", self.violations.join("; ")))
    }

    /// Why members are refused that keep to the model, if some are: InvalidArgument.
    pub fn refusal(&mut self) -> Option<String> {
        self.refusal.take()
    }

    /// Refuses what keeps to the model; the first reason is told.
    pub fn refuse(&mut self, why: impl Into<String>) {
        self.refusal.get_or_insert_with(|| why.into());
    }

    /// A structure that is not offered: one that is there is refused, never ignored.
    pub fn not_offered<T>(&mut self, name: &str, value: Option<&T>) {
        self.rule(name, "structure", value).describe(|member| member.not_offered = true);
        if value.is_some() {
            self.refuse(format!("{}{name} is not offered.", self.prefix));
        }
    }

    /// The members, in the order they were named.
    pub fn members(&self) -> &[Member] {
        self.members.as_deref().unwrap_or_default()
    }

    /// A text member.
    pub fn text<'a>(&'a mut self, name: &'a str, value: Option<&'a str>) -> Rule<'a, str> {
        self.rule(name, "string", value)
    }

    /// A whole number.
    pub fn number<'a>(&'a mut self, name: &'a str, value: Option<&'a i64>) -> Rule<'a, i64> {
        self.rule(name, "integer", value)
    }

    /// Yes or no.
    pub fn boolean<'a>(&'a mut self, name: &'a str, value: Option<&'a bool>) -> Rule<'a, bool> {
        self.rule(name, "boolean", value)
    }

    /// Bytes.
    pub fn blob<'a>(&'a mut self, name: &'a str, value: Option<&'a Blob>) -> Rule<'a, Blob> {
        self.rule(name, "blob", value)
    }

    /// A list of structures, whether it must be there, how many there may be, and what `inner` checks of each.
    pub fn entries<T>(
        &mut self,
        name: &str,
        value: Option<&Vec<T>>,
        (required, min, max): (bool, i64, i64),
        inner: impl Fn(&T, &mut Self),
    ) {
        let mut rule = self.rule(name, "list", value);
        if required {
            rule = rule.required();
        }
        let size = value.map(|list| count(list.len()));
        rule.bounds(size, || "'[...]'".to_owned(), (min, Some(max)), "length");
        let (outer, described) = (self.prefix.len(), self.members().len());
        for (place, entry) in value.into_iter().flatten().enumerate() {
            let _ = write!(self.prefix, "{name}.{}.member.", place + 1);
            inner(entry, self);
            self.prefix.truncate(outer);
        }
        // The members of entries are checked and not described.
        self.members.iter_mut().for_each(|members| members.truncate(described));
    }

    /// A time.
    pub fn time<'a>(&'a mut self, name: &'a str, value: Option<&'a Epoch>) -> Rule<'a, Epoch> {
        self.rule(name, "timestamp", value)
    }

    /// Tags as a map; keys and values are checked as the model demands.
    pub fn tags<'a>(&'a mut self, name: &'a str, value: Option<&'a Tags>) -> Rule<'a, Tags> {
        self.rule(name, "map", value)
    }

    /// A list of texts.
    pub fn list<'a>(&'a mut self, name: &'a str, value: Option<&'a Vec<String>>) -> Rule<'a, Vec<String>> {
        self.rule(name, "list", value)
    }

    /// One of a closed set of words.
    pub fn choice<'a, E: Closed>(&'a mut self, name: &'a str, value: Option<&Choice<E>>) -> Rule<'a, str> {
        let values: Vec<&'static str> = E::VALUES.iter().map(|(word, _)| *word).collect();
        let unknown = match value {
            Some(Choice::Unknown(text)) => Some(text.clone()),
            Some(Choice::Known(_)) | None => None,
        };
        let missing = value.is_none();
        let mut rule = self.rule::<str>(name, "string", None);
        rule.missing = missing;
        if let Some(text) = unknown {
            let set = values.join(", ");
            rule.violated(&quoted(&text), &format!("Member must satisfy enum value set: [{set}]"));
        }
        rule.describe(|member| member.values = Some(values));
        rule
    }

    /// A structure, whose members `inner` checks.
    pub fn structure<T: Default>(
        &mut self,
        name: &str,
        value: Option<&T>,
        required: bool,
        inner: impl FnOnce(&T, &mut Self),
    ) {
        let rule = self.rule(name, "structure", value);
        if required {
            rule.required();
        }
        let outer = (self.prefix.len(), self.absent);
        let _ = write!(self.prefix, "{name}.");
        self.absent |= value.is_none();
        inner(value.unwrap_or(&T::default()), self);
        self.prefix.truncate(outer.0);
        self.absent = outer.1;
    }

    fn rule<'a, T: ?Sized>(
        &'a mut self,
        name: &'a str,
        kind: &'static str,
        value: Option<&'a T>,
    ) -> Rule<'a, T> {
        if let Some(members) = &mut self.members {
            let path = format!("{}{name}", self.prefix);
            let (required, not_offered) = (false, false);
            let (min, max, pattern, values) = (None, None, None, None);
            members.push(Member { name: path, kind, required, min, max, pattern, values, not_offered });
        }
        Rule { missing: value.is_none(), check: self, name, value }
    }
}

/// What is demanded of one member.
pub struct Rule<'a, T: ?Sized> {
    check: &'a mut Check,
    name: &'a str,
    value: Option<&'a T>,
    missing: bool,
}

impl<T: ?Sized> Rule<'_, T> {
    /// It must be there.
    pub fn required(mut self) -> Self {
        self.describe(|member| member.required = true);
        if self.missing {
            self.violated("null", "Member must not be null");
        }
        self
    }

    /// [`Self::required`], where it is.
    pub fn required_if(self, required: bool) -> Self {
        if required { self.required() } else { self }
    }

    /// Changes the description of this member, if there is one.
    fn describe(&mut self, change: impl FnOnce(&mut Member)) {
        if let Some(member) = self.check.members.as_mut().and_then(|members| members.last_mut()) {
            change(member);
        }
    }

    fn violated(&mut self, value: &str, constraint: &str) {
        if self.check.absent {
            return;
        }
        self.check.count += 1;
        if self.check.count > TOLD {
            return;
        }
        let path = format!("{}{}", self.check.prefix, self.name);
        let path: Vec<String> = path.split('.').map(lower_first).collect();
        let path = path.join(".");
        self.check
            .violations
            .push(format!("Value {value} at '{path}' failed to satisfy constraint: {constraint}"));
    }

    fn bounds(
        &mut self,
        size: Option<i64>,
        shown: impl Fn() -> String,
        (min, max): (i64, Option<i64>),
        what: &str,
    ) {
        self.describe(|member| (member.min, member.max) = (Some(min), max));
        if let Some(size) = size {
            if size < min {
                self.violated(&shown(), &format!("Member must have {what} greater than or equal to {min}"));
            } else if let Some(max) = max.filter(|max| size > *max) {
                self.violated(&shown(), &format!("Member must have {what} less than or equal to {max}"));
            }
        }
    }
}

impl Rule<'_, str> {
    /// Characters, from and to, both allowed.
    pub fn length(mut self, min: i64, max: i64) -> Self {
        let size = self.value.map(|text| count(text.chars().count()));
        let value = self.value;
        self.bounds(size, || value.map(quoted).unwrap_or_default(), (min, Some(max)), "length");
        self
    }

    /// The pattern it must match as a whole.
    pub fn pattern(mut self, pattern: Pattern) -> Self {
        self.describe(|member| member.pattern = Some(pattern.text));
        if let Some(text) = self.value.filter(|text| !(pattern.matches)(text)) {
            let constraint = format!("Member must satisfy regular expression pattern: {}", pattern.text);
            self.violated(&quoted(text), &constraint);
        }
        self
    }
}

impl Rule<'_, i64> {
    /// Values, from and to, both allowed.
    pub fn range(mut self, min: i64, max: Option<i64>) -> Self {
        let value = self.value.copied();
        self.bounds(value, || quoted(&value.unwrap_or_default().to_string()), (min, max), "value");
        self
    }
}

impl Rule<'_, Blob> {
    /// Bytes, from and to, both allowed.
    pub fn length(mut self, min: i64, max: i64) -> Self {
        let size = self.value.map(|blob| blob.0.len());
        let shown = || {
            let len = size.unwrap_or_default();
            format!("'java.nio.HeapByteBuffer[pos=0 lim={len} cap={len}]'")
        };
        self.bounds(size.map(count), shown, (min, Some(max)), "length");
        self
    }
}

impl Rule<'_, Vec<String>> {
    /// How many there may be, and what each must be.
    pub fn of(mut self, min: i64, max: i64, length: (usize, usize), pattern: Option<Pattern>) -> Self {
        let size = self.value.map(Vec::len);
        let shown = || format!("'[{} entries]'", size.unwrap_or_default());
        self.bounds(size.map(count), shown, (min, Some(max)), "length");
        for text in self.value.into_iter().flatten() {
            self.entry(text, length, pattern);
        }
        self
    }
}

impl Rule<'_, Tags> {
    /// How many there may be; names and values as TagStream takes them.
    pub fn count(self, min: i64, max: i64) -> Self {
        self.of(min, max, Some((super::patterns::TAG_NAME, super::patterns::TAG_VALUE)))
    }

    /// How many there may be; names and values of AWS's lengths, and of these patterns.
    pub fn of(mut self, min: i64, max: i64, patterns: Option<(Pattern, Pattern)>) -> Self {
        let size = self.value.map(Tags::len);
        let shown = || format!("'[{} tags]'", size.unwrap_or_default());
        self.bounds(size.map(count), shown, (min, Some(max)), "length");
        for (name, value) in self.value.into_iter().flatten() {
            self.entry(name, (1, 128), patterns.map(|(name, _)| name));
            self.entry(value, (0, 256), patterns.map(|(_, value)| value));
        }
        self
    }
}

impl<T: ?Sized> Rule<'_, T> {
    fn entry(&mut self, text: &str, (min, max): (usize, usize), pattern: Option<Pattern>) {
        let size = text.chars().count();
        if (min..=max).contains(&size) && pattern.is_none_or(|pattern| (pattern.matches)(text)) {
            return;
        }
        let pattern = pattern.map_or_else(String::new, |pattern| {
            format!(", Member must satisfy regular expression pattern: {}", pattern.text)
        });
        let constraint = format!(
            "Member must satisfy constraint: [Member must have length less than or equal to {max}, Member \
             must have length greater than or equal to {min}{pattern}]"
        );
        self.violated(&quoted(text), &constraint);
    }
}

fn count(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// At most 300 characters: what a client sent must not blow up an answer.
fn quoted(text: &str) -> String {
    format!("'{}'", text.chars().take(300).collect::<String>())
}

fn lower_first(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::patterns::STREAM_NAME;

    #[test]
    fn violations_are_collected_in_order_and_in_aws_words() {
        let mut check = Check::default();
        check.text("StreamName", Some("")).required().length(1, 256).pattern(STREAM_NAME);
        check.number("MaxResults", Some(&0)).range(1, Some(10));
        check.text("StreamARN", None).required();
        assert_eq!(
            check.message().unwrap(),
            "4 validation errors detected: Value '' at 'streamName' failed to satisfy constraint: Member must \
             have length greater than or equal to 1; Value '' at 'streamName' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+; Value '0' at 'maxResults' failed \
             to satisfy constraint: Member must have value greater than or equal to 1; Value null at \
             'streamARN' failed to satisfy constraint: Member must not be null"
        );
    }

    #[test]
    fn entries_are_named_by_their_place_and_ten_violations_are_told() {
        let mut check = Check::describing();
        let records = vec![Some(Blob(vec![0; 3].into())), None];
        check.entries("Records", Some(&records), (true, 1, 1), |record, check| {
            check.blob("Data", record.as_ref()).required().length(0, 2);
        });
        assert_eq!(
            check.message().unwrap(),
            "3 validation errors detected: Value '[...]' at 'records' failed to satisfy constraint: Member must \
             have length less than or equal to 1; Value 'java.nio.HeapByteBuffer[pos=0 lim=3 cap=3]' at \
             'records.1.member.data' failed to satisfy constraint: Member must have length less than or equal to \
             2; Value null at 'records.2.member.data' failed to satisfy constraint: Member must not be null"
        );
        assert_eq!(
            check.members().iter().map(|member| member.name.as_str()).collect::<Vec<_>>(),
            ["Records"]
        );
        let mut check = Check::default();
        check.entries("Records", Some(&vec![(); 12]), (true, 0, 500), |(), check| {
            check.text("Key", None).required();
        });
        let message = check.message().unwrap();
        assert!(message.starts_with("12 validation errors detected: "), "{message}");
        assert_eq!(message.matches("failed to satisfy").count(), 10);
    }

    #[test]
    fn an_absent_structure_is_described_and_not_violated() {
        let mut check = Check::describing();
        check.structure("Outer", None::<&u8>, false, |_, check| {
            check.number("Inner", None).required();
        });
        assert_eq!(check.message(), None);
        let names: Vec<&str> = check.members().iter().map(|member| member.name.as_str()).collect();
        assert_eq!(names, ["Outer", "Outer.Inner"]);
        assert!(check.members()[1].required);
    }
}
