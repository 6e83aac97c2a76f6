//! Plan and squash mode, to one list of cut lists for each output layer. Pure.
//!
//! Here the rules of rewriting live: what no container can see is dropped, a whiteout that hides nothing any more is
//! dropped with it, a hard link whose first name goes is promoted to carry the data, and a layer that loses nothing is
//! left alone.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::layer::Entry;
use crate::layer::cut::CutList;
use crate::layer::header::HeaderEdit;
use crate::layer::tar::BLOCK;
use crate::rootfs::{EntryId, Fate, Link, NodeId, NodeKind, Rootfs};
use crate::rootfs_path::RootfsPath;

/// Which layers become one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Squash {
    /// None: each layer stays a layer.
    #[default]
    None,
    /// Those above the base image.
    App,
    /// All.
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

/// What becomes of one group of old layers: a single one, or those that are squashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputLayer {
    /// The old layers, counted from 0, that stand in the group.
    pub old: Range<usize>,
    /// What to make of them.
    pub change: Change,
}

/// What to make of a group of old layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The one old layer stays the very same blob.
    Keep,
    /// One new layer of what these cut lists keep; old layers of which nothing is kept are not listed.
    Rewrite(Vec<(usize, CutList)>),
    /// Nothing is left.
    Drop,
}

/// Groups of layers that become one, the lowest first. `base` is the number of layers of the base image.
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

/// Lays the rootfs, minus `removed` and with new contents for `edited` files, out in new layers.
pub fn layering(
    rootfs: &Rootfs,
    removed: &BTreeSet<NodeId>,
    edited: &[(NodeId, &str)],
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
        verdicts: HashMap::new(),
        pinned: BTreeMap::new(),
        is_empty: true,
        contents: edited.iter().filter_map(|&(node, content)| Some((data_of(rootfs, node)?, content))).collect(),
    };
    layout.judge_entries();
    layout.follow_gone_symlinks();
    layout.move_data_of_hard_links();
    layout.keep_whiteouts_that_hide();
    let mut layers = (0..groups.len()).map(|group| layout.output(group)).collect::<Vec<_>>();
    // An image has at least one layer (image-spec `manifest.md`); of an empty rootfs, an empty one.
    if let Some(first) = layers.first_mut()
        && layout.is_empty
    {
        first.change = Change::Rewrite(Vec::new());
    }
    layers
}

/// Returns the entry that carries a file's data.
fn data_of(rootfs: &Rootfs, node: NodeId) -> Option<EntryId> {
    match rootfs.node(node).kind {
        NodeKind::File { data } => Some(data),
        _ => None,
    }
}

/// What becomes of one entry, where that is not decided by its fate alone.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Keep,
    Edit(HeaderEdit),
    Drop,
}

struct Layout<'a> {
    rootfs: &'a Rootfs,
    removed: &'a BTreeSet<NodeId>,
    groups: &'a [Range<usize>],
    group_of: Vec<usize>,
    /// Entries that are not simply kept.
    verdicts: HashMap<EntryId, Verdict>,
    /// Entries whose data is replaced.
    contents: HashMap<EntryId, &'a str>,
    /// Entries that no container sees but whose data a link in a later layer shares, with their paths.
    pinned: BTreeMap<EntryId, RootfsPath>,
    /// Whether no layer so far has an entry left.
    is_empty: bool,
}

