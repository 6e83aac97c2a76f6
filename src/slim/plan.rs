//! Decides what is removed, by rules or by a saved plan.

use std::sync::Arc;

use super::SlimError;
use super::base::Base;
use super::merge::Merged;
use super::select::Image;
use super::session::Session;
use super::threads::blocking;
use crate::digest::Digest;
use crate::inventory::Inventory;
use crate::layer::codec::SeekMap;
use crate::options::{PlanSource, RuleChoice};
use crate::plan::{self, Plan, RuleMatches};
use crate::profile::{RuleBook, Rules};
use crate::rootfs::Rootfs;

/// What is removed from an image.
pub(super) struct Planned {
    /// What a container sees.
    pub(super) rootfs: Rootfs,
    /// What is removed, kept and edited.
    pub(super) plan: Plan,
    /// What is installed afterwards, if an SBOM is to be attached.
    pub(super) inventory: Option<Inventory>,
    /// The base image, if it was found.
    pub(super) base: Option<Base>,
    /// Restart points of each layer.
    pub(super) maps: Vec<Option<Arc<SeekMap>>>,
}

/// How the plan is made.
pub(super) enum Planner {
    /// By rules, compiled for the image.
    Rules(Box<RuleMatches>),
    /// It is saved.
    Saved(Box<Plan>),
}

impl Planner {
    /// Compiles the rules for an image, or finds its saved plan.
    ///
    /// # Errors
    /// If a glob is malformed, or no saved plan is for the image.
    pub(super) fn new(session: &Session<'_>, image: &Image) -> Result<Self, SlimError> {
        match &session.options.plan {
            PlanSource::Rules(choice) => Ok(Self::Rules(compile(choice, image)?.into())),
            PlanSource::Saved(plans) => match plans.of(Digest::of(&image.manifest.bytes)) {
                Ok(plan) => Ok(Self::Saved(plan.clone().into())),
                Err(source) => Err(SlimError::Plan { image: session.source.name.clone(), source }),
            },
        }
    }
}

/// Plans what is removed from an image.
///
/// # Errors
/// If the run was stopped.
pub(super) async fn plan(
    session: &Session<'_>,
    image: &Image,
    merged: Merged,
    base: Option<Base>,
    planner: Planner,
) -> Result<Planned, SlimError> {
    let (attaches, config) = (session.attaches(), image.config.clone());
    blocking(move || {
        let Merged { rootfs, evidence, maps } = merged;
        let inventory = attaches.then(|| Inventory::new(&rootfs, &evidence));
        let plan = match planner {
            Planner::Rules(matches) => {
                let base = base.as_ref().map(|base| base.layers);
                plan::plan(&rootfs, &config, base, *matches, evidence)
            }
            Planner::Saved(plan) => *plan,
        };
        let inventory = inventory.map(|inventory| inventory.without(&plan));
        Planned { rootfs, plan, inventory, base, maps }
    })
    .await
}

/// Compiles rules for an image.
fn compile(choice: &RuleChoice, image: &Image) -> Result<RuleMatches, SlimError> {
    let env = |name: &str| image.config.env_value(name).map(str::to_owned);
    let mut rules = vec![Rules::new("--remove", choice.remove.clone(), &[])?];
    for profile in &choice.profiles {
        rules.push(Rules::of_profile(profile, &env)?);
    }
    let keep = Rules::new("--keep", choice.keep.clone(), &[])?;
    Ok(RuleMatches::new(RuleBook::new(rules)?, RuleBook::new(vec![keep])?))
}
