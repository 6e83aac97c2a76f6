//! The part that `slim` and `apply` share: runs the slim, writes plan and report, prints.

use std::path::Path;
use std::time::{Duration, SystemTime};

use pydock::report::{plan_text, table};
use pydock::{Outcome, Reference, Report, SlimOptions};
use tokio::signal::unix::{SignalKind, signal};

use super::access;
use super::args::{Format, OutputArgs};
use super::failure::{self, Failure};
use super::files::PendingFile;
use super::terminal::Terminal;
use super::words;

/// Slims an image, writes plan, report and digest file, and prints the report.
pub(crate) fn run(
    options: &SlimOptions,
    output: &OutputArgs,
    save_plan: Option<&Path>,
    terminal: &Terminal,
) -> Result<u8, Failure> {
    let access = access::access(&output.registry, [Some(&options.source), options.destination.as_ref()])?;
    let pending = |path: Option<&Path>| path.map(PendingFile::new).transpose();
    let plan = pending(save_plan)?;
    let report_file = pending(output.report.as_deref())?;
    let digest_file = pending(output.digest_file.as_deref())?;
    let new_root = |outcome: &Outcome| outcome.root.clone().filter(|_| words::report(options, outcome).written);
    let review = |outcome: &Outcome| {
        plan.iter().try_for_each(|file| file.write(&outcome.saved_plan().to_json()))?;
        report_file.iter().try_for_each(|file| file.write(&words::report(options, outcome).to_json()))?;
        let digest = new_root(outcome).map_or_else(String::new, |root| root.digest.to_string());
        digest_file.iter().try_for_each(|file| file.write(&digest))?;
        Ok(())
    };
    limit_threads(options.threads);
    let outcome = until_done(async { Ok(pydock::slim(options, &access, terminal.progress(), &review).await?) })?;
    plan.map_or(Ok(()), |file| file.finish(true))?;
    report_file.map_or(Ok(()), |file| file.finish(true))?;
    digest_file.map_or(Ok(()), |file| file.finish(new_root(&outcome).is_some()))?;
    let report = words::report(options, &outcome);
    print(options, output.format, &outcome, &report, terminal)?;
    Ok(failure::code(&report))
}

/// Parses a reference. A malformed one is bad input, not wrong usage.
pub(crate) fn reference(text: &str) -> Result<Reference, Failure> {
    Ok(text.parse::<Reference>()?)
}

/// Parses an optional reference.
pub(crate) fn optional_reference(text: Option<&String>) -> Result<Option<Reference>, Failure> {
    text.map(|text| reference(text)).transpose()
}

/// Returns the creation time for new images. Source: reproducible-builds.org, "SOURCE_DATE_EPOCH".
#[expect(clippy::disallowed_methods, reason = "the command line is where the environment is read")]
pub(crate) fn source_date_epoch() -> Result<Option<SystemTime>, Failure> {
    let Ok(text) = std::env::var("SOURCE_DATE_EPOCH") else { return Ok(None) };
    let time = text.parse().ok().and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
    // The last second of the largest year of RFC 3339.
    let latest = SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    match time.filter(|time| *time <= latest) {
        Some(time) => Ok(Some(time)),
        None => {
            Err(Failure::usage(format!("SOURCE_DATE_EPOCH is `{text}`, which is not a number of seconds since 1970")))
        }
    }
}

/// Limits the threads of planning. A pool that a library user built before is left alone.
pub(crate) fn limit_threads(threads: usize) {
    let _ = rayon::ThreadPoolBuilder::new().num_threads(threads.max(1)).build_global();
}

/// Runs work until it ends, or until Ctrl-C, SIGTERM or SIGHUP interrupts it.
pub(crate) fn until_done<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        // Syntax trees may be deep. Untouched pages of a stack take no memory.
        .thread_stack_size(256 << 20)
        .enable_all()
        .build()
        .map_err(|error| Failure::file("start threads for", Path::new("pydock"), error))?;
    let result = runtime.block_on(async {
        tokio::select! {
            outcome = work => outcome,
            signal = signalled() => Err(Failure::interrupted(signal)),
        }
    });
    // Threads that wait for a silent registry must not delay the exit.
    runtime.shutdown_timeout(Duration::from_secs(2));
    result
}

/// Waits for a signal that ends the program, and returns its number.
async fn signalled() -> u8 {
    let wait = async |kind: SignalKind| {
        if let Ok(mut signals) = signal(kind)
            && signals.recv().await.is_some()
        {
            return;
        }
        // A signal that cannot be caught ends the program by itself.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = wait(SignalKind::interrupt()) => 2,
        () = wait(SignalKind::terminate()) => 15,
        () = wait(SignalKind::hangup()) => 1,
    }
}

fn print(
    options: &SlimOptions,
    format: Format,
    outcome: &Outcome,
    report: &Report,
    terminal: &Terminal,
) -> Result<(), Failure> {
    let dry_run = options.destination.is_none();
    // If standard output is an archive, nothing else is printed there.
    let on_stdout = options.destination != Some(Reference::Stdio);
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
        terminal.result(&text)?;
    } else {
        terminal.note(&text);
    }
    if format == Format::Digest {
        for unmet in &report.unmet_gates {
            terminal.note(&format!("gate not met, nothing written: {unmet}\n"));
        }
    }
    Ok(())
}
