//! PutMedia's input: headers.

use base::Timestamp;
use http::HeaderMap;
use ingest::put_media::Timecodes;

use crate::aws::check::Check;
use crate::aws::values::{Choice, Closed};
use crate::exception::Exception;
use crate::video::stream::StreamRef;

const STREAM_NAME: &str = "x-amzn-stream-name";
const STREAM_ARN: &str = "x-amzn-stream-arn";
const TIMECODE_TYPE: &str = "x-amzn-fragment-timecode-type";
const PRODUCER_START: &str = "x-amzn-producer-start-timestamp";

/// What the headers say.
pub(super) struct Input {
    pub(super) stream: StreamRef,
    pub(super) timecodes: Timecodes,
}

/// `FragmentTimecodeType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TimecodeType {
    Absolute,
    Relative,
}

impl Closed for TimecodeType {
    const VALUES: &'static [(&'static str, Self)] =
        &[("ABSOLUTE", Self::Absolute), ("RELATIVE", Self::Relative)];
}

impl Input {
    /// Reads the headers, with `now` for a start that is not told.
    ///
    /// # Errors
    /// InvalidArgument: all that is wrong with them.
    pub(super) fn read(headers: &HeaderMap, now: Timestamp) -> Result<Self, Exception> {
        let text = |name: &str| {
            headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let stream = StreamRef::new(text(STREAM_NAME), text(STREAM_ARN));
        let kind = text(TIMECODE_TYPE).map(|text| {
            let known = TimecodeType::VALUES.iter().find(|(word, _)| *word == text);
            known.map_or(Choice::Unknown(text), |(_, kind)| Choice::Known(*kind))
        });
        let mut check = Check::default();
        stream.check(&mut check);
        check.choice("FragmentTimecodeType", kind.as_ref()).required();
        if let Some(message) = check.message() {
            return Err(Exception::invalid(message));
        }
        let start = text(PRODUCER_START).map(|text| start(&text)).transpose()?;
        let timecodes = match kind.as_ref().and_then(Choice::known) {
            Some(TimecodeType::Relative) => Timecodes::Relative(start.unwrap_or(now)),
            Some(TimecodeType::Absolute) | None => Timecodes::Absolute,
        };
        Ok(Self { stream, timecodes })
    }
}

/// Epoch seconds with decimals. The AWS producer SDK for C writes 5 ms as `.5`, which is read as what it says.
fn start(text: &str) -> Result<Timestamp, Exception> {
    let seconds = text.trim().parse::<f64>().ok().filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
    let refused = || {
        let shown: String = text.chars().take(100).collect();
        Exception::invalid(format!(
            "Value '{shown}' at 'producerStartTimestamp' failed to satisfy constraint: Member must be epoch seconds"
        ))
    };
    seconds.map(Timestamp::from_secs_f64).filter(|at| *at < Timestamp::MAX).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&'static str, &str)]) -> Result<Timecodes, String> {
        let map =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let now = Timestamp::from_millis(7);
        Input::read(&map, now).map(|input| input.timecodes).map_err(|refused| refused.message)
    }

    #[test]
    fn times_count_from_the_epoch_or_from_the_start() {
        let name = (STREAM_NAME, "cam");
        let at = |millis| Ok(Timecodes::Relative(Timestamp::from_millis(millis)));
        assert_eq!(read(&[name, (TIMECODE_TYPE, "ABSOLUTE")]), Ok(Timecodes::Absolute));
        let relative = (TIMECODE_TYPE, "RELATIVE");
        assert_eq!(read(&[name, relative, (PRODUCER_START, "1795407508.774")]), at(1_795_407_508_774));
        assert_eq!(read(&[name, relative, (PRODUCER_START, "0")]), at(0));
        assert_eq!(read(&[name, relative]), at(7), "from now on");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let name = (STREAM_NAME, "cam");
        for (headers, hint) in [
            (vec![name], "fragmentTimecodeType"),
            (vec![name, (TIMECODE_TYPE, "absolute")], "[ABSOLUTE, RELATIVE]"),
            (vec![(STREAM_NAME, "no spaces"), (TIMECODE_TYPE, "ABSOLUTE")], "streamName"),
            (vec![(STREAM_ARN, "arn:aws:s3:::x"), (TIMECODE_TYPE, "ABSOLUTE")], "streamARN"),
            (vec![name, (TIMECODE_TYPE, "RELATIVE"), (PRODUCER_START, "yesterday")], "'yesterday'"),
            (vec![name, (TIMECODE_TYPE, "RELATIVE"), (PRODUCER_START, "NaN")], "producerStartTimestamp"),
            (vec![name, (TIMECODE_TYPE, "RELATIVE"), (PRODUCER_START, "1e300")], "producerStartTimestamp"),
        ] {
            let message = read(&headers).unwrap_err();
            assert!(message.contains(hint), "{message}");
        }
    }
}
