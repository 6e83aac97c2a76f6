//! Who may import whom: a file imports only from lower tiers. The table is `ARCHITECTURE.md`'s.

use std::collections::BTreeMap;
use std::path::Path;

/// What `pydock` re-exports of `pydock-layer`, which the compiler keeps from importing upwards.
const LAYER_CRATE: &[&str] = &["layer", "digest", "idle", "blob", "budget", "rootfs_path"];

/// Modules by tier, the lowest first.
const TIERS: &[&[&str]] = &[
    LAYER_CRATE,
    &["reference", "progress", "content"],
    &["image"],
    &["rootfs", "profile"],
    &["packages", "state"],
    &["evidence"],
    &["plan"],
    &["layering", "savings", "saved_plan", "explain", "inventory"],
    &["transport"],
    &["cache"],
    &["outcome"],
    &["options"],
    &["report"],
    &["attach"],
    &["slim"],
    &["undo"],
];

/// What the core (`pydock-layer`, and `image` to `layering`) may not use: it takes values and returns values.
const NO_IO: &[&str] =
    &["std::fs", "std::net", "std::env", "std::process", "std::thread", "tokio", "reqwest", "pydock_registry"];

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

/// Returns the Rust files under a folder of this repository: each file's path there, and its code without its tests.
fn sources(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    files(&root.join(folder), &mut found);
    let source = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
        (path.strip_prefix(root).unwrap().display().to_string(), code.to_owned())
    };
    found.into_iter().map(source).collect()
}

fn lines(code: &str) -> impl Iterator<Item = &str> {
    code.lines().filter(|line| !line.trim_start().starts_with("//"))
}

/// Returns what a line does that the core may not do.
fn io(line: &str) -> impl Iterator<Item = &'static str> {
    NO_IO.iter().copied().filter(move |io| line.contains(io) || is_in_group(line, io))
}

#[test]
fn no_file_imports_from_its_own_tier_or_a_higher_one() {
    let mut wrong = Vec::new();
    for (path, code) in sources("src") {
        let name = path.trim_start_matches("src/").trim_end_matches(".rs");
        let module = name.split('/').next().unwrap();
        if ["lib", "main", "cli"].contains(&module) {
            continue;
        }
        let own = tier(module).unwrap_or_else(|| panic!("{path} has no tier; add it to the table"));
        if code.contains("super::super::") {
            wrong.push(format!("{path} uses `super::super::`; write `crate::`"));
        }
        for line in lines(&code) {
            for imported in line.split("crate::").skip(1) {
                let imported = imported.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
                let other = tier(imported).unwrap_or_else(|| panic!("`crate::{imported}` in {path} has no tier"));
                if imported != module && other >= own {
                    wrong.push(format!("{path} (tier {own}) imports `{imported}` (tier {other})"));
                }
            }
            if (2..=7).contains(&own) {
                wrong.extend(io(line).map(|io| format!("{path} uses `{io}`")));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_layer_crate_does_no_io() {
    let mut wrong = Vec::new();
    for (path, code) in sources("crates/layer/src") {
        // It compresses and hashes on threads of its own.
        let uses = lines(&code).flat_map(io).filter(|io| *io != "std::thread");
        wrong.extend(uses.map(|io| format!("{path} uses `{io}`")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Returns the name of the type that a line defines.
fn defined_type(line: &str) -> Option<&str> {
    let words = line.split(|c: char| c.is_whitespace() || "<({;:=".contains(c));
    let mut words = words.skip_while(|word| word.starts_with("pub") || ["in", "super)", "crate)"].contains(word));
    ["struct", "enum", "trait", "type"].contains(&words.next()?).then(|| words.next()).flatten()
}

#[test]
fn each_type_has_a_name_of_its_own() {
    // `FromStr` names its error type.
    let exceptions = ["Err"];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in ["src", "crates"] {
        files(&root.join(folder), &mut found);
    }
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in found.iter().filter(|path| !path.display().to_string().contains("/examples/")) {
        let text = std::fs::read_to_string(path).unwrap();
        for name in text.lines().filter_map(|line| defined_type(line.trim_start())) {
            names.entry(name.to_owned()).or_default().push(path.display().to_string());
        }
    }
    names.retain(|name, places| places.len() > 1 && !exceptions.contains(&name.as_str()));
    assert!(names.is_empty(), "{names:#?}");
}
