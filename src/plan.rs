//! The decision, as a value: what goes, and what stays although a rule named it, each with its reason.
//!
//! A pure function of the rootfs, the rules and the evidence.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::evidence::{Needs, Reason};
use crate::profile::{self, Rules};
use crate::rootfs::{NodeId, NodeKind, Rootfs};
use crate::rootfs_path::RootfsPath;

/// What goes and what stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Paths that go, in order; a folder's content is listed too.
    pub removed: Vec<Removed>,
    /// Paths that a rule names but that stay, in order; folders that only hold such are not listed.
    pub kept: Vec<Kept>,
}

/// A path that goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// The path.
    pub path: RootfsPath,
    /// The profile whose rule names it.
    pub profile: String,
    /// The rule.
    pub rule: String,
}

/// A path that a rule names but that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The path.
    pub path: RootfsPath,
    /// The profile whose rule names it.
    pub profile: String,
    /// The rule.
    pub rule: String,
    /// Why it stays.
    pub reason: Reason,
}

/// A saved plan does not fit an image.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("the plan removes `{0}`, which the image does not have")]
pub struct PathNotFound(pub RootfsPath);

impl Plan {
    /// Returns the nodes that go.
    ///
    /// # Errors
    /// If the plan was made for another image and names a path that is not there.
    pub fn removed_nodes(&self, rootfs: &Rootfs) -> Result<BTreeSet<NodeId>, PathNotFound> {
        self.removed
            .iter()
            .map(|removed| rootfs.lookup(&removed.path).ok_or_else(|| PathNotFound(removed.path.clone())))
            .collect()
    }
}

/// Decides. `rules` claim paths in order; `keep` are the globs of paths that the person wants to stay.
pub fn plan(rootfs: &Rootfs, rules: &[Rules], keep: &Rules, needs: &Needs) -> Plan {
    let mut decision = Decision { rootfs, claims: BTreeMap::new(), kept: BTreeMap::new() };
    let walk = Walk { rules, keep, inherited: vec![None; rules.len()], kept_by: None };
    decision.claim_below(rootfs.root(), &RootfsPath::root(), walk);
    for (path, need) in needs.iter() {
        if let Some(node) = rootfs.lookup(path) {
            decision.keep(node, &need.reason, need.whole);
        }
    }
    decision.keep_shared_data();
    decision.keep_symlinks_targets();
    decision.into_plan()
}

/// Which rule claims each node, and which claimed nodes stay after all.
struct Decision<'a> {
    rootfs: &'a Rootfs,
    claims: BTreeMap<NodeId, Claim<'a>>,
    kept: BTreeMap<NodeId, Reason>,
}

#[derive(Clone, Copy)]
struct Claim<'a> {
    profile: &'a str,
    rule: &'a str,
}

/// What folders above say of what lies below.
#[derive(Clone)]
struct Walk<'a> {
    rules: &'a [Rules],
    keep: &'a Rules,
    /// For each of the rules, its glob that claims a folder above.
    inherited: Vec<Option<&'a str>>,
    /// The glob of `--keep` that holds a folder above.
    kept_by: Option<&'a str>,
}

impl<'a> Decision<'a> {
    fn claim_below(&mut self, folder: NodeId, path: &RootfsPath, walk: Walk<'a>) {
        for (name, &child) in &self.rootfs.node(folder).children {
            let path = path.join(name);
            let candidate = profile::candidate(&path);
            let mut below = walk.clone();
            let mut claim = None;
            for (rules, inherited) in walk.rules.iter().zip(&mut below.inherited) {
                *inherited = match inherited.or_else(|| rules.claim(&candidate)) {
                    Some(_) if rules.keeps(&candidate) => None,
                    claimed => claimed,
                };
                claim = claim.or(inherited.map(|rule| Claim { profile: &rules.profile, rule }));
            }
            below.kept_by = walk.kept_by.or_else(|| walk.keep.claim(&candidate));
            if let Some(claim) = claim {
                self.claims.insert(child, claim);
                if let Some(glob) = below.kept_by {
                    self.kept.insert(child, Reason::Asked { glob: glob.to_owned() });
                }
            }
            self.claim_below(child, &path, below);
        }
    }

