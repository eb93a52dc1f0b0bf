//! When a source is pulled: Quartz's cron expressions, as edge configurations have them, in UTC.
//!
//! ```text
//! second minute hour day-of-month month day-of-week [year]      0 0/30 8-18 ? * MON-FRI *
//! ```
//!
//! <https://www.quartz-scheduler.org/documentation/quartz-2.3.0/tutorials/crontrigger.html>
//!
//! Lists, ranges (also around the end, `FRI-MON`), steps, names, `*` and `?`. Not `L`, `W` and `#`.

use std::time::Duration;

use base::Timestamp;

/// A schedule: recordings of one length, and when they start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// A bit for every value that fits, of second, minute, hour, day of month, month, day of week from Sunday
    /// as 1, and year from [`FIRST_YEAR`].
    fields: [u128; 7],
    /// In whole seconds.
    duration: i64,
}

/// Where a schedule stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Phase {
    /// Whether to record now.
    pub(super) on: bool,
    /// When to look again; `None` for never.
    pub(super) until: Option<Timestamp>,
}

/// Not an expression that is served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Too few fields or too many.
    #[error("has {0} fields: write second, minute, hour, day of month, month, day of week and perhaps year")]
    Fields(usize),
    /// A field that cannot be read.
    #[error("its {field} {text:?} cannot be read: from {least} to {most}, with lists, ranges and steps")]
    Field {
        /// Which.
        field: &'static str,
        /// As it stands there.
        text: String,
        /// The least value.
        least: u32,
        /// The greatest.
        most: u32,
    },
    /// Quartz's special characters.
    #[error("its {0} uses L, W or #, which are not served")]
    Special(&'static str),
    /// Day of month and day of week.
    #[error("must have ? as its day of month or as its day of week, and only there and once")]
    Days,
    /// There is no such day.
    #[error("names no time that there is")]
    Never,
}

struct Field {
    name: &'static str,
    least: u32,
    most: u32,
    /// Names of the values from the least on.
    names: &'static [&'static str],
}

const FIRST_YEAR: u32 = 1970;
const LAST_YEAR: u32 = 2097;
const MONTHS: &[&str] = &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS: &[&str] = &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
const DAY_OF_MONTH: usize = 3;
const DAY_OF_WEEK: usize = 5;
const YEAR: usize = 6;

