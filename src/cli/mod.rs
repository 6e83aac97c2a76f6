//! The command line: resolve what was typed, call the library, render. One file for each verb.

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

/// Done.
pub(crate) const DONE: u8 = 0;
/// Failed, or bad input.
pub(crate) const FAILED: u8 = 1;
/// Wrong usage.
pub(crate) const USAGE: u8 = 2;
/// Done, but a gate was not met; nothing was written.
pub(crate) const GATE: u8 = 3;
/// Ended by a signal: its number is added, as shells have it (130 is Ctrl-C, 143 SIGTERM).
pub(crate) const SIGNALLED: u8 = 128;

/// Runs the program with the process's arguments.
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
