//! What `slim` and `apply` share: run the job, write plan and report, print.

use std::path::Path;

use pydock::reference::Reference;
use pydock::report::{Report, plan_text, table};
use pydock::slim::{self, Outcome, Request};
use pydock::transport::Access;

use super::access;
use super::args::{Format, OutputArgs};
use super::failure::{self, Failure};
use super::terminal::Terminal;

/// Runs a job and tells what it did.
pub(crate) fn run(
    request: &Request,
    output: &OutputArgs,
    save_plan: Option<&Path>,
    terminal: &Terminal,
) -> Result<u8, Failure> {
    let outcome = run_job(
        request,
        &access::access(&output.registry, [Some(&request.source), request.destination.as_ref()])?,
        terminal,
    )?;
    if let Some(path) = save_plan {
        write(path, &outcome.saved_plan().to_json())?;
    }
    let report = Report::new(request, &outcome);
    if let Some(path) = &output.report {
        write(path, &report.to_json())?;
    }
    print(request, output.format, &outcome, &report, terminal);
    Ok(failure::code(&report))
}

/// Parses a reference; one that does not parse is bad input, not wrong usage.
pub(crate) fn reference(text: &str) -> Result<Reference, Failure> {
    Ok(text.parse::<Reference>()?)
}

/// Parses a reference that need not be there.
pub(crate) fn optional_reference(text: Option<&String>) -> Result<Option<Reference>, Failure> {
    text.map(|text| reference(text)).transpose()
}

/// Returns how many layers are worked on at once.
pub(crate) fn threads(asked: Option<usize>) -> usize {
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    asked.unwrap_or_else(processors)
}

/// Runs a job; Ctrl-C ends it.
pub(crate) fn run_job(request: &Request, access: &Access, terminal: &Terminal) -> Result<Outcome, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        // Trees of sources may be deep. Only what is touched takes memory.
        .thread_stack_size(256 << 20)
        .enable_all()
        .build()
        .map_err(|error| Failure::file("start threads for", Path::new("pydock"), error))?;
    let result = runtime.block_on(async {
        tokio::select! {
            outcome = slim::slim(request, access, terminal.progress()) => outcome.map_err(Failure::from),
            _ = tokio::signal::ctrl_c() => Err(Failure::interrupted()),
        }
    });
    // Threads that wait for a silent registry must not hold the program up.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    result
}

fn print(request: &Request, format: Format, outcome: &Outcome, report: &Report, terminal: &Terminal) {
    let dry_run = request.destination.is_none();
    // An archive on standard output leaves no room for anything else there.
    let on_stdout = request.destination != Some(Reference::Stdio);
    let text = match format {
        Format::Json => report.to_json(),
        Format::Digest => {
            let digest = outcome.root.as_ref().filter(|_| report.written).map(|root| root.digest);
            digest.map_or_else(String::new, |digest| format!("{digest}\n"))
        }
        Format::Table if dry_run => plan_text::render(outcome) + &table::render(report),
        Format::Table => table::render(report),
    };
    if on_stdout {
        terminal.result(&text);
    } else {
        terminal.note(&text);
    }
    if format == Format::Digest {
        for unmet in &report.unmet_gates {
            terminal.note(&format!("gate not met, nothing written: {unmet}\n"));
        }
    }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|error| Failure::file("write", path, error))
}
