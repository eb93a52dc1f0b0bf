//! What an access key may do: statements as AWS IAM writes them
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html>).
//!
//! Served are `Effect`, `Action` and `Resource` with the wildcards `*` and `?`. What is not served
//! (`Condition`, `NotAction`, `NotResource`, `Principal`) is refused, never passed over.

use serde::{Deserialize, Serialize};

use crate::CatalogError;

/// Bytes of a document, as IAM allows for a managed policy.
const MAX_BYTES: usize = 6144;
const VERSIONS: [&str; 2] = ["2012-10-17", "2008-10-17"];

/// Statements that allow and deny. What none allows is denied, and what one denies no other allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    #[serde(rename = "Version", default = "newest_version")]
    version: String,
    #[serde(rename = "Id", default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(rename = "Statement")]
    statements: OneOrMany<Statement>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Statement {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
    effect: Effect,
    action: OneOrMany<String>,
    resource: OneOrMany<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Effect {
    Allow,
    Deny,
}

/// IAM lets a list of one be written without brackets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// What a policy says of an action on a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A statement allows it, and none denies it.
    Allowed,
    /// No statement allows it.
    NotAllowed,
    /// A statement denies it.
    Denied,
}

impl Policy {
    /// Reads a document.
    ///
    /// # Errors
    /// [`CatalogError::Invalid`] naming what is wrong or not served.
    pub fn parse(json: &str) -> Result<Self, CatalogError> {
        let invalid = |why: String| CatalogError::Invalid { what: "policy", why };
        if json.len() > MAX_BYTES {
            return Err(invalid(format!("a document has at most {MAX_BYTES} bytes")));
        }
        let value: serde_json::Value =
            serde_json::from_str(json).map_err(|error| invalid(error.to_string()))?;
        Self::check_members(&value).map_err(invalid)?;
        let policy: Self = serde_json::from_value(value).map_err(|_| invalid(FORM.into()))?;
        policy.check().map_err(invalid)?;
        Ok(policy)
    }

    /// Whether an action, such as `kinesis:PutRecord`, may be done to a resource, named by its ARN.
    pub fn says(&self, action: &str, resource: &str) -> Verdict {
        let speaks = |statement: &&Statement| {
            statement.speaks_of(action) && any_matches(&statement.resource, |pattern| glob(pattern, resource))
        };
        self.verdict(speaks, speaks)
    }

    /// Whether an action may be done to anything at all: what a call is asked before its resource is known.
    pub fn says_of_some(&self, action: &str) -> Verdict {
        let all = |statement: &&Statement| {
            statement.speaks_of(action) && any_matches(&statement.resource, |pattern| pattern == "*")
        };
        self.verdict(|statement| statement.speaks_of(action), all)
    }

    /// Whether an action may be done to every resource that begins with `prefix`, an ARN up to a name.
    pub fn says_of_all(&self, action: &str, prefix: &str) -> Verdict {
        // As a resource a star is matched by a star only.
        let all = format!("{prefix}*");
        let allows = |statement: &&Statement| {
            statement.speaks_of(action) && any_matches(&statement.resource, |pattern| glob(pattern, &all))
        };
        self.verdict(allows, |statement| statement.speaks_of(action))
    }

    fn verdict(&self, allows: impl Fn(&&Statement) -> bool, denies: impl Fn(&&Statement) -> bool) -> Verdict {
        let of =
            |effect| self.statements.as_slice().iter().filter(move |statement| statement.effect == effect);
        if of(Effect::Deny).any(|statement| denies(&statement)) {
            Verdict::Denied
        } else if of(Effect::Allow).any(|statement| allows(&statement)) {
            Verdict::Allowed
        } else {
            Verdict::NotAllowed
        }
    }

