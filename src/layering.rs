//! Turns a plan and a squash mode into cut lists for each output layer. Pure.
//!
//! These are the rewriting rules. Entries that no container can see are dropped, and so are whiteouts that hide nothing
//! any more. If the first name of a hard link is removed, another name is promoted to carry the data. A layer without
//! removed or edited entries is not rewritten.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::layer::Span;
use crate::layer::cut::CutList;
use crate::layer::header::HeaderEdit;
use crate::layer::tar::BLOCK;
use crate::rootfs::{EntryId, Fate, Link, NodeId, NodeKind, NodeSet, Rootfs};
use crate::rootfs_path::RootfsPath;

/// Which layers are merged into one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Squash {
    /// None. Each layer is kept separate.
    #[default]
    None,
    /// The layers above the base image.
    App,
    /// All layers.
    All,
}

impl fmt::Display for Squash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::App => "app",
            Self::All => "all",
        })
    }
}

impl FromStr for Squash {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "app" => Ok(Self::App),
            "all" => Ok(Self::All),
            _ => Err(format!("`{text}` is not `none`, `app` or `all`")),
        }
    }
}

/// The change of one group of old layers: a single layer, or those that are squashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputLayer {
    /// The old layers of the group, counted from 0.
    pub old: Range<usize>,
    /// The change.
    pub change: Change,
}

/// The change of a group of old layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Keeps the single old layer as the same blob.
    Keep,
    /// Writes one new layer from these cut lists. Old layers of which nothing is kept are not listed.
    Rewrite(Vec<(usize, Arc<CutList>)>),
    /// Removes the group: nothing is left.
    Drop,
}

/// Returns the groups of layers that become one layer, lowest first. `base` is the number of layers of the base image.
pub fn groups(squash: Squash, layers: usize, base: usize) -> Vec<Range<usize>> {
    let single = |layer: usize| layer..layer + 1;
    let base = match squash {
        Squash::None => layers,
        Squash::App => base.min(layers),
        Squash::All => 0,
    };
    let mut groups = (0..base).map(single).collect::<Vec<_>>();
    if base < layers {
        groups.push(base..layers);
    }
    groups
}

/// Distributes the rootfs, without `removed` and with the new contents of `edited` files, over new layers.
pub fn layering(
    rootfs: &Rootfs,
    removed: &NodeSet,
    edited: &[(NodeId, &[u8])],
    groups: &[Range<usize>],
) -> Vec<OutputLayer> {
    let mut group_of = vec![0; rootfs.layers().len()];
    for (number, group) in groups.iter().enumerate() {
        group_of[group.clone()].fill(number);
    }
    let mut layout = Layout {
        rootfs,
        removed,
        groups,
        group_of,
        dropped: rootfs.layers().iter().map(|layer| vec![false; layer.len()]).collect(),
        edits: HashMap::new(),
        pinned: BTreeMap::new(),
        is_empty: true,
        contents: edited.iter().filter_map(|&(node, content)| Some((data_of(rootfs, node)?, content))).collect(),
    };
    layout.judge_entries();
    layout.follow_gone_symlinks();
    layout.move_data_of_hard_links();
    layout.keep_whiteouts_that_hide();
    let mut layers = (0..groups.len()).map(|group| layout.output(group)).collect::<Vec<_>>();
    // An image has at least one layer (image-spec `manifest.md`). An empty rootfs gets an empty one.
    if let Some(first) = layers.first_mut()
        && layout.is_empty
    {
        first.change = Change::Rewrite(Vec::new());
    }
    layers
}

/// Returns the entries of layers, in order.
fn entries_of(rootfs: &Rootfs, layers: Range<usize>) -> impl Iterator<Item = EntryId> {
    layers.flat_map(|layer| rootfs.ids(layer))
}

/// Returns the entry with a file's data.
fn data_of(rootfs: &Rootfs, node: NodeId) -> Option<EntryId> {
    match rootfs.node(node).kind {
        NodeKind::File { data } => Some(data),
        _ => None,
    }
}

/// The decision on one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EntryChange<'a> {
    Keep,
    Edit(&'a HeaderEdit),
    Drop,
}

