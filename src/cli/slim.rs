//! `pydock slim`.

use pydock::image::PlatformChoice;
use pydock::reference::Reference;
use pydock::request::{Gates, PlanSource, Request};

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
    let source = run::reference(&args.source)?;
    if args.in_place && source == Reference::Stdio {
        return Err(Failure::usage("an image on standard input has no place; name a destination".to_owned()));
    }
    let destination = match args.in_place {
        true => Some(source.clone()),
        false => run::optional_reference(args.destination.as_ref())?,
    };
    let request = Request {
        source,
        destination: destination.filter(|_| !args.dry_run),
        platform,
        decision: PlanSource::Rules(settings.choice(&args.choice)?),
        squash: output.squash.or(settings.squash).unwrap_or_default(),
        base: run::optional_reference(output.base.as_ref())?,
        compression: output.compression.or(settings.compression),
        compression_level: output
            .compression_level(output.compression.or(settings.compression), settings.compression_level)?,
        recompress: settings.recompress(&args.choice, output),
        gates: Gates { max_size: output.max_size, min_saving: output.min_saving },
        threads: run::threads(output.threads),
        cache: output.cache.place(),
        tags: output.tag.clone(),
        again: args.again,
        created: run::source_date_epoch()?,
        attach: !output.no_attach,
        explain: Vec::new(),
    };
    run::run(&request, output, args.plan.as_deref(), terminal)
}
