//! Reasons why a path is kept although a rule matches it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::rootfs::NodeId;
use crate::rootfs_path::RootfsPath;

/// A file that is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The file.
    pub node: NodeId,
    /// Why.
    pub reason: Reason,
    /// Whether the reason is weak: it names only a folder above the file, or is a mere word among an object's strings.
    /// A weak reason does not outweigh a rule that matches the file.
    pub is_weak: bool,
}

/// Why a path or a package is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Reason {
    /// The user asked for it.
    Asked {
        /// The glob of `--keep`.
        glob: String,
    },
    /// The image's config names it.
    Config {
        /// The key.
        key: String,
    },
    /// A kept symlink leads to it.
    Symlink {
        /// The symlink.
        from: RootfsPath,
    },
    /// It carries the data of a kept hard link in a later layer.
    HardLink {
        /// The hard link.
        from: RootfsPath,
    },
    /// A kept Python file imports it.
    Import {
        /// The importing file.
        from: RootfsPath,
        /// The line.
        line: u32,
    },
    /// The entry points of a distribution name it.
    EntryPoint {
        /// The file with the entry points.
        from: RootfsPath,
    },
    /// A kept Python file opens data in it.
    Data {
        /// The opening file.
        from: RootfsPath,
        /// The line.
        line: u32,
    },
    /// A kept text names it as a program.
    Command {
        /// The text.
        from: RootfsPath,
        /// The line.
        line: u32,
        /// The name.
        word: String,
    },
    /// A kept text names its absolute path, or that of its folder.
    Path {
        /// The text.
        from: RootfsPath,
        /// The line.
        line: u32,
        /// The path.
        word: String,
    },
    /// A string of a kept object names it.
    Native {
        /// The object.
        from: RootfsPath,
        /// The string.
        word: String,
    },
    /// A kept program is known to run it.
    Runs {
        /// The program.
        from: RootfsPath,
    },
    /// A kept file is known to read it, or a path file adds its folder.
    Reads {
        /// That file, or the folder of the path file.
        from: RootfsPath,
    },
    /// A kept object is linked with it.
    Library {
        /// The object.
        from: RootfsPath,
    },
    /// A kept text names it as a library.
    Opened {
        /// The text.
        from: RootfsPath,
        /// The line.
        line: u32,
        /// The name.
        word: String,
    },
    /// It is the interpreter or the loader of a kept script or program.
    Interpreter {
        /// The script or program.
        from: RootfsPath,
    },
    /// It belongs to the standard library of a kept Python.
    StandardLibrary,
    /// The package manager protects the package.
    Protected,
    /// A person or a recipe requested the package, and no rule matches it.
    Installed,
    /// A person or a recipe requested the package by name above the base image.
    Requested,
    /// A kept package recommends it.
    Recommended {
        /// The package.
        of: String,
    },
    /// The package is in a state other than installed.
    State {
        /// The state, as the database writes it.
        state: String,
    },
    /// A kept package depends on it.
    Dependency {
        /// The package.
        of: String,
    },
    /// A kept package owns it.
    Owned {
        /// The package.
        by: String,
    },
    /// Something that is installed or imported may need all files of the profile at run time.
    Uses {
        /// What may need them.
        what: String,
    },
    /// An alternative's link leads to it, and other choices are kept.
    Alternative,
}

impl Reason {
    /// Returns the path of the file that causes this reason, if there is one.
    pub fn from(&self) -> Option<&RootfsPath> {
        match self {
            Self::Symlink { from }
            | Self::HardLink { from }
            | Self::Import { from, .. }
            | Self::EntryPoint { from }
            | Self::Data { from, .. }
            | Self::Command { from, .. }
            | Self::Path { from, .. }
            | Self::Native { from, .. }
            | Self::Runs { from }
            | Self::Reads { from }
            | Self::Library { from }
            | Self::Opened { from, .. }
            | Self::Interpreter { from } => Some(from),
            _ => None,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked { glob } => write!(f, "asked for by `--keep {glob}`"),
            Self::Config { key } => write!(f, "named by the config's {key}"),
            Self::Symlink { from } => write!(f, "the symlink {from} leads to it"),
            Self::HardLink { from } => write!(f, "the hard link {from} in a later layer shares its data"),
            Self::Import { from, line } => write!(f, "imported by {from} line {line}"),
            Self::EntryPoint { from } => write!(f, "an entry point in {from}"),
            Self::Data { from, line } => write!(f, "opened by {from} line {line}"),
            Self::Command { from, line, word } => write!(f, "{from} line {line} names the program `{word}`"),
            Self::Path { from, line, word } => write!(f, "{from} line {line} names the path `{word}`"),
            Self::Native { from, word } => write!(f, "{from} holds the string `{word}`"),
            Self::Runs { from } => write!(f, "{from} runs it"),
            Self::Reads { from } => write!(f, "{from} reads it"),
            Self::Library { from } => write!(f, "{from} is linked with it"),
            Self::Opened { from, line, word } => write!(f, "{from} line {line} names the library `{word}`"),
            Self::Interpreter { from } => write!(f, "it runs {from}"),
            Self::StandardLibrary => f.write_str("the standard library of a Python that stays"),
            Self::Protected => f.write_str("protected by the package manager"),
            Self::Installed => f.write_str("installed on purpose, and no rule names it"),
            Self::Requested => f.write_str("installed by name above the base image"),
            Self::Recommended { of } => write!(f, "package {of} recommends it"),
            Self::State { state } => write!(f, "the package database calls its state `{state}`"),
            Self::Dependency { of } => write!(f, "package {of} depends on it"),
            Self::Owned { by } => write!(f, "a file of package {by}, which stays"),
            Self::Uses { what } => write!(f, "{what} may need it at run time"),
            Self::Alternative => f.write_str("an alternative's link leads to it while other choices stay"),
        }
    }
}
