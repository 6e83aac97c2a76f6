//! Archives in and out, both kinds, also through pipes.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use serde_json::json;

use crate::support::image::{Layer, documents, root, write_blob, write_index};
use crate::support::tools::{self, fixture, skopeo_copy};
use crate::support::{Image, pydock, tree};

#[test]
fn an_archive_that_is_written_is_read_as_either_kind_and_through_a_pipe() {
    let place = tempfile::tempdir().unwrap();
    let source = place.path().join("source");
    Image::of(&[&["f a 1", "f b/__pycache__/c.pyc 1"], &["f d 1"]]).write(&source);
    let archive = place.path().join("out.tar").display().to_string();
    let slim = |from: &str, to: &str| pydock(["slim", "-q", "--again", from, to]).ok();
    let layout = |name: &str| place.path().join(name);
    slim(&format!("oci:{}", source.display()), &format!("oci-archive:{archive}:app:1"));
    slim(&format!("oci-archive:{archive}:app:1"), &format!("oci:{}", layout("oci-archive").display()));
    // A Docker archive has no manifest of its own; one is made for it, which notes nothing.
    let (mut expected, _) = documents(&layout("oci-archive"));
    expected.as_object_mut().unwrap().shift_remove("annotations");
    let is_expected = |name: &str| {
        let (mut manifest, _) = documents(&layout(name));
        manifest.as_object_mut().unwrap().shift_remove("annotations");
        assert_eq!(manifest, expected, "{name}");
    };
    slim(&format!("docker-archive:{archive}:app:1"), &format!("oci:{}", layout("docker-archive").display()));
    is_expected("docker-archive");
    let output = pydock(["slim", "-q", "-", "-"]).stdin(File::open(&archive).unwrap()).output();
    assert!(output.status.success());
    let piped = place.path().join("piped.tar");
    std::fs::write(&piped, output.stdout).unwrap();
    slim(&format!("oci-archive:{}", piped.display()), &format!("oci:{}", layout("piped").display()));
    is_expected("piped");
    let mut gzip = std::process::Command::new("gzip").arg("-c").arg(&archive).stdout(Stdio::piped()).spawn().unwrap();
    let gzipped = gzip.stdout.take().unwrap();
    pydock(["slim", "-q", "-", &format!("oci:{}", place.path().join("z").display())]).stdin(gzipped).ok();
    gzip.wait().unwrap();
    let leftover = std::fs::read_dir(place.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(".pydock"));
    assert_eq!(leftover.count(), 0);
}

#[test]
fn old_docker_archives_with_a_folder_a_layer_and_links_between_them_are_read() {
    let place = tempfile::tempdir().unwrap();
    let oci = place.path().join("oci");
    Image::of(&[&["f a 1", "f x/__pycache__/c.pyc 1"], &["f b 1"]]).write(&oci);
    // skopeo writes the old form: uncompressed layers, and a symlink for each layer's old place.
    let archive = place.path().join("docker.tar").display().to_string();
    skopeo_copy(&format!("oci:{}", oci.display()), &format!("docker-archive:{archive}:app:1"), &[]);
    let out = place.path().join("out");
    pydock(["slim", "-q", &format!("docker-archive:{archive}:app:1"), &format!("oci:{}", out.display())]).ok();
    assert_eq!(tree::of_layout(&out).into_keys().collect::<Vec<_>>(), [b"a".to_vec(), b"b".to_vec()]);
    for layer in documents(&out).0["layers"].as_array().unwrap() {
        assert!(layer["mediaType"].as_str().unwrap().ends_with("+gzip"), "uncompressed layers are compressed");
    }
    let error = pydock(["slim", "-q", &format!("docker-archive:{archive}:other:1"), "oci:unused"]).error();
    assert!(error.contains("has no image `other:1`") && error.contains("app:1"), "{error}");
}

