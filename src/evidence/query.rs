//! Answers which other files a file needs, and why.

use std::collections::HashSet;

use super::collect::{Facts, FileFacts};
use super::config::{self, Programs};
use super::installs::{Holds, Installs};
use super::known;
use super::library::Libraries;
use super::names::{Meaning, NameLookup, Trust, files_below};
use super::needs::{Need, Reason};
use super::python::PythonFacts;
use super::recorded::recorded;
use super::tools::{is_build_tool, is_foreign_tool, is_system_script, names_many_programs};
use super::words::Word;
use super::{imports, texts};
use crate::image::ImageConfig;
use crate::packages::{self, Texts};
use crate::rootfs::{NodeId, NodeSet, Rootfs};
use crate::rootfs_path::RootfsPath;

/// Everything that the scan found in an image, ready for queries.
#[derive(Debug)]
pub struct Evidence {
    facts: Facts,
    installs: Installs,
    libraries: Libraries,
    programs: Programs,
    /// The files that a RECORD lists.
    recorded: NodeSet,
    databases: Vec<LayerDatabase>,
}

/// The files of the package database as one layer has them.
#[derive(Debug, Clone)]
pub struct LayerDatabase {
    /// The layer, counted from 0.
    pub layer: usize,
    /// Their texts, by path.
    pub texts: Texts,
}

/// What is known about a file when its needs are queried.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The Python installations that an application may run on.
    pub live: &'a [bool],
    /// Whether a package of the operating system owns the file in its current form. Configuration that a later layer
    /// replaced belongs to the application.
    pub is_owned: bool,
}

impl Evidence {
    /// Combines what the scan found, by the node that a container sees. `databases` are in the order of layers.
    pub fn new(rootfs: &Rootfs, config: &ImageConfig, facts: Facts, databases: Vec<LayerDatabase>) -> Self {
        Self {
            installs: Installs::new(rootfs, config, &facts),
            libraries: Libraries::new(rootfs, config, &facts),
            programs: Programs::new(config, rootfs),
            recorded: recorded(rootfs, &facts),
            facts,
            databases,
        }
    }

    /// Returns the files of the package database as the layers below `layer` leave them, without the lists of files.
    pub fn database_below(&self, layer: usize) -> Texts {
        let below = self.databases.iter().filter(|database| database.layer < layer);
        below.flat_map(|database| database.texts.clone()).collect()
    }

    /// Returns whether a layer, counted from 0, changed the package database.
    pub fn installs_packages(&self, layer: usize) -> bool {
        self.databases.iter().any(|database| database.layer == layer)
    }

    /// Returns whether a Python distribution lists a file as its own.
    pub fn is_recorded(&self, node: NodeId) -> bool {
        self.recorded.contains(node)
    }

    /// Returns the files that the image's config names.
    pub fn named_by_config(&self, rootfs: &Rootfs, config: &ImageConfig) -> Vec<Need> {
        config::named(config, &self.names(rootfs))
    }

    fn names<'a>(&'a self, rootfs: &'a Rootfs) -> NameLookup<'a> {
        NameLookup { rootfs, programs: &self.programs, libraries: &self.libraries }
    }

    /// Returns what the scan found in a file.
    pub fn facts(&self, node: NodeId) -> Option<&FileFacts> {
        self.facts.get(node).map(AsRef::as_ref)
    }

    /// Returns whether a file may need others.
    pub fn may_need(&self, rootfs: &Rootfs, node: NodeId) -> bool {
        self.facts.get(node).is_some() || known::is_known(rootfs, node, &self.programs)
    }

    /// Returns every file in which the scan found something, in the order of nodes.
    pub fn files(&self) -> impl Iterator<Item = (NodeId, &FileFacts)> {
        self.facts.iter().map(|(node, facts)| (node, &**facts))
    }

    /// Returns the texts of the package database.
    pub fn database(&self, rootfs: &Rootfs) -> Texts {
        self.texts(rootfs, packages::wants)
    }

    /// Returns the texts of the package database that list the installed packages, without those that list files.
    pub fn packages(&self, rootfs: &Rootfs) -> Texts {
        self.texts(rootfs, |path| packages::wants(path) && !path.ends_with(".list") && !path.ends_with(".md5sums"))
    }

