//! The options of a run, as values.

use std::time::SystemTime;

use crate::cache::CacheLocation;
use crate::image::PlatformChoice;
use crate::layer::codec::Compression;
use crate::layering::Squash;
use crate::outcome::{ImageOutcome, MinSaving, UnmetGate};
use crate::profile::{Level, Profile};
use crate::reference::Reference;
use crate::rootfs_path::RootfsPath;
use crate::saved_plan::SavedPlan;

/// What to slim, how, and where to write the new image.
///
/// ```
/// use pydock::{Reference, SlimOptions, Squash};
///
/// let source: Reference = "registry.example.com/shop/web:1.4".parse()?;
/// let mut options = SlimOptions::new(source);
/// options.destination = Some("oci:build/web:1.4-slim".parse()?);
/// options.squash = Squash::App;
/// # Ok::<(), pydock::ReferenceError>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SlimOptions {
    /// The image to slim.
    pub source: Reference,
    /// Where to write the new image; `None` for a dry run. If this is the source, the run fails if someone else moved
    /// its tag meanwhile.
    pub destination: Option<Reference>,
    /// Tags of the new image besides the destination's own.
    pub tags: Vec<String>,
    /// Which platforms of an index to slim.
    pub platform: PlatformChoice,
    /// Where the plan comes from.
    pub plan: PlanSource,
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
    pub(crate) explain: Vec<RootfsPath>,
}

impl SlimOptions {
    /// Returns the options of a dry run at level `standard`, on all platforms and processors.
    pub fn new(source: Reference) -> Self {
        Self {
            source,
            destination: None,
            tags: Vec::new(),
            platform: PlatformChoice::All,
            plan: PlanSource::Rules(RuleChoice::of_level(Level::Standard)),
            squash: Squash::None,
            base: None,
            compression: None,
            compression_level: None,
            recompress: false,
            gates: Gates::default(),
            again: false,
            created: None,
            attach: true,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            cache: None,
            explain: Vec::new(),
        }
    }

    /// Returns whether the new image replaces the old one.
    pub fn is_in_place(&self) -> bool {
        self.destination.as_ref() == Some(&self.source)
    }
}

/// Where the plan comes from.
#[derive(Debug, Clone)]
pub enum PlanSource {
    /// It is made by rules.
    Rules(RuleChoice),
    /// It was saved by an earlier run.
    Saved(SavedPlan),
}

impl PlanSource {
    /// Returns whether evidence is needed. Without a rule nothing is removed, and a saved plan is applied as
    /// it is.
    pub(crate) fn takes_evidence(&self) -> bool {
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

impl RuleChoice {
    /// Returns the built-in profiles of a level.
    pub fn of_level(level: Level) -> Self {
        let profiles = Profile::built_in().into_iter().filter(|profile| profile.level <= level);
        Self { profiles: profiles.collect(), ..Self::default() }
    }
}

impl Gates {
    /// Returns the gate that a size does not meet.
    pub(crate) fn too_large(&self, platform: &str, size: u64) -> Option<UnmetGate> {
        let limit = self.max_size.filter(|&limit| size > limit)?;
        Some(UnmetGate::TooLarge { platform: platform.to_owned(), size, limit })
    }

    /// Returns the gates that an image does not meet.
    pub(crate) fn unmet(&self, image: &ImageOutcome) -> Vec<UnmetGate> {
        let Some(after) = image.compressed_after() else { return Vec::new() };
        let before = image.compressed_before();
        let saved = before.saturating_sub(after);
        let is_missed = match self.min_saving {
            Some(MinSaving::Bytes(bytes)) => saved < bytes,
            Some(MinSaving::Percent(percent)) => (saved as f64) * 100.0 < percent * before as f64,
            None => false,
        };
        let wanted = self.min_saving.filter(|_| is_missed);
        let too_little =
            wanted.map(|wanted| UnmetGate::SavesTooLittle { platform: image.platform.clone(), saved, before, wanted });
        self.too_large(&image.platform, after).into_iter().chain(too_little).collect()
    }
}
