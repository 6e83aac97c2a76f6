//! Package databases: read what is installed and what depends on what, and write it back with packages gone. Pure.

pub mod alternatives;
pub mod apk;
pub mod conda;
pub mod dpkg;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::rootfs_path::RootfsPath;

/// An installed package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version, as the distribution writes it.
    pub version: String,
    /// The source package that it was built from, if that has another name or version.
    pub source: Option<SourcePackage>,
    /// Its processor, for packages that may be installed for several.
    pub architecture: String,
    /// Its section (`libs`, `devel`); empty where the distribution has none.
    pub section: String,
    /// Whether the package manager itself refuses to remove it: essential, protected or required.
    pub is_protected: bool,
    /// Whether a person, or an image's recipe, asked for it; false if it came as a dependency.
    pub is_manual: bool,
    /// What it depends on: each item is a list of alternatives, of which one is enough.
    pub depends: Vec<Vec<String>>,
    /// What it recommends, likewise.
    pub recommends: Vec<Vec<String>>,
    /// Its state, if that is another than installed; its files lie in the image all the same.
    pub state: Option<String>,
    /// Further names under which others may depend on it.
    pub provides: Vec<String>,
    /// The paths that it owns, as its list writes them; parents may be symlinks.
    pub files: Vec<RootfsPath>,
}

/// A source package: security advisories name these.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourcePackage {
    /// Its name.
    pub name: String,
    /// Its version, if that is another than the package's own.
    pub version: Option<String>,
}

/// Which package of a [`PackageDb`], by its place there.
pub type PackageId = usize;

/// Which package manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// Debian's dpkg, with a full database.
    Dpkg,
    /// Debian's dpkg as distroless images have it: one file a package in `status.d`.
    Distroless,
    /// Alpine's apk.
    Apk,
}

/// All installed packages.
#[derive(Debug, Clone)]
pub struct PackageDb {
    /// Which package manager.
    pub manager: Manager,
    /// The packages, in the order of the database.
    pub packages: Vec<Package>,
    by_name: HashMap<String, Vec<PackageId>>,
}

impl Package {
    /// Returns the programs that the package owns: files in folders of programs.
    pub fn programs(&self) -> impl Iterator<Item = &RootfsPath> {
        const FOLDERS: [&[u8]; 6] = [b"usr/bin", b"bin", b"usr/sbin", b"sbin", b"usr/games", b"usr/local/bin"];
        self.files.iter().filter(|path| FOLDERS.contains(&path.parent_bytes()))
    }
}

/// Texts of files, by path.
pub type Texts = BTreeMap<RootfsPath, Arc<str>>;

/// Tells whether a path is gone.
pub type IsGone<'a> = dyn Fn(&RootfsPath) -> bool + Sync + 'a;

/// A file of the rootfs that gets another content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Which file.
    pub path: RootfsPath,
    /// Its new content.
    pub content: String,
}

/// What becomes of the database's own files when packages go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DatabaseChange {
    /// Files with another content.
    pub edits: Vec<Edit>,
    /// Files that go.
    pub removed: Vec<RootfsPath>,
}

/// Returns whether a file says which packages are installed, and which of them somebody asked for.
pub fn says_what_is_installed(path: &str) -> bool {
    dpkg::says_what_is_installed(path) || apk::wants(path)
}

/// Tells whether the content of a file is needed to read or edit the database of some package manager.
pub fn wants(path: &str) -> bool {
    dpkg::wants(path) || apk::wants(path) || conda::wants(path)
}

impl PackageDb {
    /// Reads the database of whichever package manager there is; `None` if there is none. What is malformed is told to
    /// `report` and left alone.
    pub fn read(texts: &Texts, report: &mut dyn FnMut(String)) -> Option<Self> {
        dpkg::read(texts, report).or_else(|| apk::read(texts, report))
    }

    fn new(manager: Manager, packages: Vec<Package>) -> Self {
        let mut by_name: HashMap<String, Vec<PackageId>> = HashMap::new();
        for (id, package) in packages.iter().enumerate() {
            for name in std::iter::once(&package.name).chain(&package.provides) {
                by_name.entry(name.clone()).or_default().push(id);
            }
        }
        Self { manager, packages, by_name }
    }

    /// Returns the packages that have or provide a name.
    pub fn named(&self, name: &str) -> &[PackageId] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// Returns what satisfies the dependencies of a package today. Of alternatives, the first that is installed counts;
    /// of several packages that provide a name, all do.
    pub fn dependencies(&self, id: PackageId) -> impl Iterator<Item = PackageId> + '_ {
        self.satisfying(&self.packages[id].depends)
    }

    /// Returns the installed packages that a package recommends, as [`PackageDb::dependencies`] does.
    pub fn recommended(&self, id: PackageId) -> impl Iterator<Item = PackageId> + '_ {
        self.satisfying(&self.packages[id].recommends)
    }

    fn satisfying<'a>(&'a self, relations: &'a [Vec<String>]) -> impl Iterator<Item = PackageId> + 'a {
        relations.iter().flat_map(|alternatives| {
            let installed = alternatives.iter().map(|name| self.named(name)).find(|found| !found.is_empty());
            installed.unwrap_or_default().iter().copied()
        })
    }

    /// Returns the packages that somebody asked for: those of the name, and with apk, those that provide it.
    pub fn manual(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.is_manual)
    }

    /// Returns a package's name for people.
    pub fn label(&self, id: PackageId) -> &str {
        &self.packages[id].name
    }

    /// Writes the database back without some packages. `gone` tells whether a path of a package that stays is gone.
    pub fn without(&self, removed: &BTreeSet<PackageId>, texts: &Texts, gone: &IsGone<'_>) -> DatabaseChange {
        match self.manager {
            Manager::Dpkg | Manager::Distroless => dpkg::without(self, removed, texts, gone),
            Manager::Apk => apk::without(self, removed, texts, gone),
        }
    }
}

/// Splits a database into its stanzas, which empty lines part.
fn stanzas(text: &str) -> impl Iterator<Item = &str> {
    text.split("\n\n").map(|stanza| stanza.trim_matches('\n')).filter(|stanza| !stanza.is_empty())
}

impl DatabaseChange {
    /// Adds an edit if it changes anything.
    fn edit(&mut self, path: &RootfsPath, old: &str, new: String) {
        if old != new {
            self.edits.push(Edit { path: path.clone(), content: new });
        }
    }
}
