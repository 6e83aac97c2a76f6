//! What a run is to do.

use std::time::SystemTime;

use crate::cache::Place;
use crate::image::PlatformChoice;
use crate::layer::codec::Compression;
use crate::layering::Squash;
use crate::outcome::ImageOutcome;
use crate::profile::Profile;
use crate::reference::Reference;
use crate::rootfs_path::RootfsPath;
use crate::saved_plan::SavedPlan;

/// What to do.
#[derive(Debug, Clone)]
pub struct Request {
    /// The image to slim.
    pub source: Reference,
    /// Where to write the new one; `None` for a dry run. If it is the source, nobody else may have moved its tag meanwhile.
    pub destination: Option<Reference>,
    /// Tags that the new image gets beside the destination's own.
    pub tags: Vec<String>,
    /// Which platforms of an index.
    pub platform: PlatformChoice,
    /// What decides what goes.
    pub decision: Decision,
    /// Which layers become one.
    pub squash: Squash,
    /// The base image, if the person names it.
    pub base: Option<Reference>,
    /// How new layers are compressed; `None`: gzip, and layers that stay are left as they are.
    pub compression: Option<Compression>,
    /// The level at which bytes are compressed; `None` for the compression's usual one.
    pub compression_level: Option<u32>,
    /// Whether what stays of rewritten layers is compressed anew.
    pub recompress: bool,
    /// What the new image must reach to be written.
    pub gates: Gates,
    /// Whether an image that was slimmed before is slimmed again, rather than copied as it is.
    pub again: bool,
    /// When the new image is said to have been made; `None`: when the old one was.
    pub created: Option<SystemTime>,
    /// Whether report, provenance and bill of materials are attached, if the destination is in a registry.
    pub attach: bool,
    /// How many layers are worked on at once.
    pub threads: usize,
    /// Where earlier runs may have left what they learned and made, and where this one will.
    pub cache: Option<Place>,
    /// Paths to explain.
    pub explain: Vec<RootfsPath>,
}

/// What decides what goes.
#[derive(Debug, Clone)]
pub enum Decision {
    /// Rules.
    Rules(Choice),
    /// A plan that was made before.
    Saved(SavedPlan),
}

impl Decision {
    /// Tells whether it takes evidence to decide: without a rule nothing goes, and a plan that was made before is not asked again.
    pub fn takes_evidence(&self) -> bool {
        match self {
            Self::Rules(choice) => !choice.profiles.is_empty() || !choice.remove.is_empty(),
            Self::Saved(_) => false,
        }
    }
}

/// Which rules.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Profiles, in the order in which they claim paths.
    pub profiles: Vec<Profile>,
    /// Globs of further paths that go.
    pub remove: Vec<String>,
    /// Globs of paths that stay, whatever a rule says.
    pub keep: Vec<String>,
}

/// What the new image must reach to be written. Sizes are those of the compressed layers.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Gates {
    /// At most this many bytes.
    pub max_size: Option<u64>,
    /// At least this much less.
    pub min_saving: Option<MinSaving>,
}

/// How much must be saved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MinSaving {
    /// So many bytes.
    Bytes(u64),
    /// So many percent of the old size.
    Percent(f64),
}

impl Request {
    /// Tells whether the new image takes the old one's place.
    pub fn is_in_place(&self) -> bool {
        self.destination.as_ref() == Some(&self.source)
    }
}

impl Gates {
    /// Tells of an image that is larger than it may be.
    pub(crate) fn too_large(&self, platform: &str, size: u64) -> Option<String> {
        let limit = self.max_size.filter(|&limit| size > limit)?;
        Some(format!("{platform}: {size} bytes are more than --max-size {limit}"))
    }

    /// Returns the gates that an image does not meet, in words.
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
