//! The large images of `fixtures/images`, which `scripts/lab.sh` builds. Run by `scripts/test.sh` as
//! `cargo test --release -- --ignored`: they need gigabytes of disk and minutes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::images::slim;
use crate::support::tools::run;
use crate::support::{pydock, tree};

fn lab(image: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/lab/oci").join(image);
    assert!(path.exists(), "{} is not there; run scripts/lab.sh", path.display());
    path
}

/// Slims a lab image into Docker under a name.
fn load_slimmed(image: &str, name: &str, options: &[&str]) {
    let place = tempfile::tempdir().unwrap();
    let archive = place.path().join("slim.tar");
    pydock(["slim", "-q"])
        .arg(format!("oci:{}", lab(image).display()))
        .arg(format!("oci-archive:{}:{name}", archive.display()))
        .args(options)
        .ok();
    run("docker", ["load", "-q", "-i", archive.to_str().unwrap()]);
}

/// Runs a script with Python in an image and returns the JSON that it prints.
fn python(image: &str, script: &str, names: Option<&Path>) -> Value {
    let support = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support").join(script);
    let script = format!("{}:/script.py:ro", support.display());
    let mut args = vec!["run", "--rm", "--network", "none", "--user", "0", "-v", &script];
    let names = names.map(|path| format!("{}:/names.json:ro", path.display()));
    args.extend(names.iter().flat_map(|mount| ["-v", mount.as_str()]));
    args.extend([image, "python", "-B", "/script.py"]);
    args.extend(names.iter().map(|_| "/names.json"));
    serde_json::from_str(run("docker", args).lines().last().unwrap()).unwrap()
}

fn shell(image: &str, command: &str) -> String {
    run("docker", ["run", "--rm", "--network", "none", "--user", "0", image, "sh", "-c", command])
}

/// Returns the modules that could be imported.
fn importable(results: Value) -> BTreeMap<String, Value> {
    let results: BTreeMap<String, Value> = serde_json::from_value(results).unwrap();
    results.into_iter().filter(|(_, result)| result == "ok").collect()
}

/// Returns the names of the modules that a plan removes on purpose: their own file goes, and lies in a folder of tests.
fn removed_modules(report: &Value) -> BTreeSet<String> {
    let removed = report["images"][0]["removed"].as_array().unwrap().iter().map(|item| item["path"].as_str().unwrap());
    let module = |path: &str| {
        let inside = path.split_once("-packages/")?.1;
        let is_module = inside.ends_with(".py") || inside.ends_with(".so");
        let is_test = inside.split('/').any(|part| matches!(part, "tests" | "test" | "_tests"));
        if !(is_module && is_test) {
            return None;
        }
        let (folder, name) = inside.rsplit_once('/').unwrap_or(("", inside));
        let dotted = format!("{folder}/{}", name.split('.').next()?).trim_matches('/').replace('/', ".");
        Some(dotted.strip_suffix(".__init__").unwrap_or(&dotted).to_owned())
    };
    removed.filter_map(module).collect()
}

#[test]
#[ignore = "needs the lab images: scripts/test.sh builds them and runs this"]
fn every_module_that_could_be_imported_can_be_imported_after_slimming() {
    for image in ["fat-web", "fat-ds"] {
        let place = tempfile::tempdir().unwrap();
        let report = place.path().join("report.json");
        let name = format!("pydock-test/imports-{image}:1");
        load_slimmed(image, &name, &["--report", report.to_str().unwrap()]);
        let report: Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
        let gone = removed_modules(&report);
        // What an import does depends on what was imported before it: only modules that import again in the very same
        // order count.
        let names = place.path().join("names.json");
        let old = format!("lab/{image}:1");
        let mut before = importable(python(&old, "imports.py", None));
        for _ in 0..2 {
            std::fs::write(&names, serde_json::to_string(&before).unwrap()).unwrap();
            before = importable(python(&old, "imports.py", Some(&names)));
        }
        let after = python(&name, "imports.py", Some(&names));
        let broken = before.keys().filter(|module| after[module.as_str()] != "ok" && !gone.contains(module.as_str()));
        let broken = broken.map(|module| format!("{module}: {}", after[module.as_str()])).collect::<Vec<_>>();
        assert!(before.len() > 2000, "{image}: only {} modules", before.len());
        assert!(broken.is_empty(), "{image}: {broken:#?}");
        run("docker", ["rmi", "-f", &name]);
    }
}

