//! The Python installations of an image, and how each finds a module. Sources: Python's reference, "The import system";
//! documentation of the site module; PEP 405 (virtual environments), PEP 420 (namespace packages).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::collect::Facts;
use crate::image::ImageConfig;
use crate::rootfs::{NodeId, Rootfs};

/// A standard library and the folders of packages that belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Install {
    /// Folder of the standard library.
    pub stdlib: NodeId,
    /// The folder of its programs (`/usr/local/bin`), if it exists.
    pub programs: Option<NodeId>,
    /// Folders in which modules are found, in search order.
    pub roots: Vec<NodeId>,
}

/// All Python installations.
#[derive(Debug)]
pub struct Installs {
    /// The installations.
    pub all: Vec<Install>,
    /// Folders from which every program may import: the working directory, `PYTHONPATH`, and folders of packages
    /// elsewhere.
    pub common: Vec<NodeId>,
    sites: HashMap<NodeId, Site>,
    prefixes: HashSet<NodeId>,
    idle: HashSet<NodeId>,
    /// The folders that path files add, each after the folder of packages that holds the path file.
    pub linked: Vec<(NodeId, NodeId)>,
    found: HashMap<SearchPath, HashMap<Box<str>, Option<Arc<Module>>>>,
}

/// A folder of packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Site {
    /// Its name is `site-packages` or `dist-packages`: it holds only packages.
    Named,
    /// It holds a `.dist-info` (`pip install --target`). An application's own files may lie there, too.
    Recorded,
}

/// Where a module is searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum SearchPath {
    /// One folder.
    Folder(NodeId),
    /// All folders of an installation, and those that every program may import from.
    Install(usize),
}

/// What a dotted name refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// The files that an import of it executes, including each package's `__init__`.
    pub files: Vec<NodeId>,
    /// What can be imported from it.
    pub holds: Holds,
}

/// What can be imported from a dotted name that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// The modules in a package's folder.
    Folder(NodeId),
    /// Nothing: it is a file, which has only attributes.
    Nothing,
    /// Modules that must be searched by their full name: another folder may hold more portions of a namespace package,
    /// or the submodule that is an attribute here.
    Anywhere,
}

impl Installs {
    /// Finds the installations, virtual environments and conda environments.
    pub fn new(rootfs: &Rootfs, config: &ImageConfig, facts: &Facts) -> Self {
        let mut survey = Survey::default();
        survey.walk(rootfs, rootfs.root(), false);
        let mut installs = survey.stdlibs.iter().map(|&stdlib| Install::new(rootfs, stdlib)).collect::<Vec<_>>();
        for (&site, _) in survey.sites.iter().filter(|(_, kind)| **kind == Site::Named) {
            for index in owners(rootfs, facts, &installs, site) {
                installs[index].roots.push(site);
            }
        }
        let mut linked = Vec::new();
        for install in &mut installs {
            for root in install.roots.clone() {
                let added = path_files(rootfs, facts, root);
                linked.extend(added.iter().map(|&folder| (root, folder)));
                install.roots.extend(added);
            }
        }
        let mut common = Vec::new();
        let path = config.env_value("PYTHONPATH").unwrap_or_default().split(':');
        for folder in path.chain(config.text("WorkingDir")).filter(|folder| !folder.is_empty()) {
            common.extend(rootfs.resolve(rootfs.root(), folder.as_bytes(), &mut |_| {}));
        }
        common.extend(survey.sites.iter().filter(|(_, kind)| **kind == Site::Recorded).map(|(&site, _)| site));
        let prefixes =
            installs.iter().map(|install| rootfs.parent(rootfs.parent(install.stdlib))).chain(survey.prefixes);
        let prefixes = prefixes.filter(|&prefix| prefix != rootfs.root()).collect();
        let idle = idle_base(rootfs, config).into_iter().collect();
        Self {
            all: installs,
            common,
            sites: survey.sites.into_iter().collect(),
            prefixes,
            idle,
            linked,
            found: HashMap::new(),
        }
    }

    /// Returns whether a folder holds packages, and how this is known.
    pub fn site(&self, folder: NodeId) -> Option<Site> {
        self.sites.get(&folder).copied()
    }

    /// Returns whether a folder holds a standard library.
    pub fn is_stdlib(&self, folder: NodeId) -> bool {
        self.all.iter().any(|install| install.stdlib == folder)
    }

    /// Returns whether a folder is the prefix of a Python installation, of a virtual environment or of a conda
    /// environment: the folder that holds `bin` and `lib`.
    pub fn is_prefix(&self, folder: NodeId) -> bool {
        self.prefixes.contains(&folder)
    }

