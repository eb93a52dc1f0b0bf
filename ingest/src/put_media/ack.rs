//! What PutMedia's producer is told of its fragments.

use base::FragmentNumber;
use serde::Serialize;

use super::refusal::Refusal;

/// The AWS producer SDK for C takes no longer line.
const LINE_BYTES: usize = 1024;
/// Characters of an error's text: without control characters, JSON writes each in four bytes at most.
const MESSAGE_CHARS: usize = 190;

/// One acknowledgement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Ack {
    /// `BUFFERING`, `RECEIVED`, `PERSISTED`, `IDLE` or `ERROR`.
    pub event_type: &'static str,
    /// The cluster's time as its producer wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fragment_timecode: Option<u64>,
    /// The fragment's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fragment_number: Option<FragmentNumber>,
    /// AWS's word for the error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<&'static str>,
    /// AWS's number of the error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_id: Option<u16>,
    /// What was wrong, and where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
}

/// Which fragment: its cluster's time, and its number.
pub(super) type Which = (u64, FragmentNumber);

impl Ack {
    /// The fragment begins to arrive.
    pub(super) fn buffering(which: Which) -> Self {
        Self::of("BUFFERING", which)
    }

    /// All of the fragment has arrived.
    pub(super) fn received(which: Which) -> Self {
        Self::of("RECEIVED", which)
    }

    /// The fragment is on disk.
    pub(super) fn persisted(which: Which) -> Self {
        Self::of("PERSISTED", which)
    }

    /// The connection stands, and nothing comes.
    pub(super) fn idle() -> Self {
        Self { event_type: "IDLE", ..Self::default() }
    }

    /// The connection ends, and why; with the fragment that was open.
    pub(super) fn error(which: Option<Which>, refusal: &Refusal) -> Self {
        let (id, code) = refusal.id.aws();
        let message = refusal.message.chars().filter(|char| !char.is_control());
        Self {
            event_type: "ERROR",
            fragment_timecode: refusal.timecode.or(which.map(|(timecode, _)| timecode)),
            fragment_number: which.filter(|_| refusal.timecode.is_none()).map(|(_, number)| number),
            error_code: Some(code),
            error_id: Some(id),
            error_message: Some(message.take(MESSAGE_CHARS).collect()),
        }
    }

    fn of(event_type: &'static str, (timecode, number): Which) -> Self {
        let (fragment_timecode, fragment_number) = (Some(timecode), Some(number));
        Self { event_type, fragment_timecode, fragment_number, ..Self::default() }
    }

    /// As a line of JSON.
    pub fn line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).expect("an acknowledgement has text keys alone");
        line.push(b'\n');
        debug_assert!(line.len() <= LINE_BYTES);
        line
    }
}

#[cfg(test)]
mod tests {
    use super::super::refusal::ErrorId;
    use super::*;

    #[test]
    fn lines_are_those_that_producers_parse() {
        let text = |ack: Ack| String::from_utf8(ack.line()).unwrap();
        let which = (252_467, FragmentNumber::from_u64(7));
        assert_eq!(
            text(Ack::buffering(which)),
            "{\"EventType\":\"BUFFERING\",\"FragmentTimecode\":252467,\
             \"FragmentNumber\":\"91343852333181432390000000000000000000000000007\"}\n"
        );
        assert_eq!(text(Ack::idle()), "{\"EventType\":\"IDLE\"}\n");
        let refusal = Refusal::new(ErrorId::InvalidMkvData, "no EBML header, at byte 0 of the stream");
        assert_eq!(
            text(Ack::error(None, &refusal)),
            "{\"EventType\":\"ERROR\",\"ErrorCode\":\"INVALID_MKV_DATA\",\"ErrorId\":4006,\
             \"ErrorMessage\":\"no EBML header, at byte 0 of the stream\"}\n"
        );
        let long = Refusal::new(ErrorId::FragmentTimecode, "\u{1f980}\u{1}\"".repeat(900));
        assert!(Ack::error(Some((u64::MAX, FragmentNumber::MAX)), &long).line().len() <= LINE_BYTES);
    }
}
