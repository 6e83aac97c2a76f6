//! The merged view of all layers: for each path, which entry of which layer a container sees.
//!
//! Spec: image-spec `layer.md`, "Applying Changesets". Where the spec is silent, as containerd and umoci do: a parent
//! that is a symlink is followed inside the rootfs, a whiteout touches lower layers only, and a file replaces a directory
//! as a directory replaces a file.

mod dense;
mod merge;
mod tree;

use std::collections::{BTreeMap, HashMap};

pub use self::dense::{NodeMap, NodeSet};
pub use self::merge::Merging;
pub use self::tree::Nodes;
use self::tree::{Kind, Tree};
use crate::layer::{LayerIndex, Span};
use crate::rootfs_path::{RootfsPath, excerpt};

/// The root.
const ROOT: NodeId = NodeId(0);
/// How many symlinks one path may lead through, as in Linux.
const MAX_SYMLINKS: usize = 40;
/// How many folders may lie one in the other; what walks the rootfs recurses once for each.
const MAX_DEPTH: u16 = 512;

/// An entry of one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId {
    /// Index of the layer, the lowest is 0.
    pub layer: u32,
    /// Index of the entry in the layer.
    pub index: u32,
}

/// A file, directory or link of the rootfs, of now or of a lower layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u32);

impl NodeId {
    /// Returns the number of the node among all of the rootfs.
    fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a path of the rootfs is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind<'a> {
    /// A directory.
    Directory,
    /// A regular file; `data` is the entry that carries its bytes, another one for a hard link's further names.
    File {
        /// The entry with the data.
        data: EntryId,
    },
    /// A symbolic link, with its target as written.
    Symlink(&'a [u8]),
    /// A device or FIFO.
    Special,
}

/// One path of the rootfs.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    /// The directory that holds it; the root's is itself.
    pub parent: NodeId,
    /// The last component of its path.
    pub name: &'a [u8],
    /// What it is.
    pub kind: NodeKind<'a>,
    /// The entry that a container sees here; `None` for directories that no layer names.
    pub source: Option<EntryId>,
}

/// What one entry means for the rootfs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// A container sees it.
    Visible(NodeId),
    /// It names a directory that a later layer names again; a container sees the later one's metadata.
    Restated(NodeId),
    /// No container can see it: a later entry replaces it or whites it out.
    Shadowed,
    /// It is a whiteout.
    Whiteout,
    /// It is a global header, or a whiteout's bookkeeping: no path of the rootfs.
    NoPath,
}

/// A hard link's further name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The entry that carries the data.
    pub carrier: EntryId,
    /// The entry that the link names, itself perhaps a link.
    pub target: EntryId,
    /// Symlinks that the target's path leads through.
    pub via: Vec<NodeId>,
}

/// The merged view.
#[derive(Debug)]
pub struct Rootfs {
    layers: Vec<LayerIndex>,
    tree: Tree,
    entries: Entries,
    links: BTreeMap<EntryId, Link>,
    via: HashMap<EntryId, Vec<NodeId>>,
    whiteouts: BTreeMap<EntryId, RootfsPath>,
}

/// Entries as the tree numbers them, those of all layers in one row, and what each made.
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
        // Of layers without entries, which start where the next one does, the last is meant.
        let layer = self.firsts.partition_point(|&first| first <= number) - 1;
        EntryId { layer: layer as u32, index: number - self.firsts[layer] }
    }

    fn owner(&self, id: EntryId) -> Owner {
        self.owners[self.number(id) as usize]
    }
}

/// What an entry made or stated: a node, or one of two things that are none.
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
    /// A hard link names something that is not there.
    #[error("entry `{}` is a hard link to `{}`, which does not exist", excerpt(.path.as_bytes()), excerpt(.target.as_bytes()))]
    BrokenLink {
        /// The layer.
        layer: usize,
        /// The entry.
        path: RootfsPath,
        /// What it names.
        target: RootfsPath,
    },
    /// A path lies deeper than 512 folders.
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
    /// The root is something else than a directory.
    #[error("an entry makes the root of the rootfs something else than a directory")]
    Root {
        /// The layer.
        layer: usize,
    },
}

impl RootfsError {
    /// Returns the layer at fault, counted from 0.
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
    /// Merges layers, the lowest first.
    ///
    /// # Errors
    /// If a path cannot be placed or a hard link names nothing.
    pub fn merge(layers: Vec<LayerIndex>) -> Result<Self, RootfsError> {
        let mut merging = Merging::default();
        layers.into_iter().try_for_each(|layer| merging.apply(layer))?;
        Ok(merging.finish())
    }

    /// Returns the root.
    pub fn root(&self) -> NodeId {
        ROOT
    }

    /// Returns the layers that were merged. The names of their entries are forgotten: nodes have them.
    pub fn layers(&self) -> &[LayerIndex] {
        &self.layers
    }

