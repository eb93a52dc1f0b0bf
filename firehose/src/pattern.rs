//! Dates as Java's `DateTimeFormatter` patterns write them, in UTC and English: what stands in
//! `!{timestamp:PATTERN}`.
//!
//! <https://docs.oracle.com/javase/8/docs/api/java/time/format/DateTimeFormatter.html#patterns>

use std::fmt::Write as _;

use base::Timestamp;
use time::OffsetDateTime;

/// Most letters of one field.
const WIDEST: usize = 19;

/// A pattern that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatePattern(Vec<Item>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Text(String),
    /// A letter and how often it stands there.
    Field(char, usize),
}

impl DatePattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it, for its author.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut items = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\'' => items.push(Item::Text(quoted(&mut chars)?)),
                'a'..='z' | 'A'..='Z' => {
                    let mut count = 1;
                    while chars.next_if_eq(&c).is_some() {
                        count += 1;
                    }
                    check(c, count)?;
                    items.push(Item::Field(c, count));
                }
                '[' | ']' | '{' | '}' | '#' => return Err(format!("{c} is reserved: write '{c}'")),
                other => items.push(Item::Text(other.into())),
            }
        }
        Ok(Self(items))
    }

    /// A time in this form.
    pub fn format(&self, at: Timestamp) -> String {
        let at = at.to_utc();
        let mut text = String::new();
        for item in &self.0 {
            match item {
                Item::Text(literal) => text.push_str(literal),
                Item::Field(letter, count) => field(&mut text, *letter, *count, at),
            }
        }
        text
    }
}

/// What stands up to the next quotation mark; two of them are one that is meant.
fn quoted(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<String, String> {
    let mut text = String::new();
    loop {
        match chars.next() {
            Some('\'') if chars.next_if_eq(&'\'').is_some() => text.push('\''),
            // Two marks with nothing between stand for one, also outside of a quotation.
            Some('\'') if text.is_empty() => return Ok("'".into()),
            Some('\'') => return Ok(text),
            Some(c) => text.push(c),
            None => return Err("a quotation is not closed".into()),
        }
    }
}

fn check(letter: char, count: usize) -> Result<(), String> {
    let most = match letter {
        'y' | 'u' | 'S' | 'A' | 'n' | 'N' => WIDEST,
        'M' | 'L' | 'E' | 'G' | 'Q' | 'q' | 'X' | 'x' | 'Z' => 5,
        'D' => 3,
        'd' | 'H' | 'h' | 'K' | 'k' | 'm' | 's' => 2,
        'z' => 4,
        'a' => 1,
        other => return Err(format!("the letter {other} is not offered in dates")),
    };
    if count > most { Err(format!("too many letters {letter}")) } else { Ok(()) }
}

fn field(text: &mut String, letter: char, count: usize, at: OffsetDateTime) {
    let mut number = |value: u64| {
        let _ = write!(text, "{value:0count$}");
    };
    let hour = u64::from(at.hour());
    let month = u8::from(at.month());
    match letter {
        'y' | 'u' if count == 2 => number(u64::from(at.year().rem_euclid(100).unsigned_abs())),
        'y' | 'u' => number(u64::from(at.year().unsigned_abs())),
        'M' | 'L' if count <= 2 => number(u64::from(month)),
        'M' | 'L' => text.push_str(&shortened(&at.month().to_string(), count)),
        'Q' | 'q' => quarter(text, (month - 1) / 3 + 1, count),
        'd' => number(u64::from(at.day())),
        'D' => number(u64::from(at.ordinal())),
        'E' => text.push_str(&shortened(&at.weekday().to_string(), count.max(3))),
        'G' => text.push_str(match count {
            4 => "Anno Domini",
            5 => "A",
            _ => "AD",
        }),
        'a' => text.push_str(if hour < 12 { "AM" } else { "PM" }),
        'H' => number(hour),
        'k' => number(if hour == 0 { 24 } else { hour }),
        'K' => number(hour % 12),
        'h' => number(if hour.is_multiple_of(12) { 12 } else { hour % 12 }),
        'm' => number(u64::from(at.minute())),
        's' => number(u64::from(at.second())),
        'n' => number(u64::from(at.nanosecond())),
        'N' => number(nano_of_day(at)),
        'A' => number(nano_of_day(at) / 1_000_000),
        'S' => {
            let digits = format!("{:09}", at.nanosecond());
            text.push_str(&format!("{digits:0<count$}")[..count]);
        }
        _ => text.push_str(offset(letter, count)),
    }
}

/// A name, of which three letters are kept, all (4), or one (5).
fn shortened(name: &str, count: usize) -> String {
    let letters = match count {
        4 => usize::MAX,
        5 => 1,
        _ => 3,
    };
    name.chars().take(letters).collect()
}

fn quarter(text: &mut String, quarter: u8, count: usize) {
    let ordinal = ["1st", "2nd", "3rd", "4th"][usize::from(quarter - 1)];
    let _ = match count {
        1 | 5 => write!(text, "{quarter}"),
        2 => write!(text, "{quarter:02}"),
        3 => write!(text, "Q{quarter}"),
        _ => write!(text, "{ordinal} quarter"),
    };
}

/// The offset of UTC in its many forms.
fn offset(letter: char, count: usize) -> &'static str {
    match (letter, count) {
        ('z', 4) => "Coordinated Universal Time",
        ('z', _) => "UTC",
        ('Z', 4) => "GMT",
        ('X', _) | ('Z', 5) => "Z",
        ('x', 1) => "+00",
        ('x', 3 | 5) => "+00:00",
        _ => "+0000",
    }
}

