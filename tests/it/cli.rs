//! What people see: help, profiles, plans, reports, gates.

use serde_json::Value;

use crate::support::image::documents;
use crate::support::{Image, pydock, tree};

fn source() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let layers: [&[&str]; 3] = [
        &[
            "d usr",
            "f usr/bin/app 1",
            "f root/.cache/pip/http-v2/a 1",
            "f usr/share/doc/x/README 1",
            "f usr/share/doc/x/copyright 1",
        ],
        &["f cache/wheels/w 1", "f cache/model 1", "f app/.git/HEAD 1"],
        &["f usr/bin/app 2", "l docs -> usr/share/doc/x/README"],
    ];
    Image::of(&layers).env("PIP_CACHE_DIR=/cache").history(&["ADD base", "RUN pip", "COPY app"]).write(folder.path());
    let reference = format!("oci:{}", folder.path().display());
    (folder, reference)
}

#[test]
fn the_help_of_every_verb() {
    let help = |verb: &[&str]| pydock(verb.iter().chain(&["--help"])).ok().stdout;
    insta::assert_snapshot!("help", help(&[]));
    insta::assert_snapshot!("help-slim", help(&["slim"]));
    insta::assert_snapshot!("help-apply", help(&["apply"]));
    insta::assert_snapshot!("help-undo", help(&["undo"]));
    insta::assert_snapshot!("help-profiles", help(&["profiles"]));
}

#[test]
fn profiles_are_listed_and_shown() {
    insta::assert_snapshot!("profiles", pydock(["profiles"]).ok().stdout);
    insta::assert_snapshot!("profiles-show", pydock(["profiles", "show", "vcs"]).ok().stdout);
    insta::assert_snapshot!("profiles-unknown", pydock(["profiles", "show", "nonsense"]).error());
    for generated in [["completions", "bash"], ["man", "-q"]] {
        assert!(pydock(generated).ok().stdout.contains("pydock"));
    }
}

#[test]
fn a_dry_run_prints_the_plan_and_writes_nothing() {
    let (folder, reference) = source();
    let ran = pydock(["slim", "-q", "--dry-run", &reference]).ok();
    insta::assert_snapshot!("dry-run", ran.stdout.replace(&folder.path().display().to_string(), "DIR"));
}

#[test]
fn the_closing_table_tells_layers_profiles_and_the_digest() {
    let (folder, reference) = source();
    let out = tempfile::tempdir().unwrap();
    let ran = pydock(["slim", &reference]).arg(format!("oci:{}", out.path().display())).ok();
    let text = ran.stdout.replace(&folder.path().display().to_string(), "DIR");
    insta::assert_snapshot!("table", text.replace(&out.path().display().to_string(), "OUT"));
    insta::assert_snapshot!("progress-lines", {
        let mut lines = ran.stderr.lines().collect::<Vec<_>>();
        lines.sort_unstable();
        lines.join("\n")
    });
}

