//! The merged view of all layers: for each path, the entry that a container sees.
//!
//! Spec: image-spec `layer.md`, "Applying Changesets". Where the spec is silent, this module does what containerd and
//! umoci do: it follows a symlinked parent inside the rootfs, a whiteout affects only lower layers, and a file can
//! replace a directory as a directory can replace a file.

mod dense;
mod merge;
mod tree;

use std::collections::{BTreeMap, HashMap};

pub use self::dense::{NodeMap, NodeSet};
pub use self::merge::Merging;
pub use self::tree::Nodes;
use self::tree::{RowKind, Tree};
use crate::layer::{LayerIndex, Span};
use crate::rootfs_path::{RootfsPath, excerpt};

/// The root.
const ROOT: NodeId = NodeId(0);
/// The most symlinks on a path, as in Linux.
const MAX_SYMLINKS: usize = 40;
/// The deepest nesting of folders. Code that walks the rootfs recurses once per level.
const MAX_DEPTH: u16 = 512;

/// An entry of one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId {
    /// Index of the layer. The lowest is 0.
    pub layer: u32,
    /// Index of the entry in the layer.
    pub index: u32,
}

/// A file, directory or link of the rootfs or of a lower layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u32);

impl NodeId {
    /// Returns the index of the node.
    fn index(self) -> usize {
        self.0 as usize
    }
}

/// The type of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind<'a> {
    /// A directory.
    Directory,
    /// A regular file. For a hard link, `data` is another entry than the node's own.
    File {
        /// The entry with the data.
        data: EntryId,
    },
    /// A symbolic link, with its target as written.
    Symlink(&'a [u8]),
    /// A device or FIFO.
    Special,
}

/// A path of the rootfs.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    /// The directory that contains it. The root is its own parent.
    pub parent: NodeId,
    /// The last component of its path.
    pub name: &'a [u8],
    /// Its type.
    pub kind: NodeKind<'a>,
    /// The entry that a container sees here. `None` for directories that no layer contains.
    pub source: Option<EntryId>,
}

/// The effect of an entry on the rootfs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// A container sees it.
    Visible(NodeId),
    /// A directory that a later layer contains again. A container sees the metadata of the later entry.
    Restated(NodeId),
    /// No container sees it: a later entry replaces it or whites it out.
    Shadowed,
    /// A whiteout.
    Whiteout,
    /// A global header or whiteout metadata, which is not a path of the rootfs.
    NoPath,
}

/// Another name of a hard-linked file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The entry with the data.
    pub carrier: EntryId,
    /// The entry that the link names. It can be a link itself.
    pub target: EntryId,
    /// Symlinks in the target's path.
    pub via: Vec<NodeId>,
}

/// The merged view of all layers.
#[derive(Debug)]
pub struct Rootfs {
    layers: Vec<LayerIndex>,
    tree: Tree,
    entries: Entries,
    links: BTreeMap<EntryId, Link>,
    via: HashMap<EntryId, Vec<NodeId>>,
    whiteouts: BTreeMap<EntryId, RootfsPath>,
}

/// The entries of all layers, numbered consecutively, and the node of each.
#[derive(Debug, Default)]
struct Entries {
    /// The number of each layer's first entry.
    firsts: Vec<u32>,
    owners: Vec<Owner>,
}

impl Entries {
    fn number(&self, id: EntryId) -> u32 {
        self.firsts[id.layer as usize] + id.index
    }

    fn id(&self, number: u32) -> EntryId {
        // Layers without entries start at the same number as the next one. The last of them is the right one.
        let layer = self.firsts.partition_point(|&first| first <= number) - 1;
        EntryId { layer: layer as u32, index: number - self.firsts[layer] }
    }

    fn owner(&self, id: EntryId) -> Owner {
        self.owners[self.number(id) as usize]
    }
}

/// The node that an entry creates or states again, or one of two special values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Owner(u32);

impl Owner {
    const WHITEOUT: Self = Self(u32::MAX);
    const NONE: Self = Self(u32::MAX - 1);

    fn node(self) -> Option<NodeId> {
        (self != Self::WHITEOUT && self != Self::NONE).then_some(NodeId(self.0))
    }
}

