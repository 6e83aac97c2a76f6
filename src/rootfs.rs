//! The merged view of all layers: for each path, which entry of which layer a container sees.
//!
//! Spec: image-spec `layer.md`, "Applying Changesets". Where the spec is silent, as containerd and umoci do: a parent
//! that is a symlink is followed inside the rootfs, a whiteout touches lower layers only, and a file replaces a directory
//! as a directory replaces a file.

use std::collections::{BTreeMap, HashMap};

use crate::layer::whiteout::Whiteout;
use crate::layer::{Entry, EntryKind, LayerIndex};
use crate::rootfs_path::RootfsPath;

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

/// What a path of the rootfs is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeKind {
    /// A directory.
    Directory,
    /// A regular file; `data` is the entry that carries its bytes, another one for a hard link's further names.
    File {
        /// The entry with the data.
        data: EntryId,
    },
    /// A symbolic link, with its target as written.
    Symlink(Box<[u8]>),
    /// A device or FIFO.
    Special,
}

/// One path of the rootfs.
#[derive(Debug)]
pub struct Node {
    /// The directory that holds it; the root's is itself.
    pub parent: NodeId,
    /// The last component of its path.
    pub name: Box<[u8]>,
    /// What it is.
    pub kind: NodeKind,
    /// The entry that a container sees here; `None` for directories that no layer names.
    pub source: Option<EntryId>,
    /// What a directory holds, by name.
    pub children: BTreeMap<Box<[u8]>, NodeId>,
    alive: bool,
    depth: u16,
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
    nodes: Vec<Node>,
    owners: Vec<Vec<Owner>>,
    links: BTreeMap<EntryId, Link>,
    via: HashMap<EntryId, Vec<NodeId>>,
    whiteouts: BTreeMap<EntryId, RootfsPath>,
}

#[derive(Debug, Clone, Copy)]
enum Owner {
    Node(NodeId),
    Whiteout,
    None,
}