#[test]
fn a_saved_plan_gives_the_same_image_and_refuses_another_one() {
    let (_folder, reference) = source();
    let place = tempfile::tempdir().unwrap();
    let to = |name: &str| format!("oci:{}", place.path().join(name).display());
    let plan = place.path().join("plan.json");
    let digest = |run: crate::support::Run| run.args(["-q", "--format", "digest"]).ok().stdout;
    let direct = digest(pydock(["slim", &reference, &to("direct"), "--plan", plan.to_str().unwrap()]));
    let applied = digest(pydock(["apply", &reference, &to("applied"), "--plan", plan.to_str().unwrap()]));
    assert_eq!(direct, applied);
    assert!(direct.starts_with("sha256:") && direct.len() == 72);
    let error = pydock(["apply", "-q", &to("direct"), &to("other"), "--plan", plan.to_str().unwrap()]).error();
    assert!(error.contains("it was made for sha256:"), "{error}");
    std::fs::write(&plan, r#"{"version": 99}"#).unwrap();
    let error = pydock(["apply", "-q", &reference, &to("other"), "--plan", plan.to_str().unwrap()]).error();
    assert!(error.contains("it has version 99"), "{error}");
}

#[test]
fn gates_that_are_not_met_write_nothing_and_exit_with_three() {
    let (_folder, reference) = source();
    let place = tempfile::tempdir().unwrap();
    let to = format!("oci:{}", place.path().join("out").display());
    for (gate, code) in [
        ("--max-size=1kB", 0),
        ("--max-size=10", 3),
        ("--min-saving=1%", 0),
        ("--min-saving=99%", 3),
        ("--min-saving=1MB", 3),
    ] {
        let ran = pydock(["slim", "-q", &reference, &to, gate]).exits(code);
        assert_eq!(ran.stdout.contains("gate not met"), code == 3, "{}", ran.stdout);
        assert_eq!(place.path().join("out").exists(), code == 0);
        let _ = std::fs::remove_dir_all(place.path().join("out"));
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    }
    pydock(["slim", "-q", &reference, &to, "--max-size=lots"]).exits(2);
    for (compression, level) in [("gzip", "13"), ("gzip", "0"), ("zstd", "23")] {
        let levels = ["--compression", compression, "--compression-level", level];
        let ran = pydock(["slim", "-q", &reference, &to]).args(levels).exits(2);
        assert!(ran.stderr.contains(&format!("{compression} has no level {level}")), "{}", ran.stderr);
    }
    pydock(["slim", "-q", &reference]).exits(2);
}

#[test]
fn levels_profiles_and_globs_choose_what_goes() {
    let (_folder, reference) = source();
    let left = |options: &[&str]| {
        let out = tempfile::tempdir().unwrap();
        pydock(["slim", "-q", &reference]).arg(format!("oci:{}", out.path().display())).args(options).ok();
        let paths = tree::of_layout(out.path()).into_keys().map(|path| tree::show(&path));
        paths
            .filter(|path| {
                ["README", "copyright", "HEAD", "a", "w", "model"]
                    .iter()
                    .any(|name| path.ends_with(&format!("/{name}")))
            })
            .collect::<Vec<_>>()
            .join(" ")
    };
    let doc = "usr/share/doc/x";
    assert_eq!(left(&["--level", "safe"]), format!("cache/model {doc}/README {doc}/copyright"));
    assert_eq!(left(&[]), format!("cache/model {doc}/README {doc}/copyright"), "docs -> README stays");
    assert_eq!(left(&["--remove", "docs"]), format!("cache/model {doc}/copyright"));
    assert_eq!(left(&["--level", "max", "--remove", "/docs"]), "cache/model");
    assert_eq!(left(&["--without", "vcs"]), format!("app/.git/HEAD cache/model {doc}/README {doc}/copyright"));
    assert_eq!(left(&["--keep", "/cache/**"]), format!("cache/model cache/wheels/w {doc}/README {doc}/copyright"));
    assert_eq!(left(&["--profile", "licences"]), format!("cache/model {doc}/README"));
    let error = pydock(["slim", "-q", &reference, "oci:unused", "--without", "nonsense"]).error();
    assert!(error.contains("there is no profile `nonsense`"), "{error}");
    let error = pydock(["slim", "-q", &reference, "oci:unused", "--remove", "a["]).error();
    assert!(error.contains("glob `a[` is malformed"), "{error}");
}

#[test]
fn a_file_holds_the_same_choices_and_profiles_of_its_own() {
    let (_folder, reference) = source();
    let place = tempfile::tempdir().unwrap();
    let mine = "name = 'mine'\ndescription = 'x'\nrisk = 'low'\nlevel = 'safe'\nremove = ['cache/model']\n";
    std::fs::write(place.path().join("mine.toml"), mine).unwrap();
    let settings = "level = 'safe'\nprofile = ['./mine.toml']\nwithout = ['vcs']\nkeep = ['root/**']\nsquash = 'all'\ncompression = 'zstd'\n";
    std::fs::write(place.path().join("pydock.toml"), settings).unwrap();
    pydock(["slim", "-q", &reference, "oci:out"]).folder(place.path()).ok();
    let out = place.path().join("out");
    let (manifest, _) = documents(&out);
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
    assert!(manifest["layers"][0]["mediaType"].as_str().unwrap().ends_with("zstd"));
    let tree = tree::of_layout(&out);
    assert!(!tree.contains_key(b"cache/model".as_slice()));
    assert!(tree.contains_key(b"app/.git/HEAD".as_slice()));
    assert!(tree.contains_key(b"root/.cache/pip/http-v2/a".as_slice()));
    std::fs::write(place.path().join("pydock.toml"), "levle = 'safe'\n").unwrap();
    let error = pydock(["slim", "-q", &reference, "oci:out"]).folder(place.path()).error();
    assert!(error.contains("`pydock.toml` cannot be read") && error.contains("levle"), "{error}");
}

#[test]
fn the_report_is_what_its_schema_says() {
    let (_folder, reference) = source();
    let place = tempfile::tempdir().unwrap();
    let to = format!("oci:{}", place.path().join("out").display());
    let schema: Value = serde_json::from_str(include_str!("../../docs/report.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for run in [
        pydock(["slim", "-q", "--format", "json", &reference, &to]),
        pydock(["slim", "-q", "--format", "json", "--dry-run", &reference]),
        pydock(["slim", "-q", "--format", "json", "--squash", "all", &reference, &to]),
    ] {
        let report: Value = serde_json::from_str(&run.ok().stdout).unwrap();
        let errors = validator
            .iter_errors(&report)
            .map(|error| format!("{error} at {}", error.instance_path()))
            .collect::<Vec<_>>();
        assert!(errors.is_empty(), "{errors:#?}");
        assert_eq!(report["version"], 2);
    }
}
