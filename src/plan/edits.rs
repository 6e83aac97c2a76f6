//! Edits files that list other files so that they match what is left: package databases, RECORDs, caches, library
//! lists.

use std::collections::BTreeSet;
use std::sync::Arc;

use rayon::prelude::*;

use super::decision::Decision;
use super::ownership::at;
use super::{Claim, Edited, NO_LONGER_NEEDED, NewContent, Plan, Removed};
use crate::evidence::{Evidence, FileFacts};
use crate::packages::{DatabaseChange, conda};
use crate::rootfs::{NodeId, NodeSet, Rootfs};
use crate::rootfs_path::RootfsPath;
use crate::state::{ld_cache, lists as plugin_lists, records};

/// The changes to files that list other files.
pub(super) struct Edits {
    /// Files that have nothing left to list.
    removed: Vec<RootfsPath>,
    edited: Vec<Edited>,
    /// All removed nodes, including these.
    gone: NodeSet,
}

impl Edits {
    /// Adds the changes to a plan that is otherwise complete.
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
    let edits =
        change.edits.into_iter().map(|edit| Edited { path: edit.path, content: NewContent(edit.content.into_bytes()) });
    let stays = |edit: &Edited| rootfs.lookup(&edit.path).is_some_and(|node| !all_gone.contains(node));
    let mut edited = edits.filter(stays).collect::<Vec<_>>();
    edited.extend(lists(rootfs, evidence, &all_gone));
    edited.sort_by(|a, b| a.path.cmp(&b.path));
    Edits { removed: change.removed, edited, gone: all_gone }
}

fn database(decision: &Decision, rootfs: &Rootfs, gone: &NodeSet) -> DatabaseChange {
    let Some(db) = &decision.ownership.db else { return DatabaseChange::default() };
    let is_gone = |path: &RootfsPath| at(rootfs, path).is_some_and(|node| gone.contains(node));
    let mut change = db.without(&decision.removed_packages(), &decision.ownership.texts, &is_gone);
    // Files in the info folder whose content the scan does not store: maintainer scripts, symbols, shlibs.
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

/// Removes the entries of removed files from RECORDs, lists of plug-ins, conda's records and the loader's cache.
fn lists(rootfs: &Rootfs, evidence: &Evidence, gone: &NodeSet) -> Vec<Edited> {
    let is_list =
        |(node, facts): &(NodeId, &FileFacts)| (facts.text.is_some() || facts.bytes.is_some()) && !gone.contains(*node);
    let files = evidence.files().filter(is_list).collect::<Vec<_>>();
    let edits = files.into_par_iter().filter_map(|(node, facts)| {
        let content = match (&facts.text, &facts.bytes) {
            (Some(text), _) => text_without(rootfs, gone, node, text)?.into_bytes(),
            (None, Some(bytes)) => {
                // A malformed cache is left as it is: the loader ignores it.
                let is_gone = |path: &str| is_gone_from(rootfs, gone, rootfs.root(), path);
                ld_cache::without(bytes, &is_gone).ok().flatten()?
            }
            (None, None) => return None,
        };
        Some(Edited { path: rootfs.path(node), content: NewContent(content) })
    });
    edits.collect()
}

/// Returns a text without the removed files; `None` if it lists none of them.
fn text_without(rootfs: &Rootfs, gone: &NodeSet, node: NodeId, text: &str) -> Option<String> {
    let folder = rootfs.parent(node);
    let is_gone_from = |from: NodeId| move |path: &str| is_gone_from(rootfs, gone, from, path);
    match rootfs.name(node) {
        b"RECORD" => records::record_without(text, &is_gone_from(rootfs.parent(folder))),
        b"installed-files.txt" => records::installed_files_without(text, &is_gone_from(folder)),
        _ if rootfs.name(folder) == conda::FOLDER => conda::without_files(text, &is_gone_from(rootfs.parent(folder))),
        _ => {
            let path = rootfs.path(node).to_string();
            plugin_lists::is_list(&path).then(|| plugin_lists::without(&path, text, &is_gone_from(folder)))?
        }
    }
}

/// Returns whether a path relative to a folder is that of a removed file.
fn is_gone_from(rootfs: &Rootfs, gone: &NodeSet, from: NodeId, path: &str) -> bool {
    let (folder, name) = match path.rsplit_once('/') {
        Some(("", name)) => (rootfs.root(), name),
        Some((folder, name)) => match rootfs.resolve(from, folder.as_bytes(), &mut |_| {}) {
            Some(folder) => (folder, name),
            None => return false,
        },
        None => (from, path),
    };
    rootfs.child(folder, name.as_bytes()).is_some_and(|node| gone.contains(node))
}