fn nano_of_day(at: OffsetDateTime) -> u64 {
    let seconds = u64::from(at.hour()) * 3600 + u64::from(at.minute()) * 60 + u64::from(at.second());
    seconds * 1_000_000_000 + u64::from(at.nanosecond())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn formatted(pattern: &str, at: &str) -> String {
        DatePattern::parse(pattern).unwrap().format(Timestamp::parse(at).unwrap())
    }

    #[test]
    fn dates_are_written_as_java_writes_them() {
        let at = "2026-07-04T15:06:09.087Z";
        for (pattern, expected) in [
            ("yyyy/MM/dd/HH/", "2026/07/04/15/"),
            ("'year='yyyy'/month='MM", "year=2026/month=07"),
            ("yy y u M d H h k K", "26 2026 2026 7 4 15 3 15 3"),
            ("MMM MMMM MMMMM E EEEE EEEEE", "Jul July J Sat Saturday S"),
            ("D DDD Q QQ QQQ QQQQ", "185 185 3 03 Q3 3rd quarter"),
            ("hh:mm a ss.SSS S SSSSSSSSSSSS", "03:06 PM 09.087 0 087000000000"),
            ("A n N", "54369087 87000000 54369087000000"),
            (
                "X XXX x xx xxx Z ZZZZ ZZZZZ z zzzz",
                "Z Z +00 +0000 +00:00 +0000 GMT Z UTC Coordinated Universal Time",
            ),
            ("G GGGG GGGGG", "AD Anno Domini A"),
            ("''yy'o''clock'", "'26o'clock"),
        ] {
            assert_eq!(formatted(pattern, at), expected, "{pattern}");
        }
        assert_eq!(formatted("h k K a", "2026-07-04T00:00:00Z"), "12 24 0 AM");
    }

    #[test]
    fn what_java_has_otherwise_is_refused() {
        for bad in ["'open", "[yyyy]", "{", "#", "b", "w", "VV", "ddd", "HHH", "aa", "yyyyyyyyyyyyyyyyyyyy"] {
            assert!(DatePattern::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}|[yMdHmsSa']{0,20}", ms in 0..4_102_444_800_000_i64) {
            if let Ok(pattern) = DatePattern::parse(&text) {
                let formatted = pattern.format(Timestamp::from_millis(ms));
                prop_assert!(formatted.len() <= 40 * (text.len() + 1));
            }
        }
    }
}
