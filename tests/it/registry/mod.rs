//! Real registries: round trips, broken connections.

mod attachments;
mod faults;
mod hostile;
mod in_place;
mod logins;
mod shared_layers;

use serde_json::Value;

use crate::support::registries::{Kind, Nginx, Proxy, Registry, Side};
use crate::support::tools::{fixture, run, skopeo_copy};
use crate::support::{Image, pydock, tree};

/// What makes an image: its layers and its config, whatever its manifest notes.
pub(crate) fn parts(image: &str) -> (Value, Value) {
    let manifest: Value = serde_json::from_str(&run("crane", ["manifest", "--insecure", image])).unwrap();
    (manifest["layers"].clone(), manifest["config"].clone())
}

#[test]
fn an_image_goes_from_a_registry_to_a_registry_and_is_what_a_layout_gives() {
    for kind in Kind::ALL {
        goes_through(kind);
    }
}

fn goes_through(kind: Kind) {
    let registry = Registry::start(kind);
    registry.push_fixture("app:1");
    let digest = |from: &str, to: &str| pydock(["slim", "-q", "--format", "digest", from, to]).ok().stdout;
    let source = registry.image("app:1");
    let place = tempfile::tempdir().unwrap();
    let layout = format!("oci:{}", place.path().join("out").display());
    let by_layout = digest(&source, &layout);
    for to in ["app:slim", "other/repo:1"] {
        let to = registry.image(to);
        assert_eq!(digest(&format!("docker://{source}"), &to), by_layout);
        run("crane", ["validate", "--insecure", "--remote", &to]);
        assert_eq!(run("crane", ["digest", "--insecure", &to]), by_layout);
    }
    // Back from the registry, by digest.
    let back = place.path().join("back");
    let pinned = format!("{}@{}", registry.image("app"), by_layout.trim());
    pydock(["slim", "-q", &pinned, &format!("oci:{}", back.display())]).ok();
    assert_eq!(tree::of_layout(&back), tree::of_layout(&place.path().join("out")));
}

#[test]
fn an_index_goes_through_a_registry() {
    let registry = Registry::start(Kind::Debian);
    let place = tempfile::tempdir().unwrap();
    for architecture in ["amd64", "arm64"] {
        let folder = place.path().join(architecture);
        Image::of(&[&["f a 1", "f x/__pycache__/c.pyc 1"], &[&format!("f arch {architecture}")]])
            .platform(architecture)
            .write(&folder);
        skopeo_copy(
            &format!("oci:{}", folder.display()),
            &format!("docker://{}", registry.image(&format!("app:{architecture}"))),
            &[],
        );
    }
    let (amd, arm, list) = (registry.image("app:amd64"), registry.image("app:arm64"), registry.image("app:all"));
    run("crane", ["index", "append", "--insecure", "-m", &amd, "-m", &arm, "-t", &list]);
    pydock(["slim", "-q", &list, &registry.image("slim:all")]).ok();
    run("crane", ["validate", "--insecure", "--remote", &registry.image("slim:all")]);
    let index = run("crane", ["manifest", "--insecure", &registry.image("slim:all")]);
    assert_eq!(index.matches("\"architecture\"").count(), 2, "{index}");
}

#[test]
fn a_connection_that_breaks_is_made_again_and_reading_and_writing_go_on_where_they_were() {
    for kind in Kind::ALL {
        let registry = Registry::start(kind);
        registry.push_fixture("app:1");
        let slim = |from: &str, to: &str| pydock(["slim", "-q", from, to]).ok();
        slim(&registry.image("app:1"), &registry.image("whole:1"));
        let expected = parts(&registry.image("whole:1"));
        // Larger than most blobs, but not than all.
        let cut = 1_500_000;
        let proxy = Proxy::cutting(registry.port, 1.., cut, Side::Answers);
        slim(&proxy.image("app:1"), &registry.image("pulled:1"));
        assert_eq!(parts(&registry.image("pulled:1")), expected);
        assert!(proxy.connections() > 5, "connections were cut");
        // These registries forget an upload that breaks, so it must come through at last.
        let proxy = Proxy::cutting(registry.port, 0..4, cut, Side::Requests);
        slim(&registry.image("app:1"), &proxy.image("pushed:1"));
        assert_eq!(parts(&registry.image("pushed:1")), expected);
        assert!(proxy.connections() > 4, "connections were cut");
        run("crane", ["validate", "--insecure", "--remote", &registry.image("pushed:1")]);
    }
}

