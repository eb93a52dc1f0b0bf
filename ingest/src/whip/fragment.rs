//! SDP fragments (`application/trickle-ice-sdpfrag`, RFC 8840 §9): what a client sends by PATCH when
//! it finds another of its addresses or starts ICE anew, and what it is answered.

use std::fmt::Write as _;

use str0m::{Candidate, IceCreds};

/// A fragment beyond so many lines is refused: a client has a handful of addresses.
const MAX_LINES: usize = 256;
/// Characters of a user fragment or password at most (RFC 8839 §5.4).
const MAX_CREDENTIAL: usize = 256;

/// What a client's fragment says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Its user fragment and password, where it gives them.
    pub credentials: Option<(String, String)>,
    /// How many candidates it names. A lite agent sends no checks and needs none of them: an address
    /// is known by the first check that comes from it (RFC 8445 §2.5).
    pub candidates: usize,
}

/// A fragment that cannot be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FragmentError {
    /// Not text.
    #[error("the SDP fragment is not UTF-8")]
    Encoding,
    /// More lines than anyone needs.
    #[error("the SDP fragment has more than {MAX_LINES} lines")]
    TooLong,
    /// A line that SDP does not know.
    #[error("line {0} of the SDP fragment is not of the form x=value")]
    Line(usize),
    /// Half of the credentials, or one that RFC 8839 does not allow.
    #[error("a=ice-ufrag (4 to 256 characters) and a=ice-pwd (22 to 256) go together")]
    Credentials,
}

impl Fragment {
    /// Reads the body of a PATCH.
    ///
    /// # Errors
    /// [`FragmentError`] says what is wrong with it.
    pub fn parse(body: &[u8]) -> Result<Self, FragmentError> {
        let text = std::str::from_utf8(body).map_err(|_| FragmentError::Encoding)?;
        let (mut ufrag, mut password, mut candidates) = (None, None, 0);
        for (number, line) in (1..).zip(text.lines().map(str::trim_end)).filter(|(_, line)| !line.is_empty())
        {
            if number > MAX_LINES {
                return Err(FragmentError::TooLong);
            }
            let Some((kind, value)) = line.split_once('=').filter(|(kind, _)| kind.len() == 1) else {
                return Err(FragmentError::Line(number));
            };
            match (kind, value.split_once(':')) {
                ("a", Some(("ice-ufrag", value))) => ufrag = Some(value),
                ("a", Some(("ice-pwd", value))) => password = Some(value),
                ("a", Some(("candidate", _))) => candidates += 1,
                _ => {}
            }
        }
        let credentials = match (ufrag, password) {
            (None, None) => None,
            (Some(ufrag), Some(password)) if is_credential(ufrag, 4) && is_credential(password, 22) => {
                Some((ufrag.to_owned(), password.to_owned()))
            }
            (Some(_), _) | (None, Some(_)) => return Err(FragmentError::Credentials),
        };
        Ok(Self { credentials, candidates })
    }
}

/// `ice-char`s of RFC 8839 §5.4, at least so many.
fn is_credential(text: &str, least: usize) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    (least..=MAX_CREDENTIAL).contains(&text.len()) && text.bytes().all(allowed)
}

/// The answer to a restart: the server's new credentials, and its candidates, which stay.
pub(super) fn answer(credentials: &IceCreds, candidates: &[Candidate]) -> String {
    let mut text = String::from("a=ice-lite\r\na=ice-options:trickle ice2\r\n");
    let _ = write!(text, "a=ice-ufrag:{}\r\na=ice-pwd:{}\r\n", credentials.ufrag, credentials.pass);
    for candidate in candidates {
        let _ = write!(text, "a={}\r\n", candidate.to_sdp_string());
    }
    text.push_str("a=end-of-candidates\r\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TRICKLED: &str = "a=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n\
        a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n\
        a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw network-id 1\r\n\
        a=candidate:3471623853 1 udp 2122194687 1f0c.local 61765 typ host generation 0 ufrag EsAw\r\n\
        a=end-of-candidates\r\n";

    #[test]
    fn reads_what_browsers_trickle() {
        let fragment = Fragment::parse(TRICKLED.as_bytes()).unwrap();
        let credentials = ("EsAw".to_owned(), "P2uYro0UCOQ4zxjKXaWCBui1".to_owned());
        assert_eq!(fragment, Fragment { credentials: Some(credentials), candidates: 2 });
        let bare = Fragment::parse(b"a=end-of-candidates\n").unwrap();
        assert_eq!(bare, Fragment { credentials: None, candidates: 0 });
    }

    #[test]
    fn says_what_is_wrong_with_a_fragment() {
        let refused = |text: &str| Fragment::parse(text.as_bytes()).unwrap_err();
        assert_eq!(refused("a=mid:0\r\nhello\r\n"), FragmentError::Line(2));
        assert_eq!(refused("a=ice-ufrag:EsAw\r\n"), FragmentError::Credentials);
        assert_eq!(refused("a=ice-ufrag:EsAw\r\na=ice-pwd:short\r\n"), FragmentError::Credentials);
        let foul = "a=ice-ufrag:Es w\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n";
        assert_eq!(refused(foul), FragmentError::Credentials);
        assert_eq!(refused(&"a=mid:0\n".repeat(MAX_LINES + 1)), FragmentError::TooLong);
        assert_eq!(Fragment::parse(b"\xff"), Err(FragmentError::Encoding));
    }

    #[test]
    fn the_answer_to_a_restart_is_a_fragment_itself() {
        let credentials = IceCreds { ufrag: "a".repeat(16), pass: "b".repeat(32) };
        let candidate = Candidate::host("192.0.2.1:8189".parse().unwrap(), "udp").unwrap();
        let fragment = Fragment::parse(answer(&credentials, &[candidate]).as_bytes()).unwrap();
        assert_eq!(fragment.credentials, Some((credentials.ufrag, credentials.pass)));
        assert_eq!(fragment.candidates, 1);
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_are_refused(bytes: Vec<u8>, at in 0usize..400) {
            let _ = Fragment::parse(&bytes);
            let mut damaged = TRICKLED.as_bytes().to_vec();
            let at = at.min(damaged.len());
            damaged.splice(at..at, bytes);
            let _ = Fragment::parse(&damaged);
        }
    }
}
