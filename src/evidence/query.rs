//! Which other files does this file need, and why?

use super::collect::{Facts, FileFacts};
use super::config::Programs;
use super::library::Libraries;
use super::needs::Reason;
use super::python::{Command, Import, PythonFacts};
use super::world::{Worlds, module};
use crate::image::ImageConfig;
use crate::packages::{self, Texts};
use crate::rootfs::{NodeId, Rootfs};
use crate::rootfs_path::RootfsPath;

/// Top-level packages whose sources name compilers and version control as their business: they build and install, and an
/// image that only runs does not call them. What imports them counts as ever.
const BUILD_TOOLS: [&str; 14] = [
    "pip",
    "setuptools",
    "pkg_resources",
    "wheel",
    "distutils",
    "_distutils_hack",
    "Cython",
    "pyximport",
    "mesonbuild",
    "poetry",
    "virtualenv",
    "flit_core",
    "hatchling",
    "setuptools_scm",
];
/// Packages inside others that are such tools.
const BUILD_PARTS: [&str; 8] = [
    "numpy/distutils",
    "numpy/f2py",
    "scipy/_build_utils",
    "numba/pycc",
    "sklearn/_build_utils",
    "matplotlib/testing",
    "numpy/testing",
    "torch/utils/cpp_extension.py",
];

/// All that the scan found out about an image, ready to be asked.
#[derive(Debug)]
pub struct Evidence {
    facts: Facts,
    worlds: Worlds,
    libraries: Libraries,
    programs: Programs,
}

impl Evidence {
    /// Puts together what the scan found, by the node that a container sees.
    pub fn new(rootfs: &Rootfs, config: &ImageConfig, facts: Facts) -> Self {
        Self {
            worlds: Worlds::new(rootfs, config, &facts),
            libraries: Libraries::new(rootfs, config, &facts),
            programs: Programs::new(config, rootfs),
            facts,
        }
    }

    /// Returns what the scan found in a file.
    pub fn facts(&self, node: NodeId) -> Option<&FileFacts> {
        self.facts.get(node).map(AsRef::as_ref)
    }

    /// Returns every file in which the scan found something, in the order of nodes.
    pub fn files(&self) -> impl Iterator<Item = (NodeId, &FileFacts)> {
        self.facts.iter().map(|(node, facts)| (node, &**facts))
    }

    /// Returns the texts of the package database.
    pub fn database(&self, rootfs: &Rootfs) -> Texts {
        self.texts(rootfs, packages::wants)
    }

    /// Returns the texts of the package database that tell what is installed, but not which files.
    pub fn packages(&self, rootfs: &Rootfs) -> Texts {
        self.texts(rootfs, |path| packages::wants(path) && !path.ends_with(".list") && !path.ends_with(".md5sums"))
    }

    fn texts(&self, rootfs: &Rootfs, wants: impl Fn(&str) -> bool) -> Texts {
        let texts = self.files().filter_map(|(node, facts)| Some((facts.text.as_ref()?, rootfs.path(node))));
        let texts = texts.filter(|(_, path)| wants(&path.to_string()));
        texts.map(|(text, path)| (path, text.clone())).collect()
    }

    /// Returns the Python installations.
    pub fn worlds(&self) -> &Worlds {
        &self.worlds
    }

    /// Returns where programs are looked for.
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// Returns the files that `node` needs. `live` tells which Python installations an application may run on; what a
    /// package's own shell scripts run, the package depends on.
    pub fn needs_of(&mut self, rootfs: &Rootfs, node: NodeId, live: &[bool], is_owned: bool) -> Vec<(NodeId, Reason)> {
        let mut needs = Vec::new();
        let Some(facts) = self.facts.get(node).cloned() else { return needs };
        let from = rootfs.path(node);
        if let Some(elf) = &facts.elf {
            for name in &elf.needed {
                if let Some(library) = self.libraries.needed(rootfs, &from, elf, name) {
                    needs.push((library, Reason::Library { from: from.clone() }));
                }
            }
            if let Some(loader) = elf.interpreter.as_ref().and_then(|path| open(rootfs, path)) {
                needs.push((loader, Reason::Interpreter { from: from.clone() }));
            }
        }
        if let Some(words) = &facts.interpreter {
            needs
                .extend(self.interpreter(rootfs, words).map(|node| (node, Reason::Interpreter { from: from.clone() })));
        }
        let is_application = !is_owned && self.worlds.of(rootfs, node).is_none() && !is_system_script(&from);
        for word in facts.words.iter().filter(|_| is_application) {
            let reason = Reason::Command { from: from.clone(), line: word.line };
            needs.extend(self.programs.find(rootfs, &word.text).map(|program| (program, reason)));
        }
        if let Some(python) = &facts.python {
            self.python(rootfs, node, &from, python, live, &mut needs);
        }
        if let Some(text) = &facts.text {
            self.text(rootfs, node, &from, text, live, &mut needs);
        }
        needs
    }

