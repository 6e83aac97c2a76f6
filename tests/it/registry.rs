//! A real docker-registry: round trips, logins, dropped connections.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::ops::RangeBounds;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::tools::{Registry, fixture, run, skopeo_copy};
use crate::support::{Image, pydock, tree};

fn push_fixture(registry: &Registry, name: &str) {
    skopeo_copy(&format!("oci-archive:{}", fixture().display()), &format!("docker://{}", registry.image(name)), &[]);
}

#[test]
fn an_image_goes_from_a_registry_to_a_registry_and_is_what_a_layout_gives() {
    let registry = Registry::start(None);
    push_fixture(&registry, "app:1");
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
    let registry = Registry::start(None);
    let place = tempfile::tempdir().unwrap();
    for architecture in ["amd64", "arm64"] {
        let folder = place.path().join(architecture);
        Image::of(&[&["f a 1", "f x/__pycache__/c 1"], &[&format!("f arch {architecture}")]])
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
fn a_login_is_read_from_dockers_config_and_never_printed() {
    // tester:secret, as htpasswd -B prints it.
    let hash = run(
        "python3",
        ["-c", "import crypt; print(crypt.crypt('not-so-secret', crypt.mksalt(crypt.METHOD_BLOWFISH)))"],
    );
    let registry = Registry::start(Some(&format!("tester:{}", hash.trim())));
    let folder = tempfile::tempdir().unwrap();
    let auth = "dGVzdGVyOm5vdC1zby1zZWNyZXQ="; // tester:not-so-secret
    let config = format!(r#"{{"auths": {{"127.0.0.1:{}": {{"auth": "{auth}"}}}}}}"#, registry.port);
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    let source = format!("oci-archive:{}", fixture().display());
    let to = registry.image("app:1");
    let error = pydock(["slim", "-q", &source, &to]).error();
    assert!(error.contains("docker login"), "{error}");
    let ran = pydock(["slim", "-vv", &source, &to]).env("DOCKER_CONFIG", folder.path()).ok();
    assert!(!(ran.stdout + &ran.stderr).contains("not-so-secret"));
    assert!(registry.has_tag("app", "1"));
}

/// Passes connections on, and cuts some of them after some bytes of the server's answers or of the client's requests.
fn cutting_proxy(
    to: u16,
    cut: impl RangeBounds<usize> + Send + 'static,
    after: usize,
    answers: bool,
) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let Ok(client) = client else { return };
            let number = counter.fetch_add(1, Ordering::Relaxed);
            let Ok(server) = TcpStream::connect(("127.0.0.1", to)) else { return };
            let limit = |this: bool| if cut.contains(&number) && this { after } else { usize::MAX };
            pass(client.try_clone().unwrap(), server.try_clone().unwrap(), limit(!answers));
            pass(server, client, limit(answers));
        }
    });
    (port, count)
}

fn pass(mut from: TcpStream, mut to: TcpStream, limit: usize) {
    std::thread::spawn(move || {
        let mut buffer = [0; 16 << 10];
        let mut passed = 0;
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            passed += count;
            if passed > limit || to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    });
}

#[test]
fn a_connection_that_breaks_is_made_again_and_reading_and_writing_go_on_where_they_were() {
    let registry = Registry::start(None);
    push_fixture(&registry, "app:1");
    let place = tempfile::tempdir().unwrap();
    let layout = |name: &str| format!("oci:{}", place.path().join(name).display());
    let digest = |from: &str, to: &str| pydock(["slim", "-q", "--format", "digest", from, to]).ok().stdout;
    let expected = digest(&registry.image("app:1"), &layout("whole"));
    // Larger than most blobs, but not than all.
    let cut = 1_500_000;
    let (port, connections) = cutting_proxy(registry.port, 1.., cut, true);
    assert_eq!(digest(&format!("127.0.0.1:{port}/app:1"), &layout("in-parts")), expected);
    assert!(connections.load(Ordering::Relaxed) > 3, "connections were cut");
    // This registry forgets an upload that breaks, so it must come through at last.
    let (port, connections) = cutting_proxy(registry.port, 0..4, cut, false);
    assert_eq!(digest(&registry.image("app:1"), &format!("127.0.0.1:{port}/pushed:1")), expected);
    assert!(connections.load(Ordering::Relaxed) > 3, "connections were cut");
    run("crane", ["validate", "--insecure", "--remote", &registry.image("pushed:1")]);
}

#[test]
fn a_registry_that_is_gone_for_good_leaves_the_destination_as_it_was() {
    let registry = Registry::start(None);
    push_fixture(&registry, "app:1");
    let place = tempfile::tempdir().unwrap();
    // Nothing gets through after the manifest and the config.
    let (port, _) = cutting_proxy(registry.port, 1.., 0, true);
    let out = place.path().join("out");
    let error = pydock(["slim", "-q", &format!("127.0.0.1:{port}/app:1"), &format!("oci:{}", out.display())]).error();
    assert!(error.contains("cannot read `docker://127.0.0.1:"), "{error}");
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    let (port, _) = cutting_proxy(registry.port, 1.., 0, false);
    let source = format!("oci-archive:{}", fixture().display());
    let error = pydock(["slim", "-q", &source, &format!("127.0.0.1:{port}/pushed:1")]).error();
    assert!(error.contains("cannot push blob sha256:") || error.contains("cannot ask for blob"), "{error}");
    assert!(!registry.has_tag("pushed", "1"));
}
