//! Registries, token servers and storage hosts that want what they may not have, or never end.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::fault_server::{Answer, FaultServer, Request};
use crate::support::image::Image;
use crate::support::pydock;

const SECRET: &str = "s3cretPW";

/// A layout with one image; large enough to be sent in chunks.
fn layout() -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("image");
    let mut state = 1_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'!' + (state >> 32) as u8 % 90)
    };
    let noise = (0..1_200_000).map(|_| next()).collect::<String>();
    Image::of(&[&["f a 1", "f x/__pycache__/c.pyc 1"], &[&format!("f noise {noise}")]]).write(&folder);
    (place, folder)
}

/// A folder with a login to a registry, for `DOCKER_CONFIG`.
fn login(host: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = serde_json::json!({ "auths": { host: { "username": "bob", "password": SECRET } } });
    std::fs::write(folder.path().join("config.json"), text.to_string()).unwrap();
    folder
}

fn is_blob(request: &Request) -> bool {
    request.method == "GET" && request.path.contains("/blobs/")
}

/// Slims the image of a registry that holds one; returns the error.
fn error_of(registry: &FaultServer) -> String {
    let (place, folder) = layout();
    registry.load("app:1", &folder);
    let login = login(&registry.host());
    let to = format!("oci:{}", place.path().join("out").display());
    let began = Instant::now();
    let error = pydock(["slim", "-q", &registry.image("app:1"), &to]).env("DOCKER_CONFIG", login.path()).error();
    assert!(began.elapsed() < Duration::from_secs(10), "it was tried again and again: {error}");
    assert!(!error.contains(SECRET) && error.len() < 2000, "{error}");
    error
}