#[test]
fn a_layout_keeps_its_other_images_and_replaces_the_one_of_the_same_tag() {
    let place = tempfile::tempdir().unwrap();
    let source = place.path().join("source");
    let out = place.path().join("out");
    Image::of(&[&["f a 1", "f b/__pycache__/c.pyc 1"]]).write(&source);
    let other = Image::of(&[&["f other 1"]]).write_blobs(&out);
    write_index(&out, std::slice::from_ref(&other));
    for _ in 0..2 {
        pydock(["slim", "-q", &format!("oci:{}", source.display()), &format!("oci:{}:app", out.display())]).ok();
    }
    let index: serde_json::Value = serde_json::from_slice(&std::fs::read(out.join("index.json")).unwrap()).unwrap();
    let manifests = index["manifests"].as_array().unwrap();
    assert_eq!(manifests.len(), 2);
    assert_eq!(manifests[0], other);
    assert_eq!(root(&out)["annotations"]["org.opencontainers.image.ref.name"], "app");
    let inspected = tools::run("skopeo", ["inspect", "--raw", &format!("oci:{}:app", out.display())]);
    assert!(inspected.contains("application/vnd.oci.image.manifest.v1+json"));
}

#[test]
fn an_image_of_docker_save_goes_through_a_pipe_into_docker_load() {
    load("pydock-test/pipe:1");
    let mut save = std::process::Command::new("docker");
    let mut save = save.args(["save", "pydock-test/pipe:1"]).stdout(Stdio::piped()).spawn().unwrap();
    let slimmed = pydock(["slim", "-q", "-", "-"]).stdin(save.stdout.take().unwrap()).output();
    save.wait().unwrap();
    assert!(slimmed.status.success(), "{}", String::from_utf8_lossy(&slimmed.stderr));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), slimmed.stdout).unwrap();
    let loaded = tools::run("docker", ["load", "-q", "-i", file.path().to_str().unwrap()]);
    let id = loaded.trim().rsplit_once("sha256:").expect("docker load names an image").1.to_owned();
    tools::run("docker", ["run", "--rm", "--network", "none", &id, "python3", "/app/server.py", "check"]);
    tools::run("docker", ["rmi", "-f", &id, "pydock-test/pipe:1"]);
}

/// Loads the fixture into Docker under a name.
fn load(name: &str) {
    let place = tempfile::tempdir().unwrap();
    let archive = place.path().join("image.tar").display().to_string();
    skopeo_copy(&format!("oci-archive:{}", fixture().display()), &format!("docker-archive:{archive}:{name}"), &[]);
    tools::run("docker", ["load", "-q", "-i", &archive]);
}

