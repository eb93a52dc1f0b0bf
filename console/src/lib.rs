//! The web page, built by npm into `dist/` and carried inside the binary.
//!
//! Without `dist/` (no `make console` yet) the crate still builds, and [`asset`] has nothing to give.

use std::borrow::Cow;

use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "dist"]
#[allow_missing = true]
struct Dist;

/// One file of the page.
pub struct Asset {
    /// Its media type, for `Content-Type`.
    pub content_type: &'static str,
    /// Its bytes.
    pub body: Cow<'static, [u8]>,
    /// Whether the file's name changes with its content, so that it may be cached for ever.
    pub immutable: bool,
}

/// The file at `path` (`index.html`, `assets/index-Bd3kQ.js`), if the page was built and has it.
pub fn asset(path: &str) -> Option<Asset> {
    let file = Dist::get(path)?;
    Some(Asset { content_type: content_type(path), body: file.data, immutable: path.starts_with("assets/") })
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_whole_or_absent() {
        let Some(index) = asset("index.html") else {
            return assert!(asset("millrace.svg").is_none(), "an icon without a page");
        };
        let html = String::from_utf8(index.body.into_owned()).unwrap();
        let script = html.split("src=\"/").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        let script = asset(script).expect("the page's script is embedded with it");
        assert!(script.immutable && script.content_type.starts_with("text/javascript"));
    }

    #[test]
    fn nothing_outside_the_page_can_be_named() {
        assert!(asset("../Cargo.toml").is_none());
        assert!(asset("/etc/passwd").is_none());
    }
}
