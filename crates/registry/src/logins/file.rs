//! Docker's `config.json` and podman's `auth.json`.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use serde::{Deserialize, Deserializer};

use super::helper::{self, LoginError};
use super::{Login, Secret};

/// The key of Docker Hub's login: the URL of its first API.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// The content of a file.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LoginFile {
    #[serde(default, deserialize_with = "null_is_empty")]
    auths: HashMap<String, AuthEntry>,
    /// The helper for all registries.
    creds_store: Option<String>,
    /// The helpers by registry.
    #[serde(default, deserialize_with = "null_is_empty")]
    cred_helpers: HashMap<String, String>,
    #[serde(skip)]
    path: PathBuf,
}

#[derive(Clone, Deserialize)]
struct AuthEntry {
    auth: Option<Secret>,
    username: Option<String>,
    password: Option<Secret>,
    identitytoken: Option<Secret>,
}

/// Reads `null` as an empty map, as Go's programs write it.
fn null_is_empty<'de, D: Deserializer<'de>, V: Deserialize<'de>>(json: D) -> Result<HashMap<String, V>, D::Error> {
    Option::deserialize(json).map(Option::unwrap_or_default)
}

impl LoginFile {
    /// Reads a file; `None` if it does not exist.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, LoginError> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(LoginError::File { path: path.to_owned(), source }),
        };
        // serde_json's message quotes values, which may be secrets.
        let malformed = |error: serde_json::Error| LoginError::Malformed {
            path: path.to_owned(),
            line: error.line(),
            column: error.column(),
        };
        let file = serde_json::from_slice::<Self>(&text).map_err(malformed)?;
        Ok(Some(Self { path: path.to_owned(), ..file }))
    }

    /// Returns the most specific login for a repository. The helper takes precedence over logins in the file.
    pub(crate) async fn login(&self, registry: &str, repository: &str) -> Result<Option<Login>, LoginError> {
        let server = if registry == "docker.io" { DOCKER_HUB } else { registry };
        let helper = self.cred_helpers.iter().find(|(key, _)| host(key) == registry).map(|(_, helper)| helper);
        let helper = helper.or(self.creds_store.as_ref()).filter(|helper| !helper.is_empty());
        if let Some(helper) = helper
            && let Some(login) = helper::ask(helper, server).await?
        {
            return Ok(Some(login));
        }
        Ok(self.kept_login(registry, repository))
    }

    /// Returns the most specific login for a repository that is in the file itself.
    fn kept_login(&self, registry: &str, repository: &str) -> Option<Login> {
        let name = format!("{registry}/{repository}");
        let fits = |key: &str| {
            let key = plain(key);
            host(key) == registry && (is_url_or_host(key) || name == key || name.starts_with(&format!("{key}/")))
        };
        let auths = self.auths.iter().filter(|(key, _)| fits(key));
        // `quay.io/team/app` takes precedence over `quay.io/team`, and that over `quay.io`.
        let mut auths = auths.filter_map(|(key, auth)| Some((plain(key).len(), auth.login()?))).collect::<Vec<_>>();
        auths.sort_by_key(|(length, _)| *length);
        auths.pop().map(|(_, login)| login)
    }
}

impl AuthEntry {
    /// Decodes an entry. `auth` is `user:password` in base64. Some tools write the two separately.
    fn login(&self) -> Option<Login> {
        if let Some(token) = self.identitytoken.as_ref().filter(|token| !token.reveal().is_empty()) {
            return Some(Login::IdentityToken(token.clone()));
        }
        if let (Some(user), Some(password)) = (&self.username, &self.password) {
            return Some(Login::Password { user: user.clone(), password: password.clone() });
        }
        let decoded = base64::engine::general_purpose::STANDARD.decode(self.auth.as_ref()?.reveal()).ok()?;
        let text = String::from_utf8(decoded).ok()?;
        // Old versions of Docker pad with zeros.
        let (user, password) = text.trim_end_matches('\0').split_once(':')?;
        (!user.is_empty()).then(|| Login::Password { user: user.to_owned(), password: password.to_owned().into() })
    }
}

