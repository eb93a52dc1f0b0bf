//! Points in time, in UTC, with the millisecond resolution the AWS video APIs speak.

use std::fmt;
use std::ops::{Add, Range, Sub};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::format_description::well_known::{Iso8601, Rfc3339};
use time::macros::format_description;
use time::{Date, Month, OffsetDateTime};

use crate::text::Text;

/// Milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The text is neither ISO 8601 nor epoch seconds or milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a time: use ISO 8601 (2026-01-31T12:00:00Z) or epoch seconds or milliseconds")]
pub struct TimestampError(String);

/// From here on a bare number is read as milliseconds: as seconds it would lie beyond the year 5138.
const MILLIS_FROM: f64 = 1e11;

impl Timestamp {
    /// The earliest time that can be written as ISO 8601 with a four-digit year.
    pub const MIN: Self = Self(-62_167_219_200_000);
    /// The latest time that can be written as ISO 8601 with a four-digit year.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// From milliseconds since the epoch, held within [`Self::MIN`] and [`Self::MAX`].
    pub const fn from_millis(millis: i64) -> Self {
        if millis < Self::MIN.0 {
            Self::MIN
        } else if millis > Self::MAX.0 {
            Self::MAX
        } else {
            Self(millis)
        }
    }

    /// From seconds since the epoch, as AWS writes them in JSON.
    #[expect(clippy::cast_possible_truncation, reason = "float casts saturate, and from_millis clamps")]
    pub fn from_secs_f64(secs: f64) -> Self {
        Self::from_millis((secs * 1000.0).round() as i64)
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Seconds since the epoch, with three decimals, as AWS writes them in JSON.
    #[expect(clippy::cast_precision_loss, reason = "the clamped range is far below 2^53")]
    pub fn secs_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// Reads ISO 8601 with an offset, or epoch seconds (also with decimals), or epoch milliseconds.
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        if let Some(own) = Self::parse_own(text) {
            return Ok(own);
        }
        let text = text.trim();
        if let Ok(number) = text.parse::<f64>()
            && number.is_finite()
        {
            let secs = if number.abs() >= MILLIS_FROM { number / 1000.0 } else { number };
            return Ok(Self::from_secs_f64(secs));
        }
        OffsetDateTime::parse(text, &Iso8601::DEFAULT)
            .or_else(|_| OffsetDateTime::parse(text, &Rfc3339))
            .map(|at| Self::from_millis((at.unix_timestamp_nanos() / 1_000_000) as i64))
            .map_err(|_| TimestampError(text.to_owned()))
    }

    /// Reads the form that [`fmt::Display`] writes, which almost all texts have: an index is rebuilt from
    /// millions of them.
    fn parse_own(text: &str) -> Option<Self> {
        let bytes: &[u8; 24] = text.as_bytes().try_into().ok()?;
        let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (23, b'Z')];
        if marks.iter().any(|&(at, mark)| bytes[at] != mark) {
            return None;
        }
        let number = |range: Range<usize>| {
            bytes[range].iter().try_fold(0_u16, |number, digit| {
                digit.is_ascii_digit().then(|| number * 10 + u16::from(digit - b'0'))
            })
        };
        let small = |range| number(range).and_then(|number| u8::try_from(number).ok());
        let month = Month::try_from(small(5..7)?).ok()?;
        let date = Date::from_calendar_date(number(0..4)?.into(), month, small(8..10)?).ok()?;
        let at = date.with_hms_milli(small(11..13)?, small(14..16)?, small(17..19)?, number(20..23)?).ok()?;
        let at = at.assume_utc();
        Some(Self::from_millis(at.unix_timestamp() * 1000 + i64::from(at.millisecond())))
    }

    /// This time as a calendar date and time in UTC.
    pub fn to_utc(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .expect("every constructor holds the value within the calendar")
    }

    /// How long after `earlier` this is; zero where it is not after.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    /// ISO 8601 in UTC with milliseconds: `2026-01-31T12:00:00.000Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape =
            format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
        f.write_str(&self.to_utc().format(&shape).map_err(|_| fmt::Error)?)
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, by: Duration) -> Self {
        Self::from_millis(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, by: Duration) -> Self {
        Self::from_millis(self.0.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// ISO 8601 text.
impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Text(text) = Text::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_every_form_a_client_may_write() {
        let noon = Timestamp::from_millis(1_767_268_800_000);
        for text in [
            "2026-01-01T12:00:00Z",
            "2026-01-01T12:00:00.000Z",
            "2026-01-01T13:00:00+01:00",
            "1767268800",
            "1767268800.000",
            "1767268800000",
            "1.7672688E9",
        ] {
            assert_eq!(Timestamp::parse(text), Ok(noon), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in
            ["", "yesterday", "2026-13-01T00:00:00Z", "NaN", "inf", "2026-01-01", "2026-01-01T00:00:+1.000Z"]
        {
            assert!(Timestamp::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_round_trips(millis in Timestamp::MIN.millis()..=Timestamp::MAX.millis()) {
            let at = Timestamp::from_millis(millis);
            prop_assert_eq!(Timestamp::parse(&at.to_string()), Ok(at));
            prop_assert_eq!(Timestamp::parse(&at.to_string().replace('Z', "+00:00")), Ok(at));
        }

        #[test]
        fn any_text_parses_or_is_refused(text in ".{0,40}") {
            let _ = Timestamp::parse(&text);
        }
    }
}