    /// `#!/usr/bin/env python3` means the program that `env` finds, and `env` itself stays with the system.
    fn interpreter(&self, rootfs: &Rootfs, words: &str) -> Option<NodeId> {
        let mut words = words.split_whitespace();
        let program = words.next()?;
        if program.ends_with("/env") {
            let name = words.find(|word| !word.starts_with('-') && !word.contains('='))?;
            return self.programs.find(rootfs, name);
        }
        open_link(rootfs, program)
    }

    fn python(
        &mut self,
        rootfs: &Rootfs,
        node: NodeId,
        from: &RootfsPath,
        facts: &PythonFacts,
        live: &[bool],
        needs: &mut Vec<(NodeId, Reason)>,
    ) {
        let own = self.worlds.of(rootfs, node);
        let worlds: Vec<usize> = match own {
            Some(world) => vec![world],
            None => (0..live.len()).filter(|&world| live[world]).collect(),
        };
        for import in &facts.imports {
            let reason = Reason::Import { from: from.clone(), line: import.line };
            let files = self.import(rootfs, node, &worlds, import);
            needs.extend(files.into_iter().map(|file| (file, reason.clone())));
        }
        if !self.is_tool(rootfs, own, from) {
            self.mentions(rootfs, from, own.is_some(), facts, needs);
            for mention in &facts.headers {
                let reason = Reason::Data { from: from.clone(), line: mention.line };
                needs
                    .extend(in_own_package(rootfs, node, &mention.text).into_iter().map(|file| (file, reason.clone())));
            }
        }
        for mention in &facts.data {
            let reason = Reason::Data { from: from.clone(), line: mention.line };
            needs.extend(beside(rootfs, node, &mention.text).into_iter().map(|file| (file, reason.clone())));
        }
    }

    /// Libraries that are opened, and programs that are run, by a literal name.
    fn mentions(
        &self,
        rootfs: &Rootfs,
        from: &RootfsPath,
        is_installed: bool,
        facts: &PythonFacts,
        needs: &mut Vec<(NodeId, Reason)>,
    ) {
        for mention in &facts.libraries {
            let reason = Reason::Opened { from: from.clone(), line: mention.line };
            needs.extend(self.libraries.opened(&mention.text).into_iter().map(|library| (library, reason.clone())));
        }
        for command in facts.commands.iter().filter(|command| !(is_installed && asks_about_checkout(command))) {
            let reason = Reason::Command { from: from.clone(), line: command.program.line };
            needs.extend(self.programs.find(rootfs, &command.program.text).map(|program| (program, reason)));
        }
    }

    /// Programs that the standard library or a build tool names are not the application's: `ctypes.util` tries `gcc` after `ldconfig`.
    fn is_tool(&self, rootfs: &Rootfs, world: Option<usize>, file: &RootfsPath) -> bool {
        let Some(world) = world.map(|world| &self.worlds.worlds[world]) else { return false };
        let within = |root: NodeId| {
            let root = rootfs.path(root);
            let path = file.is_within(&root).then(|| file.to_string())?;
            Some(path[root.to_string().len()..].trim_start_matches('/').to_owned())
        };
        let site = world
            .roots
            .iter()
            .filter(|&&root| root != world.stdlib)
            .filter_map(|&root| within(root))
            .min_by_key(String::len);
        match site {
            None => within(world.stdlib).is_some(),
            Some(path) => {
                let top = path.split(['/', '.']).next().unwrap_or_default();
                BUILD_TOOLS.contains(&top)
                    || BUILD_PARTS.iter().any(|part| path.starts_with(part))
                    || path.ends_with("/setup.py")
                    || path.ends_with("/_version.py")
                    || path.ends_with("/versioneer.py")
                    || path.ends_with("/conftest.py")
            }
        }
    }

    fn import(&mut self, rootfs: &Rootfs, node: NodeId, worlds: &[usize], import: &Import) -> Vec<NodeId> {
        let mut files = Vec::new();
        if import.level > 0 {
            // One dot is the file's own package.
            let mut package = rootfs.parent(node);
            for _ in 1..import.level {
                package = rootfs.parent(package);
            }
            let name = |tail: &str| {
                [&*import.module, tail].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(".")
            };
            for tail in import.names.iter().map(|name| &**name).chain([""]) {
                let dotted = name(tail);
                if !dotted.is_empty() {
                    files.extend(module(rootfs, package, &dotted).unwrap_or_default());
                }
            }
            let init = rootfs.child(package, b"__init__.py");
            files.extend(init);
        } else {
            let own = application_roots(rootfs, node);
            for &world in worlds {
                files.extend(self.worlds.find(rootfs, world, &own, &import.module));
                for name in import.names.iter().filter(|name| &***name != "*") {
                    files.extend(self.worlds.find(rootfs, world, &own, &format!("{}.{name}", import.module)));
                }
            }
        }
        files.sort_unstable();
        files.dedup();
        files
    }