const fn field(name: &'static str, least: u32, most: u32, names: &'static [&'static str]) -> Field {
    Field { name, least, most, names }
}

const FIELDS: [Field; 7] = [
    field("second", 0, 59, &[]),
    field("minute", 0, 59, &[]),
    field("hour", 0, 23, &[]),
    field("day of month", 1, 31, &[]),
    field("month", 1, 12, MONTHS),
    field("day of week", 1, 7, DAYS),
    field("year", FIRST_YEAR, LAST_YEAR, &[]),
];

impl Schedule {
    /// Reads an expression for when recordings of `duration` start.
    ///
    /// # Errors
    /// [`ScheduleError`] says what is wrong with it.
    pub fn parse(expression: &str, duration: Duration) -> Result<Self, ScheduleError> {
        let words: Vec<&str> = expression.split_whitespace().collect();
        if !(YEAR..=FIELDS.len()).contains(&words.len()) {
            return Err(ScheduleError::Fields(words.len()));
        }
        let open = |at: usize| words[at] == "?";
        let days = open(DAY_OF_MONTH) != open(DAY_OF_WEEK);
        if !days || words.iter().filter(|word| **word == "?").count() > 1 {
            return Err(ScheduleError::Days);
        }
        let mut fields = [0; 7];
        for (at, bits) in fields.iter_mut().enumerate() {
            let word = words.get(at).filter(|word| **word != "?").unwrap_or(&"*");
            *bits = FIELDS[at].read(word)?;
        }
        let duration = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        let schedule = Self { fields, duration };
        schedule.next(0).map(|_| schedule).ok_or(ScheduleError::Never)
    }

    /// Whether it is time to record.
    pub(super) fn phase(&self, now: Timestamp) -> Phase {
        let now = now.millis().div_euclid(1000);
        let start = self.next(now.saturating_sub(self.duration).saturating_add(1));
        let at = |secs: i64| Timestamp::from_millis(secs.saturating_mul(1000));
        match start {
            // Another start before that end is found when it has come.
            Some(start) if start <= now => {
                Phase { on: true, until: Some(at(start.saturating_add(self.duration))) }
            }
            later => Phase { on: false, until: later.map(at) },
        }
    }

    /// The first start that is no earlier than this epoch second.
    fn next(&self, from: i64) -> Option<i64> {
        let from = from.max(0);
        let mut date = Timestamp::from_millis(from.saturating_mul(1000)).to_utc().date();
        let mut second = u32::try_from(from.rem_euclid(86_400)).ok()?;
        loop {
            let year = u32::try_from(date.year()).ok().filter(|year| *year <= LAST_YEAR)?;
            let values = [
                u32::from(date.day()),
                u32::from(u8::from(date.month())),
                u32::from(date.weekday().number_from_sunday()),
                year,
            ];
            if values.iter().enumerate().all(|(at, value)| self.has(DAY_OF_MONTH + at, *value))
                && let Some(second) = self.next_in_day(second)
            {
                return Some(date.midnight().assume_utc().unix_timestamp() + i64::from(second));
            }
            second = 0;
            date = date.next_day()?;
        }
    }

    /// The first start of a day at this second of it or later.
    fn next_in_day(&self, from: u32) -> Option<u32> {
        let (from_hour, from_minute, from_second) = (from / 3600, from / 60 % 60, from % 60);
        for hour in (from_hour..24).filter(|hour| self.has(2, *hour)) {
            let first = if hour == from_hour { from_minute } else { 0 };
            for minute in (first..60).filter(|minute| self.has(1, *minute)) {
                let same = (hour, minute) == (from_hour, from_minute);
                let first = if same { from_second } else { 0 };
                if let Some(second) = (first..60).find(|second| self.has(0, *second)) {
                    return Some(hour * 3600 + minute * 60 + second);
                }
            }
        }
        None
    }

    fn has(&self, field: usize, value: u32) -> bool {
        self.fields[field] >> (value - FIELDS[field].least) & 1 == 1
    }
}

impl Field {
    /// A bit for every value of a list, from the least one on.
    fn read(&self, text: &str) -> Result<u128, ScheduleError> {
        text.split(',').try_fold(0, |bits, part| Ok(bits | self.read_part(part)?))
    }

    fn read_part(&self, part: &str) -> Result<u128, ScheduleError> {
        let Self { name, least, most, .. } = *self;
        let refuse = || {
            let special = |c: char| matches!(c.to_ascii_uppercase(), 'L' | 'W' | '#');
            let plain = |c: char| c.is_ascii_digit() || c == '-' || special(c);
            if part.contains(special) && part.chars().all(plain) {
                return ScheduleError::Special(name);
            }
            ScheduleError::Field { field: name, text: part.chars().take(40).collect(), least, most }
        };
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse().ok().filter(|step| *step > 0).ok_or_else(refuse)?),
            None => (part, 1_u32),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (least, most),
            Some((from, to)) => (self.value(from).ok_or_else(refuse)?, self.value(to).ok_or_else(refuse)?),
            None => {
                let from = self.value(range).ok_or_else(refuse)?;
                (from, if part.contains('/') { most } else { from })
            }
        };
        let count = most - least + 1;
        let length = (to + count - from) % count + 1;
        let steps = usize::try_from(step).unwrap_or(usize::MAX);
        let places = (0..length).step_by(steps).map(|at| (from - least + at) % count);
        Ok(places.fold(0, |bits, place| bits | 1 << place))
    }

    fn value(&self, text: &str) -> Option<u32> {
        if let Some(at) = self.names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
            return Some(self.least + u32::try_from(at).ok()?);
        }
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|value| digits && (self.least..=self.most).contains(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn schedule(expression: &str, secs: u64) -> Schedule {
        Schedule::parse(expression, Duration::from_secs(secs)).unwrap()
    }

    fn next(expression: &str, from: &str) -> String {
        let from = Timestamp::parse(from).unwrap().millis() / 1000;
        let found = schedule(expression, 60).next(from).unwrap();
        Timestamp::from_millis(found * 1000).to_string().replace(".000Z", "Z")
    }

    #[test]
    fn starts_are_found_as_quartz_finds_them() {
        // 2026-01-01 is a Thursday.
        for (expression, from, expected) in [
            ("0 0 12 * * ?", "2026-01-01T00:00:00Z", "2026-01-01T12:00:00Z"),
            ("0 0 12 * * ?", "2026-01-01T12:00:01Z", "2026-01-02T12:00:00Z"),
            ("0 15 10 ? * MON-FRI", "2026-01-02T11:00:00Z", "2026-01-05T10:15:00Z"),
            ("0 15 10 ? * 2", "2026-01-01T00:00:00Z", "2026-01-05T10:15:00Z"),
            ("0 0/30 8-9 ? * * 2027", "2026-06-01T00:00:00Z", "2027-01-01T08:00:00Z"),
            ("0 0/30 8-9 ? * *", "2026-01-01T08:00:01Z", "2026-01-01T08:30:00Z"),
            ("5,10/20 * * * * ?", "2026-01-01T00:00:31Z", "2026-01-01T00:00:50Z"),
            ("0 0 0 29 2 ?", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("0 0 22-2/2 1 jan ?", "2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z"),
            ("0 0 0 ? * FRI-MON", "2026-01-05T00:00:01Z", "2026-01-09T00:00:00Z"),
        ] {
            assert_eq!(next(expression, from), expected, "{expression} from {from}");
        }
    }

    #[test]
    fn a_recording_is_on_from_its_start_for_its_duration() {
        let schedule = schedule("0 0 12 * * ?", 600);
        let at = |text: &str| Timestamp::parse(text).unwrap();
        let phase = |text: &str| schedule.phase(at(text));
        let off = |until: &str| Phase { on: false, until: Some(at(until)) };
        let on = Phase { on: true, until: Some(at("2026-01-01T12:10:00Z")) };
        assert_eq!(phase("2026-01-01T11:59:59.999Z"), off("2026-01-01T12:00:00Z"));
        assert_eq!(phase("2026-01-01T12:00:00Z"), on);
        assert_eq!(phase("2026-01-01T12:09:59.999Z"), on);
        assert_eq!(phase("2026-01-01T12:10:00Z"), off("2026-01-02T12:00:00Z"));
    }

    #[test]
    fn starts_closer_than_the_duration_leave_no_gap() {
        let schedule = schedule("0 * * * * ?", 90);
        let mut now = Timestamp::parse("2026-01-01T00:00:30Z").unwrap();
        for _ in 0..200 {
            let phase = schedule.phase(now);
            assert!(phase.on && phase.until.unwrap() > now, "{now} {phase:?}");
            now = phase.until.unwrap();
        }
    }

    #[test]
    fn what_has_been_is_never_again() {
        let phase = schedule("0 0 0 1 1 ? 2020", 60).phase(Timestamp::parse("2026-01-01T00:00:00Z").unwrap());
        assert_eq!(phase, Phase { on: false, until: None });
    }

    #[test]
    fn what_is_not_served_is_refused_by_name() {
        let refused = |text| Schedule::parse(text, Duration::from_secs(60)).unwrap_err();
        for (text, word) in [
            ("0 0 12 * *", "5 fields"),
            ("0 0 12 * * ? * *", "8 fields"),
            ("60 0 12 * * ?", "second"),
            ("0 0 24 * * ?", "hour"),
            ("0 0 12 * FOO ?", "month"),
            ("0 0 12 0 * ?", "day of month"),
            ("0 0/0 12 * * ?", "minute"),
            ("0 +1 12 * * ?", "minute"),
            ("0 0 12 * * *", "?"),
            ("0 0 12 ? * ?", "?"),
            ("? 0 12 ? * MON", "?"),
            ("0 0 12 L * ?", "not served"),
            ("0 0 12 15W * ?", "not served"),
            ("0 0 12 ? * 6#3", "not served"),
            ("0 0 0 30 2 ?", "no time"),
        ] {
            let error = refused(text).to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[0-9*?/,LW#A-Z -]{0,40}", now in 0_i64..4_000_000_000) {
            if let Ok(schedule) = Schedule::parse(&text, Duration::from_secs(3600)) {
                let now = Timestamp::from_millis(now * 1000);
                let phase = schedule.phase(now);
                prop_assert!(phase.until.is_none_or(|until| until > now));
            }
        }

        #[test]
        fn a_start_is_the_first_that_fits(from in 0_i64..2_000_000_000, step in 1_u32..59) {
            let schedule = schedule(&format!("0 0/{step} * ? * *"), 60);
            let found = schedule.next(from).unwrap();
            prop_assert!(found >= from && found < from + 3600);
            prop_assert!((from..found).all(|second| second % 60 != 0 || (second / 60 % 60) % i64::from(step) != 0));
        }
    }
}
