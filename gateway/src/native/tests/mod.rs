//! The native API as its clients see it.

mod answers;
mod data_streams;
mod discover;
mod edge;
mod encryption;
mod events;
pub(crate) mod policy;
mod sign_in;
mod source;
mod space;
mod times;
mod watching;
mod whip;
pub(crate) mod world;
