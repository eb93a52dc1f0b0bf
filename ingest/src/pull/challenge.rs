//! What a camera wants to have proved, and the proof: Digest (RFC 7616, RFC 2069) and Basic (RFC 7617).

use base::Entropy;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::url::Credentials;
use crate::rtsp::digest::{Algorithm, Parameters, Qop, Question, hex, quoted};

/// The strongest challenge of a 401 that can be met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// A password hash is wanted.
    Digest(Digest),
    /// The password itself is wanted.
    Basic,
}

/// The parameters of a Digest challenge (RFC 7616 §3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    algorithm: Algorithm,
    /// Whether the challenge named the algorithm: older cameras stumble over one they did not name.
    named: bool,
    realm: String,
    nonce: String,
    opaque: Option<String>,
    /// Whether `qop=auth` is offered.
    qop: bool,
    /// Proofs made with this nonce.
    count: u32,
}

impl Challenge {
    /// Reads a `WWW-Authenticate` header, which may hold several challenges. `None` where it holds none
    /// that can be met.
    pub fn parse(header: &str) -> Option<Self> {
        let challenges = split(header);
        let digests = challenges.iter().filter_map(|(scheme, rest)| {
            scheme.eq_ignore_ascii_case("digest").then(|| Digest::parse(rest)).flatten()
        });
        let strength = |digest: &Digest| digest.algorithm == Algorithm::Sha256;
        let basic = || challenges.iter().any(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"));
        digests.max_by_key(strength).map(Self::Digest).or_else(|| basic().then_some(Self::Basic))
    }

    /// The value of the `Authorization` header for a request.
    pub(crate) fn answer(
        &mut self,
        credentials: &Credentials,
        method: &str,
        uri: &str,
        entropy: &dyn Entropy,
    ) -> String {
        match self {
            Self::Basic => {
                let Credentials { username, password } = credentials;
                format!("Basic {}", STANDARD.encode(format!("{}:{}", username.expose(), password.expose())))
            }
            Self::Digest(digest) => digest.answer(credentials, method, uri, entropy),
        }
    }
}

impl Digest {
    fn parse(text: &str) -> Option<Self> {
        let parameters = Parameters::parse(text);
        let own = |name| parameters.get(name).map(str::to_owned);
        let algorithm = parameters.get("algorithm");
        let mut protections = parameters.get("qop").unwrap_or_default().split(',').map(str::trim);
        Some(Self {
            algorithm: algorithm.map_or(Some(Algorithm::Md5), Algorithm::parse)?,
            named: algorithm.is_some(),
            realm: own("realm").unwrap_or_default(),
            nonce: own("nonce")?,
            opaque: own("opaque"),
            qop: protections.any(|protection| protection.eq_ignore_ascii_case("auth")),
            count: 0,
        })
    }

