//! Logins from Docker's `config.json`. Source: docker-login(1), "Credential stores" left out.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use base64::Engine as _;
use oci_client::secrets::RegistryAuth;
use serde::Deserialize;

use super::error::TransportError;

/// User names and passwords by registry.
#[derive(Clone, Default)]
pub struct Logins(HashMap<String, (String, String)>);

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: HashMap<String, Auth>,
}

#[derive(Deserialize)]
struct Auth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

impl Logins {
    /// Reads a `config.json`; there are no logins in one that does not exist.
    ///
    /// # Errors
    /// If it exists and is malformed.
    pub fn from_docker_config(path: &Path) -> Result<Self, TransportError> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(TransportError::file("read", path)(error)),
        };
        Self::parse(&text).map_err(|source| TransportError::Logins { path: path.to_owned(), source })
    }

    fn parse(text: &[u8]) -> Result<Self, serde_json::Error> {
        let config: DockerConfig = serde_json::from_slice(text)?;
        let logins = config.auths.into_iter().filter_map(|(registry, auth)| {
            let login = auth.login()?;
            Some((host(&registry).to_owned(), login))
        });
        Ok(Self(logins.collect()))
    }

    /// Returns how to log in to a registry.
    pub fn of(&self, registry: &str) -> RegistryAuth {
        match self.0.get(host(registry)) {
            Some((user, password)) => RegistryAuth::Basic(user.clone(), password.clone()),
            None => RegistryAuth::Anonymous,
        }
    }
}

impl Auth {
    /// `auth` is base64 of `user:password`; some tools write the two apart.
    fn login(self) -> Option<(String, String)> {
        if let (Some(user), Some(password)) = (self.username, self.password) {
            return Some((user, password));
        }
        let decoded = base64::engine::general_purpose::STANDARD.decode(self.auth?).ok()?;
        let (user, password) =
            String::from_utf8(decoded).ok()?.split_once(':').map(|(u, p)| (u.to_owned(), p.to_owned()))?;
        (!user.is_empty()).then_some((user, password))
    }
}

/// Docker Hub's logins stand under a URL of its first API.
fn host(registry: &str) -> &str {
    let host = registry.trim_start_matches("https://").trim_start_matches("http://");
    match host.split('/').next().unwrap_or(host) {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        host => host,
    }
}

impl fmt::Debug for Logins {
    /// Names registries, never secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_found_as_docker_writes_them_and_never_printed() {
        let text = br#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "bWU6c2VjcmV0OnBhc3M="},
            "localhost:5000": {"username": "u", "password": "secret"},
            "empty.io": {}}}"#;
        let logins = Logins::parse(text).unwrap();
        let basic = |user: &str, password: &str| RegistryAuth::Basic(user.to_owned(), password.to_owned());
        assert_eq!(logins.of("docker.io"), basic("me", "secret:pass"));
        assert_eq!(logins.of("localhost:5000"), basic("u", "secret"));
        assert_eq!(logins.of("empty.io"), RegistryAuth::Anonymous);
        assert!(!format!("{logins:?}").contains("secret"));
    }
}