    /// Entry points, `.pth` files and the like.
    fn text(
        &mut self,
        rootfs: &Rootfs,
        node: NodeId,
        from: &RootfsPath,
        text: &str,
        live: &[bool],
        needs: &mut Vec<(NodeId, Reason)>,
    ) {
        let name = from.file_name();
        if name == b"entry_points.txt" {
            let Some(world) = self.worlds.of(rootfs, node) else { return };
            for target in text.lines().filter_map(|line| line.split_once('=')).map(|(_, target)| target.trim()) {
                let dotted = target.split([':', ' ', '[']).next().unwrap_or_default();
                let files = self.worlds.find(rootfs, world, &[], dotted);
                needs.extend(files.into_iter().map(|file| (file, Reason::EntryPoint { from: from.clone() })));
            }
        } else if name.ends_with(b".pth") {
            for line in text.lines().filter(|line| line.starts_with("import")) {
                let (facts, _) = super::python::read(line.as_bytes());
                self.python(rootfs, node, from, &facts, live, needs);
            }
        }
    }
}

/// Installed distributions ask version control about their own checkout, to tell their version. In an image there is none,
/// so the question fails with the program as it does without; an application's own sources are believed in full.
fn asks_about_checkout(command: &Command) -> bool {
    const QUESTIONS: [&str; 16] = [
        "rev-parse",
        "describe",
        "log",
        "status",
        "show",
        "diff",
        "rev-list",
        "symbolic-ref",
        "ls-files",
        "branch",
        "remote",
        "config",
        "id",
        "identify",
        "info",
        "--help",
    ];
    let is_version_control = matches!(&*command.program.text, "git" | "hg" | "svn" | "bzr");
    let argument = command.argument.as_deref();
    is_version_control && argument.is_some_and(|argument| QUESTIONS.contains(&argument) || argument.starts_with("-"))
}

/// Maintainers' scripts run when packages come and go; `python3.11-config` and the like tell compilers' flags. Nobody runs them
/// in an image that only runs.
fn is_system_script(path: &RootfsPath) -> bool {
    let text = path.to_string();
    text.starts_with("var/lib/")
        || text.starts_with("lib/apk/")
        || text.starts_with("usr/lib/apk/")
        || text.ends_with("-config")
}

/// Returns the folders from which an application's file may import: its own, and the one above its outermost package.
fn application_roots(rootfs: &Rootfs, node: NodeId) -> Vec<NodeId> {
    let own = rootfs.parent(node);
    let mut top = own;
    while top != rootfs.root() && rootfs.child(top, b"__init__.py").is_some() {
        top = rootfs.parent(top);
    }
    if top == own { vec![own] } else { vec![top] }
}

/// Returns what a path with a test folder in it means beside a file, or up to three folders above.
fn beside(rootfs: &Rootfs, node: NodeId, text: &str) -> Vec<NodeId> {
    let mut folder = rootfs.parent(node);
    for _ in 0..4 {
        let found = rootfs.resolve(folder, text.trim_start_matches('/').as_bytes(), &mut |_| {});
        if let Some(found) = found.filter(|&found| found != folder) {
            return all_below(rootfs, found);
        }
        if rootfs.child(folder, b"__init__.py").is_none() {
            break;
        }
        folder = rootfs.parent(folder);
    }
    Vec::new()
}

/// Returns the files of a name in the outermost package that a file lies in; folders between may be namespace packages.
fn in_own_package(rootfs: &Rootfs, node: NodeId, name: &str) -> Vec<NodeId> {
    let folders = std::iter::successors(Some(rootfs.parent(node)), |&folder| {
        (folder != rootfs.root()).then(|| rootfs.parent(folder))
    });
    let is_package = |folder: &NodeId| rootfs.child(*folder, b"__init__.py").is_some();
    let Some(package) = folders.filter(is_package).last() else { return Vec::new() };
    let mut found = Vec::new();
    let mut todo = vec![package];
    while let Some(folder) = todo.pop() {
        found.extend(rootfs.child(folder, name.as_bytes()));
        todo.extend(rootfs.children(folder));
    }
    found
}

/// Returns a file, or all files below a folder but for sources and bytecode: those are known by imports.
fn all_below(rootfs: &Rootfs, node: NodeId) -> Vec<NodeId> {
    let mut files = Vec::new();
    let mut todo = vec![(node, true)];
    while let Some((node, is_named)) = todo.pop() {
        let name = rootfs.name(node);
        if rootfs.is_directory(node) {
            todo.extend(rootfs.children(node).iter().map(|&child| (child, false)));
        } else if is_named || !(name.ends_with(b".py") || name.ends_with(b".pyc")) {
            files.push(node);
        }
    }
    files
}

fn open(rootfs: &Rootfs, path: &str) -> Option<NodeId> {
    rootfs.resolve(rootfs.root(), path.as_bytes(), &mut |_| {})
}

/// Returns the node at an absolute path without following it, if it is a symlink itself.
fn open_link(rootfs: &Rootfs, path: &str) -> Option<NodeId> {
    let (folder, name) = path.rsplit_once('/')?;
    let folder = open(rootfs, folder)?;
    rootfs.child(folder, name.as_bytes())
}
