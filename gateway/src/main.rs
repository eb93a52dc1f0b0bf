//! The `millrace` binary.

use std::process::ExitCode;

/// Small values come and go with every frame and request, many on other threads than they were made on: with the
/// system's allocator that is a fifth of what a rebuild of the index costs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    gateway::cli::run(std::env::args_os())
}
