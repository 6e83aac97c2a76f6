//! Debian's package database. Sources: deb-control(5), dpkg(1) "FILES", apt's `extended_states`. Distroless images have
//! one stanza per file in `status.d`.

use std::collections::{BTreeSet, HashMap, HashSet};

use rayon::prelude::*;

use super::{
    DatabaseChange, IsGone, Manager, Package, PackageDb, PackageId, SourcePackage, Texts, alternatives, stanzas,
};
use crate::rootfs_path::RootfsPath;

const STATUS: &str = "var/lib/dpkg/status";
const STATUS_D: &str = "var/lib/dpkg/status.d/";
const INFO: &str = "var/lib/dpkg/info/";
const EXTENDED_STATES: &str = "var/lib/apt/extended_states";
const TRIGGERS: &str = "var/lib/dpkg/triggers/";

/// Returns whether the content of a file is needed to read or edit the database.
pub fn wants(path: &str) -> bool {
    path == STATUS
        || path == EXTENDED_STATES
        || path == "var/lib/dpkg/diversions"
        || path.starts_with(STATUS_D)
        || path.starts_with(alternatives::FOLDER)
        || path.starts_with(TRIGGERS)
        || path.starts_with(INFO) && (path.ends_with(".list") || path.ends_with(".md5sums"))
}

/// Returns whether a file lists the installed packages, or which of them were requested.
pub fn says_what_is_installed(path: &str) -> bool {
    path == STATUS || path == EXTENDED_STATES || path.starts_with(STATUS_D)
}

/// Reads the database. Returns `None` if there is none. Malformed parts are reported and left unchanged.
pub fn read(texts: &Texts, report: &mut dyn FnMut(String)) -> Option<PackageDb> {
    let get = |path: &str| texts.get(&path_of(path));
    let mut packages = Vec::new();
    let mut seen = BTreeSet::new();
    let manager = match get(STATUS) {
        Some(status) => {
            let automatic = automatic(get(EXTENDED_STATES).map_or("", |text| text));
            for stanza in stanzas(status) {
                let Some(mut package) = parse(stanza) else {
                    if !is_of_removed_package(stanza) {
                        report(format!("{STATUS}: a stanza has no Package field, or a malformed Status field"));
                    }
                    continue;
                };
                if let Some(state) = &package.state {
                    report(format!("{STATUS}: package {} is in the state `{state}`; it is kept", package.name));
                }
                if !seen.insert((package.name.clone(), package.architecture.clone())) {
                    report(format!("{STATUS}: package {} is listed twice", package.name));
                    continue;
                }
                // apt records its own architecture for packages of architecture `all`.
                let is_automatic = automatic.get(package.name.as_str()).is_some_and(|architectures| {
                    package.architecture == "all" || architectures.contains(package.architecture.as_str())
                });
                package.is_manual = !is_automatic;
                packages.push(package);
            }
            let lists = packages.par_iter_mut().map(|package| {
                let list = info(package, "list").iter().find_map(|path| texts.get(path));
                package.files = list.iter().flat_map(|list| list.lines().filter_map(owned)).collect();
                list.is_some()
            });
            for (has_list, package) in lists.collect::<Vec<_>>().into_iter().zip(&packages) {
                if !has_list {
                    report(format!("{INFO}: package {} has no list of files", package.name));
                }
            }
            Manager::Dpkg
        }
        None => {
            for (path, text) in texts.iter().filter(|(path, _)| path.to_string().starts_with(STATUS_D)) {
                let name = path.to_string();
                if name.ends_with(".md5sums") {
                    continue;
                }
                let Some(mut package) = parse(text.trim_matches('\n')) else { continue };
                package.is_manual = true;
                let sums = texts.get(&path_of(&format!("{name}.md5sums"))).map_or("", |text| text);
                package.files = sums.lines().filter_map(|line| owned(line.split_once("  ")?.1)).collect();
                packages.push(package);
            }
            Manager::Distroless
        }
    };
    (!packages.is_empty()).then(|| PackageDb::new(manager, packages))
}

