//! Lines of the answer, and how they are printed. What records hold is anybody's: nothing of it may steer a terminal.

use std::fmt::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// Characters of a record that are printed.
const CHARACTERS: usize = 2000;
/// Bytes of a record that are printed in hex.
const BYTES: usize = 32;

/// One line of `GET /v1/data-streams/{name}/records`.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Line {
    Record(Record),
    Cursor { cursor: String, end: Option<String> },
    Error { error: Refusal },
}

#[derive(Deserialize)]
pub(super) struct Record {
    pub shard_id: String,
    pub sequence_number: String,
    arrived: String,
    partition_key: String,
    encoding: String,
    data: String,
    size_bytes: u64,
}

#[derive(Deserialize)]
pub(super) struct Refusal {
    pub code: String,
    pub message: String,
}

impl Line {
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

impl Record {
    /// Time, shard, partition key and data, on one line.
    pub fn human(&self, colour: bool) -> String {
        let digits = self.shard_id.trim_start_matches("shardId-").trim_start_matches('0');
        let shard = if digits.is_empty() { "0" } else { digits };
        let (time, shard, key) = (plain(&self.arrived), plain(shard), plain(&self.partition_key));
        let data = self.shown();
        if colour {
            return format!("\x1b[2m{time}\x1b[0m \x1b[36m{shard:>3}\x1b[0m \x1b[33m{key}\x1b[0m {data}");
        }
        format!("{time} {shard:>3} {key} {data}")
    }

    /// The data: as text, or in hex with its size.
    fn shown(&self) -> String {
        // These are in no text that people write.
        let binary = |c: char| c < '\u{9}';
        if self.encoding == "text" && !self.data.contains(binary) {
            let text = self.data.strip_suffix('\n').unwrap_or(&self.data);
            return match text.char_indices().nth(CHARACTERS) {
                Some((end, _)) => format!("{}… ({} bytes)", plain(&text[..end]), self.size_bytes),
                None => plain(text),
            };
        }
        let bytes = if self.encoding == "text" {
            self.data.as_bytes().to_vec()
        } else {
            STANDARD.decode(&self.data).unwrap_or_default()
        };
        let mut hex = bytes.iter().take(BYTES).fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, " {byte:02x}");
            hex
        });
        if bytes.len() > BYTES {
            hex.push('…');
        }
        format!("({} bytes){hex}", self.size_bytes)
    }
}

/// Text of which no character moves the cursor, sets a colour, or turns the direction of writing.
fn plain(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if steers(c) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
        out
    })
}

/// The same JSON, with what [`plain`] writes out in JSON's way. Such characters stand only in strings.
pub(super) fn json(line: &str) -> String {
    line.chars().fold(String::with_capacity(line.len()), |mut out, c| {
        if steers(c) {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
        out
    })
}

/// Control characters, and those of Unicode that turn the direction of writing or end lines.
fn steers(c: char) -> bool {
    let turns = ['\u{61c}', '\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}', '\u{feff}'];
    c.is_control()
        || turns.contains(&c)
        || ('\u{202a}'..='\u{202e}').contains(&c)
        || ('\u{2066}'..='\u{2069}').contains(&c)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn record(key: &str, data: &str, encoding: &str) -> Record {
        let line = json!({
            "shard_id": "shardId-000000000012", "sequence_number": "49", "arrived": "2026-01-01T12:00:00.000Z",
            "partition_key": key, "encoding": encoding, "data": data, "size_bytes": 7,
        });
        match Line::read(&line.to_string()).unwrap() {
            Line::Record(record) => record,
            Line::Cursor { .. } | Line::Error { .. } => panic!("{line} is a record"),
        }
    }

    #[test]
    fn lines_are_told_apart() {
        assert!(matches!(
            Line::read(r#"{"cursor":"c","behind_ms":0}"#),
            Some(Line::Cursor { end: None, .. })
        ));
        let ended = Line::read(r#"{"cursor":"c","behind_ms":0,"end":"limit"}"#);
        assert!(matches!(ended, Some(Line::Cursor { end: Some(end), .. }) if end == "limit"));
        let error = Line::read(r#"{"error":{"code":"not_found","message":"gone"}}"#);
        assert!(matches!(error, Some(Line::Error { error }) if error.code == "not_found"));
        assert!(Line::read("<html>").is_none() && Line::read("{}").is_none());
    }

    #[test]
    fn text_is_printed_on_one_line() {
        let line = record("key", "{\"a\": 1}\n", "text").human(false);
        assert_eq!(line, "2026-01-01T12:00:00.000Z  12 key {\"a\": 1}");
        assert!(record("k", "one\ntwo", "text").human(false).ends_with(" one\\ntwo"));
        let long = record("k", &"ü".repeat(5000), "text").human(false);
        assert!(long.ends_with("ü… (7 bytes)") && long.chars().count() < CHARACTERS + 60);
    }

    #[test]
    fn what_is_no_text_is_printed_in_hex() {
        assert!(record("k", "/wD+", "base64").human(false).ends_with(" (7 bytes) ff 00 fe"));
        assert!(record("k", "a\u{0}", "text").human(false).ends_with(" (7 bytes) 61 00"));
        let long = record("k", &STANDARD.encode([0x80; 100]), "base64").human(false);
        assert!(long.ends_with(&format!("{}…", " 80".repeat(32))), "{long}");
    }

    #[test]
    fn nothing_of_a_record_steers_the_terminal() {
        let hostile = "\u{1b}[2J\u{9b}31m\r\u{7}\u{202e}\u{2066}\u{7f}\u{feff}x\u{2028}";
        let line = record(hostile, &hostile.replace('\u{7}', ""), "text").human(false);
        assert!(!line.chars().any(steers), "{line:?}");
        assert!(line.contains("\\u{1b}[2J\\u{9b}31m\\r") && line.contains("\\u{202e}"), "{line}");
        let told = serde_json::to_string(&json!({ "data": hostile })).unwrap();
        let printed = json(&told);
        assert!(!printed.chars().any(steers), "{printed:?}");
        let read: Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(read["data"], hostile);
    }
}
