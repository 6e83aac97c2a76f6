//! `pydock apply`.

use pydock::{PlanSource, SavedPlan, SlimOptions};

use super::args::ApplyArgs;
use super::failure::Failure;
use super::run;
use super::terminal::Terminal;

/// Applies a saved plan.
pub(crate) fn run(args: &ApplyArgs, terminal: &Terminal) -> Result<u8, Failure> {
    let text = std::fs::read(&args.plan).map_err(|error| Failure::file("read", &args.plan, error))?;
    let saved = SavedPlan::parse(&text).map_err(|error| {
        let mut failure = Failure::from(error);
        failure.message = format!("cannot read the plan `{}`: {}", args.plan.display(), failure.message);
        failure
    })?;
    let output = &args.output;
    let mut options = SlimOptions::new(run::reference(&args.source)?);
    options.destination = Some(run::reference(&args.destination)?);
    options.platform = output.platform.clone();
    options.plan = PlanSource::Saved(saved);
    options.again = true;
    output.apply(&mut options)?;
    run::run(&options, output, None, terminal)
}
