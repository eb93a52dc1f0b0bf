//! XML as devices send it: read into a small tree, with bounds, without a DTD and without entities of its own.

use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

/// How deep elements may nest.
const DEPTH: usize = 32;
/// How many elements there may be.
const ELEMENTS: usize = 20_000;
/// Attributes of one element that are looked at.
const ATTRIBUTES: usize = 32;

/// An element. Names are without their prefix: devices choose prefixes as they like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// Its local name.
    pub name: String,
    /// Its `token` attribute (ONVIF's `tt:ReferenceToken`), the only one that anything here is known by.
    pub token: Option<String>,
    /// The text within it, but not within its children.
    pub text: String,
    /// The elements within it.
    pub children: Vec<Element>,
}

/// Not a document that is read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// Not UTF-8.
    #[error("it is not UTF-8")]
    Encoding,
    /// Not well-formed, or without a root.
    #[error("it is not well-formed XML")]
    Malformed,
    /// It has a document type, or an entity that only one could define.
    #[error("it has a document type or entities of its own")]
    DocumentType,
    /// Deeper or longer than is read.
    #[error("it has more than {DEPTH} levels or {ELEMENTS} elements")]
    TooLarge,
}

impl Element {
    /// Reads a document.
    ///
    /// # Errors
    /// [`XmlError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, XmlError> {
        let text = str::from_utf8(bytes).map_err(|_| XmlError::Encoding)?;
        let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
        let (mut open, mut root) = (Vec::<Self>::new(), None);
        let mut count = 0;
        loop {
            let event = reader.read_event().map_err(|_| XmlError::Malformed)?;
            if let Event::Start(start) | Event::Empty(start) = &event {
                count += 1;
                if open.len() >= DEPTH || count > ELEMENTS {
                    return Err(XmlError::TooLarge);
                }
                open.push(Self::open(start)?);
            }
            match event {
                Event::End(_) | Event::Empty(_) => {
                    let element = open.pop().ok_or(XmlError::Malformed)?;
                    match open.last_mut() {
                        Some(parent) => parent.children.push(element),
                        None if root.is_none() => root = Some(element),
                        None => return Err(XmlError::Malformed),
                    }
                }
                Event::Text(text) => add(&mut open, &text.xml10_content()),
                Event::CData(text) => add(&mut open, &text.xml10_content()),
                Event::GeneralRef(reference) => {
                    let character = reference.resolve_char_ref().map_err(|_| XmlError::Malformed)?;
                    match character {
                        Some(character) => add(&mut open, character.encode_utf8(&mut [0; 4])),
                        None => add(
                            &mut open,
                            resolve_predefined_entity(&reference).ok_or(XmlError::DocumentType)?,
                        ),
                    }
                }
                Event::DocType(_) => return Err(XmlError::DocumentType),
                Event::Eof => break,
                Event::Start(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            }
        }
        root.filter(|_| open.is_empty()).ok_or(XmlError::Malformed)
    }

    fn open(start: &BytesStart<'_>) -> Result<Self, XmlError> {
        let mut token = None;
        for attribute in start.attributes().with_checks(false).take(ATTRIBUTES) {
            let attribute = attribute.map_err(|_| XmlError::Malformed)?;
            if attribute.key.as_ref() == "token" {
                // An entity that is not XML's own is an error there, too.
                let value = attribute
                    .normalized_value(XmlVersion::Implicit1_0)
                    .map_err(|_| XmlError::DocumentType)?;
                token = Some(value.into_owned());
            }
        }
        let name = start.local_name().as_ref().to_owned();
        Ok(Self { name, token, ..Self::default() })
    }

    /// The element at the end of a path of names, the first one at each step.
    pub fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |element, name| element.children.iter().find(|child| child.name == *name))
    }

    /// The text there, without the space around it; `None` for none.
    pub fn text_at(&self, path: &[&str]) -> Option<&str> {
        self.at(path).map(|element| element.text.trim()).filter(|text| !text.is_empty())
    }

    /// The number there.
    pub fn number_at<T: std::str::FromStr>(&self, path: &[&str]) -> Option<T> {
        self.text_at(path)?.parse().ok()
    }

    /// The children of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }
}

fn add(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn documents_become_trees() {
        let text = r#"<?xml version="1.0"?><a:x xmlns:a="urn:a"><!-- c --><b:y token="t&amp;1" k="v"> one &lt; &#x32;</b:y><y/>
            <z><![CDATA[<raw>]]></z></a:x>"#;
        let root = Element::parse(text.as_bytes()).unwrap();
        assert_eq!((root.name.as_str(), root.all("y").count()), ("x", 2));
        assert_eq!(root.at(&["y"]).unwrap().token.as_deref(), Some("t&1"));
        assert_eq!((root.text_at(&["y"]), root.text_at(&["z"])), (Some("one < 2"), Some("<raw>")));
        assert_eq!((root.text_at(&["x", "y"]), root.number_at::<u32>(&["y"])), (None, None));
    }

    #[test]
    fn what_is_dangerous_or_broken_is_refused() {
        let deep = format!("{}{}", "<a>".repeat(33), "</a>".repeat(33));
        let long = format!("<a>{}</a>", "<b/>".repeat(20_000));
        for (text, error) in [
            ("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", XmlError::DocumentType),
            ("<a>&b;</a>", XmlError::DocumentType),
            ("<a token='&b;'/>", XmlError::DocumentType),
            ("<a><b></a></b>", XmlError::Malformed),
            ("<a>", XmlError::Malformed),
            ("<a/><b/>", XmlError::Malformed),
            ("", XmlError::Malformed),
            (deep.as_str(), XmlError::TooLarge),
            (long.as_str(), XmlError::TooLarge),
        ] {
            assert_eq!(Element::parse(text.as_bytes()), Err(error), "{:.60}", text);
        }
        assert_eq!(Element::parse(b"<a>\xff</a>"), Err(XmlError::Encoding));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[<>/a&;!'= -]{0,80}") {
            let _ = Element::parse(text.as_bytes());
        }
    }
}
