//! Records as the bytes of an object or a request.

use std::io::{self, Write};

use base::Timestamp;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_streams::ReadRecord;
use flate2::Compression as Level;
use flate2::write::GzEncoder;
use serde::Serialize;

use crate::identity::Identity;

/// Takes records one by one. Runs on a thread that may take its time.
pub trait Packer: Send {
    /// About how many bytes it writes for each record beside its data, before compression: small records are
    /// gathered up to a size, too.
    fn beside(&self) -> u64;

    /// Takes the next record.
    ///
    /// # Errors
    /// Where it cannot be written.
    fn push(&mut self, record: &ReadRecord) -> io::Result<()>;

    /// All of it.
    ///
    /// # Errors
    /// As [`Self::push`].
    fn finish(self: Box<Self>) -> io::Result<Vec<u8>>;
}

/// Bytes, compressed or as they are.
pub(crate) enum Output {
    Plain(Vec<u8>),
    Gzip(GzEncoder<Vec<u8>>),
}

impl Output {
    pub fn new(gzip: bool) -> Self {
        if gzip { Self::Gzip(GzEncoder::new(Vec::new(), Level::default())) } else { Self::Plain(Vec::new()) }
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Plain(bytes) => Ok(bytes),
            Self::Gzip(encoder) => encoder.finish(),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(all) => all.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One after the other, with nothing between, as Firehose writes objects.
pub(crate) struct Joined(pub Output);

impl Packer for Joined {
    fn beside(&self) -> u64 {
        0
    }

    fn push(&mut self, record: &ReadRecord) -> io::Result<()> {
        self.0.write_all(&record.data)
    }

    fn finish(self: Box<Self>) -> io::Result<Vec<u8>> {
        self.0.finish()
    }
}

/// The body of a request to an HTTP endpoint. See
/// <https://docs.aws.amazon.com/firehose/latest/dev/httpdeliveryrequestresponse.html>.
pub(crate) struct HttpRecords {
    output: Output,
    /// Of the line that they come from.
    identity: Identity,
    /// When the request was made.
    made: Timestamp,
    /// The first and the last so far.
    range: Option<(u64, u64)>,
}

impl HttpRecords {
    pub fn new(gzip: bool, identity: Identity, made: Timestamp) -> Self {
        Self { output: Output::new(gzip), identity, made, range: None }
    }

    /// The id of the request with these records: another one where a crash has changed what is in it.
    pub fn request_id(identity: &Identity, first: u64, last: u64) -> String {
        identity.with(&first.to_be_bytes()).with(&last.to_be_bytes()).uuid()
    }
}

impl Packer for HttpRecords {
    fn beside(&self) -> u64 {
        // A comma, braces, the name and its marks; base64 fills up to four.
        16
    }

    fn push(&mut self, record: &ReadRecord) -> io::Result<()> {
        let before: &[u8] =
            if self.range.is_none() { b"{\"records\":[{\"data\":\"" } else { b",{\"data\":\"" };
        let first = self.range.map_or(record.index, |(first, _)| first);
        self.range = Some((first, record.index));
        self.output.write_all(before)?;
        self.output.write_all(STANDARD.encode(&record.data).as_bytes())?;
        self.output.write_all(b"\"}")
    }

    fn finish(mut self: Box<Self>) -> io::Result<Vec<u8>> {
        let (first, last) = self.range.unwrap_or_default();
        let id = Self::request_id(&self.identity, first, last);
        // The id is known only here; the order of members says nothing in JSON.
        write!(self.output, "],\"requestId\":\"{id}\",\"timestamp\":{}}}", self.made.millis())?;
        self.output.finish()
    }
}

/// Why records could not be delivered, as their lines say.
#[derive(Clone, Debug)]
pub(crate) struct Reason {
    pub attempts: u32,
    pub code: &'static str,
    pub message: String,
    pub ended: Timestamp,
}

/// Records that could not be delivered: a JSON object in each line. See
/// <https://docs.aws.amazon.com/firehose/latest/dev/retry.html>.
pub(crate) struct Failed {
    pub output: Output,
    pub reason: Reason,
    /// What comes before a record's number in its `dataId`.
    pub shard: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FailedLine<'a> {
    attempts_made: u32,
    arrival_timestamp: i64,
    error_code: &'static str,
    error_message: &'a str,
    attempt_ending_timestamp: i64,
    raw_data: String,
    subsequence_number: u32,
    data_id: String,
}

impl Packer for Failed {
    fn beside(&self) -> u64 {
        // Names, numbers and marks take less.
        300 + self.reason.message.len() as u64
    }

    fn push(&mut self, record: &ReadRecord) -> io::Result<()> {
        let line = FailedLine {
            attempts_made: self.reason.attempts,
            arrival_timestamp: record.arrived.millis(),
            error_code: self.reason.code,
            error_message: &self.reason.message,
            attempt_ending_timestamp: self.reason.ended.millis(),
            raw_data: STANDARD.encode(&record.data),
            subsequence_number: 0,
            data_id: format!("{}.{}", data_streams::shard_id(self.shard), record.index),
        };
        serde_json::to_writer(&mut self.output, &line)?;
        self.output.write_all(b"\n")
    }

    fn finish(self: Box<Self>) -> io::Result<Vec<u8>> {
        self.output.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use serde_json::{Value, json};
    use std::io::Read;

    fn record(index: u64, data: &'static str) -> ReadRecord {
        let arrived = Timestamp::from_millis(1_700_000_000_000);
        ReadRecord {
            index,
            arrived,
            partition_key: Bytes::from_static(b"k"),
            data: Bytes::from_static(data.as_bytes()),
        }
    }

    fn packed(mut packer: Box<dyn Packer>) -> Vec<u8> {
        packer.push(&record(1, "one")).unwrap();
        packer.push(&record(2, "two")).unwrap();
        packer.finish().unwrap()
    }

    #[test]
    fn objects_are_the_records_alone() {
        assert_eq!(packed(Box::new(Joined(Output::new(false)))), b"onetwo");
        let gzip = packed(Box::new(Joined(Output::new(true))));
        let mut text = String::new();
        flate2::read::GzDecoder::new(&gzip[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, "onetwo");
    }

    #[test]
    fn requests_are_as_the_specification_says() {
        let made = Timestamp::from_millis(5);
        let identity = Identity::new(&[b"line"]);
        let body = packed(Box::new(HttpRecords::new(false, identity.clone(), made)));
        let id = HttpRecords::request_id(&identity, 1, 2);
        assert_eq!(
            serde_json::from_slice::<Value>(&body).unwrap(),
            json!({ "requestId": id, "timestamp": 5, "records": [{ "data": "b25l" }, { "data": "dHdv" }] })
        );
        assert_ne!(id, HttpRecords::request_id(&identity, 1, 3), "other records, another request");
    }

    #[test]
    fn failed_records_have_a_line_each() {
        let reason = Reason {
            attempts: 3,
            code: "HttpEndpoint.DestinationException",
            message: "said \"no\"".into(),
            ended: Timestamp::from_millis(7),
        };
        let bytes = packed(Box::new(Failed { output: Output::new(false), reason, shard: 4 }));
        let lines: Vec<Value> = bytes
            .split_inclusive(|b| *b == b'\n')
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(
            lines[1],
            json!({
                "attemptsMade": 3, "arrivalTimestamp": 1_700_000_000_000_i64,
                "errorCode": "HttpEndpoint.DestinationException", "errorMessage": "said \"no\"",
                "attemptEndingTimestamp": 7, "rawData": "dHdv", "subsequenceNumber": 0,
                "dataId": "shardId-000000000004.2",
            })
        );
    }
}
