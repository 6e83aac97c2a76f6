//! Which other files does this file need, and why?

use super::collect::{Facts, FileFacts};
use super::config::Programs;
use super::imports;
use super::library::Libraries;
use super::needs::Reason;
use super::python::PythonFacts;
use super::tools::{asks_about_checkout, is_system_script, is_tool};
use super::world::Worlds;
use crate::image::ImageConfig;
use crate::packages::{self, Texts};
use crate::rootfs::{NodeId, Rootfs};
use crate::rootfs_path::RootfsPath;

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

    /// Returns the files that `node` needs, but for those that are `settled`: that something needs them changes nothing. `live` tells which Python
    /// installations an application may run on; what a package's own shell scripts run, the package depends on.
    pub fn needs_of(
        &mut self,
        rootfs: &Rootfs,
        node: NodeId,
        live: &[bool],
        is_owned: bool,
        settled: &dyn Fn(NodeId) -> bool,
    ) -> Vec<(NodeId, Reason)> {
        let Some(facts) = self.facts.get(node).cloned() else { return Vec::new() };
        let mut needs = Needs { from: rootfs.path(node), settled, found: Vec::new() };
        if let Some(elf) = &facts.elf {
            for name in &elf.needed {
                let library = self.libraries.needed(rootfs, &needs.from, elf, name);
                needs.add(library, |from| Reason::Library { from });
            }
            let loader = elf.interpreter.as_ref().and_then(|path| open(rootfs, path));
            needs.add(loader, |from| Reason::Interpreter { from });
        }
        if let Some(words) = &facts.interpreter {
            needs.add(self.interpreter(rootfs, words), |from| Reason::Interpreter { from });
        }
        if !facts.words.is_empty()
            && !is_owned
            && self.worlds.of(rootfs, node).is_none()
            && !is_system_script(&needs.from)
        {
            for word in &facts.words {
                let program = self.programs.find(rootfs, &word.text);
                needs.add(program, |from| Reason::Command { from, line: word.line });
            }
        }
        if let Some(python) = &facts.python {
            self.python(rootfs, node, python, live, &mut needs);
        }
        if let Some(text) = &facts.text {
            self.text(rootfs, node, text, live, &mut needs);
        }
        needs.found
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

    fn python(&mut self, rootfs: &Rootfs, node: NodeId, facts: &PythonFacts, live: &[bool], needs: &mut Needs<'_>) {
        let own = self.worlds.of(rootfs, node);
        let worlds: Vec<usize> = match own {
            Some(world) => vec![world],
            None => (0..live.len()).filter(|&world| live[world]).collect(),
        };
        let root = imports::application_root(rootfs, node);
        for import in &facts.imports {
            let files = match import.level {
                0 => imports::absolute(&mut self.worlds, rootfs, root, &worlds, import),
                _ => imports::relative(rootfs, node, import),
            };
            needs.add(files, |from| Reason::Import { from, line: import.line });
        }
        let names_things = !(facts.libraries.is_empty() && facts.commands.is_empty() && facts.headers.is_empty());
        let is_tool = |world: usize| is_tool(rootfs, &self.worlds.worlds[world], node, &needs.from);
        if names_things && !own.is_some_and(is_tool) {
            self.mentions(rootfs, own.is_some(), facts, needs);
            for mention in &facts.headers {
                let headers = in_own_package(rootfs, node, &mention.text);
                needs.add(headers, |from| Reason::Data { from, line: mention.line });
            }
        }
        for mention in &facts.data {
            needs.add(beside(rootfs, node, &mention.text), |from| Reason::Data { from, line: mention.line });
        }
    }

    /// Libraries that are opened, and programs that are run, by a literal name.
    fn mentions(&self, rootfs: &Rootfs, is_installed: bool, facts: &PythonFacts, needs: &mut Needs<'_>) {
        for mention in &facts.libraries {
            needs.add(self.libraries.opened(&mention.text), |from| Reason::Opened { from, line: mention.line });
        }
        for command in facts.commands.iter().filter(|command| !(is_installed && asks_about_checkout(command))) {
            let program = self.programs.find(rootfs, &command.program.text);
            needs.add(program, |from| Reason::Command { from, line: command.program.line });
        }
    }

    /// Entry points, `.pth` files and the like.
    fn text(&mut self, rootfs: &Rootfs, node: NodeId, text: &str, live: &[bool], needs: &mut Needs<'_>) {
        let name = rootfs.name(node);
        if name == b"entry_points.txt" {
            let Some(world) = self.worlds.of(rootfs, node) else { return };
            for target in text.lines().filter_map(|line| line.split_once('=')).map(|(_, target)| target.trim()) {
                let dotted = target.split([':', ' ', '[']).next().unwrap_or_default();
                let module = self.worlds.find(rootfs, world, None, dotted);
                let files = module.iter().flat_map(|module| &module.files).copied();
                needs.add(files, |from| Reason::EntryPoint { from });
            }
        } else if name.ends_with(b".pth") {
            for line in text.lines().filter(|line| line.starts_with("import")) {
                let (facts, _) = super::python::read(line.as_bytes());
                self.python(rootfs, node, &facts, live, needs);
            }
        }
    }
}

/// What one file is found to need.
struct Needs<'a> {
    /// The file.
    from: RootfsPath,
    settled: &'a dyn Fn(NodeId) -> bool,
    found: Vec<(NodeId, Reason)>,
}

impl Needs<'_> {
    fn add(&mut self, files: impl IntoIterator<Item = NodeId>, reason: impl Fn(RootfsPath) -> Reason) {
        for file in files {
            if !(self.settled)(file) {
                self.found.push((file, reason(self.from.clone())));
            }
        }
    }
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
    let is_package = |folder: &NodeId| rootfs.child(*folder, b"__init__.py").is_some();
    let Some(package) = rootfs.folders_above(node).filter(is_package).last() else { return Vec::new() };
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