#[test]
#[ignore = "needs the lab images: scripts/test.sh builds them and runs this"]
fn the_system_that_is_left_is_sound() {
    for image in ["fat-web", "fat-ds"] {
        let old = format!("lab/{image}:1");
        let new = format!("pydock-test/system-{image}:1");
        load_slimmed(image, &new, &[]);
        // The package database is clean and true.
        assert_eq!(shell(&new, "dpkg --audit"), "");
        assert_eq!(
            shell(&new, "dpkg -V || true"),
            shell(&old, "dpkg -V || true")
                .lines()
                .filter(|line| line.contains("/var/lib/apt/lists"))
                .map(|line| format!("{line}\n"))
                .collect::<String>()
        );
        shell(&new, "apt-get check");
        shell(&new, "pip check");
        let left = shell(&new, "dpkg-query -W -f '${Package} ${Version}\\n'");
        assert!(left.lines().count() < 160, "{}", left.lines().count());
        assert!(!left.contains("gcc-12 ") && !left.contains("git ") && left.contains("ca-certificates "));
        // syft, an independent tool, lists exactly these packages.
        let archive = tempfile::NamedTempFile::new().unwrap();
        run("docker", ["save", "-o", archive.path().to_str().unwrap(), &new]);
        let listed = run("syft", ["scan", "-q", "-o", "json", &format!("docker-archive:{}", archive.path().display())]);
        let listed: Value = serde_json::from_str(&listed).unwrap();
        let artifacts = listed["artifacts"].as_array().unwrap().iter();
        let debs = artifacts.filter(|artifact| artifact["type"] == "deb").map(|artifact| {
            format!("{} {}", artifact["name"].as_str().unwrap(), artifact["version"].as_str().unwrap())
        });
        assert_eq!(debs.collect::<BTreeSet<_>>(), left.lines().map(str::to_owned).collect::<BTreeSet<_>>());
        // No symlink dangles that did not dangle before.
        let dangling = "find / -xdev -xtype l 2>/dev/null | grep -vE '^/(proc|sys|dev)' | sort";
        let before = shell(&old, dangling).lines().map(str::to_owned).collect::<BTreeSet<_>>();
        let new_ones =
            shell(&new, dangling).lines().filter(|line| !before.contains(*line)).map(str::to_owned).collect::<Vec<_>>();
        assert!(new_ones.is_empty(), "{new_ones:#?}");
        // Every object finds the libraries that it found.
        let (before, after) = (python(&old, "libraries.py", None), python(&new, "libraries.py", None));
        let after = after.as_object().unwrap();
        assert!(after.len() > 300, "{image}: only {} objects", after.len());
        for (object, libraries) in after {
            assert_eq!(before[object], *libraries, "{image}: {object}");
        }
        run("docker", ["rmi", "-f", &new]);
    }
}

