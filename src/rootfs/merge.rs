//! Applies layers in order.

use std::collections::{BTreeMap, HashMap};

use super::tree::{Growing, Nodes, RowKind};
use super::{Entries, EntryId, Link, MAX_DEPTH, MAX_SYMLINKS, NodeId, Owner, ROOT, Rootfs, RootfsError};
use crate::layer::whiteout::Whiteout;
use crate::layer::{EntryKind, LayerIndex};
use crate::rootfs_path::RootfsPath;

/// The merged view of the layers so far.
#[derive(Debug, Default)]
pub struct Merging {
    layers: Vec<LayerIndex>,
    tree: Growing,
    entries: Entries,
    links: BTreeMap<EntryId, Link>,
    via: HashMap<EntryId, Vec<NodeId>>,
    whiteouts: BTreeMap<EntryId, RootfsPath>,
    /// The folder of the previous entry, if its path leads through no symlink. Consecutive entries often share it.
    last_folder: Option<(Vec<u8>, NodeId)>,
}

/// A node to create.
struct NewNode<'a> {
    kind: RowKind,
    /// The target of a symlink.
    target: &'a [u8],
}

impl Merging {
    /// Returns the number of applied layers.
    pub fn count(&self) -> usize {
        self.layers.len()
    }

    /// Returns the nodes so far.
    pub fn nodes(&self) -> &Nodes {
        self.tree.nodes()
    }

    /// Applies the next layer. The lowest comes first.
    ///
    /// # Errors
    /// If a path cannot be placed, or the target of a hard link does not exist.
    pub fn apply(&mut self, mut layer: LayerIndex) -> Result<(), RootfsError> {
        let number = self.layers.len();
        self.start_layer(number, layer.len())?;
        for whiteout in layer.names().filter_map(|(path, _)| Whiteout::parse(&path)) {
            match whiteout {
                Whiteout::Removed(path) => self.own_folder(&path.parent(), number)?,
                Whiteout::Opaque(folder) => self.own_folder(&folder, number)?,
                Whiteout::Bookkeeping => {}
            }
        }
        for (id, (path, kind)) in super::ids(number, layer.len()).zip(layer.names()) {
            let owner = self.apply_entry(id, &path, &kind)?;
            self.entries.owners.push(owner);
        }
        layer.forget_names();
        self.layers.push(layer);
        Ok(())
    }

    /// Returns the merged view of all layers.
    pub fn finish(self) -> Rootfs {
        let Self { layers, tree, entries, links, via, whiteouts, .. } = self;
        Rootfs { layers, tree: tree.seal(), entries, links, via, whiteouts }
    }

    fn start_layer(&mut self, layer: usize, count: usize) -> Result<(), RootfsError> {
        let first = self.entries.owners.len();
        // The largest number means "no entry".
        if first + count >= u32::MAX as usize {
            return Err(RootfsError::TooLarge { layer });
        }
        self.entries.firsts.push(first as u32);
        self.entries.owners.reserve_exact(count);
        Ok(())
    }

    fn apply_entry(&mut self, id: EntryId, path: &RootfsPath, kind: &EntryKind) -> Result<Owner, RootfsError> {
        if *kind == EntryKind::GlobalHeader {
            return Ok(Owner::NONE);
        }
        match Whiteout::parse(path) {
            Some(Whiteout::Bookkeeping) => Ok(Owner::NONE),
            Some(Whiteout::Removed(path)) => {
                if let Some(parent) = self.directory(&path.parent()) {
                    if let Some(child) = self.tree.nodes().child(parent, path.file_name())
                        && !self.hide_below(child, id.layer)
                    {
                        self.remove(child);
                    }
                    self.whiteouts.insert(id, path);
                }
                Ok(Owner::WHITEOUT)
            }
            Some(Whiteout::Opaque(path)) => {
                if let Some(folder) = self.directory(&path) {
                    self.hide_children(folder, id.layer);
                    self.whiteouts.insert(id, path);
                }
                Ok(Owner::WHITEOUT)
            }
            None => self.place(id, path, kind).map(|NodeId(node)| Owner(node)),
        }
    }

