//! Alpine's package database. Source: apk-package(5), the `installed` database of apk-tools, and `world`.

use std::collections::BTreeSet;

use super::{DatabaseChange, IsGone, Manager, Package, PackageDb, PackageId, SourcePackage, Texts, stanzas};
use crate::rootfs_path::RootfsPath;

const INSTALLED: [&str; 2] = ["lib/apk/db/installed", "usr/lib/apk/db/installed"];
const WORLD: &str = "etc/apk/world";

/// Packages that an Alpine system needs to start a shell or a program. apk does not mark them.
const ESSENTIAL: [&str; 8] = [
    "alpine-baselayout",
    "alpine-baselayout-data",
    "alpine-keys",
    "alpine-release",
    "busybox",
    "busybox-binsh",
    "musl",
    "ssl_client",
];

/// Returns whether the content of a file is needed to read or edit the database.
pub fn wants(path: &str) -> bool {
    INSTALLED.contains(&path) || path == WORLD
}

fn installed(texts: &Texts) -> Option<(&RootfsPath, &str)> {
    let (path, text) = texts.iter().find(|(path, _)| INSTALLED.contains(&path.to_string().as_str()))?;
    Some((path, text))
}

/// Reads the database. Returns `None` if there is none. Malformed parts are reported and left unchanged.
pub fn read(texts: &Texts, report: &mut dyn FnMut(String)) -> Option<PackageDb> {
    let (path, text) = installed(texts)?;
    let world = texts.iter().find(|(path, _)| path.to_string() == WORLD).map_or("", |(_, text)| text);
    let manual = world.split_whitespace().map(name_of).collect::<BTreeSet<_>>();
    let mut packages = Vec::new();
    for stanza in stanzas(text) {
        let mut package = parse(stanza);
        if package.name.is_empty() {
            report(format!("{path}: a stanza has no P field"));
            continue;
        }
        // A name in `world` can be one that another package provides: musl-utils provides `libc-utils`.
        let names = std::iter::once(&package.name).chain(&package.provides);
        package.is_manual = names.into_iter().any(|name| manual.contains(name.as_str()));
        packages.push(package);
    }
    (!packages.is_empty()).then(|| PackageDb::new(Manager::Apk, packages))
}

/// Parses a stanza: `P:` name, `A:` architecture, `D:` dependencies, `p:` provides, `F:` a folder and `R:` files in it.
fn parse(stanza: &str) -> Package {
    let mut package = Package::default();
    let mut folder = RootfsPath::root();
    for line in stanza.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        match key {
            "P" => {
                package.name = value.to_owned();
                package.is_protected = ESSENTIAL.contains(&value);
            }
            "V" => package.version = value.to_owned(),
            "A" => package.architecture = value.to_owned(),
            // The origin: the source package, with the same version.
            "o" if value != package.name => {
                package.source = Some(SourcePackage { name: value.to_owned(), version: None });
            }
            // `!name` is a conflict.
            "D" => {
                let names = value.split_whitespace().filter(|name| !name.starts_with('!'));
                package.depends = names.map(|name| vec![name_of(name).to_owned()]).collect();
            }
            "p" => package.provides = value.split_whitespace().map(|name| name_of(name).to_owned()).collect(),
            "F" => {
                folder = RootfsPath::parse(value.as_bytes()).unwrap_or_default();
                if !folder.is_root() {
                    package.files.push(folder.clone());
                }
            }
            "R" => package.files.push(folder.join(value.as_bytes())),
            _ => {}
        }
    }
    package
}

/// Strips version and repository: `so:libc.so=1`, `name>=1.2`, `name@edge`.
fn name_of(relation: &str) -> &str {
    relation.split(['=', '<', '>', '~', '@']).next().unwrap_or(relation)
}

/// Edits the database: stanzas, `world`, and the records of removed files.
pub(super) fn without(
    db: &PackageDb,
    removed: &BTreeSet<PackageId>,
    texts: &Texts,
    gone: &IsGone<'_>,
) -> DatabaseChange {
    let mut change = DatabaseChange::default();
    let names = removed.iter().map(|&id| db.packages[id].name.as_str()).collect::<BTreeSet<_>>();
    if let Some((path, text)) = installed(texts) {
        let kept = stanzas(text).filter(|stanza| !names.contains(parse(stanza).name.as_str()));
        let new = kept.map(|stanza| without_files(stanza, gone) + "\n").collect();
        change.edit(path, &format!("{}\n\n", text.trim_end_matches('\n')), new);
    }
    // Drop requested names that no package has or provides any more.
    let gone_names =
        removed.iter().flat_map(|&id| std::iter::once(&db.packages[id].name).chain(&db.packages[id].provides));
    let is_left = |name: &str| db.named(name).iter().any(|id| !removed.contains(id));
    let gone_names = gone_names.map(String::as_str).filter(|name| !is_left(name)).collect::<BTreeSet<_>>();
    for (path, text) in texts.iter().filter(|(path, _)| path.to_string() == WORLD) {
        let kept = text.split_whitespace().filter(|name| !gone_names.contains(name_of(name)));
        change.edit(path, text, kept.map(|name| format!("{name}\n")).collect());
    }
    change
}

/// Removes the records of removed files (`R:`, with the `a:` and `Z:` lines after it) from a stanza.
fn without_files(stanza: &str, gone: &IsGone<'_>) -> String {
    let mut folder = RootfsPath::root();
    let mut skips = false;
    let mut kept = String::new();
    for line in stanza.lines() {
        match line.split_once(':') {
            Some(("F", value)) => {
                folder = RootfsPath::parse(value.as_bytes()).unwrap_or_default();
                skips = false;
            }
            Some(("R", value)) => skips = gone(&folder.join(value.as_bytes())),
            Some(("a" | "Z", _)) => {}
            _ => skips = false,
        }
        if !skips {
            kept += line;
            kept += "\n";
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_read_and_go_without_a_trace() {
        let installed = "C:Q1\nP:musl\nV:1.2\nA:x86_64\np:so:libc.musl-x86_64.so.1=1\nF:lib\nR:ld-musl-x86_64.so.1\na:0:0:755\nZ:Q1x\n\n\
            P:.build-deps\nV:1\nA:noarch\nD:gcc so:libc.musl-x86_64.so.1 !conflict\n\n\
            P:gcc\nV:12\nA:x86_64\nD:musl>=1\nF:usr\nF:usr/bin\nR:gcc\nZ:Q1y\nR:cpp\n\n";
        let path = |text: &str| RootfsPath::parse(text.as_bytes()).unwrap();
        let texts: Texts =
            [(path(INSTALLED[0]), installed.into()), (path(WORLD), "musl\n.build-deps=20240101\n".into())].into();
        let db = read(&texts, &mut |_| {}).unwrap();
        assert_eq!(db.packages.len(), 3);
        assert!(db.packages[1].is_manual && !db.packages[2].is_manual && db.packages[0].is_protected);
        assert_eq!(db.dependencies(1).collect::<Vec<_>>(), [2, 0]);
        let change = db.without(&[1].into(), &texts, &|gone| gone.to_string() == "usr/bin/gcc");
        let content = |name: &str| &change.edits.iter().find(|edit| edit.path == path(name)).unwrap().content;
        let (installed, world) = (content(INSTALLED[0]), content(WORLD));
        assert_eq!(world, "musl\n");
        assert!(!installed.contains(".build-deps") && installed.contains("R:cpp") && !installed.contains("R:gcc"));
        assert!(!installed.contains("Z:Q1y") && installed.contains("Z:Q1x"));
        assert!(installed.ends_with("\n\n"));
    }
}
