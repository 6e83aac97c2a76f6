//! Printing. No other file prints.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use pydock::progress::{Meter, Progress, Silent, Stage};
use pydock::report::printable;
use pydock::report::size::human;

use super::failure::Failure;

/// Standard output and standard error, and how much is printed.
#[derive(Debug)]
pub(crate) struct Terminal {
    quiet: bool,
    /// Whether to draw progress bars: on a terminal, unless log lines would break them.
    bars: bool,
}

impl Terminal {
    /// Sets up logging.
    pub(crate) fn new(quiet: bool, verbose: u8) -> Self {
        let level = match verbose {
            0 => tracing::Level::WARN,
            1 => tracing::Level::INFO,
            _ => tracing::Level::DEBUG,
        };
        tracing_subscriber::fmt().with_max_level(level).with_writer(|| Stderr).without_time().init();
        Self { quiet, bars: io::stderr().is_terminal() && verbose == 0 }
    }

    /// Prints a result on standard output. A closed pipe is not a failure: `pydock profiles | head`.
    pub(crate) fn result(&self, text: &str) -> Result<(), Failure> {
        let mut output = io::stdout().lock();
        match output.write_all(printable(text).as_bytes()).and_then(|()| output.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::file("write", Path::new("standard output"), error))
            }
            _ => Ok(()),
        }
    }

    /// Prints a message on standard error, unless `--quiet` is given.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            print_error(&printable(text));
        }
    }

    /// Prints an error.
    pub(crate) fn failure(&self, failure: &Failure) {
        let mut text = format!("error: {}\n", failure.message);
        text.extend(failure.causes.iter().map(|cause| format!("  caused by: {cause}\n")));
        text.extend(failure.hint.iter().map(|hint| format!("hint: {hint}\n")));
        print_error(&printable(&text));
    }

    /// Returns the progress of a run: bars on a terminal, lines otherwise, nothing with `--quiet`.
    pub(crate) fn progress(&self) -> Arc<dyn Progress> {
        if self.quiet {
            Arc::new(Silent)
        } else if self.bars {
            let target = ProgressDrawTarget::stderr();
            Arc::new(Bars(MultiProgress::with_draw_target(target)))
        } else {
            Arc::new(Lines)
        }
    }
}

/// Prints on standard error, and ignores errors: `eprint!` would panic if it is closed.
fn print_error(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Standard error for log lines.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        print_error(&printable(&String::from_utf8_lossy(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn word(stage: Stage) -> &'static str {
    match stage {
        Stage::Scan => "scan",
        Stage::Rewrite => "rewrite",
        Stage::Push => "push",
    }
}

/// A bar for each piece of work.
struct Bars(MultiProgress);

impl Progress for Bars {
    fn begin(&self, stage: Stage, what: &str, total: u64) -> Box<dyn Meter> {
        let bar = self.0.add(ProgressBar::new(total));
        let style = ProgressStyle::with_template("{prefix:>8} {msg:<14} [{bar:30}] {bytes}/{total_bytes}");
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(word(stage));
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        Box::new(Bar(bar))
    }
}

struct Bar(ProgressBar);

impl Meter for Bar {
    fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A line for each piece of work.
struct Lines;

impl Progress for Lines {
    fn begin(&self, stage: Stage, what: &str, total: u64) -> Box<dyn Meter> {
        print_error(&format!("{} {what} ({})\n", word(stage), human(total)));
        Box::new(Silent)
    }
}
