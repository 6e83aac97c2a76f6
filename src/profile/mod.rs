//! Removal profiles: named sets of rules in TOML, and how they match paths of a rootfs.
//!
//! ```toml
//! name = "pip-cache"
//! description = "Download and build caches of Python's package managers"
//! risk = "none"                    # none, low, medium or high
//! level = "safe"                   # the lowest level that takes it in: safe, standard or max
//! remove = ["**/.cache/pip"]       # a folder that matches goes with all below it
//! keep = ["**/.cache/pip/keep"]    # what this profile leaves although its rules name it
//! emptied = ["**/__pycache__"]     # folders that go once nothing is left in them
//!
//! [needs]                          # rules that need a variable of the image's Env; globs below the folder it names
//! PIP_CACHE_DIR = ["http-v2"]
//!
//! packages = ["gcc-*"]             # globs of operating-system packages, which go whole, with what only they needed
//! sections = ["devel"]             # sections of Debian packages, likewise
//! owned-files = true               # may take single files of packages that stay (docs and the like only)
//! unless-installed = ["gitpython"] # nothing of this profile goes if such a Python distribution is installed,
//! unless-imported = ["triton"]     # or if such a module is imported from outside of its own package
//! unless-run = ["git"]             # or if the application itself names such a program
//! programs = ["gcc*"]              # programs that this profile is about: a glob of `packages` takes no package that has others
//! leftovers = true                 # takes nothing that a Python distribution lists in its RECORD
//! only = { pdb = "debug-database" } # of files with this extension, only those with this content
//!
//! [examples]                       # paths that show what the rules mean; checked whenever a profile of yours is read
//! remove = ["root/.cache/pip/http-v2/a"]
//! keep = ["app/cache/pip"]
//! ```
//!
//! Globs are globset's, on the path in the rootfs without its leading slash; `*` and `?` do not match a slash, `**` does. A glob that
//! starts with `{prefix}/`, `{stdlib}/` or `{site}/` is relative to each Python installation: to the folder that holds its `bin` and `lib`, to its standard
//! library, to each of its folders of packages; `{idle}/` is conda's base environment, if only another one is in use.

mod rules;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use rules::{PackageFacts, RuleBook, Rules, Scope, candidate};

use crate::content::Content;
use crate::rootfs_path::RootfsPath;

/// The profiles that are built into the program, in the order in which they claim paths.
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
    /// What no program can miss.
    Safe,
    /// What an application that runs can do without.
    #[default]
    Standard,
    /// All that is not needed to run, at some price (licence texts, package managers).
    Max,
}

/// How likely a profile's rules are to take something that is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Risk {
    /// Nothing reads these files at run time.
    None,
    /// Something may be slower, or a message less clear.
    Low,
    /// A program that does unusual things may miss something.
    Medium,
    /// Look at the plan first.
    High,
}

/// A named set of removal rules, as its TOML file says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Its name, unique among the profiles of a run.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// How risky it is.
    pub risk: Risk,
    /// The lowest level that takes it in.
    pub level: Level,
    /// Globs of what goes.
    #[serde(default)]
    pub remove: Vec<String>,
    /// Globs of what stays although `remove` names it.
    #[serde(default)]
    pub keep: Vec<String>,
    /// Globs of folders that go once nothing is left in them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub emptied: Vec<String>,
    /// Globs of names of operating-system packages that go whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
    /// Globs of sections of packages that go whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sections: Vec<String>,
    /// Globs of names of programs that the profile is about: a glob of `packages` takes no package that owns others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub programs: Vec<String>,
    /// Globs of names of conda packages that go whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conda: Vec<String>,
    /// Whether `remove` takes nothing that a Python distribution lists in its RECORD.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leftovers: bool,
    /// For some extensions of files, the content that a file must have to go.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub only: BTreeMap<String, Content>,
    /// Whether `remove` may take single files that a package owns which stays.
    #[serde(default, rename = "owned-files", skip_serializing_if = "std::ops::Not::not")]
    pub owned_files: bool,
    /// Python distributions (normalised names) that may use what this profile removes.
    #[serde(default, rename = "unless-installed", skip_serializing_if = "Vec::is_empty")]
    pub unless_installed: Vec<String>,
    /// Modules whose importers may use what this profile removes.
    #[serde(default, rename = "unless-imported", skip_serializing_if = "Vec::is_empty")]
    pub unless_imported: Vec<String>,
    /// Programs by whose names the application itself uses what this profile removes.
    #[serde(default, rename = "unless-run", skip_serializing_if = "Vec::is_empty")]
    pub unless_run: Vec<String>,
    /// Variable of the image's Env, and globs below the folder that it names.
    #[serde(default)]
    pub needs: BTreeMap<String, Vec<String>>,
    /// Paths that show what the rules mean.
    #[serde(default)]
    pub examples: Examples,
}

/// Paths that show what a profile's rules mean.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Examples {
    /// Paths that go.
    #[serde(default)]
    pub remove: Vec<String>,
    /// Paths that stay.
    #[serde(default)]
    pub keep: Vec<String>,
}

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// Not a profile's TOML.
    #[error("profile `{origin}` cannot be read: {why}")]
    Toml {
        /// Where it came from.
        origin: String,
        /// Why, with line and column.
        why: String,
    },
    /// A glob is malformed.
    #[error("profile `{profile}`: glob `{glob}` is malformed: {}", .source.kind())]
    Glob {
        /// Which profile.
        profile: String,
        /// Which glob.
        glob: String,
        /// Why.
        source: globset::Error,
    },
    /// An example is not decided as it says.
    #[error("profile `{profile}`: its rules should {verdict} the example `{path}`, but do not")]
    Example {
        /// Which profile.
        profile: String,
        /// `remove` or `keep`.
        verdict: &'static str,
        /// Which example.
        path: String,
    },
    /// No profile has this name.
    #[error("there is no profile `{name}`")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// Two profiles have one name.
    #[error("two profiles are named `{0}`")]
    Twice(String),
}

impl Profile {
    /// Parses a profile and checks its examples. `origin` is its file's name, for messages.
    ///
    /// # Errors
    /// If it is malformed, or its rules do not do what its examples say.
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
        // A test checks their examples, so that not every run has to.
        let parse = |text| Self::parse_unchecked(text, "built-in").unwrap_or_else(|error| panic!("{error}"));
        BUILT_IN.into_iter().map(parse).collect()
    }

    /// Returns the profile as TOML.
    ///
    /// # Panics
    /// Never: a profile has no value that TOML cannot hold.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).unwrap_or_else(|error| panic!("{error}"))
    }

    fn check_examples(&self) -> Result<(), ProfileError> {
        // Each variable stands for a folder of its own name, so that examples can show rules that need it.
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

/// Words what is wrong with a TOML text in one line, with its place.
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
