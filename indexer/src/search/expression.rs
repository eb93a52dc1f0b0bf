//! The search expression: tantivy's query syntax, over tags, labels and codecs.

use tantivy::query::Occur;
use tantivy::query_grammar::{UserInputAst, UserInputLeaf, UserInputLiteral, parse_query};

use super::words::words;
use crate::IndexError;

/// Longest expression that is read, in bytes.
const MAX_BYTES: usize = 4096;
/// Deepest nesting of parentheses.
const MAX_DEPTH: usize = 16;
const SYNTAX: &str = "use tags.NAME:\"value\", labels.NAME:\"value\", codec:\"h264\" or a bare \"value\", \
                      with AND, OR, NOT and parentheses";

/// What a fragment must be to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expression {
    /// Anything.
    All,
    /// The tag of that name has these consecutive words.
    Tag { name: String, phrase: Vec<String> },
    /// The stream's label of that name has these consecutive words.
    Label { name: String, phrase: Vec<String> },
    /// Any tag, or any label of the stream, has these consecutive words.
    Value { phrase: Vec<String> },
    /// A track has this codec name or codec string, in lower case.
    Codec(String),
    /// All of `must`, one of `should` where `must` is empty and it is not, none of `must_not`.
    Group { must: Vec<Expression>, should: Vec<Expression>, must_not: Vec<Expression> },
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// [`IndexError::Query`] naming what is wrong or not offered.
    pub(crate) fn parse(text: &str) -> Result<Self, IndexError> {
        if text.trim().is_empty() {
            return Ok(Self::All);
        }
        if text.len() > MAX_BYTES {
            return Err(refuse(&format!("longer than {MAX_BYTES} bytes")));
        }
        if nesting(text) > MAX_DEPTH {
            return Err(refuse(&format!("parentheses nested deeper than {MAX_DEPTH}")));
        }
        let ast =
            parse_query(text).map_err(|_| refuse(&format!("this is no search expression: {SYNTAX}")))?;
        Self::from_ast(ast)
    }

    fn from_ast(ast: UserInputAst) -> Result<Self, IndexError> {
        match ast {
            UserInputAst::Clause(clauses) => Self::group(clauses),
            UserInputAst::Boost(..) => {
                Err(refuse("boosts (^) have no meaning here: hits are in order of time"))
            }
            UserInputAst::Leaf(leaf) => Self::leaf(*leaf),
        }
    }

    fn group(clauses: Vec<(Option<Occur>, UserInputAst)>) -> Result<Self, IndexError> {
        let (mut must, mut should, mut must_not) = (Vec::new(), Vec::new(), Vec::new());
        for (occur, ast) in clauses {
            let one = Self::from_ast(ast)?;
            match occur.unwrap_or(Occur::Should) {
                Occur::Must => must.push(one),
                Occur::Should => should.push(one),
                Occur::MustNot => must_not.push(one),
            }
        }
        Ok(Self::Group { must, should, must_not })
    }

    fn leaf(leaf: UserInputLeaf) -> Result<Self, IndexError> {
        match leaf {
            UserInputLeaf::Literal(literal) => Self::literal(literal),
            UserInputLeaf::All => Ok(Self::All),
            UserInputLeaf::Set { field, elements } => {
                let field = field.as_deref();
                let should =
                    elements.iter().map(|value| Self::term(field, value)).collect::<Result<_, _>>()?;
                Ok(Self::Group { must: Vec::new(), should, must_not: Vec::new() })
            }
            UserInputLeaf::Range { .. } => {
                Err(refuse("ranges are not offered: values are kept blinded; use start and end for times"))
            }
            UserInputLeaf::Exists { .. } => Err(refuse("name:* is not offered: values are kept blinded")),
            UserInputLeaf::Regex { .. } => {
                Err(refuse("regular expressions are not offered: values are kept blinded"))
            }
        }
    }

    fn literal(literal: UserInputLiteral) -> Result<Self, IndexError> {
        if literal.prefix {
            return Err(refuse("prefixes (*) are not offered: values are kept blinded; search whole words"));
        }
        if literal.slop > 0 {
            return Err(refuse("distances (~) are not offered: join words with AND"));
        }
        if literal.phrase.ends_with('*') {
            return Err(refuse("prefixes (*) are not offered: values are kept blinded; search whole words"));
        }
        Self::term(literal.field_name.as_deref(), &literal.phrase)
    }

    fn term(field: Option<&str>, value: &str) -> Result<Self, IndexError> {
        let phrase = words(value);
        if phrase.is_empty() {
            return Err(refuse("a value is empty"));
        }
        let Some(field) = field else {
            return Ok(Self::Value { phrase });
        };
        match field.split_once('.') {
            Some(("tags", name)) if !name.is_empty() => Ok(Self::Tag { name: name.to_owned(), phrase }),
            Some(("labels", name)) if !name.is_empty() => Ok(Self::Label { name: name.to_owned(), phrase }),
            _ if field == "codec" => Ok(Self::Codec(value.to_lowercase())),
            _ => {
                let field: String = field.chars().take(100).collect();
                Err(refuse(&format!("there is no field {field:?}: {SYNTAX}")))
            }
        }
    }

    /// Calls `each` for the leaves that compare tags, with the tag's name where they have one, and the words.
    pub(crate) fn each_of_tags<'e>(&'e self, each: &mut impl FnMut(&'e Self, Option<&'e str>, &'e [String])) {
        match self {
            Self::Tag { name, phrase } => each(self, Some(name), phrase),
            Self::Value { phrase } => each(self, None, phrase),
            Self::Group { must, should, must_not } => {
                for one in must.iter().chain(should).chain(must_not) {
                    one.each_of_tags(each);
                }
            }
            Self::All | Self::Label { .. } | Self::Codec(_) => {}
        }
    }

    /// Whether a fragment is found, given what the leaves say about it.
    pub(crate) fn matches(&self, leaf: &impl Fn(&Self) -> bool) -> bool {
        match self {
            Self::All => true,
            Self::Group { must, should, must_not } => {
                let some =
                    !must.is_empty() || should.is_empty() || should.iter().any(|one| one.matches(leaf));
                some && must.iter().all(|one| one.matches(leaf))
                    && !must_not.iter().any(|one| one.matches(leaf))
            }
            Self::Tag { .. } | Self::Label { .. } | Self::Value { .. } | Self::Codec(_) => leaf(self),
        }
    }
}

