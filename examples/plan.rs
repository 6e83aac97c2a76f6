//! Plans at level `max` what would be removed, and saves the plan for review:
//! `cargo run --example plan -- SOURCE > plan.json`. `pydock apply --plan plan.json SOURCE DESTINATION` applies it.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the example prints its result")]

use std::sync::Arc;

use pydock::progress::Silent;
use pydock::{Access, Level, PlanSource, RuleChoice, SlimOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let source = std::env::args().nth(1).ok_or("usage: plan SOURCE")?;
    let mut options = SlimOptions::new(source.parse()?);
    let mut rules = RuleChoice::of_level(Level::Max);
    rules.keep.push("usr/share/doc/*/copyright".to_owned());
    options.plan = PlanSource::Rules(rules);
    let outcome = pydock::plan(&options, &Access::anonymous(std::env::temp_dir()), Arc::new(Silent)).await?;
    for image in &outcome.images {
        for saving in &image.savings {
            eprintln!("{}: {} saves about {} bytes", image.platform, saving.profile, saving.compressed);
        }
    }
    print!("{}", outcome.saved_plan().to_json());
    Ok(())
}
