//! The decision, and the plan made from it: every removed path with its rule, and every path that is kept although a
//! rule matches it, with the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::claims::Claims;
use super::edits;
use super::ownership::Ownership;
use super::unread::Unread;
use super::{Claim, Kept, KeptPackage, NO_LONGER_NEEDED, Plan, Removed, RemovedPackage};
use crate::evidence::{Evidence, Reason};
use crate::packages::PackageId;
use crate::rootfs::{NodeId, NodeMap, NodeSet, Rootfs};
use crate::rootfs_path::RootfsPath;

pub(super) struct Decision {
    pub(super) claims: Claims,
    pub(super) ownership: Ownership,
    /// Claimed nodes that are kept after all, and nodes of packages that something needs directly.
    pub(super) kept: NodeMap<Reason>,
    pub(super) kept_packages: BTreeMap<PackageId, Reason>,
}

impl Decision {
    /// Returns whether a node and all its owners are kept, according to the decision so far.
    pub(super) fn stays(&self, node: NodeId) -> bool {
        self.kept.contains(node)
            || !self.claims.paths.contains(node)
                && self.ownership.of(node).iter().all(|id| self.kept_packages.contains_key(id))
    }

    /// Returns whether a node is removed, according to the decision so far.
    pub(super) fn goes(&self, node: NodeId) -> bool {
        if self.kept.contains(node) {
            return false;
        }
        let owners = self.ownership.of(node);
        self.claims.paths.contains(node)
            || self.ownership.is_owned(node) && owners.iter().all(|id| !self.kept_packages.contains_key(id))
    }

    /// Returns the claim that removes a node: a glob's, or its package's.
    fn claim<'a>(&'a self, node: NodeId, others: &'a OtherClaims) -> &'a Arc<Claim> {
        let package = || self.ownership.of(node).first().map(|id| &others.packages[*id]);
        self.claims.of(node).or_else(package).unwrap_or(&others.dangling)
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

    /// Makes the plan, without edits of files.
    fn tell(&self, rootfs: &Rootfs, evidence: &Evidence, gone: &NodeSet) -> Plan {
        let mut plan = Plan::default();
        let others = OtherClaims::new(self);
        self.list(rootfs, rootfs.root(), &RootfsPath::root(), gone, &others, &mut plan);
        self.list_packages(&mut plan);
        for (node, facts) in evidence.files() {
            if let Some(why) = facts.unread {
                plan.unread.push(Unread::File { path: rootfs.path(node), why });
            } else if facts.is_broken_elf {
                plan.unread.push(Unread::Object(rootfs.path(node)));
            }
        }
        plan.unread.sort();
        plan
    }

    /// Returns the directories that are removed if they are empty: those that only removed packages list, and those
    /// that rules name as such.
    fn emptied_folders(&self, rootfs: &Rootfs) -> NodeSet {
        let all_gone = |ids: &[PackageId]| ids.iter().all(|id| !self.kept_packages.contains_key(id));
        let listed = self.ownership.folders().filter(|(_, ids)| all_gone(ids)).map(|(node, _)| node);
        let named = self.claims.emptied.iter().map(|(node, _)| node);
        listed.chain(named).filter(|&node| node != rootfs.root()).collect()
    }

    /// Returns the symlinks without an owner, or of alternatives, that lead to a file that is removed with its package.
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

    /// Marks what is removed below `folder`; dangling symlinks are marked already. Returns whether that is all.
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

    /// Lists the paths below `folder` that are removed, or kept although a rule matches them.
    fn list(
        &self,
        rootfs: &Rootfs,
        folder: NodeId,
        path: &RootfsPath,
        gone: &NodeSet,
        others: &OtherClaims,
        plan: &mut Plan,
    ) {
        for (name, child) in rootfs.named_children(folder) {
            let path = path.join(name);
            let is_gone = gone.contains(child);
            if is_gone {
                let claim = self.claim(child, others).clone();
                plan.removed.push(Removed { path: path.clone(), claim });
            }
            self.list(rootfs, child, &path, gone, others, plan);
            if is_gone {
                continue;
            }
            if let (Some(claim), Some(reason)) = (self.claims.of(child), self.kept.get(child)) {
                plan.kept.push(Kept { path, claim: claim.clone(), reason: reason.clone() });
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

    pub(super) fn removed_packages(&self) -> BTreeSet<PackageId> {
        (0..self.ownership.count()).filter(|id| !self.kept_packages.contains_key(id)).collect()
    }
}

/// Claims that do not come from a glob.
struct OtherClaims {
    dangling: Arc<Claim>,
    packages: Vec<Arc<Claim>>,
}

impl OtherClaims {
    fn new(decision: &Decision) -> Self {
        let no_longer_needed = Arc::from(NO_LONGER_NEEDED);
        let package = |(id, label): (PackageId, &str)| {
            let profile = decision.claims.packages.get(&id).unwrap_or(&no_longer_needed);
            Claim { profile: profile.clone(), rule: format!("package {label}").into() }.into()
        };
        let packages = decision.ownership.db.iter().flat_map(|db| (0..db.packages.len()).map(|id| (id, db.label(id))));
        let packages = packages.map(package).collect();
        let dangling = Claim { profile: no_longer_needed.clone(), rule: "dangling symlink".into() };
        Self { dangling: dangling.into(), packages }
    }
}
