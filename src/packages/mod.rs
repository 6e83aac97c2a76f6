//! Package databases. Reads the installed packages and their dependencies, and edits the database when packages are
//! removed. Pure.

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
    /// The source package, if its name or version differs.
    pub source: Option<SourcePackage>,
    /// Its architecture, if packages of several can be installed together.
    pub architecture: String,
    /// Its section (`libs`, `devel`); empty where the distribution has none.
    pub section: String,
    /// Whether the package manager refuses to remove it: essential, protected or required.
    pub is_protected: bool,
    /// Whether a user or an image's recipe requested it. False if it was installed as a dependency.
    pub is_manual: bool,
    /// Its dependencies. Each item is a list of alternatives, of which one suffices.
    pub depends: Vec<Vec<String>>,
    /// Its recommendations, in the same form.
    pub recommends: Vec<Vec<String>>,
    /// Its state, if it is not `installed`. Its files are in the image anyway.
    pub state: Option<String>,
    /// Other names that packages can depend on.
    pub provides: Vec<String>,
    /// The paths that it owns, as its list writes them. Parents may be symlinks.
    pub files: Vec<RootfsPath>,
}

/// A source package. Security advisories use its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourcePackage {
    /// Its name.
    pub name: String,
    /// Its version, if it differs from that of the package.
    pub version: Option<String>,
}

/// Index of a package in a [`PackageDb`].
pub type PackageId = usize;

/// A package manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// Debian's dpkg with a full database.
    Dpkg,
    /// Debian's dpkg in distroless images: one file per package in `status.d`.
    Distroless,
    /// Alpine's apk.
    Apk,
}

/// All installed packages.
#[derive(Debug, Clone)]
pub struct PackageDb {
    /// The package manager.
    pub manager: Manager,
    /// The packages, in database order.
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

/// Contents of text files, by path.
pub type Texts = BTreeMap<RootfsPath, Arc<str>>;

/// Returns whether a path is removed.
pub type IsGone<'a> = dyn Fn(&RootfsPath) -> bool + Sync + 'a;

/// A file of the rootfs with new content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The file.
    pub path: RootfsPath,
    /// Its new content.
    pub content: String,
}

/// The changes to the database's own files when packages are removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DatabaseChange {
    /// Files with new content.
    pub edits: Vec<Edit>,
    /// Files to remove.
    pub removed: Vec<RootfsPath>,
}

/// Returns whether a file lists the installed packages, or which of them were requested.
pub fn says_what_is_installed(path: &str) -> bool {
    dpkg::says_what_is_installed(path) || apk::wants(path)
}

/// Returns whether the content of a file is needed to read or edit the database of any package manager.
pub fn wants(path: &str) -> bool {
    dpkg::wants(path) || apk::wants(path) || conda::wants(path)
}

impl PackageDb {
    /// Reads the database of the image's package manager. Returns `None` if there is none. Malformed parts are reported
    /// and left unchanged.
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

    /// Returns the installed packages that satisfy the dependencies of a package. Of alternatives, the first installed
    /// one counts. If several packages provide a name, all count.
    pub fn dependencies(&self, id: PackageId) -> impl Iterator<Item = PackageId> + '_ {
        self.satisfying(&self.packages[id].depends)
    }

    /// Returns the installed packages that a package recommends. Like [`PackageDb::dependencies`].
    pub fn recommended(&self, id: PackageId) -> impl Iterator<Item = PackageId> + '_ {
        self.satisfying(&self.packages[id].recommends)
    }

    fn satisfying<'a>(&'a self, relations: &'a [Vec<String>]) -> impl Iterator<Item = PackageId> + 'a {
        relations.iter().flat_map(|alternatives| {
            let installed = alternatives.iter().map(|name| self.named(name)).find(|found| !found.is_empty());
            installed.unwrap_or_default().iter().copied()
        })
    }

    /// Returns the requested packages. For apk, these include packages that provide a requested name.
    pub fn manual(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.is_manual)
    }

    /// Returns the display name of a package.
    pub fn label(&self, id: PackageId) -> &str {
        &self.packages[id].name
    }

    /// Edits the database to remove packages. `gone` returns whether a path of a kept package is removed.
    pub fn without(&self, removed: &BTreeSet<PackageId>, texts: &Texts, gone: &IsGone<'_>) -> DatabaseChange {
        match self.manager {
            Manager::Dpkg | Manager::Distroless => dpkg::without(self, removed, texts, gone),
            Manager::Apk => apk::without(self, removed, texts, gone),
        }
    }
}

/// Splits a database into its stanzas, which are separated by empty lines.
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
