//! Which package owns which path of the rootfs.

use std::cell::LazyCell;
use std::collections::{HashMap, HashSet};

use rayon::prelude::*;
use smallvec::SmallVec;

use super::unread::Unread;
use crate::evidence::Evidence;
use crate::packages::{self, Package, PackageDb, PackageId, Texts, alternatives};
use crate::rootfs::{NodeId, NodeMap, Rootfs};
use crate::rootfs_path::RootfsPath;
use crate::state::triggered;

/// The package database, applied to the rootfs. Empty if the image has none that pydock reads.
#[derive(Debug, Default)]
pub(super) struct Ownership {
    pub(super) db: Option<PackageDb>,
    /// Texts of the database and of alternatives.
    pub(super) texts: Texts,
    /// The packages that own each file, which may be several. Directories are not listed.
    owners: NodeMap<SmallVec<[PackageId; 1]>>,
    /// Directories that packages list, with those packages.
    folders: NodeMap<Vec<PackageId>>,
    /// The files that each package owns.
    files: Vec<Vec<NodeId>>,
    /// Whether a part of the database could not be read, so that any file of the operating system may belong to a
    /// package.
    is_unknown: bool,
    /// For each group of alternatives: its links, and its choices.
    pub(super) alternatives: Vec<(Vec<NodeId>, Vec<NodeId>)>,
}

/// The packages that own each file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owners {
    of: NodeMap<SmallVec<[PackageId; 1]>>,
    names: Vec<String>,
}

impl Owners {
    /// Returns the names of the packages that own a file.
    pub fn of(&self, file: NodeId) -> impl Iterator<Item = &str> {
        self.of.get(file).into_iter().flatten().map(|&id| self.names[id].as_str())
    }
}

impl Ownership {
    pub(super) fn new(rootfs: &Rootfs, evidence: &Evidence, unread: &mut Vec<Unread>) -> Self {
        let texts = evidence.database(rootfs);
        let db = PackageDb::read(&texts, &mut |line| unread.push(Unread::Record(line)));
        for other in ["var/lib/rpm", "usr/lib/sysimage/rpm"] {
            let node = rootfs.resolve(rootfs.root(), other.as_bytes(), &mut |_| {});
            let node = node.filter(|node| !rootfs.children(*node).is_empty());
            unread.extend(node.map(|node| Unread::PackageManager(rootfs.path(node))));
        }
        let mut ownership = Self { db, texts, is_unknown: has_unread_database(rootfs, evidence), ..Self::default() };
        if ownership.is_unknown {
            unread.push(Unread::PackageDatabase);
            ownership.db = None;
        }
        ownership.lay_over(rootfs);
        ownership
    }

    fn lay_over(&mut self, rootfs: &Rootfs) {
        let diverted = diversions(&self.texts);
        let packages = self.db.as_ref().map_or(&[][..], |db| &db.packages);
        let listed = packages.par_iter().map(|package| listed(rootfs, package, &diverted)).collect::<Vec<_>>();
        for (id, mut nodes) in listed.into_iter().enumerate() {
            nodes.retain(|&node| {
                if rootfs.is_directory(node) {
                    self.folders.get_or_default(node).push(id);
                    return false;
                }
                let owners = self.owners.get_or_default(node);
                let is_new = !owners.contains(&id);
                if is_new {
                    owners.push(id);
                }
                is_new
            });
            self.files.push(nodes);
        }
        self.lay_over_triggered(rootfs);
        let nodes = |paths: Vec<RootfsPath>| paths.iter().filter_map(|path| at(rootfs, path)).collect();
        let groups = alternatives::all(&self.texts).into_iter();
        self.alternatives = groups.map(|(links, choices)| (nodes(links), nodes(choices))).collect();
    }

    /// Assigns files that triggers make to the package that has these triggers.
    fn lay_over_triggered(&mut self, rootfs: &Rootfs) {
        let Some(db) = &self.db else { return };
        let mut todo = vec![(rootfs.root(), RootfsPath::root())];
        while let Some((folder, path)) = todo.pop() {
            for (name, child) in rootfs.named_children(folder) {
                let path = path.join(name);
                let text = path.to_string();
                if rootfs.is_directory(child) {
                    if triggered::may_hold(&text) {
                        todo.push((child, path));
                    }
                    continue;
                }
                let makers = triggered::makers(&text).collect::<Vec<_>>();
                if makers.is_empty() || self.owners.contains(child) {
                    continue;
                }
                let is_maker = |id: &PackageId| makers.iter().any(|maker| db.packages[*id].name.starts_with(maker));
                let maker = (0..db.packages.len()).find(is_maker);
                if let Some(id) = maker {
                    self.owners.get_or_default(child).push(id);
                    self.files[id].push(child);
                }
            }
        }
    }

    /// Returns the packages that own a file or list a directory.
    pub(super) fn of(&self, node: NodeId) -> &[PackageId] {
        let owners = self.owners.get(node).map(SmallVec::as_slice);
        owners.or_else(|| Some(self.folders.get(node)?.as_slice())).unwrap_or_default()
    }