/// Removes the scheme of a URL, and its path with it. Removes slashes at the end of other keys.
fn plain(key: &str) -> &str {
    let plain = key.trim_start_matches("https://").trim_start_matches("http://");
    if plain.len() == key.len() { key.trim_end_matches('/') } else { host(plain) }
}

/// Returns the host of a key. Docker Hub has several names.
fn host(key: &str) -> &str {
    let key = key.trim_start_matches("https://").trim_start_matches("http://");
    match key.split('/').next().unwrap_or(key) {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        host => host,
    }
}

/// Returns whether a key is for a whole registry.
fn is_url_or_host(key: &str) -> bool {
    !key.contains('/') || host(key) == "docker.io" && key.ends_with("/v1")
}

impl fmt::Debug for LoginFile {
    /// Prints registries, never secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path.display())?;
        f.debug_set().entries(self.auths.keys()).entries(self.cred_helpers.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(text: &str) -> LoginFile {
        serde_json::from_str(text).unwrap()
    }

    fn password(user: &str, password: &str) -> Login {
        Login::Password { user: user.to_owned(), password: password.to_owned().into() }
    }

    #[test]
    fn logins_are_found_as_docker_writes_them_and_never_printed() {
        let file = file(
            r#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "bWU6c2VjcmV0OnBhc3M="},
            "localhost:5000": {"username": "u", "password": "secret"},
            "acr.io": {"auth": "dTpw", "identitytoken": "secret-token"},
            "empty.io": {}}}"#,
        );
        let login = |registry| file.kept_login(registry, "a/b");
        assert_eq!(login("docker.io"), Some(password("me", "secret:pass")));
        assert_eq!(login("localhost:5000"), Some(password("u", "secret")));
        assert_eq!(login("acr.io"), Some(Login::IdentityToken("secret-token".to_owned().into())));
        assert_eq!(login("empty.io"), None);
        assert!(!format!("{file:?} {:?}", login("acr.io")).contains("secret-"));
    }

    #[test]
    fn the_most_exact_of_podmans_logins_is_taken() {
        let file = file(
            r#"{"auths": {
            "quay.io": {"username": "all", "password": "1"},
            "quay.io/team": {"username": "team", "password": "2"},
            "quay.io/team/app": {"username": "app", "password": "3"}}}"#,
        );
        for (repository, user) in [("other/x", "all"), ("team/x", "team"), ("team/app", "app"), ("teams/x", "all")] {
            let login = file.kept_login("quay.io", repository);
            assert!(matches!(login, Some(Login::Password { user: ref found, .. }) if found == user), "{repository}");
        }
    }

    #[test]
    fn a_file_without_logins_has_none() {
        for text in ["{}", r#"{"auths": null, "credHelpers": null, "credsStore": null}"#, r#"{"auths": {"a.io": {}}}"#]
        {
            assert_eq!(file(text).kept_login("a.io", "b"), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_login_is_found_again_for_its_registry_and_for_no_other(
            user in "[^:\0]{1,9}", secret in "[^\0]{0,9}", key in "[a-z]{1,9}(:[0-9]{1,4})?", other in any::<String>(),
        ) {
            let auth = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{secret}"));
            let file = file(&serde_json::json!({ "auths": { (key.clone()): { "auth": auth } } }).to_string());
            prop_assert_eq!(file.kept_login(&key, "x/y"), Some(password(&user, &secret)));
            prop_assume!(other != key);
            prop_assert_eq!(file.kept_login(&other, "x/y"), None);
        }

        #[test]
        fn any_keys_and_logins_are_read_without_a_panic(key in any::<String>(), auth in any::<String>(), name in any::<String>()) {
            let text = serde_json::json!({ "auths": { (key.clone()): { "auth": auth } } }).to_string();
            let _ = file(&text).kept_login(&name, &key);
            let _ = file(&text).kept_login(&key, &name);
        }
    }
}
