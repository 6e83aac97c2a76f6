//! Indexes: several platforms, attestations, other artifacts.

use std::path::Path;

use serde_json::{Value, json};

use crate::images::slim;
use crate::support::image::{read_json, root, write_blob, write_index};
use crate::support::{Image, pydock, tree};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Writes an index of two images, an attestation of one and another artifact.
fn write(folder: &Path) -> Vec<Value> {
    let mut entries = Vec::new();
    for (architecture, variant) in [("amd64", None), ("arm", Some("v7"))] {
        let text = format!("f arch {architecture}");
        let image = Image::of(&[&["f shared 1", "f x/__pycache__/y.pyc 1"], &[&text]]).platform(architecture);
        let mut entry = image.write_blobs(folder);
        entry["platform"] = json!({"os": "linux", "architecture": architecture});
        if let Some(variant) = variant {
            entry["platform"]["variant"] = json!(variant);
        }
        entries.push(entry);
    }
    let mut attestation = Image::of(&[&["f sbom 1"]]).write_blobs(folder);
    attestation["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    attestation["annotations"] = json!({
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": entries[0]["digest"],
    });
    entries.push(attestation);
    let blob = write_blob(folder, "text/plain", b"a model card");
    let config = write_blob(folder, "application/vnd.oci.empty.v1+json", b"{}");
    let artifact = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.example", "config": config, "layers": [blob],
    });
    entries.push(write_blob(folder, "application/vnd.oci.image.manifest.v1+json", artifact.to_string().as_bytes()));
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries, "annotations": {"kept": "yes"}});
    write_index(folder, &[write_blob(folder, INDEX, index.to_string().as_bytes())]);
    entries
}

#[test]
fn an_index_stays_one_with_its_platforms_without_attestations_and_with_other_artifacts() {
    let source = tempfile::tempdir().unwrap();
    let entries = write(source.path());
    let report = tempfile::NamedTempFile::new().unwrap();
    let out = slim(source.path(), &["--report", report.path().to_str().unwrap()]);
    let index = read_json(out.path(), &root(out.path()));
    let manifests = index["manifests"].as_array().unwrap();
    assert_eq!(manifests.len(), 3);
    assert_eq!(index["annotations"]["kept"], "yes");
    for (new, old) in manifests.iter().zip(&entries).take(2) {
        assert_eq!(new["platform"], old["platform"]);
        assert_ne!(new["digest"], old["digest"]);
        assert!(tree::of_manifest(out.path(), new).keys().all(|path| !path.ends_with(b".pyc")));
    }
    assert_eq!(manifests[2], entries[3], "the artifact is passed on as it was");
    let artifact = read_json(out.path(), &manifests[2]);
    assert_eq!(read_json(out.path(), &artifact["config"]), json!({}));
    let report: Value = serde_json::from_slice(&std::fs::read(report.path()).unwrap()).unwrap();
    assert!(report["notes"][0].as_str().unwrap().contains("attestation"), "{report}");
    assert_eq!(report["images"][1]["platform"], "linux/arm/v7");
}

#[test]
fn one_platform_gives_one_image() {
    let source = tempfile::tempdir().unwrap();
    write(source.path());
    for platform in ["linux/arm", "linux/arm/v7"] {
        let out = slim(source.path(), &["--platform", platform]);
        assert_eq!(tree::of_layout(out.path())[&b"arch".to_vec()], tree::of_layout(out.path())[&b"arch".to_vec()]);
        let manifest = read_json(out.path(), &root(out.path()));
        assert_eq!(read_json(out.path(), &manifest["config"])["architecture"], "arm");
    }
    let run = pydock(["slim", "-q", "--platform", "linux/s390x"]);
    let error = run.arg(format!("oci:{}", source.path().display())).arg("oci:unused").error();
    assert!(error.contains("has no image for linux/s390x") && error.contains("linux/amd64, linux/arm/v7"), "{error}");
}

#[test]
fn what_cannot_be_slimmed_is_copied_unchanged_and_reported() {
    let source = tempfile::tempdir().unwrap();
    let linux = Image::of(&[&["f a 1", "f x/__pycache__/y.pyc 1"]]).write_blobs(source.path());
    // An image for Windows: its base layer lies at a URL, not in the registry.
    let mut windows = Image::of(&[&["f Files/a 1"]]);
    windows.config["os"] = "windows".into();
    let windows = windows.spoil_manifest(|manifest| {
        let kind = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
        let digest = format!("sha256:{}", "1".repeat(64));
        let foreign = json!({"mediaType": kind, "size": 9, "digest": digest, "urls": ["https://example.com/base"]});
        manifest["layers"].as_array_mut().unwrap().push(foreign);
    });
    let mut windows = windows.write_blobs(source.path());
    windows["platform"] = json!({"os": "windows", "architecture": "amd64"});
    let nested = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [linux]});
    let nested = write_blob(source.path(), INDEX, nested.to_string().as_bytes());
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [linux, windows, nested]});
    write_index(source.path(), &[write_blob(source.path(), INDEX, index.to_string().as_bytes())]);
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("out");
    let ran = pydock(["slim", &format!("oci:{}", source.path().display()), &format!("oci:{}", out.display())]).ok();
    assert!(ran.stdout.contains("windows/amd64 is copied unchanged: it is an image for windows"), "{}", ran.stdout);
    assert!(ran.stdout.contains("is copied unchanged: it is an index in an index"), "{}", ran.stdout);
    let new = read_json(&out, &root(&out));
    assert_ne!(new["manifests"][0]["digest"], linux["digest"]);
    assert_eq!(new["manifests"][1], windows);
    assert_eq!(new["manifests"][2], nested);
}
