//! The options of a run.

use std::time::SystemTime;

use crate::cache::CacheLocation;
use crate::image::PlatformChoice;
use crate::layer::codec::Compression;
use crate::layering::Squash;
use crate::outcome::ImageOutcome;
use crate::profile::Profile;
use crate::reference::Reference;
use crate::rootfs_path::RootfsPath;
use crate::saved_plan::SavedPlan;

/// What a run is asked to do.
#[derive(Debug, Clone)]
pub struct Request {
    /// The image to slim.
    pub source: Reference,
    /// Where to write the new image; `None` for a dry run. If this is the source, the run fails if someone else moved
    /// its tag meanwhile.
    pub destination: Option<Reference>,
    /// Tags of the new image besides the destination's own.
    pub tags: Vec<String>,
    /// Which platforms of an index to slim.
    pub platform: PlatformChoice,
    /// How it is decided what is removed.
    pub decision: PlanSource,
    /// Which layers are squashed into one.
    pub squash: Squash,
    /// The base image, if the user names it.
    pub base: Option<Reference>,
    /// How layers are compressed; `None`: as the destination prefers. Without a preference, new layers use gzip, and
    /// kept layers change only if they are uncompressed.
    pub compression: Option<Compression>,
    /// The compression level; `None` for the compression's default.
    pub compression_level: Option<u32>,
    /// Whether kept data of rewritten layers is compressed again.
    pub recompress: bool,
    /// The conditions under which the new image is written.
    pub gates: Gates,
    /// Whether an image that was slimmed before is slimmed again instead of copied.
    pub again: bool,
    /// The creation time of the new image; `None` for that of the old one.
    pub created: Option<SystemTime>,
    /// Whether report, provenance and SBOM are attached, if the destination is in a registry.
    pub attach: bool,
    /// How many layers are worked on at once.
    pub threads: usize,
    /// The cache of scans and layers that runs share.
    pub cache: Option<CacheLocation>,
    /// Paths to explain.
    pub explain: Vec<RootfsPath>,
}

/// How it is decided what is removed.
#[derive(Debug, Clone)]
pub enum PlanSource {
    /// By rules.
    Rules(RuleChoice),
    /// By a saved plan.
    Saved(SavedPlan),
}

impl PlanSource {
    /// Returns whether the decision needs evidence. Without a rule nothing is removed, and a saved plan is applied as
    /// it is.
    pub fn takes_evidence(&self) -> bool {
        match self {
            Self::Rules(choice) => !choice.profiles.is_empty() || !choice.remove.is_empty(),
            Self::Saved(_) => false,
        }
    }
}

/// The rules to apply.
#[derive(Debug, Clone, Default)]
pub struct RuleChoice {
    /// Profiles, in the order in which they claim paths.
    pub profiles: Vec<Profile>,
    /// Globs of further paths to remove.
    pub remove: Vec<String>,
    /// Globs of paths to keep, whatever a rule says.
    pub keep: Vec<String>,
}

/// The conditions under which the new image is written. Sizes are compressed sizes of the layers.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Gates {
    /// At most this many bytes.
    pub max_size: Option<u64>,
    /// At least this much smaller.
    pub min_saving: Option<MinSaving>,
}

/// How much must be saved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MinSaving {
    /// This many bytes.
    Bytes(u64),
    /// This percentage of the old size.
    Percent(f64),
}

impl Request {
    /// Returns whether the new image replaces the old one.
    pub fn is_in_place(&self) -> bool {
        self.destination.as_ref() == Some(&self.source)
    }
}

impl Gates {
    /// Returns a message if an image is larger than allowed.
    pub(crate) fn too_large(&self, platform: &str, size: u64) -> Option<String> {
        let limit = self.max_size.filter(|&limit| size > limit)?;
        Some(format!("{platform}: {size} bytes are more than --max-size {limit}"))
    }

    /// Returns the gates that an image does not meet, as messages.
    pub(crate) fn unmet(&self, image: &ImageOutcome) -> Vec<String> {
        let Some(after) = image.packed_after() else { return Vec::new() };
        let before = image.packed_before();
        let saved = before.saturating_sub(after);
        let mut unmet = Vec::new();
        unmet.extend(self.too_large(&image.platform, after));
        let (missed, wanted) = match self.min_saving {
            Some(MinSaving::Bytes(bytes)) => (saved < bytes, format!("{bytes} bytes")),
            Some(MinSaving::Percent(percent)) => {
                ((saved as f64) * 100.0 < percent * before as f64, format!("{percent}%"))
            }
            None => (false, String::new()),
        };
        if missed {
            unmet.push(format!(
                "{}: saving {saved} of {before} bytes is less than --min-saving {wanted}",
                image.platform
            ));
        }
        unmet
    }
}
