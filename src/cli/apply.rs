//! `pydock apply`.

use pydock::request::{Gates, PlanSource, Request};
use pydock::saved_plan::SavedPlan;

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
    let request = Request {
        source: run::reference(&args.source)?,
        destination: Some(run::reference(&args.destination)?),
        platform: output.platform.clone(),
        decision: PlanSource::Saved(saved),
        squash: output.squash.unwrap_or_default(),
        base: run::optional_reference(output.base.as_ref())?,
        compression: output.compression,
        compression_level: output.compression_level(output.compression, None)?,
        recompress: output.recompress,
        gates: Gates { max_size: output.max_size, min_saving: output.min_saving },
        threads: run::threads(output.threads),
        cache: output.cache.place(),
        tags: output.tag.clone(),
        again: true,
        created: run::source_date_epoch()?,
        attach: !output.no_attach,
        explain: Vec::new(),
    };
    run::run(&request, output, None, terminal)
}
