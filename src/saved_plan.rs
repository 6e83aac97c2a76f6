//! A plan in a JSON file, to be reviewed and applied later (`docs/cli.md`, "Reviewing the plan").

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::plan::Plan;

/// Version of the format. Incremented when an old reader would misread a new file.
pub const VERSION: u32 = 1;

/// The plans for one reference: one per image, because an index has several.
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
    /// The removed and kept paths.
    #[serde(flatten)]
    pub plan: Plan,
}

/// Why a saved plan cannot be applied.
#[derive(Debug, thiserror::Error)]
pub enum SavedPlanError {
    /// The text is not a plan.
    #[error("it is not a plan")]
    Json(#[source] serde_json::Error),
    /// The plan has another version.
    #[error("it has version {0}; this pydock reads version {VERSION}")]
    Version(u32),
    /// The plan was made for another image.
    #[error("it was made for {expected}, and the image is {actual}")]
    OtherImage {
        /// The image that the plan was made for.
        expected: Digest,
        /// The image that was given.
        actual: Digest,
    },
}

impl SavedPlan {
    /// Parses a plan.
    ///
    /// # Errors
    /// If the text is not a plan, or has another version.
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
    /// Never: all values of a plan can be written as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_else(|error| panic!("{error}")) + "\n"
    }
}
