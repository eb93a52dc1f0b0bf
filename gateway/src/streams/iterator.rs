//! Shard iterators: sealed, so that nobody forges one, and good for five minutes.

use std::time::Duration;

use base::{StreamId, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use time::macros::format_description;

use crate::app::App;
use crate::exception::{Code, Exception};
use crate::seal::Purpose;

/// How long an iterator is good.
const LIFE: Duration = Duration::from_millis(300_000);
/// What AWS's iterators begin with.
const PREFIX: [u8; 8] = 1_u64.to_be_bytes();
/// Stream, shard, position, time.
const CONTENT: usize = 8 + 4 + 8 + 8;
/// Content and zeros: together with prefix and seal 152 bytes, the least that AWS's have.
const PLAIN: usize = 103;

/// What an iterator holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardIterator {
    /// The stream's number, which a later stream of the same name does not have.
    pub stream: StreamId,
    /// The shard's number.
    pub shard: u32,
    /// Index of the next record.
    pub position: u64,
}

impl ShardIterator {
    /// The text that clients carry.
    pub fn seal(&self, app: &App) -> String {
        let mut plain = [0; PLAIN];
        plain[..8].copy_from_slice(&self.stream.0.to_be_bytes());
        plain[8..12].copy_from_slice(&self.shard.to_be_bytes());
        plain[12..20].copy_from_slice(&self.position.to_be_bytes());
        plain[20..CONTENT].copy_from_slice(&app.clock.now().millis().to_be_bytes());
        let sealed = app.sealer.seal_raw(Purpose::ShardIterator, &plain);
        STANDARD.encode([&PREFIX[..], &sealed].concat())
    }

    /// Reads the text. Quotes around it, as a shell leaves them, are stepped over.
    ///
    /// # Errors
    /// InvalidArgument where it was not made here; ExpiredIterator.
    pub fn open(app: &App, text: &str) -> Result<Self, Exception> {
        let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        let plain = STANDARD
            .decode(text)
            .ok()
            .and_then(|bytes| app.sealer.open_raw(Purpose::ShardIterator, bytes.strip_prefix(&PREFIX)?));
        let Some((iterator, made)) = plain.and_then(|plain| read(&plain)) else {
            return Err(Exception::invalid("Invalid ShardIterator."));
        };
        let now = app.clock.now();
        if now.since(made) > LIFE {
            let text = format!(
                "Iterator expired. The iterator was created at time {} while right now it is {} which is further \
                 in the future than the tolerated delay of {} milliseconds.",
                date(made),
                date(now),
                LIFE.as_millis()
            );
            return Err(Exception::new(Code::ExpiredIterator, text));
        }
        Ok(iterator)
    }
}

fn read(plain: &[u8]) -> Option<(ShardIterator, Timestamp)> {
    let (stream, rest) = plain.split_first_chunk()?;
    let (shard, rest) = rest.split_first_chunk()?;
    let (position, rest) = rest.split_first_chunk()?;
    let (made, _) = rest.split_first_chunk()?;
    let iterator = ShardIterator {
        stream: StreamId(u64::from_be_bytes(*stream)),
        shard: u32::from_be_bytes(*shard),
        position: u64::from_be_bytes(*position),
    };
    Some((iterator, Timestamp::from_millis(i64::from_be_bytes(*made))))
}

/// `Thu Jan 01 12:00:00 UTC 2026`
fn date(at: Timestamp) -> String {
    let form = format_description!(
        "[weekday repr:short] [month repr:short] [day] [hour]:[minute]:[second] UTC [year]"
    );
    at.to_utc().format(&form).expect("a timestamp holds every field of the format")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_aws_does() {
        assert_eq!(date(Timestamp::from_millis(1_767_268_800_000)), "Thu Jan 01 12:00:00 UTC 2026");
    }
}
