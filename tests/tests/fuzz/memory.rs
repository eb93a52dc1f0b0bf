//! How much memory a parser may take.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// What every parser may hold, however short its input.
const FIXED: usize = 64 * 1024;
/// What a parser may hold for every byte of its input.
const PER_BYTE: usize = 64;

/// Runs `work` on an input of `length` bytes; panics where it holds more memory at a time than is in
/// proportion to that.
pub(crate) fn in_proportion<T>(length: usize, work: impl FnOnce() -> T) -> T {
    at_most(FIXED + PER_BYTE * length, work)
}

/// Runs `work`; panics where it holds more than `limit` bytes at a time.
pub(crate) fn at_most<T>(limit: usize, work: impl FnOnce() -> T) -> T {
    let mut result = None;
    let taken = allocation_counter::measure(|| {
        // A panic must not leave the measurement open.
        result = Some(catch_unwind(AssertUnwindSafe(work)));
    });
    let result = result.unwrap().unwrap_or_else(|panic| resume_unwind(panic));
    assert!(taken.bytes_max <= limit as u64, "{} bytes held at a time, {limit} allowed", taken.bytes_max);
    result
}