    /// Returns a node.
    pub fn node(&self, id: NodeId) -> Node<'_> {
        let nodes = self.tree.nodes();
        let source = nodes.source(id).map(|number| self.entries.id(number));
        let kind = match (nodes.kind(id), source) {
            (Kind::Directory, _) => NodeKind::Directory,
            (Kind::File, Some(data)) => NodeKind::File { data },
            (Kind::LinkedFile, Some(link)) => {
                NodeKind::File { data: self.links.get(&link).map_or(link, |link| link.carrier) }
            }
            (Kind::Symlink, _) => NodeKind::Symlink(nodes.target(id)),
            (Kind::Special | Kind::File | Kind::LinkedFile, _) => NodeKind::Special,
        };
        Node { parent: nodes.parent(id), name: nodes.name(id), kind, source }
    }

    /// Returns the directory that holds a node; the root's is itself.
    pub fn parent(&self, id: NodeId) -> NodeId {
        self.tree.nodes().parent(id)
    }

    /// Returns the directories that hold a node, the innermost first, the root last.
    pub fn folders_above(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        std::iter::successors(Some(self.parent(id)), |&folder| (folder != ROOT).then(|| self.parent(folder)))
    }

    /// Returns the last component of a node's path.
    pub fn name(&self, id: NodeId) -> &[u8] {
        self.tree.nodes().name(id)
    }

    /// Tells whether a node is a directory.
    pub fn is_directory(&self, id: NodeId) -> bool {
        self.tree.nodes().kind(id) == Kind::Directory
    }

    /// Returns a symlink's target as written; `None` for what is none.
    pub fn symlink(&self, id: NodeId) -> Option<&[u8]> {
        let nodes = self.tree.nodes();
        (nodes.kind(id) == Kind::Symlink).then(|| nodes.target(id))
    }

    /// Returns what a directory holds, by name.
    pub fn children(&self, id: NodeId) -> &[NodeId] {
        self.tree.children(id)
    }

    /// Returns what a directory holds with its names, in their order.
    pub fn named_children(&self, id: NodeId) -> impl Iterator<Item = (&[u8], NodeId)> {
        self.children(id).iter().map(|&child| (self.name(child), child))
    }

    /// Returns the child of a name.
    pub fn child(&self, id: NodeId, name: &[u8]) -> Option<NodeId> {
        self.tree.nodes().child(id, name)
    }

    /// Returns the children whose names start so, by name.
    pub fn children_from(&self, id: NodeId, prefix: &[u8]) -> impl Iterator<Item = NodeId> {
        let children = self.children(id);
        let first = children.partition_point(|&child| self.name(child) < prefix);
        children[first..].iter().copied().take_while(move |&child| self.name(child).starts_with(prefix))
    }

    /// Returns the path of a node.
    pub fn path(&self, id: NodeId) -> RootfsPath {
        self.tree.nodes().path(id)
    }

    /// Returns every entry of one layer and where it lies, in order.
    pub fn entries(&self, layer: usize) -> impl Iterator<Item = (EntryId, Span)> {
        ids(layer, self.layers[layer].len()).zip(self.layers[layer].spans())
    }

    /// Returns every entry of one layer, in order.
    pub fn ids(&self, layer: usize) -> impl Iterator<Item = EntryId> + use<> {
        ids(layer, self.layers[layer].len())
    }

    /// Returns what an entry means for the rootfs.
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
            Some(_) if nodes.kind(node) == Kind::Directory => Fate::Restated(node),
            _ => Fate::Shadowed,
        }
    }

    /// Tells whether a container sees a node.
    pub fn is_alive(&self, id: NodeId) -> bool {
        self.tree.nodes().is_alive(id)
    }

    /// Returns the further names of hard links, in the order of their entries.
    pub fn links(&self) -> impl Iterator<Item = (EntryId, &Link)> {
        self.links.iter().map(|(&id, link)| (id, link))
    }

    /// Returns the symlinks that an entry's written path led through when it was unpacked; mostly none.
    pub fn via(&self, id: EntryId) -> &[NodeId] {
        self.via.get(&id).map_or(&[], Vec::as_slice)
    }

    /// Returns the node that an entry made or stated, seen or not.
    pub fn owner(&self, id: EntryId) -> Option<NodeId> {
        self.entries.owner(id).node()
    }

    /// Returns the path that a whiteout takes away (with all below it).
    pub fn whited_out(&self, id: EntryId) -> Option<&RootfsPath> {
        self.whiteouts.get(&id)
    }

    /// Returns the node at `path`, which must hold no symlink but for the last component; symlinks are not followed.
    pub fn lookup(&self, path: &RootfsPath) -> Option<NodeId> {
        path.components().try_fold(self.root(), |at, name| self.child(at, name))
    }

    /// As [`Rootfs::lookup`] for each of some paths; faster, if neighbours share their folder.
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

    /// Returns the node that a program sees when it opens `path` in folder `from`: all symlinks followed, `..` never
    /// leaves the root. `visit` is told each symlink on the way. `None` if there is nothing.
    pub fn resolve(&self, from: NodeId, path: &[u8], visit: &mut dyn FnMut(NodeId)) -> Option<NodeId> {
        self.tree.nodes().resolve(from, path, visit)
    }
}

/// Returns the entries of a layer that has `count`.
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
