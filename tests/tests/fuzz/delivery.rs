//! Firehose: what HTTP endpoints answer, and the prefixes of objects.

use firehose::{Prefix, check_answer};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

use crate::memory;

/// An answer to the request `id-1`: what is taken has that id in it.
pub(crate) fn answer(input: &[u8]) {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let taken = memory::in_proportion(2 * input.len(), || check_answer("id-1", &headers, input).is_ok());
    if taken {
        // Members that are passed over may hold what is no text.
        let read = serde_json::from_slice::<serde_json::Value>(input);
        assert!(read.map_or(true, |read| read["requestId"] == "id-1"));
        assert!(check_answer("id-2", &headers, input).is_err());
    }
}

/// A prefix with expressions.
pub(crate) fn prefix(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    // A letter or a mark of a pattern becomes an item of its own.
    let read = memory::in_proportion(2 * input.len(), || Prefix::of_records(Some(text), Some("failed/")));
    assert!(read.is_err() || !text.contains("!{firehose:error-output-type}"));
}
