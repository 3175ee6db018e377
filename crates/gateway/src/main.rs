//! The command line `countersign`.

use std::process::ExitCode;

/// A request makes and drops some sixty small things on the thread that it stays on, which is what this allocator is for. Without
/// huge pages, of which what is held for long would keep many half empty.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    countersign::cli::main()
}
