//! Slimming in place, undoing it, and images that were slimmed before.

use crate::support::registries::{Kind, Proxy, Registry};
use crate::support::tools::{fixture, run, skopeo_copy};
use crate::support::{Image, pydock};

/// Returns two million characters that do not compress well.
fn noise(seed: u64) -> String {
    let mut random = seed;
    let next = |_| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'!' + (random >> 33) as u8 % 90)
    };
    (0..2_000_000).map(next).collect()
}

fn digest(image: &str) -> String {
    run("crane", ["digest", "--insecure", image]).trim().to_owned()
}

#[test]
fn an_image_is_slimmed_in_place_and_brought_back() {
    let registry = Registry::start(Kind::Debian);
    registry.push_fixture("app:1");
    let image = registry.image("app:1");
    let old = digest(&image);
    let report = pydock(["slim", "-q", "--in-place", &image]).ok().stdout;
    let new = digest(&image);
    assert_ne!(new, old);
    let undo = report.lines().find(|line| line.contains("pydock undo")).unwrap();
    assert!(undo.contains(&old), "{undo}");
    // It is ours now, and left alone.
    let again = pydock(["slim", "-q", "--in-place", &image]).ok().stdout;
    assert!(again.contains("slimmed this image before"), "{again}");
    assert_eq!(digest(&image), new);
    pydock(["slim", "-q", &image, &registry.image("copy:1")]).ok();
    assert_eq!(digest(&registry.image("copy:1")), new);
    pydock(["undo", &image]).ok();
    assert_eq!(digest(&image), old);
    pydock(["undo", &image, "--to", &new]).ok();
    assert_eq!(digest(&image), new);
    let error = pydock(["undo", &image, "--to", &format!("sha256:{}", "0".repeat(64))]).error();
    assert!(error.contains("404"), "{error}");
    pydock(["undo", &image]).ok();
    let error = pydock(["undo", &image]).error();
    assert!(error.contains("does not name the image that it was made from") && error.contains("--to"), "{error}");
}

#[test]
fn an_image_in_a_layout_is_slimmed_in_place_and_brought_back() {
    let folder = tempfile::tempdir().unwrap();
    let layout = format!("oci:{}:1", folder.path().display());
    skopeo_copy(&format!("oci-archive:{}", fixture().display()), &layout, &[]);
    let digest = || pydock(["slim", "-q", "-n", "--format", "json", &layout]).ok().stdout;
    let old = digest();
    pydock(["slim", "-q", "--in-place", &layout]).ok();
    assert_ne!(digest(), old);
    pydock(["undo", &layout]).ok();
    assert_eq!(digest(), old);
}

#[test]
fn in_place_only_what_changed_is_uploaded() {
    let registry = Registry::start(Kind::Debian);
    let folder = tempfile::tempdir().unwrap();
    // A large layer that stays, and a small one that changes.
    let large = format!("f large {}", noise(7));
    Image::of(&[&[&large], &["f a 1", "f x/__pycache__/c.pyc 1"]]).write(folder.path());
    let from = format!("oci:{}", folder.path().display());
    skopeo_copy(&from, &format!("docker://{}", registry.image("app:1")), &[]);
    let proxy = Proxy::to(registry.port);
    pydock(["slim", "-q", "--in-place", &proxy.image("app:1")]).ok();
    assert!(proxy.sent() < 100_000, "{} bytes were sent", proxy.sent());
    run("crane", ["validate", "--insecure", "--remote", &registry.image("app:1")]);
}

#[test]
fn a_base_that_the_cache_knows_is_neither_pulled_nor_pushed_again() {
    let registry = Registry::start(Kind::Debian);
    let cache = tempfile::tempdir().unwrap();
    let slim = |own: &str| {
        let folder = tempfile::tempdir().unwrap();
        let base = [format!("f base {}", noise(1)), "f x/__pycache__/c.pyc 1".to_owned()];
        Image::of(&[&[&base[0], &base[1]], &[own]]).write(folder.path());
        let name = registry.image(&format!("app:{}", own.len()));
        skopeo_copy(&format!("oci:{}", folder.path().display()), &format!("docker://{name}"), &[]);
        let proxy = Proxy::to(registry.port);
        let (from, to) = (proxy.image(&format!("app:{}", own.len())), proxy.image("slim:1"));
        pydock(["slim", "-q", "--cache-dir", cache.path().to_str().unwrap(), &from, &to]).ok();
        (proxy.received(), proxy.sent())
    };
    let first = slim("f own 1");
    assert!(first.0 > 1_000_000 && first.1 > 1_000_000, "{first:?}");
    let second = slim("f own 22");
    assert!(second.0 < 50_000 && second.1 < 50_000, "{second:?}");
}

#[test]
fn what_is_noted_follows_source_date_epoch_and_tells_of_the_source() {
    let registry = Registry::start(Kind::Olareg);
    registry.push_fixture("app:1");
    let (from, to) = (registry.image("app:1"), registry.image("slim:1"));
    pydock(["slim", "-q", &from, &to]).env("SOURCE_DATE_EPOCH", "1700000000").ok();
    let manifest: serde_json::Value = serde_json::from_str(&run("crane", ["manifest", "--insecure", &to])).unwrap();
    let notes = &manifest["annotations"];
    assert_eq!(notes["org.opencontainers.image.created"], "2023-11-14T22:13:20Z");
    assert_eq!(notes["dev.pydock.source.digest"], digest(&from));
    assert_eq!(notes["org.opencontainers.image.base.digest"], digest(&from));
    assert_eq!(notes["org.opencontainers.image.base.name"], from);
    assert!(notes["dev.pydock.profiles"].as_str().unwrap().contains("bytecode"), "{notes}");
    let ran = pydock(["slim", "-q", &from, &to]).env("SOURCE_DATE_EPOCH", "soon").exits(2);
    assert!(ran.stderr.contains("SOURCE_DATE_EPOCH"), "{}", ran.stderr);
}