    fn goes(&self, node: NodeId) -> bool {
        self.claims.contains_key(&node) && !self.kept.contains_key(&node)
    }

    /// Keeps a node (and all below it); returns those that would have gone.
    fn keep(&mut self, node: NodeId, reason: &Reason, whole: bool) -> Vec<NodeId> {
        let mut rescued = Vec::new();
        let mut todo = vec![node];
        while let Some(node) = todo.pop() {
            if self.goes(node) {
                self.kept.insert(node, reason.clone());
                rescued.push(node);
            }
            if whole {
                todo.extend(self.rootfs.node(node).children.values());
            }
        }
        rescued
    }

    /// A file whose data a hard link in another layer shares cannot go while the link stays: data does not move
    /// between layers.
    fn keep_shared_data(&mut self) {
        for (id, link) in self.rootfs.links() {
            let (Some(name), Some(data)) = (self.rootfs.owner(id), self.rootfs.owner(link.carrier)) else {
                continue;
            };
            let across = id.layer != link.carrier.layer;
            if across && self.rootfs.is_alive(name) && !self.goes(name) && self.goes(data) {
                let reason = Reason::HardLink { from: self.rootfs.path(name) };
                self.kept.insert(data, reason);
            }
        }
    }

    /// No symlink that stays may come to dangle: what it leads to stays, further symlinks and folders included.
    fn keep_symlinks_targets(&mut self) {
        let mut todo = VecDeque::new();
        let mut walk = vec![self.rootfs.root()];
        while let Some(node) = walk.pop() {
            if matches!(self.rootfs.node(node).kind, NodeKind::Symlink(_)) && !self.goes(node) {
                todo.push_back(node);
            }
            walk.extend(self.rootfs.node(node).children.values().rev());
        }
        while let Some(symlink) = todo.pop_front() {
            let node = self.rootfs.node(symlink);
            let NodeKind::Symlink(target) = &node.kind else { continue };
            let mut on_the_way = Vec::new();
            let Some(end) = self.rootfs.resolve(node.parent, target, &mut |link| on_the_way.push(link)) else {
                continue;
            };
            let reason = Reason::Symlink { from: self.rootfs.path(symlink) };
            // A folder that is not claimed itself is there whatever becomes of its content.
            let mut rescued = if self.goes(end) { self.keep(end, &reason, true) } else { Vec::new() };
            for link in on_the_way {
                rescued.extend(self.keep(link, &reason, false));
            }
            let is_symlink = |&node: &NodeId| matches!(self.rootfs.node(node).kind, NodeKind::Symlink(_));
            todo.extend(rescued.into_iter().filter(is_symlink));
        }
    }

    fn into_plan(self) -> Plan {
        let mut plan = Plan::default();
        self.list(self.rootfs.root(), &RootfsPath::root(), &mut plan);
        plan
    }

    /// Lists what goes below `folder`; tells whether all of it does.
    fn list(&self, folder: NodeId, path: &RootfsPath, plan: &mut Plan) -> bool {
        let mut all = true;
        for (name, &child) in &self.rootfs.node(folder).children {
            let path = path.join(name);
            let place = plan.removed.len();
            let empties = self.list(child, &path, plan);
            let Some(claim) = self.claims.get(&child) else {
                all = false;
                continue;
            };
            let (profile, rule) = (claim.profile.to_owned(), claim.rule.to_owned());
            match self.kept.get(&child) {
                None if empties => plan.removed.insert(place, Removed { path, profile, rule }),
                None => all = false,
                Some(reason) => {
                    all = false;
                    plan.kept.push(Kept { path, profile, rule, reason: reason.clone() });
                }
            }
        }
        all
    }
}