/// Parses the stanza of an installed package.
fn parse(stanza: &str) -> Option<Package> {
    let fields = fields(stanza);
    let get = |key: &str| fields.get(key).copied().unwrap_or_default();
    let name = get("Package").to_owned();
    // Source: dpkg(1), "Package states". The third word is the state. A package that was never unpacked, or was purged,
    // owns nothing.
    let state = get("Status").rsplit(' ').next().filter(|state| !state.is_empty()).unwrap_or("installed");
    if name.is_empty() || state == "not-installed" || !STATES.contains(&state) {
        return None;
    }
    let depends = [get("Pre-Depends"), get("Depends")];
    let yes = |key: &str| get(key) == "yes";
    Some(Package {
        name,
        version: get("Version").to_owned(),
        source: source(get("Source")),
        architecture: get("Architecture").to_owned(),
        section: get("Section").rsplit('/').next().unwrap_or_default().to_owned(),
        is_protected: yes("Essential") || yes("Protected") || yes("Important") || get("Priority") == "required",
        is_manual: true,
        depends: depends.iter().flat_map(|text| relations(text)).collect(),
        recommends: relations(get("Recommends")),
        state: (state != "installed").then(|| state.to_owned()),
        provides: relations(get("Provides")).into_iter().flatten().collect(),
        files: Vec::new(),
    })
}

/// Parses `NAME` or `NAME (VERSION)`. Source: deb-control(5), "Source".
fn source(field: &str) -> Option<SourcePackage> {
    let (name, version) = field.split_once(' ').unwrap_or((field, ""));
    let version = version.trim().trim_start_matches('(').trim_end_matches(')');
    let version = Some(version).filter(|version| !version.is_empty()).map(str::to_owned);
    (!name.is_empty()).then(|| SourcePackage { name: name.to_owned(), version })
}

/// The states in which a package has files in the image. Source: dpkg(1), "Package states".
const STATES: [&str; 7] = [
    "installed",
    "config-files",
    "half-installed",
    "unpacked",
    "half-configured",
    "triggers-awaited",
    "triggers-pending",
];

/// Returns whether a stanza belongs to a package that is not installed.
fn is_of_removed_package(stanza: &str) -> bool {
    let fields = fields(stanza);
    fields.contains_key("Package") && fields.get("Status").is_some_and(|status| status.ends_with(" not-installed"))
}

/// Parses `Key: value` lines. Continuation lines, which begin with a space, are skipped: they are not needed here.
fn fields(stanza: &str) -> HashMap<&str, &str> {
    stanza
        .lines()
        .filter(|line| !line.starts_with([' ', '\t']))
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| (key, value.trim()))
        .collect()
}

/// Parses the names in `a (>= 1) | b:any, c [amd64]`.
fn relations(text: &str) -> Vec<Vec<String>> {
    let name = |relation: &str| {
        let end = relation.find(|c: char| c.is_whitespace() || "([<".contains(c)).unwrap_or(relation.len());
        relation[..end].split(':').next().unwrap_or_default().to_owned()
    };
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    items.map(|item| item.split('|').map(|relation| name(relation.trim())).collect()).collect()
}

/// Returns the automatically installed packages, each with its architectures.
fn automatic(extended_states: &str) -> HashMap<&str, BTreeSet<&str>> {
    let mut found = HashMap::<_, BTreeSet<_>>::new();
    for fields in stanzas(extended_states).map(fields).filter(|fields| fields.get("Auto-Installed") == Some(&"1")) {
        if let (Some(name), Some(architecture)) = (fields.get("Package"), fields.get("Architecture")) {
            found.entry(*name).or_default().insert(*architecture);
        }
    }
    found
}

fn owned(line: &str) -> Option<RootfsPath> {
    RootfsPath::parse(line.as_bytes()).ok().filter(|path| !path.is_root())
}

/// Returns the possible paths of a package's info file: with and without its architecture.
fn info(package: &Package, kind: &str) -> [RootfsPath; 2] {
    let Package { name, architecture, .. } = package;
    [path_of(&format!("{INFO}{name}:{architecture}.{kind}")), path_of(&format!("{INFO}{name}.{kind}"))]
}

fn path_of(text: &str) -> RootfsPath {
    RootfsPath::parse(text.as_bytes()).unwrap_or_default()
}

/// Packages that are removed.
struct Going<'a> {
    /// Names with architectures.
    packages: BTreeSet<(&'a str, &'a str)>,
    names: HashSet<&'a str>,
}

