//! Where requests go.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use http::Uri;

/// An `http` or `https` URL. `Display` and `Debug` show scheme, host and port only.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    uri: Uri,
    tls: bool,
    host: String,
    port: u16,
}

/// Not a URL that requests can go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Not a URL at all, or of another scheme.
    #[error("is not an http:// or https:// URL")]
    Scheme,
    /// No host.
    #[error("names no host")]
    Host,
    /// A user name or password.
    #[error("must not have a user name or password before the host")]
    Credentials,
}

impl Url {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`UrlError`], which repeats nothing of it.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        Self::of(text.parse().map_err(|_| UrlError::Scheme)?)
    }

    /// Takes a URL that was read already.
    pub(crate) fn of(uri: Uri) -> Result<Self, UrlError> {
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(_) | None => return Err(UrlError::Scheme),
        };
        let authority = uri.authority().ok_or(UrlError::Host)?;
        if authority.as_str().contains('@') {
            return Err(UrlError::Credentials);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(UrlError::Host);
        }
        let port = match authority.port_u16() {
            Some(port) => port,
            // A port that is there and no number.
            None if authority.as_str().ends_with(|c: char| c.is_ascii_digit() || c == ':')
                && authority.as_str().len() > authority.host().len() =>
            {
                return Err(UrlError::Host);
            }
            None if tls => 443,
            None => 80,
        };
        Ok(Self { uri, tls, host, port })
    }

    /// Whether requests go over TLS.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// A name or an address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port, the scheme's own where none is given.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address that the host is, with the port; `None` where it is a name.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.host.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, self.port))
    }

    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// What the request line says: path and query (RFC 9112 §3.2.1). It may hold a token.
    pub fn target(&self) -> &str {
        self.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.uri.authority().map_or("", http::uri::Authority::as_str))
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self}/…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn urls_are_taken_apart() {
        for (text, host, port, target) in [
            ("http://example", "example", 80, "/"),
            ("https://example/a?b=c", "example", 443, "/a?b=c"),
            ("https://192.0.2.1:8443/", "192.0.2.1", 8443, "/"),
            ("http://[2001:db8::1]:81/x", "2001:db8::1", 81, "/x"),
            ("http://[2001:db8::1]", "2001:db8::1", 80, "/"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.host(), url.port(), url.target()), (host, port, target), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused_and_not_repeated() {
        for text in ["", "hunter2", "ftp://hunter2/", "http://", "/hunter2", "http://:80/", "http://h:99999/"]
        {
            assert!(Url::parse(text).is_err(), "{text}");
        }
        assert_eq!(Url::parse("http://a:hunter2@h/"), Err(UrlError::Credentials));
        let url = Url::parse("https://hooks.example/hunter2?hunter2").unwrap();
        assert!(!format!("{url} {url:?}").contains("hunter2"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(http://)?.{0,40}") {
            if let Ok(url) = Url::parse(&text) {
                prop_assert!(!url.host().is_empty() && url.target().starts_with(['/', '?', '*']));
            }
        }
    }
}
