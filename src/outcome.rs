//! The outcome of a run.

use std::fmt;

use crate::digest::Digest;
use crate::explain::Explanation;
use crate::image::Descriptor;
use crate::image::rebuild::LayerChange;
use crate::inventory::Inventory;
use crate::plan::Plan;
use crate::reference::Reference;
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
    /// What the user should know.
    pub notes: Vec<Note>,
    /// The gates that were not met. If there are any, nothing was written.
    pub unmet: Vec<UnmetGate>,
}

/// Something that the user should know. `Display` gives a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// pydock made the source, so it was copied unchanged.
    AlreadySlim,
    /// Layers above the base image were squashed.
    Base {
        /// `os/arch[/variant]`.
        platform: String,
        /// Number of the base image's layers.
        base: usize,
        /// Number of all layers.
        layers: usize,
        /// How the base image was found.
        found_by: BaseFoundBy,
    },
    /// The history has more or fewer layers than the image.
    History {
        /// `os/arch[/variant]`.
        platform: String,
    },
    /// An attestation was left out of the new index.
    AttestationDropped {
        /// Its digest.
        digest: Digest,
    },
    /// An entry of an index was copied unchanged.
    EntryCopied {
        /// Its platform or digest.
        entry: String,
        /// Why.
        why: String,
    },
    /// The new image replaced the old one, which still exists.
    Replaced {
        /// The reference.
        image: Reference,
        /// The old digest.
        old: Digest,
    },
    /// The old image is signed, the new one is not.
    NotSigned {
        /// `registry/repository@digest` of the new image.
        new: String,
    },
}

/// How a base image was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BaseFoundBy {
    /// The options name it.
    Options(Reference),
    /// Annotations of the image name it.
    Annotations(Reference),
    /// The history shows where it ends.
    History,
}

/// A gate that an image does not meet. Sizes are compressed sizes in bytes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum UnmetGate {
    /// The new image is too large.
    TooLarge {
        /// `os/arch[/variant]`.
        platform: String,
        /// Its size.
        size: u64,
        /// The largest size allowed.
        limit: u64,
    },
    /// The new image saves too little.
    SavesTooLittle {
        /// `os/arch[/variant]`.
        platform: String,
        /// What it saves.
        saved: u64,
        /// The size of the old image.
        before: u64,
        /// What it has to save.
        wanted: MinSaving,
    },
}

/// How much must be saved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MinSaving {
    /// This many bytes.
    Bytes(u64),
    /// This percentage of the old size.
    Percent(f64),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadySlim => f.write_str("pydock has slimmed this image before; it is copied unchanged"),
            Self::Base { platform, base, layers, found_by } => {
                write!(f, "{platform}: the base image is the lowest {base} of {layers} layers, found by {found_by}")
            }
            Self::History { platform } => {
                write!(f, "{platform}: the history does not fit the layers; it is left out if layers are removed")
            }
            Self::AttestationDropped { digest } => {
                write!(f, "the attestation {digest} was dropped: it describes an image that is not in the new index")
            }
            Self::EntryCopied { entry, why } => write!(f, "{entry} is copied unchanged: {why}"),
            Self::Replaced { image, old } => write!(f, "the old image of {image} still exists as {old}"),
            Self::NotSigned { new } => {
                write!(f, "the old image is signed, and signatures do not carry over: sign {new}")
            }
        }
    }
}

impl fmt::Display for BaseFoundBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Options(reference) => write!(f, "the options, which name {reference}"),
            Self::Annotations(reference) => write!(f, "annotations, which name {reference}"),
            Self::History => f.write_str("history"),
        }
    }
}

impl fmt::Display for UnmetGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { platform, size, limit } => {
                write!(f, "{platform}: {size} bytes are more than the limit of {limit}")
            }
            Self::SavesTooLittle { platform, saved, before, wanted } => {
                write!(f, "{platform}: saving {saved} of {before} bytes is less than {wanted}")
            }
        }
    }
}

impl fmt::Display for MinSaving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{bytes} bytes"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
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
    #[doc(hidden)]
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
    pub uncompressed: u64,
    /// Its line of history.
    pub created_by: Option<String>,
    /// What happened to it; `None` after a dry run.
    pub change: Option<LayerChange>,
}

impl ImageOutcome {
    /// Returns how many bytes the new layers save, compressed; `None` after a dry run.
    pub fn saved(&self) -> Option<u64> {
        Some(self.compressed_before().saturating_sub(self.compressed_after()?))
    }

    /// Returns the compressed size of the old layers.
    pub fn compressed_before(&self) -> u64 {
        self.layers.iter().map(|layer| layer.source.size).sum()
    }

    /// Returns the uncompressed size of the old layers.
    pub fn uncompressed_before(&self) -> u64 {
        self.layers.iter().map(|layer| layer.uncompressed).sum()
    }

    /// Returns the compressed size of the new layers; `None` after a dry run.
    pub fn compressed_after(&self) -> Option<u64> {
        self.sum_after(|layer| layer.blob.size, |old| old.source.size)
    }

    /// Returns the uncompressed size of the new layers; `None` after a dry run.
    pub fn uncompressed_after(&self) -> Option<u64> {
        self.sum_after(|layer| layer.tar.size, |old| old.uncompressed)
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
