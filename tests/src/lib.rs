//! Whole-system tests and layout checks. The tests themselves stand in `tests/` (Rust) and `e2e/`
//! (Python, with the clients that users have).
