//! A slimmed image that is not written yet.

use std::collections::HashMap;

use super::layering::Layered;
use super::plan::Planned;
use super::select::Image;
use super::session::Session;
use crate::cache::CachedLayer;
use crate::digest::Digest;
use crate::explain::explain;
use crate::image::Marks;
use crate::image::rebuild::{LayerChange, Rebuilt};
use crate::layering::Squash;
use crate::options::SlimOptions;
use crate::outcome::{ImageOutcome, LayerOutcome, Note};
use crate::plan::Plan;
use crate::reference::Reference;
use crate::transport::SpooledBlob;

/// A slimmed image.
pub(super) struct SlimmedImage {
    /// What was done.
    pub(super) outcome: ImageOutcome,
    /// The new image; `None` in a dry run.
    pub(super) new: Option<NewImage>,
    /// What the user should know.
    pub(super) notes: Vec<Note>,
}

/// A new image that is not written yet.
pub(super) struct NewImage {
    /// Its manifest and config.
    pub(super) documents: Rebuilt,
    /// Its new blobs, by digest.
    pub(super) blobs: HashMap<Digest, NewBlob>,
}

/// The blob of a new layer.
#[derive(Debug)]
pub(super) enum NewBlob {
    /// This run wrote it.
    Spooled(SpooledBlob),
    /// An earlier run wrote it.
    Cached(CachedLayer),
}

impl SlimmedImage {
    /// Describes what was done with an image. `new` has the new image and the change of each old layer.
    pub(super) fn new(
        session: &Session<'_>,
        image: &Image,
        layered: Layered,
        new: Option<(NewImage, Vec<LayerChange>)>,
    ) -> Self {
        let Layered { planned, savings, .. } = layered;
        let Planned { rootfs, plan, inventory, base, .. } = planned;
        let (new, changes) = new.unzip();
        let history = image.config.history();
        let created_by = |line: usize| history[line].get("created_by")?.as_str().map(str::to_owned);
        let layers = image.stack.layers.iter().enumerate().map(|(index, layer)| LayerOutcome {
            source: layer.descriptor.clone(),
            uncompressed: rootfs.layers()[index].size,
            created_by: layer.history.and_then(created_by),
            change: changes.as_ref().map(|changes| changes[index].clone()),
        });
        let mut notes = Vec::new();
        if let (Squash::App, Some(base)) = (session.options.squash, &base) {
            notes.push(Note::Base {
                platform: image.platform(),
                base: base.layers,
                layers: image.stack.layers.len(),
                found_by: base.found_by.clone(),
            });
        }
        if new.is_some() && !image.stack.history_fits && !history.is_empty() {
            notes.push(Note::History { platform: image.platform() });
        }
        let outcome = ImageOutcome {
            platform: image.platform(),
            source: Digest::of(&image.manifest.bytes),
            new: new.as_ref().map(|new: &NewImage| new.documents.descriptor.clone()),
            layers: layers.collect(),
            savings,
            explanations: session.options.explain.iter().map(|path| explain(&plan, &rootfs, path)).collect(),
            inventory,
            plan,
        };
        Self { outcome, new, notes }
    }
}

/// Returns the annotations of new documents. They depend on the plans alone, so that applying a saved plan gives the
/// same image.
pub(super) fn marks<'p>(options: &SlimOptions, plans: impl IntoIterator<Item = &'p Plan>) -> Marks {
    let profiles = plans.into_iter().flat_map(Plan::profiles).map(str::to_owned).collect();
    let source_name = match &options.source {
        Reference::Registry(name) => Some(name.to_string()),
        _ => None,
    };
    let created = options.created.map(|time| humantime::format_rfc3339_seconds(time).to_string());
    Marks { source_name, profiles, created }
}
