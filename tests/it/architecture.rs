//! Who may import whom: a file imports only from lower tiers. The table is `ARCHITECTURE.md`'s.

use std::path::Path;

/// Modules by tier, the lowest first.
const TIERS: &[&[&str]] = &[
    &["digest", "spare", "hasher", "blob", "budget", "rootfs_path", "reference", "progress", "content"],
    &["layer"],
    &["image"],
    &["rootfs", "profile"],
    &["packages", "state"],
    &["evidence"],
    &["plan"],
    &["layering", "savings", "saved_plan", "explain", "inventory"],
    &["transport"],
    &["cache"],
    &["job"],
    &["outcome"],
    &["request"],
    &["report"],
    &["attach"],
    &["slim", "undo"],
];

/// What the core (`layer` to `layering`) may not use: it takes values and returns values.
const NO_IO: &[&str] = &["std::fs", "std::net", "std::env", "std::process", "std::thread", "tokio", "pydock_registry"];

fn tier(module: &str) -> Option<usize> {
    TIERS.iter().position(|tier| tier.contains(&module))
}

fn files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Returns whether a line imports a module of a crate in a group: `use std::{fs, io}`.
fn is_in_group(line: &str, module: &str) -> bool {
    let Some((parent, child)) = module.split_once("::") else { return false };
    let Some((_, group)) = line.split_once(&format!("use {parent}::{{")) else { return false };
    group.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == child)
}

#[test]
fn no_file_imports_from_its_own_tier_or_a_higher_one() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&source, &mut found);
    let mut wrong = Vec::new();
    for path in found {
        let name = path.strip_prefix(&source).unwrap().with_extension("").display().to_string();
        let module = name.split('/').next().unwrap();
        if ["lib", "main", "cli"].contains(&module) {
            continue;
        }
        let own = tier(module).unwrap_or_else(|| panic!("src/{name}.rs has no tier; add it to the table"));
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
        if code.contains("super::super::") {
            wrong.push(format!("src/{name}.rs uses `super::super::`; write `crate::`"));
        }
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for imported in line.split("crate::").skip(1) {
                let imported = imported.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
                let other =
                    tier(imported).unwrap_or_else(|| panic!("`crate::{imported}` in src/{name}.rs has no tier"));
                let ground = own == 0 && imported != module;
                if imported != module && (other > own || other == own && !ground) {
                    wrong.push(format!("src/{name}.rs (tier {own}) imports `{imported}` (tier {other})"));
                }
            }
            if (1..=7).contains(&own) {
                // Layers are compressed on threads of their own.
                let may = |io: &str| own == 1 && io == "std::thread";
                let uses = |io: &&&str| !may(io) && (line.contains(**io) || is_in_group(line, io));
                wrong.extend(NO_IO.iter().filter(uses).map(|io| format!("src/{name}.rs uses `{io}`")));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
