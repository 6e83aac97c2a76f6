//! Which paths are needed, and why.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::rootfs_path::RootfsPath;

/// Why a path stays although a rule names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Reason {
    /// The person said so.
    Asked {
        /// The glob of `--keep`.
        glob: String,
    },
    /// The image's config names it.
    Config {
        /// Which key.
        key: String,
    },
    /// A symlink that stays leads to it.
    Symlink {
        /// The symlink.
        from: RootfsPath,
    },
    /// It carries the data of a hard link in a later layer that stays.
    HardLink {
        /// The hard link.
        from: RootfsPath,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked { glob } => write!(f, "asked for by `--keep {glob}`"),
            Self::Config { key } => write!(f, "named by the config's {key}"),
            Self::Symlink { from } => write!(f, "the symlink {from} leads to it"),
            Self::HardLink { from } => write!(f, "the hard link {from} in a later layer shares its data"),
        }
    }
}

/// One needed path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// Why.
    pub reason: Reason,
    /// Whether all below it is needed too.
    pub whole: bool,
}

/// All needed paths. The first reason that is given for a path stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs(BTreeMap<RootfsPath, Need>);

impl Needs {
    /// Adds a path. `whole` says that all below it is needed too.
    pub fn add(&mut self, path: RootfsPath, reason: Reason, whole: bool) {
        let need = self.0.entry(path).or_insert(Need { reason, whole });
        need.whole |= whole;
    }

    /// Returns all needed paths, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&RootfsPath, &Need)> {
        self.0.iter()
    }
}
