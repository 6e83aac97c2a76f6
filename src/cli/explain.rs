//! `pydock explain`.

use pydock::{PlanSource, RootfsPath, SlimOptions};

use super::args::ExplainArgs;
use super::failure::Failure;
use super::settings::Settings;
use super::terminal::Terminal;
use super::{DONE, access, run};

/// Explains why paths are kept or removed.
pub(crate) fn run(args: &ExplainArgs, terminal: &Terminal) -> Result<u8, Failure> {
    let settings = Settings::load(args.choice.config.as_deref())?;
    let parse = |path: &String| RootfsPath::parse(path.as_bytes()).map_err(|error| Failure::usage(error.to_string()));
    let paths = args.paths.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    let mut options = SlimOptions::new(run::reference(&args.source)?);
    options.platform = args.platform.clone();
    options.plan = PlanSource::Rules(settings.choice(&args.choice)?);
    options.cache = args.cache.location();
    let access = access::access(&args.registry, [Some(&options.source), None])?;
    run::limit_threads(options.threads);
    let explained =
        run::until_done(async { Ok(pydock::explain(&options, &paths, &access, terminal.progress()).await?) })?;
    for (platform, explanations) in &explained {
        if explained.len() > 1 {
            terminal.result(&format!("{platform}\n"))?;
        }
        for explanation in explanations {
            terminal.result(&explanation.to_string())?;
        }
    }
    Ok(DONE)
}