    /// Returns whether a folder is conda's base environment while only another environment is in use.
    pub fn is_idle(&self, folder: NodeId) -> bool {
        self.idle.contains(&folder)
    }

    /// Returns the installation whose folders hold a file; `None` for an application's own file.
    pub fn of(&self, rootfs: &Rootfs, file: NodeId) -> Option<usize> {
        let index_of = |folder| self.all.iter().position(|install| install.roots.contains(&folder));
        rootfs.folders_above(file).find_map(index_of)
    }

    /// Finds a dotted name for an importer in an installation. The folder `from` is searched first.
    pub fn find(&mut self, rootfs: &Rootfs, install: usize, from: Option<NodeId>, dotted: &str) -> Option<Arc<Module>> {
        from.and_then(|root| self.look_up(SearchPath::Folder(root), dotted, |_| module(rootfs, root, dotted))).or_else(
            || {
                self.look_up(SearchPath::Install(install), dotted, |installs| {
                    let roots = installs.all[install].roots.iter().chain(&installs.common);
                    // The first regular package or module wins. Portions of a namespace package are searched in turn.
                    roots.copied().find_map(|root| module(rootfs, root, dotted))
                })
            },
        )
    }

    /// Returns the cached result, or finds the module now.
    fn look_up(
        &mut self,
        place: SearchPath,
        dotted: &str,
        find: impl FnOnce(&Self) -> Option<Module>,
    ) -> Option<Arc<Module>> {
        if let Some(found) = self.found.get(&place).and_then(|names| names.get(dotted)) {
            return found.clone();
        }
        let found = find(self).map(Arc::new);
        self.found.entry(place).or_default().insert(dotted.into(), found.clone());
        found
    }
}

impl Install {
    fn new(rootfs: &Rootfs, stdlib: NodeId) -> Self {
        let child = |node: NodeId, name: &str| rootfs.child(node, name.as_bytes());
        let prefix = rootfs.parent(rootfs.parent(stdlib));
        let mut roots = vec![stdlib];
        roots.extend(child(stdlib, "lib-dynload"));
        Self { stdlib, programs: child(prefix, "bin"), roots }
    }
}

/// What a walk over the rootfs finds.
#[derive(Default)]
struct Survey {
    stdlibs: Vec<NodeId>,
    sites: BTreeMap<NodeId, Site>,
    prefixes: Vec<NodeId>,
}

impl Survey {
    fn walk(&mut self, rootfs: &Rootfs, folder: NodeId, mut is_in_site: bool) {
        if rootfs.child(folder, b"os.py").is_some() && rootfs.child(folder, b"encodings").is_some() {
            self.stdlibs.push(folder);
        }
        if matches!(rootfs.name(folder), b"site-packages" | b"dist-packages") {
            self.sites.insert(folder, Site::Named);
            is_in_site = true;
        } else if !is_in_site && rootfs.named_children(folder).any(|(name, child)| is_record_of(rootfs, name, child)) {
            self.sites.insert(folder, Site::Recorded);
            is_in_site = true;
        }
        if rootfs.child(folder, b"pyvenv.cfg").is_some() || rootfs.child(folder, b"conda-meta").is_some() {
            self.prefixes.push(folder);
        }
        for &child in rootfs.children(folder) {
            if rootfs.is_directory(child) {
                self.walk(rootfs, child, is_in_site);
            }
        }
    }
}

/// Returns conda's base environment, if the first Python in `PATH` belongs to another environment in the base's `envs`.
fn idle_base(rootfs: &Rootfs, config: &ImageConfig) -> Option<NodeId> {
    let path = config.env_value("PATH")?.split(':').filter(|folder| !folder.is_empty());
    let mut folders = path.filter_map(|folder| rootfs.resolve(rootfs.root(), folder.as_bytes(), &mut |_| {}));
    let programs = folders
        .find(|&folder| rootfs.child(folder, b"python").is_some() || rootfs.child(folder, b"python3").is_some())?;
    let environment = rootfs.parent(programs);
    let envs = rootfs.parent(environment);
    let is_conda = |folder: NodeId| rootfs.child(folder, b"conda-meta").is_some();
    (rootfs.name(envs) == b"envs" && is_conda(environment)).then(|| rootfs.parent(envs)).filter(|&base| is_conda(base))
}

