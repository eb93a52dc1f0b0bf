//! Where a reader begins: `ShardIteratorType` and what belongs to it.

use catalog::Shard;
use data_streams::{SequenceNumber, Start, shard_id};

use super::source::Source;
use crate::aws::check::Check;
use crate::aws::patterns::SEQUENCE_NUMBER;
use crate::aws::values::{Choice, Closed, Epoch};
use crate::exception::Exception;

/// `ShardIteratorType` of the AWS model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartType {
    /// The record of this number.
    AtSequenceNumber,
    /// The one after it.
    AfterSequenceNumber,
    /// The oldest.
    TrimHorizon,
    /// After the newest.
    Latest,
    /// The first that arrived then or later.
    AtTimestamp,
}

impl Closed for StartType {
    const VALUES: &'static [(&'static str, Self)] = &[
        ("AT_SEQUENCE_NUMBER", Self::AtSequenceNumber),
        ("AFTER_SEQUENCE_NUMBER", Self::AfterSequenceNumber),
        ("TRIM_HORIZON", Self::TrimHorizon),
        ("LATEST", Self::Latest),
        ("AT_TIMESTAMP", Self::AtTimestamp),
    ];
}

/// What a request says of it; GetShardIterator and SubscribeToShard name the members differently.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// The type.
    pub kind: Option<&'a Choice<StartType>>,
    /// The number, for the first two types.
    pub sequence: Option<&'a str>,
    /// The time, for the last type.
    pub timestamp: Option<&'a Epoch>,
    /// What the member with the number is called.
    pub sequence_member: &'static str,
    /// The operation, as its messages name it.
    pub operation: &'static str,
}

impl Wanted<'_> {
    /// Names the members; the type's is called `kind_member`.
    pub fn check(&self, check: &mut Check, kind_member: &str) {
        check.choice(kind_member, self.kind).required();
        check.text(self.sequence_member, self.sequence).pattern(SEQUENCE_NUMBER);
        check.time("Timestamp", self.timestamp);
    }

    /// Where that is.
    ///
    /// # Errors
    /// InvalidArgument where a member is missing or superfluous, the number is not one of this shard that was
    /// given, or the time is to come.
    pub fn resolve(&self, source: &Source<'_>, shard: &Shard) -> Result<Start, Exception> {
        let kind = self.kind.and_then(Choice::known).unwrap_or(StartType::Latest);
        let by_number = matches!(kind, StartType::AtSequenceNumber | StartType::AfterSequenceNumber);
        match (by_number, self.sequence) {
            (true, None) => {
                let text = "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and a sequence \
                            number or (2) TRIM_HORIZON or LATEST and no sequence number.";
                return Err(Exception::invalid(text));
            }
            (false, Some(_)) => {
                let member = self.sequence_member;
                return Err(Exception::invalid(format!(
                    "{member} is given, but no type that begins at a number."
                )));
            }
            (true, Some(_)) | (false, None) => {}
        }
        if kind == StartType::AtTimestamp && self.timestamp.is_none() {
            return Err(Exception::invalid("Timestamp must be specified with AT_TIMESTAMP."));
        }
        match kind {
            StartType::TrimHorizon => Ok(Start::TrimHorizon),
            StartType::Latest => Ok(Start::Latest),
            StartType::AtSequenceNumber => self.index(source, shard).map(Start::At),
            StartType::AfterSequenceNumber => self.index(source, shard).map(Start::After),
            StartType::AtTimestamp => self.time(source),
        }
    }

    fn time(&self, source: &Source<'_>) -> Result<Start, Exception> {
        let at = self.timestamp.copied().unwrap_or_default().0;
        let now = source.app.clock.now();
        if at > now {
            return Err(Exception::invalid(format!(
                "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. \
                 timestampInMillis: {}, currentTimestampInMillis: {}",
                at.millis(),
                now.millis()
            )));
        }
        Ok(Start::AtTime(at))
    }

    /// The index that the number says.
    fn index(&self, source: &Source<'_>, shard: &Shard) -> Result<u64, Exception> {
        let text = self.sequence.unwrap_or_default();
        let (member, operation) = (self.sequence_member, self.operation);
        let (account, name) = (&source.app.account, &source.found.stream.name);
        let asked = shard_id(shard.id);
        let used = format!(
            "{member} {text} used in {operation} on shard {asked} in stream {name} under account {account} is invalid"
        );
        let number: SequenceNumber = text.parse().map_err(|_| Exception::invalid(format!("{used}.")))?;
        if number.shard != shard.id {
            return Err(Exception::invalid(format!(
                "Invalid {member}. It encodes {}, while it was used in a call to a shard with {asked}",
                shard_id(number.shard)
            )));
        }
        if !number.is_of(shard) {
            return Err(Exception::invalid(format!("{used} because it did not come from this stream.")));
        }
        if number.index >= source.durable(shard.id) {
            return Err(Exception::invalid(format!("{used} because no record has it yet.")));
        }
        Ok(number.index)
    }
}
