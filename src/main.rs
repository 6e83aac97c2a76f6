//! The `pydock` program: startup and the exit code.

mod cli;

/// Parsing sources allocates many small values. This allocator takes half the time of the system's.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    cli::main()
}
