//! What a slimmed image is, as a value: config, history, media types, determinism.

use serde_json::{Value, json};

use crate::support::image::{documents, read_json, root};
use crate::support::{Image, Layer, pydock, tools, tree};
use pydock::layer::codec::Compression;

/// Slims a layout with options and returns the folder of the result.
pub(crate) fn slim(source: &std::path::Path, options: &[&str]) -> tempfile::TempDir {
    let out = tempfile::tempdir().unwrap();
    pydock(["slim", "-q", "--format", "digest"])
        .arg(format!("oci:{}", source.display()))
        .arg(format!("oci:{}", out.path().display()))
        .args(options)
        .ok();
    out
}

fn written(image: &Image) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    image.write(folder.path());
    folder
}

#[test]
fn an_image_with_nothing_to_cut_stays_the_same_to_the_last_digest() {
    let image =
        Image::of(&[&["d etc", "f etc/passwd root"], &["d etc", "f etc/group root"]]).history(&["a", "#b", "c"]);
    let source = written(&image);
    let out = slim(source.path(), &[]);
    assert_eq!(root(out.path())["digest"], root(source.path())["digest"]);
}

#[test]
fn the_config_stays_as_it_was_but_for_diff_ids_and_history() {
    let image =
        Image::of(&[&["f root/.cache/pip/x 1", "f app 2"], &["f var/log/dpkg.log x"]]).history(&["one", "#env", "two"]);
    let source = written(&image);
    let out = slim(source.path(), &[]);
    let (_, before) = documents(source.path());
    let (manifest, after) = documents(out.path());
    for key in ["architecture", "os", "created", "config", "vendor.key"] {
        assert_eq!(before[key], after[key], "{key}");
    }
    assert_eq!(after["rootfs"]["diff_ids"].as_array().unwrap().len(), 1);
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
    assert_eq!(
        after["history"],
        json!([
            {"created_by": "one"},
            {"created_by": "env", "empty_layer": true},
            {"created_by": "two", "empty_layer": true}
        ])
    );
    assert_eq!(
        before.as_object().unwrap().keys().collect::<Vec<_>>(),
        after.as_object().unwrap().keys().collect::<Vec<_>>()
    );
}

#[test]
fn docker_schema_two_comes_out_as_oci() {
    let source = written(&Image::of(&[&["f app 1"], &["f x/__pycache__/y.pyc 1", "f z 1"]]).docker());
    let out = slim(source.path(), &[]);
    let (manifest, _) = documents(out.path());
    let text = manifest.to_string();
    assert!(!text.contains("docker"), "{text}");
    let old = read_json(source.path(), &root(source.path()));
    assert_eq!(manifest["layers"][0]["digest"], old["layers"][0]["digest"], "an untouched blob stays");
}

#[test]
fn layers_of_every_compression_are_read_and_written() {
    for from in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let layers = [Layer::of(&["f a 1", "f b/__pycache__/c.pyc 1"]), Layer::of(&["f d 1"])];
        let source = written(&Image::new(layers.map(|layer| layer.compressed(from))));
        for (option, to) in [("gzip", "gzip"), ("zstd", "zstd"), ("", "gzip")] {
            let options = if option.is_empty() { vec![] } else { vec!["--compression", option] };
            let out = slim(source.path(), &options);
            let (manifest, _) = documents(out.path());
            assert!(manifest["layers"][0]["mediaType"].as_str().unwrap().ends_with(to));
            let untouched = manifest["layers"][1]["mediaType"].as_str().unwrap();
            let expected = match (option, from) {
                ("", Compression::Zstd) => "zstd",
                (_, _) => to,
            };
            assert!(untouched.ends_with(expected), "{from} to {option}: {untouched}");
            let paths = tree::of_layout(out.path()).into_keys().collect::<Vec<_>>();
            assert_eq!(paths, [b"a".to_vec(), b"d".to_vec()]);
        }
    }
}

