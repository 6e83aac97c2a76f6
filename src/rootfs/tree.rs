//! The nodes of a rootfs, stored compactly: about sixty bytes each, including the name.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{MAX_SYMLINKS, NodeId, ROOT};
use crate::rootfs_path::RootfsPath;

/// Means no node or no entry.
const NONE: u32 = u32::MAX;
/// The most nodes. A few numbers are reserved for special values.
const MAX_NODES: u32 = u32::MAX - 8;

/// The type of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowKind {
    Directory,
    /// A regular file whose own entry has the data.
    File,
    /// Another name of a regular file. Another entry has the data.
    LinkedFile,
    Symlink,
    Special,
}

/// A node without its texts.
#[derive(Debug, Clone, Copy)]
struct Packed {
    parent: u32,
    /// Position of its name in the texts. The target of a symlink follows it.
    text: u32,
    /// The number of its entry among those of all layers.
    source: u32,
    depth: u16,
    kind: RowKind,
    alive: bool,
}

/// A tree of nodes that still grows.
#[derive(Debug)]
pub(super) struct Growing {
    nodes: Nodes,
    /// For each node, its last child and its previous sibling.
    children: Vec<(u32, u32)>,
}

/// The nodes with their children.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Nodes,
    /// For each node, the start of its children in `order`.
    starts: Vec<u32>,
    /// Live nodes, sorted by parent and then by name.
    order: Vec<NodeId>,
}

/// The nodes of a finished or growing rootfs. A node keeps its number, its folder and its name.
#[derive(Debug)]
pub struct Nodes {
    packed: Vec<Packed>,
    texts: Vec<u8>,
    /// Nodes by parent and name.
    by_name: HashTable<u32>,
}

impl Nodes {
    /// Returns the number of nodes, including the root and removed nodes.
    pub fn count(&self) -> usize {
        self.packed.len()
    }

    /// Returns the nodes from a number on. Each node comes after its folder.
    pub fn from(&self, number: usize) -> impl Iterator<Item = NodeId> + use<> {
        (number as u32..self.packed.len() as u32).map(NodeId)
    }

    /// Returns the folder of a node. The root is its own folder.
    pub fn parent(&self, id: NodeId) -> NodeId {
        NodeId(self.at(id).parent)
    }

    /// Returns the last component of a node's path.
    pub fn name(&self, id: NodeId) -> &[u8] {
        text(&self.texts, self.at(id).text).0
    }

    /// Returns the target of a symlink.
    pub(super) fn target(&self, id: NodeId) -> &[u8] {
        text(&self.texts, text(&self.texts, self.at(id).text).1).0
    }

    pub(super) fn kind(&self, id: NodeId) -> RowKind {
        self.at(id).kind
    }

    pub(super) fn depth(&self, id: NodeId) -> u16 {
        self.at(id).depth
    }

    /// Returns the number of the node's entry among those of all layers.
    pub(super) fn source(&self, id: NodeId) -> Option<u32> {
        Some(self.at(id).source).filter(|&source| source != NONE)
    }

    pub(super) fn is_alive(&self, id: NodeId) -> bool {
        self.at(id).alive
    }

    /// Returns the live child with a name.
    pub(super) fn child(&self, parent: NodeId, name: &[u8]) -> Option<NodeId> {
        let is_it = |&id: &u32| self.packed[id as usize].parent == parent.0 && self.name(NodeId(id)) == name;
        self.by_name.find(hash(parent.0, name), is_it).copied().map(NodeId)
    }

    /// Returns the path of a node.
    pub fn path(&self, id: NodeId) -> RootfsPath {
        let up = std::iter::successors(Some(id), |&at| Some(self.parent(at)));
        let names = up.take_while(|&at| at != ROOT).map(|at| self.name(at)).collect::<Vec<_>>();
        RootfsPath::of_components(names.into_iter().rev())
    }

    /// Returns the node that a program sees when it opens `path` in folder `from`. See [`super::Rootfs::resolve`].
    pub(super) fn resolve(&self, from: NodeId, path: &[u8], visit: &mut dyn FnMut(NodeId)) -> Option<NodeId> {
        let mut hops = 0;
        self.follow(from, path, &mut hops, visit)
    }

    fn follow(&self, from: NodeId, path: &[u8], hops: &mut usize, visit: &mut dyn FnMut(NodeId)) -> Option<NodeId> {
        let mut at = if path.starts_with(b"/") { ROOT } else { from };
        for name in path.split(|&b| b == b'/') {
            match name {
                b"" | b"." => continue,
                b".." => {
                    at = self.parent(at);
                    continue;
                }
                _ => {}
            }
            let child = self.child(at, name)?;
            at = if self.kind(child) == RowKind::Symlink {
                *hops += 1;
                if *hops > MAX_SYMLINKS {
                    return None;
                }
                visit(child);
                self.follow(at, self.target(child), hops, visit)?
            } else {
                child
            };
        }
        Some(at)
    }

    fn at(&self, id: NodeId) -> &Packed {
        &self.packed[id.index()]
    }
}

