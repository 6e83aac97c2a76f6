//! Removal profiles: named sets of rules in TOML, matched against the paths of a rootfs.
//!
//! ```toml
//! name = "pip-cache"
//! description = "Download and build caches of Python's package managers"
//! risk = "none"                    # none, low, medium or high
//! level = "safe"                   # the lowest level that includes it: safe, standard or max
//! remove = ["**/.cache/pip"]       # a folder includes everything below it
//! keep = ["**/.cache/pip/keep"]    # exceptions from `remove`
//! emptied = ["**/__pycache__"]     # folders to remove once they are empty
//!
//! packages = ["gcc-*"]             # operating-system packages to remove as a whole, with what only they needed
//! sections = ["devel"]             # sections of Debian packages, likewise
//! conda = ["cuda-nvcc*"]           # conda packages to remove as a whole
//! owned-files = true               # `remove` may match single files of kept packages (for documentation only)
//! unless-installed = ["gitpython"] # the profile does nothing if such a Python distribution is installed,
//! unless-imported = ["triton"]     # or if another package imports such a module
//! unless-run = ["git"]             # or if the application itself names such a program
//! programs = ["gcc*"]              # what the profile is about: a glob of `packages` matches no package with others
//! leftovers = true                 # matches nothing that a Python distribution lists in its RECORD
//! only = { pdb = "debug-database" } # files with this extension must have this content
//!
//! [needs]                          # globs below a folder that a variable of the image's Env names
//! PIP_CACHE_DIR = ["http-v2"]
//!
//! [examples]                       # checked each time a user's profile is read
//! remove = ["root/.cache/pip/http-v2/a"]
//! keep = ["app/cache/pip"]
//! ```
//!
//! Globs use globset's syntax and match the path in the rootfs without its leading slash. `*` and `?` do not match a
//! slash, `**` does. A prefix makes a glob relative to a folder of each Python installation: `{prefix}/` is the folder
//! that contains `bin` and `lib`, `{stdlib}/` the standard library, `{site}/` each folder of packages, and `{idle}/`
//! conda's base environment if only another environment is in use.

mod modules;
mod rules;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use rules::{PackageFacts, RuleBook, Rules, Scope, candidate};

use crate::content::Content;
use crate::rootfs_path::RootfsPath;

/// The built-in profiles, in the order in which they claim paths.
const BUILT_IN: [&str; 22] = [
    include_str!("../../profiles/pip-cache.toml"),
    include_str!("../../profiles/uv-cache.toml"),
    include_str!("../../profiles/tool-cache.toml"),
    include_str!("../../profiles/apt-lists.toml"),
    include_str!("../../profiles/os-cache.toml"),
    include_str!("../../profiles/vcs.toml"),
    include_str!("../../profiles/leftovers.toml"),
    include_str!("../../profiles/idle-conda.toml"),
    include_str!("../../profiles/bytecode.toml"),
    include_str!("../../profiles/compilers.toml"),
    include_str!("../../profiles/headers.toml"),
    include_str!("../../profiles/vcs-tools.toml"),
    include_str!("../../profiles/fetch-tools.toml"),
    include_str!("../../profiles/imaging.toml"),
    include_str!("../../profiles/interpreters.toml"),
    include_str!("../../profiles/packaging.toml"),
    include_str!("../../profiles/project-tools.toml"),
    include_str!("../../profiles/stubs.toml"),
    include_str!("../../profiles/debug.toml"),
    include_str!("../../profiles/docs.toml"),
    include_str!("../../profiles/tests.toml"),
    include_str!("../../profiles/licences.toml"),
];

/// How much is removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Removes what no program can miss.
    Safe,
    /// Removes what a running application can do without.
    #[default]
    Standard,
    /// Removes all that is not needed to run, at some cost (licence texts, package managers).
    Max,
}

/// The risk that a profile's rules remove something that is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Risk {
    /// Nothing reads these files at run time.
    None,
    /// Something may be slower, or a message less clear.
    Low,
    /// A program that does unusual things may miss a file.
    Medium,
    /// Read the plan first.
    High,
}