    fn texts(&self, rootfs: &Rootfs, wants: impl Fn(&str) -> bool) -> Texts {
        let texts = self.files().filter_map(|(node, facts)| Some((facts.text.as_ref()?, rootfs.path(node))));
        let texts = texts.filter(|(_, path)| wants(&path.to_string()));
        texts.map(|(text, path)| (path, text.clone())).collect()
    }

    /// Returns the Python installations.
    pub fn installs(&self) -> &Installs {
        &self.installs
    }

    /// Returns the programs that a container finds by name.
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// Returns whether a file belongs to the application itself: no package and no RECORD lists it, and it is not part
    /// of a Python or of a tool that was checked out.
    pub fn is_own(&self, rootfs: &Rootfs, node: NodeId, is_owned: bool) -> bool {
        let is_library = |folder| self.installs.is_stdlib(folder);
        // Files beside a standard library's modules belong to Python. Files in a folder of packages there may be the
        // application's.
        let above =
            rootfs.folders_above(node).find(|&folder| is_library(folder) || self.installs.site(folder).is_some());
        !is_owned && !self.recorded.contains(node) && !above.is_some_and(is_library) && {
            let path = rootfs.path(node);
            !is_system_script(&path) && !is_foreign_tool(&path)
        }
    }

    /// Returns whether a source belongs to the standard library or a build tool. An image that only runs does not use
    /// what it names.
    pub fn is_build_tool(&self, rootfs: &Rootfs, node: NodeId) -> bool {
        let install = self.installs.of(rootfs, node).map(|install| &self.installs.all[install]);
        install.is_some_and(|install| is_build_tool(rootfs, install, node, &rootfs.path(node)))
    }

    /// Returns the first of `programs` that a file names, with the line.
    pub fn program_named_in(&self, facts: &FileFacts, programs: &[String]) -> Option<(u32, String)> {
        let words = facts.python.as_ref().map_or(&facts.words, |python| &python.words);
        words
            .iter()
            .find(|word| programs.iter().any(|program| program == word.text))
            .map(|word| (word.line, word.text.to_owned()))
    }

    /// Returns the files that `node` needs, except those that are `settled`: a further need changes nothing for them.
    pub fn needs_of(
        &mut self,
        rootfs: &Rootfs,
        node: NodeId,
        asked: Asked<'_>,
        settled: &dyn Fn(NodeId) -> bool,
    ) -> Vec<Need> {
        let mut needs = Needs { from: rootfs.path(node), settled, found: Vec::new() };
        for known in known::needs(rootfs, node, &self.programs, &self.installs) {
            needs.add(known.files, |from| if known.runs { Reason::Runs { from } } else { Reason::Reads { from } });
        }
        let Some(facts) = self.facts.get(node).cloned() else { return needs.found };
        if let Some(elf) = &facts.elf {
            for name in &elf.needed {
                let library = self.libraries.needed(rootfs, &needs.from, elf, name);
                needs.add(library, |from| Reason::Library { from });
            }
            let loader = elf.interpreter.as_ref().and_then(|path| open(rootfs, path));
            needs.add(loader, |from| Reason::Interpreter { from });
            let names_programs = !names_many_programs(rootfs.name(node));
            // An object does not open what it is linked with, not even under the name from before its wheel was
            // repaired.
            let linked = elf.needed.iter().chain(&elf.soname).map(|name| library_stem(name)).collect::<HashSet<_>>();
            let own = String::from_utf8_lossy(rootfs.name(node));
            let is_linked =
                |word: &str| linked.contains(library_stem(word)) || library_stem(word) == library_stem(&own);
            let strings = elf.strings.iter().filter(|word| !word.text.contains(".so") || !is_linked(word.text));
            self.words(rootfs, strings, Trust::Native { names_programs }, false, &mut needs);
        }
        if let Some(words) = &facts.interpreter {
            needs.add(self.interpreter(rootfs, words), |from| Reason::Interpreter { from });
        }
        let is_own = self.is_own(rootfs, node, asked.is_owned);
        if is_own {
            self.words(rootfs, facts.words.iter(), Trust::Own, false, &mut needs);
        } else if facts.interpreter.is_none() && !self.recorded.contains(node) && !is_system_script(&needs.from) {
            let path = needs.from.to_string();
            if !texts::is_not_started(&path) {
                let trust = Trust::System { names_programs: texts::names_programs(&path) };
                self.words(rootfs, facts.words.iter(), trust, false, &mut needs);
            }
        }
        if let Some(python) = &facts.python {
            self.python(rootfs, node, python, asked.live, &mut needs);
            self.literals(rootfs, node, python, is_own, &mut needs);
        }
        if let Some(text) = &facts.text {
            self.text(rootfs, node, text, asked.live, &mut needs);
        }
        needs.found
    }

