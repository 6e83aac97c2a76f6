//! What could not be read, so that evidence may be missing.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::evidence::UnreadReason;
use crate::rootfs_path::RootfsPath;

/// Something that could not be read, or not completely. `Display` gives a line, which is also its form in JSON.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Unread {
    /// A part of a package database: the file, and what is wrong with it.
    Record(String),
    /// A package manager that pydock does not support. Its packages are kept.
    PackageManager(RootfsPath),
    /// The package database as a whole. No file of the operating system is removed.
    PackageDatabase,
    /// A source or another text.
    File {
        /// The file.
        path: RootfsPath,
        /// Why.
        why: UnreadReason,
    },
    /// An ELF object.
    Object(RootfsPath),
    /// The line of a saved plan.
    Saved(String),
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(line) | Self::Saved(line) => f.write_str(line),
            Self::PackageManager(path) => write!(f, "{path}: packages of this package manager are kept"),
            Self::PackageDatabase => f.write_str(
                "the package database could not be read completely; no file of the operating system is removed",
            ),
            Self::File { path, why } => write!(f, "{path}: {why}"),
            Self::Object(path) => write!(f, "{path}: malformed ELF object"),
        }
    }
}

impl Serialize for Unread {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Unread {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::Saved)
    }
}
