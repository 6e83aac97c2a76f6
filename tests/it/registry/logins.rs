//! Logins and certificates.

#![expect(clippy::disallowed_methods, reason = "a helper is found by PATH")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::registries::{Kind, Registry, Setup, TokenServer, certificates, htpasswd};
use crate::support::tools::{fixture, run};
use crate::support::{Run, pydock};

const PASSWORD: &str = "not-so-secret";
/// `tester:not-so-secret`.
const AUTH: &str = "dGVzdGVyOm5vdC1zby1zZWNyZXQ=";

fn source() -> String {
    format!("oci-archive:{}", fixture().display())
}

/// Slims with all that can be logged, and sees that the password is not.
fn succeeds_without_telling(run: Run) {
    let ran = run.arg("-vv").ok();
    for secret in [PASSWORD, AUTH, "for-good", "Bearer ey"] {
        assert!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret), "{secret}");
    }
}

fn config(folder: &Path, text: &str) {
    std::fs::write(folder.join("config.json"), text).unwrap();
}

fn basic(kind: Kind) -> Registry {
    Registry::with(kind, &Setup { htpasswd: Some(htpasswd("tester", PASSWORD)), ..Setup::default() })
}

#[test]
fn a_login_is_read_from_dockers_or_podmans_file_and_never_printed() {
    for kind in Kind::WITH_LOGINS {
        logs_in_to(&basic(kind));
    }
}

