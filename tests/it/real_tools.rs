//! Tools that no one here wrote agree: umoci unpacks old and new, and the difference is exactly the plan; skopeo, crane and
//! Docker accept every output.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use pydock::rootfs_path::RootfsPath;
use serde_json::Value;

use crate::support::registries::{Kind, Registry};
use crate::support::tools::{fixture, run, skopeo_copy};
use crate::support::{pydock, tree};

const MODES: [(&str, &str); 6] =
    [("none", "gzip"), ("none", "zstd"), ("app", "gzip"), ("app", "zstd"), ("all", "gzip"), ("all", "zstd")];

/// Slims the fixture as an archive and returns the paths that the plan removes, and the new contents of those it edits.
fn slim(squash: &str, compression: &str, archive: &Path) -> (BTreeSet<Vec<u8>>, BTreeMap<Vec<u8>, String>) {
    let report = archive.with_extension("json");
    pydock(["slim", "-q", "--squash", squash, "--compression", compression, "--report"])
        .arg(&report)
        .arg(format!("oci-archive:{}:pyapp:1", fixture().display()))
        .arg(format!("oci-archive:{}:pydock-test/{squash}-{compression}:1", archive.display()))
        .ok();
    let report: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    let path = |item: &Value| RootfsPath::parse_escaped(item["path"].as_str().unwrap()).unwrap().as_bytes().to_vec();
    let list = |key: &str| report["images"][0][key].as_array().unwrap().clone();
    let short = |item: &Value| item["digest"].as_str().unwrap()[7..19].to_owned();
    (list("removed").iter().map(path).collect(), list("edited").iter().map(|item| (path(item), short(item))).collect())
}

/// Unpacks an archive with umoci and reads the tree. umoci reads gzip only: skopeo unpacks zstd for it.
fn unpack(archive: &Path, place: &Path, is_zstd: bool) -> tree::Tree {
    let layout = place.join("layout");
    if is_zstd {
        let recompress = ["--dest-compress", "--dest-compress-format", "gzip"];
        skopeo_copy(&format!("oci-archive:{}", archive.display()), &format!("oci:{}:x", layout.display()), &recompress);
    } else {
        skopeo_copy(&format!("oci-archive:{}", archive.display()), &format!("oci:{}:x", layout.display()), &[]);
    }
    let bundle = place.join("bundle");
    run(
        "umoci",
        [Path::new("unpack"), Path::new("--image"), &PathBuf::from(format!("{}:x", layout.display())), &bundle],
    );
    let tree = tree::of_folder(&bundle.join("rootfs"));
    std::fs::remove_dir_all(&bundle).unwrap();
    tree
}

#[test]
fn umoci_unpacks_old_and_new_and_they_differ_by_exactly_the_plan() {
    let place = tempfile::tempdir().unwrap();
    let old_place = place.path().join("old");
    std::fs::create_dir(&old_place).unwrap();
    let old = unpack(&fixture(), &old_place, false);
    for (squash, compression) in MODES {
        let place = place.path().join(format!("{squash}-{compression}"));
        std::fs::create_dir(&place).unwrap();
        let archive = place.join("new.tar");
        let (removed, edited) = slim(squash, compression, &archive);
        assert!(removed.len() > 400, "{squash} {compression}: only {} paths go", removed.len());
        let new = unpack(&archive, &place, compression == "zstd");
        assert!(edited.len() >= 4, "{edited:?}");
        tree::assert_is_old_minus(&tree::with_contents(&old, &edited), &new, &removed);
    }
}

#[test]
fn skopeo_crane_and_docker_accept_every_output_and_the_application_works() {
    let place = tempfile::tempdir().unwrap();
    let registry = Registry::start(Kind::Debian);
    for (squash, compression) in MODES {
        let archive = place.path().join(format!("{squash}-{compression}.tar"));
        slim(squash, compression, &archive);
        let path = archive.to_str().unwrap();
        run("skopeo", ["inspect", &format!("oci-archive:{path}")]);
        run("skopeo", ["inspect", &format!("docker-archive:{path}")]);
        let layout = place.path().join(format!("{squash}-{compression}"));
        let remote = registry.image(&format!("{squash}:{compression}"));
        pydock(["slim", "-q", "--level", "safe", &format!("oci-archive:{path}"), &remote]).ok();
        if compression == "gzip" {
            run("crane", ["validate", "--tarball", path]);
            run("crane", ["validate", "--insecure", "--remote", &remote]);
        } else {
            // `crane validate` inflates layers as gzip whatever they are; without looking into them it reads zstd images too.
            run("crane", ["validate", "--insecure", "--fast", "--remote", &remote]);
        }
        // Docker reads zstd layers since 23.0, and Debian 12 has 20.10: skopeo makes them gzip on the way.
        let loadable = place.path().join("loadable.tar");
        if compression == "zstd" {
            let _ = std::fs::remove_file(&loadable);
            let middle = format!("oci:{}:x", layout.with_extension("gzip").display());
            skopeo_copy(
                &format!("oci-archive:{path}"),
                &middle,
                &["--dest-compress", "--dest-compress-format", "gzip"],
            );
            skopeo_copy(&middle, &format!("docker-archive:{}:pydock-test/{squash}-zstd:1", loadable.display()), &[]);
        } else {
            std::fs::copy(&archive, &loadable).unwrap();
        }
        run("docker", ["load", "-q", "-i", loadable.to_str().unwrap()]);
        let name = format!("pydock-test/{squash}-{compression}:1");
        let answer = run(
            "docker",
            ["run", "--rm", "--network", "none", "--read-only", &name, "python3", "/app/server.py", "check"],
        );
        assert!(answer.contains(r#""status": "ok""#), "{answer}");
        run("docker", ["rmi", "-f", &name]);
    }
}