#[test]
fn a_registry_that_knows_no_ranges_sends_all_again() {
    let registry = Registry::start(Kind::V3);
    registry.push_fixture("app:1");
    let nginx = Nginx::without_ranges(&registry);
    let proxy = Proxy::cutting(nginx.port, 1..4, 1_500_000, Side::Answers);
    let slim = |from: &str, to: &str| pydock(["slim", "-q", from, to]).ok();
    slim(&registry.image("app:1"), &registry.image("whole:1"));
    slim(&proxy.image("app:1"), &registry.image("pulled:1"));
    assert_eq!(parts(&registry.image("pulled:1")), parts(&registry.image("whole:1")));
    assert!(proxy.connections() > 4, "connections were cut");
}

#[test]
fn a_proxy_of_the_environment_is_used_but_not_for_this_machine() {
    let registry = Registry::start(Kind::V3);
    registry.push_fixture("app:1");
    // Only the proxy knows where this registry is.
    let proxy = Nginx::passing(&registry);
    let named = |image: &str| format!("registry.invalid:5000/{image}");
    let slim = |from: &str, to: &str, port: u16| {
        pydock(["slim", "-q", from, to, "--insecure", "registry.invalid:5000"])
            .env("HTTP_PROXY", format!("http://127.0.0.1:{port}"))
            .env("http_proxy", format!("http://127.0.0.1:{port}"))
    };
    slim(&named("app:1"), &named("slim:1"), proxy.port).ok();
    // Nobody listens at this port.
    slim(&registry.image("app:1"), &registry.image("slim:2"), 1).ok();
    assert_eq!(parts(&registry.image("slim:1")), parts(&registry.image("slim:2")));
}

#[test]
fn a_registry_that_is_gone_for_good_leaves_the_destination_as_it_was() {
    let registry = Registry::start(Kind::Debian);
    registry.push_fixture("app:1");
    let place = tempfile::tempdir().unwrap();
    // Nothing gets through any more.
    let proxy = Proxy::cutting(registry.port, 1.., 0, Side::Answers);
    let out = place.path().join("out");
    let error = pydock(["slim", "-q", &proxy.image("app:1"), &format!("oci:{}", out.display())]).error();
    assert!(error.contains("cannot read `docker://127.0.0.1:"), "{error}");
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    let proxy = Proxy::cutting(registry.port, 1.., 0, Side::Requests);
    let source = format!("oci-archive:{}", fixture().display());
    let error = pydock(["slim", "-q", &source, &proxy.image("pushed:1")]).error();
    assert!(error.contains("cannot push blob sha256:") || error.contains("cannot ask for blob"), "{error}");
    assert!(!registry.has_tag("pushed", "1"));
}

#[test]
fn several_tags_are_given_at_once_and_the_digest_goes_to_a_file() {
    let registry = Registry::start(Kind::Debian);
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("digest");
    let source = format!("oci-archive:{}", fixture().display());
    let run_it = pydock(["slim", "-q", &source, &registry.image("app:1"), "--tag", "1.2", "--tag", "latest"]);
    run_it.args(["--digest-file", file.to_str().unwrap()]).ok();
    let written = std::fs::read_to_string(file).unwrap();
    for tag in ["1", "1.2", "latest"] {
        let digest = run("crane", ["digest", "--insecure", &registry.image(&format!("app:{tag}"))]);
        assert_eq!(digest.trim(), written);
    }
}
