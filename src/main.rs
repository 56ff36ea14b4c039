//! The `tidewater` command.

mod cli;

use std::process::ExitCode;

// Requests are many small, short-lived allocations on several threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