    /// Names members that are not served: serde's own words for an untagged list name nothing.
    fn check_members(value: &serde_json::Value) -> Result<(), String> {
        let statements = match &value["Statement"] {
            serde_json::Value::Array(many) => many.as_slice(),
            one => std::slice::from_ref(one),
        };
        let names = statements.iter().filter_map(serde_json::Value::as_object).flat_map(|one| one.keys());
        for name in names {
            if !["Sid", "Effect", "Action", "Resource"].contains(&name.as_str()) {
                return Err(format!(
                    "{name} is not served: a statement has Sid, Effect, Action and Resource"
                ));
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        if !VERSIONS.contains(&self.version.as_str()) {
            return Err(format!("Version is {}, not {}", self.version, VERSIONS[0]));
        }
        for statement in self.statements.as_slice() {
            let (actions, resources) = (statement.action.as_slice(), statement.resource.as_slice());
            if actions.is_empty() || resources.is_empty() {
                return Err("a statement needs an Action and a Resource".into());
            }
            if let Some(bad) = actions.iter().find(|action| *action != "*" && !action.contains(':')) {
                return Err(format!(
                    "Action {bad:?} is neither * nor SERVICE:NAME, such as kinesis:PutRecord"
                ));
            }
            if let Some(bad) = resources.iter().find(|one| *one != "*" && !one.starts_with("arn:")) {
                return Err(format!("Resource {bad:?} is neither * nor an ARN"));
            }
        }
        Ok(())
    }
}

const FORM: &str = "write {\"Version\": \"2012-10-17\", \"Statement\": [{\"Effect\": \"Allow\", \"Action\": \
                    \"kinesis:Put*\", \"Resource\": \"arn:aws:kinesis:*:*:stream/orders\"}]}";

fn newest_version() -> String {
    VERSIONS[0].into()
}

impl Statement {
    fn speaks_of(&self, action: &str) -> bool {
        let action = action.to_ascii_lowercase();
        any_matches(&self.action, |pattern| glob(&pattern.to_ascii_lowercase(), &action))
    }
}

fn any_matches(patterns: &OneOrMany<String>, matches: impl Fn(&str) -> bool) -> bool {
    patterns.as_slice().iter().any(|pattern| matches(pattern))
}

/// Whether a pattern with `*` (any text) and `?` (any character) matches the whole text, in at most the product
/// of their lengths.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut read) = (0, 0);
    // Where to go on when what follows the last star does not match: it takes one byte more.
    let mut retry = None;
    while read < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                retry = Some((at + 1, read + 1));
                at += 1;
            }
            Some(b'?') => (at, read) = (at + 1, read + 1),
            Some(byte) if *byte == text[read] => (at, read) = (at + 1, read + 1),
            Some(_) | None => {
                let Some((star, next)) = retry else { return false };
                (at, read) = (star, next);
                retry = Some((star, next + 1));
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ORDERS: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/orders";
    const DOOR: &str = "arn:aws:kinesisvideo:us-east-1:000000000000:stream/door/1700000000000";

    fn policy(statements: &str) -> Policy {
        Policy::parse(&format!(r#"{{"Version": "2012-10-17", "Statement": {statements}}}"#)).unwrap()
    }

    #[test]
    fn what_none_allows_is_denied_and_a_denial_wins() {
        let policy = policy(
            r#"[{"Effect": "Allow", "Action": ["kinesis:Put*", "kinesis:get*"], "Resource": "arn:aws:kinesis:*:*:stream/o*"},
                {"Effect": "Deny", "Action": "kinesis:*", "Resource": "arn:*:stream/old"},
                {"Effect": "Deny", "Action": "kinesis:GetRecords", "Resource": "arn:*:stream/old*"}]"#,
        );
        assert_eq!(policy.says("kinesis:PutRecord", ORDERS), Verdict::Allowed);
        assert_eq!(policy.says("kinesis:GetRecords", ORDERS), Verdict::Allowed);
        assert_eq!(policy.says("kinesis:DeleteStream", ORDERS), Verdict::NotAllowed);
        assert_eq!(policy.says("kinesisvideo:PutMedia", DOOR), Verdict::NotAllowed);
        let old = ORDERS.replace("orders", "old");
        assert_eq!(policy.says("kinesis:PutRecord", &old), Verdict::Denied);
        assert_eq!(policy.says("kinesis:GetRecords", &ORDERS.replace("orders", "older")), Verdict::Denied);
    }

    #[test]
    fn before_a_resource_is_known_only_the_hopeless_is_refused() {
        let some = policy(
            r#"[{"Effect": "Allow", "Action": "kinesis:*", "Resource": "arn:aws:kinesis:*:*:stream/o*"},
                {"Effect": "Deny", "Action": "kinesis:DeleteStream", "Resource": "*"},
                {"Effect": "Deny", "Action": "kinesis:PutRecord", "Resource": "arn:aws:kinesis:*:*:stream/x"}]"#,
        );
        assert_eq!(some.says_of_some("kinesis:PutRecord"), Verdict::Allowed);
        assert_eq!(some.says_of_some("kinesis:DeleteStream"), Verdict::Denied);
        assert_eq!(some.says_of_some("firehose:PutRecord"), Verdict::NotAllowed);
        let prefix = "arn:aws:kinesis:us-east-1:000000000000:stream/";
        assert_eq!(some.says_of_all("kinesis:GetRecords", prefix), Verdict::NotAllowed);
        assert_eq!(some.says_of_all("kinesis:PutRecord", prefix), Verdict::Denied);
        let all = policy(r#"{"Effect": "Allow", "Action": "*", "Resource": "arn:aws:kinesis:*:*:stream/*"}"#);
        assert_eq!(all.says_of_all("kinesis:GetRecords", prefix), Verdict::Allowed);
    }

    #[test]
    fn what_is_not_served_is_refused_by_name() {
        let refused = |statement: &str, word: &str| {
            let error = Policy::parse(&format!(r#"{{"Statement": [{statement}]}}"#)).unwrap_err().to_string();
            assert!(error.contains(word), "{statement}: {error}");
        };
        refused(r#"{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {}}"#, "Condition");
        refused(r#"{"Effect": "Allow", "NotAction": "*", "Resource": "*"}"#, "NotAction");
        refused(r#"{"Effect": "allow", "Action": "*", "Resource": "*"}"#, "Effect");
        refused(r#"{"Effect": "Allow", "Action": "PutRecord", "Resource": "*"}"#, "PutRecord");
        refused(r#"{"Effect": "Allow", "Action": "*", "Resource": "stream/a"}"#, "stream/a");
        refused(r#"{"Effect": "Allow", "Action": [], "Resource": "*"}"#, "Action");
        refused(r#"{"Effect": "Allow"}"#, "Action");
        assert!(Policy::parse(r#"{"Version": "2020", "Statement": []}"#).is_err());
        assert!(Policy::parse(&" ".repeat(MAX_BYTES + 1)).unwrap_err().to_string().contains("6144"));
    }

    #[test]
    fn wildcards_match() {
        for (pattern, text, matches) in [
            ("*", "", true),
            ("a*c", "abcbc", true),
            ("a*c", "abcb", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("**b*", "aab", true),
            ("", "a", false),
        ] {
            assert_eq!(glob(pattern, text), matches, "{pattern} {text}");
        }
        assert!(!glob(&"a*".repeat(500), &"a".repeat(499)));
    }

    proptest! {
        #[test]
        fn globs_are_what_they_mean(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            fn means(pattern: &[u8], text: &[u8]) -> bool {
                match (pattern.split_first(), text.split_first()) {
                    (None, None) => true,
                    (Some((b'*', rest)), _) if means(rest, text) => true,
                    (Some((b'*', _)), Some((_, more))) => means(pattern, more),
                    (Some((b'?', rest)), Some((_, more))) => means(rest, more),
                    (Some((one, rest)), Some((other, more))) => one == other && means(rest, more),
                    _ => false,
                }
            }
            prop_assert_eq!(glob(&pattern, &text), means(pattern.as_bytes(), text.as_bytes()));
        }
    }

    #[test]
    fn documents_round_trip() {
        let policy = policy(r#"{"Sid": "a", "Effect": "Deny", "Action": "*", "Resource": ["*"]}"#);
        let text = serde_json::to_string(&policy).unwrap();
        assert_eq!(Policy::parse(&text).unwrap(), policy);
    }
}
