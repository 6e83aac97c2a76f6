//! What `slim` and `apply` share: run the job, write plan and report, print.

use std::path::Path;
use std::time::{Duration, SystemTime};

use pydock::outcome::Outcome;
use pydock::reference::Reference;
use pydock::report::{Report, plan_text, table};
use pydock::request::Request;
use pydock::slim;
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
    if let (Some(path), Some(root)) = (&output.digest_file, outcome.root.as_ref().filter(|_| report.written)) {
        write(path, &root.digest.to_string())?;
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

/// Returns when images are to be said to have been made. Source: reproducible-builds.org, "SOURCE_DATE_EPOCH".
#[expect(clippy::disallowed_methods, reason = "the command line is where the environment is read")]
pub(crate) fn source_date_epoch() -> Result<Option<SystemTime>, Failure> {
    let Ok(text) = std::env::var("SOURCE_DATE_EPOCH") else { return Ok(None) };
    let time = text.parse().ok().and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
    // The largest year that RFC 3339 can tell.
    let latest = SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    match time.filter(|time| *time <= latest) {
        Some(time) => Ok(Some(time)),
        None => Err(Failure::usage(format!("SOURCE_DATE_EPOCH is `{text}`, which is no number of seconds since 1970"))),
    }
}

/// Returns how many layers are worked on at once.
pub(crate) fn threads(asked: Option<usize>) -> usize {
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    asked.unwrap_or_else(processors)
}

/// Runs a job.
pub(crate) fn run_job(request: &Request, access: &Access, terminal: &Terminal) -> Result<Outcome, Failure> {
    until_done(async { Ok(slim::slim(request, access, terminal.progress()).await?) })
}

/// Runs what takes a while; Ctrl-C ends it.
pub(crate) fn until_done<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        // Trees of sources may be deep. Only what is touched takes memory.
        .thread_stack_size(256 << 20)
        .enable_all()
        .build()
        .map_err(|error| Failure::file("start threads for", Path::new("pydock"), error))?;
    let result = runtime.block_on(async {
        tokio::select! {
            outcome = work => outcome,
            _ = tokio::signal::ctrl_c() => Err(Failure::interrupted()),
        }
    });
    // Threads that wait for a silent registry must not hold the program up.
    runtime.shutdown_timeout(Duration::from_secs(2));
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
