//! The arithmetic and the headers of HTTP Digest authentication (RFC 7616, and RFC 2069 for clients
//! that know no `qop`), for the server and for the demo camera's client.

use md5::Md5;
use sha2::{Digest, Sha256};

/// The hash of a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Broken as a hash, but the only one that ffmpeg, GStreamer and most cameras know.
    Md5,
    /// SHA-256.
    Sha256,
}

impl Algorithm {
    /// Its name in the `algorithm` parameter.
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    /// Reads the `algorithm` parameter; session variants and unknown ones are `None`.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Md5, Self::Sha256].into_iter().find(|known| known.name().eq_ignore_ascii_case(name))
    }

    fn hex(self, text: &str) -> String {
        match self {
            Self::Md5 => hex(&Md5::digest(text.as_bytes())),
            Self::Sha256 => hex(&Sha256::digest(text.as_bytes())),
        }
    }
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// The client's part of `qop=auth` (RFC 7616 §3.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qop {
    /// `nc`: eight hexadecimal digits.
    pub count: String,
    /// `cnonce`.
    pub client_nonce: String,
}

/// What a response is made from besides the password (RFC 7616 §3.4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question<'a> {
    pub(crate) algorithm: Algorithm,
    pub(crate) username: &'a str,
    pub(crate) realm: &'a str,
    pub(crate) nonce: &'a str,
    pub(crate) method: &'a str,
    pub(crate) uri: &'a str,
    pub(crate) qop: Option<&'a Qop>,
}

impl Question<'_> {
    /// The `response` that proves the password.
    pub(crate) fn answer(&self, password: &str) -> String {
        let Self { algorithm, username, realm, nonce, method, uri, qop } = self;
        let secret = algorithm.hex(&format!("{username}:{realm}:{password}"));
        let request = algorithm.hex(&format!("{method}:{uri}"));
        match qop {
            Some(Qop { count, client_nonce }) => {
                algorithm.hex(&format!("{secret}:{nonce}:{count}:{client_nonce}:auth:{request}"))
            }
            None => algorithm.hex(&format!("{secret}:{nonce}:{request}")),
        }
    }
}

/// An `Authorization: Digest …` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// The hash; MD5 where the header names none.
    pub algorithm: Algorithm,
    /// Who.
    pub username: String,
    /// Of the challenge.
    pub realm: String,
    /// Of the challenge.
    pub nonce: String,
    /// The URI that was hashed, which need not be the request's.
    pub uri: String,
    /// The hash, in hexadecimal digits.
    pub response: String,
    /// Absent in the form of RFC 2069.
    pub qop: Option<Qop>,
}

impl Authorization {
    /// Reads what follows `Digest `; `None` when a needed parameter is absent or unknown.
    pub fn parse(parameters: &str) -> Option<Self> {
        let parameters = Parameters::parse(parameters);
        let need = |name| parameters.get(name).map(str::to_owned);
        let qop = match parameters.get("qop") {
            None => None,
            Some(qop) if qop.eq_ignore_ascii_case("auth") => {
                Some(Qop { count: need("nc")?, client_nonce: need("cnonce")? })
            }
            Some(_) => return None,
        };
        Some(Self {
            algorithm: parameters.get("algorithm").map_or(Some(Algorithm::Md5), Algorithm::parse)?,
            username: need("username")?,
            realm: need("realm")?,
            nonce: need("nonce")?,
            uri: need("uri")?,
            response: need("response")?,
            qop,
        })
    }

    /// Whether the response was made with this password, for a request of this method.
    pub(crate) fn proves(&self, method: &str, password: &str) -> bool {
        let question = Question {
            algorithm: self.algorithm,
            username: &self.username,
            realm: &self.realm,
            nonce: &self.nonce,
            method,
            uri: &self.uri,
            qop: self.qop.as_ref(),
        };
        question.answer(password).eq_ignore_ascii_case(&self.response)
    }
}

/// `name=value, name="quoted value", …` of an authentication header (RFC 7235 §2.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads as far as the text makes sense.
    pub(crate) fn parse(text: &str) -> Self {
        let mut found = Vec::new();
        let mut rest = text;
        while let Some((name, after)) = rest.split_once('=') {
            let name = name.trim_matches([' ', '\t', ',']).to_ascii_lowercase();
            let (value, after) = take_value(after.trim_start());
            found.push((name, value));
            rest = after;
        }
        Self(found)
    }

    /// The first value of that name (lower case).
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A token or quoted string, without its quotes and escapes, and what follows.
fn take_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, quoted.get(at + 1..).unwrap_or_default()),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(character),
        }
    }
    (value, "")
}

/// A value as a quoted string.
pub(crate) fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NONCE: &str = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
    const CNONCE: &str = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";

    fn rfc7616(algorithm: &str, response: &str) -> Authorization {
        let header = format!(
            "username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", \
             algorithm={algorithm}, nonce=\"{NONCE}\", nc=00000001, cnonce=\"{CNONCE}\", qop=auth, \
             response=\"{response}\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
        );
        Authorization::parse(&header).unwrap()
    }

    #[test]
    fn the_examples_of_rfc_7616_prove_the_password() {
        let md5 = rfc7616("MD5", "8ca523f5e9506fed4657c9700eebdbec");
        let sha = rfc7616("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1");
        for authorization in [md5, sha] {
            assert!(authorization.proves("GET", "Circle of Life"));
            assert!(!authorization.proves("GET", "circle of life"));
            assert!(!authorization.proves("PUT", "Circle of Life"));
        }
    }

    #[test]
    fn the_example_of_rfc_2617_proves_the_password_also_without_qop() {
        let mut question = Question {
            algorithm: Algorithm::Md5,
            username: "Mufasa",
            realm: "testrealm@host.com",
            nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093",
            method: "GET",
            uri: "/dir/index.html",
            qop: Some(&Qop { count: "00000001".into(), client_nonce: "0a4f113b".into() }),
        };
        assert_eq!(question.answer("Circle Of Life"), "6629fae49393a05397450978507c4ef1");
        question.qop = None;
        assert_eq!(question.answer("Circle Of Life"), "670fd8c2df070c60b045671b8b24ff02");
    }

    #[test]
    fn quoted_strings_may_hold_quotes_commas_and_equal_signs() {
        let parameters = Parameters::parse(r#"username="a\"b,c=d\\", Realm = "x" ,stale=TRUE"#);
        assert_eq!(parameters.get("username"), Some(r#"a"b,c=d\"#));
        assert_eq!(parameters.get("realm"), Some("x"));
        assert_eq!(parameters.get("stale"), Some("TRUE"));
    }

    #[test]
    fn unknown_algorithms_and_qops_are_refused() {
        let base = "username=\"a\", realm=\"r\", nonce=\"n\", uri=\"u\", response=\"x\"";
        assert!(Authorization::parse(base).is_some());
        for more in [", algorithm=MD5-sess", ", qop=auth-int, nc=1, cnonce=\"c\"", ", qop=auth"] {
            assert_eq!(Authorization::parse(&format!("{base}{more}")), None, "{more}");
        }
    }

    proptest! {
        #[test]
        fn quoting_round_trips(value in "[ -~]{0,32}") {
            let parameters = Parameters::parse(&format!("username={}, x=1", quoted(&value)));
            prop_assert_eq!(parameters.get("username"), Some(value.as_str()));
        }

        #[test]
        fn any_text_parses_or_is_refused(text in ".{0,200}") {
            let _ = Authorization::parse(&text);
        }
    }
}