impl Going<'_> {
    /// Returns whether a stanza belongs to a removed package.
    fn has_stanza(&self, stanza: &str) -> bool {
        let fields = fields(stanza);
        let field = |key| fields.get(key).copied().unwrap_or_default();
        self.packages.contains(&(field("Package"), field("Architecture")))
    }

    /// Returns whether a file in the info folder belongs to a removed package.
    fn has_info(&self, path: &str) -> bool {
        let Some((stem, _)) = path.strip_prefix(INFO).and_then(|file| file.rsplit_once('.')) else { return false };
        match stem.split_once(':') {
            Some((name, architecture)) => self.packages.contains(&(name, architecture)),
            None => self.names.contains(stem),
        }
    }
}

/// Edits the database: status, file lists, checksums, extended states, triggers and alternatives.
pub(super) fn without(
    db: &PackageDb,
    removed: &BTreeSet<PackageId>,
    texts: &Texts,
    gone: &IsGone<'_>,
) -> DatabaseChange {
    let packages = removed.iter().map(|&id| &db.packages[id]);
    let going = Going {
        packages: packages.clone().map(|package| (package.name.as_str(), package.architecture.as_str())).collect(),
        names: packages.map(|package| package.name.as_str()).collect(),
    };
    let changes = texts.par_iter().map(|(path, text)| file_without(path, text, &going, gone)).collect::<Vec<_>>();
    let mut change = DatabaseChange::default();
    for DatabaseChange { edits, removed } in changes {
        change.edits.extend(edits);
        change.removed.extend(removed);
    }
    alternatives::without(texts, gone, &mut change);
    change
}

/// Edits one file of the database.
fn file_without(path: &RootfsPath, text: &str, going: &Going<'_>, gone: &IsGone<'_>) -> DatabaseChange {
    let mut change = DatabaseChange::default();
    let name = path.to_string();
    let is_gone = |path: &str| owned(path).is_some_and(|path| gone(&path));
    if name == STATUS || name == EXTENDED_STATES {
        let kept = stanzas(text).filter(|stanza| !going.has_stanza(stanza)).map(|stanza| format!("{stanza}\n\n"));
        change.edit(path, &format!("{}\n\n", text.trim_end_matches('\n')), kept.collect());
    } else if name.starts_with(STATUS_D) && !name.ends_with(".md5sums") {
        if going.has_stanza(text.trim_matches('\n')) {
            change.removed.extend([path.clone(), path_of(&format!("{name}.md5sums"))]);
        }
    } else if going.has_info(&name) {
        change.removed.push(path.clone());
    } else if name.ends_with(".list") {
        change.edit(path, text, keep_lines(text, |line| !is_gone(line)));
    } else if name.ends_with(".md5sums") {
        let stays = |line: &str| !line.split_once("  ").is_some_and(|(_, path)| is_gone(path));
        change.edit(path, text, keep_lines(text, stays));
    } else if name.starts_with(TRIGGERS) {
        let stays = |line: &str| !package_of_trigger(line).is_some_and(|package| going.names.contains(package));
        change.edit(path, text, keep_lines(text, stays));
    }
    change
}

/// Lines in `File` contain a path and a package. Other files are named after a trigger and list packages.
fn package_of_trigger(line: &str) -> Option<&str> {
    line.split_whitespace().last()?.split(['/', ':']).next()
}

