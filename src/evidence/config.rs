//! The files that the image's config names: commands, the working directory, volumes, and values of environment
//! variables.

use std::collections::HashMap;

use super::names::{Meant, NameLookup, Trust};
use super::needs::{Need, Reason};
use super::words::{Syntax, Use, Word, WordCollector};
use crate::image::ImageConfig;
use crate::rootfs::{NodeId, Rootfs};

/// The default `PATH` of container runtimes. It is searched after the config's `PATH`, too, because programs may run
/// with another `PATH`, as cron jobs do.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Folders of programs that are in no default `PATH`.
const OTHER_FOLDERS: &str = "/usr/games:/usr/local/games";

/// The programs that a container finds by name.
#[derive(Debug, Clone)]
pub struct Programs {
    by_name: HashMap<Box<[u8]>, NodeId>,
}

impl Programs {
    /// Reads the config's `PATH` and the default folders.
    pub fn new(config: &ImageConfig, rootfs: &Rootfs) -> Self {
        let path = config.env_value("PATH").unwrap_or_default();
        let folders = [path, DEFAULT_PATH, OTHER_FOLDERS].into_iter().flat_map(|path| path.split(':'));
        let folders = folders.filter(|folder| !folder.is_empty());
        let mut by_name = HashMap::new();
        for folder in folders.filter_map(|folder| rootfs.resolve(rootfs.root(), folder.as_bytes(), &mut |_| {})) {
            for (name, node) in rootfs.named_children(folder).filter(|&(_, node)| !rootfs.is_directory(node)) {
                by_name.entry(name.into()).or_insert(node);
            }
        }
        Self { by_name }
    }

    /// Returns whether a search for a file's name in `PATH` finds this file.
    pub fn is_one(&self, rootfs: &Rootfs, node: NodeId) -> bool {
        self.by_name.get(rootfs.name(node)) == Some(&node)
    }

    /// Returns the file of a program: by its path, or the first of its name in `PATH`. A symlink at the end is not
    /// followed.
    pub fn find(&self, rootfs: &Rootfs, name: &str) -> Option<NodeId> {
        if let Some((folder, name)) = name.rsplit_once('/') {
            let folder = rootfs.resolve(rootfs.root(), folder.as_bytes(), &mut |_| {})?;
            return rootfs.child(folder, name.as_bytes());
        }
        self.by_name.get(name.as_bytes()).copied()
    }
}

/// Returns the files and folders that `config` names, each with the key that names it.
///
/// A folder is needed itself, but not its content: a working directory is kept without the `.git` in it.
pub(super) fn named(config: &ImageConfig, names: &NameLookup<'_>) -> Vec<Need> {
    let rootfs = names.rootfs;
    let mut named = Vec::new();
    let open = |path: &str| rootfs.resolve(rootfs.root(), path.as_bytes(), &mut |_| {});
    let workdir = config.text("WorkingDir").unwrap_or("/");
    let need = |node, key: &str, is_weak| Need { node, reason: Reason::Config { key: key.to_owned() }, is_weak };
    named.extend(open(workdir).map(|node| need(node, "WorkingDir", false)));
    named.extend(config.names("Volumes").filter_map(open).map(|node| need(node, "Volumes", false)));
    let mut add = |key: &str, text: &str| {
        for word in commands(text) {
            let relative = open(workdir).and_then(|from| rootfs.resolve(from, word.as_bytes(), &mut |_| {}));
            let found = names.programs.find(rootfs, word);
            let found = found.or(relative.filter(|_| word.contains('/') || word.contains('.')));
            named.extend(found.map(|node| need(node, key, false)));
        }
        let meant = meanings(names, text, Use::Run, Syntax::Shell);
        named.extend(meant.map(|meant| need(meant.node, key, meant.is_below)));
    };
    for key in ["Entrypoint", "Cmd", "Shell", "OnBuild"] {
        config.strings(key).for_each(|text| add(key, text));
    }
    health_check(config).for_each(|text| add("Healthcheck", text));
    for line in config.strings("Env") {
        let Some((name, value)) = line.split_once('=') else { continue };
        if matches!(name, "PATH" | "LD_LIBRARY_PATH" | "PYTHONPATH" | "MANPATH" | "PKG_CONFIG_PATH") {
            continue;
        }
        let first = if super::calls::is_program_name(name) || PROGRAM_VARIABLES.contains(&name) {
            Use::Run
        } else {
            Use::Mention
        };
        let meant = meanings(names, value, first, Syntax::Config);
        named.extend(meant.map(|meant| need(meant.node, &format!("Env {name}"), meant.is_below)));
    }
    named
}

/// Variables that name a program to run. Source: environ(7).
const PROGRAM_VARIABLES: [&str; 9] =
    ["BROWSER", "CC", "CXX", "EDITOR", "PAGER", "SHELL", "VISUAL", "GIT_SSH", "GIT_SSH_COMMAND"];

/// Returns the files that the words of a value refer to.
fn meanings(names: &NameLookup<'_>, text: &str, first: Use, syntax: Syntax) -> impl Iterator<Item = Meant> {
    let mut words = WordCollector::default();
    if text.starts_with('/') {
        words.add(text, 0, first);
    }
    words.add_text(text, 0..=0, syntax, first);
    let words = words.finish();
    let meaning = |word: Word<'_>| names.meaning(word, Trust::Own, false).1;
    words.iter().flat_map(meaning).collect::<Vec<_>>().into_iter()
}

/// Splits a shell command into the words that may be programs or files.
fn commands(text: &str) -> impl Iterator<Item = &str> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_./+-".contains(c);
    text.split(move |c| !is_word(c))
        .filter(|word| word.starts_with(|c: char| c.is_ascii_alphanumeric() || "_/.".contains(c)))
}

/// Returns the command of the health check.
fn health_check(config: &ImageConfig) -> impl Iterator<Item = &str> {
    let test = config.container("Healthcheck").and_then(|check| check.get("Test"));
    let items = test.and_then(|test| test.as_array()).into_iter().flatten();
    items.filter_map(|item| item.as_str()).skip(1)
}
