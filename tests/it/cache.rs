//! The cache: what it holds is not read again, and nothing that happens to it changes what comes out.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::image::{documents, root};
use crate::support::{Image, Layer, pydock};
use pydock::budget::Budget;
use pydock::cache::{Cache, CacheLocation, ScanKey, ScannedLayer};
use pydock::digest::Digest;
use pydock::evidence::Collector;
use pydock::layer::codec::Compression;
use pydock::layer::scan::scan;

/// A base of two layers, of which the lower one changes, and an application's layer.
fn image(app: &str) -> Image {
    let base = ["d usr", "f usr/bin/tool x", "f usr/lib/__pycache__/a.pyc x", "f usr/lib/a.py import os"];
    let other = ["f etc/config x", "h etc/copy = etc/config"];
    let own = format!("f app/{app}.py import {app}");
    Image::of(&[&base, &other, &["d app", &own, "f app/__pycache__/b.pyc x"]])
}

/// A folder with an image, a cache, and what was slimmed.
struct Lab(tempfile::TempDir);

impl Lab {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn with(&self, app: &str) -> &Self {
        image(app).write(&self.path(app));
        self
    }

    /// Slims an image to a folder; returns the digest of the new one.
    fn slim(&self, app: &str, to: &str, options: &[&str]) -> String {
        let out = self.path(to);
        pydock(["slim", "-q", "--format", "digest"])
            .arg(format!("oci:{}", self.path(app).display()))
            .arg(format!("oci:{}", out.display()))
            .args(options)
            .ok();
        root(&out)["digest"].as_str().unwrap().to_owned()
    }

    fn cached(&self, app: &str, to: &str) -> String {
        self.slim(app, to, &["--cache-dir", &self.path("cache").display().to_string()])
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("cache")).unwrap().map(|entry| entry.unwrap().path());
        let mut files = entries.filter(|path| !path.ends_with("lock")).collect::<Vec<_>>();
        files.sort();
        files
    }
}

/// Removes the blobs of some of an image's layers.
fn lose(folder: &Path, layers: &[usize]) {
    let (manifest, _) = documents(folder);
    for &layer in layers {
        let digest = manifest["layers"][layer]["digest"].as_str().unwrap();
        fs::remove_file(folder.join(digest.replace("sha256:", "blobs/sha256/"))).unwrap();
    }
}

fn layers(folder: &Path) -> Vec<Value> {
    documents(folder).0["layers"].as_array().unwrap().clone()
}

#[test]
fn the_second_image_on_a_base_is_slimmed_without_a_byte_of_the_base() {
    let lab = Lab::new();
    lab.with("one").with("two");
    let plain = lab.slim("two", "plain", &[]);
    lab.cached("one", "out");
    // The layer of the base that stays is at the destination already.
    lose(&lab.path("two"), &[0, 1]);
    assert_eq!(lab.cached("two", "out"), plain);
}

#[test]
fn the_same_image_is_slimmed_again_without_reading_a_layer() {
    let lab = Lab::new();
    lab.with("one");
    let first = lab.cached("one", "out");
    lose(&lab.path("one"), &[0, 1, 2]);
    assert_eq!(lab.cached("one", "out"), first);
}

#[test]
fn a_layer_that_the_cache_knows_but_not_as_it_is_to_be_now_comes_out_the_same() {
    let lab = Lab::new();
    lab.with("one");
    let options = ["--keep", "usr/lib/__pycache__/a.pyc", "--remove", "etc/config"];
    let plain = lab.slim("one", "plain", &options);
    lab.cached("one", "first");
    let cache = lab.path("cache").display().to_string();
    let cached = lab.slim("one", "out", &[&options[..], &["--cache-dir", &cache]].concat());
    assert_eq!(cached, plain);
    for more in [&["--squash", "all"][..], &["--compression", "zstd"], &["--recompress"]] {
        let plain = lab.slim("one", &format!("plain{}", more.concat()), more);
        let name = format!("cached{}", more.concat());
        assert_eq!(lab.slim("one", &name, &[more, &["--cache-dir", &cache]].concat()), plain, "{more:?}");
    }
}