fn keep_lines(text: &str, stays: impl Fn(&str) -> bool) -> String {
    let mut kept = String::with_capacity(text.len());
    for line in text.lines().filter(|line| stays(line)) {
        kept += line;
        kept += "\n";
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database() -> Texts {
        let status = "Package: base\nStatus: install ok installed\nPriority: required\nArchitecture: amd64\nSection: libs\nDescription: x\n more\n\n\
            Package: tool\nStatus: install ok installed\nArchitecture: amd64\nSection: devel\nPre-Depends: base (>= 1)\n\
            Depends: missing | lib:any (>= 2) [amd64], base\nProvides: virtual (= 1)\n\n\
            Package: lib\nStatus: install ok installed\nArchitecture: amd64\nMulti-Arch: same\nSection: libs\n\n\
            Package: left\nStatus: deinstall ok config-files\nArchitecture: amd64\n\n";
        [
            (STATUS, status),
            (EXTENDED_STATES, "Package: lib\nArchitecture: amd64\nAuto-Installed: 1\n\n"),
            ("var/lib/dpkg/info/base.list", "/.\n/usr\n/usr/bin/sh\n/usr/share/doc/base/README\n"),
            ("var/lib/dpkg/info/base.md5sums", "d41d  usr/bin/sh\nd41d  usr/share/doc/base/README\n"),
            ("var/lib/dpkg/info/tool.list", "/usr/bin/tool\n"),
            ("var/lib/dpkg/info/lib:amd64.list", "/usr/lib/lib.so\n"),
            ("var/lib/dpkg/info/lib:amd64.md5sums", ""),
            ("var/lib/dpkg/triggers/File", "/usr/share/x tool\n/usr/lib base\n"),
        ]
        .into_iter()
        .map(|(path, text)| (path_of(path), text.into()))
        .collect()
    }

    #[test]
    fn packages_are_read_with_their_files_dependencies_and_marks() {
        let mut reports = Vec::new();
        let db = read(&database(), &mut |report| reports.push(report)).unwrap();
        assert_eq!(reports.len(), 2, "of the last package the state, and that it has no list: {reports:?}");
        let [base, tool, lib, left] = &db.packages[..] else { panic!() };
        assert_eq!(left.state.as_deref(), Some("config-files"));
        assert!(base.is_protected && !tool.is_protected);
        assert!(tool.is_manual && !lib.is_manual);
        assert_eq!(base.files.len(), 3);
        assert_eq!(lib.files, [path_of("usr/lib/lib.so")]);
        assert_eq!(db.dependencies(1).collect::<Vec<_>>(), [0, 2, 0]);
        assert_eq!(db.named("virtual"), [1]);
    }

    #[test]
    fn a_removed_package_leaves_no_trace_and_removed_docs_leave_lists_and_sums() {
        let texts = database();
        let db = read(&texts, &mut |_| {}).unwrap();
        let docs = |path: &RootfsPath| path.is_within(&path_of("usr/share/doc"));
        let change = db.without(&[1, 2].into(), &texts, &docs);
        let content = |path: &str| change.edits.iter().find(|edit| edit.path == path_of(path)).unwrap().content.clone();
        assert!(content(STATUS).starts_with("Package: base\n"));
        assert!(!content(STATUS).contains("tool") && content(STATUS).contains("Package: left"));
        assert_eq!(content(EXTENDED_STATES), "");
        assert_eq!(content("var/lib/dpkg/info/base.list"), "/.\n/usr\n/usr/bin/sh\n");
        assert_eq!(content("var/lib/dpkg/info/base.md5sums"), "d41d  usr/bin/sh\n");
        assert_eq!(content("var/lib/dpkg/triggers/File"), "/usr/lib base\n");
        let removed = change.removed.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            removed,
            ["var/lib/dpkg/info/lib:amd64.list", "var/lib/dpkg/info/lib:amd64.md5sums", "var/lib/dpkg/info/tool.list"]
        );
    }

    #[test]
    fn a_corrupt_database_is_reported_and_never_a_panic() {
        let mut texts = database();
        texts.insert(path_of(STATUS), "garbage\n\n: :\n\nPackage: a\nDepends: ,|,(\n\nPackage: a\n".into());
        let mut reports = Vec::new();
        let db = read(&texts, &mut |report| reports.push(report)).unwrap();
        assert_eq!(db.packages.len(), 1);
        assert_eq!(reports.len(), 4, "{reports:?}");
    }

    #[test]
    fn distroless_images_have_one_file_a_package() {
        let texts: Texts = [
            ("var/lib/dpkg/status.d/libc6", "Package: libc6\nArchitecture: amd64\nSection: libs\n"),
            ("var/lib/dpkg/status.d/libc6.md5sums", "d41d  lib/libc.so.6\n"),
        ]
        .into_iter()
        .map(|(path, text)| (path_of(path), text.into()))
        .collect();
        let db = read(&texts, &mut |_| {}).unwrap();
        assert_eq!((db.manager, db.packages[0].files.len()), (Manager::Distroless, 1));
        let change = db.without(&[0].into(), &texts, &|_| false);
        assert_eq!(change.removed.len(), 2);
    }
}
