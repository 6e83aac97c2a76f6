//! What is installed in an image, for SBOMs. Pure.

use std::collections::HashSet;

use crate::evidence::{Evidence, OS_RELEASE};
use crate::packages::{Manager, PackageDb, SourcePackage};
use crate::plan::Plan;
use crate::rootfs::Rootfs;
use crate::rootfs_path::RootfsPath;

/// The installed software.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The distribution, if the image names it.
    pub distribution: Option<Distribution>,
    /// The components, sorted.
    pub components: Vec<Component>,
}

/// A Linux distribution. Source: os-release(5).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Distribution {
    /// `debian`, `alpine`, …
    pub id: String,
    /// `12`; empty if it has none.
    pub version: String,
}

/// An installed component.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Component {
    /// Its kind.
    pub kind: ComponentKind,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The source package that it was built from, if its name or version differs.
    pub source: Option<SourcePackage>,
}

/// The kind of a component.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ComponentKind {
    /// A Python distribution, with the path of its metadata file.
    Python(RootfsPath),
    /// A Debian package, with its architecture.
    Dpkg(String),
    /// An Alpine package, with its architecture.
    Apk(String),
}

impl Inventory {
    /// Lists what is installed.
    pub fn new(rootfs: &Rootfs, evidence: &Evidence) -> Self {
        let mut components = python(rootfs);
        let db = PackageDb::read(&evidence.packages(rootfs), &mut |_| {});
        components.extend(db.iter().flat_map(packages));
        components.sort();
        Self { distribution: distribution(rootfs, evidence), components }
    }

    /// Returns what is left after a plan is applied.
    pub fn without(mut self, plan: &Plan) -> Self {
        let paths = plan.removed.iter().map(|removed| &removed.path).collect::<HashSet<_>>();
        let packages = plan.removed_packages.iter().map(|package| package.name.as_str()).collect::<HashSet<_>>();
        self.components.retain(|component| match &component.kind {
            ComponentKind::Python(metadata) => !paths.contains(metadata),
            ComponentKind::Dpkg(_) | ComponentKind::Apk(_) => !packages.contains(component.name.as_str()),
        });
        self
    }
}

fn packages(db: &PackageDb) -> impl Iterator<Item = Component> + '_ {
    db.packages.iter().map(|package| Component {
        kind: match db.manager {
            Manager::Dpkg | Manager::Distroless => ComponentKind::Dpkg(package.architecture.clone()),
            Manager::Apk => ComponentKind::Apk(package.architecture.clone()),
        },
        name: package.name.clone(),
        version: package.version.clone(),
        source: package.source.clone(),
    })
}

/// Finds Python distributions by their dist-info and egg-info folders. Source: packaging.python.org, "Recording
/// installed projects".
fn python(rootfs: &Rootfs) -> Vec<Component> {
    let mut found = Vec::new();
    let mut walk = vec![(rootfs.root(), RootfsPath::root())];
    while let Some((node, path)) = walk.pop() {
        for (name, child) in rootfs.named_children(node) {
            let path = path.join(name);
            found.extend(described(&String::from_utf8_lossy(name), &path, &|file| {
                rootfs.child(child, file.as_bytes()).is_some()
            }));
            walk.push((child, path));
        }
    }
    found
}

/// Reads the name and version of `name-1.0.dist-info` or `name-1.0-py3.11.egg-info`.
fn described(folder: &str, path: &RootfsPath, holds: &dyn Fn(&str) -> bool) -> Option<Component> {
    let (stem, metadata) = match (folder.strip_suffix(".dist-info"), folder.strip_suffix(".egg-info")) {
        (Some(stem), _) if holds("METADATA") => (stem, path.join(b"METADATA")),
        (_, Some(stem)) if holds("PKG-INFO") => (stem, path.join(b"PKG-INFO")),
        _ => return None,
    };
    let mut parts = stem.split('-');
    let (name, version) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    Some(Component { kind: ComponentKind::Python(metadata), name, version, source: None })
}

fn distribution(rootfs: &Rootfs, evidence: &Evidence) -> Option<Distribution> {
    let text = OS_RELEASE.iter().find_map(|path| {
        let node = rootfs.resolve(rootfs.root(), path.as_bytes(), &mut |_| {})?;
        evidence.facts(node)?.text.as_ref()
    })?;
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
        Some(line.trim_matches(['"', '\'', ' ']).to_owned())
    };
    Some(Distribution { id: value("ID")?, version: value("VERSION_ID").unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_python_distribution_is_told_by_the_folder_that_describes_it() {
        let read = |folder: &str, file: &'static str| {
            let path = RootfsPath::parse(folder.as_bytes()).unwrap();
            described(folder, &path, &|name| name == file).map(|found| format!("{} {}", found.name, found.version))
        };
        assert_eq!(read("ruamel.yaml-0.18.6.dist-info", "METADATA").as_deref(), Some("ruamel.yaml 0.18.6"));
        assert_eq!(read("gyp-0.1-py3.11.egg-info", "PKG-INFO").as_deref(), Some("gyp 0.1"));
        assert_eq!(read("app-1.0.dist-info", "RECORD"), None);
        assert_eq!(read("app.egg-info", "PKG-INFO"), None);
    }
}
