//! The decision, as a value: what goes, what stays although a rule named it, what is edited, each with its reason.
//!
//! A pure function of the rootfs, the rules and the evidence:
//!
//! 1. `claims.rs`: which rule names which path, which profile which package.
//! 2. `closure.rs`: start from what stays in any case, and follow what it needs, until nothing changes.
//! 3. `decision.rs`: what that means for each path and package.
//! 4. `edits.rs`: package databases and RECORD files that tell the truth about what is left.

mod claims;
mod closure;
mod conda;
mod decision;
mod edits;
mod intent;
mod naming;
mod ownership;

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

pub use naming::Naming;
pub use ownership::Owners;

use crate::evidence::{Evidence, Reason};
use crate::image::ImageConfig;
use crate::rootfs::{NodeId, NodeSet, Rootfs};
use crate::rootfs_path::RootfsPath;

/// What goes, what stays and what is edited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Paths that go, in order; a folder's content is listed too.
    pub removed: Vec<Removed>,
    /// Paths that a rule names but that stay, in order; folders that only hold such are not listed.
    pub kept: Vec<Kept>,
    /// Packages that go, by name.
    #[serde(default)]
    pub removed_packages: Vec<RemovedPackage>,
    /// Packages that stay, and why.
    #[serde(default)]
    pub kept_packages: Vec<KeptPackage>,
    /// Files that get another content.
    #[serde(default)]
    pub edits: Vec<Edited>,
    /// What could not be read, and so is evidence of nothing, or not of all.
    #[serde(default)]
    pub unread: Vec<String>,
    /// The nodes of `removed`, if the plan was made in this run; not saved.
    #[serde(skip)]
    pub gone: NodeSet,
    /// Which packages own each file; for explanations, not saved.
    #[serde(skip)]
    pub owners: Owners,
}

/// A path that goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// The path.
    pub path: RootfsPath,
    /// By what it goes.
    #[serde(flatten)]
    pub claim: Arc<Claim>,
}

/// What names a path: thousands of paths share it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The profile whose rule names it.
    pub profile: Arc<str>,
    /// The rule: a glob, or the package that it goes with.
    pub rule: Arc<str>,
}

/// A path that a rule names but that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The path.
    pub path: RootfsPath,
    /// What names it.
    #[serde(flatten)]
    pub claim: Arc<Claim>,
    /// Why it stays.
    pub reason: Reason,
}

/// A package that goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedPackage {
    /// Its name.
    pub name: String,
    /// The profile that names it, or [`NO_LONGER_NEEDED`].
    pub profile: String,
}

/// A package that stays, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptPackage {
    /// Its name.
    pub name: String,
    /// Why it stays.
    pub reason: Reason,
}

/// A file that gets another content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edited {
    /// The file.
    pub path: RootfsPath,
    /// Its new content.
    pub content: NewContent,
}

/// The new content of a file. A saved plan holds it as text where it is UTF-8, else as base64 behind `base64:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewContent(pub Vec<u8>);

/// What stands before content that is saved as base64.
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

/// Stands for a profile where a package goes because nothing that stays needs it.
pub const NO_LONGER_NEEDED: &str = "(no longer needed)";

/// A saved plan does not fit an image.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("the plan names `{0}`, which the image does not have")]
pub struct PathNotFound(pub RootfsPath);

impl Plan {
    /// Returns the names of the profiles by which something goes.
    pub fn profiles(&self) -> BTreeSet<&str> {
        let packages = self.removed_packages.iter().map(|package| package.profile.as_str());
        self.removed.iter().map(|removed| &*removed.claim.profile).chain(packages).collect()
    }

    /// Returns the nodes that go.
    ///
    /// # Errors
    /// If the plan was made for another image and names a path that is not there.
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
    /// As [`Plan::removed_nodes`].
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

/// Decides, by what rules say of the paths and packages of a rootfs. `base` is the number of layers of the base image, if it is known:
/// what was installed by name above it was asked for.
pub fn plan(
    rootfs: &Rootfs,
    config: &ImageConfig,
    base: Option<usize>,
    mut naming: Naming,
    mut evidence: Evidence,
) -> Plan {
    let mut unread = Vec::new();
    let ownership = ownership::Ownership::new(rootfs, &evidence, &mut unread);
    naming.look(rootfs, evidence.worlds());
    let claims = claims::claim(rootfs, config, &naming, &ownership, &evidence);
    drop(naming);
    let requested = intent::requested(&ownership, &evidence, base);
    let decision = closure::close(rootfs, config, claims, ownership, &requested, &mut evidence);
    let mut plan = decision.into_plan(rootfs, &evidence);
    unread.append(&mut plan.unread);
    plan.unread = unread;
    // Tens of thousands of pieces of memory: whichever thread has time gives them back.
    rayon::spawn(move || drop(evidence));
    plan
}
