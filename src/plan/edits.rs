//! Files that have to tell the truth about what is left: package databases, and the RECORD of Python distributions.

use std::collections::BTreeSet;
use std::sync::Arc;

use rayon::prelude::*;

use super::decision::Decision;
use super::ownership::at;
use super::{Claim, Edited, NO_LONGER_NEEDED, Plan, Removed};
use crate::evidence::Evidence;
use crate::packages::DatabaseChange;
use crate::rootfs::{NodeId, NodeSet, Rootfs};
use crate::rootfs_path::RootfsPath;

/// What becomes of files that tell what is there.
pub(super) struct Edits {
    /// Those that have nothing to tell any more.
    removed: Vec<RootfsPath>,
    edited: Vec<Edited>,
    /// All nodes that go, these included.
    gone: NodeSet,
}

impl Edits {
    /// Adds them to a plan that has all the rest.
    pub(super) fn add_to(self, plan: &mut Plan) {
        let claim = Arc::new(Claim { profile: NO_LONGER_NEEDED.into(), rule: "package database".into() });
        let removed = |path| Removed { path, claim: claim.clone() };
        plan.removed.extend(self.removed.into_iter().map(removed));
        plan.removed.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        plan.edits = self.edited;
        plan.gone = self.gone;
    }
}

/// Makes the edits. `gone` are the nodes that the plan removes.
pub(super) fn edits(decision: &Decision, rootfs: &Rootfs, evidence: &Evidence, gone: &NodeSet) -> Edits {
    let mut change = database(decision, rootfs, gone);
    let mut all_gone = gone.clone();
    change.removed.retain(|path| rootfs.lookup(path).is_some_and(|node| all_gone.insert(node)));
    let edits = change.edits.into_iter().map(|edit| Edited { path: edit.path, content: edit.content });
    let stays = |edit: &Edited| rootfs.lookup(&edit.path).is_some_and(|node| !all_gone.contains(node));
    let mut edited = edits.filter(stays).collect::<Vec<_>>();
    edited.extend(records(rootfs, evidence, &all_gone));
    edited.sort_by(|a, b| a.path.cmp(&b.path));
    Edits { removed: change.removed, edited, gone: all_gone }
}

fn database(decision: &Decision, rootfs: &Rootfs, gone: &NodeSet) -> DatabaseChange {
    let Some(db) = &decision.ownership.db else { return DatabaseChange::default() };
    let is_gone = |path: &RootfsPath| at(rootfs, path).is_some_and(|node| gone.contains(node));
    let mut change = db.without(&decision.removed_packages(), &decision.ownership.texts, &is_gone);
    // Files of the info folder whose content nobody asked for: maintainers' scripts, symbols, shlibs.
    let names = decision.removed_packages();
    let stems = names
        .iter()
        .flat_map(|&id| {
            let package = &db.packages[id];
            [package.name.clone(), format!("{}:{}", package.name, package.architecture)]
        })
        .collect::<BTreeSet<_>>();
    let info = RootfsPath::parse(b"var/lib/dpkg/info").unwrap_or_default();
    if let Some(folder) = rootfs.lookup(&info) {
        for (name, _) in rootfs.named_children(folder) {
            let text = String::from_utf8_lossy(name);
            if text.rsplit_once('.').is_some_and(|(stem, _)| stems.contains(stem)) {
                change.removed.push(info.join(name));
            }
        }
    }
    change
}

/// Takes files that are gone out of RECORD. Format: PEP 376, comma-separated values; the path comes first.
fn records(rootfs: &Rootfs, evidence: &Evidence, gone: &NodeSet) -> Vec<Edited> {
    let is_record = |(node, _): &(NodeId, _)| rootfs.name(*node) == b"RECORD" && !gone.contains(*node);
    let files = evidence.files().filter(is_record).collect::<Vec<_>>();
    let edits = files.into_par_iter().filter_map(|(node, facts)| {
        let text = facts.text.as_ref()?;
        let site = rootfs.parent(rootfs.parent(node));
        let stays = |line: &&str| {
            let path = match line.strip_prefix('"') {
                Some(quoted) => quoted.split("\",").next().unwrap_or(quoted).replace("\"\"", "\""),
                None => line.split(',').next().unwrap_or(line).to_owned(),
            };
            let file = rootfs.resolve(site, path.as_bytes(), &mut |_| {});
            !file.is_some_and(|file| gone.contains(file))
        };
        let new = text.lines().filter(stays).map(|line| format!("{line}\n")).collect::<String>();
        let is_shorter = new.lines().count() != text.lines().count();
        is_shorter.then(|| Edited { path: rootfs.path(node), content: new })
    });
    edits.collect()
}
