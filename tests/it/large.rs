//! The large images of `fixtures/images`, which `scripts/lab.sh` builds. Run by `scripts/test.sh` as
//! `cargo test --release -- --ignored`: they need gigabytes of disk and minutes.

use std::path::{Path, PathBuf};

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