struct Layout<'a> {
    rootfs: &'a Rootfs,
    removed: &'a NodeSet,
    groups: &'a [Range<usize>],
    group_of: Vec<usize>,
    /// For each layer and entry, whether it is dropped.
    dropped: Vec<Vec<bool>>,
    /// New headers of kept entries.
    edits: HashMap<EntryId, HeaderEdit>,
    /// Entries whose data is replaced.
    contents: HashMap<EntryId, &'a [u8]>,
    /// Entries that no container sees, but whose data a hard link in a later layer shares, with their paths.
    pinned: BTreeMap<EntryId, RootfsPath>,
    /// Whether all layers so far are empty.
    is_empty: bool,
}

impl<'a> Layout<'a> {
    fn all_entries(&self) -> impl Iterator<Item = EntryId> + use<'a> {
        entries_of(self.rootfs, 0..self.rootfs.layers().len())
    }

    fn verdict(&self, id: EntryId) -> EntryChange<'_> {
        match self.edits.get(&id) {
            _ if !self.is_kept(id) => EntryChange::Drop,
            Some(edit) => EntryChange::Edit(edit),
            None => EntryChange::Keep,
        }
    }

    fn is_kept(&self, id: EntryId) -> bool {
        !self.dropped[id.layer as usize][id.index as usize]
    }

    fn set_dropped(&mut self, id: EntryId, is_dropped: bool) {
        self.dropped[id.layer as usize][id.index as usize] = is_dropped;
    }

    /// Keeps an entry unchanged.
    fn bring_back(&mut self, id: EntryId) {
        self.set_dropped(id, false);
        self.edits.remove(&id);
    }

    fn group(&self, id: EntryId) -> usize {
        self.group_of[id.layer as usize]
    }

    fn stays(&self, node: NodeId) -> bool {
        self.rootfs.is_alive(node) && !self.removed.contains(node)
    }

    /// Drops what no container sees and what the plan removes. Whiteouts are dropped here. Those that still hide
    /// something are brought back later.
    fn judge_entries(&mut self) {
        for id in self.all_entries() {
            let keep = match self.rootfs.fate(id) {
                Fate::Visible(node) => self.stays(node),
                // In a squashed layer, only the last entry of a directory is needed.
                Fate::Restated(node) => {
                    let later = self.rootfs.node(node).source;
                    self.stays(node) && later.is_some_and(|later| self.group(later) != self.group(id))
                }
                // Container runtimes ignore global headers. In a squashed layer they could mislead other tools.
                Fate::NoPath => self.groups[self.group(id)].len() == 1,
                Fate::Shadowed | Fate::Whiteout => false,
            };
            self.set_dropped(id, !keep);
        }
    }

    /// Gives an entry the path at which a container sees it, if the entry was unpacked through a removed symlink.
    /// Otherwise the entry would be unpacked to another place.
    fn follow_gone_symlinks(&mut self) {
        for id in self.all_entries() {
            let gone = |&via: &NodeId| !self.stays(via);
            if self.is_kept(id) && self.rootfs.via(id).iter().any(gone) {
                self.edit(id, |edit, path| edit.path = Some(path.clone()));
            }
        }
    }

    /// Edits the headers of an entry with `change`, which gets the entry's path in the rootfs.
    fn edit(&mut self, id: EntryId, change: impl FnOnce(&mut HeaderEdit, &RootfsPath)) {
        let Some(node) = self.rootfs.owner(id) else { return };
        change(self.edits.entry(id).or_default(), &self.rootfs.path(node));
    }

    fn move_data_of_hard_links(&mut self) {
        let mut names: BTreeMap<EntryId, Vec<(EntryId, Link)>> = BTreeMap::new();
        for (id, link) in self.rootfs.links() {
            if self.is_kept(id) {
                names.entry(link.carrier).or_default().push((id, link.clone()));
            }
        }
        for (carrier, links) in names {
            let first_name = self.place_data(carrier, &links);
            for (id, link) in links {
                self.point_link(id, &link, &first_name);
            }
        }
    }

    /// Makes sure that the data of a hard link is kept. Returns the path of the entry that has it.
    fn place_data(&mut self, carrier: EntryId, links: &[(EntryId, Link)]) -> RootfsPath {
        let path_of = |layout: &Self, id| {
            let node = layout.rootfs.owner(id);
            node.map_or_else(RootfsPath::root, |node| layout.rootfs.path(node))
        };
        if self.is_kept(carrier) {
            return path_of(self, carrier);
        }
        let heir = links.iter().find(|(id, _)| self.group(*id) == self.group(carrier));
        let Some((heir, _)) = heir else {
            // Data does not move between layers: the entry is kept, still hidden.
            let path = path_of(self, carrier);
            self.bring_back(carrier);
            self.pinned.insert(carrier, path.clone());
            return path;
        };
        let path = path_of(self, *heir);
        self.set_dropped(*heir, true);
        self.set_dropped(carrier, false);
        self.edits.insert(carrier, HeaderEdit { path: Some(path.clone()), ..HeaderEdit::default() });
        path
    }

    /// Points a hard link at `first_name` if its old target will not exist when the link is unpacked.
    fn point_link(&mut self, id: EntryId, link: &Link, first_name: &RootfsPath) {
        let renamed = |verdict| matches!(verdict, EntryChange::Edit(HeaderEdit { path: Some(_), .. }));
        let target_stands = self.is_kept(link.target)
            && !renamed(self.verdict(link.target))
            && link.via.iter().all(|&via| self.stays(via));
        if self.is_kept(id) && !target_stands {
            self.edit(id, |edit, _| edit.link = Some(first_name.clone()));
        }
    }

    /// Brings back whiteouts that hide pinned entries. Everything else that whiteouts hid is dropped, so no other is
    /// needed.
    fn keep_whiteouts_that_hide(&mut self) {
        if self.pinned.is_empty() {
            return;
        }
        for id in self.all_entries() {
            let Some(hidden) = self.rootfs.whited_out(id) else { continue };
            let mut below = self.pinned.iter().filter(|(pinned, _)| self.group(**pinned) < self.group(id));
            if below.any(|(_, path)| path.is_within(hidden)) {
                self.bring_back(id);
            }
        }
    }

    fn output(&mut self, group: usize) -> OutputLayer {
        let old = self.groups[group].clone();
        let mut ids = entries_of(self.rootfs, old.clone()).peekable();
        let has_entries = ids.peek().is_some();
        let untouched =
            old.len() == 1 && ids.all(|id| self.verdict(id) == EntryChange::Keep && !self.contents.contains_key(&id));
        let change = if untouched && has_entries {
            Change::Keep
        } else {
            self.drop_idle_directories(&old);
            self.cut_lists(old.clone())
        };
        self.is_empty &= change == Change::Drop;
        OutputLayer { old, change }
    }

    /// Drops directories that a later layer contains again, if they have no other entries in this rewritten layer.
    fn drop_idle_directories(&mut self, layers: &Range<usize>) {
        let restated = |id: EntryId| matches!(self.rootfs.fate(id), Fate::Restated(_));
        let mut holding = NodeSet::default();
        for id in entries_of(self.rootfs, layers.clone()).filter(|&id| self.is_kept(id) && !restated(id)) {
            let mut at = self.rootfs.owner(id);
            while let Some(node) = at.filter(|&node| node != self.rootfs.root()) {
                let parent = self.rootfs.parent(node);
                at = holding.insert(parent).then_some(parent);
            }
        }
        for id in entries_of(self.rootfs, layers.clone()) {
            if let Fate::Restated(node) = self.rootfs.fate(id)
                && !holding.contains(node)
            {
                self.set_dropped(id, true);
            }
        }
    }

    fn cut_lists(&self, old: Range<usize>) -> Change {
        let is_file = |id| self.is_kept(id) && self.rootfs.fate(id) != Fate::NoPath;
        if !entries_of(self.rootfs, old.clone()).any(is_file) {
            return Change::Drop;
        }
        let mut lists = Vec::new();
        for layer in old {
            let mut cut = CutList::default();
            for (id, span) in self.rootfs.entries(layer) {
                match (self.verdict(id), self.contents.get(&id)) {
                    (EntryChange::Drop, _) => {}
                    (verdict, Some(content)) => replace(&mut cut, &span, verdict, content),
                    (EntryChange::Keep, None) => cut.keep(span.range),
                    (EntryChange::Edit(edit), None) => {
                        cut.edit(span.header(), edit.clone());
                        cut.keep(span.body());
                    }
                }
            }
            if !cut.is_empty() {
                lists.push((layer, cut.into()));
            }
        }
        Change::Rewrite(lists)
    }
}

/// Replaces the content of an entry.
fn replace(cut: &mut CutList, span: &Span, verdict: EntryChange<'_>, content: &[u8]) {
    let mut edit = match verdict {
        EntryChange::Edit(edit) => edit.clone(),
        _ => HeaderEdit::default(),
    };
    edit.size = Some(content.len() as u64);
    cut.edit(span.header(), edit);
    let mut bytes = content.to_vec();
    bytes.resize(bytes.len().next_multiple_of(BLOCK as usize), 0);
    cut.insert(bytes);
}