#[test]
fn a_damaged_cache_never_gives_another_image() {
    let lab = Lab::new();
    lab.with("one");
    let plain = lab.cached("one", "first");
    let kept = lab.files().into_iter().map(|path| (fs::read(&path).unwrap(), path)).collect::<Vec<_>>();
    for at in [0, 3, 13, 40, 100, 200, usize::MAX] {
        for (bytes, path) in &kept {
            let mut bytes = bytes.clone();
            match bytes.get_mut(at) {
                Some(byte) => *byte ^= 0x40,
                None => bytes.truncate(bytes.len() - 1),
            }
            fs::write(path, bytes).unwrap();
        }
        let run = || {
            let out = lab.path("out");
            let output = pydock(["slim", "-q", "--cache-dir"])
                .arg(lab.path("cache"))
                .arg(format!("oci:{}", lab.path("one").display()))
                .arg(format!("oci:{}", out.display()))
                .output();
            (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        // What is damaged is made again, in the same run.
        let (done, error) = run();
        assert!(done, "byte {at}: {error}");
        assert_eq!(root(&lab.path("out"))["digest"], plain, "byte {at}");
        fs::remove_dir_all(lab.path("out")).unwrap();
    }
}

#[test]
fn several_processes_share_a_cache() {
    let lab = Lab::new();
    lab.with("one");
    let plain = lab.slim("one", "plain", &[]);
    std::thread::scope(|scope| {
        let lab = &lab;
        let run = |number| {
            let size = ["10GB", "1kB"][number % 2];
            let cache = lab.path("cache").display().to_string();
            lab.slim("one", &format!("out{number}"), &["--cache-dir", &cache, "--cache-size", size])
        };
        let runs = (0..8_usize).map(|number| scope.spawn(move || run(number))).collect::<Vec<_>>();
        for run in runs {
            assert_eq!(run.join().unwrap(), plain);
        }
    });
}

#[test]
fn a_cache_is_no_larger_than_it_may_be_when_a_run_is_over() {
    let lab = Lab::new();
    lab.with("one").with("two");
    lab.cached("one", "out");
    let all = lab.files().len();
    assert_eq!(all, 3 + 2, "three scans and the two layers that change");
    let size = |path: &PathBuf| fs::metadata(path).unwrap().len();
    let limit = lab.files().iter().map(size).sum::<u64>() - 1;
    lab.slim(
        "two",
        "out",
        &["--cache-dir", &lab.path("cache").display().to_string(), "--cache-size", &limit.to_string()],
    );
    assert!(lab.files().iter().map(size).sum::<u64>() <= limit);
    assert!(lab.files().len() > 1);
}

#[test]
fn the_layers_of_a_cached_image_are_those_of_one_that_is_not() {
    let lab = Lab::new();
    lab.with("one").with("two");
    lab.slim("two", "plain", &[]);
    lab.cached("one", "first");
    lab.cached("two", "out");
    let (plain, cached) = (layers(&lab.path("plain")), layers(&lab.path("out")));
    assert_eq!(plain, cached);
    for layer in plain {
        let name = layer["digest"].as_str().unwrap().replace("sha256:", "blobs/sha256/");
        assert_eq!(fs::read(lab.path("plain").join(&name)).unwrap(), fs::read(lab.path("out").join(&name)).unwrap());
    }
}

#[test]
fn a_folder_that_cannot_be_used_is_told() {
    let lab = Lab::new();
    lab.with("one");
    fs::write(lab.path("file"), "").unwrap();
    let error = pydock(["slim", "-q", "--cache-dir"])
        .arg(lab.path("file/cache"))
        .arg(format!("oci:{}", lab.path("one").display()))
        .arg(format!("oci:{}", lab.path("out").display()))
        .error();
    insta::assert_snapshot!(error.replace(&lab.0.path().display().to_string(), "DIR"));
    assert!(!lab.path("out").exists());
}

/// Fails if a scan gives something else for the same layer than it did: then `VERSION` in `src/cache/mod.rs` has to be raised
/// with it, lest records of before are taken for what this program would find.
#[test]
fn what_a_scan_gives_changes_only_with_the_version_of_the_cache() {
    let text = "import json, os.path as p\nfrom . import x\nsubprocess.run(['git', 'log'])\nopen(__file__ + 'tests/a')\nlib = 'libm.so.6'\n";
    let layer = Layer::of(&[
        "d usr",
        &format!("f usr/a.py {text}"),
        "f usr/broken.py def (:",
        "f etc/ld.so.conf /opt/lib",
        "f var/lib/dpkg/status Package: a",
        "l usr/link -> a.py",
        "h usr/b.py = usr/a.py",
        "w usr/gone",
        "f usr/run.sh #!/bin/sh\nexec tool",
    ]);
    let mut collector = Collector::default();
    let diff_id = Digest::of(&layer.tar);
    let index =
        scan(&mut &layer.tar[..], Compression::None, Some(diff_id), None, &mut collector, None, &Budget::default())
            .unwrap();
    let scanned = ScannedLayer { index, found: collector.finish() };
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(&CacheLocation { folder: folder.path().to_owned(), limit: 1 << 20 }).unwrap();
    let key = ScanKey { blob: diff_id, diff_id, compression: Compression::None };
    cache.keep_scan(&key, &scanned);
    assert_eq!(cache.scan(&key).as_ref(), Some(&scanned));
    let mut found = scanned.found.iter().collect::<Vec<_>>();
    found.sort_by_key(|(entry, _)| **entry);
    let name = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().file_name();
    insta::assert_snapshot!(format!("{}\n{:#?}\n{found:#?}", name.display(), scanned.index));
}
