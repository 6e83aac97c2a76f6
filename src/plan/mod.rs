//! The plan, as a value: what is removed, what is kept although a rule matched it, and what is edited, each with its
//! reason.
//!
//! The plan is a pure function of the rootfs, the rules and the evidence:
//!
//! 1. `matches.rs` and `claims.rs`: which rule matches which path, which profile matches which package.
//! 2. `closure.rs`: start from what is kept in any case, and follow its needs until nothing changes.
//! 3. `decision.rs`: what this means for each path and package.
//! 4. `edits.rs`: package databases and RECORD files that match what is left.

mod claims;
mod closure;
mod conda;
mod decision;
mod edits;
mod intent;
mod ownership;
mod rule_matches;
mod unread;

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

pub use ownership::Owners;
pub use rule_matches::RuleMatches;
pub use unread::Unread;

use crate::evidence::{Evidence, Reason};
use crate::image::ImageConfig;
use crate::rootfs::{NodeId, NodeSet, Rootfs};
use crate::rootfs_path::RootfsPath;

/// What is removed, kept and edited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Removed paths, in order. The content of a removed folder is listed, too.
    pub removed: Vec<Removed>,
    /// Paths that a rule matches but that are kept, in order. Folders that only hold such paths are not listed.
    pub kept: Vec<Kept>,
    /// Removed packages, by name.
    #[serde(default)]
    pub removed_packages: Vec<RemovedPackage>,
    /// Kept packages, each with the reason.
    #[serde(default)]
    pub kept_packages: Vec<KeptPackage>,
    /// Files with edited content.
    #[serde(default)]
    pub edits: Vec<Edited>,
    /// Files that could not be read, or not completely, so that evidence may be missing.
    #[serde(default)]
    pub unread: Vec<Unread>,
    /// The nodes of `removed`, if the plan was made in this run. Not saved.
    #[doc(hidden)]
    #[serde(skip)]
    pub gone: NodeSet,
    /// The packages that own each file, for explanations. Not saved.
    #[doc(hidden)]
    #[serde(skip)]
    pub owners: Owners,
}

/// A removed path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// The path.
    pub path: RootfsPath,
    /// The claim by which it is removed.
    #[serde(flatten)]
    pub claim: Arc<Claim>,
}

/// What matches a path. Thousands of paths share one claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The profile whose rule matches the path.
    pub profile: Arc<str>,
    /// The rule: a glob, or the package that the path is removed with.
    pub rule: Arc<str>,
}

/// A path that a rule matches but that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The path.
    pub path: RootfsPath,
    /// The claim on it.
    #[serde(flatten)]
    pub claim: Arc<Claim>,
    /// Why it is kept.
    pub reason: Reason,
}

/// A removed package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedPackage {
    /// Its name.
    pub name: String,
    /// The profile that matches it, or [`NO_LONGER_NEEDED`].
    pub profile: String,
}

/// A kept package, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptPackage {
    /// Its name.
    pub name: String,
    /// Why it is kept.
    pub reason: Reason,
}

/// A file with edited content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edited {
    /// The file.
    pub path: RootfsPath,
    /// Its new content.
    pub content: NewContent,
}

/// The new content of a file. A saved plan stores it as text if it is UTF-8, otherwise as base64 after `base64:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewContent(pub Vec<u8>);

/// The prefix of content that is saved as base64.
const BASE64: &str = "base64:";

impl Serialize for NewContent {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) if !text.starts_with(BASE64) => serializer.serialize_str(text),
            _ => serializer.serialize_str(&format!("{BASE64}{}", STANDARD.encode(&self.0))),
        }
    }
}

impl<'de> Deserialize<'de> for NewContent {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.strip_prefix(BASE64) {
            Some(encoded) => STANDARD.decode(encoded).map(Self).map_err(serde::de::Error::custom),
            None => Ok(Self(text.into_bytes())),
        }
    }
}

/// Stands in for a profile's name if a package is removed because nothing that is kept needs it.
pub const NO_LONGER_NEEDED: &str = "(no longer needed)";

/// A saved plan does not match an image.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("the plan names `{0}`, which the image does not have")]
pub struct PathNotFound(pub RootfsPath);

impl Plan {
    /// Returns the names of the profiles that remove something.
    pub fn profiles(&self) -> BTreeSet<&str> {
        let packages = self.removed_packages.iter().map(|package| package.profile.as_str());
        self.removed.iter().map(|removed| &*removed.claim.profile).chain(packages).collect()
    }

    /// Returns the removed nodes.
    ///
    /// # Errors
    /// If the plan was made for another image and names a path that does not exist.
    #[doc(hidden)]
    pub fn removed_nodes(&self, rootfs: &Rootfs) -> Result<NodeSet, PathNotFound> {
        if !self.gone.is_empty() {
            return Ok(self.gone.clone());
        }
        let nodes = rootfs.lookups(self.removed.iter().map(|removed| &removed.path));
        let found = nodes.zip(&self.removed);
        found.map(|(node, removed)| node.ok_or_else(|| PathNotFound(removed.path.clone()))).collect()
    }

    /// Returns the new contents of files, by node.
    ///
    /// # Errors
    /// As for [`Plan::removed_nodes`].
    #[doc(hidden)]
    pub fn edited_nodes(&self, rootfs: &Rootfs) -> Result<Vec<(NodeId, &[u8])>, PathNotFound> {
        self.edits
            .iter()
            .map(|edit| {
                let node = rootfs.lookup(&edit.path).ok_or_else(|| PathNotFound(edit.path.clone()))?;
                Ok((node, edit.content.0.as_slice()))
            })
            .collect()
    }
}

/// Makes a plan from what rules match in a rootfs. `base` is the number of layers of the base image, if it is known.
/// Packages that were installed by name above it count as requested.
pub fn plan(
    rootfs: &Rootfs,
    config: &ImageConfig,
    base: Option<usize>,
    mut matches: RuleMatches,
    mut evidence: Evidence,
) -> Plan {
    let mut unread = Vec::new();
    let ownership = ownership::Ownership::new(rootfs, &evidence, &mut unread);
    matches.match_paths(rootfs, evidence.installs());
    let claims = claims::claim(rootfs, config, &matches, &ownership, &evidence);
    drop(matches);
    let requested = intent::requested(&ownership, &evidence, base);
    let decision = closure::close(rootfs, config, claims, ownership, &requested, &mut evidence);
    let mut plan = decision.into_plan(rootfs, &evidence);
    unread.append(&mut plan.unread);
    plan.unread = unread;
    // An idle thread frees these tens of thousands of allocations.
    rayon::spawn(move || drop(evidence));
    plan
}
