//! Compiled rules: which paths of a rootfs the globs of a profile match.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use globset::{Candidate, Glob, GlobBuilder, GlobSet, GlobSetBuilder};

use super::modules::listed;
use super::{Profile, ProfileError};
use crate::content::Content;
use crate::rootfs_path::RootfsPath;

/// The folder that a glob is relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// The root of the image.
    Root,
    /// The folder that contains `bin` and `lib` of a Python installation, a virtual environment or a conda environment.
    Prefix,
    /// A standard library.
    Stdlib,
    /// A folder of packages.
    Site,
    /// conda's base environment, if only another environment is in use.
    Idle,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 5] = [Self::Root, Self::Prefix, Self::Stdlib, Self::Site, Self::Idle];

    /// Splits off the scope of a glob.
    pub fn split(glob: &str) -> (Self, &str) {
        let scopes = [
            ("{prefix}/", Self::Prefix),
            ("{stdlib}/", Self::Stdlib),
            ("{site}/", Self::Site),
            ("{idle}/", Self::Idle),
        ];
        let named = scopes.into_iter().find_map(|(name, scope)| Some((scope, glob.strip_prefix(name)?)));
        named.unwrap_or((Self::Root, glob))
    }
}

/// One set of globs per scope.
#[derive(Debug, Clone, Default)]
struct ScopedSets([GlobSet; 5]);

impl ScopedSets {
    fn new(profile: &str, texts: &[String]) -> Result<Self, ProfileError> {
        let mut sets = Self::default();
        for scope in Scope::ALL {
            let own = texts.iter().map(|text| Scope::split(text)).filter(|(of, _)| *of == scope);
            let own = own.map(|(_, glob)| glob.to_owned()).collect::<Vec<_>>();
            sets.0[scope as usize] = glob_set(profile, &own)?;
        }
        Ok(sets)
    }

    fn is_match(&self, scope: Scope, path: &Candidate<'_>) -> bool {
        self.0[scope as usize].is_match_candidate(path)
    }
}

/// The globs of a profile, compiled for one image.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// The profile's name.
    pub profile: Arc<str>,
    /// Whether its globs may match single files of kept packages.
    pub takes_owned: bool,
    /// Whether its globs match nothing that a Python distribution lists in its RECORD.
    pub leftovers: bool,
    /// The required content of files with some extensions. Other content is kept.
    pub only: BTreeMap<String, Content>,
    /// Python distributions that may use what the profile removes.
    pub unless_installed: Vec<String>,
    /// Modules whose importers may use what the profile removes.
    pub unless_imported: Vec<String>,
    /// Programs that the application names if it uses what the profile removes.
    pub unless_run: Vec<String>,
    remove: Vec<(Scope, Glob)>,
    remove_texts: Vec<Arc<str>>,
    keep: ScopedSets,
    emptied: ScopedSets,
    packages: PackageGlobs,
    conda: GlobSet,
}

/// The operating-system packages that a profile matches.
#[derive(Debug, Clone, Default)]
struct PackageGlobs {
    names: BTreeSet<String>,
    globs: GlobSet,
    sections: GlobSet,
    programs: GlobSet,
    /// The globs of files that the profile removes. Programs that they match count like `programs`.
    removes: GlobSet,
}

/// The facts about a package that rules use.
#[derive(Debug, Clone, Copy)]
pub struct PackageFacts<'a> {
    /// The name.
    pub name: &'a str,
    /// The section. Empty where the distribution has none.
    pub section: &'a str,
    /// The programs that it owns, as paths in the rootfs.
    pub programs: &'a [RootfsPath],
}