    /// Returns which packages own each file, for explanations.
    pub(super) fn into_owners(self) -> Owners {
        let names = self.db.map_or_else(Vec::new, |db| db.packages.into_iter().map(|package| package.name).collect());
        Owners { of: self.owners, names }
    }

    /// Returns whether a package may own a file that is not listed, because the database could not be read.
    pub(super) fn may_be_owned(&self, rootfs: &Rootfs, node: NodeId) -> bool {
        self.is_unknown && {
            let path = rootfs.path(node);
            let mut parts = path.components();
            match parts.next() {
                Some(b"usr") => parts.next() != Some(b"local"),
                Some(first) => matches!(first, b"bin" | b"sbin" | b"lib" | b"lib64" | b"etc"),
                None => false,
            }
        }
    }

    pub(super) fn is_owned(&self, node: NodeId) -> bool {
        self.owners.contains(node)
    }

    pub(super) fn files(&self, id: PackageId) -> &[NodeId] {
        self.files.get(id).map_or(&[], Vec::as_slice)
    }

    /// Returns the directories that packages list.
    pub(super) fn folders(&self) -> impl Iterator<Item = (NodeId, &[PackageId])> {
        self.folders.iter().map(|(node, packages)| (node, packages.as_slice()))
    }

    /// Returns the number of packages.
    pub(super) fn count(&self) -> usize {
        self.files.len()
    }
}

/// Returns whether the scan could not read a file of a package database.
fn has_unread_database(rootfs: &Rootfs, evidence: &Evidence) -> bool {
    let mut unread = evidence.files().filter(|(_, facts)| facts.unread.is_some());
    unread.any(|(node, _)| packages::wants(&rootfs.path(node).to_string()))
}

fn listed(rootfs: &Rootfs, package: &Package, diverted: &Diversions) -> Vec<NodeId> {
    let mut folders = Folders { rootfs, last: None };
    // The image may have a symlink in place of a directory that the package lists (`/lib`). It is recognized by listed
    // files in it.
    let parents = LazyCell::new(|| package.files.iter().map(|path| path.parent_bytes()).collect::<HashSet<_>>());
    let path = |path| match diverted.get(path) {
        Some((to, by)) if *by != package.name => to,
        _ => path,
    };
    let nodes = package.files.iter().map(path).filter_map(|path| {
        let node = folders.at(path)?;
        let is_link = rootfs.symlink(node).is_some();
        (!is_link || !is_merged(path) && !parents.contains(path.as_bytes())).then_some(node)
    });
    nodes.collect()
}

/// Returns whether a symlink is one of the root's folders, which a merged `/usr` turns into symlinks. Packages still
/// list them.
fn is_merged(path: &RootfsPath) -> bool {
    path.parent_bytes().is_empty()
}

/// Finds files whose folders may be symlinks (`/lib/x` where `lib -> usr/lib`). Remembers the last folder, because
/// neighbours in a list usually share it.
struct Folders<'a> {
    rootfs: &'a Rootfs,
    last: Option<(&'a [u8], Option<NodeId>)>,
}

impl<'a> Folders<'a> {
    fn at(&mut self, path: &'a RootfsPath) -> Option<NodeId> {
        let parent = path.parent_bytes();
        let folder = match self.last {
            Some((last, folder)) if last == parent => folder,
            _ => self.rootfs.resolve(self.rootfs.root(), parent, &mut |_| {}),
        };
        self.last = Some((parent, folder));
        in_folder(self.rootfs, folder?, path)
    }
}

/// Returns the node at a path whose parents may be symlinks (`/lib/x` where `lib -> usr/lib`). A symlink at the end is
/// not followed.
pub(super) fn at(rootfs: &Rootfs, path: &RootfsPath) -> Option<NodeId> {
    let folder = rootfs.resolve(rootfs.root(), path.parent_bytes(), &mut |_| {})?;
    in_folder(rootfs, folder, path)
}

fn in_folder(rootfs: &Rootfs, folder: NodeId, path: &RootfsPath) -> Option<NodeId> {
    if path.is_root() {
        return Some(rootfs.root());
    }
    rootfs.child(folder, path.file_name())
}

/// For each diverted path, its new path and the package that diverts it.
type Diversions = HashMap<RootfsPath, (RootfsPath, String)>;

/// Reads `diversions`. Each entry has three lines: the path, its new path, and the package that diverts it.
fn diversions(texts: &Texts) -> Diversions {
    let text =
        texts.iter().find(|(path, _)| path.to_string() == "var/lib/dpkg/diversions").map_or("", |(_, text)| text);
    let lines = text.lines().collect::<Vec<_>>();
    let parse = |line: &str| RootfsPath::parse(line.as_bytes()).ok();
    let triple = |lines: &[&str]| Some((parse(lines.first()?)?, (parse(lines.get(1)?)?, (*lines.get(2)?).to_owned())));
    lines.chunks(3).filter_map(triple).collect()
}
