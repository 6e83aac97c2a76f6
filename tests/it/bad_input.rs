//! Bad input: one clear line that names image, layer and entry, exit code 1, and nothing written.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::image::{read_json, root, write_blob, write_index};
use crate::support::{Image, Layer, pydock};

/// Slims a layout that must be refused; returns the error with its folder and digests made the same.
fn refused(folder: &Path) -> String {
    let place = tempfile::tempdir().unwrap();
    let source = format!("oci:{}", folder.display());
    let error = pydock(["slim", "-q", &source]).arg(format!("oci:{}", place.path().join("out").display())).error();
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "something was written: {error}");
    let error = error.replace(&folder.display().to_string(), "DIR");
    let mut text = String::new();
    let mut rest = error.as_str();
    while let Some(at) = rest.find("sha256:") {
        text += &rest[..at];
        text += "sha256:…";
        rest = rest[at + 7..].trim_start_matches(|c: char| c.is_ascii_hexdigit());
    }
    text + rest
}

fn refused_image(image: &Image) -> String {
    let folder = tempfile::tempdir().unwrap();
    image.write(folder.path());
    refused(folder.path())
}

/// Refuses an image of a good layer and one whose blob is what `spoil` makes of it.
fn refused_blob(spoil: impl Fn(Vec<u8>) -> Vec<u8>, fix_descriptor: bool) -> String {
    let folder = tempfile::tempdir().unwrap();
    let image = Image::of(&[&["f good 1"], &["d a", "f a/file some text that is long enough"]]);
    let descriptor = image.write(folder.path());
    let mut manifest = read_json(folder.path(), &descriptor);
    let layer = manifest["layers"][1].clone();
    let bytes = spoil(crate::support::image::read_blob(folder.path(), &layer));
    if fix_descriptor {
        manifest["layers"][1] = write_blob(folder.path(), layer["mediaType"].as_str().unwrap(), &bytes);
        let manifest =
            write_blob(folder.path(), "application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes());
        write_index(folder.path(), &[manifest]);
    } else {
        let name = layer["digest"].as_str().unwrap().replace("sha256:", "blobs/sha256/");
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    refused(folder.path())
}

/// Refuses an image whose second layer is this tar.
fn refused_tar(tar: Vec<u8>) -> String {
    refused_image(&Image::new([Layer::of(&["f good 1"]), Layer::raw(tar)]))
}

#[test]
fn a_layer_that_is_not_its_digest() {
    let flipped = |mut blob: Vec<u8>| {
        // The time in the gzip header: everything unpacks as it did.
        blob[4] ^= 1;
        blob
    };
    insta::assert_snapshot!(refused_blob(flipped, false));
}

#[test]
fn a_layer_that_is_shorter_or_longer_than_its_descriptor_says() {
    insta::assert_snapshot!(refused_blob(|blob| blob[..blob.len() - 5].to_vec(), false));
    insta::assert_snapshot!(refused_blob(|blob| [&blob[..], b"more"].concat(), false));
}

#[test]
fn a_gzip_that_is_cut_or_has_trailing_bytes() {
    insta::assert_snapshot!(refused_blob(|blob| blob[..blob.len() - 12].to_vec(), true));
    insta::assert_snapshot!(refused_blob(|blob| [&blob[..], b"trailing bytes"].concat(), true));
}

#[test]
fn a_layer_that_is_not_its_diff_id() {
    let folder = tempfile::tempdir().unwrap();
    let mut image = Image::of(&[&["f good 1"], &["f a 1"]]);
    let descriptor = image.write(folder.path());
    let mut manifest = read_json(folder.path(), &descriptor);
    image.layers[1] = Layer::of(&["f a 2"]);
    manifest["layers"][1] =
        write_blob(folder.path(), "application/vnd.oci.image.layer.v1.tar+gzip", &image.layers[1].blob());
    let manifest =
        write_blob(folder.path(), "application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes());
    write_index(folder.path(), &[manifest]);
    insta::assert_snapshot!(refused(folder.path()));
}

#[test]
fn a_tar_that_is_cut() {
    let tar = Layer::of(&["d a", "f a/file text"]).tar;
    insta::assert_snapshot!(refused_tar(tar[..700].to_vec()));
    insta::assert_snapshot!(refused_tar(tar[..1026].to_vec()));
}

#[test]
fn a_tar_with_trailing_bytes() {
    insta::assert_snapshot!(refused_tar([&Layer::of(&["f a 1"]).tar[..], b"evil"].concat()));
}

fn member(kind: tar::EntryType, path: &[u8], size: u64, data: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..path.len()].copy_from_slice(path);
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    let mut bytes = [header.as_bytes(), data].concat();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

#[test]
fn sizes_that_lie() {
    let end = [0; 1024];
    insta::assert_snapshot!(refused_tar(
        [&member(tar::EntryType::Regular, b"a/huge", 1 << 32, b"x")[..], &end].concat()
    ));
    insta::assert_snapshot!(refused_tar([&member(tar::EntryType::Directory, b"a/dir/", 512, b"x")[..], &end].concat()));
    let negative = refused_tar([&member(tar::EntryType::XHeader, b"pax", 12, b"12 size=-1x\n")[..], &end].concat());
    insta::assert_snapshot!(negative);
}

#[test]
fn a_header_whose_checksum_is_wrong() {
    let mut tar = Layer::of(&["f a 1"]).tar;
    tar[0] = b'b';
    insta::assert_snapshot!(refused_tar(tar));
}

#[test]
fn a_path_that_leaves_the_rootfs() {
    insta::assert_snapshot!(refused_tar(
        [&member(tar::EntryType::Regular, b"a/../../etc/passwd", 0, b"")[..], &[0; 1024]].concat()
    ));
}

#[test]
fn a_pax_header_of_a_gigabyte() {
    // It claims a gigabyte, and a reader that believes it would take as much memory.
    insta::assert_snapshot!(refused_tar(member(tar::EntryType::XHeader, b"pax", 1 << 30, b"30 path=")));
}

#[test]
fn a_loop_of_symlinks_a_broken_hard_link_and_a_bottomless_path() {
    insta::assert_snapshot!(refused_image(&Image::of(&[&["l a -> b", "l b -> a", "f a/x 1"]])));
    insta::assert_snapshot!(refused_image(&Image::of(&[&["h a = nowhere"]])));
    let deep = format!("f {}", "d/".repeat(600));
    let error = refused_image(&Image::of(&[&[&format!("{deep}x 1")]]));
    assert!(error.contains("lies more than 512 folders deep"), "{error}");
}

#[test]
fn a_manifest_of_a_kind_that_is_not_known() {
    let unknown =
        Image::of(&[&["f a 1"]]).spoil_manifest(|manifest| manifest["mediaType"] = json!("application/vnd.other+json"));
    insta::assert_snapshot!(refused_image(&unknown));
    let schema_one = Image::of(&[&["f a 1"]]).spoil_manifest(|manifest| {
        manifest["schemaVersion"] = json!(1);
        manifest.as_object_mut().unwrap().remove("mediaType");
    });
    insta::assert_snapshot!(refused_image(&schema_one));
}

#[test]
fn an_encrypted_and_a_foreign_layer() {
    let with = |media_type: &'static str| {
        let folder = tempfile::tempdir().unwrap();
        let descriptor = Image::of(&[&["f a 1"]]).write(folder.path());
        let mut manifest = read_json(folder.path(), &descriptor);
        manifest["layers"][0]["mediaType"] = json!(media_type);
        let manifest =
            write_blob(folder.path(), "application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes());
        write_index(folder.path(), &[manifest]);
        refused(folder.path())
    };
    insta::assert_snapshot!(with("application/vnd.oci.image.layer.v1.tar+gzip+encrypted"));
    insta::assert_snapshot!(with("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"));
}

#[test]
fn a_blob_that_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    Image::of(&[&["f a 1"], &["f b 1"]]).write(folder.path());
    let manifest = read_json(folder.path(), &root(folder.path()));
    let digest = manifest["layers"][1]["digest"].as_str().unwrap().replace("sha256:", "blobs/sha256/");
    std::fs::remove_file(folder.path().join(digest)).unwrap();
    insta::assert_snapshot!(refused(folder.path()));
}

#[test]
fn a_config_that_does_not_fit_and_documents_that_are_no_json() {
    let fewer = Image::of(&[&["f a 1"]]).spoil_manifest(|manifest| {
        let layer = manifest["layers"][0].clone();
        manifest["layers"].as_array_mut().unwrap().push(layer);
    });
    insta::assert_snapshot!(refused_image(&fewer));
    let folder = tempfile::tempdir().unwrap();
    let manifest = write_blob(folder.path(), "application/vnd.oci.image.manifest.v1+json", b"{nonsense");
    write_index(folder.path(), &[manifest]);
    insta::assert_snapshot!(refused(folder.path()));
    let helm = Image::of(&[&["f a 1"]]).spoil_manifest(|manifest| {
        manifest["config"]["mediaType"] = json!("application/vnd.cncf.helm.config.v1+json");
    });
    insta::assert_snapshot!(refused_image(&helm));
}

#[test]
fn a_reference_that_does_not_parse_or_is_not_there() {
    let error = |source: &str| pydock(["slim", "-q", source, "oci:unused"]).error();
    insta::assert_snapshot!(error("MyApp:1"));
    insta::assert_snapshot!(error("docker:app"));
    insta::assert_snapshot!(error("oci:/nonexistent/dir"));
    insta::assert_snapshot!(error("oci-archive:/nonexistent/file.tar"));
    insta::assert_snapshot!(error("docker://127.0.0.1:1/app:1").replace("111", ""));
}

#[test]
fn a_layout_with_several_images_or_without_the_tag() {
    let folder = tempfile::tempdir().unwrap();
    let named = |name: &str| -> Value {
        let mut descriptor = Image::of(&[&[&format!("f {name} 1")]]).write_blobs(folder.path());
        descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": name});
        descriptor
    };
    write_index(folder.path(), &[named("one"), named("two")]);
    insta::assert_snapshot!(refused(folder.path()));
    let source = format!("oci:{}:three", folder.path().display());
    let error = pydock(["slim", "-q", &source, "oci:unused"]).error();
    insta::assert_snapshot!(error.replace(&folder.path().display().to_string(), "DIR"));
}

#[test]
fn an_archive_that_is_none() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&Layer::of(&["f a 1"]).tar).unwrap();
    for transport in ["oci-archive", "docker-archive"] {
        let error = pydock(["slim", "-q", &format!("{transport}:{}", file.path().display()), "oci:unused"]).error();
        assert!(error.contains("is no image archive: it has neither"), "{error}");
    }
}