fn logs_in_to(registry: &Registry) {
    let folder = tempfile::tempdir().unwrap();
    let host = format!("127.0.0.1:{}", registry.port);
    let to = registry.image("team/app:1");
    let error = pydock(["slim", "-q", &source(), &to]).error();
    assert!(error.contains("docker login"), "{error}");
    config(folder.path(), &format!(r#"{{"auths": {{"{host}": {{"auth": "{AUTH}"}}}}}}"#));
    succeeds_without_telling(pydock(["slim", &source(), &to]).env("DOCKER_CONFIG", folder.path()));
    // podman's logins may be for a part of a registry.
    let auths = format!(r#"{{"auths": {{"{host}": {{"auth": "eDp5"}}, "{host}/team": {{"auth": "{AUTH}"}}}}}}"#);
    let file = folder.path().join("auth.json");
    std::fs::write(&file, auths).unwrap();
    succeeds_without_telling(pydock(["slim", &source(), &to]).env("REGISTRY_AUTH_FILE", &file));
    let error = pydock(["slim", "-q", &source(), &registry.image("other:1")]).env("REGISTRY_AUTH_FILE", &file).error();
    assert!(error.contains("401"), "{error}");
}

#[test]
fn a_login_is_typed_or_asked_of_a_helper() {
    let registry = basic(Kind::Debian);
    let to = registry.image("app:1");
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, format!("{PASSWORD}\n")).unwrap();
    let typed = pydock(["slim", &source(), &to, "--username", "tester", "--password-stdin"]);
    succeeds_without_telling(typed.stdin(std::fs::File::open(&password).unwrap()));
    std::fs::write(&password, "wrong").unwrap();
    let typed = pydock(["slim", "-q", &source(), &to, "--username", "tester", "--password-stdin"]);
    let error = typed.stdin(std::fs::File::open(&password).unwrap()).error();
    assert!(error.contains("401") && !error.contains("wrong"), "{error}");

    let helper = folder.path().join("docker-credential-test");
    let answer = format!(r#"{{"ServerURL": "x", "Username": "tester", "Secret": "{PASSWORD}"}}"#);
    let script =
        format!("#!/bin/sh\n[ \"$1\" = get ] && [ \"$(cat)\" = 127.0.0.1:{} ] && echo '{answer}'\n", registry.port);
    std::fs::write(&helper, script).unwrap();
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    for key in
        [format!(r#""credHelpers": {{"127.0.0.1:{}": "test"}}"#, registry.port), r#""credsStore": "test""#.to_owned()]
    {
        config(folder.path(), &format!("{{{key}}}"));
        let asked = pydock(["slim", &source(), &to]).env("DOCKER_CONFIG", folder.path());
        succeeds_without_telling(asked.env("PATH", &path));
    }
    let error = pydock(["slim", "-q", &source(), &to]).env("DOCKER_CONFIG", folder.path()).error();
    assert!(error.contains("docker-credential-test"), "{error}");
    // A helper that fails may have printed a secret.
    std::fs::write(&helper, format!("#!/bin/sh\necho {PASSWORD}; exit 1\n")).unwrap();
    let error = pydock(["slim", "-q", &source(), &to]).env("DOCKER_CONFIG", folder.path()).env("PATH", &path).error();
    assert!(error.contains("failed for") && !error.contains(PASSWORD), "{error}");
}

#[test]
fn tokens_are_asked_for_both_repositories_and_again_when_they_expire() {
    let certificates = certificates();
    for (kind, seconds) in [(Kind::Debian, 300), (Kind::V3, 0), (Kind::Zot, 300)] {
        let tokens = TokenServer::start(certificates.path(), seconds);
        let setup = Setup { tokens: Some(certificates.path().to_owned()), token_port: tokens.port, ..Setup::default() };
        let registry = Registry::with(kind, &setup);
        let folder = tempfile::tempdir().unwrap();
        let host = format!("127.0.0.1:{}", registry.port);
        config(folder.path(), &format!(r#"{{"auths": {{"{host}": {{"auth": "{AUTH}"}}}}}}"#));
        let login = |run: Run| run.env("DOCKER_CONFIG", folder.path());
        succeeds_without_telling(login(pydock(["slim", &source(), &registry.image("public/app:1")])));
        let before = tokens.asked().len();
        let (from, to) = (registry.image("public/app:1"), registry.image("b:1"));
        succeeds_without_telling(login(pydock(["slim", "--again", &from, &to])));
        let asked = tokens.asked().split_off(before);
        assert!(asked.contains(&"repository:public/app:pull".to_owned()), "{asked:?}");
        assert!(asked.contains(&"repository:b:pull,push repository:public/app:pull".to_owned()), "{asked:?}");
        if seconds == 0 {
            assert!(asked.len() > 4, "tokens that expire at once are asked for again: {asked:?}");
        } else {
            assert_eq!(asked.len(), 2, "{asked:?}");
        }
        // Anonymous, with a refresh token, and with nothing that helps.
        pydock(["slim", "-q", "-n", &from]).ok();
        config(folder.path(), &format!(r#"{{"auths": {{"{host}": {{"identitytoken": "for-good"}}}}}}"#));
        succeeds_without_telling(login(pydock(["slim", &source(), &registry.image("c:1")])));
        let error = pydock(["slim", "-q", &source(), &registry.image("d:1")]).error();
        assert!(error.contains("401") && error.contains("DENIED"), "{error}");
    }
}

#[test]
fn certificates_are_verified_unless_the_host_is_named() {
    let certificates = certificates();
    let file = |name: &str| certificates.path().join(name).display().to_string();
    let setup = Setup { tls: Some(certificates.path().to_owned()), ..Setup::default() };
    for kind in Kind::WITH_LOGINS {
        let registry = Registry::with(kind, &setup);
        let to = registry.image("app:1");
        let error = pydock(["slim", "-q", &source(), &to]).error();
        assert!(error.contains("certificate") && error.contains("--ca-file"), "{error}");
        let other = pydock(["slim", "-q", &source(), &to, "--insecure", "127.0.0.1:1"]).error();
        assert!(other.contains("certificate"), "{other}");
        pydock(["slim", "-q", &source(), &to, "--ca-file", &file("ca.pem")]).ok();
        pydock(["slim", "-q", &source(), &to, "--insecure", &format!("127.0.0.1:{}", registry.port)]).ok();
        let error = pydock(["slim", "-q", &source(), &to, "--ca-file", &file("ca.key")]).error();
        assert!(error.contains("ca.key"), "{error}");
    }

    let registry = Registry::with(Kind::V3, &Setup { client_certificates: true, ..setup });
    let to = registry.image("app:1");
    pydock(["slim", "-q", &source(), &to, "--ca-file", &file("ca.pem")]).error();
    let shown = ["--client-cert", &file("client.pem"), "--client-key", &file("client.key")];
    pydock(["slim", "-q", &source(), &to, "--ca-file", &file("ca.pem")]).args(shown).ok();
    let seen = run(
        "curl",
        [
            "-sf",
            "--cacert",
            &file("ca.pem"),
            "--cert",
            &file("client.pem"),
            "--key",
            &file("client.key"),
            &format!("https://{}/v2/app/tags/list", registry.image("").trim_end_matches('/')),
        ],
    );
    assert!(seen.contains("\"1\""), "{seen}");
}