    /// Adds the files that the words of a text refer to.
    fn words<'a>(
        &self,
        rootfs: &Rootfs,
        words: impl Iterator<Item = Word<'a>>,
        trust: Trust,
        opens_libraries: bool,
        needs: &mut Needs<'_>,
    ) {
        let names = self.names(rootfs);
        for word in words {
            let (meaning, files) = names.meaning(word, trust, opens_libraries);
            let (line, text) = (word.line, word.text);
            let is_string = matches!(trust, Trust::Native { .. }) && !text.starts_with('/');
            let files = files.into_iter().map(|meant| (meant.node, meant.is_below || is_string));
            needs.add_all(files, |from| match (trust, meaning) {
                (Trust::Native { .. }, _) => Reason::Native { from, word: text.to_owned() },
                (_, Meaning::Program) => Reason::Command { from, line, word: text.to_owned() },
                (_, Meaning::Library) => Reason::Opened { from, line, word: text.to_owned() },
                (_, Meaning::Path) => Reason::Path { from, line, word: text.to_owned() },
            });
        }
    }

    /// Adds the files that the literals of a Python source refer to.
    fn literals(&self, rootfs: &Rootfs, node: NodeId, facts: &PythonFacts, is_own: bool, needs: &mut Needs<'_>) {
        if !is_own && self.is_build_tool(rootfs, node) {
            return;
        }
        let trust = match is_own {
            true => Trust::Own,
            false => Trust::Distribution { runs_programs: facts.runs_programs },
        };
        self.words(rootfs, facts.words.iter(), trust, facts.opens_libraries, needs);
        for mention in &facts.headers {
            let headers = in_own_package(rootfs, node, &mention.text);
            needs.add(headers, |from| Reason::Data { from, line: mention.line });
        }
        for mention in &facts.data {
            needs.add(beside(rootfs, node, &mention.text), |from| Reason::Data { from, line: mention.line });
        }
    }

    /// Returns the interpreter. For `#!/usr/bin/env python3` it is what `env` finds; `env` itself is kept with the
    /// system.
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
        let own = self.installs.of(rootfs, node);
        let installs: Vec<usize> = match own {
            Some(install) => vec![install],
            None => (0..live.len()).filter(|&install| live[install]).collect(),
        };
        let root = imports::application_root(rootfs, node);
        for import in &facts.imports {
            let files = match import.level {
                0 => imports::absolute(&mut self.installs, rootfs, root, &installs, import),
                _ => imports::relative(rootfs, node, import),
            };
            needs.add(files, |from| Reason::Import { from, line: import.line });
        }
    }

    /// Adds what entry points and `.pth` files need.
    fn text(&mut self, rootfs: &Rootfs, node: NodeId, text: &str, live: &[bool], needs: &mut Needs<'_>) {
        let name = rootfs.name(node);
        if name == b"entry_points.txt" {
            let Some(install) = self.installs.of(rootfs, node) else { return };
            for target in text.lines().filter_map(|line| line.split_once('=')).map(|(_, target)| target.trim()) {
                let dotted = target.split([':', ' ', '[']).next().unwrap_or_default();
                let module = self.installs.find(rootfs, install, None, dotted);
                let Some(module) = module else { continue };
                needs.add(module.files.iter().copied(), |from| Reason::EntryPoint { from });
                // The entry point names a whole package, as for themes and templates.
                if let (Holds::Folder(folder), false) = (module.holds, target.contains(':')) {
                    needs.add(handed_out(rootfs, folder, dotted.contains('.')), |from| Reason::EntryPoint { from });
                }
            }
        } else if name.ends_with(b".pth") {
            for line in text.lines().filter(|line| line.starts_with("import")) {
                let (facts, _) = super::python::read(line.as_bytes());
                self.python(rootfs, node, &facts, live, needs);
            }
        }
    }
}