impl Default for Growing {
    /// Creates a tree with only a root.
    fn default() -> Self {
        let root = Packed { parent: 0, text: 0, source: NONE, depth: 0, kind: RowKind::Directory, alive: true };
        let nodes = Nodes { packed: vec![root], texts: vec![0], by_name: HashTable::new() };
        Self { nodes, children: vec![(NONE, NONE)] }
    }
}

impl Growing {
    pub(super) fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    /// Adds a child that `parent` does not have. `target` is for a symlink. Returns `None` if there are too many nodes.
    pub(super) fn add(
        &mut self,
        parent: NodeId,
        name: &[u8],
        kind: RowKind,
        target: &[u8],
        source: Option<u32>,
    ) -> Option<NodeId> {
        let Nodes { packed, texts, by_name } = &mut self.nodes;
        let id = u32::try_from(packed.len()).ok().filter(|&id| id < MAX_NODES)?;
        let text_at = texts.len() as u32;
        push_text(texts, name);
        if kind == RowKind::Symlink {
            push_text(texts, target);
        }
        u32::try_from(texts.len()).ok()?;
        let depth = packed[parent.0 as usize].depth.saturating_add(1);
        let source = source.unwrap_or(NONE);
        packed.push(Packed { parent: parent.0, text: text_at, source, depth, kind, alive: true });
        let last = std::mem::replace(&mut self.children[parent.0 as usize].0, id);
        self.children.push((NONE, last));
        let hash_of = |&id: &u32| {
            let Packed { parent, text: at, .. } = packed[id as usize];
            hash(parent, text(texts, at).0)
        };
        by_name.insert_unique(hash(parent.0, name), id, hash_of);
        Some(NodeId(id))
    }

    /// Removes a node and everything below it.
    pub(super) fn remove(&mut self, id: NodeId) {
        let hash = hash(self.nodes.parent(id).0, self.nodes.name(id));
        if let Ok(found) = self.nodes.by_name.find_entry(hash, |&other| other == id.0) {
            found.remove();
        }
        // Nodes below it can no longer be reached. `seal` removes them.
        self.nodes.packed[id.0 as usize].alive = false;
    }

    pub(super) fn set_source(&mut self, id: NodeId, source: Option<u32>) {
        self.nodes.packed[id.0 as usize].source = source.unwrap_or(NONE);
    }

    /// Returns the live children of a node, unsorted.
    pub(super) fn children(&self, id: NodeId) -> Vec<NodeId> {
        let next = |at: u32| Some(at).filter(|&at| at != NONE);
        let all = std::iter::successors(next(self.children[id.0 as usize].0), |&at| next(self.children[at as usize].1));
        all.map(NodeId).filter(|&id| self.nodes.is_alive(id)).collect()
    }

    /// Finishes the tree and sorts children by name.
    pub(super) fn seal(self) -> Tree {
        let Self { mut nodes, children } = self;
        drop(children);
        // A node comes after its parent.
        let packed = &mut nodes.packed;
        for id in 1..packed.len() {
            packed[id].alive &= packed[packed[id].parent as usize].alive;
        }
        let mut starts = vec![0_u32; packed.len() + 1];
        let living = || packed.iter().enumerate().skip(1).filter(|(_, node)| node.alive);
        for (_, node) in living() {
            starts[node.parent as usize + 1] += 1;
        }
        for parent in 0..packed.len() {
            starts[parent + 1] += starts[parent];
        }
        let mut order = vec![NodeId(0); starts[packed.len()] as usize];
        // Each start advances as nodes are placed, and ends at the original start of the next node.
        for (id, node) in living() {
            let place = &mut starts[node.parent as usize];
            order[*place as usize] = NodeId(id as u32);
            *place += 1;
        }
        starts.rotate_right(1);
        starts[0] = 0;
        for (from, to) in starts.iter().zip(&starts[1..]) {
            let siblings = &mut order[*from as usize..*to as usize];
            siblings.sort_unstable_by(|&a, &b| nodes.name(a).cmp(nodes.name(b)));
        }
        Tree { nodes, starts, order }
    }
}

impl Tree {
    pub(super) fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    /// Returns the children of a node, sorted by name.
    pub(super) fn children(&self, id: NodeId) -> &[NodeId] {
        let id = id.0 as usize;
        &self.order[self.starts[id] as usize..self.starts[id + 1] as usize]
    }
}

fn hash(parent: u32, name: &[u8]) -> u64 {
    xxh3_64_with_seed(name, parent.into())
}

/// Appends a text with its length as a varint: seven bits per byte, lowest first; the eighth bit means that more
/// follow.
fn push_text(texts: &mut Vec<u8>, text: &[u8]) {
    let mut length = text.len();
    while length > 0x7f {
        texts.push(length as u8 | 0x80);
        length >>= 7;
    }
    texts.push(length as u8);
    texts.extend_from_slice(text);
}

/// Returns the text at a position, and the position of the next one.
fn text(texts: &[u8], at: u32) -> (&[u8], u32) {
    let (mut at, mut length, mut shift) = (at as usize, 0_usize, 0);
    loop {
        let byte = texts[at];
        at += 1;
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            break;
        }
    }
    (&texts[at..at + length], (at + length) as u32)
}