    /// Places an ordinary entry at its path.
    fn place(&mut self, id: EntryId, path: &RootfsPath, kind: &EntryKind) -> Result<NodeId, RootfsError> {
        let layer = id.layer as usize;
        let source = Some(self.entries.number(id));
        if path.is_root() {
            if *kind != EntryKind::Directory {
                return Err(RootfsError::Root { layer });
            }
            self.tree.set_source(ROOT, source);
            return Ok(ROOT);
        }
        let parent = self.folder_of(id, path)?;
        if self.tree.nodes().depth(parent) >= MAX_DEPTH {
            return Err(RootfsError::Depth { layer, path: path.clone() });
        }
        let mut linked = Vec::new();
        let made = self.made(id, path, kind, &mut linked)?;
        let name = path.file_name();
        if let Some(old) = self.tree.nodes().child(parent, name) {
            if made.kind == RowKind::Directory && self.tree.nodes().kind(old) == RowKind::Directory {
                self.tree.set_source(old, source);
                return Ok(old);
            }
            self.remove(old);
        }
        self.tree.add(parent, name, made.kind, made.target, source).ok_or(RootfsError::TooLarge { layer })
    }

    /// Returns the folder in which an entry is unpacked.
    fn folder_of(&mut self, id: EntryId, path: &RootfsPath) -> Result<NodeId, RootfsError> {
        let folder = path.parent_bytes();
        if let Some((last, node)) = &self.last_folder
            && last == folder
        {
            return Ok(*node);
        }
        let layer = id.layer as usize;
        let mut via = Vec::new();
        let node = self.make_folders(ROOT, folder, &mut via).map_err(|stop| match stop {
            LookupStop::Loop => RootfsError::Loop { layer, path: path.clone() },
            LookupStop::TooLarge => RootfsError::TooLarge { layer },
        })?;
        if via.is_empty() {
            let mut last = self.last_folder.take().map_or_else(Vec::new, |(last, _)| last);
            last.clear();
            last.extend_from_slice(folder);
            self.last_folder = Some((last, node));
        } else {
            self.via.insert(id, via);
        }
        Ok(node)
    }