/// A named set of removal rules, as in its TOML file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The name, unique among the profiles of a run.
    pub name: String,
    /// A one-line description.
    pub description: String,
    /// The risk.
    pub risk: Risk,
    /// The lowest level that includes the profile.
    pub level: Level,
    /// Globs of paths to remove.
    #[serde(default)]
    pub remove: Vec<String>,
    /// Globs of paths that are kept although `remove` matches them.
    #[serde(default)]
    pub keep: Vec<String>,
    /// Globs of folders to remove once they are empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub emptied: Vec<String>,
    /// Globs of operating-system packages to remove as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
    /// Globs of sections of packages to remove as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sections: Vec<String>,
    /// Globs of programs that the profile is about. A glob of `packages` matches no package that owns others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub programs: Vec<String>,
    /// Globs of conda packages to remove as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conda: Vec<String>,
    /// Whether `remove` matches nothing that a Python distribution lists in its RECORD.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leftovers: bool,
    /// The required content of files with some extensions. Other content is kept.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub only: BTreeMap<String, Content>,
    /// Whether `remove` may match single files that a kept package owns.
    #[serde(default, rename = "owned-files", skip_serializing_if = "std::ops::Not::not")]
    pub owned_files: bool,
    /// Python distributions (normalised names) that may use what this profile removes.
    #[serde(default, rename = "unless-installed", skip_serializing_if = "Vec::is_empty")]
    pub unless_installed: Vec<String>,
    /// Modules whose importers may use what this profile removes. `@compile` stands for all that compile when they are used.
    #[serde(default, rename = "unless-imported", skip_serializing_if = "Vec::is_empty")]
    pub unless_imported: Vec<String>,
    /// Programs that the application names if it uses what this profile removes.
    #[serde(default, rename = "unless-run", skip_serializing_if = "Vec::is_empty")]
    pub unless_run: Vec<String>,
    /// Globs below the folders that variables of the image's Env name.
    #[serde(default)]
    pub needs: BTreeMap<String, Vec<String>>,
    /// Example paths for the rules.
    #[serde(default)]
    pub examples: Examples,
}

/// Example paths for the rules of a profile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Examples {
    /// Paths that are removed.
    #[serde(default)]
    pub remove: Vec<String>,
    /// Paths that are kept.
    #[serde(default)]
    pub keep: Vec<String>,
}

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The text is not a profile.
    #[error("profile `{origin}` cannot be read: {why}")]
    Toml {
        /// Source of the profile.
        origin: String,
        /// The cause, with line and column.
        why: String,
    },
    /// A glob is malformed.
    #[error("profile `{profile}`: glob `{glob}` is malformed: {why}")]
    Glob {
        /// The profile.
        profile: String,
        /// The glob.
        glob: String,
        /// The cause.
        why: String,
    },
    /// `unless-imported` names a list of modules that does not exist.
    #[error("profile `{profile}`: there is no list of modules `{list}`; the one that exists is `@compile`")]
    List {
        /// The profile.
        profile: String,
        /// The name of the list.
        list: String,
    },
    /// The rules contradict an example.
    #[error("profile `{profile}`: its rules should {verdict} the example `{path}`, but do not")]
    Example {
        /// The profile.
        profile: String,
        /// `remove` or `keep`.
        verdict: &'static str,
        /// The example.
        path: String,
    },
    /// No profile has this name.
    #[error("there is no profile `{name}`")]
    Unknown {
        /// The requested name.
        name: String,
        /// The known names.
        known: Vec<String>,
    },
    /// Two profiles have the same name.
    #[error("two profiles are named `{0}`")]
    Twice(String),
}

impl Profile {
    /// Parses a profile and checks its examples. `origin` is its file name, for messages.
    ///
    /// # Errors
    /// If it is malformed, or its rules contradict its examples.
    pub fn parse(text: &str, origin: &str) -> Result<Self, ProfileError> {
        let profile = Self::parse_unchecked(text, origin)?;
        profile.check_examples()?;
        Ok(profile)
    }

    fn parse_unchecked(text: &str, origin: &str) -> Result<Self, ProfileError> {
        toml::from_str(text)
            .map_err(|error| ProfileError::Toml { origin: origin.to_owned(), why: toml_error(text, &error) })
    }

    /// Returns the built-in profiles, in the order in which they claim paths.
    pub fn built_in() -> Vec<Self> {
        // A test checks their examples, so a run does not have to.
        let parse = |text| Self::parse_unchecked(text, "built-in").unwrap_or_else(|error| panic!("{error}"));
        BUILT_IN.into_iter().map(parse).collect()
    }