#[test]
fn squashing_the_application_finds_its_base_by_history_or_as_told() {
    let base = Image::of(&[&["f base 1"], &["f python 1"]]).history(&["ADD", "RUN", "#CMD [\"python3\"]"]);
    let layers: [&[&str]; 4] = [&["f base 1"], &["f python 1"], &["f app 1", "f secret 1"], &["w secret", "f app 2"]];
    let history = ["ADD", "RUN", "#CMD [\"python3\"]", "COPY", "RUN", "#CMD [\"app\"]"];
    let source = written(&Image::of(&layers).history(&history));
    let base_folder = written(&base);
    let base_option = format!("oci:{}", base_folder.path().display());
    for options in [vec!["--squash", "app"], vec!["--squash", "app", "--base", &base_option]] {
        let out = slim(source.path(), &options);
        let (manifest, config) = documents(out.path());
        let old = read_json(source.path(), &root(source.path()));
        assert_eq!(manifest["layers"].as_array().unwrap().len(), 3);
        assert_eq!(manifest["layers"][0], old["layers"][0]);
        assert_eq!(manifest["layers"][1], old["layers"][1]);
        assert_eq!(config["history"][3]["empty_layer"], true);
        assert_eq!(config["history"][4]["comment"], "pydock: squashed with the 1 layers below");
        assert_eq!(tree::of_layout(out.path()).len(), 3);
    }
    let other = written(&Image::of(&[&["f other 1"]]));
    let error = pydock(["slim", "-q", "--squash", "app", "--base"])
        .arg(format!("oci:{}", other.path().display()))
        .arg(format!("oci:{}", source.path().display()))
        .arg("oci:unused")
        .error();
    assert!(error.contains("is not the base image of"), "{error}");
}

#[test]
fn a_history_that_tells_of_other_layers_is_left_out_when_layers_go() {
    let source = written(&Image::of(&[&["f var/log/dpkg.log 1"], &["f a 1"]]).history(&["only one"]));
    let out = slim(source.path(), &[]);
    assert_eq!(documents(out.path()).1.get("history"), None);
}

#[test]
fn an_image_that_loses_everything_keeps_one_empty_layer() {
    let source = written(&Image::of(&[&["f var/log/dpkg.log 1"], &["w nothing"]]));
    let out = slim(source.path(), &[]);
    assert_eq!(documents(out.path()).0["layers"].as_array().unwrap().len(), 1);
    assert!(tree::of_layout(out.path()).is_empty());
}

#[test]
fn the_same_input_gives_the_same_digest_with_any_number_of_threads() {
    // More than 16 MiB, so that compressors' buffers are crossed.
    let mut big = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    let content = (0..20u32 << 18).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect::<Vec<_>>();
    header.set_size(content.len() as u64);
    big.append_data(&mut header, "big", &content[..]).unwrap();
    header.set_size(0);
    big.append_data(&mut header, "x/__pycache__/y.pyc", &[][..]).unwrap();
    let layers = [Layer::raw(big.into_inner().unwrap()), Layer::of(&["f a 1", "f b/__pycache__/c.pyc 1"])];
    let source = written(&Image::new(layers));
    let fixture = format!("oci-archive:{}", tools::fixture().display());
    for source in [format!("oci:{}", source.path().display()), fixture] {
        for options in [vec![], vec!["--squash", "all"], vec!["--compression", "zstd"]] {
            let digests = ["1", "2", "2", "7"].map(|threads| {
                let out = tempfile::tempdir().unwrap();
                let run = pydock(["slim", "-q", "--format", "digest", "--threads", threads, &source]);
                run.arg(format!("oci:{}", out.path().display())).args(&options).ok().stdout
            });
            assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "{digests:?}");
        }
    }
}

/// A change of these digests means that everybody's slimmed images change: raise the version, and say so in the
/// changelog.
#[test]
fn digests_do_not_change_from_version_to_version() {
    let source =
        written(&Image::of(&[&["f a 1", "f b/__pycache__/c.pyc 1", "h d = b/__pycache__/c.pyc"], &["f e 1", "w a"]]));
    let digest = |options: &[&str]| -> Value { root(slim(source.path(), options).path())["digest"].clone() };
    insta::assert_json_snapshot!([digest(&[]), digest(&["--squash", "all"]), digest(&["--compression", "zstd"])]);
}
