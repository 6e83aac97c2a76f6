//! The command line: parses arguments, calls the library, prints results. One file for each command.

mod access;
mod apply;
mod args;
mod explain;
mod failure;
mod files;
mod generate;
mod profiles;
mod run;
mod settings;
mod slim;
mod terminal;
mod undo;
mod words;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use args::{Args, Verb};
use terminal::Terminal;

/// Success.
pub(crate) const DONE: u8 = 0;
/// Failure, or bad input.
pub(crate) const FAILED: u8 = 1;
/// Wrong usage.
pub(crate) const USAGE: u8 = 2;
/// A gate was not met; nothing was written.
pub(crate) const GATE: u8 = 3;
/// A signal ended the program. Its number is added, as in shells (130 is Ctrl-C, 143 is SIGTERM).
pub(crate) const SIGNALLED: u8 = 128;

/// Runs the program with the arguments of the process.
pub(crate) fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return ExitCode::from(if asked { DONE } else { USAGE });
        }
    };
    let terminal = Terminal::new(args.quiet, args.verbose);
    let result = match args.verb {
        Verb::Slim(options) => slim::run(&options, &terminal),
        Verb::Apply(options) => apply::run(&options, &terminal),
        Verb::Undo(options) => undo::run(&options, &terminal),
        Verb::Explain(options) => explain::run(&options, &terminal),
        Verb::Profiles(options) => profiles::run(&options, &terminal),
        Verb::Completions { shell } => generate::completions(shell, &terminal),
        Verb::Man => generate::man(&terminal),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            terminal.failure(&failure);
            ExitCode::from(failure.code)
        }
    }
}
