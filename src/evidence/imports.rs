//! The files that one `import` executes. Source: Python's reference, "The import statement".

use super::installs::{Holds, Installs, Module, module};
use super::python::Import;
use crate::rootfs::{NodeId, Rootfs};

/// Returns the files that an absolute import executes in any of `installations`. The importer searches `root` first.
pub(super) fn absolute(
    installs: &mut Installs,
    rootfs: &Rootfs,
    root: NodeId,
    installations: &[usize],
    import: &Import,
) -> Vec<NodeId> {
    let mut files = Vec::new();
    for &install in installations {
        let mut find = |dotted: &str| installs.find(rootfs, install, Some(root), dotted);
        let module = find(&import.module);
        files.extend(module.iter().flat_map(|module| &module.files));
        for name in import.names.iter().filter(|name| &***name != "*") {
            let holds = module.as_ref().map_or(Holds::Nothing, |module| module.holds);
            files.extend(imported_from(rootfs, holds, name, || {
                Some(find(&format!("{}.{name}", import.module))?.files.clone())
            }));
        }
    }
    files.sort_unstable();
    files.dedup();
    files
}

/// Returns the files that a relative import executes. One dot is the file's own package.
pub(super) fn relative(rootfs: &Rootfs, node: NodeId, import: &Import) -> Vec<NodeId> {
    let mut package = rootfs.parent(node);
    for _ in 1..import.level {
        package = rootfs.parent(package);
    }
    let found = match &*import.module {
        "" => Some(Module { files: Vec::new(), holds: Holds::Folder(package) }),
        dotted => module(rootfs, package, dotted),
    };
    let mut files = found.as_ref().map_or_else(Vec::new, |module| module.files.clone());
    let holds = found.map_or(Holds::Nothing, |module| module.holds);
    for name in &import.names {
        files.extend(imported_from(rootfs, holds, name, || {
            Some(module(rootfs, package, &format!("{}.{name}", import.module))?.files)
        }));
    }
    files.extend(rootfs.child(package, b"__init__.py"));
    files.sort_unstable();
    files.dedup();
    files
}

/// Returns the files of a name that is imported from a module, if the name is a module itself. `anywhere` searches for
/// its full name.
fn imported_from(
    rootfs: &Rootfs,
    holds: Holds,
    name: &str,
    anywhere: impl FnOnce() -> Option<Vec<NodeId>>,
) -> Vec<NodeId> {
    let files = match holds {
        Holds::Nothing => None,
        Holds::Folder(folder) => module(rootfs, folder, name).map(|module| module.files),
        Holds::Anywhere => anywhere(),
    };
    files.unwrap_or_default()
}

/// Returns the folder that a file's imports search first: its own folder, or the one above its outermost package.
pub(super) fn application_root(rootfs: &Rootfs, node: NodeId) -> NodeId {
    let mut top = rootfs.parent(node);
    while top != rootfs.root() && rootfs.child(top, b"__init__.py").is_some() {
        top = rootfs.parent(top);
    }
    top
}