    /// Returns the profile as TOML.
    ///
    /// # Panics
    /// Never: all values of a profile can be written as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).unwrap_or_else(|error| panic!("{error}"))
    }

    fn check_examples(&self) -> Result<(), ProfileError> {
        // Each variable is a folder of the same name, so that examples can cover `needs`.
        let names = self.needs.keys().cloned().collect::<Vec<_>>();
        let rules = Rules::of_profile(self, &|name| names.iter().find(|known| *known == name).cloned())?;
        let book = RuleBook::new(vec![rules])?;
        let wrong =
            |verdict, path: &str| ProfileError::Example { profile: self.name.clone(), verdict, path: path.to_owned() };
        let goes = |path: &str| {
            let (scope, path) = Scope::split(path);
            let path = RootfsPath::parse(path.as_bytes()).ok()?;
            let mut folders = std::iter::successors(Some(path), |path| (!path.is_root()).then(|| path.parent()));
            let mut claimed = false;
            folders.try_for_each(|path| {
                let candidate = candidate(path.as_bytes());
                book.for_each_claim(scope, &candidate, &mut Vec::new(), |_, _| claimed = true);
                (!book.rules()[0].keeps(scope, &candidate)).then_some(())
            })?;
            claimed.then_some(())
        };
        if let Some(path) = self.examples.remove.iter().find(|path| goes(path).is_none()) {
            return Err(wrong("remove", path));
        }
        match self.examples.keep.iter().find(|path| goes(path).is_some()) {
            Some(path) => Err(wrong("keep", path)),
            None => Ok(()),
        }
    }
}

/// Describes a TOML error in one line, with its position.
pub fn toml_error(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().replace('\n', ", ");
    let Some(before) = error.span().and_then(|span| text.get(..span.start)) else {
        return message;
    };
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    format!("line {line}, column {column}: {message}")
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Safe => "safe",
            Self::Standard => "standard",
            Self::Max => "max",
        })
    }
}

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "none",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        })
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "safe" => Ok(Self::Safe),
            "standard" => Ok(Self::Standard),
            "max" => Ok(Self::Max),
            _ => Err(format!("`{text}` is not `safe`, `standard` or `max`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(text: &str) -> String {
        Profile::parse(text, "mine.toml").unwrap_err().to_string()
    }

    const HEAD: &str = "name = 'x'\ndescription = ''\nrisk = 'low'\nlevel = 'safe'\n";

    #[test]
    fn every_built_in_profile_has_examples_and_they_hold() {
        for profile in Profile::built_in() {
            assert!(!profile.examples.remove.is_empty(), "{}", profile.name);
            assert!(!profile.examples.keep.is_empty(), "{}", profile.name);
            assert_eq!(Profile::parse(&profile.to_toml(), "printed").unwrap(), profile);
        }
    }

    #[test]
    fn what_is_wrong_with_a_profile_is_said_with_its_place() {
        assert!(error_of("name = ").contains("line 1, column 8"));
        assert!(error_of(&format!("{HEAD}colour = 'red'")).contains("unknown field `colour`"));
        assert_eq!(
            error_of(&format!("{HEAD}unless-imported = ['@all']")),
            "profile `x`: there is no list of modules `@all`; the one that exists is `@compile`"
        );
        assert_eq!(
            error_of(&format!("{HEAD}remove = ['a[']")),
            "profile `x`: glob `a[` is malformed: unclosed character class; missing ']'"
        );
        assert_eq!(
            error_of(&format!("{HEAD}remove = ['a/*']\n[examples]\nremove = ['a']")),
            "profile `x`: its rules should remove the example `a`, but do not"
        );
    }

    #[test]
    fn a_star_does_not_match_a_slash_and_a_folder_that_stays_keeps_all_below() {
        let text = format!(
            "{HEAD}remove = ['/a/*', 'b']\nkeep = ['b/c']\n[examples]\nremove = ['a/x', 'a/x/y', 'b/d/e']\nkeep = ['a', 'c/a/x', 'b/c/d']"
        );
        Profile::parse(&text, "mine.toml").unwrap();
    }

    #[test]
    fn a_variable_that_names_the_root_or_is_not_set_adds_no_rule() {
        let text = format!("{HEAD}[needs]\nV = ['http']\n[examples]\nremove = ['V/http/x']\nkeep = ['http']");
        let profile = Profile::parse(&text, "mine.toml").unwrap();
        for value in [None, Some("/"), Some("/../x")] {
            let rules = Rules::of_profile(&profile, &|_| value.map(str::to_owned)).unwrap();
            let path = RootfsPath::parse(b"http").unwrap();
            let book = RuleBook::new(vec![rules]).unwrap();
            book.for_each_claim(Scope::Root, &candidate(path.as_bytes()), &mut Vec::new(), |_, glob| {
                panic!("{value:?}: {glob}")
            });
        }
    }
}