impl Layout<'_> {
    fn all_entries(&self) -> impl Iterator<Item = EntryId> + use<'_> {
        (0..self.rootfs.layers().len()).flat_map(|layer| self.rootfs.entries(layer).map(|(id, _)| id))
    }

    fn verdict(&self, id: EntryId) -> &Verdict {
        self.verdicts.get(&id).unwrap_or(&Verdict::Keep)
    }

    fn is_kept(&self, id: EntryId) -> bool {
        *self.verdict(id) != Verdict::Drop
    }

    fn group(&self, id: EntryId) -> usize {
        self.group_of[id.layer as usize]
    }

    fn stays(&self, node: NodeId) -> bool {
        self.rootfs.is_alive(node) && !self.removed.contains(&node)
    }

    /// Drops what no container sees and what the plan removes. Whiteouts are dropped here and brought back if they
    /// still hide something.
    fn judge_entries(&mut self) {
        for id in self.all_entries().collect::<Vec<_>>() {
            let keep = match self.rootfs.fate(id) {
                Fate::Visible(node) => self.stays(node),
                // In one squashed layer, the later statement of a directory is enough.
                Fate::Restated(node) => {
                    let later = self.rootfs.node(node).source;
                    self.stays(node) && later.is_some_and(|later| self.group(later) != self.group(id))
                }
                // Container runtimes ignore global headers; among entries of other layers they could mislead other tools.
                Fate::NoPath => self.groups[self.group(id)].len() == 1,
                Fate::Shadowed | Fate::Whiteout => false,
            };
            if !keep {
                self.verdicts.insert(id, Verdict::Drop);
            }
        }
    }

    /// An entry that was unpacked through a symlink which is not in the new image would land elsewhere: it is given
    /// the path at which a container sees it.
    fn follow_gone_symlinks(&mut self) {
        for id in self.all_entries().collect::<Vec<_>>() {
            let gone = |&via: &NodeId| !self.stays(via);
            if self.is_kept(id) && self.rootfs.via(id).iter().any(gone) {
                self.edit(id, |edit, path| edit.path = Some(path.clone()));
            }
        }
    }

    /// Lets `change` edit the headers of an entry; it is given the entry's path in the rootfs.
    fn edit(&mut self, id: EntryId, change: impl FnOnce(&mut HeaderEdit, &RootfsPath)) {
        let Some(node) = self.rootfs.owner(id) else { return };
        let mut edit = match self.verdicts.remove(&id) {
            Some(Verdict::Edit(edit)) => edit,
            _ => HeaderEdit::default(),
        };
        change(&mut edit, &self.rootfs.path(node));
        self.verdicts.insert(id, Verdict::Edit(edit));
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

    /// Makes sure that the data of a hard link is there; returns the path that has it.
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
            // Data does not move between layers: the entry stays, hidden as it was.
            let path = path_of(self, carrier);
            self.verdicts.remove(&carrier);
            self.pinned.insert(carrier, path.clone());
            return path;
        };
        let path = path_of(self, *heir);
        self.verdicts.insert(*heir, Verdict::Drop);
        self.verdicts.insert(carrier, Verdict::Edit(HeaderEdit { path: Some(path.clone()), ..HeaderEdit::default() }));
        path
    }

    /// Points a hard link at `first_name` if the name it has is no longer there when the link is unpacked.
    fn point_link(&mut self, id: EntryId, link: &Link, first_name: &RootfsPath) {
        let renamed = |verdict: &Verdict| matches!(verdict, Verdict::Edit(HeaderEdit { path: Some(_), .. }));
        let target_stands = self.is_kept(link.target)
            && !renamed(self.verdict(link.target))
            && link.via.iter().all(|&via| self.stays(via));
        if self.is_kept(id) && !target_stands {
            self.edit(id, |edit, _| edit.link = Some(first_name.clone()));
        }
    }

    /// All that whiteouts hid is dropped, and they with it, except above pinned entries.
    fn keep_whiteouts_that_hide(&mut self) {
        if self.pinned.is_empty() {
            return;
        }
        for id in self.all_entries().collect::<Vec<_>>() {
            let Some(hidden) = self.rootfs.whited_out(id) else { continue };
            let mut below = self.pinned.iter().filter(|(pinned, _)| self.group(**pinned) < self.group(id));
            if below.any(|(_, path)| path.is_within(hidden)) {
                self.verdicts.remove(&id);
            }
        }
    }

    fn output(&mut self, group: usize) -> OutputLayer {
        let old = self.groups[group].clone();
        let ids = old.clone().flat_map(|layer| self.rootfs.entries(layer).map(|(id, _)| id)).collect::<Vec<_>>();
        let untouched = old.len() == 1
            && ids.iter().all(|id| *self.verdict(*id) == Verdict::Keep && !self.contents.contains_key(id));
        let change = if untouched && !ids.is_empty() {
            Change::Keep
        } else {
            self.drop_idle_directories(&ids);
            self.cut_lists(&ids, old.clone())
        };
        self.is_empty &= change == Change::Drop;
        OutputLayer { old, change }
    }

    /// In a layer that is rewritten anyway, a directory that a later layer states again is not worth an entry unless it
    /// still holds something here.
    fn drop_idle_directories(&mut self, ids: &[EntryId]) {
        let restated = |id: EntryId| matches!(self.rootfs.fate(id), Fate::Restated(_));
        let mut holding = HashSet::new();
        for &id in ids.iter().filter(|&&id| self.is_kept(id) && !restated(id)) {
            let mut at = self.rootfs.owner(id);
            while let Some(node) = at.filter(|&node| node != self.rootfs.root()) {
                let parent = self.rootfs.node(node).parent;
                at = holding.insert(parent).then_some(parent);
            }
        }
        for &id in ids {
            if let Fate::Restated(node) = self.rootfs.fate(id)
                && !holding.contains(&node)
            {
                self.verdicts.insert(id, Verdict::Drop);
            }
        }
    }

    fn cut_lists(&self, ids: &[EntryId], old: Range<usize>) -> Change {
        let is_file = |&id: &EntryId| self.is_kept(id) && self.rootfs.fate(id) != Fate::NoPath;
        if !ids.iter().any(is_file) {
            return Change::Drop;
        }
        let mut lists = Vec::new();
        for layer in old {
            let mut cut = CutList::default();
            for (id, entry) in self.rootfs.entries(layer) {
                match (self.verdict(id), self.contents.get(&id)) {
                    (Verdict::Drop, _) => {}
                    (verdict, Some(content)) => replace(&mut cut, entry, verdict, content),
                    (Verdict::Keep, None) => cut.keep(entry.range.clone()),
                    (Verdict::Edit(edit), None) => {
                        cut.edit(entry.header(), edit.clone());
                        cut.keep(entry.body());
                    }
                }
            }
            if !cut.is_empty() {
                lists.push((layer, cut));
            }
        }
        Change::Rewrite(lists)
    }
}

/// Puts another content in the place of an entry's own.
fn replace(cut: &mut CutList, entry: &Entry, verdict: &Verdict, content: &str) {
    let mut edit = match verdict {
        Verdict::Edit(edit) => edit.clone(),
        _ => HeaderEdit::default(),
    };
    edit.size = Some(content.len() as u64);
    cut.edit(entry.header(), edit);
    let mut bytes = content.as_bytes().to_vec();
    bytes.resize(bytes.len().next_multiple_of(BLOCK as usize), 0);
    cut.insert(bytes);
}