    fn answer(&mut self, who: &Credentials, method: &str, uri: &str, entropy: &dyn Entropy) -> String {
        self.count = self.count.wrapping_add(1);
        let Self { algorithm, named, realm, nonce, opaque, qop, count, .. } = self;
        let client_nonce = || hex(&entropy.bytes::<8>());
        let qop = qop.then(|| Qop { count: format!("{count:08x}"), client_nonce: client_nonce() });
        let username = who.username.expose();
        let question =
            Question { algorithm: *algorithm, username, realm, nonce, method, uri, qop: qop.as_ref() };
        let response = question.answer(who.password.expose());
        let mut header = format!(
            "Digest username={}, realm={}, nonce={}, uri={}, response=\"{response}\"",
            quoted(username),
            quoted(realm),
            quoted(nonce),
            quoted(uri)
        );
        if *named {
            header += &format!(", algorithm={}", algorithm.name());
        }
        if let Some(opaque) = opaque {
            header += &format!(", opaque={}", quoted(opaque));
        }
        if let Some(Qop { count, client_nonce }) = qop {
            header += &format!(", qop=auth, nc={count}, cnonce=\"{client_nonce}\"");
        }
        header
    }
}

/// The challenges of a header, each as its scheme and its parameters. They stand between commas, as
/// parameters do; a challenge begins with a word that no `=` follows (RFC 7235 §2.1).
fn split(header: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for part in parts(header) {
        let words = part.split_once([' ', '\t']).unwrap_or((part, ""));
        let begins = !words.0.contains(['=', '"']) && !words.1.trim_start().starts_with('=');
        match found.last_mut() {
            _ if begins && !part.is_empty() => found.push((words.0.to_owned(), words.1.to_owned())),
            Some((_, parameters)) => *parameters = format!("{parameters},{part}"),
            None => {}
        }
    }
    found
}

/// What stands between the commas that are not in a quoted string.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    let comma = move |character: char| {
        let ends = character == ',' && !quoted;
        quoted ^= character == '"' && !escaped;
        escaped = character == '\\' && quoted && !escaped;
        ends
    };
    text.split(comma).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtsp::digest::Authorization;
    use base::SystemEntropy;
    use catalog::Secret;
    use proptest::prelude::*;

    fn who() -> Credentials {
        Credentials { username: Secret::new("ad\"min"), password: Secret::new("p@ss, word") }
    }

    /// Whether the answer to a challenge proves the password.
    fn proves(header: &str) -> Option<Algorithm> {
        let mut challenge = Challenge::parse(header)?;
        let answer = challenge.answer(&who(), "DESCRIBE", "rtsp://h/x", &SystemEntropy);
        let given = Authorization::parse(answer.strip_prefix("Digest ")?)?;
        assert!(given.proves("DESCRIBE", "p@ss, word") && !given.proves("DESCRIBE", "p"), "{answer}");
        assert_eq!(given.username, "ad\"min");
        Some(given.algorithm)
    }

    #[test]
    fn proofs_are_good_for_what_cameras_ask() {
        let (md5, sha) = (Some(Algorithm::Md5), Some(Algorithm::Sha256));
        for (header, algorithm) in [
            ("Digest realm=\"IP Camera(A1, \\\"x\\\")\", nonce=\"abc\"", md5),
            ("Digest realm=\"r\", nonce=\"abc\", algorithm=MD5, stale=FALSE", md5),
            ("Digest realm=\"r\", nonce=\"abc\", algorithm=\"SHA-256\", qop=\"auth,auth-int\"", sha),
            ("digest nonce=abc,realm=r,qop=auth", md5),
            ("Basic realm=\"r\", Digest realm=\"r\", nonce=\"n\"", md5),
            (
                "Digest realm=\"r\", nonce=\"n\", algorithm=MD5, Digest realm=\"r\", nonce=\"m\", algorithm=SHA-256, Basic realm=\"x\"",
                sha,
            ),
            ("Digest realm=\"r\", nonce=\"n\", algorithm=SHA-512-256, Digest realm=\"r\", nonce=\"m\"", md5),
        ] {
            assert_eq!(proves(header), algorithm, "{header}");
        }
    }

    #[test]
    fn basic_is_the_last_resort_and_others_are_none() {
        let mut basic = Challenge::parse("Basic realm=\"a, Digest b\"").unwrap();
        let answer = basic.answer(&who(), "OPTIONS", "rtsp://h/x", &SystemEntropy);
        assert_eq!(answer, format!("Basic {}", STANDARD.encode("ad\"min:p@ss, word")));
        for none in ["", "Bearer x", "Digest realm=\"r\"", "Digest nonce=\"n\", algorithm=MD5-sess", ",,,"] {
            assert_eq!(Challenge::parse(none), None, "{none}");
        }
    }

    #[test]
    fn a_nonce_is_counted() {
        let mut challenge = Challenge::parse("Digest nonce=\"n\", qop=\"auth\", opaque=\"o\"").unwrap();
        for count in ["nc=00000001", "nc=00000002"] {
            let answer = challenge.answer(&who(), "OPTIONS", "rtsp://h/x", &SystemEntropy);
            assert!(answer.contains(count) && answer.contains("opaque=\"o\""), "{answer}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_met_or_not(header in "[ -~]{0,120}") {
            let _ = Challenge::parse(&header);
            let _ = Challenge::parse(&format!("Digest nonce=\"n\", {header}"));
        }
    }
}