/// Why layers cannot be merged. Layers are counted from 0.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RootfsError {
    /// A path leads through more symlinks than Linux follows.
    #[error("entry `{}` lies behind more than {MAX_SYMLINKS} symlinks", excerpt(.path.as_bytes()))]
    Loop {
        /// The layer.
        layer: usize,
        /// The entry.
        path: RootfsPath,
    },
    /// The target of a hard link does not exist, or is a directory.
    #[error("entry `{}` is a hard link to `{}`, which does not exist", excerpt(.path.as_bytes()), excerpt(.target.as_bytes()))]
    BrokenLink {
        /// The layer.
        layer: usize,
        /// The entry.
        path: RootfsPath,
        /// The target.
        target: RootfsPath,
    },
    /// A path is nested deeper than 512 folders.
    #[error("entry `{}` lies more than {MAX_DEPTH} folders deep", excerpt(.path.as_bytes()))]
    Depth {
        /// The layer.
        layer: usize,
        /// The entry.
        path: RootfsPath,
    },
    /// There are more entries, or longer names, than 32 bits can count.
    #[error("the layers have more entries than fit")]
    TooLarge {
        /// The layer.
        layer: usize,
    },
    /// The root is not a directory.
    #[error("an entry makes the root of the rootfs something else than a directory")]
    Root {
        /// The layer.
        layer: usize,
    },
}

impl RootfsError {
    /// Returns the layer that causes the error, counted from 0.
    pub fn layer(&self) -> usize {
        match self {
            Self::Loop { layer, .. }
            | Self::BrokenLink { layer, .. }
            | Self::Depth { layer, .. }
            | Self::TooLarge { layer }
            | Self::Root { layer } => *layer,
        }
    }
}

impl Rootfs {
    /// Merges layers, lowest first.
    ///
    /// # Errors
    /// If a path cannot be placed, or the target of a hard link does not exist.
    pub fn merge(layers: Vec<LayerIndex>) -> Result<Self, RootfsError> {
        let mut merging = Merging::default();
        layers.into_iter().try_for_each(|layer| merging.apply(layer))?;
        Ok(merging.finish())
    }

    /// Returns the root.
    pub fn root(&self) -> NodeId {
        ROOT
    }

    /// Returns the merged layers. Their entries have no names: the nodes have them.
    pub fn layers(&self) -> &[LayerIndex] {
        &self.layers
    }