/// Returns the name of a library without its version and without the hash that a repaired wheel adds:
/// `libpq-e8a033dd.so.5.16` is `libpq`.
fn library_stem(name: &str) -> &str {
    let name = name.rsplit('/').next().unwrap_or(name);
    let stem = name.split(".so").next().unwrap_or(name);
    match stem.rsplit_once('-') {
        Some((stem, hash)) if hash.len() >= 8 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => stem,
        _ => stem,
    }
}

struct Needs<'a> {
    from: RootfsPath,
    settled: &'a dyn Fn(NodeId) -> bool,
    found: Vec<Need>,
}

impl Needs<'_> {
    fn add(&mut self, files: impl IntoIterator<Item = NodeId>, reason: impl Fn(RootfsPath) -> Reason) {
        self.add_all(files.into_iter().map(|file| (file, false)), reason);
    }

    /// Adds files, each with whether its reason is weak.
    fn add_all(&mut self, files: impl IntoIterator<Item = (NodeId, bool)>, reason: impl Fn(RootfsPath) -> Reason) {
        for (node, is_weak) in files {
            if !(self.settled)(node) {
                self.found.push(Need { node, reason: reason(self.from.clone()), is_weak });
            }
        }
    }
}

/// Returns the files at a path relative to a file's folder, or to one of up to three folders above, as long as these
/// are packages.
fn beside(rootfs: &Rootfs, node: NodeId, text: &str) -> Vec<NodeId> {
    let mut folder = rootfs.parent(node);
    for _ in 0..4 {
        let found = rootfs.resolve(folder, text.trim_start_matches('/').as_bytes(), &mut |_| {});
        // A path with `..` leads to folders above, which hold unrelated files.
        if let Some(found) = found.filter(|&found| rootfs.folders_above(found).any(|above| above == folder)) {
            return all_below(rootfs, found);
        }
        if rootfs.child(folder, b"__init__.py").is_none() {
            break;
        }
        folder = rootfs.parent(folder);
    }
    Vec::new()
}

/// Returns the files below a package that an entry point names as a whole: all of them if the package lies in another
/// one, as a package of templates does. Sources of a top-level package are left out, because imports keep them.
fn handed_out(rootfs: &Rootfs, package: NodeId, is_inner: bool) -> Vec<NodeId> {
    let files = files_below(rootfs, package).into_iter();
    let is_source = |node: &NodeId| rootfs.name(*node).ends_with(b".py");
    files.filter(|node| is_inner || !is_source(node)).filter(|node| !rootfs.name(*node).ends_with(b".pyc")).collect()
}

/// Returns the files of a name in the outermost package that holds a file. Folders in between may be namespace
/// packages.
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

/// Returns a file, or all files below a folder except bytecode. If the folder is a package, sources are left out,
/// because imports keep them.
fn all_below(rootfs: &Rootfs, node: NodeId) -> Vec<NodeId> {
    if !rootfs.is_directory(node) {
        return vec![node];
    }
    let is_package = rootfs.child(node, b"__init__.py").is_some();
    let is_wanted = |node: &NodeId| {
        let name = rootfs.name(*node);
        !(name.ends_with(b".pyc") || is_package && name.ends_with(b".py"))
    };
    files_below(rootfs, node).into_iter().filter(is_wanted).collect()
}

fn open(rootfs: &Rootfs, path: &str) -> Option<NodeId> {
    rootfs.resolve(rootfs.root(), path.as_bytes(), &mut |_| {})
}

/// Returns the node at an absolute path. A symlink at the end is not followed.
fn open_link(rootfs: &Rootfs, path: &str) -> Option<NodeId> {
    let (folder, name) = path.rsplit_once('/')?;
    let folder = open(rootfs, folder)?;
    rootfs.child(folder, name.as_bytes())
}
