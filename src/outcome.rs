//! The outcome of a run.

use crate::digest::Digest;
use crate::explain::Explanation;
use crate::image::Descriptor;
use crate::image::rebuild::LayerChange;
use crate::inventory::Inventory;
use crate::plan::Plan;
use crate::saved_plan::{ImagePlan, SavedPlan, VERSION};
use crate::savings::Saving;

/// What a run did.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Digest of the old manifest or index.
    pub source: Digest,
    /// Descriptor of the new manifest or index; `None` after a dry run, or if a gate prevented a copy.
    pub root: Option<Descriptor>,
    /// The outcome for each image.
    pub images: Vec<ImageOutcome>,
    /// Further notes.
    pub notes: Vec<String>,
    /// The gates that were not met, as messages. If there are any, nothing was written.
    pub unmet: Vec<String>,
}

/// The outcome for one image.
#[derive(Debug, Clone)]
pub struct ImageOutcome {
    /// `os/arch[/variant]`.
    pub platform: String,
    /// Digest of the old manifest.
    pub source: Digest,
    /// Descriptor of the new manifest; `None` after a dry run.
    pub new: Option<Descriptor>,
    /// The outcome for each layer.
    pub layers: Vec<LayerOutcome>,
    /// What each profile saves.
    pub savings: Vec<Saving>,
    /// What is removed and what is kept.
    pub plan: Plan,
    /// What is installed in the new image, if an SBOM is to be attached.
    pub inventory: Option<Inventory>,
    /// Explanations of the paths that were asked for.
    pub explanations: Vec<Explanation>,
}

/// The outcome for one layer. Sizes are in bytes.
#[derive(Debug, Clone)]
pub struct LayerOutcome {
    /// The old blob.
    pub source: Descriptor,
    /// Uncompressed size of the old layer.
    pub bytes: u64,
    /// Its line of history.
    pub created_by: Option<String>,
    /// What happened to it; `None` after a dry run.
    pub change: Option<LayerChange>,
}

impl ImageOutcome {
    /// Returns the compressed size of the old layers.
    pub fn packed_before(&self) -> u64 {
        self.layers.iter().map(|layer| layer.source.size).sum()
    }

    /// Returns the uncompressed size of the old layers.
    pub fn bytes_before(&self) -> u64 {
        self.layers.iter().map(|layer| layer.bytes).sum()
    }

    /// Returns the compressed size of the new layers; `None` after a dry run.
    pub fn packed_after(&self) -> Option<u64> {
        self.sum_after(|layer| layer.blob.size, |old| old.source.size)
    }

    /// Returns the uncompressed size of the new layers; `None` after a dry run.
    pub fn bytes_after(&self) -> Option<u64> {
        self.sum_after(|layer| layer.tar.size, |old| old.bytes)
    }

    fn sum_after(
        &self,
        new: impl Fn(&crate::layer::rewrite::Rewritten) -> u64,
        kept: impl Fn(&LayerOutcome) -> u64,
    ) -> Option<u64> {
        let sizes = self.layers.iter().map(|layer| match layer.change.as_ref()? {
            LayerChange::Keep => Some(kept(layer)),
            LayerChange::Replace { layer, .. } => Some(new(layer)),
            LayerChange::Drop => Some(0),
        });
        sizes.sum()
    }
}

impl Outcome {
    /// Starts the outcome of a run, with the digest of the old manifest or index.
    pub(crate) fn new(source: Digest) -> Self {
        Self { source, root: None, images: Vec::new(), notes: Vec::new(), unmet: Vec::new() }
    }

    /// Returns the plans of all images in the form of a plan file.
    pub fn saved_plan(&self) -> SavedPlan {
        SavedPlan {
            version: VERSION,
            source: self.source,
            images: self
                .images
                .iter()
                .map(|image| ImagePlan {
                    manifest: image.source,
                    platform: image.platform.clone(),
                    plan: image.plan.clone(),
                })
                .collect(),
        }
    }
}
