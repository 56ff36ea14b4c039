//! The `tidewater` command.

mod cli;

use std::process::ExitCode;

// Requests are many small, short-lived allocations on several threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    use_no_huge_pages();
    cli::main()
}

/// Stops the system from giving this process huge pages, with which an idle server would take 10 MB more. The allocator's
/// feature `no_thp` only stops it from asking for them, which has an effect before this function runs.
fn use_no_huge_pages() {
    // An older kernel only gives more memory.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}
