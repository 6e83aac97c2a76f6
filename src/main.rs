//! The `pydock` program: start, and the exit code.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