#[test]
fn an_image_goes_from_docker_to_docker_under_several_tags_and_in_place() {
    let (old, new) = ("pydock-test/daemon:1", "pydock-test/daemon:slim");
    load(old);
    let daemon = |name: &str| format!("docker-daemon:{name}");
    // Another test removes the image that the defaults give, with all its names.
    pydock(["slim", "-q", "--without", "docs", &daemon(old), &daemon(new), "--tag", "also"]).ok();
    let inspect = |name: &str, what: &str| tools::run("docker", ["image", "inspect", "-f", what, name]);
    let size = |name: &str| inspect(name, "{{.Size}}").trim().parse::<u64>().unwrap();
    assert!(size(new) < size(old) * 9 / 10, "{} of {}", size(new), size(old));
    assert_eq!(inspect(new, "{{json .Config}}"), inspect(old, "{{json .Config}}"));
    assert_eq!(inspect("pydock-test/daemon:also", "{{.Id}}"), inspect(new, "{{.Id}}"));
    let check = |name: &str| {
        tools::run("docker", ["run", "--rm", "--network", "none", name, "python3", "/app/server.py", "check"])
    };
    assert!(check(new).contains(r#""status": "ok""#));
    pydock(["slim", "-q", "--without", "docs", "--in-place", &daemon(old)]).ok();
    assert_eq!(inspect(old, "{{.Id}}"), inspect(new, "{{.Id}}"));
    let error = pydock(["slim", "-q", &daemon("pydock-test/none:1"), "oci:unused"]).error();
    assert!(error.contains("pydock-test/none:1") && error.contains("404"), "{error}");
    let error = pydock(["slim", "-q", &daemon(old), "oci:unused"]).env("DOCKER_HOST", "unix:///nonexistent").error();
    assert!(error.contains("Docker daemon"), "{error}");
    tools::run("docker", ["rmi", "-f", old, new, "pydock-test/daemon:also"]);
}

/// Makes an image whose layers are eStargz, each as `stargz-snapshotter` makes it.
fn estargz(folder: &Path, layers: &[&[&str]]) {
    let place = tempfile::tempdir().unwrap();
    let (mut descriptors, mut diff_ids) = (Vec::new(), Vec::new());
    for lines in layers {
        let (tar, blob) = (place.path().join("tar"), place.path().join("blob"));
        std::fs::write(&tar, Layer::of(lines).tar).unwrap();
        let made = tools::run("estargz", [&tar, &blob]);
        let (contents, diff_id) = made.trim().split_once(' ').unwrap();
        let media_type = "application/vnd.oci.image.layer.v1.tar+gzip";
        let mut descriptor = write_blob(folder, media_type, &std::fs::read(&blob).unwrap());
        descriptor["annotations"] = json!({ "containerd.io/snapshot/stargz/toc.digest": contents });
        descriptors.push(descriptor);
        diff_ids.push(diff_id.to_owned());
    }
    let rootfs = json!({ "type": "layers", "diff_ids": diff_ids });
    let config = json!({ "architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs });
    let config = write_blob(folder, "application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({ "schemaVersion": 2, "mediaType": media_type, "config": config, "layers": descriptors });
    write_index(folder, &[write_blob(folder, media_type, manifest.to_string().as_bytes())]);
}

#[test]
fn estargz_layers_are_read_and_lose_their_table_of_contents_when_they_are_rewritten() {
    let place = tempfile::tempdir().unwrap();
    let (old, out) = (place.path().join("old"), place.path().join("out"));
    estargz(&old, &[&["f a 1", "f b/__pycache__/c.pyc 1"], &["f d 1"]]);
    pydock(["slim", "-q", &format!("oci:{}", old.display()), &format!("oci:{}", out.display())]).ok();
    let annotated = |layer: &serde_json::Value| layer.get("annotations").is_some();
    let layers = documents(&out).0["layers"].as_array().unwrap().iter().map(annotated).collect::<Vec<_>>();
    assert_eq!(layers, [false, true]);
    let tree = tree::of_layout(&out);
    let has = |end: &str| tree.keys().any(|path| path.ends_with(end.as_bytes()));
    assert!(has("a") && has("d") && !has("__pycache__/c.pyc"), "{:?}", tree.keys());
}

#[test]
fn zstd_chunked_layers_are_read_and_lose_their_table_of_contents_when_they_are_rewritten() {
    let place = tempfile::tempdir().unwrap();
    let (chunked, out) = (place.path().join("chunked"), place.path().join("out"));
    let from = format!("oci-archive:{}", fixture().display());
    skopeo_copy(&from, &format!("oci:{}", chunked.display()), &["--dest-compress-format", "zstd:chunked"]);
    let annotated = |layer: &serde_json::Value| layer.get("annotations").is_some();
    let old = documents(&chunked).0["layers"].as_array().unwrap().clone();
    assert!(old.iter().all(annotated), "skopeo wrote tables of contents");
    pydock(["slim", "-q", &format!("oci:{}", chunked.display()), &format!("oci:{}", out.display())]).ok();
    for layer in documents(&out).0["layers"].as_array().unwrap() {
        let kept = old.iter().any(|old| old["digest"] == layer["digest"]);
        assert_eq!(annotated(layer), kept, "{layer}");
    }
    let plain = place.path().join("plain");
    pydock(["slim", "-q", &from, &format!("oci:{}", plain.display())]).ok();
    assert_eq!(tree::of_layout(&out), tree::of_layout(&plain));
}
