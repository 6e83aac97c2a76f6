//! `pydock slim`.

use pydock::image::PlatformChoice;
use pydock::slim::{Decision, Gates, Request};

use super::args::SlimArgs;
use super::failure::Failure;
use super::run;
use super::settings::Settings;
use super::terminal::Terminal;

/// Slims an image.
pub(crate) fn run(args: &SlimArgs, terminal: &Terminal) -> Result<u8, Failure> {
    let settings = Settings::load(args.choice.config.as_deref())?;
    let output = &args.output;
    let platform = match (&output.platform, settings.platform()?) {
        (PlatformChoice::All, Some(platform)) => platform,
        (typed, _) => typed.clone(),
    };
    let request = Request {
        source: run::reference(&args.source)?,
        destination: run::optional_reference(args.destination.as_ref())?.filter(|_| !args.dry_run),
        platform,
        decision: Decision::Rules(settings.choice(&args.choice)?),
        squash: output.squash.or(settings.squash).unwrap_or_default(),
        base: run::optional_reference(output.base.as_ref())?,
        compression: output.compression.or(settings.compression),
        compression_level: output
            .compression_level(output.compression.or(settings.compression), settings.compression_level)?,
        recompress: settings.recompress(&args.choice, output),
        gates: Gates { max_size: output.max_size, min_saving: output.min_saving },
        threads: run::threads(output.threads),
        cache: output.cache.place(),
        explain: Vec::new(),
    };
    run::run(&request, output, args.plan.as_deref(), terminal)
}
