//! An index of several platforms that share layers.

use std::collections::BTreeMap;

use serde_json::json;

use crate::support::image::{write_blob, write_index};
use crate::support::registries::{Kind, Registry};
use crate::support::tools::{run, skopeo_copy};
use crate::support::{Image, pydock};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

#[test]
fn layers_that_platforms_share_are_scanned_and_made_once() {
    let folder = tempfile::tempdir().unwrap();
    let shared: &[&str] = &["f shared 1", "f x/__pycache__/y.pyc 1"];
    let other: &[&str] = &["f other 1", "f x/__pycache__/z.pyc 1"];
    let platforms: [(&str, &[&str]); 3] = [("amd64", shared), ("arm64", shared), ("riscv64", other)];
    let entries = platforms.map(|(architecture, base)| {
        let own = format!("f arch {architecture}");
        let pycache = format!("f a/__pycache__/{architecture}.pyc 1");
        let mut entry = Image::of(&[base, &[&own, &pycache]]).platform(architecture).write_blobs(folder.path());
        entry["platform"] = json!({"os": "linux", "architecture": architecture});
        entry
    });
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries});
    write_index(folder.path(), &[write_blob(folder.path(), INDEX, index.to_string().as_bytes())]);
    let registry = Registry::start(Kind::V3);
    let (from, to) = (registry.image("app:1"), registry.image("slim:1"));
    skopeo_copy(&format!("oci:{}", folder.path().display()), &format!("docker://{from}"), &["--all"]);

    let ran = pydock(["slim", &from, &to]).ok();
    let mut counts = BTreeMap::new();
    for line in ran.stderr.lines() {
        *counts.entry(line.split(' ').next().unwrap().to_owned()).or_insert(0) += 1;
    }
    // Three platforms of two layers each, of which one is shared: five, not six.
    assert_eq!((counts["scan"], counts["rewrite"]), (5, 5), "{}", ran.stderr);
    run("crane", ["validate", "--insecure", "--remote", &to]);
    let manifest = |architecture: &str| {
        let platform = format!("linux/{architecture}");
        run("crane", ["manifest", "--insecure", "--platform", &platform, &to])
    };
    let first = |architecture: &str| {
        let json: serde_json::Value = serde_json::from_str(&manifest(architecture)).unwrap();
        json["layers"][0]["digest"].clone()
    };
    assert_eq!(first("amd64"), first("arm64"));
    assert_ne!(first("amd64"), first("riscv64"));
}
