//! Names, times, metadata and queries: what clients write.

use base::{Arn, FragmentMeta, FragmentNumber, StreamName, Timestamp};
use catalog::StreamGlob;
use data_streams::SequenceNumber;
use indexer::SearchQuery;

use crate::memory;

/// Everything that is read from a short text. What is read is written so that it reads the same.
pub(crate) fn names(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    memory::in_proportion(input.len(), || {
        if let Ok(time) = Timestamp::parse(text) {
            assert!((Timestamp::MIN..=Timestamp::MAX).contains(&time));
            assert_eq!(Timestamp::parse(&time.to_string()), Ok(time));
            assert_eq!(Timestamp::from_secs_f64(time.secs_f64()), time);
        }
        if let Ok(number) = FragmentNumber::parse(text) {
            assert_eq!(number.to_string(), text);
        }
        if let Ok(number) = text.parse::<SequenceNumber>() {
            assert_eq!(number.to_string(), text.trim_start_matches('0'));
        }
        if let Ok(arn) = text.parse::<Arn>() {
            assert_eq!(arn.to_string(), text);
        }
        if let Ok(name) = StreamName::new(text) {
            assert_eq!(name.as_str(), text);
            assert!(StreamGlob::new(text).unwrap().matches(&name));
        }
        if let Some((pattern, name)) = text.split_once(' ')
            && let (Ok(pattern), Ok(name)) = (StreamGlob::new(pattern), StreamName::new(name))
        {
            assert_eq!(
                pattern.matches(&name),
                matches(pattern.as_str().as_bytes(), name.as_str().as_bytes())
            );
        }
    });
}

/// The definition of a pattern, by dynamic programming over all pairs of prefixes.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let mut reached = vec![false; name.len() + 1];
    reached[0] = true;
    for wanted in pattern {
        let mut next = vec![false; name.len() + 1];
        for at in 0..=name.len() {
            next[at] = match wanted {
                b'*' => reached[..=at].contains(&true),
                b'?' => at > 0 && reached[at - 1],
                letter => at > 0 && reached[at - 1] && name[at - 1] == *letter,
            };
        }
        reached = next;
    }
    reached[name.len()]
}

/// The sealed metadata of a fragment, packed or as JSON, which is what `fragments.{name}` hands out.
pub(crate) fn fragment_meta(input: &[u8]) {
    let read = memory::in_proportion(input.len(), || FragmentMeta::unpack(input));
    let Ok(meta) = read else { return };
    assert_eq!(FragmentMeta::unpack(&meta.pack()).as_ref(), Ok(&meta));
    assert_eq!(FragmentMeta::unpack(&serde_json::to_vec(&meta).unwrap()).as_ref(), Ok(&meta));
    assert!(meta.producer_end() >= meta.producer_timestamp);
    assert!(meta.video().is_none_or(|track| track.width > 0));
}

/// A search expression. Space before it means nothing (behind it, it may be escaped).
pub(crate) fn search_query(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let read = memory::in_proportion(4 * input.len(), || SearchQuery::check(text));
    if text.len() < 4096 {
        assert_eq!(SearchQuery::check(&format!(" {text}")).is_ok(), read.is_ok());
    }
}
