//! Rules compiled: which paths of a rootfs a profile's globs name.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use globset::{Candidate, Glob, GlobBuilder, GlobSet, GlobSetBuilder};

use super::{Profile, ProfileError};
use crate::rootfs_path::RootfsPath;

/// A profile's globs, compiled for one image.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The profile's name.
    pub profile: Arc<str>,
    /// Whether its globs may take single files of packages that stay.
    pub takes_owned: bool,
    /// Python distributions that may use what it removes.
    pub unless_installed: Vec<String>,
    /// Modules whose importers may use what it removes.
    pub unless_imported: Vec<String>,
    remove: Vec<Glob>,
    remove_texts: Vec<Arc<str>>,
    keep: GlobSet,
    packages: GlobSet,
    sections: GlobSet,
}

impl Rules {
    /// Compiles a profile. `env` gives the image's environment variables.
    ///
    /// # Errors
    /// If a glob is malformed.
    pub fn of_profile(profile: &Profile, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ProfileError> {
        let mut remove = profile.remove.clone();
        for (variable, globs) in &profile.needs {
            let folder = env(variable).and_then(|folder| RootfsPath::parse(folder.as_bytes()).ok());
            if let Some(folder) = folder.filter(|folder| !folder.is_root()) {
                let folder = globset::escape(&String::from_utf8_lossy(folder.as_bytes()));
                remove.extend(globs.iter().map(|glob| format!("{folder}/{glob}")));
            }
        }
        Ok(Self {
            takes_owned: profile.owned_files,
            unless_installed: profile.unless_installed.clone(),
            unless_imported: profile.unless_imported.clone(),
            packages: glob_set(&profile.name, &profile.packages)?,
            sections: glob_set(&profile.name, &profile.sections)?,
            ..Self::new(&profile.name, remove, &profile.keep)?
        })
    }

    /// Compiles globs that are no profile's, such as the command line's.
    ///
    /// # Errors
    /// If a glob is malformed.
    pub fn new(name: &str, remove: Vec<String>, keep: &[String]) -> Result<Self, ProfileError> {
        Ok(Self {
            profile: name.into(),
            takes_owned: true,
            unless_installed: Vec::new(),
            unless_imported: Vec::new(),
            remove: globs(name, &remove)?,
            keep: glob_set(name, keep)?,
            packages: GlobSet::empty(),
            sections: GlobSet::empty(),
            remove_texts: remove.into_iter().map(Into::into).collect(),
        })
    }

    /// Returns one of its globs, by number.
    pub fn glob(&self, number: usize) -> &Arc<str> {
        &self.remove_texts[number]
    }

    /// Tells whether it names any packages.
    pub fn names_packages(&self) -> bool {
        !self.packages.is_empty() || !self.sections.is_empty()
    }

    /// Tells whether it names a package.
    pub fn claims_package(&self, name: &str, section: &str) -> bool {
        self.packages.is_match(name) || self.sections.is_match(section)
    }

    /// Tells whether a path stays, with all below it, although `remove` names it.
    pub fn keeps(&self, path: &Candidate<'_>) -> bool {
        self.keep.is_match_candidate(path)
    }
}

/// The globs of several rules as one set: a path is matched once against all of them, which is several times as fast as
/// one after the other.
#[derive(Debug, Clone, Default)]
pub struct RuleBook {
    rules: Vec<Rules>,
    all: GlobSet,
    /// For each glob of the set, which rules have it, and its number there; in that order.
    of: Vec<(usize, usize)>,
}

impl RuleBook {
    /// Puts rules together.
    ///
    /// # Errors
    /// If they cannot be compiled as one.
    pub fn new(rules: Vec<Rules>) -> Result<Self, ProfileError> {
        let numbered = rules.iter().enumerate();
        let of = numbered.flat_map(|(book, rules)| (0..rules.remove.len()).map(move |glob| (book, glob))).collect();
        let all = set_of(rules.iter().flat_map(|rules| &rules.remove));
        Ok(Self { all: all.map_err(glob_error("all", "of all profiles"))?, rules, of })
    }

    /// Returns the rules, in order.
    pub fn rules(&self) -> &[Rules] {
        &self.rules
    }

    /// Tells which rules name a path for removal, by their place, in order, each with the number of the first of its globs that
    /// does. `matched` is memory that is used again.
    pub fn for_each_claim(&self, path: &Candidate<'_>, matched: &mut Vec<usize>, mut claim: impl FnMut(usize, usize)) {
        self.all.matches_candidate_into(path, matched);
        let mut last = None;
        for &number in &*matched {
            let (rules, glob) = self.of[number];
            if last.replace(rules) != Some(rules) {
                claim(rules, glob);
            }
        }
    }
}

/// Prepares a path for matching against several [`Rules`].
pub fn candidate(path: &RootfsPath) -> Candidate<'_> {
    Candidate::new(Path::new(OsStr::from_bytes(path.as_bytes())))
}

fn globs(profile: &str, globs: &[String]) -> Result<Vec<Glob>, ProfileError> {
    globs.iter().map(|text| parse_glob(text).map_err(glob_error(profile, text))).collect()
}

fn glob_set(profile: &str, texts: &[String]) -> Result<GlobSet, ProfileError> {
    set_of(&globs(profile, texts)?).map_err(glob_error(profile, &texts.join(" ")))
}

fn set_of<'a>(globs: impl IntoIterator<Item = &'a Glob>) -> Result<GlobSet, globset::Error> {
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        set.add(glob.clone());
    }
    set.build()
}

fn glob_error(profile: &str, glob: &str) -> impl FnOnce(globset::Error) -> ProfileError {
    let (profile, glob) = (profile.to_owned(), glob.to_owned());
    move |source| ProfileError::Glob { profile, glob, source }
}

fn parse_glob(text: &str) -> Result<Glob, globset::Error> {
    GlobBuilder::new(text.trim_start_matches('/').trim_end_matches('/'))
        .literal_separator(true)
        .backslash_escape(true)
        .empty_alternates(true)
        .build()
}
