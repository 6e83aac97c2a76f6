//! `pydock completions` and `pydock man`: generated from the definition of the command line.

use clap::CommandFactory;

use super::DONE;
use super::args::Args;
use super::failure::Failure;
use super::terminal::Terminal;

/// Prints a completion script.
pub(crate) fn completions(shell: clap_complete::Shell, terminal: &Terminal) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "pydock", &mut script);
    terminal.result(&String::from_utf8_lossy(&script))?;
    Ok(DONE)
}

/// Prints the manual page.
pub(crate) fn man(terminal: &Terminal) -> Result<u8, Failure> {
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(Args::command()).render(&mut page);
    rendered.map_err(|error| Failure::file("make", std::path::Path::new("pydock.1"), error))?;
    terminal.result(&String::from_utf8_lossy(&page))?;
    Ok(DONE)
}
