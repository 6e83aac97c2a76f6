//! `pydock explain`.

use pydock::request::{Gates, PlanSource, Request};
use pydock::rootfs_path::RootfsPath;

use super::args::ExplainArgs;
use super::failure::Failure;
use super::settings::Settings;
use super::terminal::Terminal;
use super::{DONE, access, run};

/// Explains what becomes of paths.
pub(crate) fn run(args: &ExplainArgs, terminal: &Terminal) -> Result<u8, Failure> {
    let settings = Settings::load(args.choice.config.as_deref())?;
    let parse = |path: &String| RootfsPath::parse(path.as_bytes()).map_err(|error| Failure::usage(error.to_string()));
    let request = Request {
        source: run::reference(&args.source)?,
        destination: None,
        platform: args.platform.clone(),
        decision: PlanSource::Rules(settings.choice(&args.choice)?),
        squash: pydock::layering::Squash::None,
        base: None,
        compression: None,
        compression_level: None,
        recompress: false,
        gates: Gates::default(),
        threads: run::threads(None),
        cache: args.cache.place(),
        tags: Vec::new(),
        again: true,
        created: None,
        attach: false,
        explain: args.paths.iter().map(parse).collect::<Result<_, _>>()?,
    };
    let outcome =
        run::run_job(&request, &access::access(&args.registry, [Some(&request.source), None])?, &|_| Ok(()), terminal)?;
    for image in &outcome.images {
        if outcome.images.len() > 1 {
            terminal.result(&format!("{}\n", image.platform))?;
        }
        for explanation in &image.explanations {
            terminal.result(&explanation.to_string())?;
        }
    }
    Ok(DONE)
}