impl Rules {
    /// Compiles a profile. `env` returns the image's environment variables.
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
        let rules = Self::new(&profile.name, remove, &profile.keep)?;
        let removes = set_of(rules.remove.iter().filter(|(scope, _)| *scope == Scope::Root).map(|(_, glob)| glob));
        let is_glob = |name: &&String| name.contains(['*', '?', '[', '{']);
        let (globs, names) = profile.packages.iter().partition::<Vec<_>, _>(is_glob);
        Ok(Self {
            takes_owned: profile.owned_files,
            leftovers: profile.leftovers,
            only: profile.only.clone(),
            unless_installed: profile.unless_installed.clone(),
            unless_imported: modules_of(profile)?,
            unless_run: profile.unless_run.clone(),
            packages: PackageGlobs {
                names: names.into_iter().cloned().collect(),
                globs: glob_set(&profile.name, &globs.into_iter().cloned().collect::<Vec<_>>())?,
                sections: glob_set(&profile.name, &profile.sections)?,
                programs: glob_set(&profile.name, &profile.programs)?,
                removes: removes.map_err(glob_error(&profile.name, "of `remove`"))?,
            },
            conda: glob_set(&profile.name, &profile.conda)?,
            emptied: ScopedSets::new(&profile.name, &profile.emptied)?,
            ..rules
        })
    }

    /// Compiles globs that do not belong to a profile, such as those of the command line.
    ///
    /// # Errors
    /// If a glob is malformed.
    pub fn new(name: &str, remove: Vec<String>, keep: &[String]) -> Result<Self, ProfileError> {
        let scoped = |text: &String| {
            let (scope, glob) = Scope::split(text);
            parse_glob(glob).map(|glob| (scope, glob)).map_err(glob_error(name, text))
        };
        Ok(Self {
            profile: name.into(),
            takes_owned: true,
            remove: remove.iter().map(scoped).collect::<Result<_, _>>()?,
            keep: ScopedSets::new(name, keep)?,
            remove_texts: remove.into_iter().map(Into::into).collect(),
            ..Self::default()
        })
    }

    /// Returns the text of a glob by its index.
    pub fn glob(&self, number: usize) -> &Arc<str> {
        &self.remove_texts[number]
    }

    /// Returns whether any packages are named.
    pub fn names_packages(&self) -> bool {
        let PackageGlobs { names, globs, sections, .. } = &self.packages;
        !(names.is_empty() && globs.is_empty() && sections.is_empty())
    }

    /// Returns whether the rules match a package: by name, by section, or by a glob. A glob matches only if the package
    /// owns no programs except those that the profile is about.
    pub fn claims_package(&self, package: PackageFacts<'_>) -> bool {
        let PackageGlobs { names, globs, sections, programs, removes } = &self.packages;
        let is_about = |path: &RootfsPath| {
            programs.is_match(String::from_utf8_lossy(path.file_name()).as_ref())
                || removes.is_match_candidate(&candidate(path.as_bytes()))
        };
        names.contains(package.name)
            || !package.section.is_empty() && sections.is_match(package.section)
            || globs.is_match(package.name) && package.programs.iter().all(is_about)
    }

    /// Returns whether the rules match a conda package.
    pub fn claims_conda_package(&self, name: &str) -> bool {
        self.conda.is_match(name)
    }

    /// Returns whether a path, with everything below it, is kept although `remove` matches it.
    pub fn keeps(&self, scope: Scope, path: &Candidate<'_>) -> bool {
        self.keep.is_match(scope, path)
    }

    /// Returns whether a folder is removed once it is empty.
    pub fn takes_emptied(&self, scope: Scope, path: &Candidate<'_>) -> bool {
        self.emptied.is_match(scope, path)
    }
}

/// The globs of several rules, joined to one set per scope. Matching a path once against all of them is several times
/// as fast as one by one.
#[derive(Debug, Clone, Default)]
pub struct RuleBook {
    rules: Vec<Rules>,
    sets: [GlobSet; 5],
    /// For each glob of each set, the index of its rules and its index there, in this order.
    of: [Vec<(usize, usize)>; 5],
}

impl RuleBook {
    /// Joins rules.
    ///
    /// # Errors
    /// If they cannot be compiled together.
    pub fn new(rules: Vec<Rules>) -> Result<Self, ProfileError> {
        let mut book = Self::default();
        for scope in Scope::ALL {
            let numbered = rules.iter().enumerate().flat_map(|(number, rules)| {
                rules.remove.iter().enumerate().map(move |(glob, (of, text))| (*of, text, (number, glob)))
            });
            let own = numbered.filter(|(of, ..)| *of == scope).collect::<Vec<_>>();
            book.of[scope as usize] = own.iter().map(|(.., place)| *place).collect();
            let set = set_of(own.iter().map(|(_, glob, _)| *glob));
            book.sets[scope as usize] = set.map_err(glob_error("all", "of all profiles"))?;
        }
        book.rules = rules;
        Ok(book)
    }

    /// Returns the rules, in order.
    pub fn rules(&self) -> &[Rules] {
        &self.rules
    }

    /// Calls `claim` for each of the rules that match a path in a scope for removal, in order. Passes the index of the
    /// rules and of their first matching glob. `matched` is a reusable buffer.
    pub fn for_each_claim(
        &self,
        scope: Scope,
        path: &Candidate<'_>,
        matched: &mut Vec<usize>,
        mut claim: impl FnMut(usize, usize),
    ) {
        self.sets[scope as usize].matches_candidate_into(path, matched);
        let mut last = None;
        for &number in &*matched {
            let (rules, glob) = self.of[scope as usize][number];
            if last.replace(rules) != Some(rules) {
                claim(rules, glob);
            }
        }
    }
}

/// Prepares a path without a leading slash for matching against several [`Rules`].
pub fn candidate(path: &[u8]) -> Candidate<'_> {
    Candidate::new(Path::new(OsStr::from_bytes(path)))
}

/// Returns the modules of `unless-imported`, with those of the lists that it names.
fn modules_of(profile: &Profile) -> Result<Vec<String>, ProfileError> {
    let unknown = |list: &String| ProfileError::List { profile: profile.name.clone(), list: list.clone() };
    let modules = profile.unless_imported.iter().map(|entry| listed(entry).ok_or_else(|| unknown(entry)));
    Ok(modules.collect::<Result<Vec<_>, _>>()?.concat())
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
    move |error| ProfileError::Glob { profile, glob, why: error.kind().to_string() }
}

fn parse_glob(text: &str) -> Result<Glob, globset::Error> {
    GlobBuilder::new(text.trim_start_matches('/').trim_end_matches('/'))
        .literal_separator(true)
        .backslash_escape(true)
        .empty_alternates(true)
        .build()
}