fn refuse(what: &str) -> IndexError {
    IndexError::Query(what.to_owned())
}

/// How deep parentheses open, also those inside of quotes: an upper bound.
fn nesting(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'(').count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tag(name: &str, value: &str) -> Expression {
        Expression::Tag { name: name.into(), phrase: words(value) }
    }

    fn value(value: &str) -> Expression {
        Expression::Value { phrase: words(value) }
    }

    fn group<const M: usize, const S: usize, const N: usize>(
        must: [Expression; M],
        should: [Expression; S],
        must_not: [Expression; N],
    ) -> Expression {
        Expression::Group { must: must.into(), should: should.into(), must_not: must_not.into() }
    }

    #[test]
    fn what_can_be_written() {
        let label = |name: &str, value: &str| Expression::Label { name: name.into(), phrase: words(value) };
        let codec = |name: &str| Expression::Codec(name.into());
        let deep = format!("{}a{}", "(".repeat(MAX_DEPTH), ")".repeat(MAX_DEPTH));
        let table = [
            (deep.as_str(), value("a")),
            ("", Expression::All),
            ("*", Expression::All),
            ("truck", value("truck")),
            ("\"Red Truck\"", value("red truck")),
            ("'Red Truck'", value("red truck")),
            ("tags.plate:\"B-MR 123\"", tag("plate", "b mr 123")),
            ("tags.plate:123", tag("plate", "123")),
            ("tags.site.gate:\"1\"", tag("site.gate", "1")),
            ("tags.my-name_2:\"1\"", tag("my-name_2", "1")),
            ("labels.site:\"north gate\"", label("site", "north gate")),
            ("codec:\"H264\"", codec("h264")),
            ("codec:avc1.64001f", codec("avc1.64001f")),
            ("codec: IN [h264 h265]", group([], [codec("h264"), codec("h265")], [])),
            ("a AND b", group([value("a"), value("b")], [], [])),
            ("a OR b", group([], [value("a"), value("b")], [])),
            ("a b", group([], [value("a"), value("b")], [])),
            ("+a -b", group([value("a")], [], [value("b")])),
            ("a AND NOT b", group([value("a"), group([], [], [value("b")])], [], [])),
            ("NOT a", group([], [], [value("a")])),
            (
                "(a OR tags.x:\"1\") AND codec:h264",
                group([group([], [value("a"), tag("x", "1")], []), codec("h264")], [], []),
            ),
        ];
        for (text, expected) in table {
            assert_eq!(Expression::parse(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_refused_and_why() {
        let long = "a ".repeat(MAX_BYTES);
        let deep = "(".repeat(40);
        let table = [
            ("tags.x:\"ab\"*", "prefixes"),
            ("tags.x:ab*", "prefixes"),
            ("ab*", "prefixes"),
            ("tags.x:[a TO b]", "ranges"),
            ("tags.x:>5", "ranges"),
            ("tags.x:*", "name:*"),
            ("tags.x:/a.*/", "regular expressions"),
            ("\"a b\"~2", "distances"),
            ("a^2", "boosts"),
            ("stream:\"x\"", "no field \"stream\""),
            ("tags:\"x\"", "no field \"tags\""),
            ("tags.:\"x\"", "no"),
            ("tags.x:\"\"", "empty"),
            ("(a", "no search expression"),
            ("a AND", "no search expression"),
            (&long, "longer than"),
            (&deep, "nested"),
        ];
        for (text, why) in table {
            match Expression::parse(text) {
                Ok(read) => panic!("{text} was read as {read:?}"),
                Err(error) => assert!(error.to_string().contains(why), "{text}: {error}"),
            }
        }
    }

    #[test]
    fn groups_follow_tantivy() {
        let found = |text: &str, present: &[&str]| {
            Expression::parse(text).unwrap().matches(&|leaf| match leaf {
                Expression::Value { phrase } => present.contains(&phrase.join(" ").as_str()),
                _ => false,
            })
        };
        assert!(found("a AND b", &["a", "b"]));
        assert!(!found("a AND b", &["a"]));
        assert!(found("a OR b", &["b"]));
        assert!(found("NOT a", &["b"]));
        assert!(!found("b AND NOT a", &["a", "b"]));
        assert!(found("+a b", &["a"]));
        assert!(!found("(a OR b) AND c", &["a"]));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-z:\"'()*~^\\[\\]/ \\-+.ANDORT]{0,60}") {
            let _ = Expression::parse(&text);
        }
    }
}