    /// Returns a node.
    pub fn node(&self, id: NodeId) -> Node<'_> {
        let nodes = self.tree.nodes();
        let source = nodes.source(id).map(|number| self.entries.id(number));
        let kind = match (nodes.kind(id), source) {
            (RowKind::Directory, _) => NodeKind::Directory,
            (RowKind::File, Some(data)) => NodeKind::File { data },
            (RowKind::LinkedFile, Some(link)) => {
                NodeKind::File { data: self.links.get(&link).map_or(link, |link| link.carrier) }
            }
            (RowKind::Symlink, _) => NodeKind::Symlink(nodes.target(id)),
            (RowKind::Special | RowKind::File | RowKind::LinkedFile, _) => NodeKind::Special,
        };
        Node { parent: nodes.parent(id), name: nodes.name(id), kind, source }
    }

    /// Returns the directory that contains a node. The root is its own parent.
    pub fn parent(&self, id: NodeId) -> NodeId {
        self.tree.nodes().parent(id)
    }

    /// Returns the directories that contain a node, innermost first and the root last.
    pub fn folders_above(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        std::iter::successors(Some(self.parent(id)), |&folder| (folder != ROOT).then(|| self.parent(folder)))
    }

    /// Returns the last component of a node's path.
    pub fn name(&self, id: NodeId) -> &[u8] {
        self.tree.nodes().name(id)
    }

    /// Returns whether a node is a directory.
    pub fn is_directory(&self, id: NodeId) -> bool {
        self.tree.nodes().kind(id) == RowKind::Directory
    }

    /// Returns the target of a symlink as written. Returns `None` for other nodes.
    pub fn symlink(&self, id: NodeId) -> Option<&[u8]> {
        let nodes = self.tree.nodes();
        (nodes.kind(id) == RowKind::Symlink).then(|| nodes.target(id))
    }

    /// Returns the children of a directory, sorted by name.
    pub fn children(&self, id: NodeId) -> &[NodeId] {
        self.tree.children(id)
    }

    /// Returns the children of a directory with their names, sorted by name.
    pub fn named_children(&self, id: NodeId) -> impl Iterator<Item = (&[u8], NodeId)> {
        self.children(id).iter().map(|&child| (self.name(child), child))
    }

    /// Returns the child with a name.
    pub fn child(&self, id: NodeId, name: &[u8]) -> Option<NodeId> {
        self.tree.nodes().child(id, name)
    }

    /// Returns the children whose names start with `prefix`, sorted by name.
    pub fn children_from(&self, id: NodeId, prefix: &[u8]) -> impl Iterator<Item = NodeId> {
        let children = self.children(id);
        let first = children.partition_point(|&child| self.name(child) < prefix);
        children[first..].iter().copied().take_while(move |&child| self.name(child).starts_with(prefix))
    }

    /// Returns the path of a node.
    pub fn path(&self, id: NodeId) -> RootfsPath {
        self.tree.nodes().path(id)
    }

    /// Returns the entries of a layer with their positions, in order.
    pub fn entries(&self, layer: usize) -> impl Iterator<Item = (EntryId, Span)> {
        ids(layer, self.layers[layer].len()).zip(self.layers[layer].spans())
    }

    /// Returns the entries of a layer, in order.
    pub fn ids(&self, layer: usize) -> impl Iterator<Item = EntryId> + use<> {
        ids(layer, self.layers[layer].len())
    }

    /// Returns the effect of an entry on the rootfs.
    pub fn fate(&self, id: EntryId) -> Fate {
        let number = self.entries.number(id);
        let node = match self.entries.owners[number as usize] {
            Owner::WHITEOUT => return Fate::Whiteout,
            Owner::NONE => return Fate::NoPath,
            Owner(node) => NodeId(node),
        };
        let nodes = self.tree.nodes();
        match nodes.source(node) {
            _ if !nodes.is_alive(node) => Fate::Shadowed,
            Some(source) if source == number => Fate::Visible(node),
            Some(_) if nodes.kind(node) == RowKind::Directory => Fate::Restated(node),
            _ => Fate::Shadowed,
        }
    }

    /// Returns whether a container sees a node.
    pub fn is_alive(&self, id: NodeId) -> bool {
        self.tree.nodes().is_alive(id)
    }

    /// Returns the hard links, in the order of their entries.
    pub fn links(&self) -> impl Iterator<Item = (EntryId, &Link)> {
        self.links.iter().map(|(&id, link)| (id, link))
    }

    /// Returns the symlinks through which an entry was unpacked. Usually empty.
    pub fn via(&self, id: EntryId) -> &[NodeId] {
        self.via.get(&id).map_or(&[], Vec::as_slice)
    }

    /// Returns the node that an entry creates or states again, visible or not.
    pub fn owner(&self, id: EntryId) -> Option<NodeId> {
        self.entries.owner(id).node()
    }

    /// Returns the path that a whiteout removes, with everything below it.
    pub fn whited_out(&self, id: EntryId) -> Option<&RootfsPath> {
        self.whiteouts.get(&id)
    }

    /// Returns the node at `path` without following symlinks. Only the last component may be a symlink.
    pub fn lookup(&self, path: &RootfsPath) -> Option<NodeId> {
        path.components().try_fold(self.root(), |at, name| self.child(at, name))
    }

    /// Calls [`Rootfs::lookup`] for each path. Faster if consecutive paths share their folder.
    pub fn lookups<'a>(&self, paths: impl IntoIterator<Item = &'a RootfsPath>) -> impl Iterator<Item = Option<NodeId>> {
        let mut last = None;
        paths.into_iter().map(move |path| {
            let folder = match last {
                Some((folder, node)) if folder == path.parent_bytes() => node,
                _ => self.lookup(&path.parent()),
            };
            last = Some((path.parent_bytes(), folder));
            if path.is_root() { Some(ROOT) } else { self.child(folder?, path.file_name()) }
        })
    }

    /// Returns the node that a program sees when it opens `path` in folder `from`: symlinks are followed, and `..`
    /// never leaves the root. Calls `visit` with each symlink on the way. Returns `None` if the path does not exist.
    pub fn resolve(&self, from: NodeId, path: &[u8], visit: &mut dyn FnMut(NodeId)) -> Option<NodeId> {
        self.tree.nodes().resolve(from, path, visit)
    }
}

/// Returns the entries of a layer with `count` entries.
fn ids(layer: usize, count: usize) -> impl Iterator<Item = EntryId> {
    (0..count as u32).map(move |index| EntryId { layer: layer as u32, index })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::EntryKind;

    #[test]
    fn paths_are_found_together_as_they_are_one_by_one() {
        let parse = |path: &str| RootfsPath::parse(path.as_bytes()).unwrap();
        let mut layer = LayerIndex::default();
        for (path, kind) in [("a", EntryKind::Directory), ("a/b", EntryKind::File), ("c/d", EntryKind::File)] {
            layer.push(&Span { range: 0..512, data_start: 512, packed_start: 0 }, &parse(path), &kind);
        }
        let rootfs = Rootfs::merge(vec![layer]).unwrap();
        let paths = ["", "a", "a/b", "a/x", "a/b/c", "x/y", "x/z", "c", "c/d", "a/b"].map(parse);
        let found = rootfs.lookups(&paths).collect::<Vec<_>>();
        assert_eq!(found, paths.iter().map(|path| rootfs.lookup(path)).collect::<Vec<_>>());
        assert_eq!(found.iter().flatten().count(), 6);
    }
}
