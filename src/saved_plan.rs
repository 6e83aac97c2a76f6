//! A plan in a file, to be reviewed and applied later. The format is `docs/plan.md`'s.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::plan::Plan;

/// Version of the format; raised when an old reader would misread a new file.
pub const VERSION: u32 = 1;

/// The plan for one reference: one for each image, for an index has several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedPlan {
    /// Version of the format.
    pub version: u32,
    /// Digest of the manifest or index that the plan was made for.
    pub source: Digest,
    /// The plans by image.
    pub images: Vec<ImagePlan>,
}

/// The plan for one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImagePlan {
    /// Digest of the image's manifest.
    pub manifest: Digest,
    /// Its platform, `os/arch[/variant]`.
    pub platform: String,
    /// What goes and what stays.
    #[serde(flatten)]
    pub plan: Plan,
}

/// Why a saved plan cannot be applied.
#[derive(Debug, thiserror::Error)]
pub enum SavedPlanError {
    /// Not a plan.
    #[error("it is no plan")]
    Json(#[source] serde_json::Error),
    /// Another version wrote it.
    #[error("it is of version {0}; this pydock reads version {VERSION}")]
    Version(u32),
    /// It was made for another image.
    #[error("it was made for {expected}, and the image is {actual}")]
    OtherImage {
        /// The image that it was made for.
        expected: Digest,
        /// The image that is there.
        actual: Digest,
    },
}

impl SavedPlan {
    /// Reads a plan.
    ///
    /// # Errors
    /// If it is none, or of another version.
    pub fn parse(text: &[u8]) -> Result<Self, SavedPlanError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let Versioned { version } = serde_json::from_slice(text).map_err(SavedPlanError::Json)?;
        if version != VERSION {
            return Err(SavedPlanError::Version(version));
        }
        serde_json::from_slice(text).map_err(SavedPlanError::Json)
    }

    /// Returns the plan for one image of the reference.
    ///
    /// # Errors
    /// If there is none.
    pub fn of(&self, manifest: Digest) -> Result<&Plan, SavedPlanError> {
        let image = self.images.iter().find(|image| image.manifest == manifest);
        image.map(|image| &image.plan).ok_or(SavedPlanError::OtherImage { expected: self.source, actual: manifest })
    }

    /// Returns the plan as JSON.
    ///
    /// # Panics
    /// Never: a plan has no value that JSON cannot hold.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_else(|error| panic!("{error}")) + "\n"
    }
}