#[test]
fn a_host_that_a_blob_is_redirected_to_gets_no_login_and_names_no_realm() {
    let storage = FaultServer::start(|request| {
        let here = request.headers["host"].clone();
        let challenge = format!("Bearer realm=\"http://{here}/token\",service=\"x\"");
        Some(match request.path.as_str() {
            "/token" => Answer::new(200).body(r#"{"token": "t"}"#),
            _ => Answer::new(401).header("WWW-Authenticate", challenge),
        })
    });
    let elsewhere = storage.host();
    let registry = FaultServer::start(move |request| {
        is_blob(request).then(|| Answer::new(307).header("Location", format!("http://{elsewhere}{}", request.path)))
    });
    let error = error_of(&registry);
    assert!(error.contains(&format!("to {}, which answered with 401", storage.host())), "{error}");
    assert!(!error.contains("docker login"), "{error}");
    let asked = storage.asked();
    assert!(
        !asked.is_empty()
            && asked.iter().all(|request| is_blob(request) && !request.headers.contains_key("authorization"))
    );
}

#[test]
fn a_token_server_that_redirects_to_another_host_is_not_followed_there() {
    let other = FaultServer::start(|_| Some(Answer::new(200).body(r#"{"token": "t"}"#)));
    let elsewhere = other.host();
    let registry = FaultServer::start(move |request| {
        let here = request.headers["host"].clone();
        if request.path.starts_with("/token") {
            return Some(Answer::new(307).header("Location", format!("http://{elsewhere}/token")));
        }
        let challenge = format!("Bearer realm=\"http://{here}/token\",service=\"x\"");
        Some(Answer::new(401).header("WWW-Authenticate", challenge))
    });
    let error = error_of(&registry);
    assert!(error.contains("a token server may not redirect to another host"), "{error}");
    assert!(other.asked().is_empty());
}

#[test]
fn redirects_that_do_not_end_are_an_error_at_once() {
    let registry = FaultServer::start(|request| {
        is_blob(request).then(|| Answer::new(307).header("Location", request.path.clone()))
    });
    let error = error_of(&registry);
    assert!(error.contains("the redirects form a loop"), "{error}");
    let count = AtomicUsize::new(0);
    let registry = FaultServer::start(move |request| {
        let next = format!("{}?{}", request.path.split('?').next().unwrap(), count.fetch_add(1, Ordering::Relaxed));
        is_blob(request).then(|| Answer::new(307).header("Location", next))
    });
    let error = error_of(&registry);
    assert!(error.contains("there are more than 10 redirects"), "{error}");
}

/// A registry whose token server gives this answer, and which takes any token then.
fn with_token(answer: impl Fn() -> Answer + Send + Sync + 'static) -> FaultServer {
    FaultServer::start(move |request| {
        if request.path.starts_with("/token") {
            return Some(answer());
        }
        let here = request.headers["host"].clone();
        let challenge = format!("Bearer realm=\"http://{here}/token\",service=\"x\"");
        let has_token = request.headers.get("authorization").is_some_and(|value| value.starts_with("Bearer"));
        (!has_token).then(|| Answer::new(401).header("WWW-Authenticate", challenge))
    })
}

#[test]
fn what_a_token_server_says_is_read_within_limits_and_never_quoted() {
    let endless = format!(r#"{{"token": "{}"}}"#, "x".repeat(2 << 20));
    for (body, words) in [
        ("<html>s3cretPW</html>".to_owned(), "something else than a token"),
        (r#"{"token": 7}"#.to_owned(), "something else than a token"),
        ("{}".to_owned(), "no token"),
        (endless, "an endless token"),
    ] {
        let registry = with_token(move || Answer::new(200).body(body.clone()));
        let error = error_of(&registry);
        assert!(error.contains(words), "{words}: {error}");
        assert_eq!(registry.asked().iter().filter(|request| request.path.starts_with("/token")).count(), 1);
    }
}

#[test]
fn a_token_that_lasts_for_ever_is_used() {
    let registry = with_token(|| Answer::new(200).body(r#"{"token": "t", "expires_in": 18446744073709551615}"#));
    let (place, folder) = layout();
    registry.load("app:1", &folder);
    pydock(["slim", "-q", &registry.image("app:1"), &format!("oci:{}", place.path().join("out").display())]).ok();
}

#[test]
fn a_pause_that_is_longer_than_a_run_waits_is_reported() {
    let registry = FaultServer::start(|request| {
        is_blob(request).then(|| Answer::new(429).header("Retry-After", "600").body("slow"))
    });
    let error = error_of(&registry);
    assert!(error.contains("it asks for a pause of 10m") && !error.contains("several times"), "{error}");
}

#[test]
fn an_upload_that_the_registry_forgets_begins_again_and_chunks_shrink_until_they_are_taken() {
    let (_place, folder) = layout();
    let forgotten = AtomicUsize::new(0);
    let registry = FaultServer::start(move |request| {
        // 600 kB at most, as a proxy may have it, and the first upload that was sent in chunks is lost at its end.
        if request.method == "PATCH" && request.body.len() > 600_000 {
            return Some(Answer::new(413));
        }
        let is_end = request.method == "PUT" && request.path.contains("/blobs/uploads/") && request.body.is_empty();
        (is_end && forgotten.fetch_add(1, Ordering::Relaxed) == 0).then(|| Answer::new(404))
    });
    registry.load("app:1", &folder);
    pydock(["slim", "-q", "--no-attach", &registry.image("app:1"), &registry.image("other:1")]).ok();
    assert!(registry.has("other:1"));
}

#[test]
fn a_second_tag_that_is_refused_names_the_tags_that_have_moved() {
    let (_place, folder) = layout();
    let registry = FaultServer::start(|request| {
        let refused = request.method == "PUT" && request.path.ends_with("/manifests/two");
        refused.then(|| Answer::new(400).body(r#"{"errors":[{"code":"TAG_INVALID","message":"immutable"}]}"#))
    });
    registry.load("app:1", &folder);
    let run =
        pydock(["slim", "-q", "--no-attach", "--tag", "two", &registry.image("app:1"), &registry.image("other:one")]);
    let error = run.error();
    assert!(error.contains("push tag `two` of") && error.contains("(already moved: `one`)"), "{error}");
}

#[test]
fn an_index_of_referrers_that_cannot_be_read_is_not_replaced() {
    let (_place, folder) = layout();
    let registry = FaultServer::start(|request| {
        if request.method == "GET" && request.path.contains("/manifests/sha256-") {
            return Some(Answer::new(200).body("[]"));
        }
        None
    });
    registry.load("app:1", &folder);
    let error = pydock(["slim", "-q", &registry.image("app:1"), &registry.image("other:1")]).error();
    assert!(error.contains("an index of referrers") && error.contains("that cannot be read"), "{error}");
    assert!(
        !registry.asked().iter().any(|request| request.method == "PUT" && request.path.contains("/manifests/sha256-"))
    );
}

#[test]
fn a_platform_is_found_by_docker_s_names_and_by_configs() {
    for (platform, listed) in [("linux/arm64/v8", true), ("linux/aarch64", true), ("linux/arm64", false)] {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("image");
        let mut entries = Vec::new();
        for architecture in ["amd64", "arm64"] {
            let image = Image::of(&[&[&format!("f arch {architecture}")]]).platform(architecture);
            let mut entry = image.write_blobs(&folder);
            if listed {
                entry["platform"] = serde_json::json!({ "os": "linux", "architecture": architecture });
            }
            entries.push(entry);
        }
        let list = serde_json::json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries });
        let list = crate::support::image::write_blob(
            &folder,
            "application/vnd.oci.image.index.v1+json",
            list.to_string().as_bytes(),
        );
        crate::support::image::write_index(&folder, &[list]);
        let (from, out) = (format!("oci:{}", folder.display()), place.path().join("out"));
        pydock(["slim", "-q", "--platform", platform, &from, &format!("oci:{}", out.display())]).ok();
        let (_, config) = crate::support::image::documents(&out);
        assert_eq!(config["architecture"], "arm64", "{platform}");
        let error = pydock(["slim", "-q", "--platform", "linux/s390x", &from, "oci:/nowhere/x"]).error();
        assert!(error.contains("the image has: linux/amd64, linux/arm64"), "{error}");
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the helper is found in PATH")]
fn a_credential_helper_ends_with_the_run() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let helper = folder.path().join("docker-credential-slow");
    let pid = folder.path().join("pid");
    std::fs::write(&helper, format!("#!/bin/sh\necho $$ > {}\nexec sleep 1000\n", pid.display())).unwrap();
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(folder.path().join("config.json"), r#"{"credsStore": "slow"}"#).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let run = pydock(["slim", "-q", "127.0.0.1:1/a:1", "127.0.0.1:1/b:1"]);
    let mut child = run.env("DOCKER_CONFIG", folder.path()).env("PATH", path).command().spawn().unwrap();
    let wait = |is_over: &dyn Fn() -> bool| {
        (0..600).any(|_| {
            std::thread::sleep(Duration::from_millis(50));
            is_over()
        })
    };
    assert!(wait(&|| std::fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n'))));
    std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    let helper = format!("/proc/{}", std::fs::read_to_string(&pid).unwrap().trim());
    assert!(wait(&|| !std::path::Path::new(&helper).exists()), "the helper still runs");
}

#[test]
fn only_a_certificate_that_was_refused_is_called_one() {
    let registry = FaultServer::start(|request| {
        let text = r#"{"errors": [{"code": "DENIED", "message": "the certificate of your licence has expired"}]}"#;
        is_blob(request).then(|| Answer::new(400).body(text))
    });
    let error = error_of(&registry);
    assert!(error.contains("licence has expired") && !error.contains("--ca-file"), "{error}");
}

#[test]
fn a_wait_of_more_than_a_minute_is_reported() {
    let registry =
        FaultServer::start(|request| is_blob(request).then(|| Answer::new(429).header("Retry-After", "100")));
    let (place, folder) = layout();
    registry.load("app:1", &folder);
    let to = format!("oci:{}", place.path().join("out").display());
    let run = pydock(["slim", "-q", &registry.image("app:1"), &to]);
    let mut child = run.command().stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.contains("waiting for 1m 40s"), "{line}");
}

#[test]
fn a_docker_daemon_whose_stream_breaks_is_not_a_damaged_archive() {
    let (place, folder) = layout();
    let archive = place.path().join("image.tar");
    let to = format!("docker-archive:{}", archive.display());
    pydock(["slim", "-q", &format!("oci:{}", folder.display()), &to]).ok();
    let tar = std::fs::read(&archive).unwrap();
    for after in [1_000, tar.len() - 100] {
        let tar = tar.clone();
        let daemon = FaultServer::start(move |request| {
            let version = r#"{"Version": "27.0.0", "ApiVersion": "1.46", "MinAPIVersion": "1.24"}"#;
            let is_image = request.path.ends_with("/get");
            Some(match request.path.ends_with("/version") {
                true => Answer::new(200).header("Content-Type", "application/json").body(version),
                false if is_image => {
                    Answer::new(200).header("Content-Type", "application/x-tar").body(tar.clone()).cut(after)
                }
                false => Answer::new(404),
            })
        });
        let out = format!("oci:{}", place.path().join("out").display());
        let run = pydock(["slim", "-q", "docker-daemon:app:1", &out]);
        let error = run.env("DOCKER_HOST", format!("tcp://{}", daemon.host())).error();
        assert!(error.contains("of the Docker daemon broke"), "{error}");
        assert!(!error.contains("damaged"), "{error}");
    }
}
