//! What was decided, and the plan that says it: every path that goes with the rule it goes by, every one that stays although a rule
//! names it with the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::claims::Claims;
use super::edits;
use super::ownership::Ownership;
use super::{Kept, KeptPackage, NO_LONGER_NEEDED, Plan, Removed, RemovedPackage};
use crate::evidence::{Evidence, Reason};
use crate::packages::PackageId;
use crate::rootfs::{NodeId, NodeMap, NodeSet, Rootfs};
use crate::rootfs_path::RootfsPath;

/// What was decided.
pub(super) struct Decision {
    pub(super) claims: Claims,
    pub(super) ownership: Ownership,
    /// Claimed nodes that stay after all, and nodes of packages that something needs directly.
    pub(super) kept: NodeMap<Reason>,
    pub(super) kept_packages: BTreeMap<PackageId, Reason>,
}

impl Decision {
    /// Tells whether a node and all that own it stay, as far as is decided.
    pub(super) fn stays(&self, node: NodeId) -> bool {
        self.kept.contains(node)
            || !self.claims.paths.contains(node)
                && self.ownership.of(node).iter().all(|id| self.kept_packages.contains_key(id))
    }

    /// Tells whether a node goes, as far as is decided.
    pub(super) fn goes(&self, node: NodeId) -> bool {
        if self.kept.contains(node) {
            return false;
        }
        let owners = self.ownership.of(node);
        self.claims.paths.contains(node)
            || self.ownership.is_owned(node) && owners.iter().all(|id| !self.kept_packages.contains_key(id))
    }

    /// The profile and rule by which a node goes: a glob's, or its package's.
    fn rule(&self, node: NodeId, words: &Words) -> (Arc<str>, Arc<str>) {
        if let Some(claim) = self.claims.of(node) {
            return (claim.profile.clone(), claim.rule.clone());
        }
        match self.ownership.of(node).first() {
            Some(id) => {
                let profile = self.claims.packages.get(id).unwrap_or(&words.no_longer_needed);
                (profile.clone(), words.packages[*id].clone())
            }
            None => (words.no_longer_needed.clone(), words.dangling.clone()),
        }
    }

    pub(super) fn into_plan(self, rootfs: &Rootfs, evidence: &Evidence) -> Plan {
        let mut gone = self.dangling(rootfs);
        self.mark(rootfs, rootfs.root(), &self.emptied_folders(rootfs), &mut gone);
        let (mut plan, edits) =
            rayon::join(|| self.tell(rootfs, evidence, &gone), || edits::edits(&self, rootfs, evidence, &gone));
        edits.add_to(&mut plan);
        plan.owners = self.ownership.into_owners();
        plan
    }

    /// Says what was decided, but for files that get another content.
    fn tell(&self, rootfs: &Rootfs, evidence: &Evidence, gone: &NodeSet) -> Plan {
        let mut plan = Plan::default();
        let words = Words::new(&self.ownership);
        self.list(rootfs, rootfs.root(), &RootfsPath::root(), gone, &words, &mut plan);
        self.list_packages(&mut plan);
        for (node, facts) in evidence.files() {
            if let Some(unread) = &facts.unread {
                plan.unread.push(format!("{}: {unread:?}", rootfs.path(node)));
            } else if facts.is_broken_elf {
                plan.unread.push(format!("{}: not a sound ELF object", rootfs.path(node)));
            }
        }
        plan.unread.sort();
        plan
    }

    /// Directories that only packages list which go; they go if nothing is left in them.
    fn emptied_folders(&self, rootfs: &Rootfs) -> NodeSet {
        let all_gone = |ids: &[PackageId]| ids.iter().all(|id| !self.kept_packages.contains_key(id));
        let listed = self.ownership.folders().filter(|(_, ids)| all_gone(ids)).map(|(node, _)| node);
        listed.filter(|&node| node != rootfs.root()).collect()
    }

    /// Symlinks of nobody, or of alternatives, that led to a file that goes with its package.
    fn dangling(&self, rootfs: &Rootfs) -> NodeSet {
        let mut dangling = NodeSet::default();
        loop {
            let mut found = false;
            let mut walk = vec![rootfs.root()];
            while let Some(node) = walk.pop() {
                walk.extend(rootfs.children(node));
                let Some(path) = rootfs.symlink(node) else { continue };
                if self.goes(node) || dangling.contains(node) || self.kept.contains(node) {
                    continue;
                }
                let mut through = Vec::new();
                let end = rootfs.resolve(rootfs.parent(node), path, &mut |link| through.push(link));
                if through.into_iter().chain(end).any(|node| self.goes(node) || dangling.contains(node)) {
                    found |= dangling.insert(node);
                }
            }
            if !found {
                return dangling;
            }
        }
    }

    /// Marks what goes below `folder`, where what dangles is marked; tells whether all of it does.
    fn mark(&self, rootfs: &Rootfs, folder: NodeId, emptied: &NodeSet, gone: &mut NodeSet) -> bool {
        let mut all = true;
        for &child in rootfs.children(folder) {
            let empties = self.mark(rootfs, child, emptied, gone);
            let is_listed = emptied.contains(child) && rootfs.is_directory(child) && !rootfs.children(child).is_empty();
            if empties && (self.goes(child) || is_listed || gone.contains(child)) {
                gone.insert(child);
            } else {
                all = false;
            }
        }
        all
    }

    /// Lists the paths below `folder` that go, or stay although a rule names them.
    fn list(&self, rootfs: &Rootfs, folder: NodeId, path: &RootfsPath, gone: &NodeSet, words: &Words, plan: &mut Plan) {
        for (name, child) in rootfs.named_children(folder) {
            let path = path.join(name);
            let is_gone = gone.contains(child);
            if is_gone {
                let (profile, rule) = self.rule(child, words);
                plan.removed.push(Removed { path: path.clone(), profile, rule });
            }
            self.list(rootfs, child, &path, gone, words, plan);
            if is_gone {
                continue;
            }
            if let (Some(claim), Some(reason)) = (self.claims.of(child), self.kept.get(child)) {
                let (profile, rule) = (claim.profile.clone(), claim.rule.clone());
                plan.kept.push(Kept { path, profile, rule, reason: reason.clone() });
            }
        }
    }

    fn list_packages(&self, plan: &mut Plan) {
        let Some(db) = &self.ownership.db else { return };
        for (id, package) in db.packages.iter().enumerate() {
            let name = package.name.clone();
            match self.kept_packages.get(&id) {
                None => plan.removed_packages.push(RemovedPackage {
                    name,
                    profile: self.claims.packages.get(&id).map_or(NO_LONGER_NEEDED, |profile| profile).to_owned(),
                }),
                Some(reason) => plan.kept_packages.push(KeptPackage { name, reason: reason.clone() }),
            }
        }
    }

    /// Returns the packages that go.
    pub(super) fn removed_packages(&self) -> BTreeSet<PackageId> {
        (0..self.ownership.count()).filter(|id| !self.kept_packages.contains_key(id)).collect()
    }
}

/// Rules that are no profile's, in words that thousands of paths share.
struct Words {
    no_longer_needed: Arc<str>,
    dangling: Arc<str>,
    /// By package.
    packages: Vec<Arc<str>>,
}

impl Words {
    fn new(ownership: &Ownership) -> Self {
        let packages = ownership.db.iter().flat_map(|db| (0..db.packages.len()).map(|id| db.label(id)));
        Self {
            no_longer_needed: NO_LONGER_NEEDED.into(),
            dangling: "dangling symlink".into(),
            packages: packages.map(|label| format!("package {label}").into()).collect(),
        }
    }
}
