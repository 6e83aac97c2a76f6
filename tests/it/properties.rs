//! What must hold for every image: random layers of every kind of entry, random rules, every squash mode.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::images::slim;
use crate::support::image::root;
use crate::support::{Image, Run, pydock, tree};

/// Names from so few letters that layers collide all the time.
fn path() -> impl Strategy<Value = String> {
    proptest::collection::vec("[abc]", 1..4).prop_map(|parts| parts.join("/"))
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (path(), "[0-9]{1,3}").prop_map(|(path, text)| format!("f {path} {text}")),
        3 => path().prop_map(|path| format!("d {path}")),
        1 => (path(), "(/|\\.\\./)?[abc]").prop_map(|(path, target)| format!("l {path} -> {target}")),
        2 => path().prop_map(|path| format!("w {path}")),
        1 => path().prop_map(|path| format!("o {path}")),
        2 => (path(), path()).prop_map(|(path, target)| format!("h {path} = {target}")),
        1 => path().prop_map(|path| format!("x {path} key=value")),
    ]
}

/// Layers as builders make them: a whiteout has no namesake in its own layer, and a hard link names a file of its layer
/// (or, sometimes, of a lower one) that is there.
fn layers() -> impl Strategy<Value = Vec<Vec<String>>> {
    proptest::collection::vec(proptest::collection::vec(line(), 1..8), 1..5).prop_map(sane)
}

fn sane(layers: Vec<Vec<String>>) -> Vec<Vec<String>> {
    let mut lower: Vec<String> = Vec::new();
    let subject = |line: &str| line[2..].split(' ').next().unwrap().to_owned();
    let mut result = Vec::new();
    for lines in layers {
        let mut kept: Vec<String> = Vec::new();
        for line in lines {
            let path = subject(&line);
            let within = |a: &str, b: &str| a == b || a.starts_with(&format!("{b}/"));
            let whiteout = |other: &String| other.starts_with("w ") || other.starts_with("o ");
            // In-layer order of an entry and a whiteout above or below it means different things to different tools.
            let clash = kept.iter().any(|other| {
                let at = subject(other);
                (whiteout(other) || whiteout(&line)) && (within(&at, &path) || within(&path, &at))
                    || whiteout(other) && target(&line).is_some_and(|target| within(target, &at))
                    || whiteout(&line) && target(other).is_some_and(|target| within(target, &path))
                    || at == path
                    || within(&path, &at) && !other.starts_with("d ")
                    || within(&at, &path) && !line.starts_with("d ")
            });
            let file = |other: &String| other.starts_with("f ") && Some(subject(other).as_str()) == target(&line);
            let linkable = target(&line).is_none_or(|_| kept.iter().chain(&lower).any(file));
            if !clash && linkable {
                kept.push(line);
            }
        }
        lower.extend(kept.clone());
        result.push(kept);
    }
    result.retain(|lines| !lines.is_empty());
    if result.is_empty() {
        result.push(vec!["f a 1".to_owned()]);
    }
    result
}

/// Returns the target of a hard link.
fn target(line: &str) -> Option<&str> {
    line.strip_prefix("h ")?.split_once(" = ").map(|(_, target)| target)
}

/// Returns whether a run ended well. One that did not must say why: some random layers lead through a loop of symlinks, or link to
/// what a whiteout removed.
fn ends_well(run: Run) -> bool {
    let output = run.output();
    let error = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => true,
        Some(1) if error.starts_with("error: cannot merge layer") => false,
        code => panic!("exit code {code:?}: {error}"),
    }
}

fn image(layers: &[Vec<String>]) -> Image {
    let lines = layers.iter().map(|lines| lines.iter().map(String::as_str).collect::<Vec<_>>()).collect::<Vec<_>>();
    Image::of(&lines.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 400, ..ProptestConfig::default() })]

    /// Invariant 1: unpack(slim(x)) = unpack(x) - removed, read by an unpacker that shares nothing with the program.
    #[test]
    fn the_new_rootfs_is_the_old_one_minus_the_plan(
        layers in layers(),
        glob in "[abc*]{1,2}(/[abc])?",
        squash in prop_oneof!["none", "all"],
        packing in prop::sample::select(vec![&[][..], &["--recompress"], &["--compression", "zstd"]]),
    ) {
        let source = tempfile::tempdir().unwrap();
        image(&layers).write(source.path());
        let plan = source.path().join("plan.json");
        let reference = format!("oci:{}", source.path().display());
        prop_assume!(ends_well(pydock(["slim", "-q", "--dry-run", "--remove", &glob, &reference, "--plan"]).arg(&plan)));
        let plan: serde_json::Value = serde_json::from_slice(&std::fs::read(&plan).unwrap()).unwrap();
        let removed = plan["images"][0]["removed"].as_array().unwrap().iter();
        let removed = removed.map(|item| item["path"].as_str().unwrap().as_bytes().to_vec()).collect::<BTreeSet<_>>();
        let out = slim(source.path(), &[&["--remove", glob.as_str(), "--squash", &squash][..], packing].concat());
        let without_implied = |tree: tree::Tree| tree.into_iter().filter(|(_, line)| !line.contains("implied")).collect();
        let old: tree::Tree = without_implied(tree::of_layout(source.path()));
        let new: tree::Tree = without_implied(tree::of_layout(out.path()));
        tree::assert_is_old_minus(&old, &new, &removed);
    }

    /// A second run finds nothing more to do.
    #[test]
    fn slimming_twice_is_slimming_once(layers in layers(), squash in prop_oneof!["none", "all"]) {
        let source = tempfile::tempdir().unwrap();
        image(&layers).write(source.path());
        let reference = format!("oci:{}", source.path().display());
        prop_assume!(ends_well(pydock(["slim", "-q", "--dry-run", &reference])));
        let once = slim(source.path(), &["--squash", &squash]);
        let twice = slim(once.path(), &["--squash", "none"]);
        prop_assert_eq!(root(once.path())["digest"].clone(), root(twice.path())["digest"].clone());
    }
}