/// Why layers cannot be merged. Layers are counted from 0.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RootfsError {
    /// A path leads through more symlinks than Linux follows.
    #[error("entry `{path}` lies behind more than {MAX_SYMLINKS} symlinks")]
    Loop {
        /// The layer.
        layer: usize,
        /// The entry.
        path: RootfsPath,
    },
    /// A hard link names something that is not there.
    #[error("entry `{path}` is a hard link to `{target}`, which is not there")]
    BrokenLink {
        /// The layer.
        layer: usize,
        /// The entry.
        path: RootfsPath,
        /// What it names.
        target: RootfsPath,
    },
    /// A path lies deeper than 512 folders.
    #[error("entry `{path}` lies more than {MAX_DEPTH} folders deep")]
    Depth {
        /// The layer.
        layer: usize,
        /// The entry.
        path: RootfsPath,
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
        let mut rootfs = Self {
            nodes: vec![Node {
                parent: NodeId(0),
                name: Box::default(),
                kind: NodeKind::Directory,
                source: None,
                children: BTreeMap::new(),
                alive: true,
                depth: 0,
            }],
            owners: Vec::with_capacity(layers.len()),
            layers: Vec::new(),
            links: BTreeMap::new(),
            via: HashMap::new(),
            whiteouts: BTreeMap::new(),
        };
        for (number, layer) in layers.iter().enumerate() {
            rootfs.owners.push(Vec::with_capacity(layer.entries.len()));
            for (index, entry) in layer.entries.iter().enumerate() {
                let id = EntryId { layer: number as u32, index: index as u32 };
                let owner = rootfs.apply(id, entry)?;
                rootfs.owners[number].push(owner);
            }
        }
        rootfs.layers = layers;
        Ok(rootfs)
    }

    /// Returns the root.
    pub fn root(&self) -> NodeId {
        NodeId(0)
    }

    /// Returns the layers that were merged.
    pub fn layers(&self) -> &[LayerIndex] {
        &self.layers
    }

    /// Returns a node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// Returns an entry.
    pub fn entry(&self, id: EntryId) -> &Entry {
        &self.layers[id.layer as usize].entries[id.index as usize]
    }

    /// Returns the path of a node.
    pub fn path(&self, id: NodeId) -> RootfsPath {
        let mut names = Vec::new();
        let mut at = id;
        while at != self.root() {
            names.push(&*self.node(at).name);
            at = self.node(at).parent;
        }
        RootfsPath::of_components(names.into_iter().rev())
    }

    /// Returns every entry of one layer, in order.
    pub fn entries(&self, layer: usize) -> impl Iterator<Item = (EntryId, &Entry)> {
        self.layers[layer].entries.iter().enumerate().map(move |(index, entry)| {
            let id = EntryId { layer: layer as u32, index: index as u32 };
            (id, entry)
        })
    }

    /// Returns what an entry means for the rootfs.
    pub fn fate(&self, id: EntryId) -> Fate {
        match self.owners[id.layer as usize][id.index as usize] {
            Owner::Whiteout => Fate::Whiteout,
            Owner::None => Fate::NoPath,
            Owner::Node(node) => match self.node(node) {
                Node { alive: false, .. } => Fate::Shadowed,
                Node { source: Some(source), .. } if *source == id => Fate::Visible(node),
                Node { kind: NodeKind::Directory, source: Some(_), .. } => Fate::Restated(node),
                _ => Fate::Shadowed,
            },
        }
    }

    /// Tells whether a container sees a node.
    pub fn is_alive(&self, id: NodeId) -> bool {
        self.node(id).alive
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
        match self.owners[id.layer as usize][id.index as usize] {
            Owner::Node(node) => Some(node),
            _ => None,
        }
    }

    /// Returns the path that a whiteout takes away (with all below it).
    pub fn whited_out(&self, id: EntryId) -> Option<&RootfsPath> {
        self.whiteouts.get(&id)
    }

    /// Returns the node at `path`, which must hold no symlink but for the last component; symlinks are not followed.
    pub fn lookup(&self, path: &RootfsPath) -> Option<NodeId> {
        path.components().try_fold(self.root(), |at, name| self.node(at).children.get(name).copied())
    }

    /// Returns the node that a program sees when it opens `path` in folder `from`: all symlinks followed, `..` never
    /// leaves the root. `visit` is told each symlink on the way. `None` if there is nothing.
    pub fn resolve(&self, from: NodeId, path: &[u8], visit: &mut dyn FnMut(NodeId)) -> Option<NodeId> {
        let mut hops = 0;
        self.follow(from, path, &mut hops, visit)
    }

    fn follow(&self, from: NodeId, path: &[u8], hops: &mut usize, visit: &mut dyn FnMut(NodeId)) -> Option<NodeId> {
        let mut at = if path.starts_with(b"/") { self.root() } else { from };
        for name in path.split(|&b| b == b'/') {
            match name {
                b"" | b"." => continue,
                b".." => {
                    at = self.node(at).parent;
                    continue;
                }
                _ => {}
            }
            let child = *self.node(at).children.get(name)?;
            at = match &self.node(child).kind {
                NodeKind::Symlink(target) => {
                    *hops += 1;
                    if *hops > MAX_SYMLINKS {
                        return None;
                    }
                    visit(child);
                    self.follow(at, target, hops, visit)?
                }
                _ => child,
            };
        }
        Some(at)
    }

    fn apply(&mut self, id: EntryId, entry: &Entry) -> Result<Owner, RootfsError> {
        if entry.kind == EntryKind::GlobalHeader {
            return Ok(Owner::None);
        }
        match Whiteout::parse(&entry.path) {
            Some(Whiteout::Bookkeeping) => Ok(Owner::None),
            Some(Whiteout::Removed(path)) => {
                if let Some(parent) = self.existing(&path.parent()) {
                    let name = path.file_name();
                    if let Some(&child) = self.node(parent).children.get(name)
                        && !self.hide_below(child, id.layer)
                    {
                        self.remove(child);
                    }
                    self.whiteouts.insert(id, self.path(parent).join(name));
                }
                Ok(Owner::Whiteout)
            }
            Some(Whiteout::Opaque(path)) => {
                if let Some(folder) = self.existing(&path) {
                    self.hide_children(folder, id.layer);
                    self.whiteouts.insert(id, self.path(folder));
                }
                Ok(Owner::Whiteout)
            }
            None => self.place(id, entry).map(Owner::Node),
        }
    }

    /// Puts an ordinary entry at its path.
    fn place(&mut self, id: EntryId, entry: &Entry) -> Result<NodeId, RootfsError> {
        let layer = id.layer as usize;
        if entry.path.is_root() {
            if entry.kind != EntryKind::Directory {
                return Err(RootfsError::Root { layer });
            }
            self.nodes[0].source = Some(id);
            return Ok(self.root());
        }
        let mut via = Vec::new();
        let parent = self
            .make_parent(&entry.path.parent(), &mut via)
            .ok_or_else(|| RootfsError::Loop { layer, path: entry.path.clone() })?;
        if self.node(parent).depth >= MAX_DEPTH {
            return Err(RootfsError::Depth { layer, path: entry.path.clone() });
        }
        if !via.is_empty() {
            self.via.insert(id, via);
        }
        let kind = self.kind_of(id, entry)?;
        let name = entry.path.file_name();
        if let Some(&old) = self.node(parent).children.get(name) {
            if kind == NodeKind::Directory && self.node(old).kind == NodeKind::Directory {
                self.nodes[old.0 as usize].source = Some(id);
                return Ok(old);
            }
            self.remove(old);
        }
        Ok(self.add(parent, name, kind, Some(id)))
    }

    fn kind_of(&mut self, id: EntryId, entry: &Entry) -> Result<NodeKind, RootfsError> {
        Ok(match &entry.kind {
            EntryKind::File => NodeKind::File { data: id },
            EntryKind::Directory => NodeKind::Directory,
            EntryKind::Symlink(target) => NodeKind::Symlink(target.clone()),
            EntryKind::Special | EntryKind::GlobalHeader => NodeKind::Special,
            EntryKind::HardLink(target) => {
                let mut via = Vec::new();
                // A link may name a symlink itself: only the target's parents are followed.
                let node = self
                    .resolve(self.root(), target.parent().as_bytes(), &mut |link| via.push(link))
                    .and_then(|parent| self.node(parent).children.get(target.file_name()));
                let found = node.map(|&node| self.node(node)).and_then(|node| {
                    let linkable = node.kind != NodeKind::Directory;
                    node.source.filter(|_| linkable).map(|source| (source, node.kind.clone()))
                });
                let Some((target, kind)) = found else {
                    return Err(RootfsError::BrokenLink {
                        layer: id.layer as usize,
                        path: entry.path.clone(),
                        target: target.clone(),
                    });
                };
                let carrier = self.links.get(&target).map_or(target, |link| link.carrier);
                self.links.insert(id, Link { carrier, target, via });
                kind
            }
        })
    }

    /// Returns the directory at `path`, following symlinks; `None` if there is none.
    fn existing(&self, path: &RootfsPath) -> Option<NodeId> {
        self.resolve(self.root(), path.as_bytes(), &mut |_| {})
            .filter(|&node| self.node(node).kind == NodeKind::Directory)
    }

    /// Returns the directory at `path`, following symlinks and making what is missing; `None` on a loop.
    fn make_parent(&mut self, path: &RootfsPath, via: &mut Vec<NodeId>) -> Option<NodeId> {
        let mut todo = path.components().rev().map(<[u8]>::to_vec).collect::<Vec<_>>();
        let mut at = self.root();
        while let Some(name) = todo.pop() {
            if self.node(at).depth >= MAX_DEPTH {
                break;
            }
            match &name[..] {
                b"" | b"." => continue,
                b".." => {
                    at = self.node(at).parent;
                    continue;
                }
                _ => {}
            }
            at = match self.node(at).children.get(&name[..]).copied() {
                None => self.add(at, &name, NodeKind::Directory, None),
                Some(child) => match &self.node(child).kind {
                    NodeKind::Directory => child,
                    NodeKind::Symlink(target) => {
                        if via.len() == MAX_SYMLINKS {
                            return None;
                        }
                        via.push(child);
                        todo.extend(target.split(|&b| b == b'/').rev().map(<[u8]>::to_vec));
                        if target.starts_with(b"/") { self.root() } else { at }
                    }
                    NodeKind::File { .. } | NodeKind::Special => {
                        self.remove(child);
                        self.add(at, &name, NodeKind::Directory, None)
                    }
                },
            };
        }
        Some(at)
    }

    fn add(&mut self, parent: NodeId, name: &[u8], kind: NodeKind, source: Option<EntryId>) -> NodeId {
        let id = NodeId(self.nodes.len() as u32);
        let depth = self.node(parent).depth.saturating_add(1);
        self.nodes.push(Node {
            parent,
            name: name.into(),
            kind,
            source,
            children: BTreeMap::new(),
            alive: true,
            depth,
        });
        self.nodes[parent.0 as usize].children.insert(name.into(), id);
        id
    }

    /// Takes a node and all below it out of the rootfs.
    fn remove(&mut self, id: NodeId) {
        let Node { parent, name, .. } = &self.nodes[id.0 as usize];
        let (parent, name) = (*parent, name.clone());
        self.nodes[parent.0 as usize].children.remove(&name);
        let mut todo = vec![id];
        while let Some(id) = todo.pop() {
            let node = &mut self.nodes[id.0 as usize];
            node.alive = false;
            todo.extend(std::mem::take(&mut node.children).into_values());
        }
    }

    /// Hides what lower layers have below `id`; tells whether anything of `layer` is left at or below it.
    fn hide_below(&mut self, id: NodeId, layer: u32) -> bool {
        let mine = self.node(id).source.is_some_and(|source| source.layer == layer);
        let left_below = self.hide_children(id, layer);
        if left_below && !mine {
            // A directory that this layer needs but does not name.
            self.nodes[id.0 as usize].source = None;
        }
        mine || left_below
    }

    fn hide_children(&mut self, id: NodeId, layer: u32) -> bool {
        let children = self.node(id).children.values().copied().collect::<Vec<_>>();
        let mut any_left = false;
        for child in children {
            if self.hide_below(child, layer) {
                any_left = true;
            } else {
                self.remove(child);
            }
        }
        any_left
    }
}
