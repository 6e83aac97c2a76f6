//! `pydock slim`.

use pydock::{PlanSource, PlatformChoice, Reference, SlimOptions};

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
        return Err(Failure::usage("an image on standard input cannot be replaced; name a destination".to_owned()));
    }
    let destination = match args.in_place {
        true => Some(source.clone()),
        false => run::optional_reference(args.destination.as_ref())?,
    };
    let mut options = SlimOptions::new(source);
    options.destination = destination.filter(|_| !args.dry_run);
    options.platform = platform;
    options.plan = PlanSource::Rules(settings.choice(&args.choice)?);
    options.again = args.again;
    output.apply(&mut options)?;
    options.squash = output.squash.or(settings.squash).unwrap_or_default();
    options.compression = output.compression.or(settings.compression);
    options.compression_level = output.compression_level(options.compression, settings.compression_level)?;
    options.recompress = settings.recompress(&args.choice, output);
    run::run(&options, output, args.plan.as_deref(), terminal)
}
