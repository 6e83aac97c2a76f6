//! Why a run fails: what was attempted, on which image and layer.

use crate::budget::OverBudget;
use crate::digest::Digest;
use crate::image::PlatformChoice;
use crate::image::document::DocumentError;
use crate::image::stack::StackError;
use crate::layer::rewrite::RewriteError;
use crate::layer::tar::TarError;
use crate::plan::PathNotFound;
use crate::profile::ProfileError;
use crate::rootfs::RootfsError;
use crate::saved_plan::SavedPlanError;
use crate::transport::TransportError;

/// Why a run fails.
#[derive(Debug, thiserror::Error)]
pub enum SlimError {
    /// The source cannot be opened or read.
    #[error("cannot read `{image}`")]
    Source {
        /// The source.
        image: String,
        /// Why.
        source: TransportError,
    },
    /// The destination cannot be written.
    #[error("cannot write `{destination}`")]
    Destination {
        /// The destination.
        destination: String,
        /// Why.
        source: TransportError,
    },
    /// A document cannot be attached to the new image.
    #[error("cannot attach documents to `{destination}`, which is unchanged")]
    Attach {
        /// The destination.
        destination: String,
        /// Why.
        source: TransportError,
    },
    /// A manifest, index or config is malformed.
    #[error("cannot read `{image}`")]
    Document {
        /// The source.
        image: String,
        /// Why.
        source: DocumentError,
    },
    /// Manifest and config do not fit together, or a layer is of a kind that cannot be read.
    #[error("cannot read `{image}`")]
    Layers {
        /// The source.
        image: String,
        /// Why.
        source: StackError,
    },
    /// The source is not a container image.
    #[error("`{image}` is not a container image: its config is `{media_type}`")]
    NotAnImage {
        /// The source.
        image: String,
        /// Media type of its config.
        media_type: String,
    },
    /// The image is not for Linux.
    #[error("`{image}` is an image for {os}; pydock supports linux only")]
    NotLinux {
        /// The source.
        image: String,
        /// Its operating system.
        os: String,
    },
    /// No image of the index is for the platform.
    #[error("`{image}` has no image for {wanted}")]
    NoPlatform {
        /// The source.
        image: String,
        /// The requested platform.
        wanted: PlatformChoice,
        /// The available platforms.
        there: Vec<String>,
    },
    /// The cache cannot be used.
    #[error("cannot use the cache `{folder}`")]
    Cache {
        /// Its folder.
        folder: String,
        /// Why.
        source: std::io::Error,
    },
    /// A layer cannot be read.
    #[error("cannot read layer {number} ({digest}) of `{image}`")]
    Scan {
        /// The layer, counted from 1.
        number: usize,
        /// Its digest.
        digest: Digest,
        /// The source.
        image: String,
        /// Why.
        source: TarError,
    },
    /// The image exceeds a limit.
    #[error("cannot read `{image}`")]
    Budget {
        /// The source.
        image: String,
        /// The limit that it exceeds.
        source: OverBudget,
    },
    /// Layers cannot be merged.
    #[error("cannot merge layer {number} of `{image}`")]
    Merge {
        /// The layer, counted from 1.
        number: usize,
        /// The source.
        image: String,
        /// Why.
        source: RootfsError,
    },
    /// A layer cannot be rewritten.
    #[error("cannot rewrite layer {number} of `{image}`")]
    Rewrite {
        /// The layer, counted from 1.
        number: usize,
        /// The source.
        image: String,
        /// Why.
        source: RewriteError,
    },
    /// A profile cannot be used.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// A saved plan cannot be applied.
    #[error("the plan cannot be applied to `{image}`")]
    Plan {
        /// The source.
        image: String,
        /// Why.
        source: SavedPlanError,
    },
    /// A saved plan names a path that the image does not have.
    #[error("the plan cannot be applied to `{image}`")]
    PlanPath {
        /// The source.
        image: String,
        /// Why.
        source: PathNotFound,
    },
    /// pydock did not make the image.
    #[error("`{image}` does not name the image that it was made from")]
    NotOurs {
        /// The image.
        image: String,
    },
    /// The tag was moved while its image was slimmed in place.
    #[error("`{image}` is no longer the image {expected} that was slimmed; it is unchanged")]
    Moved {
        /// The image.
        image: String,
        /// What was slimmed.
        expected: Digest,
    },
    /// The given base image is not the base of the image.
    #[error("`{base}` is not the base image of `{image}`: their lowest layers differ")]
    NotTheBase {
        /// The source.
        image: String,
        /// The base.
        base: String,
    },
    /// The base image cannot be determined.
    #[error("the base image of `{image}` cannot be determined")]
    NoBase {
        /// The source.
        image: String,
    },
    /// The outcome was refused before the new image became visible.
    #[error(transparent)]
    Review(Box<dyn std::error::Error + Send + Sync>),
    /// The run was stopped.
    #[error("the run was stopped")]
    Stopped,
}

impl SlimError {
    /// Reports whether an image is of a kind that pydock does not slim. In an index, it is copied unchanged.
    pub(super) fn is_of_one_image(&self) -> bool {
        matches!(self, Self::NotLinux { .. } | Self::Layers { source: StackError::Layer { .. }, .. })
    }

    /// Returns why, without the image's name.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::NotLinux { os, .. } => format!("it is an image for {os}"),
            Self::Layers { source, .. } => source.to_string(),
            error => error.to_string(),
        }
    }
}