/// Returns whether a folder is a distribution's `.dist-info` with a RECORD.
fn is_record_of(rootfs: &Rootfs, name: &[u8], folder: NodeId) -> bool {
    name.ends_with(b".dist-info") && rootfs.child(folder, b"RECORD").is_some()
}

/// Returns the installations that a folder of packages belongs to: the one that holds it, or the one that its virtual
/// environment names, or those of the same version, or all.
fn owners(rootfs: &Rootfs, facts: &Facts, installs: &[Install], site: NodeId) -> Vec<usize> {
    let parent = rootfs.parent(site);
    if let Some(index) = installs.iter().position(|install| install.stdlib == parent) {
        return vec![index];
    }
    let prefix = rootfs.parent(rootfs.parent(parent));
    if let Some(index) =
        home(rootfs, facts, prefix).and_then(|home| installs.iter().position(|install| install.programs == Some(home)))
    {
        return vec![index];
    }
    let version = rootfs.name(parent);
    let same = |install: &Install| {
        let name = rootfs.name(install.stdlib);
        // Debian's `python3/dist-packages` serves Debian's own Python, whatever its version.
        name == version || version == b"python3" && rootfs.path(install.stdlib).parent() == rootfs.path(parent).parent()
    };
    let found = (0..installs.len()).filter(|&index| same(&installs[index])).collect::<Vec<_>>();
    if found.is_empty() { (0..installs.len()).collect() } else { found }
}

/// Returns the folder of programs that a virtual environment's `pyvenv.cfg` names as its home.
fn home(rootfs: &Rootfs, facts: &Facts, prefix: NodeId) -> Option<NodeId> {
    let config = rootfs.child(prefix, b"pyvenv.cfg")?;
    let text = facts.get(config)?.text.as_ref()?;
    let line =
        text.lines().find_map(|line| line.strip_prefix("home").and_then(|rest| rest.trim_start().strip_prefix('=')))?;
    rootfs.resolve(rootfs.root(), line.trim().as_bytes(), &mut |_| {})
}

/// Returns the folders that `.pth` and `.egg-link` files in a folder of packages add.
fn path_files(rootfs: &Rootfs, facts: &Facts, root: NodeId) -> Vec<NodeId> {
    let mut found = Vec::new();
    for (name, child) in rootfs.named_children(root) {
        if !name.ends_with(b".pth") && !name.ends_with(b".egg-link") {
            continue;
        }
        let Some(text) = facts.get(child).and_then(|facts| facts.text.as_ref()) else { continue };
        for line in
            text.lines().filter(|line| !line.is_empty() && !line.starts_with("import") && !line.starts_with('#'))
        {
            found.extend(rootfs.resolve(root, line.trim().as_bytes(), &mut |_| {}));
        }
    }
    found
}

/// Finds a dotted name below one folder; `None` if it does not exist there.
pub fn module(rootfs: &Rootfs, root: NodeId, dotted: &str) -> Option<Module> {
    let mut folder = root;
    let mut files = Vec::new();
    let mut parts = dotted.split('.').peekable();
    while let Some(part) = parts.next() {
        let package = rootfs
            .child(folder, part.as_bytes())
            .and_then(|node| rootfs.resolve(folder, part.as_bytes(), &mut |_| {}).or(Some(node)));
        let package = package.filter(|&node| rootfs.is_directory(node));
        let init = package.and_then(|package| source(rootfs, package, "__init__"));
        if let (Some(package), Some(init)) = (package, init) {
            files.push(init);
            folder = package;
        } else if let Some(file) = source(rootfs, folder, part) {
            files.push(file);
            // The rest is an attribute of the module.
            return Some(Module { files, holds: Holds::Nothing });
        } else if let Some(package) = package {
            folder = package;
        } else {
            // The last part may be an attribute of a package.
            let is_attribute = parts.peek().is_none() && !files.is_empty();
            return is_attribute.then_some(Module { files, holds: Holds::Anywhere });
        }
    }
    let holds = if files.is_empty() { Holds::Anywhere } else { Holds::Folder(folder) };
    Some(Module { files, holds })
}

/// Finds `name.py`, a compiled extension, or a module shipped without its source.
fn source(rootfs: &Rootfs, folder: NodeId, name: &str) -> Option<NodeId> {
    rootfs.child(folder, format!("{name}.py").as_bytes()).or_else(|| {
        let is_module = |&file: &NodeId| {
            let file = rootfs.name(file);
            file.ends_with(b".so") || file.ends_with(b".pyc")
        };
        rootfs.children_from(folder, format!("{name}.").as_bytes()).find(is_module)
    })
}
