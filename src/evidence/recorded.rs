//! The files that Python distributions list as their own. Sources: PEP 376 and PEP 627 (`RECORD`), setuptools
//! (`installed-files.txt`).

use crate::rootfs::{NodeId, NodeSet, Rootfs};

use super::collect::Facts;
use crate::state::records;
/// Returns the files that a RECORD or an `installed-files.txt` lists, and these lists themselves.
pub(super) fn recorded(rootfs: &Rootfs, facts: &Facts) -> NodeSet {
    let mut found = NodeSet::default();
    for (node, facts) in facts.iter() {
        let Some(text) = &facts.text else { continue };
        let folder = rootfs.parent(node);
        match rootfs.name(node) {
            b"RECORD" => add(rootfs, rootfs.parent(folder), records::paths_of_record(text), &mut found),
            b"installed-files.txt" => add(rootfs, folder, text.lines().map(Into::into), &mut found),
            _ => continue,
        }
        found.insert(node);
    }
    found
}

/// Adds the files at paths relative to a folder. Remembers the last one, because neighbours usually share it.
fn add<'a>(rootfs: &Rootfs, from: NodeId, paths: impl Iterator<Item = std::borrow::Cow<'a, str>>, found: &mut NodeSet) {
    let mut last: Option<(String, Option<NodeId>)> = None;
    for path in paths {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
        let node = match &last {
            Some((last, node)) if last == folder => *node,
            _ => rootfs.resolve(from, folder.as_bytes(), &mut |_| {}),
        };
        last = Some((folder.to_owned(), node));
        found.extend(node.and_then(|node| rootfs.child(node, name.as_bytes())));
    }
}