#[test]
#[ignore = "needs the lab images: scripts/test.sh builds them and runs this"]
fn applications_work_with_a_read_only_root_and_as_another_user() {
    let restricted = ["--read-only", "--tmpfs", "/tmp", "--user", "12345:12345", "-e", "HOME=/tmp"];
    for level in ["standard", "max"] {
        load_slimmed("fat-web", "pydock-test/restricted-web:1", &["--level", level]);
        check("check-web.sh", &[&["pydock-test/restricted-web:1"], &restricted[..]].concat());
        load_slimmed("fat-ds", "pydock-test/restricted-ds:1", &["--level", level]);
        for options in [&[][..], &restricted[..]] {
            let args = [&["run", "--rm", "--network", "none"], options, &["pydock-test/restricted-ds:1"]].concat();
            assert!(run("docker", args).contains(r#""ok": true"#));
        }
    }
    run("docker", ["rmi", "-f", "pydock-test/restricted-web:1", "pydock-test/restricted-ds:1"]);
}

#[test]
#[ignore = "needs the lab images: scripts/test.sh builds them and runs this"]
fn sizes_are_smaller_than_those_of_careful_rebuilds() {
    let compressed = |image: &str, level: &str| -> (f64, f64) {
        let out = tempfile::tempdir().unwrap();
        let run = pydock(["slim", "-q", "--format", "json", "--level", level]);
        let ran = run.arg(format!("oci:{}", lab(image).display())).arg(format!("oci:{}", out.path().display())).ok();
        let report: Value = serde_json::from_str(&ran.stdout).unwrap();
        let size = |key: &str| report["images"][0][key]["compressed"].as_f64().unwrap() / 1e6;
        (size("before"), size("after"))
    };
    for (image, level, limit) in [
        ("fat-web", "standard", 80.0),
        ("fat-web", "max", 74.0),
        ("fat-ds", "standard", 200.0),
        ("fat-ds", "max", 187.0),
        ("slim-web", "standard", 82.0),
        ("slim-ds", "standard", 166.0),
    ] {
        let (_, after) = compressed(image, level);
        assert!(after <= limit, "{image} at {level}: {after} MB");
    }
    let (rebuild, _) = compressed("slim-ds", "standard");
    assert!(compressed("fat-ds", "standard").1 < rebuild);
}

fn check(tool: &str, args: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/images/tools").join(tool);
    run("bash", [&[script.to_str().unwrap()], args].concat())
}

#[test]
#[ignore = "needs the lab images: scripts/test.sh builds them and runs this"]
fn the_large_web_image_passes_its_own_tests_and_answers_after_slimming() {
    load_slimmed("fat-web", "pydock-test/web:1", &[]);
    let text = check("check-web.sh", &["pydock-test/web:1"]);
    assert!(text.contains(r#""status":"ok""#), "{text}");
    assert_eq!(text.matches(" passed").count(), 2, "{text}");
    // Its own suite, from the image itself.
    let own = run(
        "docker",
        [
            "run",
            "--rm",
            "--network",
            "none",
            "pydock-test/web:1",
            "python",
            "-B",
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "/app/tests",
        ],
    );
    assert!(own.contains(" passed") && !own.contains("failed"), "{own}");
    run("docker", ["rmi", "-f", "pydock-test/web:1"]);
}

#[test]
#[ignore = "needs the lab images: scripts/test.sh builds them and runs this"]
fn peak_memory_stays_under_150_mb_on_the_large_images() {
    for image in ["fat-web", "fat-ds"] {
        let out = tempfile::tempdir().unwrap();
        let run = pydock(["slim", "-q"])
            .arg(format!("oci:{}", lab(image).display()))
            .arg(format!("oci:{}", out.path().display()));
        let command = run.command();
        let output = std::process::Command::new("/usr/bin/time")
            .args(["-f", "%M"])
            .arg(command.get_program())
            .args(command.get_args())
            .output()
            .unwrap();
        assert!(output.status.success());
        let kilobytes: u64 = String::from_utf8_lossy(&output.stderr).trim().parse().unwrap();
        assert!(kilobytes * 1024 < 150_000_000, "{image}: {kilobytes} kB");
    }
}

#[test]
#[ignore = "needs the lab images: scripts/test.sh builds them and runs this"]
fn the_image_of_corner_cases_still_works_and_has_no_new_dangling_symlink() {
    load_slimmed("mini", "pydock-test/mini:1", &[]);
    check("check-mini.sh", &["pydock-test/mini:1"]);
    run("docker", ["rmi", "-f", "pydock-test/mini:1"]);
    let out = slim(&lab("mini"), &[]);
    assert!(tree::of_layout(out.path()).contains_key(b"opt/edges/dangling".as_slice()));
}
