//! What was decided, and the plan that says it: every path that goes with the rule it goes by, every one that stays although a rule
//! names it with the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::claims::Claims;
use super::edits;
use super::ownership::Ownership;
use super::{Claim, Kept, KeptPackage, NO_LONGER_NEEDED, Plan, Removed, RemovedPackage};
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

    /// By what a node goes: a glob, or its package.
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

    /// Says what was decided, but for files that get another content.
    fn tell(&self, rootfs: &Rootfs, evidence: &Evidence, gone: &NodeSet) -> Plan {
        let mut plan = Plan::default();
        let others = OtherClaims::new(self);
        self.list(rootfs, rootfs.root(), &RootfsPath::root(), gone, &others, &mut plan);
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

    /// Directories that go if nothing is left in them: those that only packages list which go, and those that rules name so.
    fn emptied_folders(&self, rootfs: &Rootfs) -> NodeSet {
        let all_gone = |ids: &[PackageId]| ids.iter().all(|id| !self.kept_packages.contains_key(id));
        let listed = self.ownership.folders().filter(|(_, ids)| all_gone(ids)).map(|(node, _)| node);
        let named = self.claims.emptied.iter().map(|(node, _)| node);
        listed.chain(named).filter(|&node| node != rootfs.root()).collect()
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

    /// Returns the packages that go.
    pub(super) fn removed_packages(&self) -> BTreeSet<PackageId> {
        (0..self.ownership.count()).filter(|id| !self.kept_packages.contains_key(id)).collect()
    }
}

/// Claims that are no glob's.
struct OtherClaims {
    dangling: Arc<Claim>,
    /// By package.
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
