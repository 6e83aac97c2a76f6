//! Turns the plan for an image into the changes of its layers.

use super::SlimError;
use super::plan::Planned;
use super::select::Image;
use super::session::Session;
use super::threads::blocking;
use crate::layering::{self, OutputLayer, groups};
use crate::savings::{Saving, savings};

/// What becomes of an image's layers.
pub(super) struct Layered {
    /// The plan.
    pub(super) planned: Planned,
    /// The changes, the lowest layer first.
    pub(super) outputs: Vec<OutputLayer>,
    /// What each profile saves.
    pub(super) savings: Vec<Saving>,
}

/// Distributes what is kept over new layers.
///
/// # Errors
/// If a saved plan names a path that the image does not have.
pub(super) async fn layering(session: &Session<'_>, image: &Image, planned: Planned) -> Result<Layered, SlimError> {
    let layers = &image.stack.layers;
    let base = planned.base.as_ref().map_or(0, |base| base.layers);
    let groups = groups(session.options.squash, layers.len(), base);
    let sizes = layers.iter().map(|layer| layer.descriptor.size).collect::<Vec<_>>();
    let layered = blocking(move || {
        let Planned { rootfs, plan, .. } = &planned;
        let (removed, edited) = (plan.removed_nodes(rootfs)?, plan.edited_nodes(rootfs)?);
        let layering = || layering::layering(rootfs, &removed, &edited, &groups);
        let (savings, outputs) = rayon::join(|| savings(rootfs, plan, &sizes), layering);
        Ok(Layered { planned, outputs, savings })
    });
    layered.await?.map_err(|source| SlimError::PlanPath { image: session.source.name.clone(), source })
}