    /// Returns the node that an entry creates. For a hard link, it is like its target. If the target is a symlink, its
    /// own target is copied to `linked`.
    fn made<'a>(
        &mut self,
        id: EntryId,
        path: &RootfsPath,
        kind: &'a EntryKind,
        linked: &'a mut Vec<u8>,
    ) -> Result<NewNode<'a>, RootfsError> {
        let plain = |kind| Ok(NewNode { kind, target: &[] });
        let target = match kind {
            EntryKind::File => return plain(RowKind::File),
            EntryKind::Directory => return plain(RowKind::Directory),
            EntryKind::Symlink(target) => return Ok(NewNode { kind: RowKind::Symlink, target }),
            EntryKind::Special | EntryKind::GlobalHeader => return plain(RowKind::Special),
            EntryKind::HardLink(target) => target,
        };
        let nodes = self.tree.nodes();
        let mut via = Vec::new();
        // The target may itself be a symlink: only its parents are followed.
        let node = nodes
            .resolve(ROOT, target.parent_bytes(), &mut |link| via.push(link))
            .and_then(|parent| nodes.child(parent, target.file_name()))
            .filter(|&node| nodes.kind(node) != RowKind::Directory);
        let Some((node, source)) = node.and_then(|node| Some((node, nodes.source(node)?))) else {
            let layer = id.layer as usize;
            return Err(RootfsError::BrokenLink { layer, path: path.clone(), target: target.clone() });
        };
        let kind = match nodes.kind(node) {
            RowKind::File => RowKind::LinkedFile,
            RowKind::Symlink => {
                linked.extend_from_slice(nodes.target(node));
                RowKind::Symlink
            }
            other => other,
        };
        let target = self.entries.id(source);
        let carrier = self.links.get(&target).map_or(target, |link| link.carrier);
        self.links.insert(id, Link { carrier, target, via });
        Ok(NewNode { kind, target: linked })
    }

    /// Turns the folder of a whiteout into a directory of its layer. overlayfs unpacks the whiteout there, so it hides
    /// a symlink of a lower layer at that path, whatever the order of entries is.
    fn own_folder(&mut self, path: &RootfsPath, layer: usize) -> Result<(), RootfsError> {
        let mut at = ROOT;
        for name in path.components() {
            let Some(child) = self.tree.nodes().child(at, name) else { return Ok(()) };
            at = match self.tree.nodes().kind(child) {
                RowKind::Directory => child,
                RowKind::Symlink => {
                    self.remove(child);
                    self.make_folder(at, name).map_err(|_| RootfsError::TooLarge { layer })?
                }
                RowKind::File | RowKind::LinkedFile | RowKind::Special => return Ok(()),
            };
        }
        Ok(())
    }

    /// Returns the directory at `path`. A whiteout hides the path as written: overlayfs does not follow symlinks of
    /// lower layers there, so this function does not either.
    fn directory(&self, path: &RootfsPath) -> Option<NodeId> {
        let nodes = self.tree.nodes();
        path.components()
            .try_fold(ROOT, |at, name| nodes.child(at, name).filter(|&child| nodes.kind(child) == RowKind::Directory))
    }

    /// Returns the directory at `path` in folder `from`. Follows symlinks and creates missing directories.
    fn make_folders(&mut self, from: NodeId, path: &[u8], via: &mut Vec<NodeId>) -> Result<NodeId, LookupStop> {
        let mut at = if path.starts_with(b"/") { ROOT } else { from };
        for name in path.split(|&b| b == b'/') {
            if self.tree.nodes().depth(at) >= MAX_DEPTH {
                break;
            }
            match name {
                b"" | b"." => continue,
                b".." => {
                    at = self.tree.nodes().parent(at);
                    continue;
                }
                _ => {}
            }
            let Some(child) = self.tree.nodes().child(at, name) else {
                at = self.make_folder(at, name)?;
                continue;
            };
            at = match self.tree.nodes().kind(child) {
                RowKind::Directory => child,
                RowKind::Symlink => {
                    if via.len() == MAX_SYMLINKS {
                        return Err(LookupStop::Loop);
                    }
                    via.push(child);
                    let target = self.tree.nodes().target(child).to_vec();
                    self.make_folders(at, &target, via)?
                }
                RowKind::File | RowKind::LinkedFile | RowKind::Special => {
                    self.remove(child);
                    self.make_folder(at, name)?
                }
            };
        }
        Ok(at)
    }

    /// Creates a directory that no layer contains.
    fn make_folder(&mut self, parent: NodeId, name: &[u8]) -> Result<NodeId, LookupStop> {
        self.tree.add(parent, name, RowKind::Directory, &[], None).ok_or(LookupStop::TooLarge)
    }

    /// Removes a node and everything below it.
    fn remove(&mut self, id: NodeId) {
        self.last_folder = None;
        self.tree.remove(id);
    }

    /// Hides entries of lower layers at and below `id`. Returns whether anything of `layer` is left there.
    fn hide_below(&mut self, id: NodeId, layer: u32) -> bool {
        let source = self.tree.nodes().source(id);
        let mine = source.is_some_and(|source| self.entries.id(source).layer == layer);
        let left_below = self.hide_children(id, layer);
        if left_below && !mine {
            // The layer needs this directory but has no entry for it.
            self.tree.set_source(id, None);
        }
        mine || left_below
    }

    fn hide_children(&mut self, id: NodeId, layer: u32) -> bool {
        let mut any_left = false;
        for child in self.tree.children(id) {
            if self.hide_below(child, layer) {
                any_left = true;
            } else {
                self.remove(child);
            }
        }
        any_left
    }
}

/// Why folders cannot be created.
enum LookupStop {
    /// The path leads through more symlinks than Linux follows.
    Loop,
    /// There are too many nodes.
    TooLarge,
}
